//! Records in flash: their names and their CBOR. The format is written down in `docs/flash-format.md`.

mod registration;

pub use registration::{RegisteredClient, Registration, read_registration, write_client, write_registration};

use crate::Error;
use crate::error::CertProblem;
use crate::keys::{Digest, PublicKey, Slot};
use crate::time::UnixTime;
use crate::x509::cert::Certificate;
use crate::x509::der::slide;
use crate::x509::der_certificates;
use crate::x509::verify::Issued;
use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::{Decoder, Encoder};

/// Version of every record this crate writes. A record of a higher version is left untouched.
pub const VERSION: u8 = 1;

/// A stored record, named by one octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Record {
    /// Which slot is live: writing it is the commit.
    Live,
    /// Trust anchors fetched by the device.
    Anchors,
    /// Last known good time.
    Floor,
    /// The refresh token, sealed; for the authorization server that gave it.
    Refresh,
    /// The client registration, sealed: where it is managed, and the registration access token for that (RFC 7592).
    Registration,
    /// The credential of a slot.
    Credential(Slot),
    /// The sealed private key of a slot; written and read by the driver for its key store.
    Key(Slot),
}

impl Record {
    /// The record's key in the store.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Live => 0x01,
            Self::Anchors => 0x02,
            Self::Floor => 0x03,
            Self::Refresh => 0x04,
            Self::Registration => 0x05,
            Self::Credential(slot) => 0x10 + slot.number(),
            Self::Key(slot) => 0x20 + slot.number(),
        }
    }

    /// Whether the driver seals it with the key store before it is written, and opens it after it was read.
    #[must_use]
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::Refresh | Self::Registration)
    }

    /// Its name in errors and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live pointer",
            Self::Anchors => "trust anchors",
            Self::Floor => "clock floor",
            Self::Refresh => "refresh token",
            Self::Registration => "client registration",
            Self::Credential(_) => "credential",
            Self::Key(_) => "sealed key",
        }
    }
}

/// What enrolment yielded, read in place from its record: certificates, or a client registration.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// The certificates as issued, concatenated DER: the device's own and any intermediates; empty for a registration.
    pub certificates: &'a [u8],
    /// The device's own certificate among them, DER; empty for a registration.
    pub leaf: &'a [u8],
    /// The registered client, if the credential is a registration.
    pub client: Option<RegisteredClient<'a>>,
    /// Start of validity; for a registration, when it was made.
    pub not_before: UnixTime,
    /// End of validity; [`UnixTime::NEVER`] for a registration.
    pub not_after: UnixTime,
}

/// Makes a credential record of the `length` octets of certificates at the start of `buffer`, in place; its length in octets,
/// at most 48 more.
///
/// Demands the evidence that only [`crate::x509::verify::accept_issued`] makes, about these same certificates.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `buffer` is then as it was.
pub fn write_credential(issued: &Issued, buffer: &mut [u8], length: usize) -> Result<usize, Error> {
    const WHAT: &str = "credential";
    let (mut head, mut tail) = ([0; OVERHEAD], [0; OVERHEAD]);
    let before = encode(WHAT, length, &mut head, |e| {
        e.map(5)?.u8(0)?.u8(VERSION)?;
        e.u8(1)?.bytes_len(length as u64)?;
        Ok(())
    })?;
    let leaf = issued.leaf();
    let after = encode(WHAT, length, &mut tail, |e| {
        e.u8(2)?.array(2)?.u32(leaf.start as u32)?.u32(leaf.end as u32)?;
        e.u8(3)?.u64(issued.not_before().0)?;
        e.u8(4)?.u64(issued.not_after().0)?;
        Ok(())
    })?;
    let end = before.saturating_add(length);
    let whole = end.saturating_add(after);
    if buffer.len() < whole {
        return Err(Error::NoSpace { what: WHAT, wanted: whole });
    }
    slide(buffer, 0, before, length);
    buffer.iter_mut().zip(head.iter().take(before)).for_each(|(to, from)| *to = *from);
    buffer.iter_mut().skip(end).zip(tail.iter().take(after)).for_each(|(to, from)| *to = *from);
    Ok(whole)
}

/// Makes the credential record of [`Slot::Birth`], at the factory: of `certificates`, concatenated DER, one of them about `public`,
/// the key in that slot. Its length in octets, at most 64 more than theirs.
///
/// Nothing is verified but the key: whoever writes the device's flash vouches for the rest, and the EST server judges it.
///
/// # Errors
/// [`Error::Certificate`] of "birth certificate": unreadable, or none carries `public`; [`Error::NoSpace`] with the octets wanted.
pub fn write_birth(certificates: &[u8], public: &PublicKey, into: &mut [u8]) -> Result<usize, Error> {
    let refused = |problem| Error::Certificate { which: "birth certificate", problem };
    let (mut end, mut mine) = (0usize, None);
    for der in der_certificates(certificates) {
        let start = end;
        end = end.saturating_add(der.len());
        let certificate = Certificate::parse(der).ok().filter(|one| one.public_key().as_ref() == Some(public));
        mine = mine.or(certificate.map(|one| (start, end, one.not_before, one.not_after)));
    }
    if end != certificates.len() || certificates.is_empty() {
        return Err(refused(CertProblem::Unreadable));
    }
    let (start, end, not_before, not_after) = mine.ok_or(refused(CertProblem::WrongKey))?;
    encode("birth credential", certificates.len(), into, |e| {
        e.map(5)?.u8(0)?.u8(VERSION)?.u8(1)?.bytes(certificates)?;
        e.u8(2)?.array(2)?.u32(start as u32)?.u32(end as u32)?;
        e.u8(3)?.u64(not_before.0)?.u8(4)?.u64(not_after.0)?;
        Ok(())
    })
}

/// Reads a credential record.
///
/// # Errors
/// [`Error::Stored`] if it is missing, damaged or incomplete; [`Error::Newer`] if its version is above [`VERSION`].
pub fn read_credential(octets: &[u8]) -> Result<Credential<'_>, Error> {
    let (mut certificates, mut leaf, mut not_before, mut not_after) = (None, None, None, None);
    let (mut id, mut key, mut issuer) = (None, None, None);
    fields("credential", octets, |field, d| {
        match field {
            1 => certificates = Some(d.bytes()?),
            2 => {
                let pair = d.array()? == Some(2);
                leaf = Some((d.u32()?, d.u32()?)).filter(|_| pair);
            }
            3 => not_before = Some(UnixTime(d.u64()?)),
            4 => not_after = Some(UnixTime(d.u64()?)),
            5 => id = Some(d.str()?),
            6 => key = d.bytes()?.first_chunk().copied(),
            7 => issuer = d.bytes()?.first_chunk(),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    let missing = Error::Stored { what: "credential", problem: "a field is missing or out of range; enrol again" };
    let not_before = not_before.ok_or(missing)?;
    if let (Some(id), Some(key), Some(issuer)) = (id, key, issuer) {
        let client = Some(RegisteredClient { issuer, id, key: PublicKey(key) });
        return Ok(Credential { certificates: &[], leaf: &[], client, not_before, not_after: UnixTime::NEVER });
    }
    let (Some(certificates), Some((start, end)), Some(not_after)) = (certificates, leaf, not_after) else {
        return Err(missing);
    };
    let leaf = certificates.get(start as usize..end as usize).ok_or(missing)?;
    Ok(Credential { certificates, leaf, client: None, not_before, not_after })
}

/// Writes the live pointer: which slot is live. Storing it is the commit; its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write_live(slot: Slot, into: &mut [u8]) -> Result<usize, Error> {
    encode("live pointer", 8, into, |e| {
        e.map(2)?.u8(0)?.u8(VERSION)?.u8(1)?.u8(slot.number())?;
        Ok(())
    })
}

/// Reads the live pointer.
///
/// # Errors
/// [`Error::Stored`] if it is missing, damaged or incomplete; [`Error::Newer`] if its version is above [`VERSION`].
pub fn read_live(octets: &[u8]) -> Result<Slot, Error> {
    let mut slot = None;
    fields("live pointer", octets, |key, d| {
        match key {
            // the birth credential is never live; its "other" slot would lose its key
            1 => slot = Slot::from_number(d.u8()?).filter(|slot| *slot != Slot::Birth),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    slot.ok_or(Error::Stored { what: "live pointer", problem: "it names neither slot A nor slot B" })
}

/// Writes the trust anchors fetched by the device: concatenated DER certificates; its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write_anchors(certificates: &[u8], into: &mut [u8]) -> Result<usize, Error> {
    encode("trust anchors", certificates.len(), into, |e| {
        e.map(2)?.u8(0)?.u8(VERSION)?.u8(1)?.bytes(certificates)?;
        Ok(())
    })
}

/// Reads the trust anchors: concatenated DER certificates.
///
/// # Errors
/// [`Error::Stored`] if it is missing, damaged or incomplete; [`Error::Newer`] if its version is above [`VERSION`].
pub fn read_anchors(octets: &[u8]) -> Result<&[u8], Error> {
    let mut certificates = None;
    fields("trust anchors", octets, |key, d| {
        match key {
            1 => certificates = Some(d.bytes()?),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    certificates.ok_or(Error::Stored { what: "trust anchors", problem: "the certificates are missing" })
}

/// Writes the clock floor; its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted.
pub fn write_floor(floor: UnixTime, into: &mut [u8]) -> Result<usize, Error> {
    encode("clock floor", 16, into, |e| {
        e.map(2)?.u8(0)?.u8(VERSION)?.u8(1)?.u64(floor.0)?;
        Ok(())
    })
}

/// Reads the clock floor.
///
/// # Errors
/// [`Error::Stored`] if it is missing, damaged or incomplete; [`Error::Newer`] if its version is above [`VERSION`].
pub fn read_floor(octets: &[u8]) -> Result<UnixTime, Error> {
    let mut floor = None;
    fields("clock floor", octets, |key, d| {
        match key {
            1 => floor = Some(UnixTime(d.u64()?)),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    floor.ok_or(Error::Stored { what: "clock floor", problem: "the time is missing" })
}

/// Writes a refresh token, bound to the 32 octets that name its authorization server and client.
pub fn write_refresh(owner: &Digest, token: &str, into: &mut [u8]) -> Result<usize, Error> {
    encode("refresh token", token.len(), into, |e| {
        e.map(3)?.u8(0)?.u8(VERSION)?.u8(1)?.bytes(owner)?.u8(2)?.str(token)?;
        Ok(())
    })
}

/// Reads a refresh token; none if it is of another authorization server or client.
pub fn read_refresh<'a>(owner: &Digest, octets: &'a [u8]) -> Result<Option<&'a str>, Error> {
    let (mut of, mut token) = (None, None);
    fields("refresh token", octets, |key, d| {
        match key {
            1 => of = Some(d.bytes()?),
            2 => token = Some(d.str()?),
            _ => d.skip()?,
        }
        Ok(())
    })?;
    Ok(token.filter(|_| of == Some(owner)))
}

/// Octets a record needs beside its byte string.
const OVERHEAD: usize = 64;

type EncodeResult = Result<(), minicbor::encode::Error<EndOfSlice>>;

fn encode(
    what: &'static str,
    payload: usize,
    into: &mut [u8],
    write: impl FnOnce(&mut Encoder<Cursor<&mut [u8]>>) -> EncodeResult,
) -> Result<usize, Error> {
    let mut encoder = Encoder::new(Cursor::new(into));
    write(&mut encoder).map_err(|_| Error::NoSpace { what, wanted: payload.saturating_add(OVERHEAD) })?;
    Ok(encoder.writer().position())
}

/// Reads a record's map: checks the version, which must be the first field, then hands out each other field.
/// Fields of later minor additions are for `read` to skip.
fn fields<'a>(
    what: &'static str,
    octets: &'a [u8],
    mut read: impl FnMut(u8, &mut Decoder<'a>) -> Result<(), minicbor::decode::Error>,
) -> Result<(), Error> {
    let corrupt = |_| Error::Stored { what, problem: "it is corrupt; the device does without it or makes it anew" };
    if octets.is_empty() {
        return Err(Error::Stored { what, problem: "it is missing; the device does without it or makes it anew" });
    }
    let mut d = Decoder::new(octets);
    let count = d.map().map_err(corrupt)?.unwrap_or(0);
    let mut version = None;
    for _ in 0..count {
        let key = d.u8().map_err(corrupt)?;
        match (version, key) {
            (None, 0) => match d.u64().map_err(corrupt)? {
                0 => return Err(Error::Stored { what, problem: "version 0 does not exist" }),
                v if v > u64::from(VERSION) => return Err(Error::Newer { what }),
                v => version = Some(v),
            },
            (Some(_), 1..) => read(key, &mut d).map_err(corrupt)?,
            _ => return Err(Error::Stored { what, problem: "it does not begin with its version" }),
        }
    }
    version.map(|_| ()).ok_or(Error::Stored { what, problem: "it has no version" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: &str = "a field is missing or out of range; enrol again";

    fn problem<T>(result: Result<T, Error>) -> &'static str {
        match result.err() {
            Some(Error::Stored { problem, .. }) => problem,
            Some(Error::Newer { .. }) => "newer",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pointer_is_read_or_named_wrong() {
        let mut room = [0; 16];
        for slot in [Slot::A, Slot::B] {
            let length = write_live(slot, &mut room).unwrap();
            assert_eq!(read_live(&room[..length]), Ok(slot));
            assert_eq!(
                write_live(slot, &mut room[..length - 1]),
                Err(Error::NoSpace { what: "live pointer", wanted: 72 })
            );
        }
        assert_eq!(read_live(&[0xa3, 0, 1, 1, 1, 9, 0x82, 1, 2]), Ok(Slot::A), "unknown fields are skipped");
        for (record, wanted) in [
            (&[][..], "missing"),
            (&[0xff], "corrupt"),
            (&[0xa2, 0, 1, 1], "corrupt"),             // cut short
            (&[0x82, 0, 1], "corrupt"),                // an array
            (&[0xbf, 0, 1, 1, 1, 0xff], "no version"), // indefinite length: this crate writes none
            (&[0xa0], "no version"),
            (&[0xa1, 0, 1], "neither slot"),
            (&[0xa1, 0, 1, 1, 1], "neither slot"), // what follows the map is no part of it
            (&[0xa2, 0, 1, 1, 0], "neither slot"), // birth
            (&[0xa2, 0, 1, 1, 3], "neither slot"),
            (&[0xa2, 0, 1, 1, 0x20], "corrupt"),          // -1
            (&[0xa2, 0, 1, 0xf9, 0x3c, 0, 1], "corrupt"), // key 1.0
            (&[0xa2, 0, 0xf9, 0x3c, 0, 1, 1], "corrupt"), // version 1.0
            (&[0xa2, 1, 1, 0, 1], "begin"),
            (&[0xa3, 0, 1, 0, 1, 1, 1], "begin"), // version twice
            (&[0xa2, 0, 0, 1, 1], "version 0"),
            (&[0xa2, 0, 2, 1, 1], "newer"),
            (&[0xa2, 0, 0x19, 1, 0, 1, 1], "newer"), // 256
        ] {
            let problem = problem(read_live(record));
            assert!(problem.contains(wanted), "{record:02x?}: {problem}");
        }
    }

    #[test]
    fn a_credential_is_read_or_named_wrong() {
        // {0: 1, 1: h'aabbcc', 2: [1, 3], 3: 5, 4: 6}
        let good = [0xa5, 0, 1, 1, 0x43, 0xaa, 0xbb, 0xcc, 2, 0x82, 1, 3, 3, 5, 4, 6];
        let read = read_credential(&good).unwrap();
        assert_eq!((read.certificates, read.leaf), (&[0xaa, 0xbb, 0xcc][..], &[0xbb, 0xcc][..]));
        assert_eq!((read.not_before, read.not_after), (UnixTime(5), UnixTime(6)));
        for cut in 0..good.len() {
            assert!(!problem(read_credential(&good[..cut])).is_empty());
        }
        for (at, octet, wanted) in [
            (10, 4, MISSING),   // ends before it starts
            (11, 4, MISSING),   // ends after the certificates
            (9, 0x83, MISSING), // three numbers
            (8, 9, MISSING),    // no range
            (14, 3, MISSING),   // notBefore twice, no notAfter
        ] {
            let mut record = good;
            record[at] = octet;
            let problem = problem(read_credential(&record));
            assert!(problem == wanted || problem.contains("corrupt"), "{at}: {problem}");
        }
    }

    #[test]
    fn a_record_takes_no_more_than_the_overhead() {
        let mut room = [0; 4096];
        let length = write_anchors(&[7; 3072], &mut room).unwrap();
        assert!(length <= 3072 + OVERHEAD);
        assert_eq!(read_anchors(&room[..length]), Ok(&[7; 3072][..]));
        let length = write_floor(UnixTime(u64::MAX), &mut room).unwrap();
        assert_eq!(read_floor(&room[..length]), Ok(UnixTime(u64::MAX)));
    }
}
