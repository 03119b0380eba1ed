//! JSON Web Signature, compact (RFC 7515 §7.1): ES256 and HS256.

use crate::key::Key;
use crate::oauth::json::{self, Object, text};
use crate::oauth::jwk::Jwk;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use serde_json::Value;

/// Characters of the longest one read.
const MAX: usize = 16 * 1024;

/// One that was read, not yet verified.
#[derive(Clone, Debug)]
pub struct Jws {
    /// Its header.
    pub header: Object,
    /// Its payload as claims (RFC 7519).
    pub claims: Object,
    signed: String,
    signature: Vec<u8>,
}

impl Jws {
    /// Reads header and claims. Padding, line breaks and `crit` are refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(compact: &str) -> Result<Self, String> {
        if compact.len() > MAX {
            return Err(format!("the JWT is longer than {MAX} characters"));
        }
        let mut parts = compact.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a JWT has three parts".into());
        };
        let decode =
            |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|error| format!("base64url: {error}"));
        let signed = format!("{header}.{payload}");
        let (header, claims) = (json::object(&decode(header)?)?, json::object(&decode(payload)?)?);
        if header.contains_key("crit") {
            return Err("the header has crit".into());
        }
        Ok(Self { header, claims, signed, signature: decode(signature)? })
    }

    /// Value of `alg`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        text(&self.header, "alg").unwrap_or_default()
    }

    /// Whether `key` made the signature, and by ES256 (RFC 7518 §3.4).
    #[must_use]
    pub fn is_by(&self, key: &Jwk) -> bool {
        let verifier = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key.point());
        self.algorithm() == "ES256" && verifier.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// Whether `secret` made the signature, and by HS256 (RFC 7518 §3.2).
    #[must_use]
    pub fn is_by_secret(&self, secret: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        self.algorithm() == "HS256" && hmac::verify(&key, self.signed.as_bytes(), &self.signature).is_ok()
    }
}

/// Signs claims by ES256.
///
/// # Panics
/// When the key is not on P-256.
#[must_use]
pub fn sign(header: &Value, claims: &Value, key: &Key) -> String {
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let random = SystemRandom::new();
    let pair = signature::EcdsaKeyPair::from_pkcs8(algorithm, key.pkcs8(), &random).expect("a P-256 key");
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = pair.sign(&random, signed.as_bytes()).expect("randomness");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}
