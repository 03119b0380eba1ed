//! SHA-256 (FIPS 180-4) and HMAC (FIPS 198-1).

use crate::keys::Digest;
use sha2::Digest as _;

/// SHA-256 of the whole of `octets`.
#[must_use]
pub fn sha256(octets: &[u8]) -> Digest {
    sha2::Sha256::digest(octets).into()
}

/// SHA-256 of octets that come in parts.
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Starts.
    #[must_use]
    pub fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    /// Takes the next part.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of all parts.
    #[must_use]
    pub fn finish(self) -> Digest {
        self.0.finalize().into()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// HMAC-SHA-256 of octets that come in parts. RFC 2104.
pub struct HmacSha256 {
    inner: sha2::Sha256,
    outer: sha2::Sha256,
}

/// Octets of a block of SHA-256.
const BLOCK: usize = 64;

impl HmacSha256 {
    /// Starts with a key of any length; one longer than 64 octets is hashed first.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = zeroize::Zeroizing::new([0_u8; BLOCK]);
        let hashed;
        let key = if key.len() > BLOCK {
            hashed = zeroize::Zeroizing::new(sha256(key));
            hashed.as_slice()
        } else {
            key
        };
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let mut keyed = |pad: u8| {
            block.iter_mut().for_each(|octet| *octet ^= pad);
            sha2::Sha256::new_with_prefix(block.as_slice())
        };
        let inner = keyed(0x36);
        let outer = keyed(0x36 ^ 0x5c);
        Self { inner, outer }
    }

    /// Takes the next part.
    pub fn update(&mut self, octets: &[u8]) {
        self.inner.update(octets);
    }

    /// The code of all parts.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.outer.update(self.inner.finalize());
        self.outer.finalize().into()
    }
}

/// HMAC-SHA-256 of `parts`, one after another.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Digest {
    let mut mac = HmacSha256::new(key);
    parts.iter().for_each(|part| mac.update(part));
    mac.finish()
}

/// The hashes of signatures in certificates and TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Octets of a digest.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `parts`, one after another; its [`Hash::len`] octets are at the front of the result, then zeros.
    pub(super) fn digest(self, parts: &[&[u8]]) -> [u8; 64] {
        fn all<D: sha2::Digest>(parts: &[&[u8]]) -> [u8; 64] {
            let mut hash = D::new();
            parts.iter().for_each(|part| hash.update(part));
            let mut digest = [0; 64];
            digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
            digest
        }
        match self {
            Self::Sha256 => all::<sha2::Sha256>(parts),
            Self::Sha384 => all::<sha2::Sha384>(parts),
            Self::Sha512 => all::<sha2::Sha512>(parts),
        }
    }
}
