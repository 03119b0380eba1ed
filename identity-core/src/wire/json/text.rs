//! Strings and numbers of JSON, read where they lie.

use super::syntax;
use crate::error::Error;

/// A string. No `Debug`: it may be a token.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub(super) &'a [u8]);

impl<'a> Text<'a> {
    /// The text `plain`, if JSON writes it without escapes.
    #[must_use]
    pub fn of(plain: &'a str) -> Option<Self> {
        let escaped = |octet: u8| octet.is_ascii_control() || matches!(octet, b'"' | b'\\');
        (!plain.bytes().any(escaped)).then_some(Self(plain.as_bytes()))
    }

    /// The text itself, if it has no escapes.
    #[must_use]
    pub fn as_plain(self) -> Option<&'a str> {
        if self.0.contains(&b'\\') { None } else { core::str::from_utf8(self.0).ok() }
    }

    /// Its octets in UTF-8, escapes decoded.
    #[must_use]
    pub fn octets(self) -> Octets<'a> {
        Octets { rest: self.0, pending: 0, left: 0 }
    }

    /// Whether it is `other`, escapes decoded.
    #[must_use]
    pub fn is(self, other: &str) -> bool {
        self.octets().eq(other.bytes())
    }

    /// Whether both are the same text, escapes decoded.
    #[must_use]
    pub fn same(self, other: Text<'_>) -> bool {
        self.octets().eq(other.octets())
    }

    /// Copies it to the start of `into`, escapes decoded.
    ///
    /// # Errors
    /// [`Error::NoSpace`] with `what` and the octets wanted; `into` is then overwritten.
    pub fn copy<'b>(self, what: &'static str, into: &'b mut [u8]) -> Result<&'b str, Error> {
        let mut wanted = 0_usize;
        let mut places = into.iter_mut();
        for octet in self.octets() {
            wanted = wanted.saturating_add(1);
            if let Some(place) = places.next() {
                *place = octet;
            }
        }
        let copied = into.get(..wanted).ok_or(Error::NoSpace { what, wanted })?;
        core::str::from_utf8(copied).map_err(|_| Error::Malformed { what, problem: "not UTF-8" })
    }

    /// Its words, as scopes are written: parted by spaces (RFC 6749 §3.3). An escaped space parts nothing.
    pub fn words(self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        self.0.split(|&octet| octet == b' ').filter(|word| !word.is_empty()).map(Text)
    }
}

/// See [`Text::octets`].
#[derive(Clone)]
pub struct Octets<'a> {
    rest: &'a [u8],
    /// What is left of an escape that was decoded, first octet lowest.
    pending: u32,
    left: u8,
}

impl Iterator for Octets<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left == 0 {
            let (&octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            if octet != b'\\' {
                return Some(octet);
            }
            let (plain, rest) = syntax::escape(rest).ok()?;
            let mut utf8 = [0; 4];
            self.left = plain.encode_utf8(&mut utf8).len() as u8;
            (self.rest, self.pending) = (rest, u32::from_le_bytes(utf8));
        }
        let [octet, ..] = self.pending.to_le_bytes();
        (self.pending, self.left) = (self.pending >> 8, self.left.saturating_sub(1));
        Some(octet)
    }
}

/// A number of any size and precision.
#[derive(Clone, Copy)]
pub struct Number<'a>(pub(super) &'a [u8]);

impl Number<'_> {
    /// Its whole part, from 0 to 2^64 − 1; what is behind the point is cut off, as a NumericDate may have it (RFC 7519 §2).
    #[must_use]
    pub fn whole(self) -> Option<u64> {
        let (parts, _) = syntax::number(self.0).ok()?;
        let decimal = |sum: u64, digit: u8| sum.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')));
        let saturating = |sum: u32, &digit: &u8| {
            sum.saturating_mul(10).saturating_add(u32::from(digit.wrapping_sub(b'0'))).min(u32::MAX / 2)
        };
        let exponent = parts.exponent.iter().fold(0, saturating) as usize;
        // Where the point is, in digits.
        let point = match parts.exponent_negative {
            true => parts.whole.len().saturating_sub(exponent),
            false => parts.whole.len().saturating_add(exponent),
        };
        let mut digits = parts.whole.iter().chain(parts.fraction);
        let mut whole = 0_u64;
        for _ in 0..point {
            whole = match digits.next() {
                Some(&digit) => decimal(whole, digit)?,
                None if whole == 0 => break,
                None => decimal(whole, b'0')?,
            };
        }
        (!parts.negative || whole == 0).then_some(whole)
    }
}
