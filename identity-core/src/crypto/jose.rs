//! Signatures as JOSE carries them (RFC 7518 §3): r and s of fixed length, RSA keys as two numbers.

use super::hash::{Hash, sha256};
use super::rsa::{Padding, verify_numbers};
use super::{p256, p384};

/// ECDSA on P-256 with SHA-256, the signature r ‖ s of 64 octets, the point uncompressed. RFC 7518 §3.4.
pub(crate) fn verify_es256(point: &[u8; 65], message: &[u8], signature: &[u8]) -> Option<()> {
    p256::verify(point, &sha256(message), signature.try_into().ok()?)
}

/// ECDSA on P-384 with SHA-384, the signature r ‖ s of 96 octets, the point uncompressed. RFC 7518 §3.4.
pub(crate) fn verify_es384(point: &[u8; 97], message: &[u8], signature: &[u8]) -> Option<()> {
    let digest = Hash::Sha384.digest(&[message]);
    p384::verify(point, digest.first_chunk()?, signature.try_into().ok()?)
}

/// RSASSA-PKCS1-v1_5 with SHA-256 under modulus and exponent, big-endian without leading zeros. RFC 7518 §3.3.
pub(crate) fn verify_rs256(key: [&[u8]; 2], message: &[u8], signature: &[u8]) -> Option<()> {
    verify_numbers(Padding::Pkcs1, Hash::Sha256, key, message, signature)
}

/// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets. RFC 7518 §3.5.
pub(crate) fn verify_ps256(key: [&[u8]; 2], message: &[u8], signature: &[u8]) -> Option<()> {
    verify_numbers(Padding::Pss, Hash::Sha256, key, message, signature)
}
