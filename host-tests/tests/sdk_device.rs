//! The device against bad luck: a stale connection, a lying clock, flash that fails, futures dropped half way.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use device_sdk::agent::Status;
use device_sdk::clock::std_clock::{StdClock, block_on};
use device_sdk::entropy::Rng;
use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::keys::std_entropy::StdEntropy;
use device_sdk::net::std_net::{NetError, StdNet, StdStream};
use device_sdk::ports::{Clock, Net, Platform, PortError, Store};
use device_sdk::{Config, Device, Error, Memory, TimeServer};
use embedded_io_async::{ErrorType, Read, Write};
use host_tests::est_options::{EstOptions, Grant};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::simulator::{self, SECRET, USER};
use identity_core::agent::step::Cause;
use identity_core::error::CertProblem;
use identity_core::session::MqttVersion;
use identity_core::time::{Instant, UnixTime};

const HOUR: u64 = 3_600;
const YEAR: u64 = 365 * 24 * HOUR;

/// Everything around the device, for the test to look at and to turn.
#[derive(Default)]
struct World {
    records: RefCell<BTreeMap<u8, Vec<u8>>>,
    /// Fails every store operation, for good.
    broken: Cell<bool>,
    /// Connections opened so far; those up to `cut` are closed by the peer.
    connections: Cell<usize>,
    cut: Cell<usize>,
    /// Cuts all connections when this record is stored.
    cut_at: Cell<Option<u8>>,
    /// Octets, either way, after which the connection is cut.
    fuse: Cell<Option<usize>>,
    /// Octets that are sent at once, at most.
    piece: Cell<Option<usize>>,
    /// No TCP connection comes about.
    offline: Cell<bool>,
    /// What the time servers say, one after another; none: silence.
    times: RefCell<Vec<Option<u64>>>,
    /// Seconds by which the monotonic clock was moved forward.
    ahead: Cell<u64>,
    /// What the board's real-time clock says.
    wall: Cell<Option<u64>>,
    /// Waits take no time.
    instant: Cell<bool>,
}

#[derive(Clone)]
struct Flash(Rc<World>);

#[derive(Debug)]
struct Broken;

impl PortError for Broken {
    fn cause(&self) -> Cause {
        Cause::Permanent
    }

    fn hint(&self) -> &'static str {
        "broken for the test"
    }
}

impl Store for Flash {
    type Error = Broken;

    async fn load(&mut self, record: u8, into: &mut [u8]) -> Result<Option<usize>, Broken> {
        pause().await;
        if self.0.broken.get() {
            return Err(Broken);
        }
        Ok(self.0.records.borrow().get(&record).map(|octets| {
            into[..octets.len()].copy_from_slice(octets);
            octets.len()
        }))
    }

    async fn store(&mut self, record: u8, octets: &[u8]) -> Result<(), Broken> {
        pause().await;
        if self.0.broken.get() {
            return Err(Broken);
        }
        if self.0.cut_at.get() == Some(record) {
            self.0.cut.set(self.0.connections.get());
        }
        self.0.records.borrow_mut().insert(record, octets.to_vec());
        pause().await;
        Ok(())
    }

    async fn erase(&mut self, record: u8) -> Result<(), Broken> {
        pause().await;
        self.0.records.borrow_mut().remove(&record);
        Ok(())
    }
}

/// Gives way once, so that a driver can be dropped here.
async fn pause() {
    let mut first = true;
    poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

struct Cable(Rc<World>);

/// A stream that ends when the test says so.
struct Severed {
    world: Rc<World>,
    number: usize,
    stream: StdStream,
}

impl Severed {
    fn is_cut(&self) -> bool {
        self.number <= self.world.cut.get()
    }

    fn burn(&self, octets: usize) {
        let Some(left) = self.world.fuse.get() else { return };
        if left <= octets {
            self.world.cut.set(self.number);
        }
        self.world.fuse.set(left.checked_sub(octets).filter(|left| *left > 0));
    }
}

impl ErrorType for Severed {
    type Error = NetError;
}

impl Read for Severed {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, NetError> {
        if self.is_cut() {
            return Ok(0);
        }
        let read = self.stream.read(into).await?;
        self.burn(read);
        Ok(read)
    }
}

impl Write for Severed {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, NetError> {
        pause().await;
        let some = &octets[..octets.len().min(self.world.piece.get().unwrap_or(usize::MAX))];
        if self.is_cut() {
            return Ok(octets.len());
        }
        let written = self.stream.write(some).await?;
        self.burn(written);
        Ok(written)
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        self.stream.flush().await
    }
}

impl Net for Cable {
    type Error = NetError;
    type Stream<'a> = Severed;

    async fn connect(&mut self, host: &str, port: u16) -> Result<Severed, NetError> {
        if self.0.offline.get() {
            return Err(NetError(std::io::ErrorKind::ConnectionRefused));
        }
        let stream = StdNet.connect(host, port).await?;
        self.0.connections.set(self.0.connections.get() + 1);
        Ok(Severed { world: self.0.clone(), number: self.0.connections.get(), stream })
    }

    async fn datagram(&mut self, _: &str, _: u16, send: &[u8], into: &mut [u8]) -> Result<usize, NetError> {
        let mut times = self.0.times.borrow_mut();
        let answer = if times.is_empty() { None } else { times.remove(0) };
        let Some(unix) = answer else { return Err(NetError(std::io::ErrorKind::ConnectionRefused)) };
        into[..48].fill(0);
        (into[0], into[1]) = (0x24, 2);
        into[24..32].copy_from_slice(&send[40..48]);
        into[40..44].copy_from_slice(&u32::try_from(unix + 2_208_988_800).unwrap().to_be_bytes());
        Ok(48)
    }
}

struct Ticks(Rc<World>, StdClock);

impl Clock for Ticks {
    fn now(&self) -> Instant {
        self.1.now().after_seconds(self.0.ahead.get())
    }

    async fn sleep_until(&self, until: Instant) {
        if self.0.instant.get() {
            pause().await;
            let late = until.0.saturating_sub(self.now().0).div_ceil(1000);
            self.0.ahead.set(self.0.ahead.get() + late);
            return;
        }
        self.1.sleep_until(Instant(until.0.saturating_sub(self.0.ahead.get() * 1000))).await;
    }

    fn wall(&self) -> Option<UnixTime> {
        self.0.wall.get().map(UnixTime)
    }
}

type Board = Platform<SoftwareKeys<StdEntropy>, Flash, Cable, Ticks>;

/// A board that is switched on: RAM is empty, flash is as it was.
fn board(world: &Rc<World>) -> Board {
    Platform {
        keys: SoftwareKeys::new(Rng::start(StdEntropy, b"test").unwrap(), DeviceSecret::new([7; 32])),
        store: Flash(world.clone()),
        net: Cable(world.clone()),
        clock: Ticks(world.clone(), StdClock::new()),
    }
}

fn plant(once: bool) -> Plant {
    let grant = Grant::basic(USER, SECRET);
    let grants = vec![if once { grant.once() } else { grant }];
    Plant::start(PlantOptions { est: EstOptions { grants, ..Default::default() }, ..Default::default() }).unwrap()
}

fn config(plant: &Plant) -> &'static Config {
    simulator::config(plant, "pump-7", MqttVersion::V5)
}

/// Goes online, and publishes once.
async fn life(device: &mut Device<'_, SoftwareKeys<StdEntropy>, Flash, Cable, Ticks>) -> Result<(), Error> {
    let mut link = device.online().await?;
    link.publish("devices/pump-7/flow", b"17").await?;
    link.disconnect().await
}

#[test]
fn a_connection_that_the_server_closed_while_idle_is_opened_anew() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    // the key is made between two requests on one connection
    world.cut_at.set(Some(0x21));
    let mut memory = Memory::<6144>::new();
    block_on(life(&mut Device::new(config(&plant), &mut memory, board(&world)))).expect("no failure was met");
    assert_eq!(world.connections.get(), 4, "EST, EST by the fetched anchors, EST again, broker");
    assert_eq!(plant.est().enrolments().len(), 1);
}

#[test]
fn a_stuck_device_that_is_asked_again_and_again_does_not_spin() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.broken.set(true);
    world.instant.set(true);
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    for _ in 0..30 {
        let error = block_on(device.online()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Core(_)), "{error:?}");
        assert!(matches!(device.status(), Status::Stuck(_)));
    }
    assert!(world.ahead.get() > 300, "30 calls in {} s", world.ahead.get());
}

#[test]
fn a_broker_that_is_away_is_tried_ever_more_rarely() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    block_on(life(&mut device)).unwrap();
    world.offline.set(true);
    world.instant.set(true);
    for _ in 0..30 {
        let error = block_on(device.online()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Port { port: "net", .. }), "{error:?}");
        assert!(matches!(device.status(), Status::Ready { .. }));
    }
    assert!((600..9_000).contains(&world.ahead.get()), "30 calls in {} s", world.ahead.get());
}

#[test]
fn a_real_time_clock_without_battery_is_not_believed() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(946_684_800));
    world.times.borrow_mut().push(Some(plant.now()));
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    block_on(life(&mut device)).unwrap();
    assert!(world.times.borrow().is_empty(), "the time server was asked");
}

#[test]
fn a_time_server_that_lies_once_does_no_lasting_harm() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    *world.times.borrow_mut() = vec![Some(plant.now() + 2 * YEAR), Some(plant.now())];
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    let error = block_on(life(&mut device)).unwrap_err();
    let expired =
        matches!(error, Error::Core(identity_core::Error::Certificate { problem: CertProblem::Expired { .. }, .. }));
    assert!(expired, "{error:?}");
    world.ahead.set(world.ahead.get() + HOUR);
    block_on(life(&mut device)).expect("the time was asked for again");
}

#[test]
fn an_identity_that_only_seemed_expired_is_used_again() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    *world.times.borrow_mut() = vec![Some(plant.now()), Some(plant.now() + 2 * YEAR), Some(plant.now())];
    let mut memory = Memory::<6144>::new();
    block_on(life(&mut Device::new(config(&plant), &mut memory, board(&world)))).unwrap();
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    block_on(life(&mut device)).expect_err("a time at which every certificate has expired");
    world.ahead.set(world.ahead.get() + HOUR);
    block_on(life(&mut device)).expect("the one-time secret is used up, and not needed");
    assert_eq!(plant.est().enrolments().len(), 1);
}

#[test]
fn a_long_link_ends_to_learn_the_time() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    let truth = |world: &World| world.times.borrow_mut().push(Some(plant.now()));
    block_on(async {
        let mut link = device.online().await.unwrap();
        link.publish("devices/pump-7/flow", b"1").await.unwrap();
        world.ahead.set(world.ahead.get() + 25 * HOUR);
        truth(&world);
        assert_eq!(link.publish("devices/pump-7/flow", b"2").await, Err(Error::Due), "no time server answered");
        let mut link = device.online().await.unwrap();
        assert!(world.times.borrow().is_empty(), "the time server was asked");
        link.publish("devices/pump-7/flow", b"3").await.unwrap();
        truth(&world);
        world.ahead.set(world.ahead.get() + 25 * HOUR);
        link.publish("devices/pump-7/flow", b"4").await.expect("a crystal keeps time for weeks");
        world.ahead.set(world.ahead.get() + 29 * 24 * HOUR);
        assert_eq!(link.publish("devices/pump-7/flow", b"5").await, Err(Error::Due));
        device.online().await.unwrap().disconnect().await.unwrap();
        assert!(world.times.borrow().is_empty(), "the time server was asked");
    });
}

#[test]
fn a_key_sealed_by_newer_firmware_is_left_alone() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let mut memory = Memory::<6144>::new();
    block_on(life(&mut Device::new(config(&plant), &mut memory, board(&world)))).unwrap();
    world.records.borrow_mut().get_mut(&0x21).unwrap()[0] = 2;
    let before = world.records.borrow().clone();
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    let error = block_on(device.online()).map(drop).unwrap_err();
    assert!(matches!(device.status(), Status::Stuck(_)), "{error:?}");
    assert!(error.to_string().contains("newer firmware"), "{error}");
    assert_eq!(*world.records.borrow(), before);
    assert_eq!(plant.est().enrolments().len(), 1);
}

/// Polls `work` at most `times` times, then drops it.
async fn at_most<T>(times: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = times;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[test]
fn going_online_survives_being_dropped_at_every_wait() {
    let plant = plant(false);
    for times in 0.. {
        let world = Rc::new(World::default());
        world.wall.set(Some(plant.now()));
        let mut memory = Memory::<6144>::new();
        let mut device = Device::new(config(&plant), &mut memory, board(&world));
        let dropped = block_on(at_most(times, device.online())).map(|link| link.map(drop)).is_none();
        block_on(life(&mut device)).unwrap_or_else(|error| panic!("dropped at wait {times}: {error}"));
        let enrolled = plant.est().enrolments().len();
        let mut memory = Memory::<6144>::new();
        block_on(life(&mut Device::new(config(&plant), &mut memory, board(&world)))).unwrap();
        assert_eq!(plant.est().enrolments().len(), enrolled, "{times}: the key in flash is that of the certificate");
        if !dropped {
            assert!(times > 20, "{times} waits");
            break;
        }
    }
}

#[test]
fn a_cut_after_any_number_of_octets_costs_one_attempt() {
    let plant = plant(false);
    for octets in (1..).step_by(61) {
        let world = Rc::new(World::default());
        world.wall.set(Some(plant.now()));
        world.fuse.set(Some(octets));
        let mut memory = Memory::<6144>::new();
        let mut device = Device::new(config(&plant), &mut memory, board(&world));
        if let Err(error) = block_on(life(&mut device)) {
            assert!(error.to_string().contains("the peer closed the connection"), "{octets} octets: {error}");
            world.ahead.set(world.ahead.get() + HOUR);
            block_on(life(&mut device)).unwrap_or_else(|error| panic!("after {octets} octets: {error}"));
        }
        let whole = world.fuse.take().is_some();
        let enrolled = plant.est().enrolments().len();
        let mut memory = Memory::<6144>::new();
        block_on(life(&mut Device::new(config(&plant), &mut memory, board(&world)))).unwrap();
        assert_eq!(plant.est().enrolments().len(), enrolled, "after {octets} octets");
        if whole {
            assert!(octets > 5_000, "a whole life took {octets} octets");
            break;
        }
    }
}

#[test]
fn a_publish_that_was_dropped_ends_the_link_or_does_no_harm() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let subscriber = plant.subscribe("devices/#").unwrap();
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    let (mut ended, mut lived) = (0, 0);
    let receive = || subscriber.receive(std::time::Duration::from_secs(5)).map(|message| message.payload.to_vec());
    for times in 0.. {
        world.piece.set(None);
        block_on(async {
            let mut link = device.online().await.unwrap();
            world.piece.set(Some(20));
            let whole = at_most(times, link.publish("devices/pump-7/flow", b"first")).await;
            world.piece.set(None);
            match link.publish("devices/pump-7/flow", b"second").await {
                Ok(()) => {
                    lived += 1;
                    while receive().unwrap() == b"first" {}
                    link.disconnect().await.unwrap();
                }
                Err(error) => {
                    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
                    ended += 1;
                }
            }
            whole
        });
        if ended >= 3 && lived > 5 {
            break;
        }
        assert!(times < 100, "{ended} ended, {lived} lived");
    }
}

#[test]
fn a_time_server_is_never_asked_when_there_is_none() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    let mut config = *config(&plant);
    config.time_servers = &[];
    world.times.borrow_mut().push(Some(1));
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(&config, &mut memory, board(&world));
    block_on(async {
        let mut link = device.online().await.unwrap();
        world.ahead.set(world.ahead.get() + 99 * 24 * HOUR);
        link.publish("devices/pump-7/flow", b"1").await.expect("nothing is due without a clock");
    });
    let _: &[TimeServer] = config.time_servers;
    assert_eq!(world.times.borrow().len(), 1);
}
