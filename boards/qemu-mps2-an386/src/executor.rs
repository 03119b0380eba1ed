//! An executor that sleeps with WFI: QEMU spins in the WFE of the stock one.

use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::{asm, interrupt};
use embassy_executor::{Spawner, raw};

use crate::meter;

/// Work came up since the last poll.
static PENDING: AtomicBool = AtomicBool::new(false);

#[unsafe(export_name = "__pender")]
fn pender(_: *mut ()) {
    PENDING.store(true, Ordering::SeqCst);
}

/// For `#[embassy_executor::main(entry = "cortex_m_rt::entry", executor = "board::Executor")]`.
pub struct Executor(raw::Executor);

impl Executor {
    /// One executor; a firmware has one.
    #[expect(clippy::new_without_default, reason = "the macro calls `new`, nobody else does")]
    #[must_use]
    pub fn new() -> Self {
        Self(raw::Executor::new(core::ptr::null_mut()))
    }

    /// Runs what `spawn` spawns, for ever.
    pub fn run(&'static mut self, spawn: impl FnOnce(Spawner)) -> ! {
        meter::start();
        meter::paint();
        let executor = &self.0;
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
}
