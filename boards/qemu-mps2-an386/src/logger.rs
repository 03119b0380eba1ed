//! `log` to the host's terminal, with the device's milliseconds in front.

use log::{LevelFilter, Log, Metadata, Record};

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let now = embassy_time::Instant::now().as_millis();
        semihosting::println!("{:>6}.{:03} {:<5} {}", now / 1000, now % 1000, record.level(), record.args());
    }

    fn flush(&self) {}
}

pub(crate) fn start() {
    // Fails only when started twice: then the first one serves.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}
