//! A certificate authority in memory. Time is an argument, so a year passes in milliseconds.

use crate::der;
use crate::key::{Key, KeyKind};
use ring::digest;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::{fs, io};
use x509_parser::prelude::*;

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// How a certificate authority is set up.
#[derive(Clone, Debug)]
pub struct CaOptions {
    /// Common name of the root.
    pub name: String,
    /// Key of root and intermediate.
    pub key: KeyKind,
    /// Issue from an intermediate, not from the root.
    pub intermediate: bool,
    /// Seconds for which root and intermediate are valid.
    pub lifetime: u64,
    /// A folder that keeps a P-256 root from one run to the next.
    pub kept_in: Option<PathBuf>,
}

impl Default for CaOptions {
    fn default() -> Self {
        let lifetime = 20 * 365 * DAY;
        Self { name: "Plant Root".into(), key: KeyKind::P256, intermediate: false, lifetime, kept_in: None }
    }
}

/// Dates of a certificate in Unix seconds, both inclusive.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// notBefore.
    pub from: u64,
    /// notAfter.
    pub until: u64,
}

impl Validity {
    /// Valid from an hour ago (clocks differ) for `lifetime` seconds from `now`.
    #[must_use]
    pub fn starting(now: u64, lifetime: u64) -> Self {
        Self { from: now.saturating_sub(3600), until: now + lifetime }
    }
}

/// What a leaf certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// TLS server (id-kp-serverAuth).
    Server,
    /// TLS client (id-kp-clientAuth).
    Client,
}

/// What can be wrong with a certificate issued for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It carries someone else's key.
    ForeignKey,
    /// It expired a day ago.
    Expired,
    /// It becomes valid in a year.
    NotYetValid,
    /// It is for servers only.
    WrongPurpose,
    /// It comes from an authority of the same name with another key.
    WrongChain,
}

/// A leaf certificate to be issued.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    /// SubjectPublicKeyInfo, DER.
    pub spki: &'a [u8],
    /// Subject, a DER Name.
    pub subject: &'a [u8],
    /// Value of the subjectAltName extension, a DER GeneralNames.
    pub alternative: Option<&'a [u8]>,
    /// What it is for.
    pub purpose: Purpose,
    /// When it is valid.
    pub validity: Validity,
}

/// A private key and the certificates that go with it, leaf first, root left out.
pub struct Identity {
    /// The key.
    pub key: Key,
    /// DER certificates.
    pub chain: Vec<Vec<u8>>,
}

/// A request for a certificate whose signature was checked: the sender owns the key.
#[derive(Clone, Debug)]
pub struct Csr {
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Subject, a DER Name.
    pub subject: Vec<u8>,
    /// Value of the subjectAltName extension asked for.
    pub alternative: Option<Vec<u8>>,
    /// Octets of the whole request.
    pub octets: usize,
}

impl Csr {
    /// Reads a PKCS#10 request (RFC 2986) and checks its signature.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(octets: &[u8]) -> Result<Self, String> {
        let (rest, csr) =
            X509CertificationRequest::from_der(octets).map_err(|error| format!("not a PKCS#10 request: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} octets after the request", rest.len()));
        }
        csr.verify_signature().map_err(|error| format!("no proof of possession: {error}"))?;
        let info = &csr.certification_request_info;
        let mut alternative = None;
        for attribute in info.iter_attributes() {
            if let ParsedCriAttribute::ExtensionRequest(request) = attribute.parsed_attribute() {
                let wanted = oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
                alternative = request.extensions.iter().find(|e| e.oid == wanted).map(|e| e.value.to_vec());
            }
        }
        let (spki, subject) = (info.subject_pki.raw.to_vec(), info.subject.as_raw().to_vec());
        Ok(Self { spki, subject, alternative, octets: octets.len() })
    }
}

/// A name, a key and a certificate that can issue.
struct Issuer {
    key: Key,
    subject: Vec<u8>,
    certificate: Vec<u8>,
}

/// A root and perhaps an intermediate.
pub struct Ca {
    root: Issuer,
    intermediate: Option<Issuer>,
    serial: u64,
}

impl Issuer {
    /// The issuer kept in `folder`; if there is none, this one, kept from now on.
    fn kept_in(self, folder: &Path) -> io::Result<Self> {
        let (key, certificate) = (folder.join("root.key"), folder.join("root.der"));
        if let (Ok(pkcs8), Ok(certificate)) = (fs::read(&key), fs::read(&certificate)) {
            let key = Key::p256_from_pkcs8(&pkcs8).ok_or_else(|| io::Error::other("root.key is no P-256 key"))?;
            return Ok(Self { key, subject: self.subject, certificate });
        }
        fs::create_dir_all(folder)?;
        fs::write(key, self.key.pkcs8())?;
        fs::write(certificate, &self.certificate)?;
        Ok(self)
    }
}

impl Ca {
    /// A P-256 root that issues itself.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self::with(now, &CaOptions::default())
    }

    /// An authority to measure. RSA keys need the `openssl` command.
    #[must_use]
    pub fn with(now: u64, options: &CaOptions) -> Self {
        let validity = Validity { from: now.saturating_sub(DAY), until: now + options.lifetime };
        let key = Key::generate(options.key);
        let subject = der::common_name(&options.name);
        let certificate = authority(&subject, &key, &subject, &key, 1, validity);
        let fresh = Issuer { key, subject, certificate };
        let root = match &options.kept_in {
            Some(folder) => fresh.kept_in(folder).expect("a folder that can be read and written"),
            None => fresh,
        };
        let intermediate = options.intermediate.then(|| {
            let key = Key::generate(options.key);
            let subject = der::common_name(&format!("{} Issuing", options.name));
            let certificate = authority(&root.subject, &root.key, &subject, &key, 2, validity);
            Issuer { key, subject, certificate }
        });
        // kept roots never see a serial number twice
        Self { root, intermediate, serial: now }
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root.certificate
    }

    /// The intermediate certificate, DER.
    #[must_use]
    pub fn intermediate(&self) -> Option<&[u8]> {
        self.intermediate.as_ref().map(|issuer| issuer.certificate.as_slice())
    }

    /// Root, then intermediate: what `/cacerts` serves.
    #[must_use]
    pub fn certificates(&self) -> Vec<&[u8]> {
        core::iter::once(self.root()).chain(self.intermediate()).collect()
    }

    fn issuer(&self) -> &Issuer {
        self.intermediate.as_ref().unwrap_or(&self.root)
    }

    /// An authority with the same names and other keys: chains to it look right and are not.
    #[must_use]
    pub fn impostor(&self, now: u64) -> Self {
        let (rest, root) = X509Certificate::from_der(self.root()).expect("our own root");
        assert!(rest.is_empty());
        let name = root.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
        let intermediate = self.intermediate.is_some();
        Self::with(now, &CaOptions { name: name.into(), intermediate, ..CaOptions::default() })
    }

    /// Issues a leaf certificate, DER.
    pub fn issue(&mut self, leaf: &Leaf<'_>) -> Vec<u8> {
        self.serial += 1;
        let issuer = self.issuer();
        let usage: &[u64] = match leaf.purpose {
            Purpose::Server => &[1, 3, 6, 1, 5, 5, 7, 3, 1],
            Purpose::Client => &[1, 3, 6, 1, 5, 5, 7, 3, 2],
        };
        let mut extensions = vec![
            der::extension(&[2, 5, 29, 19], true, &der::sequence(&[])),
            der::extension(&[2, 5, 29, 15], true, &[3, 2, 7, 0x80]), // digitalSignature
            der::extension(&[2, 5, 29, 37], false, &der::sequence(&[&der::oid(usage)])),
            der::extension(&[2, 5, 29, 14], false, &der::octet_string(&key_identifier(leaf.spki))),
            authority_identifier(&issuer.key),
        ];
        if let Some(names) = leaf.alternative {
            extensions.push(der::extension(&[2, 5, 29, 17], leaf.subject == der::sequence(&[]), names));
        }
        let names = Names { issuer: &issuer.subject, subject: leaf.subject };
        certificate(&issuer.key, self.serial, &names, leaf.validity, leaf.spki, &extensions)
    }

    /// Issues a client certificate for a request: its subject, its alternative names, its key.
    pub fn issue_for(&mut self, csr: &Csr, validity: Validity) -> Vec<u8> {
        self.issue(&Leaf {
            spki: &csr.spki,
            subject: &csr.subject,
            alternative: csr.alternative.as_deref(),
            purpose: Purpose::Client,
            validity,
        })
    }

    /// Issues what a client must refuse.
    pub fn issue_flawed(&mut self, csr: &Csr, now: u64, validity: Validity, flaw: Flaw) -> Vec<u8> {
        let foreign;
        let mut leaf = Leaf {
            spki: &csr.spki,
            subject: &csr.subject,
            alternative: csr.alternative.as_deref(),
            purpose: Purpose::Client,
            validity,
        };
        match flaw {
            Flaw::ForeignKey => {
                foreign = Key::generate(KeyKind::P256).spki().to_vec();
                leaf.spki = &foreign;
            }
            Flaw::Expired => leaf.validity = Validity { from: now - 30 * DAY, until: now - DAY },
            Flaw::NotYetValid => leaf.validity = Validity { from: now + 365 * DAY, until: now + 730 * DAY },
            Flaw::WrongPurpose => leaf.purpose = Purpose::Server,
            Flaw::WrongChain => return self.impostor(now).issue(&leaf),
        }
        self.issue(&leaf)
    }

    /// A key and server certificate for DNS names and addresses.
    pub fn server(&mut self, kind: KeyKind, names: &[&str], addresses: &[Ipv4Addr], validity: Validity) -> Identity {
        let mut general: Vec<u8> = names.iter().flat_map(|name| der::tlv(0x82, name.as_bytes())).collect();
        general.extend(addresses.iter().flat_map(|address| der::tlv(0x87, &address.octets())));
        let alternative = der::sequence(&[&general]);
        let subject = der::common_name(names.first().unwrap_or(&"server"));
        self.identity(kind, &subject, Some(&alternative), Purpose::Server, validity)
    }

    /// A key and client certificate for a common name: a birth certificate, a subscriber.
    pub fn client(&mut self, common_name: &str, validity: Validity) -> Identity {
        self.identity(KeyKind::P256, &der::common_name(common_name), None, Purpose::Client, validity)
    }

    fn identity(
        &mut self,
        kind: KeyKind,
        subject: &[u8],
        alternative: Option<&[u8]>,
        purpose: Purpose,
        validity: Validity,
    ) -> Identity {
        let key = Key::generate(kind);
        let leaf = self.issue(&Leaf { spki: key.spki(), subject, alternative, purpose, validity });
        Identity { key, chain: core::iter::once(leaf).chain(self.intermediate().map(<[u8]>::to_vec)).collect() }
    }

    /// Whether this authority issued `certificate`, for clients, and it is valid at `now`; why not, if not.
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub fn vouches_for(&self, certificate: &[u8], now: u64) -> Result<(), String> {
        let (_, leaf) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        let (_, issuer) = X509Certificate::from_der(&self.issuer().certificate).map_err(|error| error.to_string())?;
        leaf.verify_signature(Some(issuer.public_key())).map_err(|_| "issued by someone else")?;
        let at = ASN1Time::from_timestamp(now as i64).map_err(|error| error.to_string())?;
        if !leaf.validity().is_valid_at(at) {
            return Err("not valid now".into());
        }
        match leaf.extended_key_usage() {
            Ok(Some(usage)) if usage.value.client_auth => Ok(()),
            _ => Err("not for client authentication".into()),
        }
    }
}

/// Subject of a certificate, a DER Name.
#[must_use]
pub fn subject_of(certificate: &[u8]) -> Option<Vec<u8>> {
    X509Certificate::from_der(certificate).ok().map(|(_, certificate)| certificate.subject().as_raw().to_vec())
}

/// Value of the subjectAltName extension of a certificate.
#[must_use]
pub fn alternative_of(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let wanted = oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
    certificate.iter_extensions().find(|extension| extension.oid == wanted).map(|extension| extension.value.to_vec())
}

/// First common name of a certificate's subject.
#[must_use]
pub fn common_name_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(str::to_owned)
}

/// A Name (DER) as text, such as `CN=pump-7, O=Plant Example`.
#[must_use]
pub fn name_as_text(name: &[u8]) -> String {
    X509Name::from_der(name).map_or_else(|error| error.to_string(), |(_, name)| name.to_string())
}

/// SubjectPublicKeyInfo of a certificate, DER.
#[must_use]
pub fn spki_of(certificate: &[u8]) -> Option<Vec<u8>> {
    X509Certificate::from_der(certificate).ok().map(|(_, certificate)| certificate.public_key().raw.to_vec())
}

struct Names<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
}

/// A CA certificate for `key`.
fn authority(by: &[u8], by_key: &Key, subject: &[u8], key: &Key, serial: u64, validity: Validity) -> Vec<u8> {
    let extensions = [
        der::extension(&[2, 5, 29, 19], true, &der::sequence(&[&[1, 1, 0xFF]])),
        der::extension(&[2, 5, 29, 15], true, &[3, 2, 1, 0x06]), // keyCertSign, cRLSign
        der::extension(&[2, 5, 29, 14], false, &der::octet_string(&key_identifier(key.spki()))),
        authority_identifier(by_key),
    ];
    certificate(by_key, serial, &Names { issuer: by, subject }, validity, key.spki(), &extensions)
}

/// A signed X.509 v3 certificate (RFC 5280 §4.1).
fn certificate(
    key: &Key,
    serial: u64,
    names: &Names<'_>,
    validity: Validity,
    spki: &[u8],
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    let algorithm = key.signature_algorithm();
    let to_be_signed = der::sequence(&[
        &der::context(0, &der::integer(&[2])),
        &der::integer(&serial.to_be_bytes()),
        &algorithm,
        names.issuer,
        &der::sequence(&[&der::time(validity.from), &der::time(validity.until)]),
        names.subject,
        spki,
        &der::context(3, &der::sequence(&[&extensions.concat()])),
    ]);
    der::sequence(&[&to_be_signed, &algorithm, &der::bit_string(&key.sign(&to_be_signed))])
}

/// Key identifier: the first 20 octets of SHA-256 over the SPKI (a method RFC 7093 §2 allows).
fn key_identifier(spki: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, spki).as_ref()[..20].to_vec()
}

fn authority_identifier(issuer: &Key) -> Vec<u8> {
    let identifier = der::sequence(&[&der::tlv(0x80, &key_identifier(issuer.spki()))]);
    der::extension(&[2, 5, 29, 35], false, &identifier)
}
