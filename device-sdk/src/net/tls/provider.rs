//! What embedded-tls asks of the device: randomness, the client certificate, and its signature.

use embedded_tls::{Certificate, CryptoProvider, CryptoRng, CryptoRngCore, SignatureScheme, TlsError, TlsVerifier};
use heapless::Vec;
use identity_core::agent::step::ClientIdentity;
use identity_core::crypto::SIGNATURE_DER_MAX;
use identity_core::keys::Slot;
use rand_core::RngCore;
use sha2::{Digest, Sha256};
use signature::SignerMut;
use zeroize::Zeroizing;

use super::guard::Guarded;
use super::verifier::Verifier;
use crate::Error;
use crate::ports::KeyStore;

/// Octets drawn from the key store for one handshake.
const SEED: usize = 48;

/// A DER signature (RFC 3279 §2.2.3); empty if the key store failed.
pub(super) type Der = Vec<u8, SIGNATURE_DER_MAX>;

/// Stretches one seed over the nonce and the key share of one handshake: SHA-256(seed, counter), block by block.
///
/// Drawn at once, since embedded-tls cannot take a generator that fails.
struct Stretch {
    seed: Zeroizing<[u8; SEED]>,
    block: u32,
}

impl RngCore for Stretch {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let block = Sha256::new().chain_update(self.seed.as_slice()).chain_update(self.block.to_be_bytes());
            self.block = self.block.wrapping_add(1);
            chunk.iter_mut().zip(block.finalize()).for_each(|(to, from)| *to = from);
        }
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(into);
        Ok(())
    }
}

impl CryptoRng for Stretch {}

/// The provider of one handshake.
pub(super) struct Provider<'a, K> {
    keys: &'a mut K,
    client: Option<ClientIdentity<'a>>,
    rng: Stretch,
    pub(super) verifier: Verifier<'a>,
    /// Why the key store did not sign.
    failed: Option<Error>,
    /// The server asked for the client certificate.
    shown: bool,
}

impl<'a, K: KeyStore> Provider<'a, K> {
    pub(super) fn new(
        keys: &'a mut K,
        client: Option<ClientIdentity<'a>>,
        verifier: Verifier<'a>,
    ) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; SEED]);
        keys.random(seed.as_mut_slice()).map_err(|error| Error::port("keys", &error))?;
        Ok(Self { keys, client, rng: Stretch { seed, block: 0 }, verifier, failed: None, shown: false })
    }

    /// The failure of the key store, if it was asked to sign and could not.
    pub(super) const fn failed(&self) -> Option<Error> {
        self.failed
    }

    /// Whether the client certificate was on its way to the server.
    pub(super) const fn shown(&self) -> bool {
        self.shown
    }
}

/// Signs with the key of a slot; embedded-tls panics on a signer's error, so a failure is latched and an empty signature given.
struct SlotSigner<'k, K> {
    keys: &'k mut K,
    slot: Slot,
    failed: &'k mut Option<Error>,
}

impl<K: KeyStore> SignerMut<Der> for SlotSigner<'_, K> {
    fn try_sign(&mut self, message: &[u8]) -> Result<Der, signature::Error> {
        let digest = Sha256::digest(message).into();
        match self.keys.sign(self.slot, &digest) {
            Ok(signature) => {
                let mut der = [0; SIGNATURE_DER_MAX];
                Ok(Der::from_slice(signature.to_der(&mut der)).unwrap_or_default())
            }
            Err(error) => {
                *self.failed = Some(Error::port("keys", &error));
                Ok(Der::new())
            }
        }
    }
}

impl<K: KeyStore> CryptoProvider for Provider<'_, K> {
    type CipherSuite = Guarded;
    type Signature = Der;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Guarded>, TlsError> {
        Ok(&mut self.verifier)
    }

    fn signer(&mut self) -> Result<(impl SignerMut<Der>, SignatureScheme), TlsError> {
        let slot = self.client.ok_or(TlsError::InvalidPrivateKey)?.slot;
        Ok((SlotSigner { keys: self.keys, slot, failed: &mut self.failed }, SignatureScheme::EcdsaSecp256r1Sha256))
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        self.shown = self.client.is_some();
        self.client.map(|client| Certificate::X509(client.certificate))
    }
}
