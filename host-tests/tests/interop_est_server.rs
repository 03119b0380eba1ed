//! The EST server of the test bed before outside judges: curl and openssl.

use host_tests::ca::{Ca, CaOptions, DAY, Flaw, Validity};
use host_tests::der;
use host_tests::est::{Approval, CsrAttrs, EstOptions, EstServer, Fault, Grant, Operation, RetryAfter};
use host_tests::events::Events;
use host_tests::http::{Delivery, HttpRequest};
use host_tests::key::KeyKind;
use host_tests::scratch::Scratch;
use host_tests::server::{ClientAuth, HttpsServer, system_clock, tls_config};
use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// An EST server over TLS, a directory, and the command lines.
struct Bench {
    est: Arc<Mutex<EstServer>>,
    server: HttpsServer,
    scratch: Scratch,
}

impl Bench {
    fn new(ca: &CaOptions, options: EstOptions, framing: Delivery) -> Self {
        let clock = system_clock();
        let mut ca = Ca::with(clock(), ca);
        let validity = Validity::starting(clock(), DAY);
        let identity = ca.server(KeyKind::P256, &["est.plant.example"], &[Ipv4Addr::LOCALHOST], validity);
        let scratch = Scratch::new();
        scratch.file("root.pem", der::pem("CERTIFICATE", ca.root()));
        if let Some(intermediate) = ca.intermediate() {
            scratch.file("intermediate.pem", der::pem("CERTIFICATE", intermediate));
        }
        let tls = tls_config(&identity, &[ca.root()], ClientAuth::Optional, &clock);
        let est = Arc::new(Mutex::new(EstServer::new(ca, options)));
        let shared = est.clone();
        let handler =
            move |client: Option<&[u8]>, request: &HttpRequest| shared.lock().unwrap().handle(clock(), client, request);
        Self {
            est,
            server: HttpsServer::start(tls, framing, Events::default(), Arc::new(Mutex::new(handler))),
            scratch,
        }
    }

    fn plain() -> Self {
        let grants = vec![Grant::basic("pump", "s3cret"), Grant::bearer("t0ken"), Grant::basic("new", "once").once()];
        let options = EstOptions { grants, labels: vec!["pumps".into()], ..EstOptions::default() };
        Self::new(&CaOptions::default(), options, Delivery::Plain)
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program).args(args).current_dir(self.scratch.path()).output().expect("an installed program")
    }

    /// Runs openssl, which must succeed; what it printed.
    fn openssl(&self, line: &str) -> String {
        let out = self.run("openssl", &line.split_whitespace().collect::<Vec<_>>());
        assert!(out.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// curl's exit code; the head goes to `head`, the body to `body`.
    fn curl(&self, path: &str, args: &[&str]) -> i32 {
        let url = format!("https://est.plant.example:{}/.well-known/est/{path}", self.server.port());
        let resolve = format!("est.plant.example:{}:127.0.0.1", self.server.port());
        let fixed = ["-sS", "--noproxy", "*", "--tlsv1.3", "--cacert", "root.pem", "--resolve", &resolve];
        let output = ["--max-time", "5", "-D", "head", "-o", "body", "-w", "%{http_code}", &url];
        self.scratch.file("body", "");
        self.scratch.file("head", "");
        self.run("curl", &[&fixed, args, &output].concat()).status.code().unwrap()
    }

    fn post_csr(&self, path: &str, args: &[&str]) -> u16 {
        let fixed = ["-H", "Content-Type: application/pkcs10", "--data-binary", "@csr.b64"];
        assert_eq!(self.curl(path, &[&fixed, args].concat()), 0);
        self.status()
    }

    fn get(&self, path: &str) -> u16 {
        assert_eq!(self.curl(path, &[]), 0);
        self.status()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.scratch.path().join(name)).unwrap()
    }

    fn status(&self) -> u16 {
        String::from_utf8(self.read("head")).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8(self.read("head")).unwrap();
        let wanted = format!("{}:", name.to_lowercase());
        head.lines().find(|line| line.to_lowercase().starts_with(&wanted)).map(|l| l[wanted.len()..].trim().into())
    }

    /// A key and a base64 CSR made by openssl.
    fn csr(&self, name: &str, subject: &str, more: &str) {
        self.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
        self.request(name, subject, more);
    }

    fn request(&self, name: &str, subject: &str, more: &str) {
        self.openssl(&format!("req -new -key {name}.key -subj {subject} {more} -outform DER -out csr.der"));
        self.openssl("base64 -in csr.der -out csr.b64");
    }

    /// The certificates of the last reply, as openssl reads them, to `out`.
    fn certificates(&self, out: &str) -> String {
        let text: String = String::from_utf8(self.read("body")).unwrap().split_whitespace().collect();
        self.scratch.file("cms.der", data_encoding::BASE64.decode(text.as_bytes()).unwrap());
        self.openssl("cms -cmsout -inform DER -in cms.der -noout");
        self.openssl(&format!("pkcs7 -inform DER -in cms.der -print_certs -out {out}"));
        String::from_utf8(self.read(out)).unwrap()
    }
}

#[test]
fn cacerts_in_every_framing() {
    for (line_breaks, framing) in
        [(true, Delivery::Plain), (false, Delivery::Chunked(7)), (true, Delivery::Chunked(999))]
    {
        let ca = CaOptions { intermediate: true, ..CaOptions::default() };
        let bench = Bench::new(&ca, EstOptions { line_breaks, ..EstOptions::default() }, framing);
        assert_eq!(bench.get("cacerts"), 200);
        assert_eq!(bench.header("content-type").as_deref(), Some("application/pkcs7-mime"));
        assert_eq!(bench.header("content-transfer-encoding").as_deref(), Some("base64"));
        assert_eq!(bench.read("body").contains(&b'\n'), line_breaks);
        let printed = bench.certificates("ca.pem");
        assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(printed.contains("CN = Plant Root Issuing"), "{printed}");
        bench.openssl("verify -x509_strict -CAfile root.pem intermediate.pem");
    }
}

#[test]
fn enrolment_keeps_subject_names_and_key() {
    for (key, intermediate) in [
        (KeyKind::P256, false),
        (KeyKind::P256, true),
        (KeyKind::P384, true),
        (KeyKind::Rsa(2048), true),
        (KeyKind::Rsa(4096), false),
    ] {
        let options = EstOptions { grants: vec![Grant::basic("pump", "s3cret")], ..EstOptions::default() };
        let bench = Bench::new(&CaOptions { key, intermediate, ..CaOptions::default() }, options, Delivery::Plain);
        bench.csr(
            "pump",
            "/O=Plant/OU=Pumps/CN=pump-7/serialNumber=42",
            "-addext subjectAltName=DNS:pump-7.plant,URI:urn:x:7",
        );
        assert_eq!(bench.post_csr("pumps/simpleenroll", &["-u", "pump:s3cret"]), 200);
        assert_eq!(bench.header("content-type").as_deref(), Some("application/pkcs7-mime; smime-type=certs-only"));
        bench.certificates("pump.pem");
        let chain = if intermediate { "-untrusted intermediate.pem" } else { "" };
        bench.openssl(&format!("verify -x509_strict -purpose sslclient -CAfile root.pem {chain} pump.pem"));
        let text = bench.openssl("x509 -in pump.pem -noout -text");
        assert!(text.contains("O = Plant, OU = Pumps, CN = pump-7, serialNumber = 42"), "{text}");
        assert!(text.contains("DNS:pump-7.plant, URI:urn:x:7") && text.contains("TLS Web Client"), "{text}");
        assert_eq!(bench.openssl("pkey -in pump.key -pubout"), bench.openssl("x509 -in pump.pem -noout -pubkey"));
    }
}

#[test]
fn who_may_enrol() {
    let bench = Bench::plain();
    bench.csr("pump", "/CN=pump-7", "");
    assert_eq!(bench.post_csr("simpleenroll", &[]), 401);
    assert!(bench.header("www-authenticate").unwrap().starts_with("Basic realm="));
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "pump:wrong"]), 401);
    assert_eq!(bench.post_csr("valves/simpleenroll", &["-u", "pump:s3cret"]), 404);
    assert_eq!(bench.post_csr("pumps/simpleenroll", &["-H", "Authorization: bearer t0ken"]), 200);
    assert_eq!(bench.post_csr("simpleenroll", &["-H", "Content-Type: text/plain", "-u", "pump:s3cret"]), 200); // first wins
    assert_eq!(bench.curl("simpleenroll", &["-u", "pump:s3cret", "--data-binary", "@csr.b64"]), 0);
    assert_eq!(bench.status(), 415);
    assert_eq!(bench.get("simpleenroll"), 405);
    assert_eq!(bench.est.lock().unwrap().enrolments().len(), 1);
}

#[test]
fn a_forged_request_is_refused() {
    let bench = Bench::plain();
    bench.csr("pump", "/CN=pump-7", "");
    let mut der = bench.read("csr.der");
    *der.last_mut().unwrap() ^= 1;
    bench.scratch.file("csr.b64", data_encoding::BASE64.encode(&der));
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "pump:s3cret"]), 400);
    assert!(bench.read("body").starts_with(b"no proof of possession"));
    bench.scratch.file("csr.b64", &der);
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "pump:s3cret"]), 400);
}

#[test]
fn a_one_time_secret_is_good_for_one_key() {
    let bench = Bench::plain();
    let once = ["-u", "new:once"];
    bench.est.lock().unwrap().inject(Operation::SimpleEnroll, Fault::Status(503), 1);
    bench.csr("pump", "/CN=pump-7", "");
    assert_eq!(bench.post_csr("simpleenroll", &once), 503);
    assert_eq!(bench.post_csr("simpleenroll", &once), 200);
    let first = bench.certificates("pump.pem");
    bench.request("pump", "/CN=pump-7", ""); // the same key signs again: the answer was lost
    assert_eq!(bench.post_csr("simpleenroll", &once), 200);
    assert_eq!(bench.certificates("pump.pem"), first);
    bench.csr("thief", "/CN=pump-7", "");
    assert_eq!(bench.post_csr("simpleenroll", &once), 401);
    assert_eq!(bench.est.lock().unwrap().enrolments().len(), 1);
}

#[test]
fn renewal_needs_the_certificate() {
    let bench = Bench::plain();
    bench.csr("pump", "/CN=pump-7", "");
    assert_eq!(bench.post_csr("simplereenroll", &["-u", "pump:s3cret"]), 403);
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "pump:s3cret"]), 200);
    bench.certificates("pump.pem");
    let with = ["--cert", "pump.pem", "--key", "pump.key"];
    bench.csr("next", "/CN=pump-7", "");
    assert_eq!(bench.post_csr("simplereenroll", &with), 200);
    bench.certificates("next.pem");
    bench.openssl("verify -purpose sslclient -CAfile root.pem next.pem");
    bench.csr("other", "/CN=pump-8", "");
    assert_eq!(bench.post_csr("simplereenroll", &with), 403);
    bench.csr("more", "/CN=pump-7", "-addext subjectAltName=DNS:boss.plant");
    assert_eq!(bench.post_csr("simplereenroll", &with), 403);
    assert!(bench.est.lock().unwrap().enrolments()[1].renewal);
}

#[test]
fn a_foreign_client_certificate_ends_the_handshake() {
    let bench = Bench::plain();
    bench.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout x.key -out x.pem");
    assert_ne!(bench.curl("cacerts", &["--cert", "x.pem", "--key", "x.key"]), 0);
    assert!(bench.est.lock().unwrap().served().is_empty());
}

#[test]
fn attributes_of_every_kind() {
    let bench = Bench::plain();
    assert_eq!(bench.get("csrattrs"), 204);
    let set = |attributes| bench.est.lock().unwrap().options.attributes = attributes;
    set(CsrAttrs::NotFound);
    assert_eq!(bench.get("csrattrs"), 404);
    set(CsrAttrs::Empty);
    assert_eq!((bench.get("csrattrs"), bench.read("body").trim_ascii_end()), (200, &b"MAA="[..]));
    set(CsrAttrs::Oids(vec![vec![1, 2, 840, 10045, 4, 3, 2]]));
    assert_eq!(bench.get("pumps/csrattrs"), 200);
    assert_eq!(bench.header("content-type").as_deref(), Some("application/csrattrs"));
    let printed = bench.openssl("asn1parse -inform PEM -in body");
    assert!(printed.contains("ecdsa-with-SHA256"), "{printed}");
}

#[test]
fn a_person_must_approve() {
    let bench = Bench::plain();
    let auth = ["-u", "pump:s3cret"];
    bench.csr("pump", "/CN=pump-7", "");
    bench.est.lock().unwrap().options.approval = Approval::After(2);
    bench.est.lock().unwrap().options.retry_after = RetryAfter::Date(120);
    for status in [202, 202, 200] {
        assert_eq!(bench.post_csr("simpleenroll", &auth), status);
        assert_eq!(bench.header("retry-after").is_some_and(|at| at.ends_with(" GMT")), status == 202);
    }
    bench.csr("valve", "/CN=valve-1", "");
    bench.est.lock().unwrap().options.approval = Approval::ByCall;
    assert_eq!(bench.post_csr("simpleenroll", &auth), 202);
    assert_eq!(bench.post_csr("simpleenroll", &auth), 202);
    bench.est.lock().unwrap().approve();
    assert_eq!(bench.post_csr("simpleenroll", &auth), 200);
}

#[test]
fn flawed_certificates_are_flawed() {
    let bench = Bench::plain();
    bench.csr("pump", "/CN=pump-7", "");
    for (flaw, complaint) in [
        (Flaw::Expired, "certificate has expired"),
        (Flaw::NotYetValid, "certificate is not yet valid"),
        (Flaw::WrongPurpose, "unsuitable certificate purpose"),
        (Flaw::WrongChain, "unable to get local issuer certificate"),
    ] {
        bench.est.lock().unwrap().inject(Operation::SimpleEnroll, Fault::Certificate(flaw), 1);
        assert_eq!(bench.post_csr("simpleenroll", &["-u", "new:once"]), 200);
        bench.certificates("bad.pem");
        let out = bench.run("openssl", &["verify", "-purpose", "sslclient", "-CAfile", "root.pem", "bad.pem"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(complaint), "{flaw:?}: {said}");
    }
    bench.est.lock().unwrap().inject(Operation::SimpleEnroll, Fault::Certificate(Flaw::ForeignKey), 1);
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "new:once"]), 200);
    bench.certificates("bad.pem");
    assert_ne!(bench.openssl("pkey -in pump.key -pubout"), bench.openssl("x509 -in bad.pem -noout -pubkey"));
    assert_eq!(bench.post_csr("simpleenroll", &["-u", "new:once"]), 200);
    assert_eq!(bench.est.lock().unwrap().enrolments().len(), 1);
}

/// curl's exit codes: 18 partial file, 28 timed out, 56 receive failure, 27/100 too large headers.
#[test]
fn faults_of_delivery() {
    let bench = Bench::plain();
    let meet = |fault, args: &[&str]| {
        bench.est.lock().unwrap().heal();
        bench.est.lock().unwrap().inject(Operation::CaCerts, fault, 1);
        (bench.curl("cacerts", args), bench.read("body").len())
    };
    let whole = {
        bench.get("cacerts");
        bench.read("body").len()
    };
    let (code, length) = meet(Fault::Delivery(Delivery::Cut(100)), &[]);
    assert!([18, 56].contains(&code) && length == 100, "{code} {length}");
    let (code, length) = meet(Fault::Delivery(Delivery::EndlessChunks), &["--max-time", "1"]);
    assert!(code == 28 && length > whole, "{code} {length}");
    let (code, length) = meet(Fault::Delivery(Delivery::Trickle(10)), &["--max-time", "1"]);
    assert!(code == 28 && length < whole, "{code} {length}");
    assert_eq!(meet(Fault::Delivery(Delivery::Silence), &["--max-time", "1"]), (28, 0));
    meet(Fault::Delivery(Delivery::AbsurdHeaders), &[]);
    assert!(bench.read("head").len() > 64 * 1024);
    assert_eq!((meet(Fault::Redirect, &[]).0, bench.status()), (0, 302));
    assert_eq!(meet(Fault::Busy(RetryAfter::Seconds(7)), &[]).0, 0);
    assert_eq!((bench.status(), bench.header("retry-after").as_deref()), (503, Some("7")));
    assert_eq!(meet(Fault::WrongContentType, &[]).0, 0);
    assert_eq!(bench.header("content-type").as_deref(), Some("text/html"));
    assert!(meet(Fault::OverLong, &[]).1 > 150_000);
    let (_, cut) = meet(Fault::Truncated, &[]);
    assert!(cut < whole && cut > whole / 2);
    assert_eq!(meet(Fault::EmptyBody, &[]), (0, 0));
    assert_eq!(bench.get("cacerts"), 200);
}

#[test]
fn a_connection_is_kept_and_a_dropped_server_is_gone() {
    let bench = Bench::plain();
    let url = format!("https://127.0.0.1:{}/.well-known/est/cacerts", bench.server.port());
    let args =
        ["-sS", "--noproxy", "*", "--cacert", "root.pem", "-o", "a", "-o", "b", "-w", "%{num_connects}", &url, &url];
    let out = bench.run("curl", &args);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "10", "{}", String::from_utf8_lossy(&out.stderr));
    let address = bench.server.address();
    drop(bench);
    assert!(std::net::TcpStream::connect(address).is_err());
}
