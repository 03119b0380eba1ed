//! X.509 v3 certificate reader (RFC 5280 §4): borrows, never copies. Reading is not trusting: see [`super::verify`].

use core::str::from_utf8;

use super::der::{self, Reader, Tlv, tag};
use super::oid;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// Splits one whole DER SEQUENCE off the front.
#[must_use]
pub fn split_der(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tlv, rest) = der::split(octets)?;
    (tlv.tag == tag::SEQUENCE).then_some((tlv.whole, rest))
}

/// A read certificate.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The whole certificate, DER.
    pub der: &'a [u8],
    /// TBSCertificate, header included: what the issuer signed.
    pub tbs: &'a [u8],
    /// serialNumber: contents of the INTEGER, big-endian two's complement.
    pub serial: &'a [u8],
    /// Issuer name, DER, header included.
    pub issuer: &'a [u8],
    /// Subject name, DER, header included.
    pub subject: &'a [u8],
    /// First second of validity; times before 1970 are read as 1970.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// SubjectPublicKeyInfo, DER, header included.
    pub spki: &'a [u8],
    /// Contents of the key's AlgorithmIdentifier (the form of [`pki_types::AlgorithmIdentifier`]).
    pub key_algorithm: &'a [u8],
    /// The key: contents of subjectPublicKey.
    pub key_bits: &'a [u8],
    /// Contents of the signature's AlgorithmIdentifier.
    pub signature_algorithm: &'a [u8],
    /// signatureValue.
    pub signature: &'a [u8],
    /// subjectKeyIdentifier, if any.
    pub subject_key_id: Option<&'a [u8]>,
    /// keyIdentifier of authorityKeyIdentifier, if any.
    pub authority_key_id: Option<&'a [u8]>,
    /// basicConstraints, if any.
    pub basic_constraints: Option<BasicConstraints>,
    /// keyUsage, if any.
    pub key_usage: Option<KeyUsage>,
    /// extKeyUsage, if any.
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    alternative_names: &'a [u8],
}

/// basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// It may issue certificates.
    pub ca: bool,
    /// How many intermediate CA certificates may follow it in a path, self-issued ones not counted.
    pub path_len: Option<u8>,
}

/// keyUsage bits (RFC 5280 §4.2.1.3); bit 0, digitalSignature, is the highest bit of the first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(u8);

impl KeyUsage {
    /// digitalSignature: needed for TLS 1.3.
    #[must_use]
    pub const fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// keyCertSign: needed to issue.
    #[must_use]
    pub const fn cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }
}

/// extKeyUsage (RFC 5280 §4.2.1.12), as far as this crate has use for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    /// id-kp-serverAuth
    pub server_auth: bool,
    /// id-kp-clientAuth
    pub client_auth: bool,
    /// anyExtendedKeyUsage
    pub any: bool,
}

/// One subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AltName<'a> {
    /// dNSName
    Dns(&'a str),
    /// uniformResourceIdentifier
    Uri(&'a str),
    /// iPAddress: 4 or 16 octets
    Ip(&'a [u8]),
    /// Any other form, or one of the above with contents that are not allowed there.
    Other {
        /// Number of the GeneralName choice, 0 to 8.
        choice: u8,
        /// Its contents.
        contents: &'a [u8],
    },
}

impl<'a> Certificate<'a> {
    /// Reads one certificate that fills `octets` exactly.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the part that is wrong.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Error> {
        let malformed = |problem| Error::Malformed { what: "certificate", problem };
        let (mut outer, tbs) = Self::outer(octets)
            .ok_or(malformed("not the DER of one SEQUENCE of TBSCertificate, algorithm and signature"))?;
        let signature_algorithm = outer.value(tag::SEQUENCE).ok_or(malformed("signatureAlgorithm is not readable"))?;
        let signature = outer.whole_bits().ok_or(malformed("signatureValue is not readable"))?;
        outer.finish().ok_or(malformed("octets follow signatureValue"))?;

        let mut body = Reader(tbs.value);
        let version = body.value(tag::context(0)).and_then(|version| der::only(version, tag::INTEGER));
        if version != Some(&[2]) {
            return Err(malformed("not version 3"));
        }
        let serial = body.value(tag::INTEGER).ok_or(malformed("serialNumber is not an INTEGER"))?;
        if body.value(tag::SEQUENCE) != Some(signature_algorithm) {
            return Err(malformed("the two signature algorithms differ"));
        }
        let issuer = body.take(tag::SEQUENCE).ok_or(malformed("issuer is not a name"))?.whole;
        let (not_before, not_after) =
            body.enter(tag::SEQUENCE).and_then(validity).ok_or(malformed("validity is not readable"))?;
        let subject = body.take(tag::SEQUENCE).ok_or(malformed("subject is not a name"))?.whole;
        let spki = body.take(tag::SEQUENCE).ok_or(malformed("subjectPublicKeyInfo is not readable"))?;
        let (key_algorithm, key_bits) =
            key(Reader(spki.value)).ok_or(malformed("subjectPublicKeyInfo is not readable"))?;

        let mut certificate = Self {
            der: octets,
            tbs: tbs.whole,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            spki: spki.whole,
            key_algorithm,
            key_bits,
            signature_algorithm,
            signature,
            subject_key_id: None,
            authority_key_id: None,
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: None,
            alternative_names: &[],
        };
        // issuerUniqueID and subjectUniqueID: RFC 5280 §4.1.2.8 wants them ignored.
        let _ = (body.take(tag::context_primitive(1)), body.take(tag::context_primitive(2)));
        if !body.is_empty() {
            let list = body.value(tag::context(3)).and_then(|list| der::only(list, tag::SEQUENCE));
            list.and_then(|list| certificate.extensions(Reader(list)))
                .ok_or(malformed("an extension is not readable or is there twice"))?;
            body.finish().ok_or(malformed("octets follow the extensions"))?;
        }
        Ok(certificate)
    }

    fn outer(octets: &'a [u8]) -> Option<(Reader<'a>, Tlv<'a>)> {
        let mut outer = Reader(der::only(octets, tag::SEQUENCE)?);
        let tbs = outer.take(tag::SEQUENCE)?;
        Some((outer, tbs))
    }

    /// Fills in the known extensions; each may be there once (RFC 5280 §4.2).
    fn extensions(&mut self, mut list: Reader<'a>) -> Option<()> {
        let mut seen = 0u8;
        while !list.is_empty() {
            let mut extension = list.enter(tag::SEQUENCE)?;
            let id = extension.value(tag::OID)?;
            let _critical = extension.flag()?;
            let value = extension.value(tag::OCTET_STRING)?;
            extension.finish()?;
            let bit = match id {
                oid::SUBJECT_KEY_ID => {
                    self.subject_key_id = Some(der::only(value, tag::OCTET_STRING)?);
                    1
                }
                oid::AUTHORITY_KEY_ID => {
                    let mut fields = Reader(der::only(value, tag::SEQUENCE)?);
                    self.authority_key_id = fields.value(tag::context_primitive(0));
                    2
                }
                oid::BASIC_CONSTRAINTS => {
                    self.basic_constraints = Some(basic_constraints(value)?);
                    4
                }
                oid::KEY_USAGE => {
                    let (&unused, bits) = der::only(value, tag::BIT_STRING)?.split_first()?;
                    self.key_usage = Some(KeyUsage(if unused < 8 { *bits.first()? } else { return None }));
                    8
                }
                oid::EXTENDED_KEY_USAGE => {
                    self.extended_key_usage = Some(extended_key_usage(value)?);
                    16
                }
                oid::SUBJECT_ALT_NAME => {
                    self.alternative_names = der::only(value, tag::SEQUENCE)?;
                    32
                }
                _ => 0,
            };
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
        }
        Some(())
    }

    /// The key if it is P-256 and uncompressed.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let mut algorithm = Reader(self.key_algorithm);
        let ec = algorithm.value(tag::OID) == Some(oid::EC_PUBLIC_KEY);
        let p256 = algorithm.value(tag::OID) == Some(oid::PRIME256V1);
        let point = <[u8; 65]>::try_from(self.key_bits).ok()?;
        let uncompressed = point.first() == Some(&0x04);
        (ec && p256 && algorithm.is_empty() && uncompressed).then_some(PublicKey(point))
    }

    /// The last commonName of the subject, if it is UTF8String, PrintableString or IA5String.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        let mut found = None;
        let mut names = Reader(der::only(self.subject, tag::SEQUENCE)?);
        while let Some(mut set) = names.enter(tag::SET) {
            while let Some(mut attribute) = set.enter(tag::SEQUENCE) {
                let common = attribute.value(tag::OID) == Some(oid::COMMON_NAME);
                let text = attribute.any().filter(|text| matches!(text.tag, tag::UTF8 | tag::PRINTABLE | tag::IA5));
                if common {
                    found = text.and_then(|text| from_utf8(text.value).ok());
                }
            }
        }
        found
    }

    /// The contents of the subject alternative names, DER; empty if there are none.
    pub(super) const fn alternative_names_der(&self) -> &'a [u8] {
        self.alternative_names
    }

    /// The subject alternative names, up to the first that is not readable.
    pub fn alternative_names(&self) -> impl Iterator<Item = AltName<'a>> + use<'a> {
        let mut names = Reader(self.alternative_names);
        core::iter::from_fn(move || {
            let name = names.any()?;
            let other = AltName::Other { choice: name.tag & 0x1f, contents: name.value };
            let text = from_utf8(name.value).ok().filter(|text| text.is_ascii());
            Some(match (name.tag, text, name.value.len()) {
                (0x82, Some(text), _) => AltName::Dns(text),
                (0x86, Some(text), _) => AltName::Uri(text),
                (0x87, _, 4 | 16) => AltName::Ip(name.value),
                _ => other,
            })
        })
    }

    /// Whether basicConstraints make it a CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// Whether issuer and subject are the same name, octet by octet. Says nothing about who signed it.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

fn key(mut spki: Reader<'_>) -> Option<(&[u8], &[u8])> {
    let algorithm = spki.value(tag::SEQUENCE)?;
    let bits = spki.whole_bits()?;
    spki.finish()?;
    Some((algorithm, bits))
}

fn basic_constraints(value: &[u8]) -> Option<BasicConstraints> {
    let mut fields = Reader(der::only(value, tag::SEQUENCE)?);
    let ca = fields.flag()?;
    let path_len = match fields.take(tag::INTEGER).map(|tlv| tlv.value) {
        None => None,
        Some(&[small @ 0..=0x7f]) => Some(small),
        Some(&[0, large @ 0x80..=0xff]) => Some(large),
        Some(_) => return None,
    };
    fields.finish()?;
    Some(BasicConstraints { ca, path_len })
}

fn extended_key_usage(value: &[u8]) -> Option<ExtendedKeyUsage> {
    let mut purposes = Reader(der::only(value, tag::SEQUENCE)?);
    let mut usage = ExtendedKeyUsage::default();
    while !purposes.is_empty() {
        match purposes.value(tag::OID)? {
            oid::SERVER_AUTH => usage.server_auth = true,
            oid::CLIENT_AUTH => usage.client_auth = true,
            oid::ANY_EXTENDED_KEY_USAGE => usage.any = true,
            _ => {}
        }
    }
    Some(usage)
}

fn validity(mut times: Reader<'_>) -> Option<(UnixTime, UnixTime)> {
    let not_before = time(times.any()?)?;
    let not_after = time(times.any()?)?;
    times.finish()?;
    Some((not_before, not_after))
}

/// UTCTime YYMMDDHHMMSSZ or GeneralizedTime YYYYMMDDHHMMSSZ, nothing else (RFC 5280 §4.1.2.5).
fn time(tlv: Tlv<'_>) -> Option<UnixTime> {
    let (year, rest) = match tlv.tag {
        tag::UTC_TIME => {
            let (year, rest) = number(tlv.value, 2)?;
            (if year < 50 { year.checked_add(2000)? } else { year.checked_add(1900)? }, rest)
        }
        tag::GENERALIZED_TIME => number(tlv.value, 4)?,
        _ => return None,
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (days_before, days) = match month {
        1 => (0, 31),
        2 => (31, if leap { 29 } else { 28 }),
        3 => (59, 31),
        4 => (90, 30),
        5 => (120, 31),
        6 => (151, 30),
        7 => (181, 31),
        8 => (212, 31),
        9 => (243, 30),
        10 => (273, 31),
        11 => (304, 30),
        12 => (334, 31),
        _ => return None,
    };
    if rest != b"Z" || !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let Some(past) = year.checked_sub(1970) else {
        return Some(UnixTime(0));
    };
    // Leap days before this year since 1970: those up to year-1, less the 477 up to 1969.
    let earlier = year.wrapping_sub(1);
    let leaps = (earlier / 4).wrapping_sub(earlier / 100).wrapping_add(earlier / 400).wrapping_sub(477);
    let this_leap = u64::from(leap && month > 2);
    let whole_days = past.wrapping_mul(365).wrapping_add(leaps + days_before + this_leap).wrapping_add(day - 1);
    Some(UnixTime(whole_days.wrapping_mul(86_400).wrapping_add(hour * 3600 + minute * 60 + second)))
}

/// The decimal number in the first `digits` octets.
fn number(octets: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (text, rest) = octets.split_at_checked(digits)?;
    let value = text.iter().try_fold(0u64, |sum, &octet| {
        octet.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u64::from(octet & 0x0f)))
    })?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Option<u64> {
        time(Tlv { tag, whole: &[], value: text.as_bytes() }).map(|time| time.0)
    }

    #[test]
    fn times_agree_with_date() {
        // Each from `date -u -d … +%s`.
        for (text, seconds) in [
            ("700101000000Z", 0),
            ("000229235959Z", 951_868_799),
            ("000301000000Z", 951_868_800),
            ("261124043500Z", 1_795_494_900),
            ("491231235959Z", 2_524_607_999),
            ("500101000000Z", 0),
        ] {
            assert_eq!(read(tag::UTC_TIME, text), Some(seconds), "{text}");
        }
        for (text, seconds) in [
            ("20500101000000Z", 2_524_608_000),
            ("21000301000000Z", 4_107_542_400),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn only_the_two_forms_of_rfc_5280_are_times() {
        for text in ["", "261124043500", "2611240435Z", "261124043500+0100", "26112404350aZ", "260230000000Z"] {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
        }
        for text in ["261301000000Z", "260100000000Z", "260101240000Z", "260101006000Z", "260101000060Z"] {
            assert_eq!(read(tag::UTC_TIME, text), None, "{text}");
        }
        for text in ["20261124043500.5Z", "20261124043500", "261124043500Z"] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), None, "{text}");
        }
    }
}
