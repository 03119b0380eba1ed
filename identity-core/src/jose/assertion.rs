//! Assertions of RFC 7523: a client authenticates at the token endpoint (§3, `private_key_jwt` and `client_secret_jwt` of
//! OpenID Connect Core §9), or asks for a token by the JWT bearer grant (§2.1).

use super::jws;
use crate::config::Secret;
use crate::crypto::sha256;
use crate::error::Error;
use crate::time::UnixTime;
use crate::x509::der_certificates;

/// What an assertion says.
#[derive(Clone, Copy)]
pub struct Assertion<'a> {
    /// `iss`
    pub issuer: &'a str,
    /// `sub`
    pub subject: &'a str,
    /// `aud`: the authorization server, by its issuer identifier or the URL of its token endpoint, as it wants.
    pub audience: &'a str,
    /// `scope`: what a bearer grant asks for, where the server takes it from the assertion.
    pub scope: Option<&'a str>,
    /// Makes `jti`: fresh from the generator for each assertion.
    pub random: &'a [u8; 16],
    /// `iat`: wall time.
    pub issued: UnixTime,
    /// Seconds from `iat` to `exp`; servers refuse long ones.
    pub lifetime: u32,
    /// Whether `nbf`, the same as `iat`, is written: some servers want it, others refuse it if their clock is behind.
    pub not_before: bool,
    /// `kid`: the name that the server knows the key by.
    pub kid: Option<&'a str>,
    /// DER of the certificate of the signing key, for `x5t#S256` (RFC 7515 §4.1.8).
    pub certificate: Option<&'a [u8]>,
    /// Concatenated DER of the certificate and its issuers, for `x5c` (RFC 7515 §4.1.6); empty for none.
    pub chain: &'a [u8],
}

/// Seconds that assertions live if nothing else is said. Servers may refuse an `exp` far in the future (RFC 7523 §3, item 4).
pub const LIFETIME: u32 = 60;

impl<'a> Assertion<'a> {
    /// The assertion by which a client authenticates: `iss` and `sub` are its `client_id`. RFC 7523 §3.
    #[must_use]
    pub const fn of_client(client_id: &'a str, audience: &'a str, random: &'a [u8; 16], issued: UnixTime) -> Self {
        Self {
            issuer: client_id,
            subject: client_id,
            audience,
            scope: None,
            random,
            issued,
            lifetime: LIFETIME,
            not_before: false,
            kid: None,
            certificate: None,
            chain: &[],
        }
    }
}

/// Writes the signing input of an assertion at the start of `into`, for ES256, and gives its length in octets. Its SHA-256 is
/// what the key has to sign; [`jws::finish`] then makes the assertion of both.
///
/// # Errors
/// [`Error::Misuse`] if `iss`, `sub` or `aud` is empty, the lifetime is 0 or the chain is no DER; [`Error::NoSpace`] with the
/// octets that the finished assertion will need.
pub fn write(assertion: &Assertion<'_>, into: &mut [u8]) -> Result<usize, Error> {
    write_as("ES256", assertion, into)
}

/// Writes the whole of an assertion for `client_secret_jwt`, authenticated by HS256, and gives its length in octets.
///
/// # Errors
/// As [`write()`]; [`Error::Misuse`] if the secret has less than 32 octets.
pub fn write_hs256(assertion: &Assertion<'_>, secret: &Secret<'_>, into: &mut [u8]) -> Result<usize, Error> {
    let length = write_as("HS256", assertion, into)?;
    jws::finish_hs256(into, length, secret)
}

fn write_as(alg: &str, assertion: &Assertion<'_>, into: &mut [u8]) -> Result<usize, Error> {
    let Assertion { issuer, subject, audience, lifetime, chain, .. } = *assertion;
    if issuer.is_empty() || subject.is_empty() || audience.is_empty() || lifetime == 0 {
        return Err(Error::Misuse("assertion: issuer, subject, audience and lifetime must be set (RFC 7523 §3)"));
    }
    if der_certificates(chain).fold(chain.len(), |rest, certificate| rest.saturating_sub(certificate.len())) != 0 {
        return Err(Error::Misuse("assertion: chain is not DER certificates, one after another"));
    }
    jws::write(
        "assertion",
        into,
        |header| {
            header.text("typ", "JWT");
            header.text("alg", alg);
            if let Some(kid) = assertion.kid {
                header.text("kid", kid);
            }
            if let Some(certificate) = assertion.certificate {
                header.base64url("x5t#S256", &sha256(certificate));
            }
            if !chain.is_empty() {
                header.array("x5c");
                der_certificates(chain).for_each(|certificate| header.item_base64(certificate));
                header.close_array();
            }
        },
        |claims| {
            claims.text("iss", issuer);
            claims.text("sub", subject);
            claims.text("aud", audience);
            claims.base64url("jti", assertion.random);
            claims.number("iat", assertion.issued.0);
            if assertion.not_before {
                claims.number("nbf", assertion.issued.0);
            }
            claims.number("exp", assertion.issued.0.saturating_add(u64::from(lifetime)));
            if let Some(scope) = assertion.scope {
                claims.text("scope", scope);
            }
        },
    )
}
