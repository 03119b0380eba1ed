//! The clock of a desktop.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use identity_core::time::{Instant, UnixTime};

use crate::ports::Clock;

pub use async_io::block_on;

/// Monotonic time from when it was made, and the operating system's wall time unless it is switched off.
#[derive(Clone, Copy, Debug)]
pub struct StdClock {
    start: std::time::Instant,
    wall: bool,
}

impl StdClock {
    /// A clock that trusts the operating system's wall time.
    #[must_use]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now(), wall: true }
    }

    /// The same clock knowing no wall time, as a microcontroller does at first boot.
    #[must_use]
    pub const fn without_wall(self) -> Self {
        Self { wall: false, ..self }
    }
}

impl Default for StdClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for StdClock {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, until: Instant) {
        match self.start.checked_add(Duration::from_millis(until.0)) {
            Some(at) => drop(async_io::Timer::at(at).await),
            None => core::future::pending().await,
        }
    }

    fn wall(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        self.wall.then_some(UnixTime(since.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_at_least_as_long_as_asked_and_hides_wall_time() {
        let clock = StdClock::new();
        let until = clock.now().after_ms(15);
        block_on(clock.sleep_until(until));
        assert!(clock.now() >= until);
        assert!(clock.wall() > Some(UnixTime(1_700_000_000)));
        assert_eq!(clock.without_wall().wall(), None);
    }
}
