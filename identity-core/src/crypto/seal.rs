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
use zeroize::{Zeroize, Zeroizing};

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

/// Octets that [`seal_record`] adds: version, nonce, tag.
pub const SEAL_OVERHEAD: usize = 29;

/// Seals the first `length` octets of `octets` in place, as a record of that number, laid out as a sealed key is; the new
/// length, [`SEAL_OVERHEAD`] more.
///
/// # Errors
/// [`Error::NoSpace`] if there is no room for the overhead; [`Error::Crypto`] if the generator is used up.
pub fn seal_record(
    secret: &[u8; 32],
    record: u8,
    octets: &mut [u8],
    length: usize,
    drbg: &mut Drbg,
) -> Result<usize, Error> {
    let wanted = length.saturating_add(SEAL_OVERHEAD);
    let octets = octets.get_mut(..wanted).ok_or(Error::NoSpace { what: "a sealed record", wanted })?;
    let body = slide_up(octets, length);
    let no_space = Error::NoSpace { what: "a sealed record", wanted };
    let (head, rest) = octets.split_at_mut_checked(body).ok_or(no_space)?;
    let (body, tag_place) = rest.split_at_mut_checked(length).ok_or(no_space)?;
    let mut nonce = [0; 12];
    drbg.fill(&mut nonce)?;
    let tag = cipher_for(secret, RECORD, record)
        .encrypt_in_place_detached(&nonce.into(), &[VERSION], body)
        .map_err(|_| Error::Crypto("AES-GCM refused to seal a record"))?;
    head.iter_mut().zip([VERSION].into_iter().chain(nonce)).for_each(|(to, from)| *to = from);
    tag_place.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
    Ok(wanted)
}

/// Opens the first `length` octets of `octets`, which [`seal_record`] made, in place; the length of the contents, which are
/// at the start then.
///
/// # Errors
/// [`Error::Stored`] if it is damaged, of another version or record, or sealed under another secret; the contents are wiped.
pub fn open_record(secret: &[u8; 32], record: u8, octets: &mut [u8], length: usize) -> Result<usize, Error> {
    let stored = |problem| Error::Stored { what: "sealed record", problem };
    let damaged = stored("it is shorter than what sealing adds: damaged");
    let octets = octets.get_mut(..length).ok_or(damaged)?;
    let (&mut [version, ref nonce @ ..], rest) = octets.split_first_chunk_mut::<13>().ok_or(damaged)?;
    let (body, tag) = rest.split_last_chunk_mut::<16>().ok_or(damaged)?;
    if version != VERSION {
        return Err(stored("written by another firmware version; update the firmware"));
    }
    let (nonce, tag) = (*nonce, *tag);
    let opened =
        cipher_for(secret, RECORD, record).decrypt_in_place_detached(&nonce.into(), &[VERSION], body, &tag.into());
    if opened.is_err() {
        return Err(stored("damaged, or sealed under another device secret"));
    }
    let length = body.len();
    crate::x509::der::slide(octets, HEAD, 0, length);
    octets.iter_mut().skip(length).for_each(|octet| octet.zeroize());
    Ok(length)
}

/// Octets before the encrypted ones: version and nonce.
const HEAD: usize = 13;

/// Moves the first `length` octets behind the place of the head; where they are then.
fn slide_up(octets: &mut [u8], length: usize) -> usize {
    crate::x509::der::slide(octets, 0, HEAD, length);
    HEAD
}

/// What a key of AES-GCM is for, in its derivation.
const KEY: u8 = 1;
const RECORD: u8 = 2;

fn cipher(secret: &[u8; 32], slot: Slot) -> Aes256Gcm {
    cipher_for(secret, KEY, slot.number())
}

/// HKDF with one block of output: the info is the version, the number, and what for; its last octet is the block's number.
fn cipher_for(secret: &[u8; 32], purpose: u8, number: u8) -> Aes256Gcm {
    let extracted = Zeroizing::new(hmac_sha256(b"identity-core sealed key", &[secret]));
    let key = match purpose {
        KEY => Zeroizing::new(hmac_sha256(extracted.as_slice(), &[&[VERSION, number, 1]])),
        _ => Zeroizing::new(hmac_sha256(extracted.as_slice(), &[&[VERSION, number, b'r', 1]])),
    };
    Aes256Gcm::new((&*key).into())
}
