//! When to connect again: exponential backoff with full jitter, which a CONNACK alone does not reset.

use identity_core::time::Instant;

/// The first ceiling, in milliseconds; doubles with each attempt that follows.
const FIRST_MS: u64 = 1_000;
/// The last ceiling, in milliseconds.
const MOST_MS: u64 = 300_000;
/// A link that has lived for so long works, even if nothing was acknowledged on it.
const PROVEN_MS: u64 = 60_000;

/// Attempts since a link last proved to work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reconnect {
    attempts: u32,
    until: Instant,
    opened: Instant,
}

impl Reconnect {
    /// Nothing before this instant.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// An attempt begins: the next one waits a random part of the ceiling, unless this one is proved meanwhile.
    pub(crate) fn attempt(&mut self, now: Instant, random: u32) {
        self.attempts = self.attempts.saturating_add(1);
        self.opened = now;
        self.ended(now, random);
    }

    /// An attempt failed or a link was lost: the wait counts from here. A link that had proved to work is waited for as
    /// after a first attempt, so that a fleet does not return at once to a broker that restarts.
    pub(crate) fn ended(&mut self, now: Instant, random: u32) {
        let ceiling = FIRST_MS.saturating_mul(1 << self.attempts.saturating_sub(1).min(16)).min(MOST_MS);
        self.until = now.after_ms((ceiling * u64::from(random)) >> 32);
    }

    /// The broker acknowledged something that this device may do.
    pub(crate) const fn proved(&mut self) {
        *self = Self { attempts: 0, until: Instant(0), opened: self.opened };
    }

    /// The link is alive at `now`.
    pub(crate) fn alive(&mut self, now: Instant) {
        if now >= self.opened.after_ms(PROVEN_MS) {
            self.proved();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_only_proof_resets_them() {
        let mut reconnect = Reconnect::default();
        let mut last = 0;
        for _ in 0..40 {
            reconnect.attempt(Instant(0), u32::MAX);
            last = last.max(reconnect.until().0);
            assert!(reconnect.until().0 < MOST_MS);
        }
        assert!(last > MOST_MS / 4);
        reconnect.alive(Instant(PROVEN_MS - 1));
        assert!(reconnect.attempts > 0);
        reconnect.alive(Instant(PROVEN_MS));
        assert_eq!((reconnect.attempts, reconnect.until()), (0, Instant(0)));
        let half = 1 << 31;
        reconnect.attempt(Instant(5), half);
        assert_eq!(reconnect.until(), Instant(5 + 500));
        reconnect.ended(Instant(9), half);
        assert_eq!(reconnect.until(), Instant(9 + 500));
        reconnect.attempt(Instant(9), half);
        assert_eq!(reconnect.until(), Instant(9 + 1_000));
        reconnect.proved();
        assert_eq!(reconnect.until(), Instant(0));
        reconnect.ended(Instant(9), half);
        assert_eq!(reconnect.until(), Instant(9 + 500), "a proved link is not run back to by all at once");
    }
}
