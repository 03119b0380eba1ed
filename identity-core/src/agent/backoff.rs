//! Waiting between tries: exponential, with device-stable jitter, and as long as the server asks.

use crate::agent::step::RetryAfter;
use crate::crypto::sha256;
use crate::keys::PublicKey;
use crate::time::Now;

/// First wait after a transient failure, in milliseconds; doubles with each try.
const TRANSIENT_MS: u64 = 2_000;
/// First wait after a refusal: a person has to change something, so asking soon is pointless.
const REFUSED_MS: u64 = 60_000;
/// Longest wait that the device chooses itself.
const MOST_MS: u64 = 3_600_000;
/// Longest wait that a server may ask for: a day. RFC 7030 §4.2.3 sets no bound; an absurd one must not park the device.
const MOST_ASKED_S: u64 = 86_400;
/// Least wait that a server may ask for, in seconds, so that `Retry-After: 0` does not become a flood.
const LEAST_ASKED_S: u64 = 1;
/// Wait for "later" without Retry-After, in seconds.
const UNASKED_S: u64 = 30;

/// Tries so far, and how the last one ended.
#[derive(Clone, Copy)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { tries: 0 }
    }

    /// Something succeeded.
    pub(super) const fn reset(&mut self) {
        self.tries = 0;
    }

    /// Milliseconds to wait after another failure: half fixed, half jitter that is stable for the device and the try.
    pub(super) fn after_failure(&mut self, refused: bool, device: &PublicKey) -> u64 {
        let first = if refused { REFUSED_MS } else { TRANSIENT_MS };
        let ceiling = first.saturating_mul(1 << self.tries.min(12)).min(MOST_MS);
        self.tries = self.tries.saturating_add(1);
        let half = ceiling / 2;
        half.saturating_add(jitter(device, self.tries, half))
    }

    /// Milliseconds to wait when the server said "later".
    pub(super) fn as_asked(&mut self, asked: Option<RetryAfter>, now: Now, device: &PublicKey) -> u64 {
        self.tries = self.tries.saturating_add(1);
        let seconds = match (asked, now.wall) {
            (Some(RetryAfter::Seconds(s)), _) => u64::from(s),
            (Some(RetryAfter::At(t)), Some(wall)) => t.0.saturating_sub(wall.0),
            // a date is of no use to a device without a wall clock
            (Some(RetryAfter::At(_)), None) | (None, _) => UNASKED_S,
        };
        let ms = seconds.clamp(LEAST_ASKED_S, MOST_ASKED_S).saturating_mul(1000);
        // never earlier than asked, and spread by a tenth so that a fleet does not return at once
        ms.saturating_add(jitter(device, self.tries, ms / 10))
    }
}

/// A number below `range` that is the same for the same device and try; 0 if `range` is 0.
fn jitter(device: &PublicKey, tries: u32, range: u64) -> u64 {
    let mut input = [0; 69];
    for (to, from) in input.iter_mut().zip(device.0.iter().chain(&tries.to_be_bytes())) {
        *to = *from;
    }
    let [a, b, c, d, ..] = sha256(&input);
    u64::from(u32::from_be_bytes([a, b, c, d])).checked_rem(range).unwrap_or(0)
}
