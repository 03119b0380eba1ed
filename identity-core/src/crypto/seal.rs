//! A private key sealed for flash under a secret that only this device knows.
//!
//! | octets | what |
//! |---|---|
//! | 0 | version, 1 |
//! | 1..13 | nonce, random |
//! | 13..45 | private key, encrypted |
//! | 45..61 | tag |
//!
//! AES-256-GCM (SP 800-38D). Its key is HKDF-SHA-256 (RFC 5869) of the device secret: salt `"identity-core sealed key"`, info
//! the version and the slot's number, so that what was sealed for one slot does not open in another.

use super::{SecretKey, hmac_sha256};
use crate::Error;
use crate::entropy::Drbg;
use crate::keys::Slot;
use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// Octets of a sealed key.
pub const SEALED_LEN: usize = 61;

const VERSION: u8 = 1;

/// Seals `key` for `slot` under `secret`, which must be unique to the device and readable by this firmware alone.
///
/// # Errors
/// [`Error::Crypto`] if the generator is used up.
pub fn seal(secret: &[u8; 32], slot: Slot, key: &SecretKey, drbg: &mut Drbg) -> Result<[u8; SEALED_LEN], Error> {
    let mut nonce = [0; 12];
    drbg.fill(&mut nonce)?;
    let mut body = key.with_octets(|octets| Zeroizing::new(*octets));
    let tag = cipher(secret, slot)
        .encrypt_in_place_detached(&nonce.into(), &[VERSION], body.as_mut_slice())
        .map_err(|_| Error::Crypto("AES-GCM refused to seal a key"))?;
    let mut sealed = [VERSION; SEALED_LEN];
    let parts = [VERSION].into_iter().chain(nonce).chain(*body).chain(tag);
    sealed.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Ok(sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`Error::Newer`] if its version is higher; [`Error::Stored`] if it is damaged, of another slot, or sealed under another
/// secret.
pub fn open(secret: &[u8; 32], slot: Slot, sealed: &[u8]) -> Result<SecretKey, Error> {
    let stored = |problem| Error::Stored { what: "sealed private key", problem };
    let damaged = || stored("it is not 61 octets long: damaged");
    let (&[version], rest) = sealed.split_first_chunk().ok_or_else(damaged)?;
    if version > VERSION {
        return Err(Error::Newer { what: "sealed private key" });
    }
    if version != VERSION {
        return Err(stored("its version is 0: damaged"));
    }
    let (nonce, rest) = rest.split_first_chunk::<12>().ok_or_else(damaged)?;
    let (body, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
    let tag: &[u8; 16] = rest.try_into().map_err(|_| damaged())?;
    let mut body = Zeroizing::new(*body);
    cipher(secret, slot)
        .decrypt_in_place_detached(nonce.into(), &[VERSION], body.as_mut_slice(), tag.into())
        .map_err(|_| stored("damaged, moved between slots, or sealed under another device secret"))?;
    SecretKey::from_octets(&body).map_err(|_| stored("it holds no P-256 private key"))
}

fn cipher(secret: &[u8; 32], slot: Slot) -> Aes256Gcm {
    let extracted = Zeroizing::new(hmac_sha256(b"identity-core sealed key", &[secret]));
    let key = Zeroizing::new(hmac_sha256(extracted.as_slice(), &[&[VERSION, slot.number(), 1]]));
    Aes256Gcm::new((&*key).into())
}
