//! Full verification of a JWT against a JWKS (RFC 7519 §7.2, RFC 8725).
//!
//! The key comes from the JWKS alone: `jwk`, `jku`, `x5u` and `x5c` of a header are not looked at. The claims are not looked at
//! before the signature holds.

use super::jwk::{Key, KeySet, Material};
use super::jwt::{Claims, TOKEN_MAX, is_media_type, part, split};
use crate::crypto::{verify_es256, verify_es384, verify_ps256, verify_rs256};
use crate::error::Error;
use crate::time::{Judge, UnixTime};
use crate::wire::base64url;
use crate::wire::json::Object;

/// Signature algorithms of tokens (RFC 7518 §3.1). There is no `none` and no HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Es256, Self::Es384, Self::Rs256, Self::Ps256];

    /// Its name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// Whether a key may be used with it: no key is ever used with an algorithm of another kind. RFC 8725 §3.1.
    fn fits(self, key: &Key<'_>) -> bool {
        let kind = matches!(
            (self, &key.material),
            (Self::Es256, Material::P256(_))
                | (Self::Es384, Material::P384(_))
                | (Self::Rs256 | Self::Ps256, Material::Rsa { .. })
        );
        kind && key.alg.is_none_or(|alg| alg.is(self.name()))
    }
}

/// What a token must be to be accepted.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The algorithms allowed.
    pub algorithms: &'a [Algorithm],
    /// What `iss` must be, octet by octet.
    pub issuer: &'a str,
    /// What `aud` must be or contain.
    pub audience: &'a str,
    /// What `typ` must be, such as `at+jwt` (RFC 9068 §2.1); none if it does not matter. RFC 8725 §3.11.
    pub typ: Option<&'a str>,
    /// What `exp`, `nbf` and `iat` are judged by.
    pub judge: Judge,
    /// Seconds that the issuer's clock and ours may differ.
    pub skew: u32,
}

/// Evidence that a JWT was verified: only [`verify`] makes it.
#[derive(Clone, Copy)]
pub struct Verified<'a>(Claims<'a>);

impl<'a> Verified<'a> {
    /// Its claims.
    #[must_use]
    pub const fn claims(self) -> Claims<'a> {
        self.0
    }
}

/// No key of the JWKS fits: fetch it anew once, since issuers rotate keys.
pub const UNKNOWN_KEY: Error = refused("no key of the JWKS has its kid and fits its alg; fetch the JWKS anew once");
/// The token is past its `exp`.
pub const EXPIRED: Error = refused("expired; get a new one, or check the device's clock");

/// Octets of `scratch` that an RSA signature and key take.
const RSA_SCRATCH: usize = 512 + 513 + 6;

const fn refused(problem: &'static str) -> Error {
    Error::Malformed { what: "JWT", problem }
}

/// Octets of `scratch` that [`verify`] needs for a token of `length` octets.
#[must_use]
pub const fn scratch_len(length: usize) -> usize {
    let decoded = base64url::decoded_len(length);
    if decoded > RSA_SCRATCH { decoded } else { RSA_SCRATCH }
}

/// Verifies a token against the keys of its issuer and the rules of the caller.
///
/// `scratch` takes [`scratch_len`] octets and holds the claims afterwards.
///
/// # Errors
/// [`Error::NoSpace`] with the octets of `scratch` wanted; [`UNKNOWN_KEY`]; [`EXPIRED`]; [`Error::Malformed`] with whatever else
/// is wrong with the token.
pub fn verify<'a>(
    token: &str,
    keys: KeySet<'_>,
    rules: &Rules<'_>,
    scratch: &'a mut [u8],
) -> Result<Verified<'a>, Error> {
    if token.len() > TOKEN_MAX {
        return Err(refused("larger than 8192 octets"));
    }
    let wanted = scratch_len(token.len());
    if scratch.len() < wanted {
        return Err(Error::NoSpace { what: "scratch of a JWT", wanted });
    }
    let parts = split(token).ok_or(refused("not a JWT: not three parts with dots between them"))?;
    let (algorithm, key) = choose(part("JWT header", parts.header, scratch)?, keys, rules)?;
    signature(algorithm, &key, parts.signed, parts.signature, scratch)
        .ok_or(refused("its signature does not verify; it is forged, or another issuer's"))?;
    let claims = part("JWT claims", parts.payload, scratch)?;
    claims.unique("JWT claims")?;
    judge(Claims(claims), rules)?;
    Ok(Verified(Claims(claims)))
}

/// Judges the header and picks the one key that the signature may be of.
fn choose<'k>(header: Object<'_>, keys: KeySet<'k>, rules: &Rules<'_>) -> Result<(Algorithm, Key<'k>), Error> {
    header.unique("JWT header")?;
    if header.get("crit")?.is_some() {
        return Err(refused("its header has critical extensions, and none is known here (RFC 7515 §4.1.11)"));
    }
    if let Some(wanted) = rules.typ
        && !header.text("typ")?.is_some_and(|typ| is_media_type(typ, wanted))
    {
        return Err(refused("its typ is not the one wanted; it is a token for another use (RFC 8725 §3.11)"));
    }
    let alg = header.text("alg")?.ok_or(refused("its header has no alg"))?;
    let algorithm = rules.algorithms.iter().find(|algorithm| alg.is(algorithm.name()));
    let algorithm = *algorithm.ok_or(refused("its alg is not one of those allowed"))?;
    let kid = header.text("kid")?;
    let named = |key: &Key<'_>| kid.is_none_or(|kid| key.kid.is_some_and(|named| named.same(kid)));
    let mut fitting = keys.keys().filter(|key| algorithm.fits(key) && named(key));
    let key = fitting.next().ok_or(UNKNOWN_KEY)?;
    if fitting.next().is_some() {
        return Err(refused("several keys of the JWKS fit it; the issuer must tell them apart by kid"));
    }
    Ok((algorithm, key))
}

fn signature(algorithm: Algorithm, key: &Key<'_>, signed: &[u8], signature: &[u8], scratch: &mut [u8]) -> Option<()> {
    let (place, scratch) = scratch.split_at_mut_checked(512)?;
    let signature = decoded(signature, place)?;
    match (algorithm, &key.material) {
        (Algorithm::Es256, Material::P256(point)) => verify_es256(point, signed, signature),
        (Algorithm::Es384, Material::P384(point)) => verify_es384(point, signed, signature),
        (Algorithm::Rs256 | Algorithm::Ps256, Material::Rsa { modulus, exponent }) => {
            let (n, scratch) = scratch.split_at_mut_checked(513)?;
            let (e, _) = scratch.split_at_mut_checked(6)?;
            let key = [decoded(modulus.as_bytes(), n)?, decoded(exponent.as_bytes(), e)?].map(significant);
            match algorithm {
                Algorithm::Rs256 => verify_rs256(key, signed, signature),
                _ => verify_ps256(key, signed, signature),
            }
        }
        _ => None,
    }
}

fn decoded<'s>(text: &[u8], into: &'s mut [u8]) -> Option<&'s [u8]> {
    let length = base64url::decode("JWT", text, into).ok()?;
    into.get(..length)
}

/// A number without the leading zero that some issuers write. RFC 7518 §6.3.1.1.
fn significant(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] => rest,
        _ => number,
    }
}

fn judge(claims: Claims<'_>, rules: &Rules<'_>) -> Result<(), Error> {
    if !claims.issuer()?.is_some_and(|issuer| issuer.is(rules.issuer)) {
        return Err(refused("its iss is not the issuer wanted"));
    }
    if !claims.audiences()?.any(|audience| audience.is(rules.audience)) {
        return Err(refused("its aud does not name the audience wanted"));
    }
    let later = |time: UnixTime| time.0.saturating_add(u64::from(rules.skew));
    let expires = claims.expires()?.ok_or(refused("it has no exp; a token without end is not accepted"))?;
    if later(expires) <= rules.judge.at_least().0 {
        return Err(EXPIRED);
    }
    let (not_before, issued) = (claims.not_before()?, claims.issued()?);
    if let Judge::Wall(now) = rules.judge
        && [not_before, issued].into_iter().flatten().any(|start| start.0 > later(now))
    {
        return Err(refused("its nbf or iat is in the future; check the issuer's and the device's clock"));
    }
    Ok(())
}
