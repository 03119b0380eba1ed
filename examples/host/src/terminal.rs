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

#[cfg(test)]
mod tests {
    use super::*;
    use qrcodegen_no_heap::{QrCodeEcc, Version};

    #[test]
    fn each_module_is_where_it_belongs_and_the_border_is_light() {
        let (mut work, mut modules) = ([0; Version::MAX.buffer_len()], [0; Version::MAX.buffer_len()]);
        let url = "https://id.plant.example/device?user_code=BCDF-GHJK";
        let code =
            QrCode::encode_text(url, &mut work, &mut modules, QrCodeEcc::Low, Version::MIN, Version::MAX, None, true);
        let code = code.expect("room");
        let drawn = qr(&code);
        let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        let light = |x: usize, y: usize| match (lines[y / 2][x], y % 2) {
            ('█', _) | ('▀', 0) | ('▄', 1) => true,
            (' ', _) | ('▀' | '▄', _) => false,
            (other, _) => panic!("{other}"),
        };
        let side = code.size() + 2 * QUIET;
        for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
            let dark = code.get_module(x - QUIET, y - QUIET);
            assert_eq!(light(x as usize, y as usize), !dark, "{x}, {y}");
        }
    }
}
