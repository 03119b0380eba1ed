//! Generator, keys, signatures, hashes, sealing.

use crate::{any, control, keep, octets};
use identity_core::crypto::{self, HmacSha256, SIGNATURE_DER_MAX, SecretKey, Sha256};
use identity_core::entropy::{self, Drbg, RawSource, Rng, Tested};
use identity_core::error::EntropyFault;
use identity_core::keys::{PublicKey, Signature, Slot};
use rand_core::RngCore;

/// A source that gives anything or fails.
struct Noise;

impl RawSource for Noise {
    const CENTIBITS_PER_OCTET: u16 = 300;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        keep(into);
        any(Ok(()))
    }
}

pub fn all(buffer: &mut [u8]) {
    if let Ok(mut source) = Tested::start(Noise) {
        keep(source.restart().is_ok());
        keep(source.fault());
        if let Ok(seed) = source.seed() {
            let mut drbg = Drbg::new(seed, octets());
            keep(drbg.fill(buffer).is_ok());
            if let Ok(seed) = source.seed() {
                drbg.reseed(seed);
            }
            keep(RngCore::next_u32(&mut drbg));
            keep(RngCore::next_u64(&mut drbg));
            RngCore::fill_bytes(&mut drbg, buffer);
            keep(RngCore::try_fill_bytes(&mut drbg, buffer).is_ok());
            keys(&mut drbg, buffer);
        }
    }
    if let Ok(mut rng) = Rng::start(Noise, octets()) {
        keep(rng.restart().is_ok());
        keep(rng.fill(buffer).is_ok());
        keep(rng.reseed().is_ok());
        keep(rng.fault());
        keep(rng.fork().is_ok());
        if let Ok(drbg) = rng.drbg() {
            keys(drbg, buffer);
        }
    }
    keep((entropy::repetition_cutoff(any(1)), entropy::proportion_cutoff(any(1))));
    signatures();
    hashes();
    control(cfg!(feature = "control-crypto"));
}

#[inline(never)]
fn keys(drbg: &mut Drbg, buffer: &mut [u8]) {
    let (secret, digest) = (any(&[0; 32]), any(&[0; 32]));
    for key in [SecretKey::generate(drbg), SecretKey::from_octets(any(&[1; 32]))] {
        let Ok(key) = key else { continue };
        keep(key.public());
        keep(key.sign(digest, drbg).is_ok());
        key.with_octets(|octets| keep(octets));
        keep(crypto::seal(secret, any(Slot::A), &key, drbg).is_ok());
    }
    keep(crypto::open(secret, any(Slot::A), buffer).is_ok());
}

fn signatures() {
    let (public, signature) = (any(&PublicKey::EMPTY), any(&Signature::EMPTY));
    keep(public.validate().is_ok());
    keep(crypto::verify_p256(public, any(&[0; 32]), signature).is_ok());
    keep(signature.to_der(&mut [0; SIGNATURE_DER_MAX]));
    keep(Signature::from_der(octets()).is_ok());
    let named = crypto::by_tls_scheme(any(0));
    for algorithm in any::<&[_]>(crypto::ALGORITHMS).iter().copied().chain(named) {
        keep(algorithm.verify_signature(octets(), octets(), octets()).is_ok());
        keep((algorithm.public_key_alg_id(), algorithm.signature_alg_id()));
    }
}

fn hashes() {
    let mut hash = Sha256::new();
    hash.update(octets());
    hash.update(octets());
    keep(hash.finish());
    let mut mac = HmacSha256::new(octets());
    mac.update(octets());
    keep(mac.finish());
    keep(crypto::sha256(octets()));
    keep(crypto::hmac_sha256(octets(), any::<&[_]>(&[])));
}
