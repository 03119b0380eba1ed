//! PKCS#10 certification request writer (RFC 2986): write the part to be signed, have it signed, finish in place.

use super::cert::Certificate;
use super::der::{Backward, MAX_HEADER, header_of, slide, tag};
use super::oid;
use crate::error::Error;
use crate::keys::{PublicKey, Signature};

/// Subject name of the CSR; empty fields are left out. UTF8String, at most 64 octets each (RFC 5280 appendix A).
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// CN
    pub common_name: &'a str,
    /// O
    pub organization: &'a str,
    /// OU
    pub organizational_unit: &'a str,
    /// serialNumber (PrintableString)
    pub serial_number: &'a str,
}

/// A subject alternative name.
#[derive(Clone, Copy, Debug)]
pub enum SubjectAlt<'a> {
    /// dNSName
    Dns(&'a str),
    /// uniformResourceIdentifier
    Uri(&'a str),
    /// otherName id-on-hardwareModuleName (RFC 4108 §5)
    HardwareModule {
        /// hwType: content octets of the OBJECT IDENTIFIER.
        kind: &'a [u8],
        /// hwSerialNum
        serial: &'a [u8],
    },
}

/// What a CSR asks for. Key usage digitalSignature (critical) and extended key usage clientAuth are always asked for.
#[derive(Clone, Copy, Debug)]
pub struct CsrRequest<'a> {
    /// Subject; may be empty if there is a name below, which is then critical (RFC 5280 §4.2.1.6).
    pub subject: Subject<'a>,
    /// Subject alternative names.
    pub names: &'a [SubjectAlt<'a>],
    /// The key that will sign the CSR.
    pub public: &'a PublicKey,
}

/// Upper bound of each subject attribute, in octets. RFC 5280 appendix A.1.
const MAX_ATTRIBUTE: usize = 64;
/// Upper bound of a DNS name, in octets. RFC 1035 §2.3.4.
const MAX_DNS: usize = 253;
const WHAT: &str = "certification request";

/// Writes the CertificationRequestInfo (RFC 2986 §4.1) at the start of `into` and gives its length in octets.
///
/// Its SHA-256 is what the key has to sign; [`finish`] then makes the request of both.
///
/// # Errors
/// [`Error::Misuse`] names the field that RFC 5280 does not allow; [`Error::NoSpace`] tells the octets that [`finish`]
/// will need at most, so that lending them once is enough.
pub fn write_info(request: &CsrRequest<'_>, into: &mut [u8]) -> Result<usize, Error> {
    check_subject(&request.subject)?;
    request.names.iter().try_for_each(check_name)?;
    if is_empty(&request.subject) && request.names.is_empty() {
        return Err(Error::Misuse("the CSR names nothing: set a subject field or a subject alternative name"));
    }
    write(
        into,
        request.public,
        |out| subject(out, &request.subject),
        |out| alternative_names(out, request.names, is_empty(&request.subject)),
    )
}

/// The same for the renewal of `certificate` under a new key: its subject and subject alternative names to the octet, as
/// RFC 7030 §4.2.2 demands, whatever the CA made of those that were asked for.
///
/// # Errors
/// [`Error::NoSpace`] as [`write_info`].
pub fn write_renewal(certificate: &Certificate<'_>, public: &PublicKey, into: &mut [u8]) -> Result<usize, Error> {
    let names = certificate.alternative_names_der();
    let nameless = certificate.subject == EMPTY_NAME;
    write(
        into,
        public,
        |out| out.push(certificate.subject),
        |out| {
            if !names.is_empty() {
                extension(out, oid::SUBJECT_ALT_NAME, nameless, |out| out.primitive(tag::SEQUENCE, names));
            }
        },
    )
}

/// The DER of a Name without attributes.
const EMPTY_NAME: &[u8] = &[tag::SEQUENCE, 0];

fn write(
    into: &mut [u8],
    public: &PublicKey,
    subject: impl FnOnce(&mut Backward<'_>),
    names: impl FnOnce(&mut Backward<'_>),
) -> Result<usize, Error> {
    let capacity = into.len();
    let mut out = Backward::new(into);
    attributes(&mut out, names);
    public_key(&mut out, public);
    subject(&mut out);
    out.primitive(tag::INTEGER, &[0]);
    out.wrap(tag::SEQUENCE, 0);
    let length = out.used();
    let Some(start) = capacity.checked_sub(length) else {
        return Err(Error::NoSpace { what: WHAT, wanted: length.saturating_add(MAX_OVERHEAD) });
    };
    slide(into, start, 0, length);
    Ok(length)
}

/// What [`finish`] adds at most, in octets: outer header 4, algorithm 12, BIT STRING with two INTEGERs of 35 each.
pub const MAX_OVERHEAD: usize = 4 + 12 + 2 + 1 + 2 + 35 + 35;

/// Turns the `info_len` octets of CertificationRequestInfo at the start of `buf` into the whole CertificationRequest
/// (RFC 2986 §4.2, ecdsa-with-SHA256 of RFC 5758) and gives its length in octets.
///
/// # Errors
/// [`Error::NoSpace`] with the octets wanted; `buf` is then as it was.
pub fn finish(buf: &mut [u8], info_len: usize, signature: &Signature) -> Result<usize, Error> {
    if info_len > buf.len() {
        return Err(Error::Misuse("csr::finish: info_len is larger than the buffer"));
    }
    let (r, s) = signature.0.split_at(32);
    let mut tail = [0u8; MAX_OVERHEAD];
    let tail_capacity = tail.len();
    let mut out = Backward::new(&mut tail);
    out.unsigned(s);
    out.unsigned(r);
    out.wrap(tag::SEQUENCE, 0);
    out.push(&[0]);
    out.wrap(tag::BIT_STRING, 0);
    let mark = out.used();
    out.primitive(tag::OID, oid::ECDSA_WITH_SHA256);
    out.wrap(tag::SEQUENCE, mark);
    let tail_length = out.used();
    let tail = tail.get(tail_capacity.saturating_sub(tail_length)..).unwrap_or_default();

    let content = info_len.saturating_add(tail_length);
    let mut head = [0u8; MAX_HEADER];
    let header = header_of(tag::SEQUENCE, content, &mut head);
    let whole = content.saturating_add(header);
    if buf.len() < whole {
        return Err(Error::NoSpace { what: WHAT, wanted: whole });
    }
    slide(buf, 0, header, info_len);
    buf.iter_mut().zip(head.iter().take(header)).for_each(|(to, from)| *to = *from);
    let after = header.saturating_add(info_len);
    buf.iter_mut().skip(after).zip(tail).for_each(|(to, from)| *to = *from);
    Ok(whole)
}

fn is_empty(subject: &Subject<'_>) -> bool {
    let Subject { common_name, organization, organizational_unit, serial_number } = subject;
    [common_name, organization, organizational_unit, serial_number].iter().all(|field| field.is_empty())
}

fn check_subject(subject: &Subject<'_>) -> Result<(), Error> {
    let texts = [
        (subject.common_name, "subject common_name: at most 64 octets, no control characters"),
        (subject.organization, "subject organization: at most 64 octets, no control characters"),
        (subject.organizational_unit, "subject organizational_unit: at most 64 octets, no control characters"),
    ];
    for (text, rule) in texts {
        if text.len() > MAX_ATTRIBUTE || text.chars().any(char::is_control) {
            return Err(Error::Misuse(rule));
        }
    }
    let printable = |octet: u8| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet);
    if subject.serial_number.len() > MAX_ATTRIBUTE || !subject.serial_number.bytes().all(printable) {
        return Err(Error::Misuse(
            "subject serial_number: at most 64 of A-Z a-z 0-9 space ' ( ) + , - . / : = ? (PrintableString)",
        ));
    }
    Ok(())
}

fn check_name(name: &SubjectAlt<'_>) -> Result<(), Error> {
    match *name {
        SubjectAlt::Dns(host) => {
            let label = |label: &[u8]| {
                (1..=63).contains(&label.len())
                    && label.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet))
            };
            if host.len() > MAX_DNS || !host.as_bytes().split(|&octet| octet == b'.').all(label) {
                return Err(Error::Misuse(
                    "SubjectAlt::Dns: labels of 1 to 63 letters, digits, - and _; 253 octets in all",
                ));
            }
        }
        SubjectAlt::Uri(uri) => {
            let colon = uri.bytes().position(|octet| octet == b':');
            let scheme = colon.is_some_and(|at| at > 0 && at.saturating_add(1) < uri.len());
            if !scheme || !uri.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(Error::Misuse("SubjectAlt::Uri: scheme, colon and more, in visible ASCII (RFC 3986)"));
            }
        }
        SubjectAlt::HardwareModule { kind, serial } => {
            if !oid::is_valid(kind) {
                return Err(Error::Misuse(
                    "SubjectAlt::HardwareModule: kind is not the contents of an OBJECT IDENTIFIER",
                ));
            }
            if serial.is_empty() {
                return Err(Error::Misuse("SubjectAlt::HardwareModule: serial is empty"));
            }
        }
    }
    Ok(())
}

/// `Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }`, in the order O, OU, CN, serialNumber.
fn subject(out: &mut Backward<'_>, subject: &Subject<'_>) {
    let mark = out.used();
    attribute(out, oid::SERIAL_NUMBER, tag::PRINTABLE, subject.serial_number);
    attribute(out, oid::COMMON_NAME, tag::UTF8, subject.common_name);
    attribute(out, oid::ORGANIZATIONAL_UNIT, tag::UTF8, subject.organizational_unit);
    attribute(out, oid::ORGANIZATION, tag::UTF8, subject.organization);
    out.wrap(tag::SEQUENCE, mark);
}

fn attribute(out: &mut Backward<'_>, kind: &[u8], text: u8, value: &str) {
    if value.is_empty() {
        return;
    }
    let mark = out.used();
    out.primitive(text, value.as_bytes());
    out.primitive(tag::OID, kind);
    out.wrap(tag::SEQUENCE, mark);
    out.wrap(tag::SET, mark);
}

/// SubjectPublicKeyInfo of a P-256 key (RFC 5480 §2).
fn public_key(out: &mut Backward<'_>, public: &PublicKey) {
    let mark = out.used();
    out.push(&public.0);
    out.push(&[0]);
    out.wrap(tag::BIT_STRING, mark);
    let algorithm = out.used();
    out.primitive(tag::OID, oid::PRIME256V1);
    out.primitive(tag::OID, oid::EC_PUBLIC_KEY);
    out.wrap(tag::SEQUENCE, algorithm);
    out.wrap(tag::SEQUENCE, mark);
}

/// `[0] attributes` with one: extensionRequest (RFC 2985 §5.4.2).
fn attributes(out: &mut Backward<'_>, names: impl FnOnce(&mut Backward<'_>)) {
    let mark = out.used();
    names(out);
    extension(out, oid::EXTENDED_KEY_USAGE, false, |out| {
        let mark = out.used();
        out.primitive(tag::OID, oid::CLIENT_AUTH);
        out.wrap(tag::SEQUENCE, mark);
    });
    // digitalSignature is bit 0; seven bits of the octet are unused.
    extension(out, oid::KEY_USAGE, true, |out| out.primitive(tag::BIT_STRING, &[7, 0x80]));
    out.wrap(tag::SEQUENCE, mark);
    out.wrap(tag::SET, mark);
    out.primitive(tag::OID, oid::EXTENSION_REQUEST);
    out.wrap(tag::SEQUENCE, mark);
    out.wrap(tag::context(0), mark);
}

/// `Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }`
fn extension(out: &mut Backward<'_>, id: &[u8], critical: bool, value: impl FnOnce(&mut Backward<'_>)) {
    let mark = out.used();
    value(out);
    out.wrap(tag::OCTET_STRING, mark);
    if critical {
        out.primitive(tag::BOOLEAN, &[0xff]);
    }
    out.primitive(tag::OID, id);
    out.wrap(tag::SEQUENCE, mark);
}

fn alternative_names(out: &mut Backward<'_>, names: &[SubjectAlt<'_>], critical: bool) {
    if names.is_empty() {
        return;
    }
    extension(out, oid::SUBJECT_ALT_NAME, critical, |out| {
        let mark = out.used();
        for name in names.iter().rev() {
            match *name {
                SubjectAlt::Dns(host) => out.primitive(tag::context_primitive(2), host.as_bytes()),
                SubjectAlt::Uri(uri) => out.primitive(tag::context_primitive(6), uri.as_bytes()),
                SubjectAlt::HardwareModule { kind, serial } => {
                    let mark = out.used();
                    out.primitive(tag::OCTET_STRING, serial);
                    out.primitive(tag::OID, kind);
                    out.wrap(tag::SEQUENCE, mark);
                    out.wrap(tag::context(0), mark);
                    out.primitive(tag::OID, oid::HARDWARE_MODULE_NAME);
                    out.wrap(tag::context(0), mark);
                }
            }
        }
        out.wrap(tag::SEQUENCE, mark);
    });
}
