//! Base64url of JOSE: the URL-safe alphabet without padding (RFC 4648 §5, RFC 7515 §2), strict.

use super::base64::Alphabet;
use crate::error::Error;

const URL: Alphabet = Alphabet { last: *b"-_", padded: false };

/// Length of the base64url text of `length` octets, in octets.
#[must_use]
pub const fn encoded_len(length: usize) -> usize {
    (length / 3).saturating_mul(4).saturating_add(match length % 3 {
        0 => 0,
        1 => 2,
        _ => 3,
    })
}

/// Octets that a base64url text of `length` letters stands for.
#[must_use]
pub const fn decoded_len(length: usize) -> usize {
    (length / 4).saturating_mul(3).saturating_add(match length % 4 {
        0 | 1 => 0,
        2 => 1,
        _ => 2,
    })
}

/// The base64url text of `octets`, letter by letter, for what hashes or sends it without keeping it.
pub fn letters(octets: &[u8]) -> impl Iterator<Item = u8> + use<'_> {
    URL.text(octets)
}

/// Writes the base64url text of `octets` at the start of `into` and gives its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `into` is then as it was.
pub fn encode(octets: &[u8], into: &mut [u8]) -> Result<usize, Error> {
    let wanted = encoded_len(octets.len());
    if into.len() < wanted {
        return Err(Error::NoSpace { what: "base64url text", wanted });
    }
    into.iter_mut().zip(letters(octets)).for_each(|(to, from)| *to = from);
    Ok(wanted)
}

/// Replaces the `len` octets at the start of `buf` by their base64url text and gives its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `buf` is then as it was.
pub fn encode_in_place(buf: &mut [u8], len: usize) -> Result<usize, Error> {
    let wanted = encoded_len(len);
    if buf.len() < wanted || buf.len() < len {
        return Err(Error::NoSpace { what: "base64url text", wanted });
    }
    URL.encode_in_place(buf, len);
    Ok(wanted)
}

/// Decodes `text` into the start of `into` and gives the number of octets.
///
/// One text for each value: no padding, no white space, no bits set after the end.
///
/// # Errors
/// [`Error::Malformed`] with `what` and the reason, `into` then being partly overwritten; [`Error::NoSpace`] with the octets
/// wanted.
pub fn decode(what: &'static str, text: &[u8], into: &mut [u8]) -> Result<usize, Error> {
    let malformed = |problem| Error::Malformed { what, problem };
    let wanted = decoded_len(text.len());
    if into.len() < wanted {
        return Err(Error::NoSpace { what, wanted });
    }
    if text.len() % 4 == 1 {
        return Err(malformed("base64url of an impossible length; it was cut short"));
    }
    let mut places = into.iter_mut();
    for group in text.chunks(4) {
        let (mut bits, mut room) = (0u32, 24u32);
        for &letter in group {
            let digit = URL.value(letter).ok_or(malformed(match letter {
                b'=' => "base64url with padding, which JOSE does not allow (RFC 7515 §2)",
                b'+' | b'/' => "plain base64 where base64url is wanted",
                _ => "an octet that is not base64url",
            }))?;
            room = room.saturating_sub(6);
            bits |= u32::from(digit) << room;
        }
        let [_, octets @ ..] = bits.to_be_bytes();
        let count = group.len().saturating_sub(1);
        if octets.iter().skip(count).any(|&octet| octet != 0) {
            return Err(malformed("base64url with bits set after its end"));
        }
        octets.iter().take(count).zip(places.by_ref()).for_each(|(from, to)| *to = *from);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn decoded(text: &str) -> Result<Vec<u8>, Error> {
        let mut into = [0xaa; 300];
        decode("test", text.as_bytes(), &mut into).map(|length| into[..length].to_vec())
    }

    #[test]
    fn the_vectors_of_rfc_4648_without_padding_and_the_example_of_rfc_7515() {
        for (plain, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"fooba", "Zm9vYmE"),
            (b"foobar", "Zm9vYmFy"),
            // RFC 7515 appendix C
            (&[3, 236, 255, 224, 193], "A-z_4ME"),
        ] {
            assert_eq!(decoded(text).unwrap(), plain);
            let mut into = [0; 8];
            let length = encode(plain, &mut into).unwrap();
            assert_eq!(&into[..length], text.as_bytes());
            assert!(letters(plain).eq(text.bytes()));
        }
    }

    #[test]
    fn there_is_one_text_for_each_value() {
        for junk in ["A", "AAAAA", "Zg==", "Zg=", "A+z/4ME", "Zh", "Zm9", "Zm 9", "Zm9v\n", "Zm9\0", "Zg\u{e9}"] {
            assert!(matches!(decoded(junk), Err(Error::Malformed { what: "test", .. })), "{junk:?}");
        }
    }

    #[test]
    fn the_wanted_space_is_exact() {
        let no_space = |what, wanted| Err(Error::NoSpace { what, wanted });
        assert_eq!(encode(&[0; 4], &mut [0; 5]), no_space("base64url text", 6));
        assert_eq!(encode(&[0; 4], &mut [0; 6]), Ok(6));
        assert_eq!(encode_in_place(&mut [0; 5], 4), no_space("base64url text", 6));
        assert_eq!(encode_in_place(&mut [0; 6], 4), Ok(6));
        assert_eq!(decode("test", b"AAAAAA", &mut [0; 3]), no_space("test", 4));
        assert_eq!(decode("test", b"AAAAAA", &mut [0; 4]), Ok(4));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(plain in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut text, mut back) = ([0; 300], [0; 200]);
            let length = encode(&plain, &mut text).unwrap();
            prop_assert_eq!(length, encoded_len(plain.len()));
            let mut buf = plain.clone();
            buf.resize(300, 0);
            prop_assert_eq!(encode_in_place(&mut buf, plain.len()), Ok(length));
            prop_assert_eq!(&buf[..length], &text[..length]);
            let length = decode("test", &text[..length], &mut back).unwrap();
            prop_assert_eq!(&back[..length], &plain[..]);
        }

        #[test]
        fn any_octets_are_decoded_to_what_encodes_to_them_or_refused(junk in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (mut into, mut again) = ([0; 40], [0; 60]);
            if let Ok(length) = decode("test", &junk, &mut into) {
                let length = encode(&into[..length], &mut again).unwrap();
                prop_assert_eq!(&again[..length], &junk[..]);
            }
        }
    }
}
