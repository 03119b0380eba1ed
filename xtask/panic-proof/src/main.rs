//! Every public function of identity-core, fed with what the optimiser cannot know, under a panic handler that does not link:
//! if one panic is left in the optimised program, the linker refuses it. Never run; linking is the proof.
#![no_std]
#![no_main]

mod agent;
mod crypto;
mod formats;
mod jose;

use core::hint::black_box;

unsafe extern "C" {
    /// Defined nowhere.
    safe fn identity_core_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    identity_core_can_panic()
}

/// A value of which the optimiser knows no more than its type.
fn any<T>(value: T) -> T {
    black_box(value)
}

/// Octets of any length and content.
fn octets<'a>() -> &'a [u8] {
    any::<&[u8]>(&[])
}

/// Text of any length and content.
fn text() -> &'static str {
    any::<&str>("")
}

/// Keeps a result, so that what made it is kept.
fn keep<T>(value: T) {
    black_box(value);
}

/// What the linker starts from.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut room = [0; 2048];
    let buffer: &mut [u8] = any::<&mut [u8]>(&mut room);
    crypto::all(buffer);
    formats::all(buffer);
    jose::all(buffer);
    agent::all();
    loop {
        keep(());
    }
}

/// The negative control at the end of each part: an index that may be out of bounds. It shows that the part is linked up to
/// its end, and that a panic there is seen.
fn control(wanted: bool) {
    if wanted {
        keep(octets()[7]);
    }
}
