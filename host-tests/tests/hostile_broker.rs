//! Brokers that misbehave, over real sockets and TLS, towards a whole device: a clear error, a bounded wait, and the
//! identity still serves afterwards, without another enrolment.

use device_sdk::Error;
use device_sdk::net::mqtt::Qos;
use host_tests::bench_device::{Attempt, Rig, RigOptions, TOPIC, each};
use host_tests::broker::BrokerFault;
use host_tests::events::Event;
use host_tests::server::LineFault;
use identity_core::Error as Core;
use identity_core::session::MqttVersion::{self, V5, V311};

/// Milliseconds that a whole attempt may take by the device's clock, backoff left out: connection, handshake, CONNECT, publish.
const ATTEMPT_MS: u64 = 65_000;
/// Seconds after which every backoff is over.
const LATER_S: u64 = 600;

/// What the device has to say.
#[derive(Clone, Copy, Debug)]
enum Says {
    Broker(&'static str, u8, &'static str),
    Malformed(&'static str),
    NoSpace(&'static str),
    Timeout(&'static str),
    Closed(&'static str),
}

use Says::{Broker, Closed, Malformed, NoSpace, Timeout};

impl Says {
    fn check(self, attempt: Attempt) {
        let error = attempt.result.expect_err("an error");
        let (fits, words) = match (self, error) {
            (Broker(wanted, code, words), Error::Broker { what, reason, .. }) => {
                ((what, reason) == (wanted, code), words)
            }
            (Malformed(words), Error::Core(Core::Malformed { .. }))
            | (NoSpace(words), Error::Core(Core::NoSpace { .. }))
            | (Timeout(words), Error::Timeout { .. })
            | (Closed(words), Error::Closed { .. }) => (true, words),
            _ => (false, ""),
        };
        assert!(fits, "{error:?}, not {self:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(attempt.took_ms < ATTEMPT_MS, "{} ms: {error}", attempt.took_ms);
    }
}

fn rig(version: MqttVersion) -> Rig {
    Rig::enrolled(&RigOptions { version, ..RigOptions::default() })
}

/// The fault twice, in one life of the device; then all is well again, with the same identity.
fn meets(version: MqttVersion, says: Says, set: impl Fn(&Rig, bool)) {
    let rig = rig(version);
    let before = rig.records();
    let mut device = rig.boot();
    set(&rig, true);
    for _ in 0..2 {
        says.check(rig.publish(&mut device));
        rig.clock.skip_seconds(LATER_S);
    }
    assert_eq!(rig.records(), before);
    set(&rig, false);
    assert_eq!(rig.publish(&mut device).result, Ok(()));
    assert_eq!((rig.records(), rig.requests()), (before, 1));
}

#[test]
fn refusals_of_connect_say_what_to_do() {
    let rows = [
        (V311, 1, "set `version` to V5"),
        (V311, 2, "set `client_id` as the broker demands"),
        (V311, 3, "try again later"),
        (V311, 4, "user name or password are wrong"),
        (V311, 5, "check the broker's access rules for its name"),
        (V311, 77, "look the code up"),
        (V5, 0x80, "look into the broker's log"),
        (V5, 0x81, "report this as a bug"),
        (V5, 0x84, "change `version`"),
        (V5, 0x85, "set `client_id` as the broker demands"),
        (V5, 0x86, "user name or password are wrong"),
        (V5, 0x87, "check the broker's access rules for its name"),
        (V5, 0x88, "try again later"),
        (V5, 0x89, "try again later"),
        (V5, 0x8A, "ask the broker's administrator"),
        (V5, 0x8C, "choose another session"),
        (V5, 0x95, "publish less at once"),
        (V5, 0x97, "a quota is used up"),
        (V5, 0x9A, "publish without retain"),
        (V5, 0x9C, "change the session's host"),
        (V5, 0x9D, "change the session's host"),
        (V5, 0x9F, "wait longer between them"),
        (V5, 0xFF, "look the code up"),
    ];
    each(&rows, |&(version, code, words)| {
        meets(version, Broker("CONNECT", code, words), |rig, on| {
            rig.plant.broker().unwrap().set_fault(on.then_some(BrokerFault::Connack(code)));
        });
    });
}

#[test]
fn brokers_that_ignore_flood_or_break_the_protocol() {
    use BrokerFault::{Also, Chatter, Flood, Hangup, Ignore, Instead, NoAcks, Torn};
    const INBOX: &str = "the MQTT receive buffer needs";
    let rows = [
        (Ignore, Timeout("no CONNACK within ")),
        (NoAcks, Timeout("no PUBACK within ")),
        (Hangup, Closed("an MQTT session; look into the broker's log")),
        // more and larger than the buffer of 2048 octets
        (Flood { times: 500, octets: 20, qos: 0 }, NoSpace(INBOX)),
        (Flood { times: 500, octets: 20, qos: 1 }, NoSpace(INBOX)),
        (Flood { times: 1, octets: 3_000, qos: 0 }, NoSpace("the MQTT receive buffer needs 30")),
        (Flood { times: 1, octets: 100_000, qos: 1 }, NoSpace("the MQTT receive buffer needs 1000")),
        // answers to nothing, for ever
        (Chatter(&[0xD0, 0]), Timeout("no PUBACK within ")),
        (Chatter(&[0x40, 2, 0x77, 0x77]), Timeout("no PUBACK within ")),
        // in place of CONNACK
        (Instead(&[0xFF; 32]), Malformed("the first packet is not CONNACK")),
        (Instead(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Malformed("check that the port speaks MQTT")),
        (Instead(&[0xD0, 0]), Malformed("the first packet is not CONNACK")),
        (Instead(&[0x20, 0]), Malformed("a packet ends within a field")),
        (Instead(&[0x20, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Malformed("remaining length has more than four octets")),
        (Instead(&[0x20, 3, 0]), Timeout("no CONNACK within ")),
        // after CONNACK
        (Also(&[0x40, 1, 0]), Malformed("a packet ends within a field")),
        (Also(&[0x10, 0]), Malformed("a packet that a broker may not send to this client")),
        (Also(&[0x82, 5, 0, 1, 0, 1, b'a', 0]), Malformed("a packet that a broker may not send")),
        (Also(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]), NoSpace("the MQTT receive buffer needs 268435460")),
        // the connection ends within a packet
        (Torn(&[0x40]), Closed("an MQTT session")),
        (Torn(&[0x30, 100, 0, 1, b'a']), Closed("an MQTT session")),
    ];
    let rows: Vec<_> = [V5, V311].into_iter().flat_map(|version| rows.map(|(f, s)| (version, f, s))).collect();
    each(&rows, |&(version, fault, says)| {
        meets(version, says, |rig, on| rig.plant.broker().unwrap().set_fault(on.then_some(fault)));
    });
}

#[test]
fn brokers_that_end_the_session_in_mqtt_5_say_why() {
    let rows: [(&'static [u8], u8, &str); 3] = [
        (&[0xE0, 1, 0x8B], 0x8B, "it is shutting down"),
        (&[0xE0, 1, 0x8E], 0x8E, "give each device its own"),
        (&[0xE0, 0], 0, "look the code up"),
    ];
    each(&rows, |&(octets, code, words)| {
        meets(V5, Broker("session", code, words), |rig, on| {
            rig.plant.broker().unwrap().set_fault(on.then_some(BrokerFault::Also(octets)));
        });
    });
}

#[test]
fn brokers_that_do_not_get_as_far_as_mqtt() {
    let rows = [
        (LineFault::Mute, Timeout("no TLS handshake within 30000 ms")),
        (LineFault::Hangup, Closed("TLS handshake")),
        (LineFault::MuteAfterTls, Timeout("no CONNACK within ")),
        (LineFault::HangupAfterTls, Closed("an MQTT session")),
    ];
    each(&rows, |&(fault, says)| {
        meets(V5, says, |rig, on| rig.plant.broker().unwrap().line().set_fault(on.then_some(fault)));
    });
}

#[test]
fn a_flood_that_the_application_drains_is_delivered_whole() {
    let rows = [(V5, 0), (V5, 1), (V311, 0), (V311, 1)];
    each(&rows, |&(version, qos)| {
        let rig = rig(version);
        rig.plant.broker().unwrap().set_fault(Some(BrokerFault::Flood { times: 400, octets: 20, qos }));
        let mut device = rig.boot();
        let drained = rig.time(async {
            let mut link = device.online().await?;
            for number in 0..400u32 {
                let message = link.next(link.now().after_seconds(20)).await?.expect("a message");
                assert_eq!(message.topic, "devices/pump-7/flood");
                assert_eq!(message.qos == Qos::AtLeastOnce, qos == 1);
                assert_eq!(message.payload.len(), 20);
                assert!(message.payload.starts_with(number.to_string().as_bytes()), "message {number}");
            }
            link.publish(TOPIC, b"after the flood").await?;
            link.disconnect().await
        });
        assert_eq!(drained.result, Ok(()));
    });
}

#[test]
fn a_broker_that_answers_nothing_is_noticed_by_whoever_waits() {
    each(&[V5, V311], |&version| {
        let rig = rig(version);
        rig.plant.broker().unwrap().set_fault(Some(BrokerFault::NoAcks));
        let mut device = rig.boot();
        let subscribes =
            rig.time(async { device.online().await?.subscribe("devices/pump-7/#", Qos::AtLeastOnce).await });
        Timeout("no SUBACK within ").check(subscribes);
        // keep-alive of 60 s: PINGREQ after 45, and 23 more for its answer
        let listens = rig.time(async {
            let mut link = device.online().await?;
            link.next(link.now().after_seconds(3_600)).await.map(drop)
        });
        Timeout("no PINGRESP of the broker within ").check(Attempt { took_ms: listens.took_ms - 40_000, ..listens });
        rig.plant.broker().unwrap().set_fault(None);
        assert_eq!(rig.publish(&mut device).result, Ok(()));
    });
}

#[test]
fn messages_that_are_no_messages_end_the_link() {
    let rows: [(&'static [u8], &str); 4] = [
        (&[0x34, 4, 0, 1, b'a', 0], "PUBLISH at QoS 2"),
        (&[0x30, 4, 0, 2, 0xC0, 0x80], "a topic is not UTF-8"),
        (&[0x32, 6, 0, 1, b'a', 0, 0, 0], "packet identifier 0"),
        (&[0x30, 3, 0, 9, b'a'], "a packet ends within a field"),
    ];
    each(&rows, |&(octets, words)| {
        for version in [V5, V311] {
            let rig = rig(version);
            rig.plant.broker().unwrap().set_fault(Some(BrokerFault::Also(octets)));
            let mut device = rig.boot();
            let attempt = rig.time(async {
                let mut link = device.online().await?;
                let until = link.now().after_seconds(20);
                link.next(until).await.map(drop)
            });
            Malformed(words).check(attempt);
            rig.plant.broker().unwrap().set_fault(None);
            assert_eq!(rig.publish(&mut device).result, Ok(()));
        }
    });
}

/// Connections that the broker saw in so many seconds of the device's life with an application that never gives up.
fn connections(fault: BrokerFault, seconds: u64, haste: u64, listens: bool) -> usize {
    let rig = Rig::enrolled(&RigOptions { haste, ..RigOptions::default() });
    let mut device = rig.boot();
    let seen = rig.plant.events().all().len();
    rig.plant.broker().unwrap().set_fault(Some(fault));
    let until = rig.clock.ms() + seconds * 1000;
    while rig.clock.ms() < until {
        let attempt = rig.time(async {
            let mut link = device.online().await?;
            match listens {
                true => link.next(link.now().after_seconds(3_600)).await.map(drop),
                false => loop {
                    link.publish(TOPIC, b"1").await?;
                },
            }
        });
        assert!(attempt.result.is_err());
    }
    let connected = |(_, event): &(_, Event)| matches!(event, Event::Connected { .. });
    let connections = rig.plant.events().all().iter().skip(seen).filter(|event| connected(event)).count();
    assert_eq!(rig.enrolments(), 1);
    connections
}

#[test]
fn a_broker_that_hangs_up_again_and_again_is_asked_ever_more_rarely() {
    let rows = [(BrokerFault::Hangup, false), (BrokerFault::Hangup, true), (BrokerFault::Torn(&[0x30]), true)];
    each(&rows, |&(fault, listens)| {
        // full jitter below 1, 2, 4, 8 … 256, 300 s: half an hour has some 18 attempts, and never more than a few dozen
        let connections = connections(fault, 1_800, 200, listens);
        assert!((8..=45).contains(&connections), "{connections} connections in half an hour");
    });
}

#[test]
fn a_broker_that_hangs_up_on_proved_links_is_not_stormed() {
    // each link acknowledged something, so the backoff starts anew: a random part of a second
    let connections = connections(BrokerFault::HangupAfterAnswer, 60, 20, false);
    assert!((30..=400).contains(&connections), "{connections} connections in a minute");
}
