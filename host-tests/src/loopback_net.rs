//! The network of a device on the bench: every name is loopback, and who was asked for is remembered.

use std::sync::{Arc, Mutex, PoisonError};

use device_sdk::net::std_net::{NetError, StdNet, StdStream};
use device_sdk::ports::Net;

/// A network; clones are the same network.
#[derive(Clone, Default)]
pub struct LoopbackNet {
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl LoopbackNet {
    /// Host and port of every connection and datagram so far.
    #[must_use]
    pub fn asked(&self) -> Vec<(String, u16)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, host: &str, port: u16) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((host.into(), port));
    }
}

impl Net for LoopbackNet {
    type Error = NetError;
    type Stream<'a> = StdStream;

    async fn connect(&mut self, host: &str, port: u16) -> Result<StdStream, NetError> {
        self.note(host, port);
        StdNet.connect("127.0.0.1", port).await
    }

    async fn datagram(&mut self, host: &str, port: u16, send: &[u8], into: &mut [u8]) -> Result<usize, NetError> {
        self.note(host, port);
        StdNet.datagram("127.0.0.1", port, send, into).await
    }
}
