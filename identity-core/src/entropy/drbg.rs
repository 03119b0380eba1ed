//! HMAC_DRBG with SHA-256. SP 800-90A rev. 1 §10.1.2.

use super::source::Seed;
use crate::Error;
use crate::crypto::HmacSha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of one request: 2^19 bits. SP 800-90A table 2.
pub const REQUEST_MAX: usize = 65_536;

/// Requests between reseedings that the standard allows. SP 800-90A table 2.
const STANDARD_INTERVAL: u64 = 1 << 48;

/// The mechanism alone: whoever calls it answers for the seed. RFC 6979 nonces use it too.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct HmacDrbg {
    key: [u8; 32],
    value: [u8; 32],
}

impl HmacDrbg {
    /// HMAC_DRBG_Instantiate over the concatenated seed material. §10.1.2.3.
    pub(crate) fn new(material: &[&[u8]]) -> Self {
        let mut drbg = Self { key: [0; 32], value: [1; 32] };
        drbg.update(material);
        drbg
    }

    /// HMAC_DRBG_Update: mixes `provided`, concatenated, into the state. Reseeding is the same thing. §10.1.2.2, §10.1.2.4.
    pub(crate) fn update(&mut self, provided: &[&[u8]]) {
        self.mix(0, provided);
        if provided.iter().any(|part| !part.is_empty()) {
            self.mix(1, provided);
        }
    }

    /// HMAC_DRBG_Generate without additional input. §10.1.2.5.
    pub(crate) fn generate(&mut self, into: &mut [u8]) {
        for block in into.chunks_mut(32) {
            self.step();
            block.iter_mut().zip(&self.value).for_each(|(to, from)| *to = *from);
        }
        self.update(&[]);
    }

    fn mix(&mut self, separator: u8, provided: &[&[u8]]) {
        let mut mac = HmacSha256::new(&self.key);
        mac.update(&self.value);
        mac.update(&[separator]);
        provided.iter().for_each(|part| mac.update(part));
        self.key = mac.finish();
        self.step();
    }

    /// V = HMAC(K, V)
    fn step(&mut self) {
        let mut mac = HmacSha256::new(&self.key);
        mac.update(&self.value);
        self.value = mac.finish();
    }
}

/// A generator seeded from a health-tested source; its existence proves that. No `Debug`, no copies, zeroized on drop.
///
/// As [`rand_core::RngCore`] it never fails: it serves 2^48 requests on one seed (SP 800-90A table 2), which at one request
/// each microsecond lasts nine years; [`Drbg::fill`] counts them.
pub struct Drbg {
    state: HmacDrbg,
    requests: u64,
}

impl Drbg {
    /// Instantiates from a seed. `personalization` may be empty; a serial number sets devices apart. SP 800-90A §9.1.
    #[must_use]
    pub fn new(seed: Seed, personalization: &[u8]) -> Self {
        let [entropy, nonce] = seed.parts();
        Self { state: HmacDrbg::new(&[entropy, nonce, personalization]), requests: 0 }
    }

    /// Mixes a fresh seed in. SP 800-90A §9.2.
    pub fn reseed(&mut self, seed: Seed) {
        self.state.update(&seed.parts());
        self.requests = 0;
    }

    /// Fills `into`.
    ///
    /// # Errors
    /// [`Error::Crypto`] after 2^48 requests on one seed.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        if self.requests >= STANDARD_INTERVAL {
            return Err(Error::Crypto("the random generator served 2^48 requests on one seed; reseed it"));
        }
        self.serve(into);
        Ok(())
    }

    /// Requests served since the last seed.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    fn serve(&mut self, into: &mut [u8]) {
        for request in into.chunks_mut(REQUEST_MAX) {
            self.state.generate(request);
            self.requests = self.requests.saturating_add(1);
        }
    }
}

impl rand_core::RngCore for Drbg {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.serve(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.serve(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        self.serve(into);
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.serve(into);
        Ok(())
    }
}

impl rand_core::CryptoRng for Drbg {}
