//! What the firmware says about the device and its backend.

use crate::enrol::Enrol;
use crate::session::Session;
use crate::time::UnixTime;
use crate::x509::csr::{Subject, SubjectAlt};

/// A secret lent to the core: no `Debug`, no comparison.
#[derive(Clone, Copy)]
pub struct Secret<'a>(&'a str);

impl<'a> Secret<'a> {
    /// Wraps a secret.
    #[must_use]
    pub const fn new(secret: &'a str) -> Self {
        Self(secret)
    }

    /// The secret itself, to be written to the wire and nowhere else.
    #[must_use]
    pub const fn reveal(&self) -> &'a str {
        self.0
    }
}

/// A backend: how credentials are obtained and how to log in.
#[derive(Clone, Copy)]
pub struct Profile {
    /// How credentials are obtained.
    pub enrol: &'static dyn Enrol,
    /// How to log in to the broker.
    pub session: &'static dyn Session,
}

/// Everything an [`crate::agent::Agent`] needs to know; lives for the life of the device.
#[derive(Clone, Copy)]
pub struct Config {
    /// The backend.
    pub profile: Profile,
    /// Subject of the CSR of a first enrolment. A renewal keeps the names that the CA gave (RFC 7030 §4.2.2).
    pub subject: Subject<'static>,
    /// Subject alternative names of the CSR of a first enrolment.
    pub names: &'static [SubjectAlt<'static>],
    /// DER certificates trusted from the factory.
    pub anchors: &'static [&'static [u8]],
    /// When this firmware was built: time is never before it.
    pub built: UnixTime,
}
