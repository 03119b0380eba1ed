//! From blank flash to an acknowledged publish, over real sockets, TLS and MQTT; then a reboot without enrolment.

use std::time::Duration;

use device_sdk::Error;
use host_tests::est_options::{EstOptions, Fault, Grant, Operation};
use host_tests::events::Event;
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator::{self, SECRET, USER};
use identity_core::session::MqttVersion;

const WAIT: Duration = Duration::from_secs(5);

fn plant(broker: BrokerKind) -> Plant {
    let grants = vec![Grant::basic(USER, SECRET).once()];
    let est = EstOptions { grants, ..Default::default() };
    Plant::start(PlantOptions { broker, est, ..Default::default() }).expect("a plant")
}

fn boots_twice(broker: BrokerKind, version: MqttVersion) {
    let plant = plant(broker);
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
    if broker == BrokerKind::Embedded {
        let orderly = |event: &Event| matches!(event, Event::Disconnected { orderly: true, .. });
        assert!(plant.events().wait_for(WAIT, orderly).is_some(), "DISCONNECT was said");
    }
}

#[test]
fn first_boot_and_reboot_with_mqtt_5() {
    boots_twice(BrokerKind::Embedded, MqttVersion::V5);
}

#[test]
fn first_boot_and_reboot_with_mqtt_3_1_1() {
    boots_twice(BrokerKind::Embedded, MqttVersion::V311);
}

#[test]
fn a_server_that_is_broken_at_first_costs_time_and_nothing_else() {
    let plant = plant(BrokerKind::Embedded);
    plant.est().inject(Operation::CaCerts, Fault::Status(503), 1);
    let scratch = Scratch::new();
    let config = simulator::config(&plant, "pump-8", MqttVersion::V5);
    let ended: Result<(), Error> = simulator::run(config, &scratch.path().join("flash.bin"), 1);
    ended.expect("a boot in the end");
    assert_eq!(plant.est().enrolments().len(), 1);
}
