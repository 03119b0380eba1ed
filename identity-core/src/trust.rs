//! Whom the device trusts to name servers and to certify it.

use crate::x509::der_certificates;

/// Trust anchors: DER certificates in firmware, and those fetched by the device (concatenated DER).
#[derive(Clone, Copy, Default)]
pub struct Anchors<'a> {
    /// From `Config::anchors`.
    pub configured: &'a [&'a [u8]],
    /// From the stored anchors record; DER certificates one after another.
    pub fetched: &'a [u8],
}

impl<'a> Anchors<'a> {
    /// Every anchor as one DER certificate.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.configured.iter().copied().chain(der_certificates(self.fetched))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// How the server of an exchange is authenticated.
#[derive(Clone, Copy)]
pub enum Trust<'a> {
    /// Its chain must lead to one of these anchors, and name the host.
    Anchors(Anchors<'a>),
    /// Not at all: only for fetching CA certificates that are then held against a pinned fingerprint (RFC 7030 §4.1.1).
    /// Such an exchange carries no credential.
    Provisional,
}
