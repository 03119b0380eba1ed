//! Path verification (RFC 5280 §6) on rustls-webpki, with what webpki leaves out: key usage, a clock that may only be a
//! floor, and proofs as values. Each `Ok` here is a value that nothing else can make.
//!
//! webpki 0.103 and untrusted keep panic branches on invariants of their own (a position on the path is in its array, a month
//! that was read is 1 to 12). No peer reaches one as far as the property tests can tell; `cargo xtask panic-proof`, which
//! shows by the linker that this crate has none, has to leave them out.

use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;

use heapless::Vec;
use pki_types::{AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::{EndEntityCert, VerifiedPath};

use super::cert::Certificate;
use super::{der_certificates, host};
use crate::crypto;
use crate::error::{CertProblem, Error};
use crate::keys::PublicKey;
use crate::time::{Judge, UnixTime};
use crate::trust::Anchors;

/// Intermediate certificates that a peer may send; webpki follows at most six in one path.
pub const MAX_INTERMEDIATES: usize = 8;

/// Different intermediates of one name, as cross-signing and renewal of a CA give: more of them could be put together in so
/// many ways that a device would search for minutes.
pub const MAX_NAMESAKES: usize = 2;

/// Signatures checked for one chain, whatever becomes of it; each takes a device a tenth of a second or more.
pub const MAX_SIGNATURES: u8 = 16;

/// The signature algorithms that may be used on a path: a firmware links those that it names.
pub type Algorithms<'a> = &'a [&'a dyn SignatureVerificationAlgorithm];

/// What a leaf certificate is used for. Its extended key usage, and that of each CA on the path, must name it if it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A TLS server.
    ServerAuth,
    /// A TLS client.
    ClientAuth,
}

/// Proof that a path was verified; only [`verify_path`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched(());

/// Proof that a certificate leads to an anchor, is for servers and names the host; only [`verify_server`] makes it.
///
/// It does not prove that the peer holds the key: that is for CertificateVerify (RFC 8446 §4.4.3).
#[derive(Clone, Copy, Debug)]
pub struct VerifiedServer<'a> {
    certificate: Certificate<'a>,
    _path: Matched,
}

impl<'a> VerifiedServer<'a> {
    /// The server's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate<'a> {
        &self.certificate
    }
}

/// Proof that a certificate was issued to this device and may be stored; only [`accept_issued`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    leaf: Range<usize>,
    not_before: UnixTime,
    not_after: UnixTime,
    _path: Matched,
}

impl Issued {
    /// Where the device's certificate is in the octets that were given.
    #[must_use]
    pub const fn leaf(&self) -> &Range<usize> {
        &self.leaf
    }

    /// First second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// Verifies that `leaf` leads to an anchor and is for `purpose`. `which` names it in errors, such as "EST server".
///
/// Anchors are taken as they are: they may have expired. Fetched certificates that are no anchors may complete the path.
///
/// # Errors
/// [`Error::Certificate`] saying why no path was accepted; [`Error::Malformed`] for more than [`MAX_INTERMEDIATES`], more than
/// [`MAX_NAMESAKES`], or paths that take more than [`MAX_SIGNATURES`].
pub fn verify_path<'a>(
    algorithms: Algorithms<'_>,
    which: &'static str,
    leaf: &'a [u8],
    intermediates: impl Iterator<Item = &'a [u8]>,
    anchors: Anchors<'_>,
    purpose: Purpose,
    judge: Judge,
) -> Result<Matched, Error> {
    let refused = |problem| Error::Certificate { which, problem };
    let certificate = Certificate::parse(leaf).map_err(|_| refused(CertProblem::Unreadable))?;
    let malformed = |problem| Error::Malformed { what: which, problem };
    let mut between = Between(Vec::new());
    for (sent, certificate) in intermediates.enumerate() {
        if sent >= MAX_INTERMEDIATES {
            return Err(malformed(SURPLUS));
        }
        between.add(certificate).map_err(malformed)?;
    }
    // What the peer left out, the device may have fetched; as many as there is room for.
    for certificate in anchors.intermediates() {
        let _ = between.add(certificate);
    }
    let left = AtomicU8::new(MAX_SIGNATURES);
    let mut counted = Vec::<Counted<'_>, MAX_ALGORITHMS>::new();
    for &inner in algorithms {
        let counts = counted.push(Counted { inner, left: &left });
        counts.map_err(|_| Error::Misuse("verify_path: more than 16 signature algorithms"))?;
    }
    let mut algorithms = Vec::<&dyn SignatureVerificationAlgorithm, MAX_ALGORITHMS>::new();
    for algorithm in &counted {
        let _ = algorithms.push(algorithm); // as many as above
    }
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| refused(problem_of(&error)))?;

    // One anchor at a time needs no memory for all of them; signatures are only checked where the issuer's name fits.
    let mut refusal = refused(CertProblem::UnknownIssuer);
    for anchor in anchors.iter() {
        match path_to(&algorithms, &leaf, &between.0, anchor, purpose, judge) {
            Ok(()) if certificate.key_usage.is_none_or(|usage| usage.digital_signature()) => return Ok(Matched(())),
            Ok(()) => return Err(refused(CertProblem::WrongPurpose)),
            Err(Refusal::Anchor) => {
                refusal = Error::Certificate { which: "trust anchor", problem: CertProblem::Unreadable };
            }
            Err(Refusal::Path(CertProblem::UnknownIssuer)) => {}
            Err(Refusal::Path(problem)) => refusal = refused(problem),
        }
        if left.load(Ordering::Relaxed) == 0 {
            return Err(malformed("its certificates make too many paths to check; send one chain"));
        }
    }
    Err(refusal)
}

/// Intermediates, each once.
struct Between<'a>(Vec<CertificateDer<'a>, MAX_INTERMEDIATES>);

impl<'a> Between<'a> {
    fn add(&mut self, der: &'a [u8]) -> Result<(), &'static str> {
        if self.0.iter().any(|known| known.as_ref() == der) {
            return Ok(());
        }
        // what cannot be read is on no path
        let Some(name) = subject(der) else { return Ok(()) };
        if self.0.iter().filter(|known| subject(known) == Some(name)).count() >= MAX_NAMESAKES {
            return Err("it came with more than 2 different intermediate certificates of one name; send one chain");
        }
        self.0.push(der.into()).map_err(|_| SURPLUS)
    }
}

const SURPLUS: &str = "it came with more than 8 intermediate certificates; send only those between it and the root";

fn subject(der: &[u8]) -> Option<&[u8]> {
    Certificate::parse(der).ok().map(|certificate| certificate.subject)
}

/// Room for the algorithms of a path; this crate has ten.
const MAX_ALGORITHMS: usize = 16;

/// An algorithm that refuses when no more signatures may be checked.
#[derive(Debug)]
struct Counted<'a> {
    inner: &'a dyn SignatureVerificationAlgorithm,
    left: &'a AtomicU8,
}

impl SignatureVerificationAlgorithm for Counted<'_> {
    fn verify_signature(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        // one thread: load and store will do, and every core has them
        let left = self.left.load(Ordering::Relaxed).checked_sub(1).ok_or(InvalidSignature)?;
        self.left.store(left, Ordering::Relaxed);
        self.inner.verify_signature(public, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

/// Verifies that `leaf` leads to an anchor, is for servers, and names `host` in its subject alternative names: a DNS name
/// (RFC 9525; never the common name) or, if `host` is an IP address literal, an iPAddress.
///
/// # Errors
/// As [`verify_path`]; [`Error::Misuse`] if `host` is neither a DNS name nor an IP address.
pub fn verify_server<'a>(
    algorithms: Algorithms<'_>,
    which: &'static str,
    leaf: &'a [u8],
    intermediates: impl Iterator<Item = &'a [u8]>,
    anchors: Anchors<'_>,
    host: &str,
    judge: Judge,
) -> Result<VerifiedServer<'a>, Error> {
    let refused = |problem| Error::Certificate { which, problem };
    let name = host::server_name(host).ok_or(Error::Misuse("host is neither a DNS name nor an IP address"))?;
    let path = verify_path(algorithms, which, leaf, intermediates, anchors, Purpose::ServerAuth, judge)?;
    let certificate = Certificate::parse(leaf).map_err(|_| refused(CertProblem::Unreadable))?;
    let leaf = CertificateDer::from(leaf);
    EndEntityCert::try_from(&leaf)
        .and_then(|leaf| leaf.verify_is_valid_for_subject_name(&name))
        .map_err(|error| refused(problem_of(&error)))?;
    Ok(VerifiedServer { certificate, _path: path })
}

/// Finds the one certificate in `chain` (concatenated DER, any order) that carries our public key and verifies that it leads
/// to an anchor through the others, is for TLS clients, and is within its dates.
///
/// # Errors
/// [`Error::Certificate`] of "issued certificate"; [`CertProblem::WrongKey`] if none carries our key.
pub fn accept_issued(
    algorithms: Algorithms<'_>,
    chain: &[u8],
    public: &PublicKey,
    anchors: Anchors<'_>,
    judge: Judge,
) -> Result<Issued, Error> {
    const WHICH: &str = "issued certificate";
    let refused = |problem| Error::Certificate { which: WHICH, problem };
    let mut end = 0usize;
    let mut mine = None;
    for der in der_certificates(chain) {
        let start = end;
        end = end.saturating_add(der.len());
        if let Ok(certificate) = Certificate::parse(der)
            && mine.is_none()
            && certificate.public_key().as_ref() == Some(public)
        {
            mine = Some((start..end, certificate));
        }
    }
    if end != chain.len() || chain.is_empty() {
        return Err(refused(CertProblem::Unreadable));
    }
    let (leaf, certificate) = mine.ok_or(refused(CertProblem::WrongKey))?;
    let others = der_certificates(chain).filter(|&der| der != certificate.der);
    let path = verify_path(algorithms, WHICH, certificate.der, others, anchors, Purpose::ClientAuth, judge)?;
    let Certificate { not_before, not_after, .. } = certificate;
    Ok(Issued { leaf, not_before, not_after, _path: path })
}

/// The certificate in `concatenated` DER whose SHA-256 is `fingerprint` (RFC 7030 §4.1.1: bootstrap by a pinned CA).
///
/// # Errors
/// [`CertProblem::WrongFingerprint`] if there is none; [`CertProblem::NotAnAuthority`] if it is not a CA certificate.
pub fn find_pinned<'a>(concatenated: &'a [u8], fingerprint: &[u8; 32]) -> Result<&'a [u8], Error> {
    let refused = |problem| Error::Certificate { which: "pinned CA", problem };
    let pinned = der_certificates(concatenated)
        .find(|der| crypto::sha256(der) == *fingerprint)
        .ok_or(refused(CertProblem::WrongFingerprint))?;
    let certificate = Certificate::parse(pinned).map_err(|_| refused(CertProblem::Unreadable))?;
    if !certificate.is_ca() {
        return Err(refused(CertProblem::NotAnAuthority));
    }
    Ok(pinned)
}

/// Whether there is a CA among certificates in `concatenated` DER that are to be anchors: a reply without one would lock the
/// device out.
///
/// # Errors
/// [`CertProblem::NotAnAuthority`] if there is none.
pub fn has_authority(concatenated: &[u8]) -> Result<(), Error> {
    let authority = |der| Certificate::parse(der).is_ok_and(|certificate| certificate.is_ca());
    let none = Error::Certificate { which: "CA certificates", problem: CertProblem::NotAnAuthority };
    der_certificates(concatenated).any(authority).then_some(()).ok_or(none)
}

enum Refusal {
    /// The anchor itself is not readable.
    Anchor,
    /// No path to it was accepted.
    Path(CertProblem),
}

fn path_to(
    algorithms: Algorithms<'_>,
    leaf: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    anchor: &[u8],
    purpose: Purpose,
    judge: Judge,
) -> Result<(), Refusal> {
    let anchor = CertificateDer::from(anchor);
    let anchor = [webpki::anchor_from_trusted_cert(&anchor).map_err(|_| Refusal::Anchor)?];
    let usage = match purpose {
        Purpose::ServerAuth => webpki::KeyUsage::server_auth(),
        Purpose::ClientAuth => webpki::KeyUsage::client_auth(),
    };
    let mut time = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(judge.at_least().0));
    // webpki has one time for both bounds. Under a floor notBefore is not judged: a certificate that is not yet valid shows
    // that the floor is too low, so it is raised to its notBefore, once for each certificate of a path at most. This only
    // makes notAfter stricter, and dates are checked before signatures, so it costs little.
    for _ in 0..=MAX_INTERMEDIATES {
        let refusal =
            match leaf.verify_for_usage(algorithms, &anchor, intermediates, time, usage, None, Some(&issuers_may_sign))
            {
                Ok(_) => return Ok(()),
                Err(refusal) => refusal,
            };
        match (&refusal, judge) {
            (webpki::Error::CertNotValidYet { not_before, .. }, Judge::Floor(_)) => time = *not_before,
            _ => return Err(Refusal::Path(problem_of(&refusal))),
        }
    }
    Err(Refusal::Path(CertProblem::Constraint))
}

/// keyUsage of an issuer must have keyCertSign if it is there (RFC 5280 §6.1.4 n); webpki does not look.
fn issuers_may_sign(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    let may_sign = |issuer: &webpki::Cert<'_>| {
        Certificate::parse(&issuer.der()).is_ok_and(|issuer| issuer.key_usage.is_none_or(|usage| usage.cert_sign()))
    };
    if path.intermediate_certificates().all(may_sign) { Ok(()) } else { Err(webpki::Error::EndEntityUsedAsCa) }
}

fn problem_of(error: &webpki::Error) -> CertProblem {
    use webpki::Error as E;
    match error {
        E::CertExpired { time, not_after } => {
            CertProblem::Expired { not_after: not_after.as_secs(), now: time.as_secs() }
        }
        E::CertNotValidYet { time, not_before } => {
            CertProblem::NotYetValid { not_before: not_before.as_secs(), now: time.as_secs() }
        }
        E::UnknownIssuer => CertProblem::UnknownIssuer,
        E::InvalidSignatureForPublicKey | E::SignatureAlgorithmMismatch => CertProblem::BadSignature,
        E::UnsupportedSignatureAlgorithmContext(_) | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            CertProblem::UnsupportedAlgorithm
        }
        E::CaUsedAsEndEntity | E::EmptyEkuExtension | E::RequiredEkuNotFoundContext(_) => CertProblem::WrongPurpose,
        E::EndEntityUsedAsCa => CertProblem::NotAnAuthority,
        E::CertNotValidForName(_) | E::MalformedDnsIdentifier | E::UnsupportedNameType => CertProblem::WrongName,
        E::BadDer
        | E::BadDerTime
        | E::TrailingData(_)
        | E::ExtensionValueInvalid
        | E::MalformedExtensions
        | E::InvalidSerialNumber
        | E::UnsupportedCertVersion => CertProblem::Unreadable,
        _ => CertProblem::Constraint,
    }
}
