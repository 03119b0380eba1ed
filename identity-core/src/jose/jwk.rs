//! JSON Web Keys (RFC 7517): the device's public key written, its thumbprint, and the keys of a JWKS read.

use crate::crypto::sha256;
use crate::error::Error;
use crate::keys::{Digest, PublicKey};
use crate::wire::base64url;
use crate::wire::json::{self, Array, Object, Text, Value, Writer};

/// Octets of the public JWK of a P-256 key as [`write()`] makes it.
pub const PUBLIC_LEN: usize = r#"{"crv":"P-256","kty":"EC","x":"","y":""}"#.len() + 2 * base64url::encoded_len(32);

/// Writes the members of the public JWK of a P-256 key (RFC 7518 §6.2.1) into the object that is open, in the order that
/// RFC 7638 §3 wants for thumbprints.
pub fn members(out: &mut Writer<'_>, key: &PublicKey) {
    let [_, point @ ..] = &key.0;
    let (x, y) = point.split_at_checked(32).unwrap_or_default();
    out.text("crv", "P-256");
    out.text("kty", "EC");
    out.base64url("x", x);
    out.base64url("y", y);
}

/// Writes the public JWK of a P-256 key, [`PUBLIC_LEN`] octets, at the start of `into` and gives its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write(key: &PublicKey, into: &mut [u8]) -> Result<usize, Error> {
    let mut out = Writer::new(into);
    out.open_object();
    members(&mut out, key);
    out.close_object();
    out.finish("public JWK").map(<[u8]>::len)
}

/// SHA-256 thumbprint of a P-256 key (RFC 7638 §3). Its base64url text, 43 octets, is the `jkt` of RFC 9449 §6.1.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> Digest {
    let mut room = [0; PUBLIC_LEN];
    let written = write(key, &mut room).unwrap_or_default();
    sha256(room.get(..written).unwrap_or_default())
}

/// The keys of a JWKS document (RFC 7517 §5).
#[derive(Clone, Copy)]
pub struct KeySet<'a>(Array<'a>);

impl<'a> KeySet<'a> {
    /// Reads the document; its keys are read by [`KeySet::keys`].
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is no JSON object with an array `keys`.
    pub fn parse(document: &'a [u8]) -> Result<Self, Error> {
        const WHAT: &str = "JWKS";
        let keys = json::object(WHAT, document)?.array("keys")?;
        keys.map(Self).ok_or(Error::Malformed { what: WHAT, problem: "it has no member `keys` (RFC 7517 §5)" })
    }

    /// The keys that can verify signatures here. Those of another type, curve or size, for another use, or not to the letter
    /// are skipped, as RFC 7517 §5 has it; private members are not looked at.
    pub fn keys(self) -> impl Iterator<Item = Key<'a>> + use<'a> {
        self.0.values().filter_map(|value| match value {
            Value::Object(key) => Key::of(key),
            _ => None,
        })
    }
}

/// A public key that verifies signatures. RFC 7517 §4.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// `kid`: which key of the set it is.
    pub kid: Option<Text<'a>>,
    /// `alg`: the only algorithm it may be used with, if it says so.
    pub alg: Option<Text<'a>>,
    /// The key itself.
    pub material: Material<'a>,
}

/// The numbers of a public key.
#[derive(Clone, Copy)]
pub enum Material<'a> {
    /// Uncompressed point of P-256, 65 octets; not yet checked to be on the curve.
    P256([u8; 65]),
    /// Uncompressed point of P-384, 97 octets; not yet checked to be on the curve.
    P384([u8; 97]),
    /// RSA; sizes are checked where the key is used.
    Rsa {
        /// `n`, base64url.
        modulus: &'a str,
        /// `e`, base64url.
        exponent: &'a str,
    },
}

impl<'a> Key<'a> {
    fn of(key: Object<'a>) -> Option<Self> {
        let signs = key.text("use").ok()?.is_none_or(|usage| usage.is("sig"));
        let verifies = key.array("key_ops").ok()?.is_none_or(|operations| operations.texts().any(|op| op.is("verify")));
        if !signs || !verifies {
            return None;
        }
        let kind = key.text("kty").ok()??;
        let plain = |name| key.text(name).ok()??.as_plain();
        let material = if kind.is("EC") {
            let curve = key.text("crv").ok()??;
            if curve.is("P-256") {
                Material::P256(point(plain("x")?, plain("y")?)?)
            } else if curve.is("P-384") {
                Material::P384(point(plain("x")?, plain("y")?)?)
            } else {
                return None;
            }
        } else if kind.is("RSA") {
            Material::Rsa { modulus: plain("n")?, exponent: plain("e")? }
        } else {
            return None;
        };
        Some(Self { kid: key.text("kid").ok()?, alg: key.text("alg").ok()?, material })
    }
}

/// An uncompressed point of the curve's full width. RFC 7518 §6.2.1.2.
fn point<const N: usize>(x: &str, y: &str) -> Option<[u8; N]> {
    let mut point = [4; N];
    let (_, coordinates) = point.split_first_mut()?;
    let (left, right) = coordinates.split_at_mut_checked(N / 2)?;
    for (text, into) in [(x, left), (y, right)] {
        if base64url::decode("JWK", text.as_bytes(), into) != Ok(N / 2) {
            return None;
        }
    }
    Some(point)
}
