//! Time servers that lie, refuse or say nothing, towards a device without a clock: it says why, asks the next one in
//! bounded time, and lives by the floor if none is good.

use std::net::UdpSocket;
use std::sync::Arc;

use device_sdk::Error;
use host_tests::bench_device::{Rig, RigOptions, each};
use host_tests::ca::DAY;
use host_tests::events::Events;
use host_tests::log_lines;
use host_tests::server::WallClock;
use host_tests::sntp::{SntpFault, SntpServer};
use identity_core::record::{Record, read_floor};

/// What the first time server does.
#[derive(Clone, Copy, Debug)]
enum First {
    Tells(u64),
    Errs(SntpFault),
    Absent,
}

use First::{Absent, Errs, Tells};

const TABLE: &[(First, &str)] = &[
    (Errs(SntpFault::Silence), "no answer within 3000 ms"),
    (Errs(SntpFault::KissOfDeath), "kiss-o'-death: the time server does not want to be asked (so often); use another"),
    (Errs(SntpFault::Unsynchronised), "the time server is not synchronised; use another"),
    (Errs(SntpFault::WrongOriginate), "not to our question: the originate timestamp is not ours"),
    (Errs(SntpFault::Short), "shorter than 48 octets"),
    (Tells(1_000_000_000), "before the clock floor; the time server is wrong"),
    (Tells(1_759_999_999), "before the clock floor; the time server is wrong"),
    (Absent, "nothing listens there; check host, port and that the server runs"),
];

impl First {
    fn start(self) -> (Option<SntpServer>, u16) {
        let clock: WallClock = match self {
            Tells(time) => Arc::new(move || time),
            Errs(_) => host_tests::server::system_clock(),
            Absent => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                return (None, socket.local_addr().unwrap().port());
            }
        };
        let server = SntpServer::start(clock, Events::default());
        if let Errs(fault) = self {
            server.set_fault(Some(fault));
        }
        let port = server.port();
        (Some(server), port)
    }
}

/// Ports of the time servers asked, in order.
fn asked(rig: &Rig) -> Vec<u16> {
    let asked = rig.net.asked().into_iter();
    asked.filter(|(host, _)| host == "time.plant.example").map(|(_, port)| port).collect()
}

/// Log lines about the time.
fn said() -> Vec<String> {
    log_lines::take().into_iter().filter(|line| line.contains("time from")).collect()
}

#[test]
fn a_good_server_is_believed_and_no_other_asked() {
    log_lines::keep();
    let _ = log_lines::take();
    let good = SntpServer::start(host_tests::server::system_clock(), Events::default());
    let rig = Rig::start(&RigOptions { wall: false, time_servers: vec![good.port()], ..RigOptions::default() });
    let attempt = rig.publish(&mut rig.boot());
    assert_eq!(attempt.result, Ok(()));
    assert_eq!(asked(&rig), [good.port()]);
    let said = said();
    assert!(matches!(&said[..], [line] if line.starts_with("INFO: time from time.plant.example: ")), "{said:?}");
    let floor = read_floor(&rig.record(Record::Floor.number()).expect("a floor")).unwrap();
    assert!(rig.plant.now().abs_diff(floor.0) < 120, "{floor:?}");
}

#[test]
fn after_each_bad_answer_the_next_server_is_asked() {
    log_lines::keep();
    each(TABLE, |&(first, words)| {
        let _ = log_lines::take();
        let (_server, port) = first.start();
        let rig = Rig::start(&RigOptions { wall: false, time_servers: vec![port], ..RigOptions::default() });
        let attempt = rig.publish(&mut rig.boot());
        assert_eq!(attempt.result, Ok(()));
        assert!(attempt.took_ms < 20_000, "{} ms", attempt.took_ms);
        assert_eq!(asked(&rig), [port, rig.plant.sntp().port()]);
        let said = said();
        assert!(said[0].starts_with("WARN: time from time.plant.example: ") && said[0].contains(words), "{said:?}");
        assert!(said[1].starts_with("INFO: "), "{said:?}");
        let floor = read_floor(&rig.record(Record::Floor.number()).expect("a floor")).unwrap();
        assert!(rig.plant.now().abs_diff(floor.0) < 120, "{floor:?}");
    });
}

#[test]
fn without_any_good_server_the_device_lives_by_its_floor() {
    log_lines::keep();
    each(TABLE, |&(first, words)| {
        let _ = log_lines::take();
        let (_server, port) = first.start();
        let rig = Rig::start(&RigOptions { wall: false, time_servers: vec![port], ..RigOptions::default() });
        rig.plant.sntp().set_fault(Some(SntpFault::Silence));
        let attempt = rig.publish(&mut rig.boot());
        assert_eq!(attempt.result, Ok(()), "notAfter is judged by the floor, notBefore not at all");
        assert!(attempt.took_ms < 25_000, "{} ms", attempt.took_ms);
        let said = said();
        assert!(said[0].contains(words) && said[1].contains("no answer within 3000 ms"), "{said:?}");
        assert_eq!(rig.record(Record::Floor.number()), None, "a time that nobody vouched for is not kept");
        assert_eq!(rig.enrolments(), 1);

        rig.plant.sntp().set_fault(None);
        let before = rig.records();
        assert_eq!(rig.publish(&mut rig.boot()).result, Ok(()));
        assert!(rig.record(Record::Floor.number()).is_some(), "and kept when it is known");
        assert_eq!((rig.records(), rig.requests()), (before, 1));
    });
}

/// The clock of the plant is three months on; nobody tells the device.
#[test]
fn a_certificate_that_expired_unnoticed_is_refused_by_the_broker_and_replaced_once_the_time_is_known() {
    let rig = Rig::enrolled(&RigOptions { wall: false, once: false, ..RigOptions::default() });
    rig.clock.skip_seconds(91 * DAY);
    rig.plant.sntp().set_fault(Some(SntpFault::Silence));
    let before = rig.records();
    let mut device = rig.boot();
    for _ in 0..2 {
        let error = rig.publish(&mut device).result.expect_err("a refusal");
        // the alert is read or not, as the closing of the connection overtakes it
        assert!(matches!(error, Error::Tls { alert: 45 | 0, .. }), "{error:?}");
        assert!(error.to_string().contains("client certificate"), "{error}");
        rig.clock.skip_seconds(600);
    }
    assert_eq!(rig.records(), before);
    rig.plant.sntp().set_fault(None);
    assert_eq!(rig.publish(&mut device).result, Ok(()));
    assert_eq!(rig.enrolments(), 2);
}
