//! The whole vocabulary between the core and its driver.

use crate::keys::{Digest, PublicKey, Signature, Slot};
use crate::record::Record;
use crate::time::{Instant, UnixTime};
use crate::trust::Trust;

/// What the driver is to do next. Borrows last for this step only.
///
/// Effects happen at least once: after a reset the same step may be asked again.
#[allow(clippy::large_enum_variant, reason = "no heap to box in; a step lives on the stack for one turn of the loop")]
pub enum Step<'a> {
    /// Read a record: answer [`Outcome::Loaded`] or [`Outcome::Absent`].
    Load {
        /// Which record.
        record: Record,
        /// Where to put it.
        into: &'a mut [u8],
    },
    /// Write a record, atomically under power cut: answer [`Outcome::Done`].
    Store {
        /// Which record.
        record: Record,
        /// Its new contents.
        bytes: &'a [u8],
    },
    /// Give the public point of the key in a slot: answer [`Outcome::Done`] or [`Outcome::Absent`].
    Public {
        /// Which key.
        slot: Slot,
        /// Where to put it.
        into: &'a mut PublicKey,
    },
    /// Make a new key in a slot, lose the old one, make it durable: answer [`Outcome::Done`].
    Generate {
        /// Which key.
        slot: Slot,
        /// Where to put the public point.
        into: &'a mut PublicKey,
    },
    /// Sign a digest: answer [`Outcome::Done`].
    Sign {
        /// Which key.
        slot: Slot,
        /// SHA-256 of the message.
        digest: &'a Digest,
        /// Where to put the signature.
        into: &'a mut Signature,
    },
    /// Destroy the key of a slot for good: answer [`Outcome::Done`].
    Destroy {
        /// Which key.
        slot: Slot,
    },
    /// One request and its awaited reply: answer [`Outcome::Reply`].
    Exchange {
        /// The request.
        request: Request<'a>,
        /// Where to put the body of the reply, transfer coding removed.
        into: &'a mut [u8],
    },
    /// Nothing to do before this instant. Answer nothing, or [`Outcome::Done`]; poll again then.
    Idle {
        /// When to poll again.
        until: Instant,
    },
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The record was read; its length in octets.
    Loaded(usize),
    /// There is no such record or key.
    Absent,
    /// The server replied.
    Reply(Reply),
    /// It failed.
    Failed(Failure),
}

/// Why a step failed, as far as the agent needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether waiting may mend it.
    pub cause: Cause,
    /// What it was, for the status.
    pub error: crate::Error,
}

/// Whether waiting may mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause {
    /// Wait and try again.
    Transient,
    /// A person is needed; trying again is pointless before something changes.
    Permanent,
}

/// HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

/// One HTTPS request. The driver adds Host, Content-Length and the TLS connection.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it is for, for logs and errors: "EST simpleenroll".
    pub purpose: &'static str,
    /// The method.
    pub method: Method,
    /// Server name, for DNS and for the certificate check.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// Path and query, from the first slash.
    pub path: &'a str,
    /// Accept header.
    pub accept: &'static str,
    /// Content-Type header; empty when there is no body.
    pub content_type: &'static str,
    /// Content-Transfer-Encoding: base64 is sent when set (RFC 7030 §4.2.1 wants it, RFC 8951 has it ignored).
    pub base64: bool,
    /// Authorization header.
    pub authorization: Authorization<'a>,
    /// Body, empty for GET.
    pub body: &'a [u8],
    /// How the server is authenticated.
    pub trust: Trust<'a>,
    /// What validity is judged against.
    pub judge: crate::time::Judge,
    /// The client certificate to present, if any.
    pub client: Option<ClientIdentity<'a>>,
}

/// A key and the certificate issued for it, to present in TLS.
#[derive(Clone, Copy)]
pub struct ClientIdentity<'a> {
    /// The key.
    pub slot: Slot,
    /// Its certificate, DER, leaf only.
    pub certificate: &'a [u8],
}

/// Authorization header of a request.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// None.
    None,
    /// HTTP basic (RFC 7617).
    Basic {
        /// User name; no colon.
        user: &'a str,
        /// Password.
        password: crate::config::Secret<'a>,
    },
    /// Bearer token (RFC 6750).
    Bearer(crate::config::Secret<'a>),
}

/// The head of an HTTP reply; the body is in the buffer of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Media type of the body.
    pub media: Media,
    /// Retry-After, if any and readable.
    pub retry_after: Option<RetryAfter>,
    /// Date, if any and readable.
    pub date: Option<UnixTime>,
    /// Length of the body in octets.
    pub length: usize,
}

/// Media types the core knows; parameters are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// application/pkcs7-mime
    Pkcs7,
    /// application/csrattrs
    CsrAttrs,
    /// application/json and application/*+json
    Json,
    /// Any other.
    Other,
    /// No Content-Type.
    Absent,
}

/// Retry-After (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    Seconds(u32),
    /// At a wall time.
    At(UnixTime),
}
