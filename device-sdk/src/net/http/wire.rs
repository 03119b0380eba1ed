//! Octets of a reply as they come in: its head, then its body in any of the three framings (RFC 9112 §6.3, §7.1).

use identity_core::agent::step::Nonce;
use identity_core::time::Instant;

use super::head::{self, Framing, Head};
use crate::error::Error;
use crate::net::transport::Transport;

/// Name of what [`identity_core::Error::NoSpace`] speaks of when the body does not fit.
pub(super) const BODY: &str = "body of an HTTP reply";
/// Trailer fields after the last chunk, at most.
const TRAILERS_MAX: usize = 32;

/// A reader with a buffer: `buffer[start..end]` was received and not yet used.
pub(super) struct Wire<'w, T> {
    transport: &'w mut T,
    buffer: &'w mut [u8],
    start: usize,
    end: usize,
    until: Instant,
    purpose: &'static str,
}

impl<'w, T: Transport> Wire<'w, T> {
    pub(super) fn new(transport: &'w mut T, buffer: &'w mut [u8], until: Instant, purpose: &'static str) -> Self {
        Self { transport, buffer, start: 0, end: 0, until, purpose }
    }

    /// The peer broke RFC 9112.
    pub(super) fn malformed(&self, problem: &'static str) -> Error {
        identity_core::Error::Malformed { what: self.purpose, problem }.into()
    }

    /// Whether all that was received has been used.
    pub(super) fn is_drained(&self) -> bool {
        self.start == self.end
    }

    /// One head, up to and with its empty line. A DPoP-Nonce goes to `nonce`.
    pub(super) async fn head(&mut self, nonce: &mut Nonce) -> Result<Head, Error> {
        loop {
            if let Some((head, length)) =
                head::parse(self.received(), nonce).map_err(|problem| self.malformed(problem))?
            {
                self.start = self.start.saturating_add(length);
                return Ok(head);
            }
            let during = if self.is_drained() { "the wait for an HTTP reply" } else { "the head of an HTTP reply" };
            self.receive("head of an HTTP reply", during).await?;
        }
    }

    /// The body, into the start of `into`; its length in octets.
    pub(super) async fn body(&mut self, framing: Framing, into: &mut [u8]) -> Result<usize, Error> {
        match framing {
            Framing::Length(length) => {
                self.exactly(into.get_mut(..length).ok_or(no_space(length))?).await?;
                Ok(length)
            }
            Framing::Chunked => self.chunks(into).await,
            Framing::UntilClose => {
                let mut have = 0;
                while let Some(room) = into.get_mut(have..).filter(|room| !room.is_empty()) {
                    match self.some(room).await? {
                        0 => return Ok(have),
                        more => have = have.saturating_add(more),
                    }
                }
                // It fits exactly, if this is the end.
                match self.some(&mut [0]).await? {
                    0 => Ok(have),
                    _ => Err(no_space(have.saturating_add(1))),
                }
            }
        }
    }

    /// RFC 9112 §7.1. Extensions and trailers are read over.
    async fn chunks(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let mut have = 0usize;
        loop {
            let size = self.line(chunk_size).await?.ok_or_else(|| self.malformed("a chunk size that is not one"))?;
            if size == 0 {
                break;
            }
            let end = have.saturating_add(size);
            self.exactly(into.get_mut(have..end).ok_or(no_space(end))?).await?;
            have = end;
            let mut delimiter = [0; 2];
            self.exactly(&mut delimiter).await?;
            if delimiter != *b"\r\n" {
                return Err(self.malformed("a chunk longer than its size"));
            }
        }
        for _ in 0..=TRAILERS_MAX {
            if self.line(<[u8]>::is_empty).await? {
                return Ok(have);
            }
        }
        Err(self.malformed("more than 32 trailer fields"))
    }

    /// What `read` makes of the next line, its CRLF left off.
    async fn line<V>(&mut self, read: impl Fn(&[u8]) -> V) -> Result<V, Error> {
        loop {
            let received = self.received();
            if let Some(length) = received.windows(2).position(|pair| pair == b"\r\n") {
                let value = read(received.get(..length).unwrap_or_default());
                self.start = self.start.saturating_add(length).saturating_add(2);
                return Ok(value);
            }
            self.receive("chunk extension or trailer of an HTTP reply", BODY).await?;
        }
    }

    /// Fills `into`.
    async fn exactly(&mut self, mut into: &mut [u8]) -> Result<(), Error> {
        while !into.is_empty() {
            match self.some(into).await? {
                0 => return Err(Error::Closed { during: BODY }),
                more => into = into.get_mut(more..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// At least one octet into `into`, which has room: what was received first, else straight from the transport. 0 when
    /// the peer closed in good order.
    async fn some(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        if self.is_drained() {
            return Ok(self.transport.read(into, self.until).await?.min(into.len()));
        }
        let received = self.received();
        let length = received.len().min(into.len());
        into.iter_mut().zip(received).for_each(|(to, from)| *to = *from);
        self.start = self.start.saturating_add(length);
        Ok(length)
    }

    fn received(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Receives more into the buffer; `what` is too large if there is no room, and was cut if there is no more.
    async fn receive(&mut self, what: &'static str, during: &'static str) -> Result<(), Error> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Err(identity_core::Error::NoSpace { what, wanted: self.end.saturating_add(1) }.into());
        }
        match self.transport.read(room, self.until).await?.min(room.len()) {
            0 => Err(Error::Closed { during }),
            more => {
                self.end = self.end.saturating_add(more);
                Ok(())
            }
        }
    }
}

fn no_space(wanted: usize) -> Error {
    identity_core::Error::NoSpace { what: BODY, wanted }.into()
}

/// The size in a chunk's first line: hexadecimal digits, then nothing or an extension. Beyond `usize` it saturates.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())?;
    if !matches!(rest.trim_ascii_start(), [] | [b';', ..]) {
        return None;
    }
    Some(digits.iter().fold(0usize, |size, &octet| {
        let digit = char::from(octet).to_digit(16).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
        size.saturating_mul(16).saturating_add(digit)
    }))
}
