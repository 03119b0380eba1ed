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
    /// Seal the first `length` octets of `octets` in place and write them, atomically under power cut: answer
    /// [`Outcome::Done`]. There is room for [`crate::crypto::SEAL_OVERHEAD`] octets more. A record that
    /// [`Record::is_sealed`] is opened again when it is loaded.
    StoreSealed {
        /// Which record.
        record: Record,
        /// Its new contents, and room.
        octets: &'a mut [u8],
        /// Octets of the contents.
        length: usize,
    },
    /// Erase a record; fine if there is none: answer [`Outcome::Done`].
    Erase {
        /// Which record.
        record: Record,
    },
    /// Fill with octets of the health-tested generator: answer [`Outcome::Done`].
    Random {
        /// Where to put them.
        into: &'a mut [u8; RANDOM],
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
        /// Where to put the value of DPoP-Nonce, if the reply has that field.
        nonce: &'a mut Nonce,
    },
    /// Nothing to do before this instant. Answer nothing, or [`Outcome::Done`]; poll again then.
    Idle {
        /// When to poll again.
        until: Instant,
    },
}

/// Octets of [`Step::Random`]: three identifiers of 16 octets.
pub const RANDOM: usize = 48;

/// A nonce of a server, for DPoP proofs (RFC 9449 §8). Not secret. Longer ones than 128 octets are not kept.
#[derive(Clone, Default)]
pub struct Nonce(heapless::String<128>);

impl Nonce {
    /// None yet.
    pub const NONE: Self = Self(heapless::String::new());

    /// Keeps the value of a DPoP-Nonce field, if it is made of NQCHAR (RFC 9449 §8.1) and not too long.
    pub fn set(&mut self, value: &[u8]) {
        let nqchar = |octet: &u8| matches!(octet, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if let Some(text) = core::str::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(nqchar)) {
            self.0.clear();
            if self.0.push_str(text).is_err() {
                self.0.clear();
            }
        }
    }

    /// The nonce, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }
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
    /// PUT
    Put,
    /// DELETE
    Delete,
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
    /// DPoP header: a proof of possession (RFC 9449 §4.1), if any.
    pub proof: Option<&'a str>,
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
    /// Token that is bound to a key (RFC 9449 §7.1); the request carries a proof.
    Dpop(crate::config::Secret<'a>),
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
    /// What the server says of the token, by WWW-Authenticate.
    pub challenge: Challenge,
    /// Length of the body in octets.
    pub length: usize,
}

/// The error that a WWW-Authenticate field names (RFC 6750 §3, RFC 9449 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    /// None, or another.
    #[default]
    None,
    /// `invalid_token`
    InvalidToken,
    /// `insufficient_scope`
    InsufficientScope,
    /// `use_dpop_nonce`
    UseDpopNonce,
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
