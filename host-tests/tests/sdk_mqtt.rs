//! The MQTT client against brokers that are silent, odd or limited.

use std::cell::Cell;

use device_sdk::Error;
use device_sdk::clock::std_clock::block_on;
use device_sdk::net::mqtt::{Buffers, Client, Connect, Qos};
use device_sdk::net::transport::Transport;
use device_sdk::ports::Clock;
use identity_core::config::Secret;
use identity_core::session::MqttVersion::{self, V5, V311};
use identity_core::time::{Instant, UnixTime};

/// Time that a test moves; waits take it forward.
#[derive(Default)]
struct Hand(Cell<u64>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant(self.0.get())
    }

    async fn sleep_until(&self, until: Instant) {
        self.0.set(self.0.get().max(until.0));
    }

    fn wall(&self) -> Option<UnixTime> {
        None
    }
}

/// A broker that says `says` and answers each PINGREQ if it is `alive`; it keeps what it heard.
struct Broker {
    says: Vec<u8>,
    alive: bool,
    heard: Vec<u8>,
}

impl Transport for Broker {
    async fn readable(&mut self, _: Instant) -> Result<bool, Error> {
        Ok(!self.says.is_empty())
    }

    async fn read(&mut self, into: &mut [u8], _: Instant) -> Result<usize, Error> {
        let length = into.len().min(self.says.len());
        into[..length].copy_from_slice(&self.says[..length]);
        self.says.drain(..length);
        Ok(length)
    }

    async fn write_all(&mut self, octets: &[u8], _: Instant) -> Result<(), Error> {
        self.heard.extend_from_slice(octets);
        if octets == [0xC0, 0] && self.alive {
            self.says.extend([0xD0, 0]);
        }
        Ok(())
    }
}

fn connect(version: MqttVersion) -> Connect<'static> {
    Connect {
        version,
        client_id: "pump",
        user_name: Some("pump"),
        password: Some(Secret::new("open sesame")),
        keep_alive: 40,
        will: None,
    }
}

/// Logs in to a broker that answers with `connack`, and goes on with `then`; the send buffer is left in `send`.
fn session(
    version: MqttVersion,
    connack: &[u8],
    alive: bool,
    send: &mut [u8],
    then: impl AsyncFnOnce(&mut Client<'_, Broker, Hand>, &Hand) -> Result<(), Error>,
) -> Result<(), Error> {
    let (clock, mut receive) = (Hand::default(), [0; 256]);
    let broker = Broker { says: connack.to_vec(), alive, heard: Vec::new() };
    block_on(async {
        let buffers = Buffers { send, receive: &mut receive };
        let mut client = Client::connect(broker, &clock, buffers, &connect(version), Instant(1000)).await?;
        then(&mut client, &clock).await
    })
}

const ACCEPTED: &[u8] = &[0x20, 3, 0, 0, 0];

/// What [`device_sdk::Link`] does when an application only publishes at QoS 0, every `every_ms`; after how many
/// milliseconds it fails, if it does within ten minutes.
fn publishes_only(alive: bool, every_ms: u64) -> Option<u64> {
    let failed = Cell::new(None);
    let _ = session(V5, ACCEPTED, alive, &mut [0; 256], async |client, clock| {
        while clock.0.get() < 600_000 {
            let until = clock.now().after_ms(1000);
            let kept = client.keep_alive(until).await;
            if let Err(error) = kept {
                assert!(matches!(error, Error::Timeout { what: "PINGRESP of the broker", .. }), "{error:?}");
                failed.set(Some(clock.0.get()));
                return Ok(());
            }
            client.publish("t", b"x", Qos::AtMostOnce, false, until).await?;
            clock.0.set(clock.0.get() + every_ms);
        }
        Ok(())
    });
    failed.get()
}

#[test]
fn an_answered_ping_is_noticed_although_nobody_waits_for_messages() {
    for every in [1_000, 15_000, 29_000, 35_000] {
        assert_eq!(publishes_only(true, every), None, "a publish every {every} ms");
    }
}

#[test]
fn a_broker_that_vanished_is_noticed_although_publishes_go_out() {
    for every in [1_000, 15_000, 29_000, 35_000] {
        let failed = publishes_only(false, every).expect("two keep-alives without a word");
        assert!(failed <= 90_000, "a publish every {every} ms: noticed after {failed} ms");
    }
}

#[test]
fn a_session_that_nobody_asked_for_is_refused() {
    for (version, connack) in [(V5, [0x20, 3, 1, 0, 0].as_slice()), (V311, &[0x20, 2, 1, 0])] {
        let error = session(version, connack, true, &mut [0; 256], async |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("session"), "{error}");
    }
}

#[test]
fn a_broker_of_the_old_version_says_which_to_set() {
    let error = session(V5, &[0x20, 2, 0, 1], true, &mut [0; 256], async |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("V311"), "{error}");
}

#[test]
fn the_password_does_not_stay_in_the_send_buffer() {
    for connack in [ACCEPTED, &[0x20, 3, 0, 0x86, 0]] {
        let mut send = [0; 256];
        let _ = session(V5, connack, true, &mut send, async |_, _| Ok(()));
        assert!(!send.windows(6).any(|window| window == b"sesame"));
    }
}

#[test]
fn a_subscription_larger_than_the_broker_takes_is_not_sent() {
    // Maximum Packet Size 20
    let connack = [0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 20];
    let error = session(V5, &connack, true, &mut [0; 256], async |client, clock| {
        let before = client.transport().heard.len();
        let until = clock.now().after_ms(1000);
        let outcome = client.subscribe("a/rather/long/topic/filter", Qos::AtLeastOnce, until).await;
        assert_eq!(client.transport().heard.len(), before);
        outcome
    });
    assert!(matches!(error, Err(Error::Broker { what: "SUBSCRIBE", reason: 0x95, .. })), "{error:?}");
}

#[test]
fn success_without_a_subscriber_is_success() {
    let outcome = session(V5, ACCEPTED, true, &mut [0; 256], async |client, clock| {
        client.transport().says.extend([0x40, 3, 0, 1, 0x10]);
        client.publish("t", b"x", Qos::AtLeastOnce, false, clock.now().after_ms(1000)).await
    });
    assert_eq!(outcome, Ok(()));
}
