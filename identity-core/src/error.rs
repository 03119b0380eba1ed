//! The one error of the crate. Each variant says whose fault it is; `Display` says what to fix.

use crate::oauth::OauthCode;
use core::fmt;

/// What went wrong, and where to look. Small, `Copy`, never holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// A peer sent something that its standard does not allow.
    Malformed {
        /// The thing that was being read, such as "CA certificates reply".
        what: &'static str,
        /// What is wrong with it and what was wanted.
        problem: &'static str,
    },
    /// A peer understood and refused.
    Refused {
        /// The server and the operation, such as "EST simpleenroll".
        by: &'static str,
        /// The server's own code: an HTTP status or an MQTT reason code.
        code: u16,
        /// The next step for the engineer.
        hint: &'static str,
    },
    /// An OAuth server refused, with an error code of its own; [`crate::agent::Agent::words`] has its description.
    Denied {
        /// The operation, such as "token request".
        by: &'static str,
        /// The server's error code.
        code: OauthCode,
    },
    /// A step could not be carried out: the network, a server or a port of the board failed.
    Unreachable {
        /// What was being done, such as "EST cacerts" or "store".
        by: &'static str,
        /// What went wrong.
        problem: &'static str,
    },
    /// A certificate was not accepted by this device.
    Certificate {
        /// Which certificate, such as "issued certificate" or "TLS server's certificate".
        which: &'static str,
        /// Why.
        problem: CertProblem,
    },
    /// Something does not fit the memory lent for it.
    NoSpace {
        /// The thing that does not fit.
        what: &'static str,
        /// Its size in octets.
        wanted: usize,
    },
    /// The raw entropy source failed a health test of SP 800-90B; no key can be made.
    Entropy(EntropyFault),
    /// A stored record cannot be used; it was left as it is.
    Stored {
        /// The record.
        what: &'static str,
        /// Why it cannot be used.
        problem: &'static str,
    },
    /// A stored record was written by newer firmware; nothing may be overwritten.
    Newer {
        /// The record.
        what: &'static str,
    },
    /// A configuration value or a call is wrong: fix the firmware.
    Misuse(&'static str),
    /// Signing, key generation or another cryptographic operation failed.
    Crypto(&'static str),
}

/// Why a certificate or its path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CertProblem {
    /// It is not the DER of an X.509 v3 certificate that this crate can read.
    Unreadable,
    /// It carries a public key other than the device's own.
    WrongKey,
    /// No path leads from it to a configured trust anchor.
    UnknownIssuer,
    /// A signature on the path does not verify.
    BadSignature,
    /// A signature algorithm or key size on the path is not supported.
    UnsupportedAlgorithm,
    /// It is past its notAfter (seconds since 1970).
    Expired {
        /// notAfter of the certificate, or 0 where the path check did not say.
        not_after: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// It is before its notBefore (seconds since 1970).
    NotYetValid {
        /// notBefore of the certificate, or 0 where the path check did not say.
        not_before: u64,
        /// The time it was judged at.
        now: u64,
    },
    /// Its key usage or extended key usage does not allow this use.
    WrongPurpose,
    /// It does not name the host that was asked for.
    WrongName,
    /// An issuer on the path is not a certificate authority.
    NotAnAuthority,
    /// Its fingerprint is not the pinned one.
    WrongFingerprint,
    /// The peer sent no certificate or did not prove that it holds the key.
    Unproven,
    /// Another constraint of RFC 5280 on the path does not hold.
    Constraint,
}

/// Which health test the raw entropy source failed (SP 800-90B §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EntropyFault {
    /// Repetition count test: the source is stuck.
    Stuck,
    /// Adaptive proportion test: the source is biased.
    Biased,
    /// The source itself reported a failure.
    Source,
}

impl CertProblem {
    fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => "it is not a readable X.509 v3 certificate; check what the server sends",
            Self::WrongKey => "it carries a public key that is not this device's; the CA answered someone else's CSR",
            Self::UnknownIssuer => "no path leads to a trust anchor; add the issuing root to `Config::anchors`",
            Self::BadSignature => "a signature on its path does not verify; the chain is damaged or forged",
            Self::UnsupportedAlgorithm => {
                "its algorithm is not P-256, P-384 or RSA 2048 to 4096; issue another certificate"
            }
            Self::Expired { .. } => "it has expired; renew it on the server, or check the device's clock",
            Self::NotYetValid { .. } => "it is not yet valid; check the CA's and the device's clock",
            Self::WrongPurpose => {
                "its key usage or extended key usage forbids this use; fix the CA's certificate profile"
            }
            Self::WrongName => "it does not name the host that was asked for; fix `host` or the certificate's SAN",
            Self::NotAnAuthority => {
                "a certificate that is used as a CA's is none (basicConstraints, keyUsage); fix the chain"
            }
            Self::WrongFingerprint => "its SHA-256 is not the fingerprint pinned in the profile",
            Self::Unproven => "the peer did not prove that it holds the certificate's key; it may be an impostor",
            Self::Constraint => "a constraint of RFC 5280 on its path does not hold; inspect it with `openssl verify`",
        }
    }
}

impl Error {
    /// The same, where `octets` lie before what does not fit.
    pub(crate) const fn behind(self, octets: usize) -> Self {
        match self {
            Self::NoSpace { what, wanted } => Self::NoSpace { what, wanted: wanted.saturating_add(octets) },
            error => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what, problem } => write!(f, "{what}: {problem}"),
            Self::Refused { by, code, hint } => write!(f, "{by} refused with {code}: {hint}"),
            Self::Denied { by, code } => write!(f, "{by} refused with {}: {}", code.as_str(), code.hint()),
            Self::Unreachable { by, problem } => write!(f, "{by}: {problem}"),
            Self::Certificate { which, problem } => {
                write!(f, "{which}: {}", problem.advice())?;
                match problem {
                    CertProblem::Expired { not_after: t, now } if *t > 0 => write!(f, " (notAfter {t}, now {now})"),
                    CertProblem::NotYetValid { not_before: t, now } if *t > 0 => {
                        write!(f, " (notBefore {t}, now {now})")
                    }
                    _ => Ok(()),
                }
            }
            Self::NoSpace { what, wanted } => write!(f, "{what} needs {wanted} octets; lend more memory"),
            Self::Entropy(fault) => f.write_str(match fault {
                EntropyFault::Stuck => {
                    "entropy source is stuck (repetition count test); check the RNG clock and its error flags"
                }
                EntropyFault::Biased => {
                    "entropy source is biased (adaptive proportion test); check the RNG's supply and configuration"
                }
                EntropyFault::Source => "entropy source reported a failure; check the RNG's error flags",
            }),
            Self::Stored { what, problem } => write!(f, "stored {what}: {problem}"),
            Self::Newer { what } => write!(
                f,
                "stored {what} was written by newer firmware and is left untouched; install that firmware, or erase the flash partition"
            ),
            Self::Misuse(what) => f.write_str(what),
            Self::Crypto(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::string::{String, ToString};

    #[test]
    fn every_error_names_what_failed_and_a_next_step() {
        use CertProblem as P;
        let problems = [
            P::Unreadable,
            P::WrongKey,
            P::UnknownIssuer,
            P::BadSignature,
            P::UnsupportedAlgorithm,
            P::Expired { not_after: 5, now: 6 },
            P::NotYetValid { not_before: 8, now: 7 },
            P::WrongPurpose,
            P::WrongName,
            P::NotAnAuthority,
            P::WrongFingerprint,
            P::Unproven,
            P::Constraint,
        ];
        let certificates = problems.map(|problem| Error::Certificate { which: "issued certificate", problem });
        let others = [
            Error::Malformed { what: "EST cacerts", problem: "it is cut short" },
            Error::Refused { by: "EST simpleenroll", code: 403, hint: "check the device's registration" },
            Error::Denied { by: "token request", code: OauthCode::InvalidClient },
            Error::Unreachable { by: "store", problem: "flash is full" },
            Error::NoSpace { what: "the MQTT send buffer", wanted: 3029 },
            Error::Entropy(EntropyFault::Stuck),
            Error::Entropy(EntropyFault::Biased),
            Error::Entropy(EntropyFault::Source),
            Error::Stored { what: "credential", problem: "it is corrupt" },
            Error::Newer { what: "credential" },
            Error::Misuse("set `label`"),
            Error::Crypto("the generator is used up"),
        ];
        let texts: BTreeSet<String> = certificates.iter().chain(&others).map(ToString::to_string).collect();
        assert_eq!(texts.len(), certificates.len() + others.len(), "each says something else");
        let has = |text: &str| texts.iter().any(|told| told.contains(text));
        for text in [
            "issued certificate: it has expired",
            "(notAfter 5, now 6)",
            "(notBefore 8, now 7)",
            "EST cacerts: it is cut short",
            "EST simpleenroll refused with 403: check",
            "token request refused with invalid_client: client authentication failed; check",
            "store: flash is full",
            "3029 octets",
            "stored credential: it is corrupt",
            "install that firmware",
        ] {
            assert!(has(text), "{text}: {texts:#?}");
        }
        assert!(others.iter().chain(&certificates).all(|error| !error.to_string().is_empty()));
    }
}
