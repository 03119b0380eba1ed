//! What is stored of a client registration: who the device is, as its credential; and, sealed, how it is managed.

use super::{OVERHEAD, VERSION, encode, fields};
use crate::Error;
use crate::keys::{Digest, PublicKey};
use crate::time::UnixTime;
use crate::wire::json::Text;
use minicbor::encode::Write as _;

/// The device as a client of an authorization server, by registration (RFC 7591). None of it is secret.
#[derive(Clone, Copy)]
pub struct RegisteredClient<'a> {
    /// SHA-256 of the issuer identifier.
    pub issuer: &'a Digest,
    /// `client_id`
    pub id: &'a str,
    /// The registered key.
    pub key: PublicKey,
}

/// How a registration is managed (RFC 7592 §3), read in place from its record.
#[derive(Clone, Copy)]
pub struct Registration<'a> {
    /// SHA-256 of the issuer identifier.
    pub issuer: &'a Digest,
    /// `client_id`
    pub id: &'a str,
    /// `registration_client_uri`; empty if the server gave none.
    pub uri: &'a str,
    /// `registration_access_token`: a secret; empty if the server gave none.
    pub token: &'a str,
}

/// Writes the credential record of a registration; its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write_client(client: &RegisteredClient<'_>, at: UnixTime, into: &mut [u8]) -> Result<usize, Error> {
    encode("credential", client.id.len().saturating_add(2 * OVERHEAD), into, |e| {
        e.map(5)?.u8(0)?.u8(VERSION)?.u8(3)?.u64(at.0)?;
        e.u8(5)?.str(client.id)?.u8(6)?.bytes(&client.key.0)?.u8(7)?.bytes(client.issuer)?;
        Ok(())
    })
}

/// Writes how a registration is managed, bound to the SHA-256 of its issuer; its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write_registration(issuer: &Digest, [id, uri, token]: [Text<'_>; 3], into: &mut [u8]) -> Result<usize, Error> {
    let length = |text: Text<'_>| text.octets().count();
    let payload = length(id).saturating_add(length(uri)).saturating_add(length(token));
    encode("client registration", payload, into, |e| {
        e.map(5)?.u8(0)?.u8(VERSION)?.u8(1)?.bytes(issuer)?;
        for (field, text) in [(2, id), (3, uri), (4, token)] {
            e.u8(field)?.str_len(length(text) as u64)?;
            text.octets()
                .try_for_each(|octet| e.writer_mut().write_all(&[octet]).map_err(minicbor::encode::Error::write))?;
        }
        Ok(())
    })
}

/// Reads how a registration is managed.
///
/// # Errors
/// [`Error::Stored`] if it is missing, damaged or incomplete; [`Error::Newer`] if its version is above [`VERSION`].
pub fn read_registration(octets: &[u8]) -> Result<Registration<'_>, Error> {
    let (mut issuer, mut id, mut uri, mut token) = (None, None, "", "");
    fields("client registration", octets, |field, d| {
        match field {
            1 => issuer = d.bytes()?.first_chunk(),
            2 => id = Some(d.str()?),
            3 => uri = d.str()?,
            4 => token = d.str()?,
            _ => d.skip()?,
        }
        Ok(())
    })?;
    let missing =
        Error::Stored { what: "client registration", problem: "a field is missing; the device registers anew" };
    Ok(Registration { issuer: issuer.ok_or(missing)?, id: id.ok_or(missing)?, uri, token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::read_credential;

    const ISSUER: Digest = [7; 32];

    #[test]
    fn a_client_is_a_credential_without_certificates_and_end() {
        let client = RegisteredClient { issuer: &ISSUER, id: "a \"client\"", key: PublicKey([4; 65]) };
        let mut room = [0; 256];
        let length = write_client(&client, UnixTime(5), &mut room).unwrap();
        let read = read_credential(&room[..length]).unwrap();
        let found = read.client.unwrap();
        assert_eq!((found.id, found.key, found.issuer), (client.id, client.key, &ISSUER));
        assert_eq!((read.leaf, read.not_before, read.not_after), (&[][..], UnixTime(5), UnixTime::NEVER));
        for cut in 0..length {
            assert!(read_credential(&room[..cut]).is_err(), "{cut}");
            let short = write_client(&client, UnixTime(5), &mut room[..cut]);
            assert!(matches!(short, Err(Error::NoSpace { wanted, .. }) if wanted >= length));
            write_client(&client, UnixTime(5), &mut room).unwrap();
        }
    }

    #[test]
    fn a_registration_is_read_back_or_named_wrong() {
        let texts = ["id", "https://x.example/r", "t.o.k"].map(|text| Text::of(text).unwrap());
        let mut room = [0; 256];
        let length = write_registration(&ISSUER, texts, &mut room).unwrap();
        let read = read_registration(&room[..length]).unwrap();
        assert_eq!((read.id, read.uri, read.token, read.issuer), ("id", "https://x.example/r", "t.o.k", &ISSUER));
        for cut in 0..length {
            assert!(matches!(read_registration(&room[..cut]), Err(Error::Stored { .. })), "{cut}");
        }
        room[2] = 2;
        assert!(matches!(read_registration(&room[..length]), Err(Error::Newer { .. })));
        let json = crate::wire::json::object("", br#"{"a":"x\u0041\/"}"#).unwrap().text("a").unwrap().unwrap();
        let length = write_registration(&ISSUER, [json; 3], &mut room).unwrap();
        assert_eq!(read_registration(&room[..length]).unwrap().uri, "xA/");
    }
}
