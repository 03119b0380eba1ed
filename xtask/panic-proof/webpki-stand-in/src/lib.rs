//! The part of rustls-webpki that identity-core calls, with results that the optimiser knows nothing about.
//!
//! Only the panic proof links it, in the place of the real crate: what is proved is then that identity-core does not panic
//! whatever webpki answers, and that nothing is proved about the inside of webpki. Callbacks are called.
#![no_std]

use core::hint::black_box;
use pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};

/// As webpki's, without the variants that identity-core does not name.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Error {
    BadDer,
    BadDerTime,
    CaUsedAsEndEntity,
    CertExpired { time: UnixTime, not_after: UnixTime },
    CertNotValidForName(()),
    CertNotValidYet { time: UnixTime, not_before: UnixTime },
    EmptyEkuExtension,
    EndEntityUsedAsCa,
    ExtensionValueInvalid,
    InvalidSerialNumber,
    InvalidSignatureForPublicKey,
    MalformedDnsIdentifier,
    MalformedExtensions,
    RequiredEkuNotFoundContext(()),
    SignatureAlgorithmMismatch,
    TrailingData(()),
    UnknownIssuer,
    UnsupportedCertVersion,
    UnsupportedNameType,
    UnsupportedSignatureAlgorithmContext(()),
    UnsupportedSignatureAlgorithmForPublicKeyContext(()),
    /// Any of the rest.
    Other,
}

/// Any answer at all.
fn answer() -> Result<(), Error> {
    black_box(Err(Error::Other))
}

/// A certificate of a path.
pub struct Cert<'a>(&'a [u8]);

impl Cert<'_> {
    /// Its DER.
    pub fn der(&self) -> CertificateDer<'_> {
        CertificateDer::from(black_box(self.0))
    }
}

/// A leaf certificate.
pub struct EndEntityCert<'a>(Cert<'a>);

impl<'a> TryFrom<&'a CertificateDer<'a>> for EndEntityCert<'a> {
    type Error = Error;

    fn try_from(der: &'a CertificateDer<'a>) -> Result<Self, Error> {
        answer().map(|()| Self(Cert(der)))
    }
}

/// An extended key usage.
#[derive(Clone, Copy)]
pub struct KeyUsage(u8);

impl KeyUsage {
    /// TLS servers.
    pub const fn server_auth() -> Self {
        Self(1)
    }

    /// TLS clients.
    pub const fn client_auth() -> Self {
        Self(2)
    }
}

/// Revocation is not checked by identity-core.
pub enum Never {}

/// A path.
pub struct VerifiedPath<'p>(&'p [Cert<'p>]);

impl<'p> VerifiedPath<'p> {
    /// Its certificates between leaf and anchor.
    pub fn intermediate_certificates(&'p self) -> impl Iterator<Item = &'p Cert<'p>> {
        black_box(self.0).iter()
    }
}

impl EndEntityCert<'_> {
    /// Calls every algorithm and the callback, with anything.
    #[allow(clippy::too_many_arguments)]
    pub fn verify_for_usage<'p>(
        &'p self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        anchors: &'p [TrustAnchor<'_>],
        intermediates: &'p [CertificateDer<'p>],
        time: UnixTime,
        usage: KeyUsage,
        _revocation: Option<Never>,
        verify_path: Option<&dyn Fn(&VerifiedPath<'_>) -> Result<(), Error>>,
    ) -> Result<VerifiedPath<'p>, Error> {
        black_box((anchors, intermediates, time, usage.0));
        for algorithm in black_box(algorithms) {
            black_box((algorithm.public_key_alg_id(), algorithm.signature_alg_id()));
            let [key, message, signature] = black_box([self.0.0; 3]);
            black_box(algorithm.verify_signature(key, message, signature).is_ok());
        }
        let path = VerifiedPath(black_box(&[]));
        if let Some(callback) = verify_path {
            callback(&path)?;
        }
        answer().map(|()| path)
    }

    /// Any answer.
    pub fn verify_is_valid_for_subject_name(&self, name: &ServerName<'_>) -> Result<(), Error> {
        black_box(name);
        answer()
    }
}

/// Any answer.
pub fn anchor_from_trusted_cert<'a>(der: &'a CertificateDer<'a>) -> Result<TrustAnchor<'a>, Error> {
    let part = || black_box(&**der).into();
    answer().map(|()| TrustAnchor { subject: part(), subject_public_key_info: part(), name_constraints: Some(part()) })
}
