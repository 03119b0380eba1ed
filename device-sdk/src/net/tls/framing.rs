//! The raw stream as embedded-tls sees it: one legal record at a time, each wait bounded by a deadline.
//!
//! Record headers are read here first (RFC 8446 §5.1), so that illegal records never reach embedded-tls, a read can be
//! bounded, and waiting for the next record can be cancelled: until its header is handed on, nothing is lost.

use embassy_futures::select::{Either, select};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use super::fault::Fault;
use super::mailbox::Mailbox;
use crate::ports::Clock;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SEALED: u8 = 23;

/// Octets of a record header.
const HEADER: usize = 5;
/// Largest sealed record, RFC 8446 §5.2.
const SEALED_MAX: u16 = (1 << 14) + 256;
/// A tag and one octet of content type, at the least.
const SEALED_MIN: u16 = 17;
/// Second octet of legacy_record_version as the guard sees it once the handshake is over; on the wire it is always 3.
pub(super) const OPEN_MARK: u8 = 0xff;

/// ServerHello.random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest", RFC 8446 §4.1.3.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// Where the random starts in a ServerHello: after type, length and version.
const RANDOM: u16 = 6;

/// The read or write cannot go on; the reason is latched in the mailbox.
#[derive(Debug)]
pub(super) struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the reason is latched in the mailbox")
    }
}

impl core::error::Error for Broken {}

impl embedded_io_async::Error for Broken {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// A raw stream, its clock and where it is in the current record.
pub(super) struct Framing<'b, S, C> {
    stream: S,
    clock: &'b C,
    mail: Mailbox<'b>,
    /// Largest body that fits the receive buffer.
    room: usize,
    /// Header of the current record; `have` octets of it are received, `given` are handed on.
    header: [u8; HEADER],
    have: u8,
    given: u8,
    /// Octets of the body not yet handed on.
    body: u16,
    /// The body of a small record, received before embedded-tls asks: `held` octets of it, `taken` of them handed on.
    hold: &'b mut [u8],
    held: usize,
    taken: usize,
    /// The ServerHello, while it passes: how many octets of it went by, and whether its random is that of a retry so far.
    hello: Option<(u16, bool)>,
    /// Whether the ServerHello is through: from there on records are sealed.
    greeted: bool,
}

impl<'b, S: Read + Write, C: Clock> Framing<'b, S, C> {
    pub(super) const fn new(stream: S, clock: &'b C, mail: Mailbox<'b>, hold: &'b mut [u8], room: usize) -> Self {
        Self {
            stream,
            clock,
            mail,
            room,
            header: [0; HEADER],
            have: 0,
            given: 0,
            body: 0,
            hold,
            held: 0,
            taken: 0,
            hello: None,
            greeted: false,
        }
    }

    fn refuse<T>(&self, fault: Fault) -> Result<T, Broken> {
        self.mail.latch(fault);
        Err(Broken)
    }

    /// A raw read, bounded by the deadline; never zero octets.
    async fn receive(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        let until = self.mail.deadline();
        if self.clock.now() >= until {
            return self.refuse(Fault::TimedOut);
        }
        match select(self.stream.read(into), self.clock.sleep_until(until)).await {
            Either::First(Ok(0)) => self.refuse(Fault::Ended),
            Either::First(Ok(read)) => {
                self.mail.count_received(read);
                Ok(read)
            }
            Either::First(Err(_)) => self.refuse(Fault::Stream),
            Either::Second(()) => self.refuse(Fault::TimedOut),
        }
    }

    /// Completes the header of the next record that embedded-tls is to see. Cancel-safe while the connection is open.
    async fn next_header(&mut self) -> Result<(), Broken> {
        loop {
            while usize::from(self.have) < HEADER {
                let mut octets = [0; HEADER];
                let wanted = octets.get_mut(usize::from(self.have)..).unwrap_or_default();
                let read = self.receive(wanted).await?;
                for (to, from) in self
                    .header
                    .iter_mut()
                    .skip(usize::from(self.have))
                    .zip(octets.iter().skip(usize::from(self.have)).take(read))
                {
                    *to = *from;
                }
                self.have += read as u8;
                // Refused as early as it can be told: an HTTP server's answer may be shorter than a header.
                let [kind, major, ..] = self.header;
                if !(CHANGE_CIPHER_SPEC..=SEALED).contains(&kind) || (self.have > 1 && major != 3) {
                    return self.refuse(Fault::NotTls);
                }
            }
            if self.judge_header().await? {
                return Ok(());
            }
            self.have = 0;
        }
    }

    /// Whether the record whose header is complete is for embedded-tls; one that is not is consumed.
    async fn judge_header(&mut self) -> Result<bool, Broken> {
        let [kind, _, _, high, low] = self.header;
        let length = u16::from_be_bytes([high, low]);
        if length > SEALED_MAX || (kind != SEALED && length > 1 << 14) {
            return self.refuse(Fault::TooLong);
        }
        match kind {
            SEALED if !self.greeted => return self.refuse(Fault::PlainMessage),
            SEALED if length < SEALED_MIN => return self.refuse(Fault::TooShort),
            SEALED => {}
            _ if length == 0 => return self.refuse(Fault::TooShort),
            _ if self.mail.is_open() => return self.refuse(Fault::PlainRecord),
            CHANGE_CIPHER_SPEC => {
                // Sent for middleboxes and to be dropped, RFC 8446 §5.
                let mut body = [0];
                if length != 1 || self.receive(&mut body).await? != 1 || body != [1] {
                    return self.refuse(Fault::ChangeCipherSpec);
                }
                return Ok(false);
            }
            ALERT if length == 2 => {
                let mut body = [0; 2];
                let (first, second) = body.split_at_mut(1);
                if self.receive(first).await? == 1 {
                    self.receive(second).await?;
                }
                let [_, number] = body;
                return self.refuse(Fault::Alert(number));
            }
            HANDSHAKE if !self.greeted => self.hello = Some((0, true)),
            _ => return self.refuse(Fault::PlainRecord),
        }
        if usize::from(length) > self.room {
            return self.refuse(Fault::NoRoom(length.into()));
        }
        self.body = length;
        Ok(true)
    }

    /// Receives the body of a record ahead, if it is small enough; whether it is held whole. Cancel-safe.
    async fn hold_body(&mut self) -> Result<bool, Broken> {
        let length = usize::from(self.body);
        if length > self.hold.len() {
            return Ok(false);
        }
        while self.held < length {
            let mut octets = [0; 64];
            let most = octets.len().min(length - self.held);
            let read = self.receive(octets.get_mut(..most).unwrap_or_default()).await?;
            let place = self.hold.iter_mut().skip(self.held);
            place.zip(octets.iter().take(read)).for_each(|(to, from)| *to = *from);
            self.held += read;
        }
        Ok(true)
    }

    /// Watches the ServerHello go by: one whole message in one record (RFC 8446 §5.1), and not a retry.
    fn watch_hello(&mut self, octets: &[u8]) -> Result<(), Broken> {
        let Some((mut seen, mut retry)) = self.hello else { return Ok(()) };
        let [_, _, _, high, low] = self.header;
        let [high, low] = u16::from_be_bytes([high, low]).wrapping_sub(4).to_be_bytes();
        let start = [2, 0, high, low];
        for octet in octets {
            if start.get(usize::from(seen)).is_some_and(|wanted| wanted != octet) {
                return self.refuse(Fault::PlainMessage);
            }
            if let Some(at) = seen.checked_sub(RANDOM) {
                retry &= RETRY.get(usize::from(at)).is_none_or(|wanted| wanted == octet);
                if retry && usize::from(at) == RETRY.len() - 1 {
                    return self.refuse(Fault::Retry);
                }
            }
            seen += 1;
        }
        self.greeted = self.body == 0;
        self.hello = if self.greeted { None } else { Some((seen, retry)) };
        Ok(())
    }
}

impl<S, C> ErrorType for Framing<'_, S, C> {
    type Error = Broken;
}

impl<S: Read + Write, C: Clock> Read for Framing<'_, S, C> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.body == 0 && self.given == 0 {
            self.next_header().await?;
        }
        if self.mail.peeks() {
            let whole = self.hold_body().await?;
            self.mail.set_held(whole);
            return self.refuse(Fault::Peeked);
        }
        if usize::from(self.given) < HEADER {
            let mut header = self.header;
            // The version is to be ignored and is authenticated as 0x0303 (RFC 8446 §5.2); here it tells the guard the phase.
            header[2] = if self.mail.is_open() { OPEN_MARK } else { 3 };
            let mut given = 0;
            for (to, from) in into.iter_mut().zip(header.iter().skip(usize::from(self.given))) {
                *to = *from;
                given += 1;
            }
            self.given += given;
            return Ok(usize::from(given));
        }
        let most = into.len().min(usize::from(self.body));
        let into = into.get_mut(..most).unwrap_or_default();
        let read = match self.hold.get(self.taken..self.held) {
            Some(held @ [_, ..]) => {
                into.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
                let read = into.len().min(held.len());
                self.taken += read;
                read
            }
            _ => self.receive(into).await?,
        };
        self.body -= read as u16;
        self.watch_hello(into.get(..read).unwrap_or_default())?;
        if self.body == 0 {
            (self.have, self.given, self.held, self.taken) = (0, 0, 0, 0);
        }
        Ok(read)
    }
}

impl<S: Read + Write, C: Clock> Write for Framing<'_, S, C> {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, Broken> {
        let until = self.mail.deadline();
        if self.clock.now() >= until {
            return self.refuse(Fault::TimedOut);
        }
        match select(self.stream.write(octets), self.clock.sleep_until(until)).await {
            Either::First(Ok(0)) => self.refuse(Fault::Ended),
            Either::First(Ok(written)) => {
                self.mail.count_sent(written);
                Ok(written)
            }
            Either::First(Err(_)) => self.refuse(Fault::Stream),
            Either::Second(()) => self.refuse(Fault::TimedOut),
        }
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        match select(self.stream.flush(), self.clock.sleep_until(self.mail.deadline())).await {
            Either::First(Ok(())) => Ok(()),
            Either::First(Err(_)) => self.refuse(Fault::Stream),
            Either::Second(()) => self.refuse(Fault::TimedOut),
        }
    }
}
