//! The agent's life in virtual time against the EST server: first boot, reboot, bad servers, power cuts, a year.

use host_tests::ca::{Ca, DAY, Flaw};
use host_tests::est::EstServer;
use host_tests::est_options::{Approval, EstOptions, Fault, Grant, Operation, RetryAfter};
use host_tests::virtual_time::{End, World};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::error::{CertProblem, Error};
use identity_core::record::{Record, read_live};
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;

const START: u64 = 1_800_000_000;

static MTLS: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

/// A device that pins the CA of `server` and has a one-time secret.
fn config(server: &EstServer) -> Config {
    let est = Box::leak(Box::new(Est {
        host: "est.plant.example",
        port: 443,
        label: None,
        bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
        pinned: Some(identity_core::crypto::sha256(server.ca.root())),
    }));
    Config {
        profile: Profile { enrol: est, token: None, session: &MTLS },
        subject: Subject { common_name: "pump-7", ..Subject::default() },
        names: &[],
        anchors: &[],
        built: UnixTime(START - DAY),
    }
}

fn world(options: EstOptions) -> (World, Config) {
    let grants = vec![Grant::basic("pump-7", "once").once()];
    let server = EstServer::new(Ca::new(START), EstOptions { grants, ..options });
    let config = config(&server);
    (World::new(server, START), config)
}

#[test]
fn first_boot_enrols_and_a_reboot_does_not() {
    let (mut world, config) = world(EstOptions::default());
    assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{:?}", world.errors);
    assert_eq!(world.errors, []);
    assert_eq!(world.server.enrolments().len(), 1);
    let exchanges = world.exchanges;
    assert_eq!(exchanges, 4, "provisional cacerts, cacerts, csrattrs, simpleenroll");
    assert_eq!(world.live(&config, START + DAY, None, false), End::Ready);
    assert_eq!(world.exchanges, exchanges, "a reboot talks to no server");
}

#[test]
fn every_bad_reply_is_an_error_and_then_the_device_enrols() {
    let bad = [
        Fault::Truncated,
        Fault::OverLong,
        Fault::BrokenBase64,
        Fault::WrongContentType,
        Fault::NoContentType,
        Fault::EmptyBody,
        Fault::NoCertificate,
        Fault::Redirect,
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Certificate(Flaw::ForeignKey),
        Fault::Certificate(Flaw::Expired),
        Fault::Certificate(Flaw::NotYetValid),
        Fault::Certificate(Flaw::WrongPurpose),
        Fault::Certificate(Flaw::WrongChain),
    ];
    for fault in bad {
        let (mut world, config) = world(EstOptions::default());
        world.server.inject(Operation::SimpleEnroll, fault, 2);
        assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{fault:?}: {:?}", world.errors);
        assert_eq!(world.errors.len(), 2, "{fault:?}: {:?}", world.errors);
        let problem = match world.errors[0] {
            Error::Certificate { problem, .. } => Some(problem),
            _ => None,
        };
        match fault {
            Fault::Certificate(Flaw::ForeignKey) => assert_eq!(problem, Some(CertProblem::WrongKey)),
            Fault::Certificate(Flaw::Expired) => assert!(matches!(problem, Some(CertProblem::Expired { .. }))),
            Fault::Certificate(Flaw::NotYetValid) => assert!(matches!(problem, Some(CertProblem::NotYetValid { .. }))),
            Fault::Certificate(Flaw::WrongPurpose) => assert_eq!(problem, Some(CertProblem::WrongPurpose)),
            Fault::Certificate(Flaw::WrongChain) => assert_eq!(problem, Some(CertProblem::BadSignature)),
            _ => assert_eq!(problem, None, "{fault:?}: {:?}", world.errors[0]),
        }
        let fast = world.unix - START;
        assert!((30..1800).contains(&fast), "{fault:?}: refused twice, yet done after {fast} s");
    }
}

#[test]
fn a_server_that_says_later_is_asked_when_it_said() {
    for retry_after in [RetryAfter::Seconds(600), RetryAfter::Date(600), RetryAfter::Missing] {
        let (mut world, config) = world(EstOptions { approval: Approval::After(3), retry_after, ..Default::default() });
        assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{:?}", world.errors);
        let waited = world.unix - START;
        let asked = if retry_after == RetryAfter::Missing { 90 } else { 1800 };
        assert!((asked..=asked + asked / 8 + 4).contains(&waited), "{retry_after:?}: {waited} s");
        assert_eq!(world.server.enrolments().len(), 1);
    }
    let (mut world, config) = world(EstOptions::default());
    world.server.inject(Operation::SimpleEnroll, Fault::Pending(RetryAfter::Seconds(0)), u32::MAX);
    assert_eq!(world.live(&config, START + 3600, None, false), End::Time, "202 for ever");
    assert!(world.exchanges < 3700, "never more than once a second: {}", world.exchanges);
}

#[test]
fn a_cut_after_any_effect_leaves_a_device_that_enrols_once() {
    for cut in 0.. {
        let (mut world, config) = world(EstOptions::default());
        let end = world.live(&config, START + DAY, Some(cut), false);
        if end == End::Ready {
            assert!(cut > 12, "only {cut} effects in a whole first boot");
            break;
        }
        assert_eq!(end, End::Cut);
        assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "cut {cut}: {:?}", world.errors);
        assert_eq!(world.server.enrolments().len(), 1, "cut {cut}: the one-time secret bought one certificate");
    }
}

#[test]
fn a_year_has_no_needless_enrolment_and_no_gap() {
    let (mut world, config) = world(EstOptions::default());
    for month in 1..=12 {
        world.live(&config, START + month * 30 * DAY, None, true);
    }
    assert_eq!(world.errors, []);
    // 90-day certificates are renewed after 60 days: at 60, 120, 180, 240, 300, 360
    let times: Vec<u64> = world.server.enrolments().iter().map(|e| (e.at - START) / DAY).collect();
    assert!(times.len() == 6 || times.len() == 7, "{times:?}");
    assert!(times.windows(2).all(|t| (59..=61).contains(&(t[1] - t[0]))), "{times:?}");
    assert!(world.server.enrolments().iter().skip(1).all(|e| e.renewal));
    let live = read_live(&world.flash[&Record::Live.number()]).unwrap();
    assert!(!world.flash.contains_key(&Record::Key(live.other()).number()), "the old key is destroyed");
}

#[test]
fn a_cut_anywhere_in_a_renewal_leaves_a_working_identity() {
    let mut cuts = 0;
    for cut in 0.. {
        let (mut world, config) = world(EstOptions::default());
        assert_eq!(world.live(&config, START + DAY, None, false), End::Ready);
        world.unix = START + 61 * DAY;
        let end = world.live(&config, START + 62 * DAY, Some(cut), true);
        if end == End::Time {
            break;
        }
        assert_eq!(end, End::Cut, "{:?}", world.errors);
        world.live(&config, world.unix + DAY, None, true);
        assert!(world.server.enrolments().len() >= 2, "cut {cut}");
        let certificate = &world.server.enrolments().last().unwrap().certificate;
        world.server.ca.vouches_for(certificate, world.unix).unwrap();
        assert_eq!(world.live(&config, world.unix + 60, None, false), End::Ready, "cut {cut}: {:?}", world.errors);
        assert!(world.errors.is_empty(), "cut {cut}: {:?}", world.errors);
        cuts += 1;
    }
    assert!(cuts > 12, "{cuts}");
}

#[test]
fn flash_that_is_newer_is_untouched_and_corrupt_flash_costs_one_enrolment_at_most() {
    let (mut first, config) = world(EstOptions { certificates: true, ..Default::default() });
    assert_eq!(first.live(&config, START + DAY, None, false), End::Ready);
    let good = first.flash.clone();
    for (&record, octets) in &good {
        // keys are sealed by the key store; their version is its own
        if record >= Record::Key(identity_core::keys::Slot::Birth).number() {
            continue;
        }
        let mut newer = good.clone();
        newer.get_mut(&record).unwrap()[2] = 9;
        first.flash = newer.clone();
        assert!(matches!(first.live(&config, START + DAY, None, false), End::Stuck(Error::Newer { .. })));
        assert_eq!(first.flash, newer, "record {record:#x}");

        let (mut again, config) = world(EstOptions { grants: vec![], ..Default::default() });
        again.server.options.grants = vec![Grant::basic("pump-7", "once")];
        assert_eq!(again.live(&config, START + DAY, None, false), End::Ready);
        for damaged in [vec![], octets[..octets.len() / 2].to_vec(), vec![0xff; octets.len()]] {
            again.flash.insert(record, damaged);
            let before = again.server.enrolments().len();
            let end = again.live(&config, START + DAY, None, false);
            assert_eq!(end, End::Ready, "record {record:#x}: {:?}", again.errors);
            assert!(again.server.enrolments().len() <= before + 1);
        }
    }
}
