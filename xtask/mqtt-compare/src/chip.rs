//! A microcontroller that is never run: a line and a clock of which the optimiser knows nothing.

use core::future::{Future, poll_fn};
use core::hint::black_box;
use core::pin::pin;
use core::ptr::{read_volatile, write_volatile};
use core::task::{Context, Poll, Waker};

use device_sdk::ports::Clock;
use identity_core::time::{Instant, UnixTime};

use crate::line::Line;

const STATE: *const u32 = 0x4000_4000 as *const u32;
const DATA: *mut u8 = 0x4000_4004 as *mut u8;
const TICKS: *const u32 = 0x4000_4008 as *const u32;

/// A UART.
pub struct Uart;

impl Line for Uart {
    fn waiting(&self) -> bool {
        // SAFETY: reading the register has no effect on memory
        unsafe { read_volatile(STATE) & 1 != 0 }
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let mut taken = 0;
        for room in into {
            if !self.waiting() {
                break;
            }
            // SAFETY: reading the register has no effect on memory
            *room = unsafe { read_volatile(DATA) };
            taken += 1;
        }
        taken
    }

    fn put(&mut self, octets: &[u8]) {
        for octet in octets {
            // SAFETY: writing the register has no effect on memory
            unsafe { write_volatile(DATA, *octet) };
        }
    }
}

/// Milliseconds since start.
pub struct Ticks;

impl Clock for Ticks {
    fn now(&self) -> Instant {
        // SAFETY: reading the register has no effect on memory
        Instant(unsafe { read_volatile(TICKS) }.into())
    }

    async fn sleep_until(&self, until: Instant) {
        poll_fn(|_| if self.now() < until { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}

/// A number that the optimiser does not know.
pub fn unknown() -> u32 {
    // SAFETY: reading the register has no effect on memory
    unsafe { read_volatile(STATE) }
}

/// Keeps a value, so that what made it is kept whole.
pub fn keep<T>(value: T) {
    black_box(&value);
}

/// Runs it to its end, then stops.
pub fn run(work: impl Future<Output = ()>) -> ! {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    while work.as_mut().poll(&mut context).is_pending() {}
    loop {
        keep(());
    }
}

/// Octets of the future that a function without arguments returns.
pub const fn future<F>(_: fn() -> F) -> usize {
    size_of::<F>()
}

/// The same with one argument.
pub const fn future_1<A, F>(_: fn(A) -> F) -> usize {
    size_of::<F>()
}

/// The same with two.
pub const fn future_2<A, B, F>(_: fn(A, B) -> F) -> usize {
    size_of::<F>()
}

/// Tells a number to `llvm-size -A`: as the size of a section that is not loaded.
#[macro_export]
macro_rules! tell {
    ($name:literal, $octets:expr) => {
        core::arch::global_asm!(
            concat!(".pushsection .tell.", $name, ",\"\",%progbits"),
            ".zero {octets}",
            ".popsection",
            octets = const $octets
        );
    };
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        keep(());
    }
}
