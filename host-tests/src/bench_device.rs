//! A device on a bench: real sockets, TLS and NOR flash; its clock, its entropy and its plant are in the test's hands.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_io::Timer;
use device_sdk::clock::std_clock::block_on;
use device_sdk::entropy::Rng;
use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::ports::{KeyStore as _, Platform, Store as _};
use device_sdk::store::NorStore;
use device_sdk::store::nor::NorError;
use device_sdk::{Config, Device, Error, Memory, TimeServer};
use embassy_futures::select::{Either, select};
use identity_core::config::{Config as Identity, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::oauth::TokenSource;
use identity_core::session::{MqttVersion, Mtls, Session};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;

use crate::ca::DAY;
use crate::entropy::{Behaviour, TestSource};
use crate::est_options::{EstOptions, Grant};
use crate::flash::{FaultyFlash, SharedFlash};
use crate::hasty_clock::HastyClock;
use crate::loopback_net::LoopbackNet;
use crate::plant::{Plant, PlantOptions};
use crate::simulator::{SECRET, USER};

/// The device's name.
pub const NAME: &str = "pump-7";
/// Where it publishes.
pub const TOPIC: &str = "devices/pump-7/flow";
/// Real time after which whatever the device does has failed, whatever its own clock says.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pages of flash.
const PAGES: usize = 6;

/// A device of the bench.
pub type BenchDevice = Device<'static, SoftwareKeys<TestSource>, NorStore<SharedFlash>, LoopbackNet, HastyClock>;

/// How a rig is set up.
#[derive(Clone)]
pub struct RigOptions {
    /// Version of MQTT.
    pub version: MqttVersion,
    /// How much faster the device's time passes while it waits.
    pub haste: u64,
    /// Whether the device has a wall clock.
    pub wall: bool,
    /// UDP ports of further time servers, to be asked before the plant's own.
    pub time_servers: Vec<u16>,
    /// Name by which the device calls the EST server; the plant's is in [`crate::plant::NAMES`].
    pub est_host: &'static str,
    /// Seconds for which the servers' certificates are valid.
    pub server_lifetime: u64,
    /// The bootstrap secret buys one certificate only.
    pub once: bool,
}

impl Default for RigOptions {
    fn default() -> Self {
        Self {
            version: MqttVersion::V5,
            haste: 15,
            wall: true,
            time_servers: Vec::new(),
            est_host: "est.plant.example",
            server_lifetime: 10 * 365 * DAY,
            once: true,
        }
    }
}

/// A plant, and what of a device survives a reset.
pub struct Rig {
    /// The plant. Its wall time is that of `clock`.
    pub plant: Plant,
    /// The device's clock.
    pub clock: HastyClock,
    /// The device's flash.
    pub flash: SharedFlash,
    /// The device's network.
    pub net: LoopbackNet,
    config: &'static Config,
}

/// How something went, and how long it took by the device's clock.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<T = ()> {
    /// The result.
    pub result: Result<T, Error>,
    /// Milliseconds.
    pub took_ms: u64,
}

impl Rig {
    /// A plant and a device with blank flash.
    ///
    /// # Panics
    /// When the plant does not start.
    #[must_use]
    pub fn start(options: &RigOptions) -> Self {
        let clock = HastyClock::new(options.haste);
        let grant = Grant::basic(USER, SECRET);
        let grants = vec![if options.once { grant.once() } else { grant }];
        // an answer that was lost on the way is given again, however late the device asks
        let est = EstOptions { grants, repeat_window: 30 * DAY, ..EstOptions::default() };
        let (server_lifetime, wall) = (options.server_lifetime, clock.wall_clock());
        let plant = PlantOptions { est, server_lifetime, clock: wall, ..PlantOptions::default() };
        let plant = Plant::start(plant).expect("a plant");
        let config = config(&plant, options);
        let clock = if options.wall { clock } else { clock.without_wall() };
        let flash = SharedFlash::new(FaultyFlash::blank(PAGES));
        Self { plant, clock, flash, net: LoopbackNet::default(), config }
    }

    /// A rig whose device has enrolled and published.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn enrolled(options: &RigOptions) -> Self {
        let rig = Self::start(options);
        let attempt = rig.publish(&mut rig.boot());
        assert_eq!(attempt.result, Ok(()));
        assert_eq!(rig.enrolments(), 1);
        rig
    }

    /// Powers the device on.
    #[must_use]
    pub fn boot(&self) -> BenchDevice {
        self.boot_with(Behaviour::Good, 0).expect("a good source")
    }

    /// Powers the device on with a source of entropy that behaves so, after it drew `drawn` times from its generator.
    ///
    /// # Errors
    /// The health test that the source failed.
    pub fn boot_with(&self, behaviour: Behaviour, drawn: u32) -> Result<BenchDevice, identity_core::Error> {
        self.boot_from(TestSource::new(seed(), behaviour), drawn)
    }

    /// As [`boot_with`](Self::boot_with), from this very source.
    ///
    /// # Errors
    /// The health test that the source failed.
    ///
    /// # Panics
    /// When it cannot be drawn from so often.
    pub fn boot_from(&self, source: TestSource, drawn: u32) -> Result<BenchDevice, identity_core::Error> {
        let mut keys = SoftwareKeys::new(Rng::start(source, b"bench")?, secret());
        (0..drawn).for_each(|_| keys.random(&mut [0; 4]).expect("random numbers"));
        Ok(self.device(self.config, keys))
    }

    /// Powers the device on with firmware that has this source of tokens and this session; what is in flash stays.
    ///
    /// # Panics
    /// Never: its source of entropy is good.
    #[must_use]
    pub fn boot_as(&self, source: Option<&'static dyn TokenSource>, session: &'static dyn Session) -> BenchDevice {
        let Config { identity, .. } = *self.config;
        let profile = Profile { token: source, session, ..identity.profile };
        let config = Config { identity: Identity { profile, ..identity }, ..*self.config };
        let rng = Rng::start(TestSource::new(seed(), Behaviour::Good), b"bench").expect("a good source");
        self.device(Box::leak(Box::new(config)), SoftwareKeys::new(rng, secret()))
    }

    fn device(&self, config: &'static Config, keys: SoftwareKeys<TestSource>) -> BenchDevice {
        let platform =
            Platform { keys, store: store(self.flash.clone()), net: self.net.clone(), clock: self.clock.clone() };
        // a device's memory is a `static`
        Device::new(config, Box::leak(Box::new(Memory::<6144, 6144>::new())), platform)
    }

    /// Does `work` with a device, by no means for ever.
    ///
    /// # Panics
    /// When it does not end.
    pub fn time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Attempt<T> {
        let (start, real) = (self.clock.ms(), Instant::now());
        match block_on(select(work, Timer::after(PATIENCE))) {
            Either::First(result) => Attempt { result, took_ms: self.clock.ms() - start },
            Either::Second(_) => {
                panic!(
                    "no end within {:?}, {} s by the device's clock",
                    real.elapsed(),
                    (self.clock.ms() - start) / 1000
                )
            }
        }
    }

    /// Goes online, publishes once, and disconnects: one attempt.
    pub fn publish(&self, device: &mut BenchDevice) -> Attempt {
        self.time(async {
            let mut link = device.online().await?;
            link.publish(TOPIC, b"17").await?;
            link.disconnect().await
        })
    }

    /// Certificates issued to the device.
    #[must_use]
    pub fn enrolments(&self) -> usize {
        self.plant.est().enrolments().len()
    }

    /// Certificates that the device asked for, whether it got them or not.
    #[must_use]
    pub fn requests(&self) -> usize {
        let asks = |request: &str| request.ends_with("/simpleenroll") || request.ends_with("/simplereenroll");
        self.plant.est().served().iter().filter(|served| asks(&served.request)).count()
    }

    /// The records in flash, by number; the clock floor left out, since it follows the clock.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    pub fn records(&self) -> BTreeMap<u8, Vec<u8>> {
        let mut store = store(SharedFlash::new(self.flash.get().clone()));
        let numbers = [0x01, 0x02, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22];
        numbers.into_iter().filter_map(|number| Some((number, load(&mut store, number)?))).collect()
    }

    /// One record.
    #[must_use]
    pub fn record(&self, number: u8) -> Option<Vec<u8>> {
        load(&mut store(SharedFlash::new(self.flash.get().clone())), number)
    }

    /// Writes a record behind the device's back.
    ///
    /// # Panics
    /// When the store cannot be written.
    pub fn write(&self, number: u8, octets: &[u8]) {
        self.try_write(number, octets).expect("a record");
    }

    /// The same, where it may not fit.
    ///
    /// # Errors
    /// What the store says.
    pub fn try_write(&self, number: u8, octets: &[u8]) -> Result<(), NorError> {
        block_on(store(self.flash.clone()).store(number, octets))
    }
}

fn load(store: &mut NorStore<SharedFlash>, number: u8) -> Option<Vec<u8>> {
    let mut into = vec![0; 3072];
    let length = block_on(store.load(number, &mut into)).expect("a readable store")?;
    into.truncate(length);
    Some(into)
}

fn seed() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(1);
    (u64::from(std::process::id()) << 32) | SEED.fetch_add(1, Ordering::Relaxed)
}

fn secret() -> DeviceSecret {
    DeviceSecret::new([7; 32])
}

fn store(flash: SharedFlash) -> NorStore<SharedFlash> {
    let end = flash.get().octets().len() as u32;
    NorStore::new(flash, 0..end).expect("whole pages")
}

/// It is leaked: a device's configuration is a `static`.
fn config(plant: &Plant, options: &RigOptions) -> &'static Config {
    let root: &'static [u8] = plant.root().to_vec().leak();
    let bootstrap = Bootstrap::Secret { user: USER, password: Secret::new(SECRET) };
    let est = Est { host: options.est_host, port: plant.est_port(), label: None, bootstrap, pinned: None };
    let (port, version) = (plant.broker_port(), options.version);
    let session = Mtls { host: "mqtt.plant.example", port, version, client_id: None, alpn: &[], keep_alive: 60 };
    let ports = options.time_servers.iter().copied().chain([plant.sntp().port()]);
    let time_servers: Vec<_> = ports.map(|port| TimeServer { host: "time.plant.example", port }).collect();
    Box::leak(Box::new(Config {
        identity: Identity {
            profile: Profile { enrol: Box::leak(Box::new(est)), token: None, session: Box::leak(Box::new(session)) },
            subject: Subject { common_name: NAME, ..Subject::default() },
            names: &[],
            anchors: Box::leak(Box::new([root])),
            built: UnixTime(1_760_000_000),
        },
        time_servers: time_servers.leak(),
        will: None,
    }))
}

/// Runs `test` on every row of a table, a few at a time since most only wait; names the rows that fail.
///
/// # Panics
/// When a row fails.
pub fn each<R: Sync + core::fmt::Debug>(rows: &[R], test: impl Fn(&R) + Sync) {
    const AT_ONCE: usize = 8;
    let next = AtomicU64::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(rows.len()) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let run = std::panic::AssertUnwindSafe(|| test(row));
                    if std::panic::catch_unwind(run).is_err() {
                        eprintln!("^ {row:?}\n");
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{row:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{} of {} rows failed:\n{}", failed.len(), rows.len(), failed.join("\n"));
}
