//! Base64 of HTTP bodies (RFC 4648 §4, RFC 8951 §3.1), in place.

use crate::error::Error;

/// Length of the base64 text of `length` octets, in octets.
#[must_use]
pub const fn encoded_len(length: usize) -> usize {
    length.div_ceil(3).saturating_mul(4)
}

/// Replaces the `len` octets at the start of `buf` by their base64 text, without line breaks (RFC 8951 §3.1 leaves them
/// to the sender), and gives its length.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `buf` is then as it was.
pub fn encode_in_place(buf: &mut [u8], len: usize) -> Result<usize, Error> {
    let wanted = encoded_len(len);
    if buf.len() < wanted || buf.len() < len {
        return Err(Error::NoSpace { what: "base64 text", wanted });
    }
    PLAIN.encode_in_place(buf, len);
    Ok(wanted)
}

/// Replaces the base64 text in the first `len` octets of `buf` by the octets it stands for and gives their number.
///
/// White space anywhere is skipped, because encoders may or may not break lines (RFC 8951 §3.1).
///
/// # Errors
/// [`Error::Malformed`] with `what` and the reason; `buf` is then partly overwritten.
pub fn decode_in_place(what: &'static str, buf: &mut [u8], len: usize) -> Result<usize, Error> {
    let malformed = |problem| Error::Malformed { what, problem };
    let (mut bits, mut count, mut padding, mut written) = (0u32, 0u8, 0u8, 0usize);
    for at in 0..len {
        let Some(&octet) = buf.get(at) else { break };
        let digit = match octet {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' if count >= 2 && padding < 2 => {
                padding = padding.wrapping_add(1);
                0
            }
            b'=' => return Err(malformed("base64 padding in the wrong place")),
            b'-' => return Err(malformed("PEM armour or base64url where plain base64 is wanted (RFC 8951)")),
            _ => PLAIN.value(octet).ok_or(malformed("an octet that is neither base64 nor white space"))?,
        };
        // Padding ends the text: no letter in its group, and no group after it.
        if padding > 0 && (octet != b'=' || count == 0) {
            return Err(malformed("base64 goes on after its padding"));
        }
        bits = bits << 6 | u32::from(digit);
        count = count.wrapping_add(1);
        if count == 4 {
            let [_, group @ ..] = bits.to_be_bytes();
            let octets = 3usize.saturating_sub(usize::from(padding));
            // Octets come out behind the text that they are made of, so nothing unread is lost.
            buf.iter_mut().skip(written).zip(group.iter().take(octets)).for_each(|(to, from)| *to = *from);
            if group.iter().skip(octets).any(|&octet| octet != 0) {
                return Err(malformed("base64 with bits set after its end"));
            }
            written = written.wrapping_add(octets);
            (bits, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(malformed("base64 ends within a group; the body was cut short or lacks padding"));
    }
    Ok(written)
}

/// Makes DER of an HTTP body in the first `len` octets of `buf`, be it base64 or already DER; gives the length of the DER.
///
/// Some servers send DER in spite of RFC 7030. There is no doubt which it is: DER of a SEQUENCE starts with octet 0x30, and
/// base64 of octet 0x30 starts with the letter M, never with the digit 0 (which is octet 0x30).
///
/// # Errors
/// As [`decode_in_place`].
pub fn decode_body(what: &'static str, buf: &mut [u8], len: usize) -> Result<usize, Error> {
    if buf.first() == Some(&0x30) {
        return Ok(len.min(buf.len()));
    }
    decode_in_place(what, buf, len)
}

/// The base64 text of `octets`, letter by letter, for what hashes or sends it without keeping it.
pub(super) fn letters(octets: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    PLAIN.text(octets)
}

/// One of the two alphabets of RFC 4648: the letters of 62 and 63, and whether the last group is padded.
pub(super) struct Alphabet {
    pub(super) last: [u8; 2],
    pub(super) padded: bool,
}

const PLAIN: Alphabet = Alphabet { last: *b"+/", padded: true };

impl Alphabet {
    /// The letters of one to three octets.
    fn group(&self, octets: impl IntoIterator<Item = u8>) -> [Option<u8>; 4] {
        let (mut group, mut count) = ([0; 4], 0usize);
        let [_, places @ ..] = &mut group;
        for (place, octet) in places.iter_mut().zip(octets) {
            (*place, count) = (octet, count.wrapping_add(1));
        }
        let bits = u32::from_be_bytes(group);
        let padding = |letter, there: bool| if there { Some(letter) } else { self.padded.then_some(b'=') };
        [
            Some(self.letter(bits >> 18)),
            Some(self.letter(bits >> 12)),
            padding(self.letter(bits >> 6), count > 1),
            padding(self.letter(bits), count > 2),
        ]
    }

    /// The text of `octets`, letter by letter.
    pub(super) fn text(self, octets: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
        octets.chunks(3).flat_map(move |group| self.group(group.iter().copied())).flatten()
    }

    /// Replaces the first `len` octets by their text, which must fit.
    pub(super) fn encode_in_place(&self, buf: &mut [u8], len: usize) {
        // From the last group to the first: a group of text starts where or after its octets start, so nothing unread is lost.
        for group in (0..len.div_ceil(3)).rev() {
            let from = group.wrapping_mul(3);
            let octets = buf.iter().copied().skip(from).take(len.saturating_sub(from).min(3));
            let text = self.group(octets);
            buf.iter_mut()
                .skip(group.wrapping_mul(4))
                .zip(text.into_iter().flatten())
                .for_each(|(to, from)| *to = from);
        }
    }

    /// The letter of the low six bits.
    fn letter(&self, bits: u32) -> u8 {
        let [.., low] = bits.to_be_bytes();
        let [l62, l63] = self.last;
        match low & 0x3f {
            n @ 0..26 => b'A'.wrapping_add(n),
            n @ 26..52 => b'a'.wrapping_add(n.wrapping_sub(26)),
            n @ 52..62 => b'0'.wrapping_add(n.wrapping_sub(52)),
            62 => l62,
            _ => l63,
        }
    }

    /// The six bits of a letter.
    pub(super) fn value(&self, letter: u8) -> Option<u8> {
        let [l62, l63] = self.last;
        match letter {
            b'A'..=b'Z' => Some(letter.wrapping_sub(b'A')),
            b'a'..=b'z' => Some(letter.wrapping_sub(b'a').wrapping_add(26)),
            b'0'..=b'9' => Some(letter.wrapping_sub(b'0').wrapping_add(52)),
            _ if letter == l62 => Some(62),
            _ if letter == l63 => Some(63),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Result<std::vec::Vec<u8>, Error> {
        let mut buf = text.as_bytes().to_vec();
        let length = buf.len();
        decode_in_place("test", &mut buf, length).map(|length| buf[..length].to_vec())
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (plain, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(decode(text).unwrap(), plain.as_bytes());
            let mut buf = [0u8; 16];
            buf[..plain.len()].copy_from_slice(plain.as_bytes());
            let length = encode_in_place(&mut buf, plain.len()).unwrap();
            assert_eq!(&buf[..length], text.as_bytes());
        }
    }

    #[test]
    fn line_breaks_anywhere_are_skipped_and_junk_is_named() {
        assert_eq!(decode("Z\r\nm 9v\tYg=\n=\r\n").unwrap(), b"foob");
        for junk in ["Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zg=a", "Zh==", "Zm9=", "Zm_v", "-----BEGIN", "Zm9v\0"] {
            assert!(matches!(decode(junk), Err(Error::Malformed { what: "test", .. })), "{junk}");
        }
    }

    #[test]
    fn a_body_that_is_der_already_is_left_alone() {
        let mut der = [0x30, 3, 2, 1, 5];
        assert_eq!(decode_body("test", &mut der, 5), Ok(5));
        assert_eq!(der, [0x30, 3, 2, 1, 5]);
        let mut text = *b"MAMCAQU=";
        assert_eq!(decode_body("test", &mut text, 8), Ok(5));
        assert_eq!(text[..5], der);
    }

    #[test]
    fn the_wanted_space_is_exact() {
        assert_eq!(encode_in_place(&mut [1; 7], 4), Err(Error::NoSpace { what: "base64 text", wanted: 8 }));
        assert_eq!(encode_in_place(&mut [1; 8], 4), Ok(8));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(plain in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buf = plain.clone();
            buf.resize(300, 0);
            let length = encode_in_place(&mut buf, plain.len()).unwrap();
            let length = decode_in_place("test", &mut buf, length).unwrap();
            prop_assert_eq!(&buf[..length], &plain[..]);
        }

        #[test]
        fn any_octets_are_decoded_or_refused(mut junk in proptest::collection::vec(any::<u8>(), 0..200), extra in 0usize..9) {
            let length = junk.len() + extra;
            let _ = decode_body("test", &mut junk, length);
        }
    }
}
