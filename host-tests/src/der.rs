//! A small DER writer (X.690), enough for names, certificates and certs-only CMS.
//!
//! Deliberately shares no code with the device: the test bed is to judge it.

/// One element: tag, definite length in the shortest form, content.
#[must_use]
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(content.len() as u8);
    } else {
        let length: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        out.push(0x80 | length.len() as u8);
        out.extend(length);
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of the parts.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// SET OF the parts, sorted as DER wants it.
#[must_use]
pub fn set(parts: &[&[u8]]) -> Vec<u8> {
    let mut sorted = parts.to_vec();
    sorted.sort_unstable();
    tlv(0x31, &sorted.concat())
}

/// Constructed `[number]`.
#[must_use]
pub fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xA0 | number, content)
}

/// OBJECT IDENTIFIER.
#[must_use]
pub fn oid(arcs: &[u64]) -> Vec<u8> {
    let (head, tail) = arcs.split_at(2);
    let mut content = Vec::new();
    for arc in core::iter::once(head[0] * 40 + head[1]).chain(tail.iter().copied()) {
        let mut groups = vec![(arc & 0x7F) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | (rest & 0x7F) as u8);
            rest >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    tlv(0x06, &content)
}

/// Non-negative INTEGER from big-endian octets.
#[must_use]
pub fn integer(octets: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    if content.first().is_none_or(|octet| *octet & 0x80 != 0) {
        content.insert(0, 0);
    }
    tlv(0x02, &content)
}

/// BIT STRING without unused bits.
#[must_use]
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], octets].concat())
}

/// OCTET STRING.
#[must_use]
pub fn octet_string(octets: &[u8]) -> Vec<u8> {
    tlv(0x04, octets)
}

/// NULL.
#[must_use]
pub fn null() -> Vec<u8> {
    tlv(0x05, &[])
}

/// A time in Unix seconds: UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5).
#[must_use]
pub fn time(unix: u64) -> Vec<u8> {
    let (year, month, day) = civil(unix / 86_400);
    let (hour, minute, second) = (unix / 3600 % 24, unix / 60 % 60, unix % 60);
    let tail = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        tlv(0x17, format!("{:02}{tail}", year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{year:04}{tail}").as_bytes())
    }
}

/// Gregorian date of a day counted from 1970-01-01: years of 400 repeat every 146,097 days, counted from March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * march + 2) / 5 + 1)
}

/// A distinguished name of one common name (UTF8String).
#[must_use]
pub fn common_name(value: &str) -> Vec<u8> {
    sequence(&[&set(&[&sequence(&[&oid(&[2, 5, 4, 3]), &tlv(0x0C, value.as_bytes())])])])
}

/// One v3 extension around its DER value.
#[must_use]
pub fn extension(arcs: &[u64], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xFF]) } else { Vec::new() };
    sequence(&[&oid(arcs), &critical, &octet_string(value)])
}

/// Certs-only CMS: SignedData without content and signers (RFC 5652 §5.1, RFC 5272 §4.1).
#[must_use]
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let signed_data = sequence(&[
        &integer(&[1]),
        &set(&[]),
        &sequence(&[&oid(&[1, 2, 840, 113_549, 1, 7, 1])]),
        &context(0, &certificates.concat()),
        &set(&[]),
    ]);
    sequence(&[&oid(&[1, 2, 840, 113_549, 1, 7, 2]), &context(0, &signed_data)])
}

/// PEM (RFC 7468) with lines of 64 characters.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", base64_lines(der, 64, "\n"))
}

/// Base64 in lines of `width` characters, each ended by `end`.
#[must_use]
pub fn base64_lines(octets: &[u8], width: usize, end: &str) -> String {
    let text = data_encoding::BASE64.encode(octets);
    text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned() + end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_known_from_elsewhere() {
        assert_eq!(time(0)[2..], *b"700101000000Z");
        assert_eq!(time(951_782_400)[2..], *b"000229000000Z");
        assert_eq!(time(1_798_761_599)[2..], *b"261231235959Z");
        assert_eq!(time(2_524_608_000)[2..], *b"20500101000000Z");
        assert_eq!(time(4_107_542_399)[2..], *b"21000228235959Z");
    }

    #[test]
    fn lengths_and_identifiers() {
        assert_eq!(tlv(4, &[7; 0x7F])[..2], [4, 0x7F]);
        assert_eq!(tlv(4, &[7; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(tlv(4, &[7; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
        assert_eq!(oid(&[1, 2, 840, 113_549]), [6, 6, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
    }
}
