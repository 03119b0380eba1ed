//! Keys in RAM, sealed in flash: for boards without a secure element.

use identity_core::agent::step::Cause;
use identity_core::crypto::{SEALED_LEN, SecretKey, open, open_record, seal, seal_record};
use identity_core::entropy::{RawSource, Rng};
use identity_core::keys::{Digest, PublicKey, Signature, Slot};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ports::{KeyStore, PortError, SEALED_MAX};

const _: () = assert!(SEALED_LEN <= SEALED_MAX);

/// 32 octets that only this device knows, from fuses, a PUF or a hardware-unique key: what keys are sealed under.
///
/// Whoever reads it and the flash has the keys. No `Debug`; overwritten with zeros when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DeviceSecret([u8; 32]);

impl DeviceSecret {
    /// Wraps the secret; the caller overwrites his copy.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }
}

/// A [`KeyStore`] in software: P-256 keys of three slots in RAM, each sealed with AES-256-GCM under the [`DeviceSecret`]
/// before it leaves for flash. Keys are made by, and signatures hedged with, a generator under health tests.
///
/// `generate`, `restore` and `sign` block while they compute.
pub struct SoftwareKeys<S> {
    rng: Rng<S>,
    secret: DeviceSecret,
    /// With their public points: a point takes as long as a signature.
    keys: [Option<(SecretKey, PublicKey)>; 3],
}

impl<S: RawSource> SoftwareKeys<S> {
    /// A store without keys yet.
    #[must_use]
    pub const fn new(rng: Rng<S>, secret: DeviceSecret) -> Self {
        Self { rng, secret, keys: [None, None, None] }
    }

    /// The generator; after a failed health test its source is tried once more, from the start-up test (SP 800-90B §4.3).
    fn rng(&mut self) -> Result<&mut Rng<S>, KeyError> {
        if self.rng.fault().is_some() {
            self.rng.restart()?;
        }
        Ok(&mut self.rng)
    }

    fn place(&mut self, slot: Slot) -> &mut Option<(SecretKey, PublicKey)> {
        let [birth, a, b] = &mut self.keys;
        match slot {
            Slot::Birth => birth,
            Slot::A => a,
            Slot::B => b,
        }
    }
}

/// What went wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct KeyError(pub identity_core::Error);

impl PortError for KeyError {
    fn cause(&self) -> Cause {
        Cause::Permanent
    }

    fn hint(&self) -> &'static str {
        use identity_core::Error as E;
        match self.0 {
            E::Entropy(_) => {
                "the entropy source failed its health tests; check the RNG's clock, supply and error flags"
            }
            E::Newer { .. } => "a private key was sealed by newer firmware; install that firmware, or erase the flash",
            E::Misuse(what) | E::Crypto(what) => what,
            _ => "the key store failed",
        }
    }
}

impl core::fmt::Display for KeyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for KeyError {}

impl From<identity_core::Error> for KeyError {
    fn from(error: identity_core::Error) -> Self {
        Self(error)
    }
}

impl<S: RawSource> KeyStore for SoftwareKeys<S> {
    type Error = KeyError;

    fn random(&mut self, into: &mut [u8]) -> Result<(), KeyError> {
        Ok(self.rng()?.fill(into)?)
    }

    fn generate(
        &mut self,
        slot: Slot,
        public: &mut PublicKey,
        sealed: &mut [u8; SEALED_MAX],
    ) -> Result<usize, KeyError> {
        let key = SecretKey::generate(self.rng()?.drbg()?)?;
        let octets = seal(&self.secret.0, slot, &key, self.rng.drbg()?)?;
        sealed.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        *public = key.public();
        *self.place(slot) = Some((key, *public));
        Ok(octets.len())
    }

    fn restore(&mut self, slot: Slot, sealed: &[u8]) -> Result<bool, KeyError> {
        match open(&self.secret.0, slot, sealed) {
            Ok(key) => {
                let public = key.public();
                *self.place(slot) = Some((key, public));
            }
            Err(newer @ identity_core::Error::Newer { .. }) => return Err(newer.into()),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    fn public(&mut self, slot: Slot) -> Result<Option<PublicKey>, KeyError> {
        Ok(self.place(slot).as_ref().map(|(_, public)| *public))
    }

    fn sign(&mut self, slot: Slot, digest: &Digest) -> Result<Signature, KeyError> {
        self.rng()?;
        let [birth, a, b] = &self.keys;
        let key = match slot {
            Slot::Birth => birth,
            Slot::A => a,
            Slot::B => b,
        };
        let (key, _) = key.as_ref().ok_or(identity_core::Error::Misuse("there is no key in that slot"))?;
        Ok(key.sign(digest, self.rng.drbg()?)?)
    }

    fn seal(&mut self, record: u8, octets: &mut [u8], length: usize) -> Result<usize, KeyError> {
        Ok(seal_record(&self.secret.0, record, octets, length, self.rng.drbg()?)?)
    }

    fn open(&mut self, record: u8, octets: &mut [u8], length: usize) -> Result<usize, KeyError> {
        Ok(open_record(&self.secret.0, record, octets, length)?)
    }

    /// The key's octets are overwritten with zeros.
    fn destroy(&mut self, slot: Slot) -> Result<(), KeyError> {
        *self.place(slot) = None;
        Ok(())
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::keys::std_entropy::StdEntropy;
    use identity_core::crypto::verify_p256;

    fn store(secret: u8) -> SoftwareKeys<StdEntropy> {
        SoftwareKeys::new(Rng::start(StdEntropy, b"").unwrap(), DeviceSecret::new([secret; 32]))
    }

    #[test]
    fn a_key_survives_a_reset_sealed_for_its_slot_and_device() {
        let (mut public, mut sealed) = (PublicKey::EMPTY, [0; SEALED_MAX]);
        let mut keys = store(1);
        let length = keys.generate(Slot::A, &mut public, &mut sealed).unwrap();
        let sealed = &sealed[..length];
        let mut again = store(1);
        assert_eq!(again.public(Slot::A), Ok(None));
        assert_eq!(again.restore(Slot::A, sealed), Ok(true));
        assert_eq!(again.public(Slot::A), Ok(Some(public)));
        let signature = again.sign(Slot::A, &[7; 32]).unwrap();
        verify_p256(&public, &[7; 32], &signature).unwrap();
        assert!(verify_p256(&public, &[8; 32], &signature).is_err());

        assert_eq!(again.restore(Slot::B, sealed), Ok(false), "another slot");
        assert_eq!(store(2).restore(Slot::A, sealed), Ok(false), "another device");
        assert_eq!(again.restore(Slot::A, &sealed[..60]), Ok(false), "damaged");
        let newer = [&[2], &sealed[1..]].concat();
        assert!(again.restore(Slot::A, &newer).unwrap_err().hint().contains("newer firmware"));
        assert_eq!(again.public(Slot::A), Ok(Some(public)), "a failed restore loses nothing");
    }

    #[test]
    fn a_sealed_record_opens_on_its_device_under_its_number_alone() {
        let mut octets = [0; 64];
        octets[..9].copy_from_slice(b"a refresh");
        let length = store(1).seal(4, &mut octets, 9).unwrap();
        assert_eq!(length, 9 + identity_core::crypto::SEAL_OVERHEAD);
        assert!(!octets.windows(9).any(|part| part == b"a refresh"));
        let sealed = octets;
        let open = |device: u8, record: u8, change: Option<usize>, length: usize| {
            let mut octets = sealed;
            if let Some(at) = change {
                octets[at] ^= 1;
            }
            store(device).open(record, &mut octets, length).map(|length| octets[..length].to_vec())
        };
        assert_eq!(open(1, 4, None, length).unwrap(), b"a refresh");
        assert!(open(2, 4, None, length).is_err(), "another device");
        assert!(open(1, 5, None, length).is_err(), "another record");
        assert!((0..length).all(|at| open(1, 4, Some(at), length).is_err()), "damaged");
        assert!((0..length).all(|short| open(1, 4, None, short).is_err()), "cut short");
        assert!(store(1).seal(4, &mut octets, 40).is_err(), "no room");
    }

    #[test]
    fn a_destroyed_key_signs_no_more() {
        let (mut public, mut sealed) = (PublicKey::EMPTY, [0; SEALED_MAX]);
        let mut keys = store(1);
        keys.generate(Slot::B, &mut public, &mut sealed).unwrap();
        keys.destroy(Slot::B).unwrap();
        assert_eq!(keys.public(Slot::B), Ok(None));
        assert_eq!(keys.sign(Slot::B, &[7; 32]).unwrap_err().hint(), "there is no key in that slot");
    }
}
