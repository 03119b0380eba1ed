//! The least that a TLS client on this machine needs: a loopback stream, a clock and a key store.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_io::{Async, Timer};
use device_sdk::ports::{Clock, KeyStore, PortError, SEALED_MAX};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use identity_core::agent::step::Cause;
use identity_core::keys::{Digest, PublicKey, Signature, Slot};
use identity_core::time::{Instant, UnixTime};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;

/// A TCP stream.
pub struct Tcp(Async<TcpStream>);

impl Tcp {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(to: SocketAddr) -> Self {
        Self(Async::<TcpStream>::connect(to).await.expect("a listener on loopback"))
    }
}

/// An error of the operating system.
#[derive(Debug)]
pub struct Io(pub std::io::Error);

impl core::fmt::Display for Io {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Io {}

impl embedded_io_async::Error for Io {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for Tcp {
    type Error = Io;
}

impl Read for Tcp {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Io> {
        self.0.read_with(|mut tcp| tcp.read(into)).await.map_err(Io)
    }
}

impl Write for Tcp {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, Io> {
        self.0.write_with(|mut tcp| tcp.write(octets)).await.map_err(Io)
    }

    async fn flush(&mut self) -> Result<(), Io> {
        Ok(())
    }
}

/// Time since it was made.
pub struct Ticks(std::time::Instant);

impl Default for Ticks {
    fn default() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Ticks {
    /// The instant `ms` milliseconds from now.
    #[must_use]
    pub fn after_ms(&self, ms: u64) -> Instant {
        self.now().after_ms(ms)
    }
}

impl Clock for Ticks {
    fn now(&self) -> Instant {
        Instant(self.0.elapsed().as_millis() as u64)
    }

    async fn sleep_until(&self, until: Instant) {
        match self.0.checked_add(Duration::from_millis(until.0)) {
            Some(at) => drop(Timer::at(at).await),
            None => core::future::pending().await,
        }
    }

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}

/// A key store with one key, the same in each slot.
#[derive(Clone)]
pub struct OneKey {
    /// The key.
    pub key: SigningKey,
    /// Whether it refuses to sign.
    pub broken: bool,
}

/// The key store refused.
#[derive(Debug)]
pub struct Refused;

impl PortError for Refused {
    fn cause(&self) -> Cause {
        Cause::Permanent
    }

    fn hint(&self) -> &'static str {
        "this key does not sign"
    }
}

impl OneKey {
    /// A fresh key.
    #[must_use]
    pub fn fresh() -> Self {
        Self { key: SigningKey::random(&mut rand_core::OsRng), broken: false }
    }
}

impl KeyStore for OneKey {
    type Error = Refused;

    fn random(&mut self, into: &mut [u8]) -> Result<(), Refused> {
        rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, into);
        Ok(())
    }

    fn generate(&mut self, _: Slot, _: &mut PublicKey, _: &mut [u8; SEALED_MAX]) -> Result<usize, Refused> {
        Err(Refused)
    }

    fn restore(&mut self, _: Slot, _: &[u8]) -> Result<bool, Refused> {
        Ok(false)
    }

    fn public(&mut self, _: Slot) -> Result<Option<PublicKey>, Refused> {
        let point = self.key.verifying_key().to_encoded_point(false);
        Ok(point.as_bytes().try_into().ok().map(PublicKey))
    }

    fn sign(&mut self, _: Slot, digest: &Digest) -> Result<Signature, Refused> {
        let signature: p256::ecdsa::Signature = self.key.sign_prehash(digest).map_err(|_| Refused)?;
        if self.broken { Err(Refused) } else { Ok(Signature(signature.to_bytes().into())) }
    }

    fn destroy(&mut self, _: Slot) -> Result<(), Refused> {
        Err(Refused)
    }
}
