//! The NOR store at its limits: full, with the largest records, and dropped half way without a reset.

use std::collections::BTreeMap;

use device_sdk::clock::std_clock::block_on;
use device_sdk::ports::Store;
use device_sdk::store::NorStore;
use device_sdk::store::nor::NorError;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use host_tests::flash::{FaultyFlash, FlashFault, PAGE};
use host_tests::rig::{at_most, pause};

/// Octets of the largest record of the store's default size.
const LARGEST: usize = 3064;

/// A flash that gives way before and after each operation, as one driven by DMA does.
struct Slow(FaultyFlash);

impl ErrorType for Slow {
    type Error = FlashFault;
}

impl ReadNorFlash for Slow {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(offset, into).await
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Slow {
    const WRITE_SIZE: usize = FaultyFlash::WRITE_SIZE;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        pause().await;
        self.0.erase(from, to).await?;
        pause().await;
        Ok(())
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FlashFault> {
        pause().await;
        self.0.write(offset, octets).await?;
        pause().await;
        Ok(())
    }
}

fn store<F: NorFlash>(flash: F) -> NorStore<F> {
    let end = u32::try_from(flash.capacity()).unwrap();
    NorStore::new(flash, 0..end).unwrap()
}

fn load<F: NorFlash>(store: &mut NorStore<F>, record: u8) -> Result<Option<Vec<u8>>, NorError> {
    let mut into = vec![0; LARGEST];
    let length = block_on(store.load(record, &mut into))?;
    Ok(length.map(|length| into[..length].to_vec()))
}

#[test]
fn a_store_dropped_at_any_wait_goes_on_without_a_reset() {
    let mut drops = 0;
    for times in 0.. {
        let mut store = store(Slow(FaultyFlash::blank(3)));
        let mut held: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        let mut dropped = false;
        for round in 0..12u8 {
            let (record, octets) = (0x10 + round % 3, vec![round; 900]);
            // each is dropped once at the wait of this number, then done again
            let first = block_on(at_most(times, store.store(record, &octets)));
            let found = load(&mut store, record).unwrap();
            let old = held.get(&record).cloned();
            assert!(found == old || found == Some(octets.clone()), "wait {times}, round {round}");
            match first {
                Some(result) => result.unwrap(),
                None => {
                    dropped = true;
                    block_on(store.store(record, &octets)).unwrap();
                }
            }
            held.insert(record, octets);
            for (record, octets) in &held {
                assert_eq!(load(&mut store, *record), Ok(Some(octets.clone())), "wait {times}, round {round}");
            }
        }
        drops += usize::from(dropped);
        if !dropped {
            break;
        }
    }
    assert!(drops > 6, "{drops}");
}

#[test]
fn a_full_store_still_erases_and_overwrites_and_then_has_room() {
    let mut store = store(FaultyFlash::blank(3));
    let mut held = 0;
    while block_on(store.store(held + 1, &vec![held; 1000])).is_ok() {
        held += 1;
    }
    for _ in 0..20 {
        assert_eq!(block_on(store.store(200, &[1; 1000])), Err(NorError::Full), "a refusal costs nothing");
    }
    for record in 1..=held {
        assert_eq!(load(&mut store, record), Ok(Some(vec![record - 1; 1000])));
    }
    block_on(store.erase(1)).expect("room for a tombstone");
    block_on(store.erase(2)).expect("room for another");
    assert_eq!((load(&mut store, 1), load(&mut store, 2)), (Ok(None), Ok(None)));
    block_on(store.store(200, &[1; 900])).expect("the room of what was erased");
    for record in 3..=held {
        assert_eq!(load(&mut store, record), Ok(Some(vec![record - 1; 1000])));
    }
}

/// Pages that the records of a device need at their largest: birth credential, anchors, two credentials by turns.
#[test]
fn how_many_pages_the_largest_records_need() {
    let lives = |pages: usize| {
        let mut store = store(FaultyFlash::blank(pages));
        let mut write = |record: u8, octets: Vec<u8>| block_on(store.store(record, &octets));
        write(0x02, vec![2; LARGEST])?;
        write(0x10, vec![3; LARGEST])?;
        for round in 0..40u8 {
            let slot = 1 + round % 2;
            write(0x20 + slot, vec![round; 61])?;
            write(0x10 + slot, vec![round; LARGEST])?;
            write(0x01, vec![slot; 3])?;
            for day in 0..60 {
                write(0x03, vec![day; 9])?;
            }
        }
        Ok::<(), NorError>(())
    };
    let need = (2..12).find(|&pages| lives(pages).is_ok());
    println!("pages of 4096 octets for the largest records: {need:?}");
    assert_eq!(need, Some(6));
}
