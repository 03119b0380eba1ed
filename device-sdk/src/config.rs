//! What the firmware says about the device, its backend and its connection; and the RAM it lends.

use identity_core::memory;
use zeroize::Zeroize;

use crate::net::mqtt::Will;
use crate::net::tls::{RECEIVE, SEND};

/// Everything a [`Device`](crate::Device) needs to know; a `static` in firmware.
#[derive(Clone, Copy)]
pub struct Config {
    /// Identity and backend.
    pub identity: identity_core::config::Config,
    /// SNTP servers, asked in turn when the board has no clock; empty: time is never before the floor, and that is all
    /// that is known. A link ends for it, daily while none answers, else monthly.
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

/// The device's RAM, lent: no heap. Sizes in octets, checked at compile time; TLS takes [`RECEIVE`] and [`SEND`] more, and the
/// agent 8,192.
///
/// - `REPLY`: the largest body a server may send; at least 4,096.
/// - `TOKENS`: what OAuth takes, 0 without a token source; see [`memory::Memory`].
/// - `INBOX`: the head of an HTTP message and MQTT packets that arrive; at least 1,024. A token need not fit.
/// - `OUTBOX`: the largest MQTT packet that is sent, 10 more than topic and payload, and a DPoP proof; at least 512. A token need
///   not fit.
pub struct Memory<
    const REPLY: usize = 6144,
    const TOKENS: usize = 0,
    const INBOX: usize = 2048,
    const OUTBOX: usize = 1024,
> {
    agent: memory::Memory<REPLY, TOKENS>,
    receive: [u8; RECEIVE],
    send: [u8; SEND],
    inbox: [u8; INBOX],
    outbox: [u8; OUTBOX],
}

/// The areas of the connection, lent.
pub(crate) struct Areas<'m> {
    pub(crate) receive: &'m mut [u8],
    pub(crate) send: &'m mut [u8],
    pub(crate) inbox: &'m mut [u8],
    pub(crate) outbox: &'m mut [u8],
    /// An exchange is under way; before one: the last was dropped.
    pub(crate) torn: bool,
}

impl<const REPLY: usize, const TOKENS: usize, const INBOX: usize, const OUTBOX: usize>
    Memory<REPLY, TOKENS, INBOX, OUTBOX>
{
    const LARGE_ENOUGH: () =
        assert!(INBOX >= 1024 && OUTBOX >= 512, "Memory: INBOX must be at least 1024 octets and OUTBOX at least 512");

    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::LARGE_ENOUGH;
        Self {
            agent: memory::Memory::new(),
            receive: [0; RECEIVE],
            send: [0; SEND],
            inbox: [0; INBOX],
            outbox: [0; OUTBOX],
        }
    }

    pub(crate) const fn lend(&mut self) -> (memory::Lent<'_>, Areas<'_>) {
        let Self { agent, receive, send, inbox, outbox } = self;
        (agent.lend(), Areas { receive, send, inbox, outbox, torn: false })
    }
}

impl<const REPLY: usize, const TOKENS: usize, const INBOX: usize, const OUTBOX: usize> Default
    for Memory<REPLY, TOKENS, INBOX, OUTBOX>
{
    fn default() -> Self {
        Self::new()
    }
}

impl Areas<'_> {
    /// Overwrites what TLS left.
    pub(crate) fn wipe(&mut self) {
        self.receive.zeroize();
        self.send.zeroize();
    }
}

/// The RAM of a second connection, lent to [`Device::with_second_socket`](crate::Device::with_second_socket): [`RECEIVE`] and
/// [`SEND`] for TLS, `INBOX` octets for the heads of HTTP messages, at least 1,024.
pub struct SideMemory<const INBOX: usize = 2048> {
    receive: [u8; RECEIVE],
    send: [u8; SEND],
    inbox: [u8; INBOX],
}

impl<const INBOX: usize> SideMemory<INBOX> {
    const LARGE_ENOUGH: () = assert!(INBOX >= 1024, "SideMemory: INBOX must be at least 1024 octets");

    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::LARGE_ENOUGH;
        Self { receive: [0; RECEIVE], send: [0; SEND], inbox: [0; INBOX] }
    }

    pub(crate) const fn lend(&mut self) -> Areas<'_> {
        let Self { receive, send, inbox } = self;
        Areas { receive, send, inbox, outbox: &mut [], torn: false }
    }
}

impl<const INBOX: usize> Default for SideMemory<INBOX> {
    fn default() -> Self {
        Self::new()
    }
}
