//! What the firmware says about the device, its backend and its connection; and the RAM it lends.

use identity_core::memory;

use crate::net::mqtt::Will;
use crate::net::tls::{RECEIVE, SEND};

/// Octets for the head of an HTTP message, and for the MQTT packets that arrive.
pub const INBOX: usize = 2_048;
/// Octets for an MQTT packet that is sent.
pub const OUTBOX: usize = 1_024;

/// Everything a [`Device`](crate::Device) needs to know; a `static` in firmware.
#[derive(Clone, Copy)]
pub struct Config {
    /// Identity and backend.
    pub identity: identity_core::config::Config,
    /// SNTP servers, asked in turn when the board has no clock; empty: time is never before the floor, and that is all
    /// that is known.
    pub time_servers: &'static [TimeServer],
    /// What the broker publishes when the device vanishes.
    pub will: Option<Will<'static>>,
}

/// An SNTP server. It is not authenticated: it can only mislead about validity, and never to before the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeServer {
    /// Name or address.
    pub host: &'static str,
    /// UDP port; 123 by the standard.
    pub port: u16,
}

/// The device's RAM, lent: no heap. `REPLY` octets for the largest body a server may send, [`RECEIVE`] and [`SEND`] for TLS,
/// [`INBOX`] and [`OUTBOX`] for HTTP and MQTT, 8,192 for what the agent keeps.
/// `TOKENS` octets for OAuth (see [`memory::Memory`]).
pub struct Memory<const REPLY: usize = 6144, const TOKENS: usize = 0> {
    pub(crate) agent: memory::Memory<REPLY, TOKENS>,
    pub(crate) areas: Areas,
}

/// The areas of a connection: [`RECEIVE`] + [`SEND`] + [`INBOX`] + [`OUTBOX`] octets.
pub struct Areas {
    pub(crate) receive: [u8; RECEIVE],
    pub(crate) send: [u8; SEND],
    pub(crate) inbox: [u8; INBOX],
    pub(crate) outbox: [u8; OUTBOX],
}

impl Areas {
    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        Self { receive: [0; RECEIVE], send: [0; SEND], inbox: [0; INBOX], outbox: [0; OUTBOX] }
    }
}

impl Default for Areas {
    fn default() -> Self {
        Self::new()
    }
}

impl<const REPLY: usize, const TOKENS: usize> Memory<REPLY, TOKENS> {
    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        Self { agent: memory::Memory::new(), areas: Areas::new() }
    }
}

impl<const REPLY: usize, const TOKENS: usize> Default for Memory<REPLY, TOKENS> {
    fn default() -> Self {
        Self::new()
    }
}
