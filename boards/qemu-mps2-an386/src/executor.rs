//! An executor that sleeps with WFI: QEMU spins in the WFE of the stock one.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::meter;
use cortex_m::{asm, interrupt};
use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

/// Work came up since the last poll.
static PENDING: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    PENDING.store(true, Ordering::SeqCst);
}

/// Runs what `spawn` spawns, for ever.
///
/// # Panics
/// When called twice.
pub fn run(spawn: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    meter::start();
    meter::paint();
    let executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    let executor: &'static raw::Executor = executor;
    spawn(executor.spawner());
    loop {
        PENDING.store(false, Ordering::SeqCst);
        // SAFETY: polled from here alone, never from the pender.
        unsafe { executor.poll() };
        interrupt::disable();
        // With interrupts masked none is missed between the look and the sleep; a pending one still ends WFI.
        if !PENDING.load(Ordering::SeqCst) {
            meter::aside(asm::wfi);
        }
        // SAFETY: no critical section is open here.
        unsafe { interrupt::enable() };
    }
}
