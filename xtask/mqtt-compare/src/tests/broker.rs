//! A broker that answers at once, and a clock that jumps.

use core::cell::Cell;

use device_sdk::ports::Clock;
use identity_core::time::{Instant, UnixTime};

use crate::line::Line;

pub(super) const CONNECT: u8 = 0x10;
pub(super) const PUBLISH: u8 = 0x32;
pub(super) const PUBACK: u8 = 0x40;
pub(super) const SUBSCRIBE: u8 = 0x82;
pub(super) const PINGREQ: u8 = 0xC0;
pub(super) const DISCONNECT: u8 = 0xE0;

/// PUBLISH at QoS 1 with identifier 9.
pub(super) fn message(five: bool, topic: &str, payload: &[u8]) -> Vec<u8> {
    let properties: &[u8] = if five { &[0] } else { &[] };
    let topic = [&[0, topic.len() as u8], topic.as_bytes()].concat();
    let body = [&topic, &[0, 9][..], properties, payload].concat();
    [&[PUBLISH, body.len() as u8], &body[..]].concat()
}

pub(super) struct Broker {
    /// Sent once PINGREQ was answered.
    pub(super) message: Vec<u8>,
    /// On its way to the client.
    pub(super) arriving: Vec<u8>,
    half: Vec<u8>,
    five: bool,
    /// Types of the packets heard, and their octets.
    pub(super) heard: Vec<u8>,
    pub(super) octets: usize,
}

impl Broker {
    pub(super) fn new(five: bool) -> Self {
        Self { message: Vec::new(), arriving: Vec::new(), half: Vec::new(), five, heard: Vec::new(), octets: 0 }
    }

    /// One whole packet came.
    fn answer(&mut self, packet: &[u8]) {
        let [kind, _, body @ ..] = packet else { unreachable!() };
        self.heard.push(*kind);
        let properties: &[u8] = if self.five { &[0] } else { &[] };
        match *kind {
            CONNECT => self.reply(0x20, &[&[0, 0], properties]),
            SUBSCRIBE => self.reply(0x90, &[&body[..2], properties, &[1]]),
            PUBLISH => {
                let after = 2 + usize::from(body[1]);
                self.reply(PUBACK, &[&body[after..after + 2]]);
            }
            PINGREQ => {
                self.reply(0xD0, &[]);
                self.arriving.append(&mut self.message);
            }
            _ => {}
        }
    }

    fn reply(&mut self, kind: u8, body: &[&[u8]]) {
        let body = body.concat();
        self.arriving.extend([kind, body.len() as u8]);
        self.arriving.extend(body);
    }
}

impl Line for Broker {
    fn waiting(&self) -> bool {
        !self.arriving.is_empty()
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let length = into.len().min(self.arriving.len());
        into.iter_mut().zip(self.arriving.drain(..length)).for_each(|(to, from)| *to = from);
        length
    }

    fn put(&mut self, octets: &[u8]) {
        self.octets += octets.len();
        self.half.extend(octets);
        while let Some(&length) = self.half.get(1)
            && self.half.len() >= 2 + usize::from(length)
        {
            let packet: Vec<u8> = self.half.drain(..2 + usize::from(length)).collect();
            self.answer(&packet);
        }
    }
}

/// Whoever sleeps arrives at once.
#[derive(Default)]
pub(super) struct Jumping(Cell<u64>);

impl Clock for Jumping {
    fn now(&self) -> Instant {
        Instant(self.0.get())
    }

    async fn sleep_until(&self, until: Instant) {
        self.0.set(until.0);
    }

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}
