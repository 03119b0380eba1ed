//! Waiting between tries: exponential, with device-stable jitter, and as long as the server asks.

use crate::agent::step::RetryAfter;
use crate::config::Config;
use crate::crypto::Sha256;
use crate::keys::Digest;
use crate::time::UnixTime;
use crate::x509::csr::{Subject, SubjectAlt};

/// First wait after a transient failure, in milliseconds; doubles with each try.
const TRANSIENT_MS: u64 = 2_000;
/// First wait after a refusal: a person has to change something, so asking soon is pointless.
const REFUSED_MS: u64 = 60_000;
/// Longest wait that the device chooses itself after a transient failure: ten minutes after an outage all are back.
const MOST_TRANSIENT_MS: u64 = 600_000;
/// Longest wait that it chooses after a refusal.
const MOST_REFUSED_MS: u64 = 3_600_000;
/// Longest wait that a server may ask for: a day. RFC 7030 §4.2.3 sets no bound; an absurd one must not park the device.
const MOST_ASKED_S: u64 = 86_400;
/// Least wait that a server may ask for, in seconds, so that `Retry-After: 0` does not become a flood.
const LEAST_ASKED_S: u64 = 1;
/// Wait for "later" without Retry-After, in seconds.
const UNASKED_S: u64 = 30;

/// Failures in a row.
#[derive(Clone, Copy)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { failures: 0 }
    }

    /// Something succeeded.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Milliseconds to wait after another failure: half fixed, half jitter that is stable for the device and the try.
    pub(super) fn after_failure(&mut self, refused: bool, device: &Digest) -> u64 {
        let (first, most) = if refused { (REFUSED_MS, MOST_REFUSED_MS) } else { (TRANSIENT_MS, MOST_TRANSIENT_MS) };
        let ceiling = first.saturating_mul(1 << self.failures.min(12)).min(most);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        half.saturating_add(jitter(device, self.failures, half))
    }

    /// Milliseconds to wait when the server said "later", which is no failure. `wall` is the server's own idea of time, or
    /// ours.
    pub(super) fn as_asked(&mut self, asked: Option<RetryAfter>, wall: Option<UnixTime>, device: &Digest) -> u64 {
        self.reset();
        let seconds = match (asked, wall) {
            (Some(RetryAfter::Seconds(s)), _) => u64::from(s),
            (Some(RetryAfter::At(t)), Some(wall)) => t.0.saturating_sub(wall.0),
            (Some(RetryAfter::At(_)), None) | (None, _) => UNASKED_S,
        };
        let ms = seconds.clamp(LEAST_ASKED_S, MOST_ASKED_S).saturating_mul(1000);
        // never earlier than asked, and spread by a tenth so that a fleet does not return at once
        ms.saturating_add(jitter(device, 0, ms / 10))
    }
}

/// A number below `range` that is the same for the same device and try; 0 if `range` is 0.
fn jitter(device: &Digest, tries: u32, range: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(device);
    hash.update(&tries.to_be_bytes());
    let [a, b, c, d, ..] = hash.finish();
    u64::from(u32::from_be_bytes([a, b, c, d])).checked_rem(range).unwrap_or(0)
}

/// What sets this device apart from others that boot at the same moment: what its firmware calls it.
///
/// Its key would do as well, but a device that cannot enrol yet may have none.
pub(super) fn device(config: &Config) -> Digest {
    let Subject { common_name, organization, organizational_unit, serial_number } = config.subject;
    let mut hash = Sha256::new();
    for text in [common_name, organization, organizational_unit, serial_number] {
        hash.update(text.as_bytes());
        hash.update(&[0]);
    }
    for name in config.names {
        match *name {
            SubjectAlt::Dns(text) | SubjectAlt::Uri(text) => hash.update(text.as_bytes()),
            SubjectAlt::HardwareModule { serial, .. } => hash.update(serial),
        }
        hash.update(&[0]);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_never_overflow() {
        for (refused, first, most) in [(false, TRANSIENT_MS, MOST_TRANSIENT_MS), (true, REFUSED_MS, MOST_REFUSED_MS)] {
            let mut backoff = Backoff::new();
            let mut ceiling = first;
            for _ in 0..100 {
                let wait = backoff.after_failure(refused, &[7; 32]);
                assert!((ceiling / 2..=ceiling).contains(&wait), "{wait}");
                ceiling = (ceiling * 2).min(most);
            }
            backoff.failures = u32::MAX;
            assert!(backoff.after_failure(refused, &[7; 32]) <= most);
        }
    }

    #[test]
    fn what_a_server_asks_is_bounded() {
        let mut backoff = Backoff::new();
        let wall = Some(UnixTime(1000));
        for (asked, wall, least) in [
            (Some(RetryAfter::Seconds(0)), wall, 1),
            (Some(RetryAfter::Seconds(u32::MAX)), wall, 86_400),
            (Some(RetryAfter::At(UnixTime(0))), wall, 1),
            (Some(RetryAfter::At(UnixTime(1120))), wall, 120),
            (Some(RetryAfter::At(UnixTime(u64::MAX))), wall, 86_400),
            (Some(RetryAfter::At(UnixTime(1120))), None, 30),
            (None, wall, 30),
        ] {
            let wait = backoff.as_asked(asked, wall, &[7; 32]);
            assert!((least * 1000..=least * 1100).contains(&wait), "{asked:?}: {wait} ms");
        }
    }
}
