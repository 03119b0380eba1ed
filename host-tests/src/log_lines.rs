//! The device's log as an engineer reads it, one for each thread: a device under test runs in the thread of its test.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Keeper;

impl Log for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("device_sdk")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.with(|lines| lines.borrow_mut().push(format!("{}: {}", record.level(), record.args())));
        }
    }

    fn flush(&self) {}
}

/// From here on log lines are kept, unless another logger was set before.
pub fn keep() {
    if log::set_logger(&Keeper).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The lines of this thread since the last call, such as `WARN: EST cacerts: …`.
#[must_use]
pub fn take() -> Vec<String> {
    LINES.with(RefCell::take)
}
