//! A connection as an embedded-io-async stream.

use embedded_io_async::{ErrorType, Read, Write};
use identity_core::time::Instant;

use super::Secure;
use crate::Error;
use crate::ports::Clock;

/// A [`Secure`] connection whose reads and writes end at one deadline. Neither may be dropped half way.
pub struct Stream<'s, 'b, S: Read + Write + 'b, C: Clock> {
    secure: &'s mut Secure<'b, S, C>,
    until: Instant,
}

impl<'s, 'b, S: Read + Write + 'b, C: Clock> Stream<'s, 'b, S, C> {
    pub(super) const fn new(secure: &'s mut Secure<'b, S, C>, until: Instant) -> Self {
        Self { secure, until }
    }
}

impl<'b, S: Read + Write + 'b, C: Clock> ErrorType for Stream<'_, 'b, S, C> {
    type Error = Error;
}

impl<'b, S: Read + Write + 'b, C: Clock> Read for Stream<'_, 'b, S, C> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        self.secure.read(into, self.until).await
    }
}

impl<'b, S: Read + Write + 'b, C: Clock> Write for Stream<'_, 'b, S, C> {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, Error> {
        self.secure.write_all(octets, self.until).await.map(|()| octets.len())
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.secure.flush(self.until).await
    }
}
