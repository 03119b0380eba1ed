//! TLS 1.3 client behind a seam, on embedded-tls.
//!
//! [`Secure::open`] gives a connection to a server that has proved who it is, or an error that says why not. Layers, from
//! the wire up:
//!
//! - `framing`: reads record headers itself, refuses illegal records, bounds each wait by a deadline, counts octets, and
//!   makes waiting for the next record cancel-safe.
//! - embedded-tls: key schedule and handshake.
//! - `guard`: the AEAD given to embedded-tls; looks at each opened record, and lets through only what embedded-tls takes
//!   without a panic.
//! - `verifier`: path, name and purpose by the core; the signature over this handshake; and the latch: embedded-tls accepts
//!   a peer that sends no Certificate at all, so [`Secure::open`] fails unless certificate and signature were both verified.
//!
//! # What it does not do
//!
//! TLS 1.3 only, TLS_AES_128_GCM_SHA256, key share on P-256 only; no HelloRetryRequest, resumption, 0-RTT, key update or
//! post-handshake authentication: a peer that asks for one is refused with an error that says so. The client sends its leaf
//! certificate only. Handshake messages must not be split over records. Ed25519 is in the ClientHello (embedded-tls gives
//! no way to leave it out) but not verified. The server's choice of ALPN protocol is not checked: embedded-tls does not give
//! it away; a server that does not know the offered ones is to answer with an alert (RFC 7301 §3.2). A server is refused by
//! closing the connection, without an alert. A CertificateRequest that names a signature scheme unknown to embedded-tls is
//! refused as malformed.

mod fault;
mod framing;
mod guard;
mod mailbox;
mod provider;
mod verifier;

use core::net::IpAddr;

use embedded_io_async::{Read, Write};
use embedded_tls::{TlsConfig, TlsConnection, TlsContext, TlsError};
use identity_core::agent::step::ClientIdentity;
use identity_core::error::Error as CoreError;
use identity_core::time::{Instant, Judge};
use identity_core::trust::Trust;

use crate::Error;
use crate::net::transport::Transport;
use crate::ports::{Clock, KeyStore};
use fault::{Fault, alert};
use framing::Framing;
use guard::Guarded;
use mailbox::Mailbox;
use provider::Provider;
use verifier::Verifier;

/// Octets of a receive buffer that takes every legal record: 2^14 + 256.
pub const RECEIVE: usize = 16_640;
/// Octets of a send buffer that takes a ClientHello and a client certificate of up to 3.3 KB.
pub const SEND: usize = 4_096;
/// The least send buffer.
const SEND_MIN: usize = 1_536;
/// Octets of the send buffer that hold a small record while it arrives, so that waiting for it can be cancelled.
const HOLD: usize = 512;
/// The largest send buffer that is used: a whole record of 2^14 octets, and what embedded-tls keeps free.
const SEND_MAX: usize = (1 << 14) + 128 + mailbox::MAILBOX + HOLD;
/// Longest wait for the alert of a server that closed the connection, in milliseconds: it is here already, or lost.
const LAST_WORD_MS: u64 = 200;
/// For errors.
const HANDSHAKE: &str = "TLS handshake";
const SHOWN: &str = "the server closed the connection once it was shown the client certificate; look into its log, it may have \
                     refused it";
const READ: &str = "TLS read";
const WRITE: &str = "TLS write";

/// Memory lent to a connection.
pub struct Buffers<'b> {
    /// At least as large as the largest record of the server; [`RECEIVE`] is safe.
    pub receive: &'b mut [u8],
    /// Octets of a sent record, and 665; [`SEND`] is a good size.
    pub send: &'b mut [u8],
}

/// Whom to talk to, and as whom.
#[derive(Clone, Copy)]
pub struct Peer<'a> {
    /// The name that the certificate must carry; sent as SNI unless it is an address.
    pub host: &'a str,
    /// How the server is authenticated. [`Trust::Provisional`] skips path and name, but the server still must sign.
    pub trust: Trust<'a>,
    /// The client certificate and key, if the server is to be shown one.
    pub client: Option<ClientIdentity<'a>>,
    /// ALPN protocols to offer (RFC 7301), such as `b"mqtt"`; none if empty.
    pub alpn: &'a [&'a [u8]],
    /// What validity is judged against.
    pub judge: Judge,
}

/// A connection to a server that proved who it is.
pub struct Secure<'b, S: Read + Write + 'b, C: Clock> {
    tls: TlsConnection<'b, Framing<'b, S, C>, Guarded>,
    mail: Mailbox<'b>,
    clock: &'b C,
    /// Octets of the current record that the application has not taken yet.
    left: usize,
    state: State,
}

/// What may be done with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// All.
    Open,
    /// Nothing: a read or write is under way, or was dropped half way.
    Busy,
    /// Write only: the server sent close_notify.
    Ended,
    /// Nothing: it failed.
    Dead,
}

impl<'b, S: Read + Write + 'b, C: Clock> Secure<'b, S, C> {
    /// Connects over `stream`, at most for `limit_ms` milliseconds. Signing and certificate checks are computed in
    /// between and may overrun it.
    ///
    /// # Errors
    /// [`Error::Core`] with a certificate problem if the server is not who it should be; [`Error::Tls`] if it breaks the
    /// protocol or sends an alert; [`Error::Timeout`], [`Error::Closed`]; [`Error::Port`] if the key store fails.
    pub async fn open<K: KeyStore>(
        stream: S,
        clock: &'b C,
        buffers: Buffers<'b>,
        peer: Peer<'_>,
        keys: &mut K,
        limit_ms: u32,
    ) -> Result<Self, Error> {
        let no_space = Error::Core(CoreError::NoSpace { what: "the TLS send buffer", wanted: SEND_MIN });
        let most = buffers.send.len().min(SEND_MAX);
        let send = buffers.send.get_mut(..most).filter(|send| send.len() >= SEND_MIN).ok_or(no_space)?;
        let (mail, send) = Mailbox::cut(send).ok_or(no_space)?;
        let (hold, send) = send.split_at_mut_checked(HOLD).ok_or(no_space)?;
        mail.set_deadline(clock.now().after_ms(limit_ms.into()));

        let verifier = Verifier::new(peer.host, peer.trust, peer.judge, HANDSHAKE, limit_ms);
        let mut provider = Provider::new(keys, peer.client, verifier)?;
        let mut config = TlsConfig::new().enable_rsa_signatures();
        if peer.host.parse::<IpAddr>().is_err() {
            config = config.with_server_name(peer.host);
        }
        if !peer.alpn.is_empty() {
            config = config.with_alpn(peer.alpn);
        }
        let framing = Framing::new(stream, clock, mail, hold, buffers.receive.len());
        let mut tls = TlsConnection::new(framing, buffers.receive, send);
        let opened = tls.open(TlsContext::new(&config, &mut provider)).await;

        // The device's own failure first, then the refusal of the server, then what the framing saw, then embedded-tls.
        if let Some(error) = provider.failed().or(provider.verifier.refusal()) {
            return Err(error);
        }
        if let Err(error) = opened {
            // its alert, if it sent one, is under keys that embedded-tls does not have yet
            return Err(match explain(error, mail.take_fault(), HANDSHAKE, limit_ms) {
                Error::Closed { .. } if provider.shown() => Error::Tls { what: SHOWN, alert: 0 },
                error => error,
            });
        }
        provider.verifier.proven()?;
        mail.set_open();
        Ok(Self { tls, mail, clock, left: 0, state: State::Open })
    }

    /// Waits until a read will answer at once (data, or the end), or `until` passes; takes session tickets out of the way.
    /// Cancel-safe: a dropped wait loses nothing.
    ///
    /// Of a record longer than 512 octets only the start is awaited.
    ///
    /// # Errors
    /// If the connection failed, or the server sent an alert: see [`Secure::read`].
    pub async fn readable(&mut self, until: Instant) -> Result<bool, Error> {
        let now = self.clock.now();
        let limit = span(now, until);
        // time for a look, even if `until` is now: what is there already is to be found
        let soonest = until.max(now.after_ms(1));
        loop {
            match self.state {
                State::Ended => return Ok(true),
                State::Open if self.left > 0 => return Ok(true),
                State::Open => {}
                State::Busy | State::Dead => return Err(self.unusable(READ)),
            }
            self.mail.set_deadline(soonest);
            self.mail.set_peek(true);
            // The framing always breaks off a peek before embedded-tls gets an octet, so dropping this read is safe.
            let outcome = self.tls.read_buffered().await.err();
            self.mail.set_peek(false);
            match (self.mail.take_fault(), outcome) {
                // It is here whole, so that this does not wait, and thus is never dropped half way.
                (Some(Fault::Peeked), _) if self.mail.is_held() => self.take_record(limit).await?,
                (Some(Fault::Peeked | Fault::Ended), _) => return Ok(true),
                (Some(Fault::TimedOut), _) => return Ok(false),
                (fault, error) => {
                    self.state = State::Dead;
                    return Err(explain(error.unwrap_or(TlsError::InternalError), fault, READ, limit));
                }
            }
        }
    }

    /// Reads what is there into `into`: octets read, 0 once the server has closed in an orderly way.
    ///
    /// Waits at most until `until`. [`Error::Timeout`] before a record began leaves the connection as it was; when it
    /// strikes, or the future is dropped, within a record of more than 512 octets, the connection is dead.
    ///
    /// # Errors
    /// [`Error::Closed`] if the stream ends without close_notify: what was read may be cut short. [`Error::Tls`] with the
    /// number of the alert if the server sent one; a refused client certificate arrives this way, at the first read.
    pub async fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize, Error> {
        if into.is_empty() {
            return Ok(0);
        }
        let limit = span(self.clock.now(), until);
        while self.left == 0 {
            if !self.readable(until).await? {
                return Err(Error::Timeout { what: READ, after_ms: limit });
            }
            match self.state {
                State::Ended => return Ok(0),
                _ if self.left == 0 => self.take_record(limit).await?,
                _ => {}
            }
        }
        // There is something left, so this does not wait.
        let mut record = self.tls.read_buffered().await.map_err(|error| explain(error, None, READ, limit))?;
        let read = self.left.min(into.len());
        let inner = record.peek_all();
        into.iter_mut().zip(inner.iter().take(read)).for_each(|(to, from)| *to = *from);
        self.left -= read;
        // The content type goes with the last octet.
        record.pop(if self.left == 0 { inner.len() } else { read });
        Ok(read)
    }

    /// Receives and opens one record: data are `left` then, all else is dealt with.
    async fn take_record(&mut self, limit: u32) -> Result<(), Error> {
        // On each early return, and if dropped, the state stays Busy: the connection is of no use any more.
        self.state = State::Busy;
        let mut record = match self.tls.read_buffered().await {
            Ok(record) => record,
            Err(error) => return Err(explain(error, self.mail.take_fault(), READ, limit)),
        };
        self.left = match record.peek_all().split_last() {
            Some((&guard::APPLICATION, content)) => content.len(),
            Some((&guard::HANDSHAKE, messages)) => tickets(messages).map_err(|fault| fault.error(READ, limit))?,
            Some((&guard::ALERT, [_, 0])) => {
                self.state = State::Ended;
                return Ok(());
            }
            Some((&guard::ALERT, [_, number])) => return Err(Error::Tls { what: alert(*number), alert: *number }),
            Some((0, _)) | None => return Err(Fault::EmptyInner.error(READ, limit)),
            _ => return Err(Fault::InnerType.error(READ, limit)),
        };
        if self.left == 0 {
            record.pop_all();
        }
        self.state = State::Open;
        Ok(())
    }

    /// Writes all of `octets`; they may stay in the send buffer until [`Secure::flush`]. Not to be dropped half way: the
    /// connection is dead then, and on any error.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Closed`].
    pub async fn write_all(&mut self, octets: &[u8], until: Instant) -> Result<(), Error> {
        let before = self.start_write(until)?;
        let mut rest = octets;
        while !rest.is_empty() {
            match self.tls.write(rest).await {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) => return Err(self.write_failed(error, until).await),
            }
        }
        self.state = before;
        Ok(())
    }

    /// Sends what is in the send buffer. As [`Secure::write_all`] in all else.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Closed`].
    pub async fn flush(&mut self, until: Instant) -> Result<(), Error> {
        let before = self.start_write(until)?;
        if let Err(error) = self.tls.flush().await {
            return Err(self.write_failed(error, until).await);
        }
        self.state = before;
        Ok(())
    }

    /// Flushes, sends close_notify, and drops the stream. A connection that failed is only dropped.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Closed`]; the stream is gone all the same.
    pub async fn close(self, until: Instant) -> Result<(), Error> {
        if matches!(self.state, State::Busy | State::Dead) {
            return Ok(());
        }
        let (mail, limit) = (self.mail, span(self.clock.now(), until));
        mail.set_deadline(until);
        self.tls.close().await.map(drop).map_err(|(_, error)| explain(error, mail.take_fault(), WRITE, limit))
    }

    /// Octets received and sent on the raw stream so far, handshake and headers included; the counters wrap at 2^32.
    pub fn traffic(&self) -> (u32, u32) {
        self.mail.traffic()
    }

    fn start_write(&mut self, until: Instant) -> Result<State, Error> {
        let before = self.state;
        if matches!(before, State::Busy | State::Dead) {
            return Err(self.unusable(WRITE));
        }
        self.state = State::Busy;
        self.mail.set_deadline(until);
        Ok(before)
    }

    /// Why a write failed. A server that refuses, such as a client certificate, sends an alert and closes: what it said is
    /// waiting to be read, and worth more than the broken pipe.
    async fn write_failed(&mut self, error: TlsError, until: Instant) -> Error {
        self.state = State::Dead;
        let error = explain(error, self.mail.take_fault(), WRITE, span(self.clock.now(), until));
        if self.left == 0 && matches!(error, Error::Closed { .. }) {
            self.mail.set_deadline(self.clock.now().after_ms(LAST_WORD_MS));
            let last = self.take_record(0).await;
            self.state = State::Dead;
            if let Err(alert @ Error::Tls { alert: 1.., .. }) = last {
                return alert;
            }
        }
        error
    }

    fn unusable(&mut self, during: &'static str) -> Error {
        self.state = State::Dead;
        Error::Closed { during }
    }
}

impl<'b, S: Read + Write + 'b, C: Clock> Transport for Secure<'b, S, C> {
    async fn readable(&mut self, until: Instant) -> Result<bool, Error> {
        Secure::readable(self, until).await
    }

    async fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize, Error> {
        Secure::read(self, into, until).await
    }

    async fn write_all(&mut self, octets: &[u8], until: Instant) -> Result<(), Error> {
        Secure::write_all(self, octets, until).await?;
        self.flush(until).await
    }
}

/// Milliseconds from one instant to another.
fn span(from: Instant, to: Instant) -> u32 {
    u32::try_from(to.0.saturating_sub(from.0)).unwrap_or(u32::MAX)
}

/// Whether `messages` are whole session tickets, which are of no use here; then there is nothing for the application in them.
fn tickets(mut messages: &[u8]) -> Result<usize, Fault> {
    const NEW_SESSION_TICKET: u8 = 4;
    const KEY_UPDATE: u8 = 24;
    if messages.is_empty() {
        return Err(Fault::EmptyInner);
    }
    while !messages.is_empty() {
        messages = match guard::message(messages).ok_or(Fault::Split)? {
            (NEW_SESSION_TICKET, _, after) => after,
            (KEY_UPDATE, ..) => return Err(Fault::KeyUpdate),
            _ => return Err(Fault::AfterHandshake),
        };
    }
    Ok(0)
}

/// The error for what embedded-tls reports; `fault` is the reason if the framing broke off.
fn explain(error: TlsError, fault: Option<Fault>, during: &'static str, after_ms: u32) -> Error {
    if let Some(fault) = fault {
        return fault.error(during, after_ms);
    }
    let what = match error {
        TlsError::InvalidKeyShare => {
            "ServerHello has no P-256 key share: the server speaks TLS 1.2, or chose another group"
        }
        TlsError::CryptoError => "a record does not decrypt: a cipher suite that was not offered, or tampering",
        TlsError::InvalidSignature => "the server's Finished does not verify",
        TlsError::AbortHandshake(..) => "the server sent an extension that is not allowed there",
        TlsError::InsufficientSpace | TlsError::EncodeError => {
            "the client's messages do not fit; lend a larger send buffer or use a smaller client certificate"
        }
        _ => "the server sent a malformed handshake message",
    };
    Error::Tls { what, alert: 0 }
}
