//! What the targets share: a reader of the input, a peer that follows a script, a clock that stands still.

use device_sdk::Error;
use device_sdk::net::transport::Transport;
use device_sdk::ports::Clock;
use identity_core::agent::step::{Challenge, Media, Reply, RetryAfter};
use identity_core::entropy::{Drbg, RawSource, Rng};
use identity_core::error::EntropyFault;
use identity_core::time::{Instant, UnixTime};

/// The chain of a server whose dates hold at [`TIME`]: leaf, intermediate, root.
pub const CHAIN: &[u8] = include_bytes!("../../boards/qemu-mps2-an386/chains/p256.der");

/// The input, taken from the front.
pub struct Input<'i>(pub &'i [u8]);

impl<'i> Input<'i> {
    /// The next octet; 0 at the end.
    pub fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next octets, at most `length`.
    pub fn octets(&mut self, length: usize) -> &'i [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The octets up to the next 0.
    pub fn field(&mut self) -> &'i [u8] {
        let end = self.0.iter().position(|octet| *octet == 0).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        taken
    }
}

/// The head of a reply with a body of `length` octets.
pub fn head(input: &mut Input<'_>, length: usize) -> Reply {
    let status = [200, 200, 202, 204, 301, 400, 401, 403, 404, 429, 500, 503][usize::from(input.octet()) % 12];
    let media = [Media::Json, Media::Json, Media::Absent, Media::Other, Media::Pkcs7, Media::CsrAttrs];
    let asked =
        [None, Some(RetryAfter::Seconds(1)), Some(RetryAfter::Seconds(u32::MAX)), Some(RetryAfter::At(UnixTime(9)))];
    Reply {
        status,
        media: media[usize::from(input.octet()) % 6],
        retry_after: asked[usize::from(input.octet()) % 4],
        date: None,
        challenge: Challenge::None,
        length,
    }
}

/// A peer that says its part in pieces, then closes, or falls silent. It keeps what it hears.
pub struct Script<'s> {
    pub says: &'s [u8],
    pub piece: usize,
    pub closes: bool,
    pub heard: Vec<u8>,
    pub reads: usize,
}

impl<'s> Script<'s> {
    pub fn new(says: &'s [u8], piece: usize, closes: bool) -> Self {
        Self { says, piece: piece.max(1), closes, heard: Vec::new(), reads: 0 }
    }

    fn count(&mut self) {
        self.reads += 1;
        assert!(self.reads < 200_000, "it reads for ever");
    }
}

impl Transport for Script<'_> {
    async fn readable(&mut self, _: Instant) -> Result<bool, Error> {
        self.count();
        Ok(self.closes || !self.says.is_empty())
    }

    async fn read(&mut self, into: &mut [u8], _: Instant) -> Result<usize, Error> {
        self.count();
        assert!(!into.is_empty(), "a read without room cannot tell the end from nothing");
        if self.says.is_empty() && !self.closes {
            return Err(Error::Timeout { what: "silence", after_ms: 1 });
        }
        let (now, later) = self.says.split_at(self.says.len().min(into.len()).min(self.piece));
        into[..now.len()].copy_from_slice(now);
        self.says = later;
        Ok(now.len())
    }

    async fn write_all(&mut self, octets: &[u8], _: Instant) -> Result<(), Error> {
        self.heard.extend_from_slice(octets);
        Ok(())
    }
}

/// Time stands still.
pub struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Instant {
        Instant(0)
    }

    async fn sleep_until(&self, _: Instant) {}

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}

/// Octets that repeat with the seed (SplitMix64).
struct Repeating(u64);

impl RawSource for Repeating {
    const CENTIBITS_PER_OCTET: u16 = 400;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        for place in into {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            *place = (mixed >> 56) as u8;
        }
        Ok(())
    }
}

/// A generator that gives the same in each run.
pub fn drbg() -> Drbg {
    let rng = Rng::start(Repeating(1), b"fuzz");
    rng.and_then(|mut rng| rng.fork()).unwrap_or_else(|error| panic!("{error}"))
}
