//! First boot and reboot against Debian's mosquitto: mutual TLS, access by certificate name, both MQTT versions.

use std::time::Duration;

use host_tests::est_options::{EstOptions, Grant};
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator::{self, SECRET, USER};
use identity_core::session::MqttVersion;

const WAIT: Duration = Duration::from_secs(5);

fn plant() -> Plant {
    let grants = vec![Grant::basic(USER, SECRET).once()];
    let est = EstOptions { grants, ..Default::default() };
    Plant::start(PlantOptions { broker: BrokerKind::Mosquitto, est, ..Default::default() }).expect("a plant")
}

fn boots_twice(version: MqttVersion) {
    let plant = plant();
    let scratch = Scratch::new();
    let flash = scratch.path().join("flash.bin");
    let subscriber = plant.subscribe("devices/#").expect("a subscription");
    let config = simulator::config(&plant, "pump-7", version);

    simulator::run(config, &flash, 2).expect("a first boot");
    assert_eq!(plant.est().enrolments().len(), 1);
    simulator::run(config, &flash, 1).expect("a second boot");
    assert_eq!(plant.est().enrolments().len(), 1, "a reboot enrols no more");

    let received: Vec<_> = (0..3).map(|_| subscriber.receive(WAIT).expect("a message")).collect();
    assert!(received.iter().all(|message| message.topic == "devices/pump-7/flow"));
    let texts: Vec<_> = received.iter().map(|message| String::from_utf8_lossy(&message.payload)).collect();
    assert_eq!(texts, [r#"{"n":1,"value":17}"#, r#"{"n":2,"value":17}"#, r#"{"n":1,"value":17}"#]);
}

#[test]
fn mosquitto_takes_the_device_with_mqtt_5() {
    boots_twice(MqttVersion::V5);
}

#[test]
fn mosquitto_takes_the_device_with_mqtt_3_1_1() {
    boots_twice(MqttVersion::V311);
}
