//! The Cortex-M4 image in QEMU: first boot, reboot and power cut, against the plant and against mosquitto.

use std::time::Duration;

use host_tests::est_options::{EstOptions, Grant};
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::qemu::{Qemu, image, scenario};
use host_tests::scratch::Scratch;
use host_tests::simulator::{SECRET, USER};
use identity_core::session::MqttVersion;

/// The emulated board works at some tens of millions of instructions a second; CI shares its processor.
const WAIT: Duration = Duration::from_secs(120);

fn plant(broker: BrokerKind) -> Plant {
    let grants = vec![Grant::basic(USER, SECRET).once()];
    let est = EstOptions { grants, ..Default::default() };
    Plant::start(PlantOptions { broker, est, ..Default::default() }).expect("a plant")
}

fn boots_twice(broker: BrokerKind, version: MqttVersion) {
    let plant = plant(broker);
    let scratch = Scratch::new();
    let image = image("telemetry").expect("an image");
    let subscriber = plant.subscribe("devices/#").expect("a subscription");
    for boot in 1..=2 {
        scenario(scratch.path(), &plant, "pump-7", version, 2).expect("a scenario");
        let output = Qemu::start(&image, scratch.path(), true).and_then(|board| board.finish(WAIT));
        let output = output.unwrap_or_else(|error| panic!("boot {boot}: {error}"));
        assert_eq!(plant.est().enrolments().len(), 1, "boot {boot}: {output:#?}");
        for n in 1..=2 {
            let message = subscriber.receive(WAIT).expect("a message");
            assert_eq!(message.topic, "devices/pump-7/flow");
            assert_eq!(String::from_utf8_lossy(&message.payload), format!(r#"{{"n":{n},"value":17}}"#));
        }
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
fn mosquitto_takes_the_board_with_mqtt_5() {
    boots_twice(BrokerKind::Mosquitto, MqttVersion::V5);
}

#[test]
fn mosquitto_takes_the_board_with_mqtt_3_1_1() {
    boots_twice(BrokerKind::Mosquitto, MqttVersion::V311);
}

#[test]
fn power_cut_at_each_line_of_the_first_boot_costs_no_second_certificate() {
    let plant = plant(BrokerKind::Embedded);
    let scratch = Scratch::new();
    let image = image("telemetry").expect("an image");
    scenario(scratch.path(), &plant, "pump-7", MqttVersion::V5, 1).expect("a scenario");
    for text in ["entropy", "EST cacerts", "key made", "EST simpleenroll", "stored: credential", "stored: live"] {
        let board = Qemu::start(&image, scratch.path(), true).expect("QEMU");
        // a line that no longer comes was done before the cut: then the board ends by itself
        let _ = board.wait_for(text, WAIT);
    }
    let output = Qemu::start(&image, scratch.path(), true).and_then(|board| board.finish(WAIT)).expect("a boot");
    assert!(output.iter().any(|line| line.contains("published")), "{output:#?}");
    assert_eq!(plant.est().enrolments().len(), 1, "the same key is used again, so the CA answers the same");
}
