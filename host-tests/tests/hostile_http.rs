//! EST servers that misbehave, over real sockets and TLS, towards a whole device: each gets the error that says what is
//! wrong, ends in bounded time, and costs the device nothing that it has stored.

use device_sdk::Error;
use host_tests::bench_device::{Attempt, Rig, RigOptions, TOPIC, each};
use host_tests::ca::{DAY, Flaw};
use host_tests::est_options::{CsrAttrs, Fault, Operation, RetryAfter};
use host_tests::http::Delivery;
use host_tests::server::LineFault;
use identity_core::Error as Core;
use identity_core::error::CertProblem;

/// Milliseconds that a whole attempt may take by the device's clock: connection and handshake, then one exchange of 30 s.
const ATTEMPT_MS: u64 = 45_000;
/// Seconds after which every backoff, and every wait that a server of this file asks for, is over.
const LATER_S: u64 = 7_200;

/// What a server does wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// When it is asked for a certificate.
    Reply(Fault),
    /// To each connection.
    Line(LineFault),
}

/// What the device has to say about it: the kind of error, and words that the engineer reads.
#[derive(Clone, Copy, Debug)]
enum Says {
    Unreachable(&'static str),
    Malformed(&'static str),
    NoSpace(&'static str),
    Refused(u16, &'static str),
    Certificate(fn(CertProblem) -> bool, &'static str),
}

use Says::{Certificate, Malformed, NoSpace, Refused, Unreachable};
use Wrong::{Line, Reply};

const CLOSED: Says = Unreachable("the peer closed the connection");
const LATE: Says = Unreachable("no answer in time; check host, port and network");

const fn delivery(delivery: Delivery) -> Wrong {
    Reply(Fault::Delivery(delivery))
}

const fn certificate(flaw: Flaw) -> Wrong {
    Reply(Fault::Certificate(flaw))
}

const TABLE: &[(Wrong, Says)] = &[
    // cut, in the body and in the head
    (delivery(Delivery::Cut(100)), CLOSED),
    (delivery(Delivery::CutHead), CLOSED),
    (Reply(Fault::Truncated), Malformed("or cut short")),
    // too much
    (Reply(Fault::OverLong), NoSpace("body of an HTTP reply needs 2")),
    (delivery(Delivery::Announce("99999999999999999999999")), NoSpace("body of an HTTP reply needs")),
    (delivery(Delivery::EndlessChunks), NoSpace("body of an HTTP reply needs")),
    (delivery(Delivery::AbsurdHeaders), Malformed("more than 32 header fields")),
    (delivery(Delivery::Fields(100)), Malformed("more than 32 header fields")),
    (delivery(Delivery::LongField(10_240)), NoSpace("head of an HTTP reply needs 2049 octets; lend more memory")),
    // framing
    (delivery(Delivery::Announce("-1")), Malformed("a Content-Length that is not a number")),
    (delivery(Delivery::ChunkSize("10000000000000000000000")), NoSpace("body of an HTTP reply needs")),
    (delivery(Delivery::ChunkSize("1")), Malformed("a chunk longer than its size")),
    (delivery(Delivery::ChunkSize("many")), Malformed("a chunk size that is not one")),
    // slow, silent or gone
    (delivery(Delivery::Trickle(100)), LATE),
    (delivery(Delivery::Silence), LATE),
    (delivery(Delivery::Announce("5000")), LATE),
    (Line(LineFault::Mute), LATE),
    (Line(LineFault::MuteAfterTls), LATE),
    (Line(LineFault::Hangup), CLOSED),
    (Line(LineFault::HangupAfterTls), CLOSED),
    // refusals
    (Reply(Fault::Redirect), Refused(302, "it redirects; set `host`, `port` and `label` to the final server")),
    (Reply(Fault::Status(401)), Refused(401, "check the bootstrap secret, token or birth certificate")),
    (Reply(Fault::Status(403)), Refused(403, "check the device's registration at the CA")),
    (Reply(Fault::Status(404)), Refused(404, "check `label` and that EST is enabled")),
    (Reply(Fault::Status(500)), Refused(500, "see the server's log")),
    (Reply(Fault::Status(299)), Refused(299, "this status is not part of EST")),
    (Reply(Fault::Page(404)), Refused(404, "check `label` and that EST is enabled")),
    (Reply(Fault::Page(500)), Refused(500, "see the server's log")),
    // later, for ever
    (
        Reply(Fault::Busy(RetryAfter::Seconds(600))),
        Refused(503, "it is busy; the device asks again when the server said"),
    ),
    (Reply(Fault::Busy(RetryAfter::Date(600))), Refused(503, "it is busy; the device asks again when the server said")),
    (Reply(Fault::Busy(RetryAfter::Missing)), Refused(503, "it is busy")),
    (Reply(Fault::Pending(RetryAfter::Seconds(600))), Refused(202, "approve the request at the CA")),
    (Reply(Fault::Pending(RetryAfter::Seconds(0))), Refused(202, "approve the request at the CA")),
    (Reply(Fault::Pending(RetryAfter::Missing)), Refused(202, "approve the request at the CA")),
    // contents
    (
        Reply(Fault::WrongContentType),
        Malformed("its Content-Type is not application/pkcs7-mime; is this an EST server?"),
    ),
    (Reply(Fault::NoContentType), Malformed("its Content-Type is not application/pkcs7-mime")),
    (Reply(Fault::BrokenBase64), Malformed("an octet that is neither base64 nor white space")),
    (Reply(Fault::EmptyBody), Malformed("not a CMS ContentInfo (RFC 5652 section 3), or cut short")),
    (Reply(Fault::NoCertificate), Malformed("it carries no certificates")),
    // certificates
    (
        certificate(Flaw::ForeignKey),
        Certificate(|p| p == CertProblem::WrongKey, "a public key that is not this device's"),
    ),
    (certificate(Flaw::Expired), Certificate(|p| matches!(p, CertProblem::Expired { .. }), "it has expired")),
    (certificate(Flaw::NotYetValid), Certificate(|p| matches!(p, CertProblem::NotYetValid { .. }), "not yet valid")),
    (
        certificate(Flaw::WrongPurpose),
        Certificate(|p| p == CertProblem::WrongPurpose, "fix the CA's certificate profile"),
    ),
    (certificate(Flaw::WrongChain), Certificate(|p| p == CertProblem::BadSignature, "damaged or forged")),
];

impl Wrong {
    fn start(self, rig: &Rig, on: Operation) {
        match self {
            Reply(fault) => rig.plant.est().inject(on, fault, u32::MAX),
            Line(fault) => rig.plant.est_line().set_fault(Some(fault)),
        }
    }

    fn end(rig: &Rig) {
        rig.plant.est().heal();
        rig.plant.est_line().set_fault(None);
    }
}

impl Says {
    fn check(self, attempt: Attempt) {
        let error = attempt.result.expect_err("an error");
        let (fits, words) = match (self, error) {
            (Unreachable(words), Error::Core(Core::Unreachable { .. }))
            | (Malformed(words), Error::Core(Core::Malformed { .. }))
            | (NoSpace(words), Error::Core(Core::NoSpace { .. })) => (true, words),
            (Refused(wanted, words), Error::Core(Core::Refused { code, .. })) => (code == wanted, words),
            (Certificate(fits, words), Error::Core(Core::Certificate { problem, .. })) => (fits(problem), words),
            _ => (false, ""),
        };
        assert!(fits, "{error:?}, not {self:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(attempt.took_ms < ATTEMPT_MS, "{} ms: {error}", attempt.took_ms);
    }
}

/// Nobody was asked but the device's own EST server and broker.
fn stayed_at_home(rig: &Rig) {
    for (host, _) in rig.net.asked() {
        assert!(["est.plant.example", "mqtt.plant.example"].contains(&host.as_str()), "asked {host}");
    }
}

#[test]
fn a_first_enrolment_meets_every_fault_and_then_enrols_once() {
    each(TABLE, |&(wrong, says)| {
        let rig = Rig::start(&RigOptions::default());
        let mut device = rig.boot();
        wrong.start(&rig, Operation::SimpleEnroll);
        says.check(rig.publish(&mut device));
        let before = rig.records();
        rig.clock.skip_seconds(LATER_S);
        says.check(rig.publish(&mut device));
        assert_eq!(rig.records(), before);

        Wrong::end(&rig);
        rig.clock.skip_seconds(LATER_S);
        let healed = rig.publish(&mut device);
        assert_eq!(healed.result, Ok(()));
        assert_eq!(rig.enrolments(), 1, "the one-time secret bought one certificate");
        let after = rig.records();
        assert!(before.iter().all(|(record, octets)| after.get(record) == Some(octets)), "the same key and anchors");
        stayed_at_home(&rig);
    });
}

#[test]
fn the_requests_before_it_meet_faults_too() {
    let cut = delivery(Delivery::Cut(10));
    let rows = [
        (Operation::CaCerts, cut, CLOSED),
        (Operation::CaCerts, Reply(Fault::Truncated), Malformed("or cut short")),
        (Operation::CaCerts, Reply(Fault::OverLong), NoSpace("body of an HTTP reply needs")),
        (Operation::CaCerts, Reply(Fault::WrongContentType), Malformed("is this an EST server?")),
        (Operation::CaCerts, Reply(Fault::Redirect), Refused(302, "it redirects")),
        (Operation::CaCerts, Reply(Fault::Status(404)), Refused(404, "check `label` and that EST is enabled")),
        (Operation::CaCerts, delivery(Delivery::Silence), LATE),
        (
            Operation::CsrAttrs,
            Reply(Fault::WrongContentType),
            Malformed("its Content-Type is not application/csrattrs"),
        ),
        (Operation::CsrAttrs, Reply(Fault::Status(403)), Refused(403, "check the device's registration at the CA")),
        (Operation::CsrAttrs, delivery(Delivery::ChunkSize("x")), Malformed("a chunk size that is not one")),
        (Operation::CsrAttrs, delivery(Delivery::Trickle(200)), LATE),
    ];
    each(&rows, |&(on, wrong, says)| {
        let rig = Rig::start(&RigOptions::default());
        rig.plant.est().options.attributes = CsrAttrs::Empty;
        let mut device = rig.boot();
        wrong.start(&rig, on);
        says.check(rig.publish(&mut device));
        assert!(!rig.records().contains_key(&0x21), "no key is made before it is wanted");
        Wrong::end(&rig);
        rig.clock.skip_seconds(LATER_S);
        assert_eq!(rig.publish(&mut device).result, Ok(()));
        assert_eq!(rig.enrolments(), 1);
    });
}

/// `tls_hostile.rs` has the others.
#[test]
fn servers_with_the_wrong_certificate_learn_nothing() {
    let other_name = RigOptions { est_host: "other.example", ..RigOptions::default() };
    let expired = RigOptions { server_lifetime: DAY, ..RigOptions::default() };
    let rows = [
        (other_name, Certificate(|p| p == CertProblem::WrongName, "it does not name the host that was asked for")),
        (expired, Certificate(|p| matches!(p, CertProblem::Expired { .. }), "renew it on the server")),
    ];
    for (options, says) in rows {
        let rig = Rig::start(&options);
        rig.clock.skip_seconds(2 * DAY);
        says.check(rig.publish(&mut rig.boot()));
        assert_eq!(rig.flash.get().effects, 0, "nothing was written");
        assert!(rig.plant.est().served().is_empty(), "nothing was asked");
    }
    let rig = Rig::enrolled(&RigOptions { server_lifetime: DAY, ..RigOptions::default() });
    rig.clock.skip_seconds(2 * DAY);
    let before = rig.records();
    Certificate(|p| matches!(p, CertProblem::Expired { .. }), "TLS server's certificate")
        .check(rig.publish(&mut rig.boot()));
    assert_eq!(rig.records(), before, "an expired broker costs the identity nothing");
}

#[test]
fn a_renewal_meets_every_fault_while_the_device_publishes_with_the_old_identity() {
    each(TABLE, |&(wrong, says)| {
        let rig = Rig::enrolled(&RigOptions::default());
        let mut device = rig.boot();
        let due = rig.time(async {
            let mut link = device.online().await?;
            link.publish(TOPIC, b"1").await?;
            rig.clock.skip_seconds(61 * DAY);
            link.publish(TOPIC, b"2").await
        });
        assert_eq!(due.result, Err(Error::Due));

        let before = rig.records();
        wrong.start(&rig, Operation::SimpleReenroll);
        for _ in 0..2 {
            says.check(rig.publish(&mut device));
            let meanwhile = rig.publish(&mut device);
            assert_eq!(meanwhile.result, Ok(()), "the old identity serves while the next try is not due");
            let now = rig.records();
            assert!(before.iter().all(|(record, octets)| now.get(record) == Some(octets)), "nothing lost");
            rig.clock.skip_seconds(LATER_S);
        }

        Wrong::end(&rig);
        let healed = rig.publish(&mut device);
        assert_eq!(healed.result, Ok(()));
        assert_eq!(rig.enrolments(), 2);
        assert_ne!(rig.record(0x01), before.get(&0x01).cloned(), "the pointer names the other slot");
        stayed_at_home(&rig);
    });
}
