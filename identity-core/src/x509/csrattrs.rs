//! What an EST server wants in a CSR: CsrAttrs reader (RFC 7030 §4.5.2, RFC 8951 §3.5).

use super::der::{self, Reader, tag};
use super::oid;
use crate::error::Error;

/// What the server asks for, as far as this device can tell. Unknown OIDs are ignored, as RFC 7030 §4.5.2 wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CsrAttrs {
    /// It asks for extensions; the CSR always has them.
    pub extension_request: bool,
    /// It asks for a challengePassword, which only a TLS 1.2 tls-unique could fill (RFC 7030 §3.5): not sent.
    pub challenge_password: bool,
    /// A key type or signature algorithm that it insists on and that this device does not have.
    pub unmet: Option<&'static str>,
}

impl CsrAttrs {
    /// Reads the DER body of a csrattrs reply; an empty body asks for nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not a SEQUENCE OF AttrOrOID.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        read(body).ok_or(Error::Malformed {
            what: "EST csrattrs",
            problem: "not the DER of a SEQUENCE of OIDs and attributes (RFC 7030 section 4.5.2)",
        })
    }

    /// Fails if the server insists on something that this device does not have.
    ///
    /// # Errors
    /// [`Error::Malformed`] whose problem names it.
    pub fn honour(&self) -> Result<(), Error> {
        self.unmet.map_or(Ok(()), |problem| Err(Error::Malformed { what: "EST csrattrs", problem }))
    }
}

/// A server may list alternatives: it insists only if none of those it lists is ours.
#[derive(Default)]
struct Wish {
    ours: bool,
    other: Option<&'static str>,
}

impl Wish {
    fn unmet(&self) -> Option<&'static str> {
        self.other.filter(|_| !self.ours)
    }
}

const RSA: &str = "asks for an RSA key; this device has P-256 only: let the server ask for id-ecPublicKey prime256v1";
const EDWARDS: &str = "asks for an Edwards curve key; this device has P-256 only: let the server ask for prime256v1";
const CURVE: &str = "asks for another curve than prime256v1 (P-256), such as secp384r1; this device has P-256 only";
const HASH: &str = "asks for an ECDSA signature with another hash than SHA-256; this device has ecdsa-with-SHA256 only";

fn read(body: &[u8]) -> Option<CsrAttrs> {
    let mut items = Reader(der::only(body, tag::SEQUENCE)?);
    let mut attrs = CsrAttrs::default();
    let (mut key, mut curve, mut signature) = (Wish::default(), Wish::default(), Wish::default());
    while !items.is_empty() {
        let item = items.any()?;
        let (id, mut values) = match item.tag {
            tag::OID => (item.value, Reader(&[])),
            tag::SEQUENCE => {
                let mut attribute = Reader(item.value);
                let id = attribute.value(tag::OID)?;
                let values = attribute.enter(tag::SET)?;
                attribute.finish()?;
                (id, values)
            }
            _ => return None,
        };
        match id {
            oid::EXTENSION_REQUEST => attrs.extension_request = true,
            oid::CHALLENGE_PASSWORD => attrs.challenge_password = true,
            oid::ECDSA_WITH_SHA256 => signature.ours = true,
            oid::EC_PUBLIC_KEY => key.ours = true,
            oid::PRIME256V1 => curve.ours = true,
            id if id.starts_with(oid::ECDSA_PREFIX) => signature.other = Some(HASH),
            id if id.starts_with(oid::RSA_PREFIX) => key.other = Some(RSA),
            id if id.starts_with(oid::EDWARDS_PREFIX) => key.other = Some(EDWARDS),
            _ => {}
        }
        while !values.is_empty() {
            let value = values.any()?;
            if id == oid::EC_PUBLIC_KEY && value.tag == tag::OID {
                if value.value == oid::PRIME256V1 {
                    curve.ours = true;
                } else {
                    curve.other = Some(CURVE);
                }
            }
        }
    }
    attrs.unmet = key.unmet().or(curve.unmet()).or(signature.unmet());
    Some(attrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&[u8]]) -> std::vec::Vec<u8> {
        let mut buffer = [0u8; 256];
        let mut out = der::Backward::new(&mut buffer);
        items.iter().rev().for_each(|item| out.push(item));
        out.wrap(tag::SEQUENCE, 0);
        let used = out.used();
        buffer[256 - used..].to_vec()
    }

    fn plain(id: &[u8]) -> std::vec::Vec<u8> {
        [&[tag::OID, id.len() as u8], id].concat()
    }

    fn with_value(id: &[u8], value: &[u8]) -> std::vec::Vec<u8> {
        let set = [&[tag::SET, value.len() as u8], value].concat();
        let content = [plain(id), set].concat();
        [&[tag::SEQUENCE, content.len() as u8], &content[..]].concat()
    }

    const SECP384R1: &[u8] = &[0x2b, 0x81, 4, 0, 34];

    #[test]
    fn the_example_of_rfc_7030_names_the_curve() {
        // RFC 7030 §4.5.2: challengePassword, id-ecPublicKey {secp384r1}, extensionRequest {macAddress}, ecdsa-with-SHA384.
        let mac = plain(&[0x2b, 6, 1, 1, 1, 1, 22]);
        let body = list(&[
            &plain(oid::CHALLENGE_PASSWORD),
            &with_value(oid::EC_PUBLIC_KEY, &plain(SECP384R1)),
            &with_value(oid::EXTENSION_REQUEST, &mac),
            &plain(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]),
        ]);
        let attrs = CsrAttrs::parse(&body).unwrap();
        assert_eq!(attrs, CsrAttrs { extension_request: true, challenge_password: true, unmet: Some(CURVE) });
        assert_eq!(attrs.honour(), Err(Error::Malformed { what: "EST csrattrs", problem: CURVE }));
    }

    #[test]
    fn each_wish_that_cannot_be_met_is_named_unless_ours_is_an_alternative() {
        let rsa = plain(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
        let p256 = with_value(oid::EC_PUBLIC_KEY, &plain(oid::PRIME256V1));
        let sha384 = plain(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]);
        let ed25519 = plain(&[0x2b, 0x65, 0x70]);
        for (items, unmet) in [
            (&[&rsa[..]][..], Some(RSA)),
            (&[&rsa, &p256], None),
            (&[&ed25519], Some(EDWARDS)),
            (&[&sha384], Some(HASH)),
            (&[&sha384, &plain(oid::ECDSA_WITH_SHA256)], None),
            (&[&p256], None),
            (&[&plain(&[0x2a, 3, 4])], None),
        ] {
            assert_eq!(CsrAttrs::parse(&list(items)).unwrap().unmet, unmet);
        }
    }

    #[test]
    fn nothing_asks_for_nothing_and_junk_is_malformed() {
        assert_eq!(CsrAttrs::parse(&[]), Ok(CsrAttrs::default()));
        assert_eq!(CsrAttrs::parse(&[0x30, 0]), Ok(CsrAttrs::default()));
        for junk in [&[0x30][..], &[0x31, 0], &[0x30, 0, 0], &[0x30, 2, 4, 0], &[0x30, 3, 6, 5, 1]] {
            assert!(matches!(CsrAttrs::parse(junk), Err(Error::Malformed { .. })), "{junk:02x?}");
        }
    }
}
