//! The NOR store on a flash that loses power anywhere, is blank, full, damaged or from the future.

use std::collections::BTreeMap;

use device_sdk::clock::std_clock::block_on;
use device_sdk::ports::{PortError, Store};
use device_sdk::store::NorStore;
use device_sdk::store::file_flash::FileFlash;
use device_sdk::store::nor::NorError;
use host_tests::flash::{FaultyFlash, PAGE};

type Nor = NorStore<FaultyFlash>;

const PAGES: usize = 3;

fn open(flash: FaultyFlash) -> Nor {
    let end = flash_end(&flash);
    Nor::new(flash, 0..end).unwrap()
}

fn flash_end(flash: &FaultyFlash) -> u32 {
    u32::try_from(embedded_storage_async::nor_flash::ReadNorFlash::capacity(flash)).unwrap()
}

fn load(store: &mut Nor, record: u8) -> Result<Option<Vec<u8>>, NorError> {
    let mut into = vec![0; 3072];
    let length = block_on(store.load(record, &mut into))?;
    Ok(length.map(|length| into[..length].to_vec()))
}

/// What a life of the device writes: credentials of some 900 octets, keys, the pointer, the floor; and erasures (none).
fn life() -> Vec<(u8, Option<Vec<u8>>)> {
    let mut steps = Vec::new();
    for round in 0..5u8 {
        let slot = 0x11 + round % 2;
        steps.push((slot + 0x10, Some(vec![round; 61])));
        steps.push((slot, Some(vec![round ^ 0x55; 900 + usize::from(round)])));
        steps.push((0x01, Some(vec![round; 3])));
        steps.push((0x23 - round % 2, None));
        steps.push((0x03, Some(vec![round; 9])));
    }
    steps
}

async fn apply(store: &mut Nor, step: &(u8, Option<Vec<u8>>)) -> Result<(), NorError> {
    match &step.1 {
        Some(octets) => store.store(step.0, octets).await,
        None => store.erase(step.0).await,
    }
}

#[test]
fn a_cut_anywhere_leaves_each_record_old_or_new() {
    let steps = life();
    let (mut cuts, mut lost) = (0, Vec::new());
    for cut in 0.. {
        let mut flash = FaultyFlash::blank(PAGES);
        flash.cut_after = Some(cut);
        let mut store = open(flash);
        let mut before: BTreeMap<u8, Option<Vec<u8>>> = BTreeMap::new();
        let mut interrupted = None;
        for step in &steps {
            if block_on(apply(&mut store, step)).is_err() {
                interrupted = Some(step);
                break;
            }
            before.insert(step.0, step.1.clone());
        }
        let mut flash = store.into_flash();
        assert_eq!(flash.is_off(), interrupted.is_some(), "only a cut interrupts");
        let Some(interrupted) = interrupted else { break };
        cuts += 1;
        flash.power_on();
        let mut store = open(flash);
        for record in [0x01, 0x03, 0x11, 0x12, 0x21, 0x22, 0x23] {
            let old = before.get(&record).cloned().flatten();
            let found = load(&mut store, record);
            let new = (record == interrupted.0).then(|| interrupted.1.clone());
            if found != Ok(old.clone()) && new.map(Ok) != Some(found.clone()) {
                lost.push((cut, record, found.map(|f| f.map(|f| f.len())), old.map(|o| o.len())));
            }
        }
        // The device goes on: the interrupted step again, and it holds.
        if let Err(error) = block_on(apply(&mut store, interrupted)) {
            lost.push((cut, interrupted.0, Err(error), None));
        } else {
            assert_eq!(load(&mut store, interrupted.0), Ok(interrupted.1.clone()), "after cut {cut}");
        }
    }
    println!("{cuts} cut points, {} violations: {:?}", lost.len(), lost.iter().take(12).collect::<Vec<_>>());
    assert!(cuts > 5000, "{cuts} cut points");
    assert!(lost.is_empty(), "{} violations, first {:?}", lost.len(), lost.first());
}

#[test]
fn blank_flash_holds_nothing_and_reading_writes_nothing() {
    let mut store = open(FaultyFlash::blank(PAGES));
    assert_eq!(load(&mut store, 1), Ok(None));
    block_on(store.erase(1)).unwrap();
    assert_eq!(store.into_flash().effects, 0);
}

#[test]
fn erased_is_absent_and_record_zero_is_reserved() {
    let mut store = open(FaultyFlash::blank(PAGES));
    block_on(store.store(7, b"x")).unwrap();
    block_on(store.erase(7)).unwrap();
    assert_eq!(load(&mut store, 7), Ok(None));
    assert_eq!(block_on(store.store(0, b"x")), Err(NorError::Reserved));
    assert_eq!(load(&mut store, 0), Err(NorError::Reserved));
}

#[test]
fn full_flash_says_so_and_keeps_what_it_holds() {
    let mut store = open(FaultyFlash::blank(PAGES));
    let mut held = 0;
    let error = loop {
        match block_on(store.store(held + 1, &vec![held; 1000])) {
            Ok(()) => held += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, NorError::Full);
    assert!(error.hint().contains("more pages"));
    assert!(held >= 6, "{held} records of 1000 octets in {PAGES} pages");
    for record in 0..held {
        assert_eq!(load(&mut store, record + 1), Ok(Some(vec![record; 1000])), "record {record} of {held}");
    }
}

#[test]
fn a_newer_format_is_left_alone() {
    let mut store = open(FaultyFlash::blank(PAGES));
    block_on(store.store(7, b"old")).unwrap();
    let mut flash = store.into_flash();
    let at = flash.octets().windows(5).position(|w| w == b"idst\x01").unwrap();
    // The same header as version 2, with the checksum that the storage would give it: written by the storage itself.
    let mut newer = FaultyFlash::blank(PAGES);
    block_on(async {
        use sequential_storage::{
            cache::Cache,
            map::{MapConfig, MapStorage},
        };
        let config = MapConfig::new(0..flash_end(&newer));
        let mut map = MapStorage::<u8, _, _>::new(&mut newer, config, Cache::new_uncached());
        map.store_item(&mut [0; 64], &0, &b"idst\x02".as_slice()).await.unwrap();
    });
    assert_eq!(newer.octets()[at + 4], 2);
    let contents = newer.octets().clone();
    let mut store = open(newer);
    let wanted = NorError::Newer { version: 2 };
    assert_eq!(load(&mut store, 7), Err(wanted));
    assert_eq!(block_on(store.store(7, b"new")), Err(wanted));
    assert_eq!(block_on(store.erase(7)), Err(wanted));
    assert_eq!(*store.into_flash().octets(), contents);
}

#[test]
fn foreign_contents_are_refused_and_not_erased() {
    let patterns: [fn(usize) -> u8; 3] =
        [|_| 0, |at| u8::try_from(at % 251).unwrap(), |at| u8::try_from(at * 7 % 256).unwrap() | 1];
    for (number, pattern) in patterns.into_iter().enumerate() {
        let contents: Vec<u8> = (0..PAGES * PAGE).map(pattern).collect();
        let mut store = open(FaultyFlash::holding(contents.clone()));
        let found = load(&mut store, 1);
        let flash = store.into_flash();
        assert_eq!(flash.wear, vec![0; PAGES], "pattern {number}: {found:?}, nothing erased");
        assert_eq!(found, Err(NorError::Corrupt), "pattern {number}");
    }
}

#[test]
fn a_single_damaged_octet_never_gives_false_contents_or_a_panic() {
    let mut store = open(FaultyFlash::blank(PAGES));
    for step in life().iter().take(8) {
        block_on(apply(&mut store, step)).unwrap();
    }
    let wanted: Vec<_> = [0x01, 0x03, 0x11, 0x21].map(|record| (record, load(&mut store, record).unwrap())).to_vec();
    let sound = store.into_flash();
    for at in 0..2200 {
        let mut flash = sound.clone();
        flash.octets()[at] ^= 0x10;
        let mut store = open(flash);
        for (record, wanted) in &wanted {
            // An older value or none may come back; octets that were never stored may not.
            if let Ok(Some(found)) = load(&mut store, *record) {
                let stored = |step: &(u8, Option<Vec<u8>>)| step.0 == *record && step.1.as_ref() == Some(&found);
                assert!(
                    life().iter().any(stored),
                    "octet {at}: record {record:#x} {:?}",
                    wanted.as_ref().map(Vec::len)
                );
            }
        }
    }
}

#[test]
fn a_range_that_does_not_suit_is_refused() {
    for range in [0..4096, 100..8192, 0..8200, 0..20 * 4096, 8192..8192] {
        assert!(matches!(Nor::new(FaultyFlash::blank(PAGES), range), Err(NorError::Range)));
    }
    let mut store = open(FaultyFlash::blank(PAGES));
    assert_eq!(block_on(store.store(1, &[0; 5000])), Err(NorError::TooLong));
    assert_eq!(block_on(store.store(1, &[1; 3000])), Ok(()));
    assert_eq!(block_on(store.load(1, &mut [0; 100])), Err(NorError::TooLong));
}

#[test]
fn a_file_keeps_the_records() {
    let path = std::env::temp_dir().join(format!("identity-flash-{}", std::process::id()));
    let open = || NorStore::<_, 3072>::new(FileFlash::open(&path, 4 * 4096).unwrap(), 0..4 * 4096).unwrap();
    block_on(open().store(9, b"kept")).unwrap();
    let mut into = [0; 8];
    let length = block_on(open().load(9, &mut into));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(length, Ok(Some(4)));
    assert_eq!(&into[..4], b"kept");
}

#[test]
fn wear_is_spread() {
    let mut store = open(FaultyFlash::blank(PAGES));
    for day in 0..3000u32 {
        block_on(store.store(3, &day.to_le_bytes())).unwrap();
    }
    let flash = store.into_flash();
    let (least, most) = (flash.wear.iter().min().unwrap(), flash.wear.iter().max().unwrap());
    println!("3000 writes of 4 octets: wear {:?}, operations {:?}", flash.wear, flash.operations);
    assert!(*least > 0 && most - least <= 1, "{:?}", flash.wear);
}
