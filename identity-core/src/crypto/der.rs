//! The little DER (X.690) that signatures and RSA keys need, strict: one encoding for each value.

use crate::Error;
use crate::keys::Signature;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Splits one element of `tag` off the front: its contents, and what follows. Lengths to 65,535, minimal.
fn element(tag: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = octets.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            if length < 0x80 {
                return None;
            }
            (usize::from(length), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk()?;
            let length = u16::from_be_bytes(length);
            if length < 0x100 {
                return None;
            }
            (usize::from(length), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Splits a positive INTEGER off the front: big-endian without leading zeros, and what follows.
fn positive(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (contents, rest) = element(INTEGER, octets)?;
    let magnitude = match contents {
        [0, magnitude @ ..] if magnitude.first().is_some_and(|&top| top >= 0x80) => magnitude,
        [1..=0x7f, ..] => contents,
        _ => return None,
    };
    Some((magnitude, rest))
}

/// SEQUENCE { INTEGER, INTEGER }, both positive, and nothing after it: ECDSA-Sig-Value and RSAPublicKey.
pub(super) fn two_positive(octets: &[u8]) -> Option<[&[u8]; 2]> {
    let (contents, after) = element(SEQUENCE, octets)?;
    let (first, rest) = positive(contents)?;
    let (second, end) = positive(rest)?;
    (after.is_empty() && end.is_empty()).then_some([first, second])
}

/// Writes `from` at the end of `into` with zeros before it; none if it does not fit.
pub(super) fn right_aligned(from: &[u8], into: &mut [u8]) -> Option<()> {
    let (zeros, tail) = into.split_at_mut_checked(into.len().checked_sub(from.len())?)?;
    zeros.fill(0);
    tail.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    Some(())
}

/// Octets of the longest [`Signature`] in DER.
pub const SIGNATURE_DER_MAX: usize = 72;

impl Signature {
    /// Writes ECDSA-Sig-Value (RFC 3279 §2.2.3), 8 to 72 octets, and gives what was written.
    #[must_use]
    pub fn to_der<'a>(&self, into: &'a mut [u8; SIGNATURE_DER_MAX]) -> &'a [u8] {
        let (r, s) = self.halves();
        let [r, s] = [r, s].map(Magnitude::new);
        let contents = r.encoded_len().saturating_add(s.encoded_len());
        // At most 70 octets of contents, so that each length is one octet.
        let head = [SEQUENCE, contents as u8];
        let all = head.into_iter().chain(r.encoded()).chain(s.encoded());
        into.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        into.get(..contents.saturating_add(2)).unwrap_or_default()
    }

    /// Reads ECDSA-Sig-Value; r and s positive, of at most 32 octets, in DER.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let mut signature = Self::EMPTY;
        fixed(der, &mut signature.0)
            .ok_or(Error::Malformed { what: "ECDSA signature", problem: "not the DER of two positive INTEGERs" })?;
        Ok(signature)
    }

    fn halves(&self) -> (&[u8], &[u8]) {
        self.0.split_at_checked(32).unwrap_or_default()
    }
}

/// ECDSA-Sig-Value to r and s of half of `into` each.
pub(super) fn fixed(der: &[u8], into: &mut [u8]) -> Option<()> {
    let [r, s] = two_positive(der)?;
    let (left, right) = into.split_at_mut_checked(into.len() / 2)?;
    right_aligned(r, left)?;
    right_aligned(s, right)
}

/// A magnitude on its way to an INTEGER: no leading zeros, and a zero before a set top bit.
struct Magnitude<'a> {
    octets: &'a [u8],
    padded: bool,
}

impl<'a> Magnitude<'a> {
    fn new(mut octets: &'a [u8]) -> Self {
        while let [0, rest @ ..] = octets {
            octets = rest;
        }
        Self { octets, padded: octets.first().is_none_or(|&top| top >= 0x80) }
    }

    fn contents_len(&self) -> usize {
        self.octets.len().saturating_add(usize::from(self.padded))
    }

    fn encoded_len(&self) -> usize {
        self.contents_len().saturating_add(2)
    }

    fn encoded(&self) -> impl Iterator<Item = u8> + use<'a> {
        let head = [INTEGER, self.contents_len() as u8];
        head.into_iter().chain(self.padded.then_some(0)).chain(self.octets.iter().copied())
    }
}
