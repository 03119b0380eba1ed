//! How the EST server is set up, and how it can be made to misbehave.

use crate::ca::{DAY, Flaw};
use crate::http::Delivery;

/// What an EST server is asked for (RFC 7030 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// CA certificates, §4.1.
    CaCerts,
    /// What a request should contain, §4.5.
    CsrAttrs,
    /// First certificate, §4.2.1.
    SimpleEnroll,
    /// Renewal, §4.2.2.
    SimpleReenroll,
}

/// How an EST server is set up.
#[derive(Clone, Debug)]
pub struct EstOptions {
    /// Labels served (RFC 7030 §3.2.2); any if none is named. Paths without a label are always served.
    pub labels: Vec<String>,
    /// Base64 in lines of 76 characters (RFC 2045), or in one line (RFC 8951 §3.1).
    pub line_breaks: bool,
    /// Reply to `/csrattrs`.
    pub attributes: CsrAttrs,
    /// Accept client certificates of the authority, or of the factory.
    pub certificates: bool,
    /// HTTP credentials accepted.
    pub grants: Vec<Grant>,
    /// Whether a person must approve.
    pub approval: Approval,
    /// What 202 carries.
    pub retry_after: RetryAfter,
    /// Seconds for which certificates are issued.
    pub lifetime: u64,
    /// Seconds in which a request for the same key and subject gets the same certificate: clients ask at least once.
    pub repeat_window: u64,
}

impl Default for EstOptions {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            line_breaks: true,
            attributes: CsrAttrs::NoContent,
            certificates: true,
            grants: Vec::new(),
            approval: Approval::None,
            retry_after: RetryAfter::Seconds(1),
            lifetime: 90 * DAY,
            repeat_window: 3600,
        }
    }
}

/// Reply to `/csrattrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CsrAttrs {
    /// 204: nothing is asked for.
    NoContent,
    /// 404: not served.
    NotFound,
    /// An empty sequence.
    Empty,
    /// Object identifiers.
    Oids(Vec<Vec<u64>>),
    /// Any DER.
    Der(Vec<u8>),
}

/// An HTTP credential that may enrol.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Value of the Authorization header.
    pub authorization: String,
    /// Good for one key only: the first to get a certificate with it.
    pub once: bool,
    pub(crate) used_by: Option<Vec<u8>>,
}

impl Grant {
    /// User and password (RFC 7617).
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        let encoded = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
        Self { authorization: format!("Basic {encoded}"), once: false, used_by: None }
    }

    /// A bearer token (RFC 6750).
    #[must_use]
    pub fn bearer(token: &str) -> Self {
        Self { authorization: format!("Bearer {token}"), once: false, used_by: None }
    }

    /// The same, good for one key.
    #[must_use]
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// Whether a person must approve an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// No.
    None,
    /// The request is answered with 202 so many times.
    After(u32),
    /// Until [`crate::est::EstServer::approve`] is called.
    ByCall,
}

/// Retry-After (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// In seconds.
    Seconds(u64),
    /// So many seconds from now, written as a date.
    Date(u64),
    /// Left out, against the standard.
    Missing,
}

/// What an EST server can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// CMS cut to two thirds, then base64.
    Truncated,
    /// 400 certificates too many: some 180 KiB.
    OverLong,
    /// DER as it is, where base64 is due.
    NotBase64,
    /// Base64 with a foreign character in the middle.
    BrokenBase64,
    /// text/html
    WrongContentType,
    /// No Content-Type.
    NoContentType,
    /// 200 without body.
    EmptyBody,
    /// A certs-only message without a certificate.
    NoCertificate,
    /// A certificate that must be refused.
    Certificate(Flaw),
    /// This status instead of a reply; 401 with WWW-Authenticate.
    Status(u16),
    /// This status, with a page of 100 KiB for people.
    Page(u16),
    /// 503.
    Busy(RetryAfter),
    /// 202, whatever comes.
    Pending(RetryAfter),
    /// 302 to another host.
    Redirect,
    /// The right reply, delivered badly.
    Delivery(Delivery),
}

/// A fault, where and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection {
    pub(crate) on: Operation,
    pub(crate) fault: Fault,
    pub(crate) times: u32,
}
