//! JWS in compact serialization (RFC 7515 §7.1), written in two halves, because signing is a step of its own: write what is to
//! be signed, have it signed, finish in place.

use crate::config::Secret;
use crate::crypto::hmac_sha256;
use crate::error::Error;
use crate::keys::Signature;
use crate::wire::base64url;
use crate::wire::json::Writer;

/// What finishing adds at most, in octets: a dot and the text of an ES256 signature.
pub const MAX_OVERHEAD: usize = 1 + base64url::encoded_len(64);

/// Writes `BASE64URL(header) . BASE64URL(payload)` at the start of `into` and gives its length in octets. The closures write
/// the members of the two JSON objects.
///
/// Its SHA-256 is what the key has to sign for ES256; [`finish`] then makes the JWS of both.
///
/// # Errors
/// [`Error::NoSpace`] with `what` and the octets that the finished JWS will need at most, so that lending them once is enough.
pub fn write(
    what: &'static str,
    into: &mut [u8],
    header: impl FnOnce(&mut Writer<'_>),
    payload: impl FnOnce(&mut Writer<'_>),
) -> Result<usize, Error> {
    let dot = part(into, header);
    let after = dot.saturating_add(1);
    let length = after.saturating_add(part(into.get_mut(after..).unwrap_or_default(), payload));
    let wanted = length.saturating_add(MAX_OVERHEAD);
    if into.len() < wanted {
        return Err(Error::NoSpace { what, wanted });
    }
    into.iter_mut().skip(dot).take(1).for_each(|place| *place = b'.');
    Ok(length)
}

/// Writes one object and makes base64url of it; gives the length of the text, whether or not it did fit.
fn part(into: &mut [u8], members: impl FnOnce(&mut Writer<'_>)) -> usize {
    let mut out = Writer::new(into);
    out.open_object();
    members(&mut out);
    out.close_object();
    let length = out.used();
    // If it does not fit, the caller sees that by the length.
    base64url::encode_in_place(into, length).unwrap_or(base64url::encoded_len(length))
}

/// Turns the `length` octets of signing input at the start of `buf` into the whole JWS by its ES256 signature (RFC 7518 §3.4)
/// and gives its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `buf` is then as it was.
pub fn finish(buf: &mut [u8], length: usize, signature: &Signature) -> Result<usize, Error> {
    append(buf, length, &signature.0)
}

/// The same by HS256 (RFC 7518 §3.2) under the UTF-8 octets of a client secret, as OpenID Connect Core §9 has it.
///
/// # Errors
/// As [`finish`]; [`Error::Misuse`] if the secret has less than 32 octets, which RFC 7518 §3.2 forbids.
pub fn finish_hs256(buf: &mut [u8], length: usize, key: &Secret<'_>) -> Result<usize, Error> {
    let key = key.reveal().as_bytes();
    if key.len() < 32 {
        return Err(Error::Misuse(
            "client secret: HS256 needs 32 octets or more (RFC 7518 §3.2); register a longer one",
        ));
    }
    let code = hmac_sha256(key, &[buf.get(..length).unwrap_or_default()]);
    append(buf, length, &code)
}

fn append(buf: &mut [u8], length: usize, signature: &[u8]) -> Result<usize, Error> {
    if length > buf.len() {
        return Err(Error::Misuse("jws::finish: length is larger than the buffer"));
    }
    let whole = length.saturating_add(1).saturating_add(base64url::encoded_len(signature.len()));
    if buf.len() < whole {
        return Err(Error::NoSpace { what: "JWS", wanted: whole });
    }
    let tail = [b'.'].into_iter().chain(base64url::letters(signature));
    buf.iter_mut().skip(length).zip(tail).for_each(|(to, from)| *to = from);
    Ok(whole)
}
