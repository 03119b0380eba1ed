//! A QR code on a terminal.

use qrcodegen_no_heap::QrCode;

/// Modules of empty space around a code (ISO/IEC 18004 §6.3.8).
const QUIET: i32 = 4;

/// The code as lines of half blocks, two rows of modules a line. Light modules are drawn, for a terminal that is dark.
#[must_use]
pub fn qr(code: &QrCode<'_>) -> String {
    let light = |x: i32, y: i32| !code.get_module(x, y);
    let all = -QUIET..code.size() + QUIET;
    let mut lines = Vec::new();
    for y in all.clone().step_by(2) {
        let half = |x| match (light(x, y), light(x, y + 1) && y + 1 < all.end) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        lines.push(all.clone().map(half).collect::<String>());
    }
    lines.join("\n")
}
