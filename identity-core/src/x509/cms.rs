//! Certs-only CMS reader (RFC 5652 §5, RFC 7030 §4.1.3): the "degenerate" SignedData that carries certificates and no signer.
//!
//! The envelope may be BER with indefinite lengths, because OpenSSL writes it so when it streams; certificates are DER.

use core::ops::Range;

use super::der::{self, slide, tag};
use super::{der_certificates, oid};
use crate::error::Error;

/// The certificates of a certs-only SignedData, in the order they were sent.
///
/// # Errors
/// [`Error::Malformed`] naming what is wrong; at least one certificate must be there.
pub fn certificates(cms: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Error> {
    let mut set = cms.get(locate(cms)?).unwrap_or_default();
    Ok(core::iter::from_fn(move || {
        let (tlv, rest) = Ber::split(set, 0)?;
        set = rest;
        Some(tlv)
    })
    .filter(|tlv| tlv.tag == tag::SEQUENCE)
    .map(|tlv| tlv.whole))
}

/// Moves the certificates of the certs-only SignedData in the first `len` octets of `body` to the start of `body`, one
/// after another, and gives their length together.
///
/// # Errors
/// [`Error::Malformed`] naming what is wrong; `body` is then as it was.
pub fn unpack(body: &mut [u8], len: usize) -> Result<usize, Error> {
    let body = body.get_mut(..len).ok_or(Error::Misuse("cms::unpack: len is larger than the buffer"))?;
    let set = locate(body)?;
    let (mut from, mut to) = (set.start, 0usize);
    while let Some((tlv, _)) = body.get(from..set.end).and_then(|rest| Ber::split(rest, 0)) {
        let (is_certificate, length) = (tlv.tag == tag::SEQUENCE, tlv.whole.len());
        if is_certificate {
            slide(body, from, to, length);
            to = to.saturating_add(length);
        }
        from = from.saturating_add(length);
    }
    Ok(to)
}

const fn malformed(problem: &'static str) -> Error {
    Error::Malformed { what: "certs-only CMS", problem }
}

/// Where the contents of the certificate set are, after all of the envelope was checked.
fn locate(cms: &[u8]) -> Result<Range<usize>, Error> {
    const ENVELOPE: Error = malformed("not a CMS ContentInfo (RFC 5652 section 3), or cut short");
    const SIGNED: Error = malformed("SignedData is not readable (RFC 5652 section 5.1)");
    let (mut info, rest) = Ber::enter(cms, tag::SEQUENCE).ok_or(ENVELOPE)?;
    if !rest.is_empty() {
        return Err(malformed("octets follow the ContentInfo"));
    }
    if info.take(tag::OID).ok_or(ENVELOPE)?.value != oid::SIGNED_DATA {
        return Err(malformed("the content type is not signedData"));
    }
    let mut content = info.inner(tag::context(0)).ok_or(ENVELOPE)?;
    info.finish().ok_or(ENVELOPE)?;
    let mut signed = content.inner(tag::SEQUENCE).ok_or(SIGNED)?;
    content.finish().ok_or(SIGNED)?;
    signed.take(tag::INTEGER).ok_or(SIGNED)?;
    signed.take(tag::SET).ok_or(SIGNED)?;
    signed.take(tag::SEQUENCE).ok_or(SIGNED)?;
    let set = signed.inner(tag::context(0)).ok_or(malformed("it carries no certificates"))?;
    let _revocation_lists = signed.take(tag::context(1));
    let mut signers = signed.inner(tag::SET).ok_or(SIGNED)?;
    signed.finish().ok_or(SIGNED)?;
    if signers.any().is_some() {
        return Err(malformed("it has signers; a certs-only message has none (RFC 7030 section 4.1.3)"));
    }
    let mut count = 0usize;
    let mut rest = set;
    while let Some(item) = rest.any() {
        if item.tag == tag::SEQUENCE {
            // A certificate is DER, and der_certificates must be able to split the result again.
            if der_certificates(item.whole).next() != Some(item.whole) {
                return Err(malformed("a certificate is not DER"));
            }
            count = count.saturating_add(1);
        }
    }
    rest.finish().ok_or(malformed("the certificate set is not readable"))?;
    if count == 0 {
        return Err(malformed("it carries no certificates"));
    }
    // The set is a part of `cms`; its offset is the distance of their addresses.
    let start = set.0.as_ptr().addr().wrapping_sub(cms.as_ptr().addr());
    Ok(start..start.wrapping_add(set.0.len()))
}

/// Reads BER values one after another; indefinite lengths are allowed, down to a fixed depth.
#[derive(Clone, Copy)]
struct Ber<'a>(&'a [u8]);

/// Nesting deeper than any CMS has it.
const MAX_DEPTH: u8 = 8;

impl<'a> Ber<'a> {
    /// Splits one value off the front; end-of-contents is no value.
    fn split(octets: &'a [u8], depth: u8) -> Option<(der::Tlv<'a>, &'a [u8])> {
        let (&tag, after) = octets.split_first()?;
        if after.first() != Some(&0x80) {
            return der::split(octets).filter(|(tlv, _)| tlv.tag != 0);
        }
        // Indefinite length: constructed only, values until end-of-contents (X.690 §8.1.3.6).
        if tag & 0x20 == 0 || tag & 0x1f == 0x1f || depth >= MAX_DEPTH {
            return None;
        }
        let body = after.get(1..)?;
        let mut rest = body;
        let after = loop {
            if let Some(after) = rest.strip_prefix(&[0, 0]) {
                break after;
            }
            (_, rest) = Self::split(rest, depth.saturating_add(1))?;
        };
        let value = body.get(..body.len().checked_sub(rest.len())?)?;
        let whole = octets.get(..octets.len().checked_sub(after.len())?)?;
        Some((der::Tlv { tag, whole, value }, after))
    }

    fn enter(octets: &'a [u8], tag: u8) -> Option<(Self, &'a [u8])> {
        let (tlv, rest) = Self::split(octets, 0)?;
        (tlv.tag == tag).then_some((Self(tlv.value), rest))
    }

    fn any(&mut self) -> Option<der::Tlv<'a>> {
        let (tlv, rest) = Self::split(self.0, 0)?;
        self.0 = rest;
        Some(tlv)
    }

    fn take(&mut self, tag: u8) -> Option<der::Tlv<'a>> {
        if self.0.first() != Some(&tag) {
            return None;
        }
        self.any()
    }

    fn inner(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|tlv| Self(tlv.value))
    }

    fn finish(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
