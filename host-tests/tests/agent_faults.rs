//! The agent under faults that a driver, a board, a clock or a server may have at any step.

mod agent_world;

use agent_world::*;
use host_tests::ca::{Ca, CaOptions, DAY, Leaf, Purpose, Validity, alternative_of, spki_of, subject_of};
use host_tests::est::EstServer;
use host_tests::est_options::{Approval, EstOptions, Fault, Grant, Operation, RetryAfter};
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::record::{Record, read_credential, read_live, write_credential};
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::cert::Certificate;
use identity_core::x509::verify::accept_issued;

const LIVE: u8 = 1;
const ANCHORS: u8 = 2;

fn credential(slot: Slot) -> u8 {
    Record::Credential(slot).number()
}

fn options() -> EstOptions {
    EstOptions { grants: vec![Grant::basic("pump-7", "once").once()], repeat_window: 0, ..EstOptions::default() }
}

fn server() -> EstServer {
    EstServer::new(Ca::new(START), options())
}

/// A device that has enrolled, and its configuration.
fn enrolled(server: EstServer) -> (Bench, identity_core::config::Config) {
    let config = config(&server);
    let mut bench = Bench::new(server);
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!((bench.errors.len(), bench.server.enrolments().len()), (0, 1));
    bench.asked.clear();
    (bench, config)
}

#[test]
fn an_idle_step_may_be_answered_late_with_done() {
    for what in [Asked::Store(credential(Slot::A)), Asked::Generate(1), Asked::Exchange("EST simpleenroll")] {
        let server = server();
        let config = config(&server);
        let mut bench = Bench::new(server);
        bench.answers_idle = true;
        bench.fault = failing(what, 2, transient());
        assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{what:?}: {:?}", bench.errors);
        assert_eq!(bench.errors, [transient().error; 2], "{what:?}");
        assert!(bench.flash.contains_key(&credential(Slot::A)), "{what:?}: what was not stored is not committed");
    }
}

#[test]
fn a_cut_in_the_bootstrap_of_trust_loses_no_intermediate() {
    let ca = Ca::with(START, &CaOptions { intermediate: true, ..CaOptions::default() });
    let server = EstServer::new(ca, options());
    let config = config(&server);
    let mut bench = Bench::new(server);
    // the first record of anchors is written, the exchange after it is cut
    let mut stored = 0;
    bench.fault = Box::new(move |asked| {
        stored += usize::from(asked == Asked::Store(ANCHORS));
        (stored == 1 && asked == Asked::Exchange("EST cacerts")).then(permanent)
    });
    bench.live(&config, START + 10, true);
    bench.fault = Box::new(|_| None);
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 1, "the one-time secret bought one certificate");
}

#[test]
fn a_cut_before_the_commit_costs_no_second_enrolment() {
    let server = server();
    let config = config(&server);
    let mut bench = Bench::new(server);
    bench.fault = failing(Asked::Store(LIVE), usize::MAX, transient());
    bench.live(&config, START + 10, true);
    assert!(bench.flash.contains_key(&credential(Slot::A)) && !bench.flash.contains_key(&LIVE));
    bench.fault = Box::new(|_| None);
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 1, "the secret was spent on the first");
}

#[test]
fn certificates_shorter_than_their_backdating_are_not_renewed_at_once() {
    // Validity starts an hour ago: two thirds of such a life have passed at birth.
    let server = EstServer::new(Ca::new(START), EstOptions { lifetime: 600, ..options() });
    let config = config(&server);
    let mut bench = Bench::new(server);
    assert_eq!(bench.live(&config, START + 3600, false), End::Time, "{:?}", bench.errors);
    assert!(bench.server.enrolments().len() <= 13, "{} in an hour", bench.server.enrolments().len());
    let times: Vec<u64> = bench.server.enrolments().iter().map(|e| e.at).collect();
    assert!(times.windows(2).all(|t| t[1] - t[0] < 600), "and there was no gap: {times:?}");
}

#[test]
fn a_ready_device_that_lost_its_anchors_fetches_them_anew() {
    for damage in [None, Some(vec![0xff; 40])] {
        let (mut bench, config) = enrolled(server());
        match damage {
            None => drop(bench.flash.remove(&ANCHORS)),
            Some(octets) => drop(bench.flash.insert(ANCHORS, octets)),
        }
        assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
        let fetched = identity_core::record::read_anchors(&bench.flash[&ANCHORS]).unwrap();
        assert_eq!(fetched, bench.server.ca.root());
        assert_eq!(bench.errors, []);
    }
}

#[test]
fn a_glitch_at_boot_is_waited_out() {
    let steps =
        [Asked::Load(3), Asked::Load(ANCHORS), Asked::Load(LIVE), Asked::Load(credential(Slot::A)), Asked::Public(1)];
    for what in steps {
        let (mut bench, config) = enrolled(server());
        bench.fault = failing(what, 3, transient());
        assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{what:?}: {:?}", bench.errors);
        assert_eq!((bench.errors.len(), bench.server.enrolments().len()), (3, 1), "{what:?}");
        assert!((3..60).contains(&(bench.unix - START)), "{what:?}: {} s", bench.unix - START);

        let (mut bench, config) = enrolled(server());
        bench.fault = failing(what, 1, permanent());
        assert!(matches!(bench.live(&config, START + DAY, true), End::Stuck(_)), "{what:?}");
    }
}

#[test]
fn a_key_that_cannot_be_destroyed_keeps_no_device_offline() {
    let (mut bench, config) = enrolled(server());
    bench.unix = START + 61 * DAY;
    bench.fault = Box::new(|asked| matches!(asked, Asked::Destroy(_)).then(permanent));
    assert_eq!(bench.live(&config, bench.unix + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 2);
    assert_eq!(read_live(&bench.flash[&LIVE]), Ok(Slot::B));
    // at each boot it is tried again
    assert_eq!(bench.live(&config, bench.unix + DAY, true), End::Ready, "{:?}", bench.errors);
    bench.fault = Box::new(|_| None);
    assert_eq!(bench.live(&config, bench.unix + DAY, true), End::Ready, "{:?}", bench.errors);
    assert!(!bench.flash.contains_key(&Record::Key(Slot::A).number()));
}

#[test]
fn a_lie_about_time_right_after_enrolment_does_not_last() {
    // The wall clock shows a time two years ahead while the agent rests; the secret is spent, so no bootstrap helps.
    let server = EstServer::new(Ca::new(START), options());
    let config = config(&server);
    let mut bench = Bench::new(server);
    bench.wall = |unix| (unix > START + 600).then_some(unix + 730 * DAY);
    bench.nap = 60;
    bench.live(&config, START + 3500, false);
    bench.wall = Some;
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 1);
}

#[test]
fn a_clock_that_was_wrong_for_a_while_costs_no_identity() {
    let (mut bench, config) = enrolled(server());
    // For the second hour the wall clock shows a time twenty years ahead; the secret is spent, so no bootstrap helps.
    bench.wall = |unix| Some(if (START + 3600..START + 7200).contains(&unix) { unix + 7300 * DAY } else { unix });
    (bench.unix, bench.nap) = (START + 3500, 60);
    bench.live(&config, START + 12 * 3600, false);
    let last = bench.offline.last().copied().unwrap_or(0) / 1000 + 3500;
    assert!(last < 2 * 3600 + 3600, "still offline after {last} s");
    assert_eq!(bench.live(&config, START + 13 * 3600, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 1);
}

#[test]
fn renewal_keeps_the_names_that_the_ca_gave() {
    // RFC 7030 §4.2.2: subject and alternative names of the request are those of the certificate that is renewed.
    let (mut bench, config) = enrolled(server());
    let record = &bench.flash[&credential(Slot::A)];
    let given = read_credential(record).unwrap().leaf.to_vec();
    for alternative in [None, Some(&[0x30u8, 11, 0x82, 9, b'p', b'7', b'.', b'p', b'l', b'a', b'n', b't', b'x'][..])] {
        let subject = host_tests::der::common_name("Pump 7 of hall 3");
        let leaf = bench.server.ca.issue(&Leaf {
            spki: &spki_of(&given).unwrap(),
            subject: &subject,
            alternative,
            purpose: Purpose::Client,
            validity: Validity::starting(START, 90 * DAY),
        });
        let anchors = Anchors { configured: &[], fetched: bench.server.ca.root() };
        let public = Certificate::parse(&leaf).unwrap().public_key().unwrap();
        let judge = Judge::Wall(UnixTime(START));
        let issued = accept_issued(identity_core::crypto::ALGORITHMS, &leaf, &public, anchors, judge).unwrap();
        let mut record = leaf.clone();
        record.resize(3000, 0);
        let length = write_credential(&issued, &mut record, leaf.len()).unwrap();
        record.truncate(length);
        let mut again = Bench::new(EstServer::new(std::mem::replace(&mut bench.server.ca, Ca::new(START)), options()));
        again.flash = bench.flash.clone();
        again.flash.insert(credential(Slot::A), record);
        again.unix = START + 61 * DAY;
        assert_eq!(again.live(&config, again.unix + DAY, true), End::Ready, "{:?}", again.errors);
        assert_eq!(again.errors, []);
        let renewed = &again.server.enrolments()[0].certificate;
        assert_eq!((subject_of(renewed), alternative_of(renewed)), (Some(subject), alternative.map(<[u8]>::to_vec)));
        bench.server.ca = again.server.ca;
    }
}

#[test]
fn a_server_that_stumbles_is_asked_again_in_seconds() {
    for status in [500, 502, 503, 504, 408] {
        let server = server();
        let config = config(&server);
        let mut bench = Bench::new(server);
        bench.server.inject(Operation::SimpleEnroll, Fault::Status(status), 2);
        assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{status}");
        assert_eq!(bench.errors.len(), 2, "{status}: {:?}", bench.errors);
        assert!((2..8).contains(&(bench.unix - START)), "{status}: {} s", bench.unix - START);
    }
}

#[test]
fn waiting_for_approval_does_not_count_as_failing() {
    let server = EstServer::new(Ca::new(START), EstOptions { approval: Approval::After(8), ..options() });
    let config = config(&server);
    let mut bench = Bench::new(server);
    let mut asked_for = 0;
    bench.fault = Box::new(move |asked| {
        asked_for += usize::from(asked == Asked::Exchange("EST simpleenroll"));
        (asked_for == 8 && asked == Asked::Exchange("EST simpleenroll")).then(transient)
    });
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert!(bench.unix - START < 20, "one glitch after 7 replies cost {} s", bench.unix - START);
}

#[test]
fn a_date_to_come_back_at_is_of_use_without_a_clock() {
    let retry_after = RetryAfter::Date(600);
    let options = EstOptions { approval: Approval::After(1), retry_after, ..options() };
    for wall in [(|_| None) as fn(u64) -> Option<u64>, |_| Some(0), |unix| Some(unix + 30 * 365 * DAY)] {
        let mut bench = Bench::new(EstServer::new(Ca::new(START), options.clone()));
        let config = config(&bench.server);
        bench.wall = wall;
        // with a wrong clock the certificate is refused later; only the wait matters here
        let mut left = 2;
        bench.fault = Box::new(move |asked| {
            left -= i32::from(asked == Asked::Exchange("EST simpleenroll"));
            (left < 0).then(permanent)
        });
        bench.live(&config, START + 1000, true);
        let second = bench.server.served().iter().filter(|s| s.request.ends_with("simpleenroll")).nth(1).unwrap().at;
        assert!((600..=680).contains(&(second - START)), "asked again after {} s", second - START);
    }
}

#[test]
fn devices_that_have_no_key_yet_do_not_all_come_back_at_once() {
    let mut waits = std::collections::BTreeSet::new();
    for serial in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let server = server();
        let mut config = config(&server);
        config.subject.serial_number = serial;
        let mut bench = Bench::new(server);
        bench.server.inject(Operation::CaCerts, Fault::Status(403), 1);
        assert_eq!(bench.live(&config, START + DAY, true), End::Ready);
        waits.insert(bench.unix);
    }
    assert!(waits.len() > 4, "{waits:?}");
}

#[test]
fn attributes_that_are_only_for_those_who_log_in() {
    // RFC 7030 §4.5.2 as of RFC 8951 §3.4: what is served may depend on the authenticated client.
    let server = server();
    let config = config(&server);
    let mut bench = Bench::new(server);
    bench.rewrite = Box::new(|request, reply| {
        let anonymous = matches!(request.authorization, identity_core::agent::step::Authorization::None);
        let denied = request.purpose == "EST csrattrs" && anonymous;
        identity_core::agent::step::Reply { status: if denied { 401 } else { reply.status }, ..reply }
    });
    assert_eq!(bench.live(&config, START + DAY, true), End::Ready, "{:?}", bench.errors);
    assert_eq!(bench.errors, []);
}

#[test]
fn a_flash_that_cannot_take_the_new_credential_keeps_the_old_one_in_service() {
    for record in [credential(Slot::B), LIVE] {
        let (mut bench, config) = enrolled(server());
        bench.unix = START + 61 * DAY;
        bench.fault = failing(Asked::Store(record), usize::MAX, permanent());
        let until = bench.unix + DAY;
        assert_eq!(bench.live(&config, until, false), End::Time);
        assert!(bench.offline.is_empty(), "record {record:#x}");
        assert_eq!(bench.server.enrolments().len(), 2, "what was issued is kept and not asked for again");
        bench.fault = Box::new(|_| None);
        assert_eq!(bench.live(&config, until + DAY, true), End::Ready, "{:?}", bench.errors);
    }
}

#[test]
fn ca_certificates_that_are_none_are_not_adopted() {
    let server = server();
    let config = config(&server);
    let mut bench = Bench::new(server);
    let before = bench.flash.len();
    // authenticated, and yet it serves a client certificate as if it were the CA's
    let csr_key = host_tests::key::Key::generate(host_tests::key::KeyKind::P256);
    let leaf = bench.server.ca.issue(&Leaf {
        spki: csr_key.spki(),
        subject: &host_tests::der::common_name("not a CA"),
        alternative: None,
        purpose: Purpose::Client,
        validity: Validity::starting(START, DAY),
    });
    let body = data_encoding::BASE64.encode(&host_tests::der::certs_only(&[&leaf])).into_bytes();
    assert_eq!(before, 0);
    let mut memory = [0; 4096];
    memory[..body.len()].copy_from_slice(&body);
    let context = identity_core::enrol::Context {
        renewal: false,
        anchors: Anchors { configured: &[], fetched: bench.server.ca.root() },
        csr: &[],
        client: None,
        judge: Judge::Floor(UnixTime(0)),
    };
    let reply = identity_core::agent::step::Reply {
        status: 200,
        media: identity_core::agent::step::Media::Pkcs7,
        retry_after: None,
        date: None,
        challenge: identity_core::agent::step::Challenge::None,
        length: body.len(),
    };
    let start = config.profile.enrol.start(&context).unwrap();
    let identity_core::enrol::Next::Ask(stage) = start else { panic!("{start:?}") };
    let next = config.profile.enrol.reply(stage, &context, &reply, &mut memory);
    assert!(matches!(next, Err(Error::Certificate { .. })), "{next:?}");
}

#[test]
fn a_driver_that_is_dropped_in_every_step_loses_nothing() {
    let server = server();
    let config = config(&server);
    let mut bench = Bench::new(server);
    bench.cancels = true;
    bench.server.inject(Operation::SimpleEnroll, Fault::Pending(RetryAfter::Seconds(5)), 2);
    bench.server.inject(Operation::SimpleReenroll, Fault::Status(500), 2);
    assert_eq!(bench.live(&config, START + 200 * DAY, false), End::Time, "{:?}", bench.errors);
    assert_eq!(bench.errors.len(), 2, "{:?}", bench.errors);
    assert_eq!(bench.server.enrolments().len(), 4);
    assert_eq!(bench.live(&config, bench.unix + DAY, true), End::Ready);
}

#[test]
fn clocks_at_their_ends_are_survived() {
    for wall in [(|_| Some(u64::MAX)) as fn(u64) -> Option<u64>, |_| Some(0), |_| None] {
        let server = server();
        let config = config(&server);
        let mut bench = Bench::new(server);
        bench.wall = wall;
        let end = bench.live(&config, START + DAY, true);
        assert!(matches!(end, End::Ready | End::Time), "{end:?}");
        // and with a device that has an identity
        let (mut bench, config) = enrolled(self::server());
        bench.wall = wall;
        bench.live(&config, START + DAY, true);
        bench.wall = Some;
        assert_eq!(bench.live(&config, bench.unix + DAY, true), End::Ready);
        assert_eq!(bench.server.enrolments().len(), 1, "a wrong clock cost nothing");
    }
}
