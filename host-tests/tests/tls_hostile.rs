//! TLS servers that must be refused, each with the error that says why, and none with a panic.

use std::io::Write as _;
use std::net::TcpStream;

use device_sdk::Error;
use host_tests::ca::{Ca, Identity, Leaf, Purpose, Validity};
use host_tests::der;
use host_tests::key::{Key, KeyKind};
use host_tests::tls_peers::{ALERT, APPLICATION, CHANGE_CIPHER_SPEC, HANDSHAKE, Rogue, message, serve};
use host_tests::tls_world::{Device, HOST, NOW, rustls_server, valid, world};
use identity_core::error::CertProblem;

fn problem(problem: CertProblem) -> Error {
    Error::Core(identity_core::Error::Certificate { which: "TLS server's certificate", problem })
}

/// What a device that trusts the authority makes of a server that `behave`s on the octets of its honest identity.
fn outcome(behave: impl FnOnce(&mut Rogue, &[&[u8]], &Key) + Send + 'static) -> Result<Vec<u8>, Error> {
    let (ca, identity) = world(KeyKind::P256);
    outcome_for(&mut Device::trusting(&ca), identity, behave)
}

fn outcome_for(
    device: &mut Device,
    identity: Identity,
    behave: impl FnOnce(&mut Rogue, &[&[u8]], &Key) + Send + 'static,
) -> Result<Vec<u8>, Error> {
    let (address, server) = serve(move |tcp| {
        let mut rogue = Rogue::accept(tcp);
        let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
        behave(&mut rogue, &chain, &identity.key);
        rogue.drain();
    });
    let outcome = device.greet(address);
    server.join().expect("the server does not panic");
    outcome
}

/// The text and alert of a TLS error.
fn tls(outcome: Result<Vec<u8>, Error>) -> (&'static str, u8) {
    match outcome {
        Err(Error::Tls { what, alert }) => (what, alert),
        other => panic!("not a TLS error: {other:?}"),
    }
}

#[test]
fn the_toolkit_can_behave() {
    let greeting = outcome(|server, chain, key| {
        server.honest(chain, key);
        server.sealed(APPLICATION, b"welcome");
    });
    assert_eq!(greeting, Ok(b"welcome".to_vec()));
}

#[test]
fn no_proof_of_identity() {
    let unproven = Err(problem(CertProblem::Unproven));
    // Straight to Finished: embedded-tls itself would take this.
    assert_eq!(
        outcome(|s, _, _| {
            s.hello().extensions().finished();
        }),
        unproven
    );
    // No CertificateVerify.
    assert_eq!(
        outcome(|s, chain, _| {
            s.hello().extensions().certificate(chain).finished();
        }),
        unproven
    );
    // CertificateVerify by another key.
    let forged = outcome(|s, chain, _| {
        s.hello().extensions().certificate(chain);
        s.certificate_verify(0x0403, &Key::generate(KeyKind::P256));
        s.finished();
    });
    assert_eq!(forged, unproven);
    // CertificateVerify before Certificate.
    let early = outcome(|s, chain, key| {
        s.hello().extensions().certificate_verify(0x0403, key);
        s.certificate(chain).finished();
    });
    assert_eq!(early, unproven);
    // Of a stranger's key over the right transcript, then the real certificate: two Certificates.
    let twice = outcome(|s, chain, key| {
        s.hello().extensions().certificate(chain).certificate_verify(0x0403, key);
        s.certificate(chain).finished();
    });
    assert_eq!(twice, unproven);
    assert_eq!(
        outcome(|s, _, _| {
            s.hello().extensions().certificate(&[]);
        }),
        unproven
    );
}

#[test]
fn a_provisional_server_must_sign_too() {
    let run = |behave: fn(&mut Rogue, &[&[u8]], &Key)| {
        let (_, identity) = world(KeyKind::P256);
        let mut device = Device::trusting(&Ca::new(NOW));
        (device.provisional, device.host) = (true, "other.example");
        outcome_for(&mut device, identity, behave)
    };
    let honest = run(|s, chain, key| {
        s.honest(chain, key);
        s.sealed(APPLICATION, b"ca certificates");
    });
    assert_eq!(honest, Ok(b"ca certificates".to_vec()));
    let unproven = Err(problem(CertProblem::Unproven));
    assert_eq!(
        run(|s, _, _| {
            s.hello().extensions().finished();
        }),
        unproven
    );
    assert_eq!(
        run(|s, chain, _| {
            s.hello().extensions().certificate(chain).finished();
        }),
        unproven
    );
    let forged = run(|s, chain, _| {
        s.hello().extensions().certificate(chain);
        s.certificate_verify(0x0403, &Key::generate(KeyKind::P256));
        s.finished();
    });
    assert_eq!(forged, unproven);
}

#[test]
fn schemes_that_are_not_for_certificate_verify() {
    // PKCS#1 v1.5, Ed25519, SHA-1; and one of another curve.
    for (scheme, expected) in [
        (0x0401, CertProblem::UnsupportedAlgorithm),
        (0x0807, CertProblem::UnsupportedAlgorithm),
        (0x0203, CertProblem::UnsupportedAlgorithm),
        (0x0503, CertProblem::Unproven),
        (0x0804, CertProblem::Unproven),
    ] {
        let outcome = outcome(move |s, chain, key| {
            s.hello().extensions().certificate(chain).certificate_verify(scheme, key);
            s.finished();
        });
        assert_eq!(outcome, Err(problem(expected)), "{scheme:#x}");
    }
}

/// A rustls server with `identity` against a device that trusts `ca`.
fn refusal(ca: &Ca, identity: &Identity) -> CertProblem {
    let config = std::sync::Arc::new(rustls_server(identity, None));
    let (address, server) = serve(move |mut tcp| {
        let mut tls = rustls::ServerConnection::new(config).expect("a server");
        while tls.is_handshaking() && tls.complete_io(&mut tcp).is_ok() {}
    });
    let outcome = Device::trusting(ca).greet(address);
    server.join().expect("the server does not panic");
    match outcome {
        Err(Error::Core(identity_core::Error::Certificate { which: "TLS server's certificate", problem })) => problem,
        other => panic!("not a certificate error: {other:?}"),
    }
}

#[test]
fn certificates_that_do_not_hold() {
    let mut ca = Ca::new(NOW);
    let mut server = |names: &[&str], validity| ca.server(KeyKind::P256, names, &[], validity);
    let wrong_name = server(&["other.example"], valid());
    let expired = server(&[HOST], Validity { from: NOW - 9_000, until: NOW - 1 });
    let early = server(&[HOST], Validity { from: NOW + 60, until: NOW + 9_000 });
    assert_eq!(refusal(&ca, &wrong_name), CertProblem::WrongName);
    assert!(matches!(refusal(&ca, &expired), CertProblem::Expired { .. }));
    assert!(matches!(refusal(&ca, &early), CertProblem::NotYetValid { .. }));

    let key = Key::generate(KeyKind::P256);
    let alternative = der::sequence(&[&der::tlv(0x82, HOST.as_bytes())]);
    let for_clients = ca.issue(&Leaf {
        spki: key.spki(),
        subject: &der::common_name(HOST),
        alternative: Some(&alternative),
        purpose: Purpose::Client,
        validity: valid(),
    });
    let for_clients = Identity { key, chain: vec![for_clients] };
    assert_eq!(refusal(&ca, &for_clients), CertProblem::WrongPurpose);

    let stranger = Ca::with(NOW, &host_tests::ca::CaOptions { name: "stranger".into(), ..Default::default() }).server(
        KeyKind::P256,
        &[HOST],
        &[],
        valid(),
    );
    assert_eq!(refusal(&ca, &stranger), CertProblem::UnknownIssuer);
    let impostor = ca.impostor(NOW).server(KeyKind::P256, &[HOST], &[], valid());
    assert!(matches!(refusal(&ca, &impostor), CertProblem::BadSignature | CertProblem::UnknownIssuer));
    let key = Key::generate(KeyKind::P256);
    let own = issued(&key, &der::common_name(HOST), key.spki(), &der::common_name(HOST));
    assert_eq!(refusal(&ca, &Identity { key, chain: vec![own] }), CertProblem::UnknownIssuer);

    // A leaf that the authority did issue, as the issuer of another.
    let leaf = ca.server(KeyKind::P256, &["leaf.example"], &[], valid());
    let key = Key::generate(KeyKind::P256);
    let below = issued(&leaf.key, &der::common_name("leaf.example"), key.spki(), &der::common_name(HOST));
    let chain = core::iter::once(below).chain(leaf.chain).collect();
    assert_eq!(refusal(&ca, &Identity { key, chain }), CertProblem::NotAnAuthority);
}

/// A server certificate for [`HOST`], made by any key.
fn issued(issuer: &Key, issuer_name: &[u8], spki: &[u8], subject: &[u8]) -> Vec<u8> {
    let names = der::sequence(&[&der::tlv(0x82, HOST.as_bytes())]);
    let purpose = der::sequence(&[&der::oid(&[1, 3, 6, 1, 5, 5, 7, 3, 1])]);
    let extensions = der::sequence(&[
        &der::extension(&[2, 5, 29, 17], false, &names),
        &der::extension(&[2, 5, 29, 37], false, &purpose),
    ]);
    let dates = der::sequence(&[&der::time(NOW - 3_600), &der::time(NOW + 3_600)]);
    let algorithm = issuer.signature_algorithm();
    let version = der::context(0, &der::integer(&[2]));
    let extensions = der::context(3, &extensions);
    let parts: [&[u8]; 8] =
        [&version, &der::integer(&[9]), &algorithm, issuer_name, &dates, subject, spki, &extensions];
    let tbs = der::sequence(&parts);
    der::sequence(&[&tbs, &algorithm, &der::bit_string(&issuer.sign(&tbs))])
}

/// What becomes of a peer that is no TLS 1.3 server at all.
fn stranger(behave: impl FnOnce(TcpStream) + Send + 'static) -> Result<Vec<u8>, Error> {
    let (address, server) = serve(behave);
    let mut device = Device::trusting(&Ca::new(NOW));
    device.limit_ms = 300;
    let outcome = device.greet(address);
    server.join().expect("the server does not panic");
    outcome
}

#[test]
fn not_tls() {
    let answer = |octets: &'static [u8]| {
        tls(stranger(move |mut tcp| {
            let _ = tcp.write_all(octets);
            let _ = std::io::copy(&mut tcp, &mut std::io::sink());
        }))
    };
    assert!(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").0.contains("does not speak TLS"));
    assert!(answer(b"\r\n").0.contains("does not speak TLS"));
    assert!(answer(&[0x16, 0x7f, 0x80, 0x81, 0x82, 0x83]).0.contains("does not speak TLS"));
    assert!(answer(&[0; 64]).0.contains("does not speak TLS"));
    assert!(answer(&[22, 3, 3, 0x40, 1, 0]).0.contains("longer"));
    assert!(answer(&[22, 3, 3, 0, 0]).0.contains("too short"));
    assert!(answer(&[23, 3, 3, 0, 20]).0.contains("ServerHello"));
    assert!(answer(&[20, 3, 3, 0, 1, 2]).0.contains("change_cipher_spec"));
    assert!(answer(&[22, 3, 3, 0, 4, 11, 0, 0, 0]).0.contains("ServerHello"));
    assert!(answer(&[22, 3, 3, 0, 6, 2, 0, 0, 9, 3, 3]).0.contains("ServerHello"));
    assert!(answer(&[22, 3, 3, 0, 6, 2, 0, 0, 2, 3, 3]).0.contains("malformed"));
    assert!(answer(&[21, 3, 3, 0, 3, 2, 40, 0]).0.contains("unsealed"));
    assert_eq!(answer(&[21, 3, 3, 0, 2, 2, 70]), ("the server does not speak TLS 1.3; enable it there", 70));
    assert_eq!(answer(&[21, 3, 3, 0, 2, 2, 40]).1, 40);
}

#[test]
fn silence_and_endings() {
    let silent = stranger(|mut tcp| drop(std::io::copy(&mut tcp, &mut std::io::sink())));
    assert_eq!(silent, Err(Error::Timeout { what: "TLS handshake", after_ms: 300 }));
    assert_eq!(stranger(drop), Err(Error::Closed { during: "TLS handshake" }));
    let trickle = stranger(|mut tcp| {
        let drip = [22, 3, 3, 0, 90, 2, 0, 0, 86].into_iter().chain(core::iter::repeat(3));
        for octet in drip {
            if tcp.write_all(&[octet]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    assert_eq!(trickle, Err(Error::Timeout { what: "TLS handshake", after_ms: 300 }));
    // Octets without end do not outrun the deadline.
    let flood = stranger(|mut tcp| while tcp.write_all(&[20, 3, 3, 0, 1, 1].repeat(1_000)).is_ok() {});
    assert_eq!(flood, Err(Error::Timeout { what: "TLS handshake", after_ms: 300 }));
}

#[test]
fn tls_1_2_and_retries() {
    assert!(
        tls(outcome(|s, _, _| {
            s.retry();
        }))
        .0
        .contains("HelloRetryRequest")
    );
    assert!(
        tls(outcome(|s, _, _| {
            s.old_hello();
        }))
        .0
        .contains("TLS 1.2")
    );
    let (ca, identity) = world(KeyKind::P256);
    let mut config = rustls_server(&identity, None);
    let provider = rustls::crypto::ring::default_provider();
    config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_no_client_auth()
        .with_cert_resolver(config.cert_resolver);
    let (address, server) = serve(move |mut tcp| {
        let mut tls = rustls::ServerConnection::new(config.into()).expect("a server");
        while tls.is_handshaking() && tls.complete_io(&mut tcp).is_ok() {}
    });
    let (what, alert) = tls(Device::trusting(&ca).greet(address));
    server.join().expect("the server does not panic");
    assert_eq!((what, alert), ("the server does not speak TLS 1.3; enable it there", 70));
}

#[test]
fn records_that_would_panic_embedded_tls_in_the_handshake() {
    let bad = |behave: fn(&mut Rogue) -> &mut Rogue| {
        tls(outcome(move |s, _, _| {
            s.hello();
            behave(s);
        }))
    };
    assert!(bad(|s| s.sealed_inner(vec![])).0.contains("too short"));
    assert!(bad(|s| s.sealed_inner(vec![0; 40])).0.contains("without content type"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &[])).0.contains("unexpected"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &[8, 0])).0.contains("split over records"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &[8, 0, 0, 9, 0, 0])).0.contains("split over records"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &message(4, &[0; 20]))).0.contains("unexpected"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &message(24, &[0]))).0.contains("unexpected"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &message(99, &[0; 9]))).0.contains("unexpected"));
    assert!(bad(|s| s.sealed(HANDSHAKE, &message(20, &[0; 32]))).0.contains("Finished does not verify"));
    assert!(bad(|s| s.sealed(APPLICATION, b"early")).0.contains("unexpected"));
    assert!(bad(|s| s.sealed(77, b"?")).0.contains("unknown content type"));
    assert!(bad(|s| s.plain(HANDSHAKE, &message(8, &[0, 0]))).0.contains("unsealed"));
    assert!(bad(|s| s.plain(APPLICATION, &[0; 16])).0.contains("too short"));
    assert!(bad(|s| s.plain(APPLICATION, &[0; 64])).0.contains("does not decrypt"));
    assert!(bad(|s| s.plain(APPLICATION, &vec![0; 16_641])).0.contains("longer"));
    assert_eq!(bad(|s| s.plain(ALERT, &[2, 80])).1, 80);
    assert_eq!(bad(|s| s.sealed(ALERT, &[2, 112])), ("the server does not know this host name", 112));
    let after_finished = outcome(|s, chain, key| {
        s.hello().extensions().certificate(chain).certificate_verify(0x0403, key);
        s.finished_and(&message(11, &[0; 4]));
    });
    assert!(tls(after_finished).0.contains("unexpected"));
    let dropped = outcome(|s, chain, key| {
        s.hello();
        s.plain(CHANGE_CIPHER_SPEC, &[1]);
        s.extensions().certificate(chain).certificate_verify(0x0403, key).finished();
        s.sealed(APPLICATION, b"fine");
    });
    assert_eq!(dropped, Ok(b"fine".to_vec()));
}

#[test]
fn records_that_would_panic_embedded_tls_once_open() {
    let bad = |behave: fn(&mut Rogue) -> &mut Rogue| {
        outcome(move |s, chain, key| {
            s.honest(chain, key);
            behave(s);
        })
    };
    assert!(tls(bad(|s| s.sealed_inner(vec![0; 40]))).0.contains("without content type"));
    assert!(tls(bad(|s| s.sealed_inner(vec![0]))).0.contains("without content type"));
    assert!(tls(bad(|s| s.sealed(HANDSHAKE, &[]))).0.contains("without content type"));
    assert!(tls(bad(|s| s.sealed(HANDSHAKE, &message(24, &[0])))).0.contains("key update"));
    for kind in [0, 1, 2, 5, 8, 11, 13, 15, 20, 99] {
        let outcome = outcome(move |s, chain, key| {
            s.honest(chain, key);
            s.sealed(HANDSHAKE, &message(kind, &[0; 40]));
        });
        assert!(tls(outcome).0.contains("after the handshake"), "{kind}");
    }
    assert!(tls(bad(|s| s.sealed(HANDSHAKE, &[4, 0, 0, 99, 1]))).0.contains("split"));
    assert!(tls(bad(|s| s.sealed(77, b"?"))).0.contains("unknown content type"));
    assert!(tls(bad(|s| s.sealed(ALERT, b"?"))).0.contains("unknown content type"));
    assert!(tls(bad(|s| s.plain(ALERT, &[2, 46]))).0.contains("unsealed"));
    assert!(tls(bad(|s| s.plain(CHANGE_CIPHER_SPEC, &[1]))).0.contains("unsealed"));
    assert!(tls(bad(|s| s.plain(APPLICATION, &[1; 60]))).0.contains("does not decrypt"));
    assert_eq!(tls(bad(|s| s.sealed(ALERT, &[2, 46]))), ("server refused the client certificate", 46));
    assert_eq!(tls(bad(|s| s.sealed(ALERT, &[1, 90]))).1, 90);
    assert_eq!(bad(|s| s.sealed(ALERT, &[1, 0])), Ok(vec![]));
    // Tickets, empty records and padding are legal.
    let legal = bad(|s| {
        s.sealed(HANDSHAKE, &[message(4, &[0; 40]), message(4, &[0; 40])].concat());
        s.sealed(APPLICATION, b"").sealed_inner(b"hi\x17\0\0\0".to_vec())
    });
    assert_eq!(legal, Ok(b"hi".to_vec()));
}

#[test]
fn a_stream_that_ends_without_close_notify_is_an_error() {
    let (ca, identity) = world(KeyKind::P256);
    let (address, server) = serve(move |tcp| {
        let mut rogue = Rogue::accept(tcp);
        let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
        rogue.honest(&chain, &identity.key);
        let _ = rogue.tcp.shutdown(std::net::Shutdown::Write);
        rogue.drain();
    });
    assert_eq!(Device::trusting(&ca).greet(address), Err(Error::Closed { during: "TLS read" }));
    server.join().expect("the server does not panic");
}

/// The usual fate of a client certificate that the server refuses: alert, close, and the client writes before it reads.
#[test]
fn an_alert_explains_a_write_that_fails() {
    let (ca, identity) = world(KeyKind::P256);
    let (address, server) = serve(move |tcp| {
        let mut rogue = Rogue::accept(tcp);
        let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
        rogue.honest(&chain, &identity.key);
        rogue.sealed(ALERT, &[2, 45]);
        // closing with the client's Finished unread resets the connection
    });
    let outcome = Device::trusting(&ca).connect(address, async |mut secure, clock| {
        for _ in 0..50 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            secure.write_all(b"request", clock.after_ms(1_000)).await?;
            secure.flush(clock.after_ms(1_000)).await?;
        }
        Ok(())
    });
    server.join().expect("the server does not panic");
    assert_eq!(outcome, Err(Error::Tls { what: "server refused the client certificate", alert: 45 }));
}
