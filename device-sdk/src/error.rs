//! The one error of the SDK.

use core::fmt;
use identity_core::agent::step::Cause;

/// What went wrong, and where to look. `Copy`, never holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The core refused, or found a peer's message wanting.
    Core(identity_core::Error),
    /// A port of the board failed.
    Port {
        /// Which: "keys", "store", "net".
        port: &'static str,
        /// Is it worth waiting?
        cause: Cause,
        /// What the port says to fix.
        hint: &'static str,
    },
    /// The peer did not answer in time.
    Timeout {
        /// What was awaited.
        what: &'static str,
        /// How long, in milliseconds.
        after_ms: u32,
    },
    /// The peer closed or reset the connection.
    Closed {
        /// What was going on.
        during: &'static str,
    },
    /// TLS failed: the peer broke the protocol or sent an alert.
    Tls {
        /// What happened.
        what: &'static str,
        /// The alert's number (RFC 8446 §6), 0 if none.
        alert: u8,
    },
    /// The broker refused.
    Broker {
        /// What it refused: "CONNECT", "PUBLISH", "SUBSCRIBE", "session".
        what: &'static str,
        /// MQTT reason code (MQTT 5 §2.4) or 3.1.1 return code.
        reason: u8,
        /// The next step for the engineer.
        hint: &'static str,
    },
    /// The link ended on purpose: a credential is due for renewal, or the time is to be learnt; call `online()` again.
    Due,
}

impl Error {
    /// An error of a port.
    pub fn port<E: crate::ports::PortError>(port: &'static str, error: &E) -> Self {
        Self::Port { port, cause: error.cause(), hint: error.hint() }
    }
}

impl From<identity_core::Error> for Error {
    fn from(error: identity_core::Error) -> Self {
        Self::Core(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::Port { port, hint, .. } => write!(f, "{port} of the board failed: {hint}"),
            Self::Timeout { what, after_ms } => {
                write!(f, "no {what} within {after_ms} ms; check host, port and network")
            }
            Self::Closed { during } => write!(f, "the peer closed the connection during {during}"),
            Self::Tls { what, alert: 0 } => write!(f, "TLS: {what}"),
            Self::Tls { what, alert } => write!(f, "TLS: {what} (alert {alert})"),
            Self::Broker { what, reason, hint } => write!(f, "broker refused {what} with {reason:#04x}: {hint}"),
            Self::Due => f.write_str("a credential or the time is due for renewal; call `online()` again"),
        }
    }
}

impl core::error::Error for Error {}
