//! Key pairs of the test bed: P-256 and P-384 made by ring, RSA made by the `openssl` command.

use crate::der;
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{self, EcdsaKeyPair, KeyPair};
use std::process::Command;

/// Kind of a key pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// RSA of so many bits (2048 to 4096), PKCS#1 v1.5 with SHA-256.
    Rsa(u16),
}

enum Signer {
    Ec(Box<EcdsaKeyPair>),
    Rsa(Box<rsa::KeyPair>),
}

/// A key pair.
pub struct Key {
    kind: KeyKind,
    signer: Signer,
    pkcs8: Vec<u8>,
    spki: Vec<u8>,
}

const EC_PUBLIC_KEY: [u64; 6] = [1, 2, 840, 10045, 2, 1];
const RSA_ENCRYPTION: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 1];

impl Key {
    /// A new key pair.
    ///
    /// # Panics
    /// When an RSA key is wanted and there is no `openssl` command.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        let random = SystemRandom::new();
        let ec = |algorithm: &'static signature::EcdsaSigningAlgorithm, curve: &[u64]| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness").as_ref().to_vec();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &random).expect("our own key");
            let spki = spki(&der::sequence(&[&der::oid(&EC_PUBLIC_KEY), &der::oid(curve)]), pair.public_key().as_ref());
            Self { kind, signer: Signer::Ec(Box::new(pair)), pkcs8, spki }
        };
        match kind {
            KeyKind::P256 => ec(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &[1, 2, 840, 10045, 3, 1, 7]),
            KeyKind::P384 => ec(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, &[1, 3, 132, 0, 34]),
            KeyKind::Rsa(bits) => {
                let size = format!("rsa_keygen_bits:{bits}");
                let made = Command::new("openssl")
                    .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", &size, "-outform", "DER"])
                    .output()
                    .expect("install openssl: RSA keys of the test bed are made by it");
                // genpkey writes an RSAPrivateKey (RFC 8017 §A.1.2) when it writes DER
                let pair = rsa::KeyPair::from_der(&made.stdout).expect("an RSA key of 2048 to 4096 bits");
                let algorithm = der::sequence(&[&der::oid(&RSA_ENCRYPTION), &der::null()]);
                let spki = spki(&algorithm, pair.public().as_ref());
                let pkcs8 = der::sequence(&[&der::integer(&[0]), &algorithm, &der::octet_string(&made.stdout)]);
                Self { kind, signer: Signer::Rsa(Box::new(pair)), pkcs8, spki }
            }
        }
    }

    /// A P-256 key pair that was kept as PKCS#8; none if it is not one.
    #[must_use]
    pub fn p256_from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new()).ok()?;
        let curve = der::oid(&[1, 2, 840, 10045, 3, 1, 7]);
        let spki = spki(&der::sequence(&[&der::oid(&EC_PUBLIC_KEY), &curve]), pair.public_key().as_ref());
        Some(Self { kind: KeyKind::P256, signer: Signer::Ec(Box::new(pair)), pkcs8: pkcs8.to_vec(), spki })
    }

    /// Kind of this key.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The private key as PKCS#8, DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The private key as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        der::pem("PRIVATE KEY", &self.pkcs8)
    }

    /// AlgorithmIdentifier of this key's signatures.
    #[must_use]
    pub fn signature_algorithm(&self) -> Vec<u8> {
        match self.kind {
            KeyKind::P256 => der::sequence(&[&der::oid(&[1, 2, 840, 10045, 4, 3, 2])]),
            KeyKind::P384 => der::sequence(&[&der::oid(&[1, 2, 840, 10045, 4, 3, 3])]),
            KeyKind::Rsa(_) => der::sequence(&[&der::oid(&[1, 2, 840, 113_549, 1, 1, 11]), &der::null()]),
        }
    }

    /// Signs a message; ECDSA signatures come as DER.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ec(pair) => pair.sign(&random, message).expect("randomness").as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).expect("a large enough modulus");
                out
            }
        }
    }
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der::sequence(&[algorithm, &der::bit_string(key)])
}
