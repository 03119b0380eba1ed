//! DPoP proofs (RFC 9449): the device's key proved for one request, so that a stolen token is of no use.

use super::{jwk, jws};
use crate::crypto::sha256;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// What a proof says.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The key that will sign the proof.
    pub key: &'a PublicKey,
    /// `htm`: method of the request, such as `POST`.
    pub method: &'a str,
    /// `htu`: URL of the request; query and fragment are cut off. RFC 9449 §4.2.
    pub url: &'a str,
    /// Makes `jti`: fresh from the generator for each proof.
    pub random: &'a [u8; 16],
    /// `iat`: wall time.
    pub issued: UnixTime,
    /// The access token that the request carries, for `ath`; none at the token endpoint.
    pub token: Option<&'a str>,
    /// The nonce that the server gave last in `DPoP-Nonce`. RFC 9449 §8.
    pub nonce: Option<&'a str>,
}

/// Octets of a finished proof without the lengths of method, URL and nonce, which count four thirds each.
pub const BASE_LEN: usize = 482;

/// Writes the signing input of a proof at the start of `into` and gives its length in octets. Its SHA-256 is what the key has
/// to sign; [`jws::finish`] then makes the proof of both.
///
/// # Errors
/// [`Error::Misuse`] if the URL is empty; [`Error::NoSpace`] with the octets that the finished proof will need.
pub fn write(proof: &Proof<'_>, into: &mut [u8]) -> Result<usize, Error> {
    let end = proof.url.bytes().position(|octet| matches!(octet, b'?' | b'#'));
    let url = end.map_or(Some(proof.url), |end| proof.url.get(..end)).unwrap_or_default();
    if url.is_empty() {
        return Err(Error::Misuse("DPoP: the URL of the request is empty"));
    }
    jws::write(
        "DPoP proof",
        into,
        |header| {
            header.text("typ", "dpop+jwt");
            header.text("alg", "ES256");
            header.object("jwk");
            jwk::members(header, proof.key);
            header.close_object();
        },
        |claims| {
            claims.base64url("jti", proof.random);
            claims.text("htm", proof.method);
            claims.text("htu", url);
            claims.number("iat", proof.issued.0);
            if let Some(token) = proof.token {
                claims.base64url("ath", &sha256(token.as_bytes()));
            }
            if let Some(nonce) = proof.nonce {
                claims.text("nonce", nonce);
            }
        },
    )
}
