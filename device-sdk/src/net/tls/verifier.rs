//! Who the server is: path and name by the core, proof of possession here, and the latch.

use embedded_tls::{CertificateEntryRef, CertificateRef, CertificateVerifyRef, SignatureScheme, TlsError, TlsVerifier};
use heapless::Vec;
use identity_core::crypto::{ALGORITHMS, by_tls_scheme};
use identity_core::error::CertProblem;
use identity_core::time::Judge;
use identity_core::trust::Trust;
use identity_core::x509::{cert::Certificate, verify::verify_server};
use sha2::{Digest, Sha256};

use super::fault::{UNPROVEN, WHICH, certificate};
use super::guard::{Guarded, read_note};
use crate::Error;

/// Contents of the AlgorithmIdentifier of an RSA or EC key, octets.
const ALGORITHM_MAX: usize = 24;
/// Contents of subjectPublicKey, octets: RSA-4096 needs 526.
const KEY_MAX: usize = 544;
/// What the server signs: 64 spaces, context, zero, transcript hash. RFC 8446 §4.4.3.
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const SIGNED: usize = 64 + CONTEXT.len() + 32;

/// How far the proof has come in this handshake. Only [`Verifier::verify_signature`] makes `Proven`, and only from `Judged`.
#[expect(clippy::large_enum_variant, reason = "there is no heap to box it in, and one lives at a time")]
enum Proof {
    /// Nothing was shown.
    None,
    /// A certificate was shown and accepted; its key has not signed yet.
    Judged(Leaf),
    /// Its key signed this handshake.
    Proven,
    /// Refused; stays so.
    Refused(Error),
}

/// What is needed of the certificate until its key has signed.
struct Leaf {
    algorithm: Vec<u8, ALGORITHM_MAX>,
    key: Vec<u8, KEY_MAX>,
    /// Hash of the messages up to and including Certificate.
    transcript: [u8; 32],
}

/// The verifier of one handshake.
pub(super) struct Verifier<'a> {
    host: &'a str,
    trust: Trust<'a>,
    judge: Judge,
    /// During, after: for the error.
    during: &'static str,
    after_ms: u32,
    proof: Proof,
}

impl<'a> Verifier<'a> {
    pub(super) const fn new(
        host: &'a str,
        trust: Trust<'a>,
        judge: Judge,
        during: &'static str,
        after_ms: u32,
    ) -> Self {
        Self { host, trust, judge, during, after_ms, proof: Proof::None }
    }

    /// Passes only if certificate and signature were verified in this handshake.
    pub(super) const fn proven(&self) -> Result<(), Error> {
        match self.proof {
            Proof::Proven => Ok(()),
            Proof::Refused(error) => Err(error),
            Proof::None | Proof::Judged(_) => Err(UNPROVEN),
        }
    }

    /// The reason of a refusal, if there was one.
    pub(super) const fn refusal(&self) -> Option<Error> {
        match self.proof {
            Proof::Refused(error) => Some(error),
            _ => None,
        }
    }

    fn refuse(&mut self, error: Error, tls: TlsError) -> Result<(), TlsError> {
        self.proof = Proof::Refused(error);
        Err(tls)
    }

    fn judge_chain(&self, transcript: &Sha256, chain: &CertificateRef<'_>) -> Result<Leaf, Error> {
        let mut entries = chain.entries.iter().filter_map(|entry| match entry {
            CertificateEntryRef::X509(der) => Some(*der),
            CertificateEntryRef::RawPublicKey(_) => None,
        });
        let leaf = entries.next().ok_or(UNPROVEN)?;
        let leaf = match self.trust {
            Trust::Anchors(anchors) => {
                *verify_server(ALGORITHMS, WHICH, leaf, entries, anchors, self.host, self.judge)?.certificate()
            }
            Trust::Provisional => Certificate::parse(leaf)?,
        };
        let unsupported = certificate(CertProblem::UnsupportedAlgorithm);
        Ok(Leaf {
            algorithm: Vec::from_slice(leaf.key_algorithm).map_err(|_| unsupported)?,
            key: Vec::from_slice(leaf.key_bits).map_err(|_| unsupported)?,
            transcript: transcript.clone().finalize().into(),
        })
    }
}

impl TlsVerifier<Guarded> for Verifier<'_> {
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), TlsError> {
        Ok(())
    }

    fn verify_certificate(&mut self, transcript: &Sha256, chain: CertificateRef<'_>) -> Result<(), TlsError> {
        if !matches!(self.proof, Proof::None) {
            return self.refuse(UNPROVEN, TlsError::InvalidCertificate);
        }
        match self.judge_chain(transcript, &chain) {
            Ok(leaf) => {
                self.proof = Proof::Judged(leaf);
                Ok(())
            }
            Err(error) => self.refuse(error, TlsError::InvalidCertificate),
        }
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        if let Some(fault) = read_note(verify.signature_scheme, verify.signature) {
            return self.refuse(fault.error(self.during, self.after_ms), TlsError::InvalidHandshake);
        }
        let Proof::Judged(leaf) = &self.proof else {
            return self.refuse(UNPROVEN, TlsError::InvalidSignature);
        };
        match leaf.check(verify.signature_scheme, verify.signature) {
            Ok(()) => {
                self.proof = Proof::Proven;
                Ok(())
            }
            Err(problem) => self.refuse(certificate(problem), TlsError::InvalidSignature),
        }
    }
}

impl Leaf {
    /// Checks the server's signature over the handshake so far. RFC 8446 §4.4.3.
    fn check(&self, scheme: SignatureScheme, signature: &[u8]) -> Result<(), CertProblem> {
        // PKCS#1 v1.5 is for certificates only, RFC 8446 §4.2.3.
        let allowed = matches!(
            scheme,
            SignatureScheme::EcdsaSecp256r1Sha256
                | SignatureScheme::EcdsaSecp384r1Sha384
                | SignatureScheme::RsaPssRsaeSha256
                | SignatureScheme::RsaPssRsaeSha384
                | SignatureScheme::RsaPssRsaeSha512
        );
        let algorithm = allowed.then(|| by_tls_scheme(scheme.as_u16())).flatten();
        let algorithm = algorithm.ok_or(CertProblem::UnsupportedAlgorithm)?;
        if *algorithm.public_key_alg_id() != *self.algorithm {
            return Err(CertProblem::Unproven);
        }
        let mut signed = [b' '; SIGNED];
        let tail = CONTEXT.iter().chain(&self.transcript);
        signed.iter_mut().skip(64).zip(tail).for_each(|(to, from)| *to = *from);
        algorithm.verify_signature(&self.key, &signed, signature).map_err(|_| CertProblem::Unproven)
    }
}
