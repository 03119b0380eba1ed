//! Signature algorithms for rustls-webpki and TLS 1.3: ECDSA on P-256 and P-384, RSA of 2048 to 4096 bits.

use super::der::{fixed, right_aligned};
use super::hash::Hash;
use super::rsa::Padding;
use super::{p256, p384, rsa};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Curves of certificates.
#[derive(Clone, Copy, Debug)]
enum Curve {
    P256,
    P384,
}

/// ECDSA with any pair of curve and hash (RFC 5758 §3.2), the point uncompressed, the signature in DER.
#[derive(Debug)]
struct Ecdsa(Curve, Hash);

/// RSA under a key of type rsaEncryption (RFC 4055 §1.2).
#[derive(Debug)]
struct Rsa(Padding, Hash);

static P256_SHA256: Ecdsa = Ecdsa(Curve::P256, Hash::Sha256);
static P256_SHA384: Ecdsa = Ecdsa(Curve::P256, Hash::Sha384);
static P384_SHA256: Ecdsa = Ecdsa(Curve::P384, Hash::Sha256);
static P384_SHA384: Ecdsa = Ecdsa(Curve::P384, Hash::Sha384);
static PKCS1_SHA256: Rsa = Rsa(Padding::Pkcs1, Hash::Sha256);
static PKCS1_SHA384: Rsa = Rsa(Padding::Pkcs1, Hash::Sha384);
static PKCS1_SHA512: Rsa = Rsa(Padding::Pkcs1, Hash::Sha512);
static PSS_SHA256: Rsa = Rsa(Padding::Pss, Hash::Sha256);
static PSS_SHA384: Rsa = Rsa(Padding::Pss, Hash::Sha384);
static PSS_SHA512: Rsa = Rsa(Padding::Pss, Hash::Sha512);

/// Every algorithm that a certificate on a path may be signed with.
pub static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &P256_SHA256,
    &P256_SHA384,
    &P384_SHA256,
    &P384_SHA384,
    &PKCS1_SHA256,
    &PKCS1_SHA384,
    &PKCS1_SHA512,
    &PSS_SHA256,
    &PSS_SHA384,
    &PSS_SHA512,
];

/// The algorithm that a TLS 1.3 CertificateVerify names by its SignatureScheme (RFC 8446 §4.2.3): ECDSA on P-256 and P-384,
/// each with the hash of its size, and rsa_pss_rsae. None for the rest; PKCS#1 v1.5 is forbidden there.
#[must_use]
pub fn by_tls_scheme(scheme: u16) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    Some(match scheme {
        0x0403 => &P256_SHA256,
        0x0503 => &P384_SHA384,
        0x0804 => &PSS_SHA256,
        0x0805 => &PSS_SHA384,
        0x0806 => &PSS_SHA512,
        _ => return None,
    })
}

impl Ecdsa {
    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
        let Self(curve, hash) = *self;
        let digest = hash.digest(&[message]);
        match curve {
            Curve::P256 => {
                let mut halves = [0; 64];
                fixed(signature, &mut halves)?;
                p256::verify(public, digest.first_chunk()?, &halves)
            }
            Curve::P384 => {
                let mut halves = [0; 96];
                fixed(signature, &mut halves)?;
                let mut number = [0; 48];
                right_aligned(digest.get(..hash.len().min(48))?, &mut number)?;
                p384::verify(public, &number, &halves)
            }
        }
    }
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.verify(public, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.0 {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.1 {
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        rsa::verify(self.0, self.1, public, message, signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match (self.0, self.1) {
            (Padding::Pkcs1, Hash::Sha256) => alg_id::RSA_PKCS1_SHA256,
            (Padding::Pkcs1, Hash::Sha384) => alg_id::RSA_PKCS1_SHA384,
            (Padding::Pkcs1, Hash::Sha512) => alg_id::RSA_PKCS1_SHA512,
            (Padding::Pss, Hash::Sha256) => alg_id::RSA_PSS_SHA256,
            (Padding::Pss, Hash::Sha384) => alg_id::RSA_PSS_SHA384,
            (Padding::Pss, Hash::Sha512) => alg_id::RSA_PSS_SHA512,
        }
    }
}
