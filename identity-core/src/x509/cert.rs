//! X.509 certificate reader (RFC 5280 §4).

/// Splits one whole DER SEQUENCE off the front.
#[must_use]
pub fn split_der(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != 0x30 {
        return None;
    }
    let (length, head) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81 => (usize::from(*rest.first()?), 3),
        0x82 => (usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?), 4),
        _ => return None,
    };
    octets.split_at_checked(head + length)
}
