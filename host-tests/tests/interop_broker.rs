//! The embedded broker and mosquitto before the same judges: rumqttc, mosquitto_pub and mosquitto_sub.

use host_tests::broker::{BrokerFault, OBSERVER};
use host_tests::ca::{Ca, CaOptions, DAY, Identity, Validity};
use host_tests::der;
use host_tests::events::Event;
use host_tests::mosquitto::Mosquitto;
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::subscriber::{Subscriber, client_config};
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

/// Every broker there is, with and without an intermediate authority.
fn plants() -> Vec<Plant> {
    let mut kinds = vec![BrokerKind::Embedded];
    kinds.extend(Mosquitto::available().then_some(BrokerKind::Mosquitto));
    let start = |(broker, intermediate)| {
        let ca = CaOptions { intermediate, ..CaOptions::default() };
        Plant::start(PlantOptions { broker, ca, ..PlantOptions::default() }).expect("a plant")
    };
    kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]).map(start).collect()
}

/// mosquitto_pub as `identity`, none if it is not installed.
fn mosquitto_pub(plant: &Plant, identity: Option<&Identity>, args: &[&str]) -> Option<Output> {
    let scratch = Scratch::new();
    let mut command = Command::new("mosquitto_pub");
    command.arg("--cafile").arg(scratch.file("ca.pem", der::pem("CERTIFICATE", plant.root())));
    if let Some(identity) = identity {
        let chain: String = identity.chain.iter().map(|certificate| der::pem("CERTIFICATE", certificate)).collect();
        command.arg("--cert").arg(scratch.file("me.pem", chain));
        command.arg("--key").arg(scratch.file("me.key", identity.key.pem()));
    }
    let port = plant.broker_port().to_string();
    command.args(["-h", "127.0.0.1", "-p", &port, "--tls-version", "tlsv1.3"]).args(args).output().ok()
}

/// Said aloud, so that nobody takes the silence for a pass.
fn no_judge() {
    eprintln!("skipped: install mosquitto-clients");
}

#[test]
fn both_versions_and_both_qualities_arrive() {
    for plant in plants() {
        let subscriber = plant.subscribe("devices/#").unwrap();
        let pump = plant.birth("pump-7");
        for (version, qos) in [("mqttv311", "0"), ("mqttv311", "1"), ("mqttv5", "0"), ("mqttv5", "1")] {
            let payload = format!("{version} {qos}");
            let args = ["-V", version, "-q", qos, "-t", "devices/pump-7/flow", "-m", &payload];
            let Some(out) = mosquitto_pub(&plant, Some(&pump), &args) else { return no_judge() };
            assert!(out.status.success(), "{version} {qos}: {}", String::from_utf8_lossy(&out.stderr));
            let received = subscriber.receive(SOON).expect("the message");
            assert_eq!((received.topic.as_str(), received.payload), ("devices/pump-7/flow", payload.into_bytes()));
        }
    }
}

#[test]
fn the_certificate_name_decides_topics() {
    for plant in plants() {
        let subscriber = plant.subscribe("#").unwrap();
        let pump = plant.birth("pump-7");
        let other = ["-V", "mqttv5", "-q", "1", "-t", "devices/pump-8/flow", "-m", "stolen"];
        let Some(out) = mosquitto_pub(&plant, Some(&pump), &other) else { return no_judge() };
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains("Not authorized"), "{said}");
        subscriber.publish("devices/pump-7/command", b"mine").unwrap();
        assert_eq!(subscriber.receive(SOON).expect("the observer's own").payload, b"mine");
    }
}

#[test]
fn no_certificate_or_a_foreign_one_is_refused() {
    for plant in plants() {
        let foreign = Ca::new(plant.now()).client(OBSERVER, Validity::starting(plant.now(), DAY));
        for identity in [None, Some(&foreign)] {
            let refused = Subscriber::start(plant.broker_port(), client_config(plant.root(), identity), "x", "#");
            assert!(refused.is_err());
        }
        let expired =
            plant.est().ca.client(OBSERVER, Validity { from: plant.now() - 2 * DAY, until: plant.now() - DAY });
        let refused = Subscriber::start(plant.broker_port(), client_config(plant.root(), Some(&expired)), "x", "#");
        assert!(refused.is_err());
        assert!(plant.events().wait_for(Duration::ZERO, |event| matches!(event, Event::Connected { .. })).is_none());
        assert!(plant.subscribe("#").is_ok());
    }
}

#[test]
fn retained_messages_are_kept() {
    for plant in plants() {
        let pump = plant.birth("pump-7");
        let args = ["-r", "-q", "1", "-t", "devices/pump-7/state", "-m", "kept"];
        let Some(out) = mosquitto_pub(&plant, Some(&pump), &args) else { return no_judge() };
        assert!(out.status.success());
        let subscriber = plant.subscribe("devices/+/state").unwrap();
        assert_eq!(subscriber.receive(SOON).expect("the retained message").payload, b"kept");
    }
}

#[test]
fn faults_of_the_broker() {
    let plant = Plant::start(PlantOptions::default()).unwrap();
    let broker = plant.broker().unwrap();
    for fault in [BrokerFault::Refuse, BrokerFault::Busy, BrokerFault::Garbage, BrokerFault::Hangup] {
        broker.set_fault(Some(fault));
        assert!(plant.subscribe("#").is_err(), "{fault:?}");
    }
    broker.set_fault(Some(BrokerFault::Flood { times: 50, octets: 1, qos: 0 }));
    let flooded = plant.subscribe("nothing/here").unwrap();
    for number in 0..50 {
        let received = flooded.receive(SOON).unwrap();
        assert_eq!((received.topic.as_str(), received.payload), ("devices/observer/flood", format!("{number}").into()));
    }
    broker.set_fault(None);
    broker.publish("nothing/here", b"last", 1);
    assert_eq!(flooded.receive(SOON).unwrap().payload, b"last");
}
