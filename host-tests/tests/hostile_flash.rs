//! Flash that is blank, full, damaged, failing or from newer firmware, under a whole device: what can be saved is saved, the
//! error says what to do, and nothing that another firmware understands is overwritten.

use device_sdk::Error;
use device_sdk::agent::Status;
use device_sdk::clock::std_clock::block_on;
use host_tests::bench_device::{Rig, RigOptions, each};
use host_tests::ca::DAY;
use host_tests::flash::{FaultyFlash, PAGE};
use host_tests::server::LineFault;
use sequential_storage::cache::Cache;
use sequential_storage::map::{MapConfig, MapStorage};

/// Seconds after which every backoff is over.
const LATER_S: u64 = 7_200;
const FULL: &str = "the flash range is full; give the store more pages";
/// Live pointer, trust anchors, credential and sealed key of slot A.
const RECORDS: [u8; 4] = [0x01, 0x02, 0x11, 0x21];
const FLOOR: u8 = 0x03;

/// A device that may enrol as often as it likes.
fn enrolled() -> Rig {
    Rig::enrolled(&RigOptions { once: false, ..RigOptions::default() })
}

/// Attempts until one succeeds, ten at the most, each after every backoff; the errors before.
fn at_last(rig: &Rig) -> Vec<Error> {
    let mut device = rig.boot();
    let mut errors = Vec::new();
    while let Err(error) = rig.publish(&mut device).result {
        errors.push(error);
        assert!(errors.len() < 10, "{errors:?}");
        rig.clock.skip_seconds(LATER_S);
    }
    errors
}

#[test]
fn blank_flash_is_not_written_before_there_is_something_to_keep() {
    let rig = Rig::start(&RigOptions::default());
    rig.plant.est_line().set_fault(Some(LineFault::Hangup));
    for _ in 0..2 {
        assert!(rig.publish(&mut rig.boot()).result.is_err());
    }
    assert_eq!(rig.flash.get().effects, 0);
    rig.plant.est_line().set_fault(None);
    assert_eq!(at_last(&rig), []);
}

/// Fills the flash with records of another application, but for `left` of them; their numbers.
fn fill(rig: &Rig, left: usize) -> Vec<u8> {
    let junk = |number: u8| [number; 400];
    let before = rig.flash.get().clone();
    let fits = (0x40..=0xFF).take_while(|number| rig.try_write(*number, &junk(*number)).is_ok()).count();
    *rig.flash.get() = before;
    let numbers: Vec<u8> = (0x40..=0xFF).take(fits.saturating_sub(left)).collect();
    assert!(numbers.len() > 20, "{}", numbers.len());
    numbers.iter().for_each(|number| rig.write(*number, &junk(*number)));
    numbers
}

/// The same records in a larger flash.
fn moves_to_larger_flash(rig: &Rig) {
    let records = rig.records();
    *rig.flash.get() = FaultyFlash::blank(6);
    records.iter().for_each(|(number, octets)| rig.write(*number, octets));
}

#[test]
fn full_flash_says_so_and_the_secret_is_not_spent_twice() {
    let rows: Vec<usize> = (0..6).collect();
    let refused = std::sync::atomic::AtomicUsize::new(0);
    each(&rows, |&left| {
        let rig = Rig::start(&RigOptions::default());
        let junk = fill(&rig, left);
        let mut device = rig.boot();
        let mut attempt = rig.publish(&mut device);
        if attempt.result.is_err() {
            refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let before = rig.records();
            for _ in 0..2 {
                let error = attempt.result.expect_err("still full");
                assert!(error.to_string().contains(FULL), "{error}");
                rig.clock.skip_seconds(LATER_S);
                attempt = rig.publish(&mut device);
            }
            assert_eq!(rig.records(), before);
        }
        for number in junk {
            assert_eq!(rig.record(number), Some(vec![number; 400]), "another's record {number:#x}");
        }
        moves_to_larger_flash(&rig);
        assert_eq!(rig.publish(&mut rig.boot()).result, Ok(()));
        assert_eq!(rig.enrolments(), 1);
    });
    let refused = refused.into_inner();
    assert!(refused >= 2, "{refused}: rows no longer span a full flash");
}

#[test]
fn flash_too_full_for_a_renewal_leaves_the_old_identity_at_work() {
    let rows: Vec<usize> = (0..5).collect();
    let refused = std::sync::atomic::AtomicUsize::new(0);
    each(&rows, |&left| {
        let rig = Rig::enrolled(&RigOptions::default());
        fill(&rig, left);
        let before = rig.records();
        rig.clock.skip_seconds(61 * DAY);
        let mut device = rig.boot();
        for _ in 0..2 {
            let Err(error) = rig.publish(&mut device).result else { return };
            refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(error.to_string().contains(FULL), "{error}");
            assert_eq!(rig.publish(&mut device).result, Ok(()), "the old identity serves meanwhile");
            rig.clock.skip_seconds(LATER_S);
        }
        let now = rig.records();
        assert!(before.iter().all(|(record, octets)| now.get(record) == Some(octets)), "nothing lost");
        assert!(rig.publish(&mut rig.boot()).result.is_err(), "a reboot tries again");
        moves_to_larger_flash(&rig);
        rig.clock.skip_seconds(LATER_S);
        assert_eq!(rig.publish(&mut rig.boot()).result, Ok(()));
        assert_ne!(rig.record(0x01), before.get(&0x01).cloned(), "renewed");
    });
    let refused = refused.into_inner();
    assert!(refused >= 2, "{refused}: rows no longer span a full flash");
}

/// How a record is damaged.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// One octet in silicon, at so many thirds of the record: the checksum of the storage tells.
    Octet(usize),
    /// Gone.
    Lost,
    /// Only its first half, soundly stored.
    Half,
    /// Other octets, soundly stored.
    Other(u8),
}

#[test]
fn damage_to_any_record_costs_one_enrolment_at_most() {
    use Damage::{Half, Lost, Octet, Other};
    let damages = [Octet(0), Octet(1), Octet(2), Octet(3), Lost, Half, Other(0), Other(1)];
    let places = RECORDS.into_iter().chain([FLOOR]);
    let rows: Vec<(u8, Damage)> = places.flat_map(|record| damages.map(|damage| (record, damage))).collect();
    each(&rows, |&(record, damage)| {
        let rig = enrolled();
        let octets = rig.record(record).expect("a record");
        match damage {
            Octet(third) => {
                let mut flash = rig.flash.get();
                let found = flash.octets().windows(octets.len()).rposition(|window| window == octets);
                flash.octets()[found.expect("in flash") + (octets.len() - 1) * third / 3] ^= 0x10;
            }
            Lost => rig.write(record, &[]),
            Half => rig.write(record, &octets[..octets.len() / 2]),
            Other(octet) => rig.write(record, &vec![octet; octets.len()]),
        }
        let before = rig.records();
        let errors = at_last(&rig);
        assert_eq!(errors, [], "the damage is dealt with at once");
        if [0x11, 0x21].contains(&record) {
            assert_eq!(rig.requests(), 2, "an identity needs both");
        } else {
            assert_eq!(rig.requests(), 1, "the identity is whole");
            let after = rig.records();
            assert!([0x11, 0x21].iter().all(|record| after.get(record) == before.get(record)));
        }
        let requests = rig.requests();
        assert_eq!(at_last(&rig), [], "the next boot is an ordinary one");
        assert_eq!(rig.requests(), requests);
    });
}

/// A device on such flash asks nobody, writes nothing, and says that a person is needed, and why.
fn stays_stuck(rig: &Rig, words: &str) {
    let (contents, asked) = (rig.flash.get().octets().clone(), rig.net.asked().len());
    let effects = rig.flash.get().effects;
    for _ in 0..2 {
        let mut device = rig.boot();
        for _ in 0..2 {
            let error = rig.publish(&mut device).result.expect_err("an error");
            assert!(error.to_string().contains(words), "{error}");
            assert!(matches!(device.status(), Status::Stuck(_)), "{:?}", device.status());
            rig.clock.skip_seconds(LATER_S);
        }
    }
    assert_eq!(rig.net.asked().len(), asked, "nobody was asked");
    assert!(*rig.flash.get().octets() == contents && rig.flash.get().effects == effects, "nothing was written");
}

#[test]
fn records_of_a_newer_version_are_left_alone() {
    let rows = [0x01, 0x02, FLOOR, 0x11];
    each(&rows, |&record| {
        let rig = enrolled();
        let good = rig.flash.get().clone();
        let mut octets = rig.record(record).expect("a record");
        assert_eq!(octets[1..3], [0, 1], "field 0 is the version");
        octets[2] = 9;
        rig.write(record, &octets);
        stays_stuck(&rig, "was written by newer firmware and is left untouched; install that firmware");
        *rig.flash.get() = good;
        assert_eq!(at_last(&rig), []);
        assert_eq!(rig.requests(), 1);
    });
}

#[test]
fn a_sealed_key_of_a_newer_version_is_left_alone() {
    let rig = enrolled();
    let mut sealed = rig.record(0x21).expect("a key");
    assert_eq!(sealed[0], 1, "the first octet is the version");
    sealed[0] = 2;
    rig.write(0x21, &sealed);
    stays_stuck(&rig, "newer firmware");
}

#[test]
fn a_store_of_a_newer_format_is_left_alone() {
    let rig = Rig::start(&RigOptions::default());
    let mut newer = FaultyFlash::blank(6);
    block_on(async {
        let mut map =
            MapStorage::<u8, _, _>::new(&mut newer, MapConfig::new(0..6 * PAGE as u32), Cache::new_uncached());
        map.store_item(&mut [0; 64], &0, &b"idst\x02".as_slice()).await.unwrap();
        map.store_item(&mut [0; 64], &1, &b"something".as_slice()).await.unwrap();
    });
    *rig.flash.get() = newer;
    stays_stuck(&rig, "the flash was written by newer firmware; update this firmware");
}

#[test]
fn foreign_contents_are_not_erased() {
    let rig = Rig::start(&RigOptions::default());
    *rig.flash.get() = FaultyFlash::holding((0..6 * PAGE).map(|at| (at % 251) as u8).collect());
    stays_stuck(&rig, "the flash range holds no readable store; erase it to start anew (the identity is lost)");
}

#[test]
fn a_flash_driver_that_fails_for_a_while_costs_time_and_nothing_else() {
    let rows = [0, 3, 40, 300, 500, 600, 700, 800, 900];
    each(&rows, |&effects| {
        let rig = Rig::start(&RigOptions::default());
        let mut device = rig.boot();
        rig.flash.get().cut_after = Some(effects);
        let error = rig.publish(&mut device).result.expect_err("a failing flash");
        assert!(
            error.to_string().contains("the flash driver failed; check wiring, supply and write protection"),
            "{error}"
        );
        rig.clock.skip_seconds(LATER_S);
        assert!(rig.publish(&mut device).result.is_err());
        rig.flash.get().power_on();
        rig.clock.skip_seconds(LATER_S);
        assert_eq!(rig.publish(&mut device).result, Ok(()), "without a reset");
        assert_eq!(rig.enrolments(), 1);
        assert_eq!(at_last(&rig), []);
        assert_eq!(rig.enrolments(), 1);
    });
}
