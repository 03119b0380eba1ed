//! What one run of the emulated board is to do, read from the directory QEMU runs in.
//!
//! A product has constants here. The emulated one talks to servers that a test has just started, on ports the host chose
//! and with a root certificate made a moment ago.
//!
//! - `plant.cfg`: lines `key=value`, keys as the fields of [`Scenario`]; a missing key or file means 0, none or false. Keys that
//!   begin with `token_` are those of [`tokens`](crate::tokens), and read by firmware that has tokens.
//! - `root.der`: the trust anchor, a DER certificate of at most 2048 octets; empty if missing.

use core::ffi::CStr;
use core::fmt::Write;

use device_sdk::{Config, TimeServer};
use identity_core::config::{Config as Identity, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;
use semihosting::fs::File;
use semihosting::io::Read;
use static_cell::{ConstStaticCell, StaticCell};

/// One run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scenario {
    /// TCP port of the EST server on the host.
    pub est_port: u16,
    /// TCP port of the broker on the host.
    pub broker_port: u16,
    /// UDP port of the time server on the host.
    pub sntp_port: u16,
    /// MQTT 3.1.1 instead of 5.
    pub v311: bool,
    /// The device's name.
    pub common_name: &'static str,
    /// The trust anchor, DER.
    pub root: &'static [u8],
    /// The EST one-time secret, if the birth credential is one.
    pub secret: Option<&'static str>,
    /// When the firmware was built, in seconds since 1970: the clock floor.
    pub built: u64,
    /// Telemetry messages to publish before the run ends with exit code 0; 0 means without end.
    pub publishes: u32,
    /// Log lines start with counts of the [meter](crate::meter).
    pub meter: bool,
    /// The whole of `plant.cfg`.
    pub(crate) plant: &'static str,
}

impl Scenario {
    /// Reads it. Call once.
    pub(crate) fn load() -> Self {
        static PLANT: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
        static ROOT: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
        let plant = core::str::from_utf8(file(c"plant.cfg", PLANT.take())).expect("plant.cfg must be UTF-8");
        let mut scenario = Self { root: file(c"root.der", ROOT.take()), plant, ..Self::default() };
        for line in plant.lines().filter(|line| !line.is_empty()) {
            assert!(scenario.set(line).is_some(), "plant.cfg: unknown key or bad value: {line}");
        }
        scenario
    }

    fn set(&mut self, line: &'static str) -> Option<()> {
        let (key, value) = line.split_once('=')?;
        match key {
            "est_port" => self.est_port = value.parse().ok()?,
            "broker_port" => self.broker_port = value.parse().ok()?,
            "sntp_port" => self.sntp_port = value.parse().ok()?,
            "v311" => self.v311 = value.parse().ok()?,
            "common_name" => self.common_name = value,
            "secret" => self.secret = Some(value),
            "built" => self.built = value.parse().ok()?,
            "publishes" => self.publishes = value.parse().ok()?,
            "meter" => self.meter = value.parse().ok()?,
            key if key.starts_with("token_") => {}
            _ => return None,
        }
        Some(())
    }
}

/// A whole file of the host; empty if it is missing.
fn file(path: &CStr, into: &'static mut [u8]) -> &'static [u8] {
    let Ok(mut file) = File::open(path) else { return &[] };
    let mut length = 0;
    while length < into.len() {
        match file.read(&mut into[length..]) {
            Ok(0) | Err(_) => return &into[..length],
            Ok(more) => length += more,
        }
    }
    panic!("{path:?} must be shorter than {length} octets")
}

impl Scenario {
    /// How many messages the telemetry application is to publish; none: without end.
    #[must_use]
    pub fn readings(&self) -> Option<u32> {
        (self.publishes > 0).then_some(self.publishes)
    }
}

/// What a product has as constants.
pub struct Constants {
    /// The device's configuration.
    pub device: Config,
    /// The topic of its telemetry.
    pub topic: &'static str,
}

/// The host's loopback interface, as text; see [`HOST`](crate::HOST).
pub(crate) const HOST: &str = "10.0.2.2";
/// Seconds between two packets to the broker.
pub(crate) const KEEP_ALIVE: u16 = 30;

impl Scenario {
    /// The version of MQTT to speak.
    pub(crate) const fn version(&self) -> MqttVersion {
        if self.v311 { MqttVersion::V311 } else { MqttVersion::V5 }
    }
}

/// Makes the constants of a run with mutual TLS. Call once.
///
/// # Panics
/// When it is called twice, or `plant.cfg` lacks the device's name or secret.
#[must_use]
pub fn config(scenario: Scenario) -> &'static Constants {
    constants(scenario, |enrol| Profile { enrol, token: None, session: mutual_tls(&scenario) })
}

/// The broker, by the device certificate.
pub(crate) fn mutual_tls(scenario: &Scenario) -> &'static Mtls {
    static SESSION: StaticCell<Mtls> = StaticCell::new();
    SESSION.init(Mtls {
        host: HOST,
        port: scenario.broker_port,
        version: scenario.version(),
        client_id: None,
        alpn: &[],
        keep_alive: KEEP_ALIVE,
    })
}

/// Makes the constants of a run. Call once.
///
/// `profile` is no value, because then the compiler would take the only token source that it sees for the one that is meant,
/// and link its code into firmware without tokens.
pub(crate) fn constants(scenario: Scenario, profile: impl FnOnce(&'static Est) -> Profile) -> &'static Constants {
    static CONSTANTS: StaticCell<Constants> = StaticCell::new();
    static EST: StaticCell<Est> = StaticCell::new();
    static ANCHORS: StaticCell<[&[u8]; 1]> = StaticCell::new();
    static SERVERS: StaticCell<[TimeServer; 1]> = StaticCell::new();
    static TOPIC: StaticCell<heapless::String<80>> = StaticCell::new();

    let password = Secret::new(scenario.secret.expect("plant.cfg: secret"));
    let topic = TOPIC.init(heapless::String::new());
    write!(topic, "devices/{}/flow", scenario.common_name).expect("plant.cfg: common_name is too long");
    let profile = profile(EST.init(Est {
        host: HOST,
        port: scenario.est_port,
        label: None,
        bootstrap: Bootstrap::Secret { user: "installer", password },
        pinned: None,
    }));
    let subject = Subject {
        common_name: scenario.common_name,
        organization: "Plant Example",
        organizational_unit: "Pumps",
        serial_number: "",
    };
    let identity = Identity {
        profile,
        subject,
        names: &[],
        anchors: ANCHORS.init([scenario.root]),
        built: UnixTime(scenario.built),
    };
    let time_servers = SERVERS.init([TimeServer { host: HOST, port: scenario.sntp_port }]);
    CONSTANTS.init(Constants { device: Config { identity, time_servers, will: None }, topic })
}
