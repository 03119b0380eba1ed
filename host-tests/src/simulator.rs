//! A simulated device: the desktop board against a plant, over real sockets.

use std::path::Path;

use apps::telemetry::{self, Telemetry};
use device_sdk::clock::std_clock::block_on;
use device_sdk::{Config, Device, Error, Memory, TimeServer};
use identity_core::config::{Config as Identity, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::oauth::TokenSource;
use identity_core::session::{MqttVersion, Mtls, Session};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;

use crate::est_options::{EstOptions, Grant};
use crate::plant::{Plant, PlantOptions};

/// User name at the EST server, for a first enrolment.
pub const USER: &str = "installer";
/// One-time secret at the EST server.
pub const SECRET: &str = "once-upon-a-time";

/// A plant at which one device may enrol, with [`USER`] and [`SECRET`], once.
///
/// # Panics
/// When loopback does not serve.
#[must_use]
pub fn plant() -> Plant {
    let grants = vec![Grant::basic(USER, SECRET).once()];
    let est = EstOptions { grants, ..Default::default() };
    Plant::start(PlantOptions { est, ..Default::default() }).expect("servers on loopback")
}

/// The configuration of a device named `name` for `plant`, with a certificate as log-in.
#[must_use]
pub fn config(plant: &Plant, name: &str, version: MqttVersion) -> &'static Config {
    let port = plant.broker_port();
    let session = Mtls { host: "localhost", port, version, client_id: None, alpn: &[], keep_alive: 30 };
    config_with(plant, name, None, Box::leak(Box::new(session)))
}

/// The same with a token source and a log-in. It is leaked: a device's configuration is a `static`.
#[must_use]
pub fn config_with(
    plant: &Plant,
    name: &str,
    token: Option<&'static dyn TokenSource>,
    session: &'static dyn Session,
) -> &'static Config {
    let name: &'static str = name.to_owned().leak();
    let root: &'static [u8] = plant.root().to_vec().leak();
    let bootstrap = Bootstrap::Secret { user: USER, password: Secret::new(SECRET) };
    let est = Est { host: "localhost", port: plant.est_port(), label: None, bootstrap, pinned: None };
    let subject =
        Subject { common_name: name, organization: "Plant Example", organizational_unit: "Pumps", serial_number: "" };
    Box::leak(Box::new(Config {
        identity: Identity {
            profile: Profile { enrol: Box::leak(Box::new(est)), token, session },
            subject,
            names: &[],
            anchors: Box::leak(Box::new([root])),
            built: UnixTime(1_760_000_000),
        },
        time_servers: Box::leak(Box::new([TimeServer { host: "127.0.0.1", port: plant.sntp().port() }])),
        will: None,
    }))
}

/// The topic of a device's telemetry; the plant's brokers let a device write below its own name.
#[must_use]
pub fn topic(name: &str) -> String {
    format!("devices/{name}/flow")
}

/// Powers the device on with the flash in `flash`, and runs the telemetry application for so many readings.
///
/// # Errors
/// Why the device is stuck.
pub fn run(config: &'static Config, flash: &Path, readings: u32) -> Result<(), Error> {
    let board = host::init(flash).unwrap_or_else(|error| panic!("{}: {error}", flash.display()));
    let mut memory = Box::new(Memory::<6144>::new());
    let mut device = Device::new(config, &mut memory, board);
    let topic = topic(config.identity.subject.common_name);
    let telemetry = Telemetry { topic: &topic, every_ms: 200, readings: Some(readings) };
    block_on(telemetry::run(&mut device, &telemetry, || 17))
}
