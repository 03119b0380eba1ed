//! Everything the guard and the framing refuse, and the error each becomes.

use identity_core::error::CertProblem;

use crate::Error;

/// Why a connection was broken off. The order of the plain ones is their code on the mailbox and in notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not a fault: the header of a record is there, as the peek asked.
    Peeked,
    /// The deadline passed.
    TimedOut,
    /// The peer closed the stream.
    Ended,
    /// The stream of the `Net` port reported an error.
    Stream,
    /// An alert, with its number (RFC 8446 §6).
    Alert(u8),
    /// A record of this many octets does not fit the receive buffer.
    NoRoom(u32),
    /// See [`Fault::what`] for these.
    NotTls,
    TooLong,
    TooShort,
    PlainRecord,
    PlainMessage,
    ChangeCipherSpec,
    Retry,
    EmptyInner,
    InnerType,
    Split,
    Unexpected,
    AfterHandshake,
    KeyUpdate,
}

/// The faults without a detail, by code; code 0 is none, 1 is an alert, 2 is no room.
const PLAIN: [Fault; 17] = [
    Fault::Peeked,
    Fault::TimedOut,
    Fault::Ended,
    Fault::Stream,
    Fault::NotTls,
    Fault::TooLong,
    Fault::TooShort,
    Fault::PlainRecord,
    Fault::PlainMessage,
    Fault::ChangeCipherSpec,
    Fault::Retry,
    Fault::EmptyInner,
    Fault::InnerType,
    Fault::Split,
    Fault::Unexpected,
    Fault::AfterHandshake,
    Fault::KeyUpdate,
];

impl Fault {
    /// A code of 1 or more, and a detail.
    pub(super) fn encode(self) -> (u8, u32) {
        match self {
            Self::Alert(number) => (1, u32::from(number)),
            Self::NoRoom(wanted) => (2, wanted),
            plain => (PLAIN.iter().position(|other| *other == plain).map_or(3, |at| at as u8 + 3), 0),
        }
    }

    /// The reverse of `encode`.
    pub(super) fn decode(code: u8, alert: u8, wanted: u32) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::Alert(alert)),
            2 => Some(Self::NoRoom(wanted)),
            _ => PLAIN.get(usize::from(code - 3)).copied(),
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::NotTls => "the peer does not speak TLS on this port; check host and port",
            Self::TooLong => "a record is longer than RFC 8446 allows (2^14 + 256 octets)",
            Self::TooShort => "a record is empty or too short to be sealed",
            Self::PlainRecord => "an unsealed record where only sealed ones are allowed",
            Self::PlainMessage => "the first message is not one whole ServerHello",
            Self::ChangeCipherSpec => "a malformed or late change_cipher_spec",
            Self::Retry => {
                "the server asks for a second ClientHello (HelloRetryRequest); enable P-256 (secp256r1) on it"
            }
            Self::EmptyInner => "a sealed record without content type",
            Self::InnerType => "a sealed record of an unknown content type",
            Self::Split => {
                "a handshake message is split over records, which is not supported; shorten the server's chain"
            }
            Self::Unexpected => "an unexpected or malformed handshake message",
            Self::AfterHandshake => "a handshake message after the handshake that is not supported",
            Self::KeyUpdate => "the server asks for a key update, which is not supported; connect again",
            Self::Peeked | Self::TimedOut | Self::Ended | Self::Stream | Self::Alert(_) | Self::NoRoom(_) => "",
        }
    }

    /// The error of the SDK, for an operation called `during` that was given `after_ms`.
    pub(super) const fn error(self, during: &'static str, after_ms: u32) -> Error {
        match self {
            Self::TimedOut => Error::Timeout { what: during, after_ms },
            Self::Peeked | Self::Ended | Self::Stream => Error::Closed { during },
            Self::Alert(number) => Error::Tls { what: alert(number), alert: number },
            Self::NoRoom(wanted) => {
                Error::Core(identity_core::Error::NoSpace { what: "the TLS receive buffer", wanted: wanted as usize })
            }
            _ => Error::Tls { what: self.what(), alert: 0 },
        }
    }
}

/// What an alert of the server means for the engineer. RFC 8446 §6.2.
pub(super) const fn alert(number: u8) -> &'static str {
    match number {
        0 => "the server closed during the handshake",
        40 => {
            "the server found no common parameters; allow TLS 1.3, AES-128-GCM-SHA256, P-256 and its certificate's signature"
        }
        42..=46 | 48 | 49 | 116 => CLIENT_REFUSED,
        51 => {
            "the server found a signature that does not verify; check the client's certificate, its issuer and its key"
        }
        70 => "the server does not speak TLS 1.3; enable it there",
        112 => "the server does not know this host name",
        120 => "the server knows none of the offered ALPN protocols",
        _ => "the server sent an alert",
    }
}

/// What a certificate alert is reported as.
pub(super) const CLIENT_REFUSED: &str = "server refused the client certificate";

/// The subject of a certificate error.
pub(super) const WHICH: &str = "TLS server's certificate";

/// The server did not prove who it is.
pub(super) const UNPROVEN: Error = certificate(CertProblem::Unproven);

/// The server's certificate is refused.
pub(super) const fn certificate(problem: CertProblem) -> Error {
    Error::Core(identity_core::Error::Certificate { which: WHICH, problem })
}
