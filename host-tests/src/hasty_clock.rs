//! A device's clock that goes as usual while the device computes and faster while it waits, and that a test can put
//! forward: a limit of 30 seconds ends after a few, and a backoff at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_io::Timer;
use device_sdk::ports::Clock;
use identity_core::time::{Instant, UnixTime};

use crate::server::{WallClock, system_clock};

/// Longest real wait before time is looked at again, in milliseconds.
const TICK_MS: u64 = 10;

struct Shared {
    start: std::time::Instant,
    /// Unix seconds at the start.
    epoch: u64,
    /// How much faster time passes while somebody waits for it.
    haste: u64,
    /// Milliseconds that time is ahead of the real one.
    ahead: AtomicU64,
}

/// The clock; clones are the same clock.
#[derive(Clone)]
pub struct HastyClock {
    shared: Arc<Shared>,
    wall: bool,
}

impl HastyClock {
    /// A clock that starts at the true time and passes `haste` times faster while the device waits.
    #[must_use]
    pub fn new(haste: u64) -> Self {
        let (start, epoch) = (std::time::Instant::now(), system_clock()());
        Self { shared: Arc::new(Shared { start, epoch, haste: haste.max(1), ahead: AtomicU64::new(0) }), wall: true }
    }

    /// The same clock, but the device knows no wall time.
    #[must_use]
    pub fn without_wall(self) -> Self {
        Self { wall: false, ..self }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn ms(&self) -> u64 {
        self.shared.start.elapsed().as_millis() as u64 + self.shared.ahead.load(Ordering::Relaxed)
    }

    /// Puts the clock forward.
    pub fn skip_seconds(&self, seconds: u64) {
        self.shared.ahead.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// The wall time of this clock, for the servers of a plant.
    #[must_use]
    pub fn wall_clock(&self) -> WallClock {
        let clock = self.clone();
        Arc::new(move || clock.unix())
    }

    fn unix(&self) -> u64 {
        self.shared.epoch + self.ms() / 1000
    }
}

impl Clock for HastyClock {
    fn now(&self) -> Instant {
        Instant(self.ms())
    }

    async fn sleep_until(&self, until: Instant) {
        // short at first: waits that others keep interrupting are to pass faster too
        for tick in 1.. {
            let left = until.0.saturating_sub(self.ms());
            if left == 0 {
                return;
            }
            let real = (left / self.shared.haste).clamp(1, TICK_MS.min(tick));
            Timer::after(Duration::from_millis(real)).await;
            let more = (real * (self.shared.haste - 1)).min(left.saturating_sub(real));
            self.shared.ahead.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn wall(&self) -> Option<UnixTime> {
        self.wall.then(|| UnixTime(self.unix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_pass_faster_and_not_too_far() {
        let clock = HastyClock::new(50);
        let real = std::time::Instant::now();
        async_io::block_on(clock.sleep_until(Instant(5_000)));
        assert!((5_000..5_500).contains(&clock.ms()), "{}", clock.ms());
        assert!(real.elapsed() < Duration::from_secs(3));
        clock.skip_seconds(86_400);
        assert!(clock.ms() >= 86_405_000);
        assert!(clock.wall().is_some_and(|wall| wall.0 >= system_clock()() + 86_400));
        assert_eq!(clock.without_wall().wall(), None);
    }
}
