//! The stream that HTTP and MQTT speak over: octets with a deadline.

use core::future::Future;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use identity_core::time::Instant;

use crate::error::Error;
use crate::ports::Clock;

/// An open connection whose every operation ends by an absolute instant, with [`Error::Timeout`] at the latest.
pub trait Transport {
    /// Waits until [`Transport::read`] would answer at once (octets, end of stream or failure): true; false when
    /// `until` came first. Cancel-safe, takes no octet.
    fn readable(&mut self, until: Instant) -> impl Future<Output = Result<bool, Error>>;
    /// At least one octet into `into`, how many; 0 when the peer closed in good order.
    fn read(&mut self, into: &mut [u8], until: Instant) -> impl Future<Output = Result<usize, Error>>;
    /// All of `octets`, sent on their way.
    fn write_all(&mut self, octets: &[u8], until: Instant) -> impl Future<Output = Result<(), Error>>;
}

impl<T: Transport> Transport for &mut T {
    fn readable(&mut self, until: Instant) -> impl Future<Output = Result<bool, Error>> {
        (**self).readable(until)
    }

    fn read(&mut self, into: &mut [u8], until: Instant) -> impl Future<Output = Result<usize, Error>> {
        (**self).read(into, until)
    }

    fn write_all(&mut self, octets: &[u8], until: Instant) -> impl Future<Output = Result<(), Error>> {
        (**self).write_all(octets, until)
    }
}

/// A stream of the board's network without TLS, for tests and for protocols that secure themselves.
pub struct Plain<'c, S, C> {
    stream: S,
    clock: &'c C,
    peeked: Option<u8>,
}

impl<'c, S: Read + Write, C: Clock> Plain<'c, S, C> {
    /// Puts the clock beside the stream.
    pub const fn new(stream: S, clock: &'c C) -> Self {
        Self { stream, clock, peeked: None }
    }

    async fn by<T>(
        clock: &C,
        until: Instant,
        what: &'static str,
        work: impl Future<Output = Result<T, S::Error>>,
    ) -> Result<T, Error> {
        let start = clock.now();
        match select(work, clock.sleep_until(until)).await {
            Either::First(Ok(value)) => Ok(value),
            Either::First(Err(_)) => Err(Error::Closed { during: what }),
            Either::Second(()) => Err(timeout(what, start, until)),
        }
    }
}

/// [`Error::Timeout`] for a wait from `start` to `until`.
fn timeout(what: &'static str, start: Instant, until: Instant) -> Error {
    Error::Timeout { what, after_ms: u32::try_from(until.0.saturating_sub(start.0)).unwrap_or(u32::MAX) }
}

impl<S: Read + Write, C: Clock> Transport for Plain<'_, S, C> {
    async fn readable(&mut self, until: Instant) -> Result<bool, Error> {
        if self.peeked.is_some() {
            return Ok(true);
        }
        let mut one = [0];
        match select(self.stream.read(&mut one), self.clock.sleep_until(until)).await {
            Either::First(Ok(1)) => self.peeked = Some(one[0]),
            // End and failure stay true of the stream: `read` will find them again.
            Either::First(_) => {}
            Either::Second(()) => return Ok(false),
        }
        Ok(true)
    }

    async fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize, Error> {
        if let (Some(first), Some(octet)) = (into.first_mut(), self.peeked) {
            *first = octet;
            self.peeked = None;
            return Ok(1);
        }
        Self::by(self.clock, until, "data from the peer", self.stream.read(into)).await
    }

    async fn write_all(&mut self, octets: &[u8], until: Instant) -> Result<(), Error> {
        let stream = &mut self.stream;
        Self::by(self.clock, until, "room to send", async {
            let mut rest = octets;
            while !rest.is_empty() {
                match stream.write(rest).await? {
                    0 => return Ok(false),
                    n => rest = rest.get(n..).unwrap_or_default(),
                }
            }
            stream.flush().await?;
            Ok(true)
        })
        .await
        .and_then(|sent| if sent { Ok(()) } else { Err(Error::Closed { during: "sending" }) })
    }
}
