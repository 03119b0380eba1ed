//! A cipher suite that looks at each record between decryption and embedded-tls.
//!
//! embedded-tls 0.19 panics on a sealed record that holds nothing but padding and on handshake messages that it does not
//! expect after the handshake, accepts messages after Finished, and keeps the numbers of sealed alerts to itself. It takes
//! its AEAD as a type parameter, so this one is TLS_AES_128_GCM_SHA256 plus an inspection of the inner plaintext
//! (RFC 8446 §5.2):
//!
//! - During the handshake only whole messages of the server's flight pass. Anything else, alerts included, is replaced by a
//!   *note*: a CertificateVerify of a signature scheme that was never offered, which reaches our verifier, and fails. A peer
//!   that forges a note only chooses the text of the error it gets.
//! - Once open, every record is handed up as application data with its content type kept as the last octet, and the seam
//!   judges it.
//!
//! An AEAD has no memory, so the framing tells it the phase in the record version, which carries no other information.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aead::{self, AeadCore, AeadInPlace, Buffer, Key, KeyInit, KeySizeUser, Nonce, Tag};
use embedded_tls::{Aes128GcmSha256, SignatureScheme, TlsCipherSuite};

use super::fault::Fault;
use super::framing::OPEN_MARK;

/// Inner content types, RFC 8446 §5.1.
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION: u8 = 23;

const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const CERTIFICATE_VERIFY: u8 = 15;
const FINISHED: u8 = 20;

/// The scheme of a note: DSA with SHA-224, which TLS 1.3 never had.
const NOTE: SignatureScheme = SignatureScheme::Sha224Dsa;

/// TLS_AES_128_GCM_SHA256 with inspection.
pub(super) struct Guarded;

impl TlsCipherSuite for Guarded {
    const CODE_POINT: u16 = Aes128GcmSha256::CODE_POINT;
    type Cipher = Guard;
    type KeyLen = U16;
    type IvLen = U12;
    type Hash = <Aes128GcmSha256 as TlsCipherSuite>::Hash;
    type LabelBufferSize = <Aes128GcmSha256 as TlsCipherSuite>::LabelBufferSize;
}

/// AES-128-GCM that inspects what it opened.
pub(super) struct Guard(Aes128Gcm);

impl KeySizeUser for Guard {
    type KeySize = U16;
}

impl KeyInit for Guard {
    fn new(key: &Key<Self>) -> Self {
        Self(Aes128Gcm::new(key))
    }
}

impl AeadCore for Guard {
    type NonceSize = U12;
    type TagSize = U16;
    type CiphertextOverhead = <Aes128Gcm as AeadCore>::CiphertextOverhead;
}

impl AeadInPlace for Guard {
    fn encrypt_in_place_detached(
        &self,
        nonce: &Nonce<Self>,
        header: &[u8],
        octets: &mut [u8],
    ) -> aead::Result<Tag<Self>> {
        self.0.encrypt_in_place_detached(nonce, header, octets)
    }

    fn decrypt_in_place_detached(
        &self,
        nonce: &GenericArray<u8, U12>,
        header: &[u8],
        octets: &mut [u8],
        tag: &GenericArray<u8, U16>,
    ) -> aead::Result<()> {
        self.0.decrypt_in_place_detached(nonce, header, octets, tag)
    }

    fn decrypt_in_place(&self, nonce: &Nonce<Self>, header: &[u8], record: &mut dyn Buffer) -> aead::Result<()> {
        let [kind, major, mark, high, low] = *<&[u8; 5]>::try_from(header).map_err(|_| aead::Error)?;
        self.0.decrypt_in_place(nonce, &[kind, major, 3, high, low], record)?;
        // Padding is zeros after the content type, RFC 8446 §5.4.
        let end = record.as_ref().iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        record.truncate(end);
        if mark == OPEN_MARK {
            if record.is_empty() {
                record.extend_from_slice(&[0])?;
            }
            return record.extend_from_slice(&[APPLICATION]);
        }
        match flight(record.as_ref()) {
            Ok(()) => Ok(()),
            Err(fault) => note(fault, record),
        }
    }
}

/// Whether `inner`, content and type, is a part of the server's flight that embedded-tls can take.
fn flight(inner: &[u8]) -> Result<(), Fault> {
    let (&kind, mut rest) = inner.split_last().ok_or(Fault::EmptyInner)?;
    match (kind, rest) {
        (HANDSHAKE, []) => return Err(Fault::Unexpected),
        (HANDSHAKE, _) => {}
        (ALERT, [_, number]) => return Err(Fault::Alert(*number)),
        (APPLICATION, _) => return Err(Fault::Unexpected),
        _ => return Err(Fault::InnerType),
    }
    while !rest.is_empty() {
        let (message, body, after) = message(rest).ok_or(Fault::Split)?;
        match message {
            ENCRYPTED_EXTENSIONS | CERTIFICATE | CERTIFICATE_REQUEST | CERTIFICATE_VERIFY => {}
            // The last of the flight; keys change after it (RFC 8446 §5.1).
            FINISHED if body.len() == 32 && after.is_empty() => {}
            _ => return Err(Fault::Unexpected),
        }
        rest = after;
    }
    Ok(())
}

/// Splits one whole handshake message off: type, body, what follows.
pub(super) fn message(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, middle, low], rest) = octets.split_first_chunk()?;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let (body, after) = rest.split_at_checked(length)?;
    Some((kind, body, after))
}

/// Replaces the record by a note to the verifier. Fits, for the place of the tag is free.
fn note(fault: Fault, record: &mut dyn Buffer) -> aead::Result<()> {
    let (code, detail) = fault.encode();
    let [scheme_high, scheme_low] = NOTE.as_u16().to_be_bytes();
    record.truncate(0);
    record.extend_from_slice(&[
        CERTIFICATE_VERIFY,
        0,
        0,
        6,
        scheme_high,
        scheme_low,
        0,
        2,
        code,
        detail as u8,
        HANDSHAKE,
    ])
}

/// What a note says, if `scheme` and `signature` of a CertificateVerify are one.
pub(super) fn read_note(scheme: SignatureScheme, signature: &[u8]) -> Option<Fault> {
    match signature {
        [code, alert] if scheme == NOTE => Fault::decode(*code, *alert, 0),
        _ => None,
    }
}
