use std::vec::Vec;

use embassy_futures::block_on;
use identity_core::Error as CoreError;
use identity_core::config::Secret;
use identity_core::session::MqttVersion::{self, V5, V311};
use identity_core::time::{Instant, UnixTime};

use super::{Buffers, Client, Connect, Qos, Will};
use crate::Error;
use crate::net::transport::Transport;
use crate::ports::Clock;

const UNTIL: Instant = Instant(1000);
const CONNACK_5: &[u8] = &[0x20, 3, 0, 0, 0];
const CONNACK_311: &[u8] = &[0x20, 2, 0, 0];

/// Time stands still.
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Instant {
        Instant(0)
    }

    async fn sleep_until(&self, _: Instant) {}

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}

/// A broker that says `script` in pieces, then nothing more (or closes), and keeps what it heard.
struct Broker {
    script: Vec<u8>,
    at: usize,
    piece: usize,
    closes: bool,
    heard: Vec<u8>,
}

impl Transport for Broker {
    async fn readable(&mut self, _: Instant) -> Result<bool, Error> {
        Ok(self.closes || self.at < self.script.len())
    }

    async fn read(&mut self, into: &mut [u8], _: Instant) -> Result<usize, Error> {
        let rest = &self.script[self.at..];
        let length = rest.len().min(into.len()).min(self.piece);
        into[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }

    async fn write_all(&mut self, octets: &[u8], _: Instant) -> Result<(), Error> {
        self.heard.extend_from_slice(octets);
        Ok(())
    }
}

fn broker(parts: &[&[u8]]) -> Broker {
    Broker { script: parts.concat(), at: 0, piece: 3, closes: false, heard: Vec::new() }
}

fn connect(version: MqttVersion) -> Connect<'static> {
    Connect {
        version,
        client_id: "pump",
        user_name: None,
        password: None,
        authentication: None,
        keep_alive: 60,
        will: None,
    }
}

/// Connects with 64 octets to send and 32 to receive, and goes on with `then`.
fn session<V>(
    version: MqttVersion,
    broker: Broker,
    then: impl AsyncFnOnce(&mut Client<'_, Broker, Frozen>) -> Result<V, Error>,
) -> Result<(V, Vec<u8>), Error> {
    let (mut send, mut receive) = ([0; 64], [0; 32]);
    block_on(async {
        let buffers = Buffers { send: &mut send, receive: &mut receive };
        let mut client = Client::connect(broker, &Frozen, buffers, &connect(version), UNTIL).await?;
        let value = then(&mut client).await?;
        Ok((value, core::mem::take(&mut client.transport().heard)))
    })
}

fn refusal(outcome: Result<((), Vec<u8>), Error>) -> (&'static str, u8) {
    match outcome {
        Err(Error::Broker { what, reason, .. }) => (what, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_go_out_from_where_they_lie_whatever_their_size() {
    let token = "t".repeat(300);
    let wish = Connect { user_name: Some("u"), password: Some(Secret::new(&token)), ..connect(V311) };
    let mut buffer = [0; 64];
    let (before, behind) = super::connect::write_connect(&mut buffer, &wish, 32).unwrap();
    // 10 octets of variable header, 6 of identifier, 3 of user name, 2 of length and the token
    assert_eq!(before, b"\x10\xc1\x02\0\x04MQTT\x04\xc2\0\x3c\0\x04pump\0\x01u\x01\x2c");
    assert_eq!(behind, b"");
    let wish = Connect { authentication: Some(("M", Secret::new(&token))), ..connect(V5) };
    let (before, behind) = super::connect::write_connect(&mut buffer, &wish, 32).unwrap();
    // properties: 8 of limits, 4 of method, 3 + 300 of data
    let head = b"\x10\xcd\x02\0\x04MQTT\x05\x02\0\x3c\xbb\x02\x21\0\x04\x27\0\0\0\x20\x15\0\x01M\x16\x01\x2c";
    assert_eq!((before, behind), (&head[..], &b"\0\x04pump"[..]));
    let both = Connect { password: Some(Secret::new("p")), ..wish };
    assert!(super::connect::write_connect(&mut buffer, &both, 32).is_err());
    let old = Connect { version: V311, ..wish };
    assert!(super::connect::write_connect(&mut buffer, &old, 32).is_err());
}

#[test]
fn a_new_token_is_shown_on_the_live_link() {
    let shown = b"\xf0\x0c\x19\x0a\x15\0\x01M\x16\0\x03new";
    let reauthenticate =
        async |client: &mut Client<'_, Broker, Frozen>| client.reauthenticate("M", Secret::new("new"), UNTIL).await;
    for success in [&b"\xf0\0"[..], b"\xf0\x06\0\x04\x15\0\x01M"] {
        let ((), heard) = session(V5, broker(&[CONNACK_5, success]), reauthenticate).unwrap();
        assert!(heard.ends_with(shown), "{heard:?}");
    }
    let refused = session(V5, broker(&[CONNACK_5, b"\xe0\x01\x87"]), reauthenticate);
    assert_eq!(refusal(refused), ("session", 0x87));
    assert!(session(V5, broker(&[CONNACK_5, b"\xf0\x01\x18"]), reauthenticate).is_err(), "asked for more");
    assert!(session(V5, broker(&[b"\xf0\x01\x18"]), async |_| Ok(())).is_err(), "a challenge before CONNACK");
}

#[test]
fn connect_says_who_and_what_is_to_be_published_when_the_device_vanishes() {
    let will = Some(Will { topic: "t", payload: b"gone", qos: Qos::AtLeastOnce, retain: true });
    let wish = Connect { will, ..connect(V311) };
    let mut buffer = [0; 64];
    let packet = super::connect::write_connect(&mut buffer, &wish, 32).unwrap();
    let want = b"\x10\x19\0\x04MQTT\x04\x2e\0\x3c\0\x04pump\0\x01t\0\x04gone";
    assert_eq!(packet, (&want[..], &[][..]));
    let ((), heard) = session(V5, broker(&[CONNACK_5]), async |_| Ok(())).unwrap();
    assert_eq!(heard, b"\x10\x19\0\x04MQTT\x05\x02\0\x3c\x08\x21\0\x04\x27\0\0\0\x20\0\x04pump");
}

#[test]
fn a_publish_is_acknowledged_and_messages_that_come_meanwhile_are_kept() {
    let message = b"\x32\x08\0\x01t\0\x09abc";
    let broker = broker(&[CONNACK_311, message, &[0x40, 2, 0, 7], &[0x40, 2, 0, 1], b"\x30\x04\0\x01td"]);
    let (payloads, heard) = session(V311, broker, async |client| {
        client.publish("t", b"x", Qos::AtLeastOnce, false, UNTIL).await?;
        let first = client.next(UNTIL).await?.unwrap().payload.to_vec();
        let second = client.next(UNTIL).await?.unwrap().payload.to_vec();
        assert!(client.next(UNTIL).await?.is_none());
        Ok([first, second])
    })
    .unwrap();
    assert_eq!(payloads, [b"abc".to_vec(), b"d".to_vec()]);
    assert!(heard.ends_with(b"\x32\x06\0\x01t\0\x01x\x40\x02\0\x09"), "publish, then the message is acknowledged");
}

#[test]
fn a_broker_that_refuses_is_quoted() {
    for (version, connack, code) in [(V311, [0x20, 2, 0, 5].as_slice(), 5), (V5, &[0x20, 3, 0, 0x87, 0], 0x87)] {
        assert_eq!(refusal(session(version, broker(&[connack]), async |_| Ok(()))), ("CONNECT", code));
    }
    let publish =
        async |client: &mut Client<'_, Broker, Frozen>| client.publish("t", b"x", Qos::AtLeastOnce, false, UNTIL).await;
    let denied = broker(&[CONNACK_5, &[0x40, 3, 0, 1, 0x87]]);
    assert_eq!(refusal(session(V5, denied, publish)), ("PUBLISH", 0x87));
    let over = broker(&[CONNACK_5, &[0xE0, 1, 0x8E]]);
    assert_eq!(refusal(session(V5, over, publish)), ("session", 0x8E));
    let subscribe =
        async |client: &mut Client<'_, Broker, Frozen>| client.subscribe("t/#", Qos::AtLeastOnce, UNTIL).await;
    assert_eq!(refusal(session(V311, broker(&[CONNACK_311, &[0x90, 3, 0, 1, 0x80]]), subscribe)), ("SUBSCRIBE", 0x80));
    // Maximum QoS 0, Retain Available 0, Maximum Packet Size 10
    let limited = [0x20, 12, 0, 0, 9, 0x24, 0, 0x25, 0, 0x27, 0, 0, 0, 10];
    assert_eq!(refusal(session(V5, broker(&[&limited]), publish)), ("PUBLISH", 0x9B));
    let large = async |client: &mut Client<'_, Broker, Frozen>| {
        client.publish("t", b"more than ten", Qos::AtMostOnce, false, UNTIL).await
    };
    assert_eq!(refusal(session(V5, broker(&[&limited]), large)), ("PUBLISH", 0x95));
}

#[test]
fn a_broker_that_ignores_floods_or_closes_costs_a_bounded_wait() {
    let publish =
        async |client: &mut Client<'_, Broker, Frozen>| client.publish("t", b"x", Qos::AtLeastOnce, false, UNTIL).await;
    let silent = session(V311, broker(&[]), publish);
    assert_eq!(silent, Err(Error::Timeout { what: "CONNACK", after_ms: 1000 }));
    let ignores = session(V311, broker(&[CONNACK_311]), publish);
    assert_eq!(ignores, Err(Error::Timeout { what: "PUBACK", after_ms: 1000 }));
    let message = b"\x30\x04\0\x01td".repeat(99);
    let floods = session(V311, broker(&[CONNACK_311, &message]), publish);
    assert_eq!(floods, Err(Error::Core(CoreError::NoSpace { what: "the MQTT receive buffer", wanted: 33 })));
    let closes = session(V311, Broker { closes: true, ..broker(&[CONNACK_311]) }, publish);
    assert!(matches!(closes, Err(Error::Closed { .. })));
    let huge = session(V311, broker(&[CONNACK_311, b"\x30\xff\xff\xff\x7f"]), publish);
    assert!(matches!(huge, Err(Error::Core(CoreError::NoSpace { wanted: 268_435_460, .. }))));
}

#[test]
fn what_mqtt_does_not_allow_is_malformed() {
    let next = async |client: &mut Client<'_, Broker, Frozen>| client.next(UNTIL).await.map(|_| ());
    let bad: [&[u8]; 8] = [
        b"\x34\x05\0\x01t\0\x01",    // QoS 2
        b"\x32\x05\0\x01t\0\0",      // identifier 0
        b"\x30\x03\0\x05t",          // the topic ends after the packet
        b"\x30\x02\0\0",             // no topic
        b"\x30\x03\0\x01\xff",       // not UTF-8
        b"\x30\xff\xff\xff\xff\x01", // five octets of length
        &[0x10, 0],                  // CONNECT from a broker
        &[0x90, 1, 0],               // half an identifier
    ];
    for packet in bad {
        let outcome = session(V311, broker(&[CONNACK_311, packet]), next);
        assert!(matches!(outcome, Err(Error::Core(CoreError::Malformed { .. }))), "{packet:x?}: {outcome:?}");
    }
    for topic in ["", "a/+", "#", "a\0"] {
        let outcome = session(V311, broker(&[CONNACK_311]), async |client| {
            client.publish(topic, b"", Qos::AtMostOnce, false, UNTIL).await
        });
        assert!(matches!(outcome, Err(Error::Core(CoreError::Misuse(_)))), "{topic}");
    }
}

#[test]
fn no_octets_of_a_broker_make_the_client_panic() {
    // xorshift: the same octets on every run
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000 {
        let version = if round % 2 == 0 { V5 } else { V311 };
        let mut octets = if version == V5 { CONNACK_5.to_vec() } else { CONNACK_311.to_vec() };
        for _ in 0..random() % 4 {
            let first = [0x20, 0x30, 0x32, 0x40, 0x90, 0xD0, 0xE0, 0xFF][random() as usize % 8];
            let body: Vec<u8> = (0..random() % 12).map(|_| (random() % 9) as u8).collect();
            octets.extend([first, body.len() as u8 + u8::from(random() % 8 == 0)]);
            octets.extend(body);
        }
        let talk = Broker { closes: true, ..broker(&[&octets]) };
        // whatever comes out, it came without a panic and without an endless wait
        let _ = session(version, talk, async |client| {
            client.subscribe("t", Qos::AtLeastOnce, UNTIL).await?;
            client.publish("t", b"x", Qos::AtLeastOnce, false, UNTIL).await?;
            while client.next(UNTIL).await?.is_some() {}
            Ok(())
        });
    }
}
