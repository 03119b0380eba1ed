//! Counts instructions and stack, for `cargo xtask bench` and `cargo xtask sizes`.
//!
//! With QEMU's `-icount shift=0` an instruction takes a nanosecond of the board's time, so the 25 MHz timer ticks once in
//! [`PER_TICK`] of them, the same on every run and machine. Without that option the counts mean nothing.

use core::sync::atomic::{AtomicU32, Ordering};

/// Instructions to a tick: what a count is exact to.
pub const PER_TICK: u64 = 40;

/// CMSDK APB timer 0, a 32-bit counter that goes down; Cortex-M System Design Kit, table 4-1.
const TIMER: *mut u32 = 0x4000_0000 as *mut u32;
/// Its registers, in words from the base.
const CONTROL: usize = 0;
const VALUE: usize = 1;
const RELOAD: usize = 2;

/// Ticks that passed asleep or in what is not to count.
static ASIDE: AtomicU32 = AtomicU32::new(0);

/// Starts at 0. The counter takes 171 seconds to come round.
pub fn start() {
    // SAFETY: registers of a timer that nothing else uses.
    unsafe {
        TIMER.add(RELOAD).write_volatile(u32::MAX);
        TIMER.add(VALUE).write_volatile(u32::MAX);
        TIMER.add(CONTROL).write_volatile(1);
    }
}

fn ticks() -> u32 {
    // SAFETY: reading it changes nothing.
    unsafe { !TIMER.add(VALUE).read_volatile() }
}

/// Instructions since power-on, those [`aside`] left out.
#[must_use]
pub fn instructions() -> u64 {
    u64::from(ticks().wrapping_sub(ASIDE.load(Ordering::Relaxed))) * PER_TICK
}

/// Does `work` without counting it.
pub fn aside<R>(work: impl FnOnce() -> R) -> R {
    let before = ticks();
    let result = work();
    ASIDE.fetch_add(ticks().wrapping_sub(before), Ordering::Relaxed);
    result
}

/// Octets of stack that are watched. The board has megabytes: more use than this shows as this.
const WATCHED: usize = 128 * 1024;
/// What unused stack is painted with.
const PAINT: u32 = 0x5AFE_57AC;

unsafe extern "C" {
    /// Where the stack starts; set by cortex-m-rt.
    static _stack_start: u32;
}

fn bottom() -> *mut u32 {
    (&raw const _stack_start).wrapping_byte_sub(WATCHED).cast_mut()
}

/// Octets of stack in use here.
#[inline(always)]
#[must_use]
pub fn stack() -> usize {
    (&raw const _stack_start as usize).wrapping_sub(cortex_m::register::msp::read() as usize)
}

/// What [`paint`] leaves free for its own frame, in octets.
const OWN: usize = 64;

/// Paints the stack that is not in use.
#[inline(never)]
pub fn paint() {
    let unused = WATCHED.saturating_sub(stack() + OWN);
    for at in 0..unused / 4 {
        // SAFETY: RAM below the stack pointer, where nothing lives; an interrupt's frame is gone when it returns.
        unsafe { bottom().add(at).write_volatile(PAINT) };
    }
}

/// Octets of the stack that were in use at most since [`paint`]: the high-water mark.
#[must_use]
pub fn high_water() -> usize {
    // SAFETY: RAM, aligned, always readable.
    let untouched = (0..WATCHED / 4).take_while(|at| unsafe { bottom().add(*at).read_volatile() } == PAINT).count();
    WATCHED - untouched * 4
}
