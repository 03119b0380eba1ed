//! A firmware that fails ends, and says so: output on the host, exit code not 0.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use semihosting::{eprintln, process::exit};

/// Exit code of a panic, as of a program of the host.
const PANICKED: i32 = 101;
/// Exit code of a fault of the processor.
const FAULTED: i32 = 102;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    exit(PANICKED)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    eprintln!("HardFault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr());
    exit(FAULTED)
}

#[exception]
unsafe fn DefaultHandler(number: i16) {
    if number == crate::lan9118::INTERRUPT as i16 {
        crate::lan9118::interrupt();
    } else {
        eprintln!("interrupt {number} has no handler");
        exit(FAULTED)
    }
}
