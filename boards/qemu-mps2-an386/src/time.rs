//! embassy-time on SysTick: a tick is a millisecond.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use critical_section::Mutex;
use embassy_time_driver::{Driver, time_driver_impl};
use embassy_time_queue_utils::Queue;

/// Core clock, in hertz.
const CORE_HZ: u32 = 25_000_000;

struct Ticks {
    now: Mutex<Cell<u64>>,
    next: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

time_driver_impl!(static TICKS: Ticks = Ticks {
    now: Mutex::new(Cell::new(0)),
    next: Mutex::new(Cell::new(u64::MAX)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Ticks {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.now.borrow(section).get())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            if self.queue.borrow(section).borrow_mut().schedule_wake(at, waker) {
                let next = self.next.borrow(section);
                next.set(next.get().min(at));
            }
        });
    }
}

/// Starts the tick.
///
/// # Panics
/// When called twice.
pub(crate) fn start() {
    let mut timer: SYST = cortex_m::Peripherals::take().expect("started once").SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CORE_HZ / embassy_time_driver::TICK_HZ as u32 - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

#[exception]
fn SysTick() {
    critical_section::with(|section| {
        let now = TICKS.now.borrow(section).get() + 1;
        TICKS.now.borrow(section).set(now);
        let next = TICKS.next.borrow(section);
        if next.get() <= now {
            next.set(TICKS.queue.borrow(section).borrow_mut().next_expiration(now));
        }
    });
}
