//! Public keys as JSON (RFC 7517, P-256 only) and their thumbprints (RFC 7638).

use crate::key::Key;
use crate::oauth::json::{Object, text};
use data_encoding::BASE64URL_NOPAD;
use ring::digest;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

/// SHA-256.
pub(crate) fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}

/// SHA-256 in base64url without padding: `jkt`, `x5t#S256`, `ath`.
#[must_use]
pub fn thumbprint(octets: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&sha256(octets))
}

/// A P-256 public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Its name, if it has one.
    pub kid: Option<String>,
    /// Uncompressed point, 65 octets.
    point: Vec<u8>,
}

/// Members of private and symmetric keys (RFC 7518 §6.2.2, §6.3.2, §6.4.1), which nobody may send.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Jwk {
    /// Reads a key. Members that are not known are ignored (RFC 7517 §4).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(members: &Object) -> Result<Self, String> {
        if let Some(name) = PRIVATE.into_iter().find(|name| members.contains_key(*name)) {
            return Err(format!("the key has the private member {name}"));
        }
        if text(members, "kty") != Some("EC") || text(members, "crv") != Some("P-256") {
            return Err("the key is not of kty EC and crv P-256".into());
        }
        if members.get("alg").is_some_and(|alg| alg != "ES256") || members.get("use").is_some_and(|of| of != "sig") {
            return Err("the key is not for ES256 signatures".into());
        }
        let coordinate = |name: &str| {
            let octets = BASE64URL_NOPAD.decode(text(members, name).unwrap_or_default().as_bytes()).ok();
            octets.filter(|octets| octets.len() == 32).ok_or_else(|| format!("{name} is not 32 octets of base64url"))
        };
        let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
        p256::PublicKey::from_sec1_bytes(&point).map_err(|_| "the point is not on the curve")?;
        let key = Self { kid: text(members, "kid").map(str::to_owned), point };
        if let Some(chain) = members.get("x5c") {
            let first = chain.get(0).and_then(Value::as_str).unwrap_or_default();
            let first = data_encoding::BASE64.decode(first.as_bytes()).map_err(|error| format!("x5c: {error}"))?;
            if Self::of_certificate(&first)?.point != key.point {
                return Err("the first certificate of x5c has another key (RFC 7517 section 4.7)".into());
            }
        }
        Ok(key)
    }

    /// The key of a certificate (DER).
    ///
    /// # Errors
    /// When it is not a certificate or its key is not on P-256.
    pub fn of_certificate(certificate: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let point = certificate.public_key().subject_public_key.data.to_vec();
        p256::PublicKey::from_sec1_bytes(&point).map_err(|_| "the certificate's key is not on P-256")?;
        Ok(Self { kid: None, point })
    }

    /// Public half of a P-256 key, named by its thumbprint.
    #[must_use]
    pub fn of_key(key: &Key) -> Self {
        let spki = key.spki();
        let mut public = Self { kid: None, point: spki[spki.len() - 65..].to_vec() };
        public.kid = Some(public.thumbprint());
        public
    }

    /// Uncompressed point, 65 octets.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    fn required(&self) -> (String, String) {
        (BASE64URL_NOPAD.encode(&self.point[1..33]), BASE64URL_NOPAD.encode(&self.point[33..]))
    }

    /// The key as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let (x, y) = self.required();
        let mut value = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256" });
        if let Some(kid) = &self.kid {
            value["kid"] = kid.as_str().into();
        }
        value
    }

    /// RFC 7638 §3: SHA-256 over the required members in order, base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let (x, y) = self.required();
        thumbprint(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes())
    }
}

/// Reads a key set (RFC 7517 §5) of at least one key.
pub(crate) fn read_set(set: &Value) -> Result<Vec<Jwk>, String> {
    let keys = set.get("keys").and_then(Value::as_array).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or("jwks is not an object with a list of keys")?;
    keys.iter().map(|key| Jwk::read(key.as_object().ok_or("a key is not an object")?)).collect()
}
