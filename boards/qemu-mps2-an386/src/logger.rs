//! `log` to the host's terminal, with the device's milliseconds in front, or what the [`meter`] says.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::meter;
use log::{LevelFilter, Log, Metadata, Record};

/// Whether lines start with counts.
static METERED: AtomicBool = AtomicBool::new(false);

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let instructions = meter::instructions();
        meter::aside(|| {
            if METERED.load(Ordering::Relaxed) {
                let stack = meter::high_water();
                semihosting::println!("{instructions} {stack} {}", record.args());
                meter::paint();
            } else {
                let now = embassy_time::Instant::now().as_millis();
                semihosting::println!("{:>6}.{:03} {:<5} {}", now / 1000, now % 1000, record.level(), record.args());
            }
        });
    }

    fn flush(&self) {}
}

pub(crate) fn start() {
    // Fails only when started twice: then the first one serves.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// From here on every line, those of level debug as well, starts with the instructions since power-on and the high-water
/// mark of the stack since the line before.
pub(crate) fn meter() {
    METERED.store(true, Ordering::Relaxed);
    log::set_max_level(LevelFilter::Debug);
}
