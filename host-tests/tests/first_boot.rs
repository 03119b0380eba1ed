//! From blank flash to an acknowledged publish, over real sockets, TLS and MQTT; then a reboot without enrolment.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_sdk::Error;
use device_sdk::clock::std_clock::block_on;
use device_sdk::ports::{KeyStore, SEALED_MAX, Store};
use host_tests::ca::{DAY, Leaf, Purpose, Validity};
use host_tests::der;
use host_tests::est_options::{EstOptions, Fault, Grant, Operation};
use host_tests::events::Event;
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator::{self, SECRET, USER};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::error::{CertProblem, Error as CoreError};
use identity_core::keys::{PublicKey, Slot};
use identity_core::record::{Record, write_birth};
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

/// `simulator::config` with another bootstrap.
fn bootstrapped(plant: &Plant, name: &str, bootstrap: Bootstrap) -> &'static device_sdk::Config {
    let device_sdk::Config { identity, time_servers, .. } = *simulator::config(plant, name, MqttVersion::V5);
    let est = Est { host: "localhost", port: plant.est_port(), label: None, bootstrap, pinned: None };
    let profile = Profile { enrol: Box::leak(Box::new(est)), ..identity.profile };
    Box::leak(Box::new(device_sdk::Config { identity: Config { profile, ..identity }, time_servers, will: None }))
}

/// What the factory does: a key in the birth slot, and the plant's certificate about it.
fn provision(plant: &Plant, flash: &Path) {
    const P256: &[u8] =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let mut board = host::init(flash).expect("a board");
    let (mut public, mut sealed) = (PublicKey::EMPTY, [0; SEALED_MAX]);
    let length = board.keys.generate(Slot::Birth, &mut public, &mut sealed).expect("a key");
    block_on(board.store.store(Record::Key(Slot::Birth).number(), &sealed[..length])).expect("room");
    let spki = [P256, &public.0].concat();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let subject = der::common_name("birth-of-pump-9");
    let validity = Validity::starting(now, 365 * DAY);
    let leaf = Leaf { spki: &spki, subject: &subject, alternative: None, purpose: Purpose::Client, validity };
    let certificates = plant.est().ca.issue(&leaf);
    let mut record = [0; 2048];
    let wrong = CoreError::Certificate { which: "birth certificate", problem: CertProblem::WrongKey };
    assert_eq!(write_birth(&certificates, &PublicKey([4; 65]), &mut record), Err(wrong));
    let unreadable = CoreError::Certificate { which: "birth certificate", problem: CertProblem::Unreadable };
    assert_eq!(write_birth(&certificates[..certificates.len() - 1], &public, &mut record), Err(unreadable));
    assert!(matches!(write_birth(&certificates, &public, &mut [0; 64]), Err(CoreError::NoSpace { .. })));
    let length = write_birth(&certificates, &public, &mut record).expect("a record");
    assert!(length <= certificates.len() + 64);
    block_on(board.store.store(Record::Credential(Slot::Birth).number(), &record[..length])).expect("room");
}

#[test]
fn a_birth_certificate_enrols_over_tls() {
    let plant = Plant::start(PlantOptions::default()).expect("a plant");
    let scratch = Scratch::new();
    let flash = scratch.path().join("flash.bin");
    let config = bootstrapped(&plant, "pump-9", Bootstrap::BirthCertificate);
    provision(&plant, &flash);
    simulator::run(config, &flash, 1).expect("a first boot");
    simulator::run(config, &flash, 1).expect("a second boot");
    assert_eq!(plant.est().enrolments().len(), 1);
}

#[test]
fn a_bearer_token_enrols() {
    let est = EstOptions { grants: vec![Grant::bearer("t0ken").once()], ..Default::default() };
    let plant = Plant::start(PlantOptions { est, ..Default::default() }).expect("a plant");
    let scratch = Scratch::new();
    let config = bootstrapped(&plant, "pump-10", Bootstrap::Bearer(Secret::new("t0ken")));
    simulator::run(config, &scratch.path().join("flash.bin"), 1).expect("a first boot");
    assert_eq!(plant.est().enrolments().len(), 1);
}
