//! The grammar of RFC 8259, without recursion: what each function takes off the front, and what follows.
//!
//! Stricter than the RFC in one place: a `\u` escape of half a surrogate pair is refused, as I-JSON has it (RFC 7493 §2.1).

use super::MAX_DEPTH;

pub(super) type Problem = &'static str;

const CUT: Problem = "not JSON: it ends too early; the body was cut short";
const DEEP: Problem = "JSON nested more than 16 deep";
const CONTROL: Problem = "not JSON: a control character in a string, or a string without end";
const ESCAPE: Problem = "not JSON: an unknown escape in a string";
const SURROGATE: Problem = "JSON with half a surrogate pair in a string (RFC 7493 §2.1)";
const MARKUP: Problem =
    "markup where JSON is wanted: a page for people; check the URL, and the server's or proxy's log";
const NUMBER: Problem = "not JSON: a number that is none";
const VALUE: Problem = "not JSON: something else where a value is wanted";
const NAME: Problem = "not JSON: something else where a member's name in quotes and a colon are wanted";
const END: Problem = "not JSON: neither a comma nor the right bracket after a value";

/// What follows white space.
pub(super) fn space(mut octets: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = octets {
        octets = rest;
    }
    octets
}

/// Splits a value off the front, without white space before it: the value, and what follows.
pub(super) fn value(octets: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    // Bit 0 says whether the innermost open bracket is an object's, bit 1 the one around it, and so on.
    let (mut rest, mut depth, mut objects) = (octets, 0, 0_u32);
    loop {
        rest = match rest {
            [bracket @ (b'{' | b'['), inside @ ..] => {
                if depth == MAX_DEPTH {
                    return Err(DEEP);
                }
                let object = *bracket == b'{';
                (depth, objects) = (depth.wrapping_add(1), objects << 1 | u32::from(object));
                match (object, space(inside)) {
                    (true, end @ [b'}', ..]) | (false, end @ [b']', ..]) => end,
                    (true, inside) => {
                        (_, rest) = name(inside)?;
                        continue;
                    }
                    (false, inside) => {
                        rest = inside;
                        continue;
                    }
                }
            }
            [b'"', inside @ ..] => string(inside)?.1,
            [b'-' | b'0'..=b'9', ..] => number(rest)?.1,
            [b't', b'r', b'u', b'e', after @ ..]
            | [b'f', b'a', b'l', b's', b'e', after @ ..]
            | [b'n', b'u', b'l', b'l', after @ ..] => after,
            [] => return Err(CUT),
            [b'<', ..] => return Err(MARKUP),
            _ => return Err(VALUE),
        };
        // The value has ended; and with it, perhaps, those around it.
        loop {
            if depth == 0 {
                let length = octets.len().saturating_sub(rest.len());
                return octets.split_at_checked(length).ok_or(CUT);
            }
            let object = objects & 1 == 1;
            match (object, space(rest)) {
                (true, [b',', after @ ..]) => (_, rest) = name(space(after))?,
                (false, [b',', after @ ..]) => rest = space(after),
                (true, [b'}', after @ ..]) | (false, [b']', after @ ..]) => {
                    (rest, depth, objects) = (after, depth.wrapping_sub(1), objects >> 1);
                    continue;
                }
                (_, []) => return Err(CUT),
                _ => return Err(END),
            }
            break;
        }
    }
}

/// Splits a member's name and its colon off the front: the name without quotes, and what follows.
pub(super) fn name(octets: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let [b'"', inside @ ..] = octets else { return Err(if octets.is_empty() { CUT } else { NAME }) };
    let (name, after) = string(inside)?;
    match space(after) {
        [b':', after @ ..] => Ok((name, space(after))),
        [] => Err(CUT),
        _ => Err(NAME),
    }
}

/// Splits at the quote that ends a string: what is before it, and what follows it.
pub(super) fn string(octets: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let mut rest = octets;
    loop {
        rest = match rest {
            [b'"', after @ ..] => {
                let length = octets.len().saturating_sub(rest.len());
                return octets.get(..length).map(|inside| (inside, after)).ok_or(CUT);
            }
            [b'\\', after @ ..] => escape(after)?.1,
            [0..=0x1f, ..] => return Err(CONTROL),
            [_, after @ ..] => after,
            [] => return Err(CUT),
        };
    }
}

/// What an escape stands for, and what follows it. The backslash is already off.
pub(super) fn escape(octets: &[u8]) -> Result<(char, &[u8]), Problem> {
    let (&letter, rest) = octets.split_first().ok_or(CUT)?;
    let plain = match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (first, rest) = unit(rest)?;
            let (code, rest) = match first {
                0xd800..0xdc00 => {
                    let [b'\\', b'u', rest @ ..] = rest else { return Err(SURROGATE) };
                    let (second, rest) = unit(rest)?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(SURROGATE);
                    }
                    (0x1_0000 + ((first & 0x3ff) << 10 | second & 0x3ff), rest)
                }
                _ => (first, rest),
            };
            return char::from_u32(code).map(|plain| (plain, rest)).ok_or(SURROGATE);
        }
        _ => return Err(ESCAPE),
    };
    Ok((plain, rest))
}

/// Four hexadecimal digits.
fn unit(octets: &[u8]) -> Result<(u32, &[u8]), Problem> {
    let (digits, rest) = octets.split_first_chunk::<4>().ok_or(CUT)?;
    let mut unit = 0;
    for &digit in digits {
        unit = unit << 4 | char::from(digit).to_digit(16).ok_or(ESCAPE)?;
    }
    Ok((unit, rest))
}

/// A number, taken apart.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    pub(super) whole: &'a [u8],
    pub(super) fraction: &'a [u8],
    pub(super) exponent_negative: bool,
    pub(super) exponent: &'a [u8],
}

/// Takes a number off the front: its parts, and what follows.
pub(super) fn number(octets: &[u8]) -> Result<(Parts<'_>, &[u8]), Problem> {
    let (negative, rest) = match octets {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, octets),
    };
    let (whole, rest) = digits(rest)?;
    if matches!(whole, [b'0', _, ..]) {
        return Err(NUMBER);
    }
    let mut parts = Parts { negative, whole, ..Parts::default() };
    let rest = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = digits(rest)?;
            parts.fraction = fraction;
            rest
        }
        _ => rest,
    };
    let rest = match rest {
        [b'e' | b'E', sign @ (b'+' | b'-'), rest @ ..] => {
            parts.exponent_negative = *sign == b'-';
            rest
        }
        [b'e' | b'E', rest @ ..] => rest,
        _ => return Ok((parts, rest)),
    };
    let (exponent, rest) = digits(rest)?;
    parts.exponent = exponent;
    Ok((parts, rest))
}

/// One digit or more.
fn digits(octets: &[u8]) -> Result<(&[u8], &[u8]), Problem> {
    let length = octets.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(octets.len());
    if length == 0 {
        return Err(NUMBER);
    }
    octets.split_at_checked(length).ok_or(NUMBER)
}
