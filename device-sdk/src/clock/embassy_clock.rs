//! The clock of a microcontroller.

use embassy_time::Timer;
use identity_core::time::{Instant, UnixTime};

use crate::ports::Clock;

/// Monotonic time of embassy-time. It knows no wall time: the SDK learns that over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant(embassy_time::Instant::now().as_millis())
    }

    async fn sleep_until(&self, until: Instant) {
        // Later than the tick counter can say is never.
        match embassy_time::Instant::try_from_millis(until.0) {
            Some(at) => Timer::at(at).await,
            None => core::future::pending().await,
        }
    }

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}
