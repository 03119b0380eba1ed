//! Boot from every combination of live pointer, credentials and keys in flash.

mod bench;

use bench::*;
use host_tests::ca::{Ca, DAY};
use host_tests::est::EstServer;
use host_tests::est_options::{EstOptions, Grant};
use identity_core::config::Config;
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::record::{Record, read_live, write_live};

/// A record in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Good,
    Corrupt,
    Absent,
    Newer,
    /// Of another key; for the pointer: of the birth slot.
    Other,
}

const KEPT: [Kept; 5] = [Kept::Good, Kept::Corrupt, Kept::Absent, Kept::Newer, Kept::Other];

/// What is in a slot: its credential, and whether its key is there.
type Contents = (Kept, bool);

/// Good records of both slots, from a device that enrolled, lost its credential and enrolled again.
struct Fixture {
    bench: Bench,
    config: Config,
    credentials: [Vec<u8>; 2],
    keys: [Vec<u8>; 2],
}

fn fixture() -> Fixture {
    let options =
        EstOptions { grants: vec![Grant::basic("pump-7", "once")], lifetime: 3650 * DAY, ..EstOptions::default() };
    let server = EstServer::new(Ca::new(START), options);
    let config = config(&server);
    let mut bench = Bench::new(server);
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready);
    let first = bench.flash.clone();
    bench.flash.insert(Record::Credential(Slot::A).number(), vec![0xff]);
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready);
    let number = |slot| (Record::Credential(slot).number(), Record::Key(slot).number());
    let ((a, key_a), (b, key_b)) = (number(Slot::A), number(Slot::B));
    let credentials = [first[&a].clone(), bench.flash[&b].clone()];
    let keys = [first[&key_a].clone(), bench.flash[&key_b].clone()];
    Fixture { bench, config, credentials, keys }
}

fn index(slot: Slot) -> usize {
    usize::from(slot == Slot::B)
}

impl Fixture {
    /// Fills flash, past the time in which the server gives the same certificate again.
    fn flash(&mut self, pointer: (Kept, Slot), contents: [Contents; 2]) {
        let anchors = self.bench.flash[&Record::Anchors.number()].clone();
        self.bench.unix += 7200;
        self.bench.flash.clear();
        self.bench.flash.insert(Record::Anchors.number(), anchors);
        let mut octets = [0; 16];
        let length = write_live(if pointer.0 == Kept::Other { Slot::Birth } else { pointer.1 }, &mut octets).unwrap();
        self.put(Record::Live, pointer.0, &octets[..length], &octets[..length]);
        for slot in [Slot::A, Slot::B] {
            let (credential, key) = contents[index(slot)];
            let (mine, other) = (self.credentials[index(slot)].clone(), self.credentials[index(slot.other())].clone());
            self.put(Record::Credential(slot), credential, &mine, &other);
            if key {
                self.bench.flash.insert(Record::Key(slot).number(), self.keys[index(slot)].clone());
            }
        }
    }

    fn put(&mut self, record: Record, kept: Kept, good: &[u8], other: &[u8]) {
        let mut octets = good.to_vec();
        match kept {
            Kept::Good => {}
            Kept::Corrupt => octets.truncate(good.len() / 2),
            Kept::Absent => return,
            Kept::Newer => octets[2] = 9,
            Kept::Other => octets = other.to_vec(),
        }
        self.bench.flash.insert(record.number(), octets);
    }
}

#[test]
fn every_combination_boots_as_it_should() {
    let mut fixture = fixture();
    let slots: Vec<Contents> = KEPT.iter().flat_map(|&kept| [(kept, true), (kept, false)]).collect();
    let pointers = KEPT.iter().flat_map(|&kept| [(kept, Slot::A), (kept, Slot::B)]);
    let (mut stuck, mut used, mut enrolled) = (0, 0, 0);
    for pointer in pointers {
        for a in &slots {
            for b in &slots {
                match check(&mut fixture, pointer, [*a, *b]) {
                    End::Stuck(_) => stuck += 1,
                    _ if fixture.bench.asked.iter().any(|asked| matches!(asked, Asked::Exchange(_))) => enrolled += 1,
                    _ => used += 1,
                }
            }
        }
    }
    println!("{stuck} stuck, {used} used what was there, {enrolled} enrolled");
    assert_eq!(stuck + used + enrolled, 1000);
}

fn check(fixture: &mut Fixture, pointer: (Kept, Slot), contents: [Contents; 2]) -> End {
    fixture.flash(pointer, contents);
    let what = format!("pointer {pointer:?}, A {:?}, B {:?}", contents[0], contents[1]);
    let Fixture { bench, config, credentials, .. } = fixture;
    bench.asked.clear();
    bench.errors.clear();
    let (before, enrolments) = (bench.flash.clone(), bench.server.enrolments().len());
    let end = bench.live(config, bench.unix + DAY, true);

    let usable = |slot: Slot| contents[index(slot)] == (Kept::Good, true);
    let newer = |slot: Slot| contents[index(slot)].0 == Kept::Newer;
    let named = (pointer.0 == Kept::Good).then_some(pointer.1);
    // which slots may be the live one
    let relevant: Vec<Slot> = match named {
        Some(slot) if usable(slot) => vec![slot],
        Some(slot) => vec![slot, slot.other()],
        None => vec![Slot::A, Slot::B],
    };
    if pointer.0 == Kept::Newer || relevant.iter().any(|&slot| newer(slot)) {
        assert!(matches!(end, End::Stuck(Error::Newer { .. })), "{what}: {end:?}");
        assert_eq!(bench.flash, before, "{what}: nothing is written or destroyed");
        return end;
    }
    assert_eq!((end, &bench.errors[..]), (End::Ready, &[][..]), "{what}");
    let live = read_live(&bench.flash[&Record::Live.number()]).unwrap();
    let is = |record: Record| bench.flash.get(&record.number());
    if relevant.iter().any(|&slot| usable(slot)) {
        assert!(usable(live) && relevant.contains(&live), "{what}");
        assert_eq!(bench.server.enrolments().len(), enrolments, "{what}: no enrolment");
        assert_eq!(is(Record::Credential(live)), Some(&credentials[index(live)]), "{what}: left as it was");
    } else {
        assert_eq!(bench.server.enrolments().len(), enrolments + 1, "{what}: one enrolment");
        assert!(named.is_none_or(|slot| live != slot), "{what}: the slot that was named stays as it is");
        assert!(!usable(live.other()), "{what}");
    }
    assert!(is(Record::Key(live)).is_some(), "{what}: the live key is there");
    if bench.asked.contains(&Asked::Destroy(live.other().number())) || named.is_some() {
        assert!(is(Record::Key(live.other())).is_none(), "{what}: never two live keys");
    }
    // whatever happened, the next boot finds an identity, and one key
    bench.asked.clear();
    assert_eq!(bench.live(config, bench.unix + DAY, true), End::Ready, "{what}: the boot after");
    assert!(!bench.asked.iter().any(|asked| matches!(asked, Asked::Exchange(_) | Asked::Store(_))), "{what}");
    assert!(!bench.flash.contains_key(&Record::Key(live.other()).number()), "{what}: one key after the boot after");
    bench.asked.retain(|asked| matches!(asked, Asked::Exchange(_)));
    if bench.server.enrolments().len() > enrolments {
        bench.asked.push(Asked::Exchange("before"));
    }
    end
}

/// Power is cut after each effect of a boot: the next one ends as well, and buys no second certificate.
#[test]
fn a_cut_in_any_boot_loses_nothing() {
    let mut fixture = fixture();
    let slots = [
        (Kept::Good, true),
        (Kept::Good, false),
        (Kept::Corrupt, true),
        (Kept::Absent, true),
        (Kept::Absent, false),
        (Kept::Other, true),
    ];
    for pointer in [Kept::Good, Kept::Absent] {
        for a in &slots {
            for b in &slots {
                let once = [*a, *b].contains(&(Kept::Good, true));
                for cut in 0.. {
                    fixture.flash((pointer, Slot::A), [*a, *b]);
                    let Fixture { bench, config, .. } = &mut fixture;
                    let enrolments = bench.server.enrolments().len();
                    let mut left = cut;
                    bench.fault = Box::new(move |_| {
                        left -= 1;
                        (left < 0).then(permanent)
                    });
                    let end = bench.live(config, bench.unix + 1, true);
                    bench.fault = Box::new(|_| None);
                    assert_eq!(bench.live(config, bench.unix + DAY, true), End::Ready, "{pointer:?} {a:?} {b:?} {cut}");
                    let made = bench.server.enrolments().len() - enrolments;
                    assert!(made <= usize::from(!once), "{pointer:?} {a:?} {b:?} cut {cut}: {made} enrolments");
                    if end == End::Ready {
                        break;
                    }
                }
            }
        }
    }
}
