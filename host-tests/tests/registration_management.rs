//! What becomes of a client registration (RFC 7592): rotation of its key, reading, its end; in virtual time.

mod registration_world;

use host_tests::ca::DAY;
use host_tests::oauth::{AuthFault, AuthOptions, Endpoint};
use host_tests::virtual_time::End;
use identity_core::agent::Answer;
use identity_core::config::Secret;
use identity_core::enrol::{Manage, Register};
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::oauth::OauthCode;
use identity_core::record::Record;

use registration_world::*;

#[test]
fn the_key_is_rotated_at_its_age_and_the_old_one_serves_until_then() {
    for rotates in [true, false] {
        let options = AuthOptions { rotate_registration: rotates, ..AuthOptions::default() };
        let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), options);
        assert!(bed.run(20).ready);
        let (id, first) = (bed.id(), bed.keys());
        bed.world.unix += 89 * DAY;
        assert!(bed.run(20).ready);
        assert_eq!((bed.live(), bed.asked("PUT ")), (Slot::A, 0));
        for (turn, slot) in [(1, Slot::B), (2, Slot::A), (3, Slot::B)] {
            bed.world.unix += 90 * DAY;
            let seen = bed.run(20);
            assert!(bed.takes(&seen.token.expect("a token").0), "{turn}: {:?}", seen.trouble);
            assert_eq!((bed.live(), bed.id(), bed.asked("PUT ")), (slot, id.clone(), turn));
            assert!(!bed.world.flash.contains_key(&Record::Key(slot.other()).number()), "the old key is destroyed");
            assert_eq!(bed.keys().len(), 2, "the new key and the one before");
        }
        assert!(bed.keys().iter().all(|key| key.thumbprint() != first[0].thumbprint()));
        assert_eq!(bed.asked("POST /register"), 1);
    }
}

#[test]
fn an_outage_at_the_rotation_keeps_the_device_working() {
    let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), AuthOptions::default());
    assert!(bed.run(20).ready);
    bed.world.unix += 90 * DAY;
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 5);
    let seen = bed.run(20);
    assert!(bed.takes(&seen.token.expect("a token of the old key").0));
    assert_eq!(bed.live(), Slot::A);
    assert!(bed.run(3600).token.is_some());
    assert_eq!(bed.live(), Slot::B, "{:?}", bed.world.errors);
}

#[test]
fn power_cut_at_any_effect_of_the_rotation_leaves_the_old_key_or_the_new() {
    let register =
        leak(Register { initial_access_token: Some(Secret::new(INITIAL)), rotate_after_days: Some(90), ..OPEN });
    let (mut old, mut new, mut anew) = (0, 0, 0);
    for cut in 0.. {
        let mut bed = bed(register, AuthOptions::default());
        bed.auth().options.registration = guarded(2);
        assert!(bed.run(20).ready);
        bed.world.unix += 90 * DAY;
        let (config, until) = (bed.config, bed.world.unix + 60);
        if bed.world.live(&config, until, Some(cut), false) != End::Cut {
            assert!(cut > 12, "only {cut} effects");
            break;
        }
        match bed.live() {
            Slot::A => old += 1,
            _ => new += 1,
        }
        // whatever the cut left gets tokens, even if the rotation that is due cannot go on
        let faults = bed.asked("PUT ");
        bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 1);
        let seen = bed.run(30);
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0), "cut {cut}");
        assert!(faults <= 1);
        let seen = bed.run(600);
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0), "cut {cut}");
        assert_eq!(bed.live(), Slot::B, "cut {cut}");
        anew += bed.asked("POST /register") - 1;
    }
    assert!(old > 0 && new > 0);
    assert_eq!(anew, 1, "a registration access token whose successor was lost: registered anew, once");
}

#[test]
fn a_registration_is_read_and_its_new_token_stored_before_it_is_used() {
    let options = AuthOptions { rotate_at_read: true, ..AuthOptions::default() };
    let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), options);
    assert!(bed.run(20).ready);
    for _ in 0..3 {
        // each reading is with the token that the one before gave, which died with it
        let (_, answer) = bed.manage(Manage::Read, None);
        assert_eq!(answer, Some(Ok(Answer::Registered)));
    }
    bed.world.unix += 90 * DAY;
    assert!(bed.run(20).token.is_some());
    assert_eq!((bed.asked("PUT "), bed.asked("POST /register")), (1, 1));
    let (_, answer) = bed.manage(Manage::Read, None);
    assert_eq!(answer, Some(Ok(Answer::Registered)), "with the token that the rotation gave");
    // a server that fails, and one that forgot
    bed.auth().inject(Endpoint::Management, AuthFault::Html(500), 1);
    let (_, answer) = bed.manage(Manage::Read, None);
    assert!(matches!(answer, Some(Err(Error::Refused { code: 500, .. }))), "{answer:?}");
    assert!(bed.run(20).token.is_some(), "the device works on");
    bed.auth().inject(Endpoint::Management, AuthFault::Error(401, "invalid_token"), 1);
    let (_, answer) = bed.manage(Manage::Read, None);
    assert!(matches!(answer, Some(Err(Error::Denied { code: OauthCode::InvalidToken, .. }))), "{answer:?}");
}

#[test]
fn a_registration_that_has_ended_leaves_nothing_and_a_new_one_can_be_made() {
    let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), AuthOptions::default());
    assert!(bed.run(20).ready);
    bed.world.unix += 90 * DAY;
    assert!(bed.run(20).ready);
    assert!(bed.world.flash.contains_key(&Record::Credential(bed.live().other()).number()));
    let id = bed.id();
    // a server that cannot be asked ends nothing
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 1);
    let (_, answer) = bed.manage(Manage::Delete, None);
    assert!(matches!(answer, Some(Err(Error::Refused { code: 503, .. }))), "{answer:?}");
    assert!(bed.run(20).token.is_some());
    let (_, answer) = bed.manage(Manage::Delete, None);
    assert_eq!(answer, Some(Ok(Answer::Unregistered)));
    assert!(bed.auth().client(&id).is_none());
    let left: Vec<u8> = bed.world.flash.keys().copied().collect();
    assert!(left.iter().all(|record| *record == Record::Floor.number()), "{left:x?}");
    assert!(bed.run(20).token.is_some());
    assert_ne!(bed.id(), id);
    // one that the server knows no more has ended as well
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(404), 1);
    assert_eq!(bed.manage(Manage::Delete, None).1, Some(Ok(Answer::Unregistered)));
}

#[test]
fn power_cut_at_any_effect_of_the_end_is_mended_by_asking_again() {
    let register = leak(Register { initial_access_token: Some(Secret::new(INITIAL)), ..OPEN });
    for cut in 0.. {
        let mut bed = bed(register, AuthOptions::default());
        bed.auth().options.registration = guarded(2);
        assert!(bed.run(20).ready);
        let id = bed.id();
        let (_, answer) = bed.manage(Manage::Delete, Some(cut));
        if answer.is_some() {
            assert!(cut > 8, "only {cut} effects");
            break;
        }
        // the device is there still, or it is like new and registers
        let (_, answer) = bed.manage(Manage::Delete, None);
        assert_eq!(answer, Some(Ok(Answer::Unregistered)), "cut {cut}");
        assert!(bed.auth().client(&id).is_none(), "cut {cut}");
        assert!(bed.asked("POST /register") <= 2, "cut {cut}");
    }
}

#[test]
fn a_damaged_registration_record_costs_management_and_no_identity() {
    for damage in [&[][..], &[0; 7], &[0xff; 100]] {
        let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), AuthOptions::default());
        assert!(bed.run(20).ready);
        let id = bed.id();
        bed.world.flash.insert(Record::Registration.number(), damage.to_vec());
        assert!(bed.run(20).token.is_some());
        assert_eq!(bed.id(), id);
        bed.world.unix += 90 * DAY;
        assert!(bed.run(20).token.is_some());
        assert_ne!(bed.id(), id, "what cannot be updated is registered anew");
        assert_eq!(bed.manage(Manage::Read, None).1, Some(Ok(Answer::Registered)));
    }
}
