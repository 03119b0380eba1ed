//! The application drops its receive while a message arrives, then receives again, as a loop with a timer does. The
//! payload holds octets that are a packet themselves: whoever may publish to the device chooses them.

use core::cell::RefCell;
use core::num::NonZero;
use core::pin::pin;

use device_sdk::net::mqtt::Buffers;
use identity_core::session::MqttVersion::{self, V5, V311};
use identity_core::time::Instant;
use rust_mqtt::buffer::BumpBuffer;
use rust_mqtt::client::event::Event;

use super::broker::{Broker, Jumping, message};
use super::{ask, once, tell};
use crate::line::Line;
use crate::words::FILTER;
use crate::{ours, theirs};

/// "open", then a packet of its own: PUBLISH at QoS 0 to "root", in MQTT 5, with payload "X".
const PAYLOAD: &[u8] = b"open\x30\x08\0\x04root\0X";
/// Where it begins in the packet: after two octets of header, topic, identifier and properties.
const PAYLOAD_AT: usize = 2 + 2 + FILTER.len() + 2 + 1;
const FORGED: (&str, &[u8]) = ("root", b"X");

/// What the application has after all octets came.
#[derive(Debug, PartialEq)]
enum Got {
    Message,
    Nothing,
    /// An error that ends the session.
    Error,
    /// A message that nobody sent.
    Forged,
}

fn seen(topic: &str, payload: &[u8]) -> Got {
    match (topic, payload) {
        (FILTER, PAYLOAD) => Got::Message,
        FORGED => Got::Forged,
        other => panic!("neither the message nor the forged one: {other:?}"),
    }
}

/// Where the octets of `message` are cut: the receive is dropped at each.
type Cuts<'a> = &'a [usize];

/// The parts between the cuts.
fn parts<'a>(message: &'a [u8], cuts: Cuts<'a>) -> impl Iterator<Item = &'a [u8]> {
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([message.len()]);
    starts.zip(ends).map(|(start, end)| &message[start..end])
}

fn by_ours(version: MqttVersion, cuts: Cuts<'_>) -> Got {
    let (mut send, mut receive) = ([0; 128], [0; 128]);
    let buffers = Buffers { send: &mut send, receive: &mut receive };
    let clock = Jumping::default();
    let login = ours::connect(Broker::new(version == V5), &clock, version, buffers);
    let mut client = once(login).unwrap().unwrap();
    for part in parts(&message(version == V5, FILTER, PAYLOAD), cuts) {
        client.transport().line.arriving.extend_from_slice(part);
        match once(client.next(Instant(1_000))) {
            Some(Ok(Some(message))) => return seen(message.topic, message.payload),
            Some(Ok(None)) => unreachable!("it is not that late"),
            Some(Err(_)) => return Got::Error,
            None => {}
        }
    }
    Got::Nothing
}

/// How an application may receive with rust-mqtt.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// `poll`, again and again.
    Poll,
    /// `poll_header`, its answer kept, then `poll_body`; either is dropped.
    BothDropped,
    /// `poll_header`, then a `poll_body` that is never dropped, as its documentation asks.
    HeaderDropped,
}

fn by_theirs(way: Way, cuts: Cuts<'_>) -> Got {
    let line = RefCell::new(Broker::new(true));
    let mut memory = [0; 1024];
    let mut buffer = BumpBuffer::new(&mut memory);
    let login = theirs::connect(Shared(&line), &mut buffer, NonZero::new(128).unwrap());
    let mut client = once(login).unwrap().unwrap();
    let (message, mut kept) = (message(true, FILTER, PAYLOAD), None);
    let mut parts = parts(&message, cuts);
    while let Some(part) = parts.next() {
        line.borrow_mut().arriving.extend_from_slice(part);
        if way != Way::Poll && kept.is_none() {
            kept = match once(client.poll_header()) {
                Some(Ok(header)) => Some(header),
                Some(Err(_)) => return Got::Error,
                None => continue,
            };
        }
        let event = match (way, kept) {
            (Way::BothDropped, Some(header)) => once(client.poll_body(header)),
            (Way::HeaderDropped, Some(header)) => {
                let mut body = pin!(client.poll_body(header));
                let mut event = ask(body.as_mut());
                while let (None, Some(part)) = (&event, parts.next()) {
                    line.borrow_mut().arriving.extend_from_slice(part);
                    event = ask(body.as_mut());
                }
                event
            }
            _ => once(client.poll()),
        };
        match event {
            Some(Ok(Event::Publish(message))) => {
                let topic = message.topic.name().map_or("", |name| name.as_ref().as_str());
                return seen(topic, message.message.as_bytes());
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) => return Got::Error,
            None => {}
        }
    }
    Got::Nothing
}

/// A line that the test feeds while a client has it: rust-mqtt does not lend its stream out.
struct Shared<'a>(&'a RefCell<Broker>);

impl Line for Shared<'_> {
    fn waiting(&self) -> bool {
        self.0.borrow().waiting()
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        self.0.borrow_mut().take(into)
    }

    fn put(&mut self, octets: &[u8]) {
        self.0.borrow_mut().put(octets);
    }
}

/// One cut at each place in turn.
fn each(five: bool, receive: impl Fn(Cuts<'_>) -> Got) -> Vec<Got> {
    (0..message(five, FILTER, PAYLOAD).len()).map(|cut| receive(&[cut])).collect()
}

/// A cut after every octet.
fn all(five: bool, receive: impl Fn(Cuts<'_>) -> Got) -> Got {
    receive(&(0..message(five, FILTER, PAYLOAD).len()).collect::<Vec<_>>())
}

fn arrived(got: &[Got]) -> String {
    let count = |what: Got| got.iter().filter(|got| **got == what).count();
    let forged = match count(Got::Forged) {
        0 => String::new(),
        some => format!(", {some} forged"),
    };
    format!("{} of {}{forged}", count(Got::Message), got.len())
}

#[test]
fn ours_loses_nothing_wherever_the_receive_is_dropped() {
    for version in [V5, V311] {
        let got = each(version == V5, |cuts| by_ours(version, cuts));
        assert!(got.iter().all(|got| *got == Got::Message), "{got:?}");
        assert_eq!(all(version == V5, |cuts| by_ours(version, cuts)), Got::Message);
        if version == V5 {
            tell("next dropped", &arrived(&got));
        }
    }
}

#[test]
fn theirs_keeps_a_header_and_loses_a_body() {
    // the header has two octets; dropped later than that, the rest of the packet is read as if it began there
    let poll = each(true, |cuts| by_theirs(Way::Poll, cuts));
    assert!(poll[..2].iter().all(|got| *got == Got::Message), "{poll:?}");
    assert!(poll[2..].iter().all(|got| *got != Got::Message), "{poll:?}");
    assert_eq!(poll[PAYLOAD_AT + 4], Got::Forged);
    tell("poll dropped", &arrived(&poll));
    let both = each(true, |cuts| by_theirs(Way::BothDropped, cuts));
    assert!(both[..3].iter().all(|got| *got == Got::Message), "{both:?}");
    assert!(both[3..].iter().all(|got| *got != Got::Message), "{both:?}");
    tell("poll_header and poll_body dropped", &arrived(&both));
    let header = each(true, |cuts| by_theirs(Way::HeaderDropped, cuts));
    assert!(header.iter().all(|got| *got == Got::Message), "{header:?}");
    tell("poll_header dropped", &arrived(&header));
    for (way, wanted) in [(Way::Poll, Got::Error), (Way::BothDropped, Got::Nothing), (Way::HeaderDropped, Got::Message)]
    {
        assert_eq!(all(true, |cuts| by_theirs(way, cuts)), wanted);
    }
}
