//! The four ports of a board: keys, flash, network, clock.

use core::future::Future;
use identity_core::agent::step::Cause;
use identity_core::keys::{Digest, PublicKey, Signature, Slot};
use identity_core::time::{Instant, UnixTime};

/// What a port's error can say: is it worth waiting?
pub trait PortError: core::fmt::Debug {
    /// Transient (wait and retry) or permanent (a person is needed).
    fn cause(&self) -> Cause;
    /// What to fix, in a few words.
    fn hint(&self) -> &'static str;
}

/// Octets of the largest sealed key a [`KeyStore`] hands out.
pub const SEALED_MAX: usize = 96;

/// Keys by slot: handles, never key octets. Blocking; document the worst-case milliseconds.
///
/// A store that keeps its keys itself (secure element) returns 0 octets of sealed key; `restore` is never called then.
pub trait KeyStore {
    /// Its error.
    type Error: PortError;
    /// Fills `into` from the health-tested generator.
    fn random(&mut self, into: &mut [u8]) -> Result<(), Self::Error>;
    /// Makes a new key in `slot` and gives its public point. Writes the sealed private key, which the driver stores in
    /// [`identity_core::record::Record::Key`], into `sealed`; returns its length.
    fn generate(
        &mut self,
        slot: Slot,
        public: &mut PublicKey,
        sealed: &mut [u8; SEALED_MAX],
    ) -> Result<usize, Self::Error>;
    /// Takes back what `generate` sealed before a reset. False if it does not open: damaged, or sealed by another device;
    /// then the key counts as lost, and the device enrols again. An error where it may still be sound, such as the format
    /// of newer firmware: then nothing is overwritten.
    fn restore(&mut self, slot: Slot, sealed: &[u8]) -> Result<bool, Self::Error>;
    /// The public point of `slot`, if there is a key.
    fn public(&mut self, slot: Slot) -> Result<Option<PublicKey>, Self::Error>;
    /// Signs a SHA-256 digest with the key in `slot`.
    fn sign(&mut self, slot: Slot, digest: &Digest) -> Result<Signature, Self::Error>;
    /// Forgets the key in `slot` (the driver erases the sealed record first).
    fn destroy(&mut self, slot: Slot) -> Result<(), Self::Error>;
}

/// Records by number, in memory that survives power. A write is atomic under power cut: old or new, nothing else.
pub trait Store {
    /// Its error.
    type Error: PortError;
    /// Reads a record; its length, or none.
    fn load(&mut self, record: u8, into: &mut [u8]) -> impl Future<Output = Result<Option<usize>, Self::Error>>;
    /// Writes a record.
    fn store(&mut self, record: u8, octets: &[u8]) -> impl Future<Output = Result<(), Self::Error>>;
    /// Erases a record; fine if there is none.
    fn erase(&mut self, record: u8) -> impl Future<Output = Result<(), Self::Error>>;
}

/// TCP streams and datagrams by host name.
pub trait Net {
    /// Its error.
    type Error: PortError;
    /// A connected stream. Reads must be cancel-safe: a dropped read loses no octet. Dropping it closes the connection.
    type Stream<'a>: embedded_io_async::Read + embedded_io_async::Write
    where
        Self: 'a;
    /// Resolves and connects. `host` is a DNS name or an IPv4 address in dotted decimal.
    fn connect<'a>(&'a mut self, host: &str, port: u16) -> impl Future<Output = Result<Self::Stream<'a>, Self::Error>>;
    /// Sends one datagram and awaits one reply from that address; its length.
    fn datagram(
        &mut self,
        host: &str,
        port: u16,
        send: &[u8],
        into: &mut [u8],
    ) -> impl Future<Output = Result<usize, Self::Error>>;
}

/// Monotonic time, and what the board knows of wall time.
pub trait Clock {
    /// Time since start.
    fn now(&self) -> Instant;
    /// Waits until `until`; cancel-safe.
    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()>;
    /// Wall time from a trusted real-time clock, if the board has one.
    fn wall(&self) -> Option<UnixTime>;
}

/// A board: its four ports.
pub struct Platform<K, S, N, C> {
    /// Keys.
    pub keys: K,
    /// Flash.
    pub store: S,
    /// Network.
    pub net: N,
    /// Clock.
    pub clock: C,
}
