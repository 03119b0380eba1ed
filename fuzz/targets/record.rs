//! Records in flash: what is read is written again and read the same; a sealed record opens only as it was sealed.
#![no_main]

use std::sync::{LazyLock, Mutex};

use fuzz::Input;
use identity_core::crypto::{SEAL_OVERHEAD, SecretKey, open, open_record, seal, seal_record};
use identity_core::entropy::Drbg;
use identity_core::keys::Slot;
use identity_core::record;
use libfuzzer_sys::fuzz_target;

static DRBG: LazyLock<Mutex<Drbg>> = LazyLock::new(|| Mutex::new(fuzz::drbg()));

fuzz_target!(|octets: &[u8]| {
    let mut room = vec![0; octets.len() + 64];
    if let Ok(credential) = record::read_credential(octets) {
        assert!(credential.leaf.len() <= credential.certificates.len());
    }
    if let Ok(slot) = record::read_live(octets) {
        let length = record::write_live(slot, &mut room).expect("room");
        assert_eq!(record::read_live(&room[..length]), Ok(slot));
        assert!(slot != Slot::Birth);
    }
    if let Ok(floor) = record::read_floor(octets) {
        let length = record::write_floor(floor, &mut room).expect("room");
        assert_eq!(record::read_floor(&room[..length]), Ok(floor));
    }
    if let Ok(anchors) = record::read_anchors(octets) {
        let length = record::write_anchors(anchors, &mut room).expect("room");
        assert_eq!(record::read_anchors(&room[..length]), Ok(anchors));
    }
    let owner = [7; 32];
    if let Ok(Some(token)) = record::read_refresh(&owner, octets) {
        let length = record::write_refresh(&owner, token, &mut room).expect("room");
        assert_eq!(record::read_refresh(&owner, &room[..length]), Ok(Some(token)));
        assert_eq!(record::read_refresh(&[8; 32], &room[..length]), Ok(None));
    }

    let secret = [9; 32];
    let mut damaged = octets.to_vec();
    assert!(open_record(&secret, 4, &mut damaged, octets.len()).is_err(), "nobody sealed this");
    assert!(open(&secret, Slot::A, octets).is_err());
    let mut input = Input(octets);
    let (at, flip) = (usize::from(input.octet()), input.octet());
    let contents = input.0;
    let mut sealed = [contents, &[0; SEAL_OVERHEAD]].concat();
    let mut drbg = DRBG.lock().expect("one thread");
    let length = seal_record(&secret, 4, &mut sealed, contents.len(), &mut drbg).expect("room");
    let mut opened = sealed.clone();
    assert_eq!(open_record(&secret, 4, &mut opened, length), Ok(contents.len()));
    assert_eq!(&opened[..contents.len()], contents);
    assert!(open_record(&secret, 5, &mut sealed.clone(), length).is_err(), "another record");
    assert!(open_record(&secret, 4, &mut sealed.clone(), length - 1).is_err());
    if flip != 0 {
        let at = at % length;
        sealed[at] ^= flip;
        assert!(open_record(&secret, 4, &mut sealed, length).is_err());
        let key = SecretKey::from_octets(&[7; 32]).expect("a key");
        let mut sealed = seal(&secret, Slot::A, &key, &mut drbg).expect("a sealed key");
        assert!(open(&secret, Slot::A, &sealed).is_ok() && open(&secret, Slot::B, &sealed).is_err());
        let at = at % sealed.len();
        sealed[at] ^= flip;
        assert!(open(&secret, Slot::A, &sealed).is_err());
    }
});
