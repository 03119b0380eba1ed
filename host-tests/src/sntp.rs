//! An SNTP server (RFC 5905 §14) on loopback that gives a chosen time.

use crate::events::{Event, Events};
use crate::server::{Background, WallClock};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Seconds from 1900 to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// What the server can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SntpFault {
    /// No reply.
    Silence,
    /// Stratum 0: the kiss of death "RATE" (RFC 5905 §7.4).
    KissOfDeath,
    /// Leap indicator 3: its clock is not synchronised.
    Unsynchronised,
    /// The originate timestamp is not the client's: a blind forgery.
    WrongOriginate,
    /// 20 octets.
    Short,
}

/// An SNTP server; ends when dropped.
pub struct SntpServer {
    port: u16,
    fault: Arc<Mutex<Option<SntpFault>>>,
    _background: Background,
}

impl SntpServer {
    /// Starts on a free port of loopback and tells the time of `clock`.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[must_use]
    pub fn start(clock: WallClock, events: Events) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_nonblocking(true).expect("non-blocking");
        let port = socket.local_addr().expect("an address").port();
        let fault = Arc::new(Mutex::new(None));
        let shared = fault.clone();
        let background = Background::start("sntp", move || async move {
            let socket = tokio::net::UdpSocket::from_std(socket).expect("inside a runtime");
            let mut request = [0; 128];
            loop {
                let Ok((length, client)) = socket.recv_from(&mut request).await else { continue };
                events.push(Event::Sntp);
                let fault = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(reply) = reply(&request[..length], clock(), fault) {
                    let _ = socket.send_to(&reply, client).await;
                }
            }
        });
        Self { port, fault, _background: background }
    }

    /// The UDP port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Misbehaves, or behaves again.
    pub fn set_fault(&self, fault: Option<SntpFault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// The reply to a client request (mode 3) at Unix time `now`.
#[must_use]
pub fn reply(request: &[u8], now: u64, fault: Option<SntpFault>) -> Option<Vec<u8>> {
    if request.len() < 48 || request[0] & 7 != 3 || fault == Some(SntpFault::Silence) {
        return None;
    }
    let mut reply = vec![0; 48];
    let version = request[0] & 0x38;
    let leap = if fault == Some(SntpFault::Unsynchronised) { 0xC0 } else { 0 };
    reply[0] = leap | version | 4;
    reply[1] = 1; // stratum: primary
    reply[3] = 0xEC; // precision: 2^-20 s
    reply[12..16].copy_from_slice(b"TEST");
    if fault == Some(SntpFault::KissOfDeath) {
        reply[1] = 0;
        reply[12..16].copy_from_slice(b"RATE");
    }
    let seconds = ((now + NTP_EPOCH) as u32).to_be_bytes(); // era 1 begins in 2036
    for field in [16, 32, 40] {
        reply[field..field + 4].copy_from_slice(&seconds);
    }
    reply[24..32].copy_from_slice(&request[40..48]);
    if fault == Some(SntpFault::WrongOriginate) {
        reply[31] ^= 1;
    }
    if fault == Some(SntpFault::Short) {
        reply.truncate(20);
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tells_the_chosen_time() {
        let events = Events::default();
        let server = SntpServer::start(Arc::new(|| 1_800_000_000), events.clone());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut request = [0; 48];
        request[0] = 0x23;
        request[40..48].copy_from_slice(b"my stamp");
        let mut answer = [0; 64];
        socket.send_to(&request, (Ipv4Addr::LOCALHOST, server.port())).unwrap();
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!((length, answer[0], answer[1]), (48, 0x24, 1));
        assert_eq!(answer[24..32], *b"my stamp");
        assert_eq!(answer[40..44], (1_800_000_000_u32 + 2_208_988_800).to_be_bytes());
        assert_eq!(events.all().len(), 1);
    }
}
