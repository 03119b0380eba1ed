//! The device against bad luck: a stale connection, a lying clock, flash that fails, futures dropped half way.

use std::rc::Rc;

use device_sdk::agent::Status;
use device_sdk::clock::std_clock::block_on;
use device_sdk::net::mqtt::Qos;
use device_sdk::ports::Store;
use device_sdk::store::NorStore;
use device_sdk::{Config, Device, Error, Memory, TimeServer};
use host_tests::est_options::{EstOptions, Grant};
use host_tests::flash::FaultyFlash;
use host_tests::plant::{Plant, PlantOptions};
use host_tests::rig::{Unlucky, World, at_most, board, board_with};
use host_tests::simulator::{self, SECRET, USER};
use identity_core::agent::step::Cause;
use identity_core::error::CertProblem;
use identity_core::session::MqttVersion;

const HOUR: u64 = 3_600;
const YEAR: u64 = 365 * 24 * HOUR;

fn plant(once: bool) -> Plant {
    let grant = Grant::basic(USER, SECRET);
    let grants = vec![if once { grant.once() } else { grant }];
    Plant::start(PlantOptions { est: EstOptions { grants, ..Default::default() }, ..Default::default() }).unwrap()
}

fn config(plant: &Plant) -> &'static Config {
    simulator::config(plant, "pump-7", MqttVersion::V5)
}

/// Goes online, and publishes once.
async fn life<S: Store>(device: &mut Unlucky<'_, S>) -> Result<(), Error> {
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
    world.broken.set(Some(Cause::Permanent));
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
fn flash_that_fails_for_a_while_at_boot_is_asked_again_in_time() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    world.broken.set(Some(Cause::Transient));
    world.instant.set(true);
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    for _ in 0..30 {
        let error = block_on(device.online()).map(drop).unwrap_err();
        assert!(error.to_string().contains("broken for the test"), "{error}");
        assert!(!matches!(device.status(), Status::Stuck(_)));
    }
    assert!(world.ahead.get() > 300, "30 calls in {} s", world.ahead.get());
    world.broken.set(None);
    world.instant.set(false);
    world.ahead.set(world.ahead.get() + HOUR);
    block_on(life(&mut device)).expect("no reset was needed");
}

#[test]
fn what_a_packet_may_hold_is_lent() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let config = config(&plant);
    let publish = async |device: &mut Unlucky<'_>| {
        let mut link = device.online().await?;
        link.publish("devices/pump-7/flow", &[b'x'; 3000]).await?;
        link.disconnect().await
    };
    let mut memory: Memory = Memory::new();
    let short = block_on(publish(&mut Device::new(config, &mut memory, board(&world)))).unwrap_err();
    assert!(matches!(short, Error::Core(identity_core::Error::NoSpace { wanted: 3029, .. })), "{short:?}");
    let mut memory = Memory::<6144, 0, 1024, 3029>::new();
    block_on(publish(&mut Device::new(config, &mut memory, board(&world)))).unwrap();
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
fn power_cut_anywhere_in_a_first_boot_on_real_flash_costs_no_second_certificate() {
    let mut cuts = 0;
    for effects in (0..).step_by(83) {
        let (plant, world) = (plant(true), Rc::new(World::default()));
        world.wall.set(Some(plant.now()));
        let mut flash = FaultyFlash::blank(6);
        let boot = |flash: &mut FaultyFlash| {
            let store = NorStore::<_, 3072>::new(flash, 0..6 * 4096).unwrap();
            let mut memory: Memory = Memory::new();
            block_on(life(&mut Device::new(config(&plant), &mut memory, board_with(&world, store))))
        };
        flash.cut_after = Some(effects);
        let first = boot(&mut flash);
        assert_eq!(first.is_err(), flash.is_off(), "{effects} effects: {first:?}");
        let cut = flash.is_off();
        cuts += usize::from(cut);
        flash.power_on();
        boot(&mut flash).unwrap_or_else(|error| panic!("cut after {effects} effects: {error}"));
        boot(&mut flash).unwrap();
        assert_eq!(plant.est().enrolments().len(), 1, "cut after {effects} effects");
        if !cut {
            break;
        }
    }
    assert!(cuts > 10, "{cuts} cuts");
}

#[test]
fn a_message_that_is_there_is_found_without_waiting() {
    let (plant, world) = (plant(true), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let mut memory = Memory::<6144>::new();
    let mut device = Device::new(config(&plant), &mut memory, board(&world));
    block_on(async {
        let mut link = device.online().await.unwrap();
        link.subscribe("devices/pump-7/set", Qos::AtLeastOnce).await.unwrap();
        assert!(link.next(link.now()).await.unwrap().is_none());
        plant.broker().unwrap().publish("devices/pump-7/set", b"on", 1);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let message = link.next(link.now()).await.unwrap().expect("it came a while ago");
        assert_eq!(message.payload, b"on");
    });
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
