use core::num::NonZero;

use device_sdk::net::mqtt::Buffers;
use identity_core::session::MqttVersion::{self, V5, V311};
use rust_mqtt::buffer::BumpBuffer;

use super::broker::{Broker, CONNECT, DISCONNECT, Jumping, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE, message};
use super::{once, tell};
use crate::words::FILTER;
use crate::{ours, theirs};

const PAYLOAD: &[u8] = b"open";
const WANTED: [u8; 6] = [CONNECT, SUBSCRIBE, PUBLISH, PINGREQ, PUBACK, DISCONNECT];

fn broker(five: bool) -> Broker {
    let mut broker = Broker::new(five);
    broker.message = message(five, FILTER, PAYLOAD);
    broker
}

/// The octets sent, if the session came to its end with this much memory.
fn by_ours(version: MqttVersion, send: usize, receive: usize) -> Option<usize> {
    let (mut send, mut receive) = (vec![0; send], vec![0; receive]);
    let mut broker = broker(version == V5);
    let mut seen = Vec::new();
    let buffers = Buffers { send: &mut send, receive: &mut receive };
    let clock = Jumping::default();
    let session = ours::session(&mut broker, &clock, version, buffers, |topic, payload| {
        assert_eq!(topic, FILTER);
        seen.extend_from_slice(payload);
    });
    once(session).expect("the broker answers at once").ok()?;
    assert_eq!((seen.as_slice(), broker.heard.as_slice()), (PAYLOAD, &WANTED[..]));
    Some(broker.octets)
}

fn by_theirs(memory: usize) -> Option<usize> {
    let mut memory = vec![0; memory];
    let mut broker = broker(true);
    let mut seen = Vec::new();
    {
        let mut buffer = BumpBuffer::new(&mut memory);
        let largest = NonZero::new(128).unwrap();
        let clock = Jumping::default();
        let session = theirs::session(&mut broker, &clock, &mut buffer, largest, |topic, payload| {
            assert_eq!(topic, FILTER);
            seen.extend_from_slice(payload);
        });
        once(session).expect("the broker answers at once").ok()?;
    }
    assert_eq!((seen.as_slice(), broker.heard.as_slice()), (PAYLOAD, &WANTED[..]));
    Some(broker.octets)
}

fn least(enough: impl Fn(usize) -> bool) -> usize {
    (0..128).find(|&octets| enough(octets)).expect("128 octets are enough")
}

#[test]
fn all_say_the_same_packets() {
    // theirs spells out Request Problem Information and the reason of PUBACK and DISCONNECT
    let octets = [by_ours(V5, 128, 128), by_ours(V311, 128, 128), by_theirs(128)].map(Option::unwrap);
    assert_eq!(octets, [127, 113, 131]);
    tell("ours sent", &octets[0].to_string());
    tell("theirs sent", &octets[2].to_string());
}

#[test]
fn the_least_memory_that_is_enough() {
    for version in [V5, V311] {
        let send = least(|octets| by_ours(version, octets, 128).is_some());
        let receive = least(|octets| by_ours(version, 128, octets).is_some());
        assert_eq!(receive, message(version == V5, FILTER, PAYLOAD).len(), "the largest packet that arrives");
        if version == V5 {
            tell("ours lent", &format!("{send} + {receive}"));
        }
    }
    let memory = least(|octets| by_theirs(octets).is_some());
    assert_eq!(memory, FILTER.len() + PAYLOAD.len(), "topic and payload");
    tell("theirs lent", &format!("0 + {memory}"));
}
