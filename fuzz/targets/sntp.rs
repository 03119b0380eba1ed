//! Answers of time servers: only one to our question counts, and time is never before the floor.
#![no_main]

use device_sdk::net::sntp::ask;
use device_sdk::ports::{Net, PortError};
use embassy_futures::block_on;
use identity_core::agent::step::Cause;
use identity_core::time::UnixTime;
use libfuzzer_sys::fuzz_target;

const FLOOR: UnixTime = UnixTime(1_700_000_000);

fuzz_target!(|octets: &[u8]| {
    let nonce = octets.first_chunk().copied().map_or(0, u64::from_be_bytes);
    let says = octets.get(8..).unwrap_or_default();
    let asked = |nonce| block_on(ask(&mut Answer(says), "time.example", 123, nonce, FLOOR));
    let theirs = says.get(24..32).and_then(|origin| origin.try_into().ok()).map_or(0, u64::from_be_bytes);
    for nonce in [nonce, theirs] {
        if let Ok(time) = asked(nonce) {
            assert!(time >= FLOOR && time.0 < 4_300_000_000 && nonce == theirs && says.len() >= 48);
            assert!(asked(nonce ^ 1).is_err(), "an answer to another question");
        }
    }
});

struct Answer<'a>(&'a [u8]);

#[derive(Debug)]
struct Never;

impl PortError for Never {
    fn cause(&self) -> Cause {
        Cause::Transient
    }

    fn hint(&self) -> &'static str {
        "it never fails"
    }
}

impl Net for Answer<'_> {
    type Error = Never;
    type Stream<'a>
        = device_sdk::net::std_net::StdStream
    where
        Self: 'a;

    async fn connect<'a>(&'a mut self, _: &str, _: u16) -> Result<Self::Stream<'a>, Never> {
        Err(Never)
    }

    async fn datagram(&mut self, _: &str, _: u16, _: &[u8], into: &mut [u8]) -> Result<usize, Never> {
        let length = self.0.len().min(into.len());
        into[..length].copy_from_slice(&self.0[..length]);
        Ok(length)
    }
}
