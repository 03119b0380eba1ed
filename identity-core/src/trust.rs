//! Whom the device trusts to name servers and to certify it.

use crate::x509::cert::Certificate;
use crate::x509::der_certificates;

/// Trust anchors: DER certificates in firmware, and those fetched by the device (concatenated DER).
///
/// What is configured is an anchor as it is. An EST server sends its roots and, it may be, the intermediates below them
/// (RFC 7030 §4.1.3): of the fetched ones only those that are self-issued (issuer and subject are the same octets) are
/// anchors, the others merely help to build a path. Only if none is self-issued, as when a subordinate CA was pinned and
/// its root is not published, all of them are anchors: the server that named them was authenticated.
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
        let rooted = self.rooted();
        let fetched = der_certificates(self.fetched).filter(move |der| !rooted || self_issued(der));
        self.configured.iter().copied().chain(fetched)
    }

    /// The fetched certificates that are no anchors: CAs that may lie on a path to one.
    pub fn intermediates(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let rooted = self.rooted();
        der_certificates(self.fetched).filter(move |der| rooted && !self_issued(der))
    }

    fn rooted(&self) -> bool {
        der_certificates(self.fetched).any(self_issued)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

fn self_issued(der: &[u8]) -> bool {
    Certificate::parse(der).is_ok_and(|certificate| certificate.is_self_issued())
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
