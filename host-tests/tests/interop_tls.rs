//! TLS with servers of others (rustls, OpenSSL): what must work, and what must be bounded.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::task::Poll;

use device_sdk::Error;
use device_sdk::net::tls::{RECEIVE, SEND};
use embassy_futures::{poll_once, yield_now};
use host_tests::ca::{Ca, CaOptions};
use host_tests::der::pem;
use host_tests::key::KeyKind;
use host_tests::scratch::Scratch;
use host_tests::tls_peers::{APPLICATION, Rogue, serve};
use host_tests::tls_world::{Connection, Device, NOW, rustls_server, world};
use identity_core::time::Instant;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A rustls server for one connection.
fn rustls(config: ServerConfig, behave: impl FnOnce(&mut Tls) + Send + 'static) -> (std::net::SocketAddr, Joined) {
    serve(move |tcp| {
        let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a server"), tcp);
        behave(&mut tls);
        let _ = std::io::copy(&mut tls.sock, &mut std::io::sink());
    })
}

type Joined = std::thread::JoinHandle<()>;

/// Sends back what comes, until the client closes.
fn echo(tls: &mut Tls) {
    let mut octets = [0; 1000];
    while let Ok(read @ 1..) = tls.read(&mut octets) {
        tls.write_all(&octets[..read]).and_then(|()| tls.flush()).expect("an open connection");
    }
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

/// Opens, has "hello" echoed, closes in order; octets received and sent.
fn round_trip(device: &mut Device, server: std::net::SocketAddr) -> Result<(u32, u32), Error> {
    device.connect(server, async |mut secure, clock| {
        let until = clock.after_ms(3_000);
        secure.write_all(b"hello", until).await?;
        secure.flush(until).await?;
        let mut into = [0; 5];
        assert_eq!(secure.read(&mut into, until).await, Ok(5));
        assert_eq!(&into, b"hello");
        let traffic = secure.traffic();
        secure.close(until).await?;
        Ok(traffic)
    })
}

#[test]
fn every_kind_of_server_key() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa(2048), KeyKind::Rsa(4096)] {
        let (ca, identity) = world(kind);
        let (address, server) = rustls(rustls_server(&identity, None), echo);
        let (received, sent) = round_trip(&mut Device::trusting(&ca), address).expect("a connection");
        server.join().expect("the server does not panic");
        println!("{kind:?}: {received} octets received, {sent} sent");
        assert!(received > 700 && sent > 250);
    }
}

#[test]
fn an_authority_of_every_kind() {
    for key in [KeyKind::P384, KeyKind::Rsa(2048)] {
        let options = CaOptions { key, intermediate: true, ..Default::default() };
        let mut ca = Ca::with(NOW, &options);
        let identity = ca.server(KeyKind::P256, &[host_tests::tls_world::HOST], &[], host_tests::tls_world::valid());
        let (address, server) = rustls(rustls_server(&identity, None), echo);
        round_trip(&mut Device::trusting(&ca), address).expect("a connection");
        server.join().expect("the server does not panic");
    }
}

#[test]
fn mutual_tls() {
    let (mut ca, identity) = world(KeyKind::P256);
    let mut device = Device::trusting(&ca).certified_by(&mut ca);
    let (address, server) = rustls(rustls_server(&identity, Some(&ca)), echo);
    round_trip(&mut device, address).expect("a connection");
    server.join().expect("the server does not panic");

    // The certificate of another authority; none at all: both arrive at the first read.
    let config = rustls_server(&identity, Some(&ca));
    let refused = |device: &mut Device| {
        let (address, server) = rustls(config.clone(), |tls| {
            let _ = tls.conn.complete_io(&mut tls.sock);
        });
        let outcome = device.greet(address);
        server.join().expect("the server does not panic");
        outcome
    };
    let mut stranger = Ca::with(NOW, &CaOptions { name: "stranger".into(), ..Default::default() });
    device.certificate = Device::trusting(&ca).certified_by(&mut stranger).certificate;
    match refused(&mut device) {
        Err(Error::Tls { what: "server refused the client certificate", alert: 42..=49 }) => {}
        other => panic!("{other:?}"),
    }
    // One that looks as if issued by the authority, and one of another key: signatures that do not verify.
    device.certificate = Device::trusting(&ca).certified_by(&mut Ca::new(NOW)).certificate;
    assert!(matches!(refused(&mut device), Err(Error::Tls { alert: 51, .. })));
    device.certificate = Device::trusting(&ca).certified_by(&mut ca).certificate;
    assert!(matches!(refused(&mut device), Err(Error::Tls { alert: 51, .. })));
    device.certificate = None;
    let refusal = Error::Tls { what: "server refused the client certificate", alert: 116 };
    assert_eq!(refused(&mut device), Err(refusal));
}

#[test]
fn a_key_store_that_does_not_sign_is_reported() {
    let (mut ca, identity) = world(KeyKind::P256);
    let mut device = Device::trusting(&ca).certified_by(&mut ca);
    device.keys.broken = true;
    let (address, server) = rustls(rustls_server(&identity, Some(&ca)), |tls| {
        let _ = tls.conn.complete_io(&mut tls.sock);
    });
    let outcome = device.greet(address);
    server.join().expect("the server does not panic");
    assert!(matches!(outcome, Err(Error::Port { port: "keys", hint: "this key does not sign", .. })), "{outcome:?}");
}

#[test]
fn alpn() {
    let (ca, identity) = world(KeyKind::P256);
    let mut config = rustls_server(&identity, None);
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let (address, server) = rustls(config.clone(), |tls| {
        tls.conn.complete_io(&mut tls.sock).expect("a handshake");
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"mqtt"[..]));
        echo(tls);
    });
    let mut device = Device::trusting(&ca);
    device.alpn = &[b"x-other", b"mqtt"];
    round_trip(&mut device, address).expect("a connection");
    server.join().expect("the server does not panic");

    let (address, server) = rustls(config, |tls| drop(tls.conn.complete_io(&mut tls.sock)));
    device.alpn = &[b"x-other"];
    let refusal = Error::Tls { what: "the server knows none of the offered ALPN protocols", alert: 120 };
    assert_eq!(device.greet(address), Err(refusal));
    server.join().expect("the server does not panic");
}

#[test]
fn transfers_in_records_of_every_size() {
    const TOTAL: usize = 200_000;
    let pattern = |at: usize| (at % 251) as u8;
    for size in [1, 2, 15, 16, 17, 255, 1_000, 4_095, 16_383, 16_384] {
        let total = TOTAL.min(size * 300);
        let (ca, identity) = world(KeyKind::P256);
        let (address, server) = rustls(rustls_server(&identity, None), move |tls| {
            let mut seen = 0;
            let mut octets = vec![0; 5_000];
            while seen < total {
                let read = tls.read(&mut octets).expect("an open connection");
                assert!(octets[..read].iter().enumerate().all(|(at, octet)| *octet == pattern(seen + at)));
                seen += read;
            }
            let all: Vec<u8> = (0..total).map(pattern).collect();
            for record in all.chunks(size) {
                tls.write_all(record).and_then(|()| tls.flush()).expect("an open connection");
            }
            tls.conn.send_close_notify();
            let _ = tls.flush();
        });
        let received = Device::trusting(&ca).connect(address, async |mut secure, clock| {
            let until = clock.after_ms(20_000);
            let all: Vec<u8> = (0..total).map(pattern).collect();
            for piece in all.chunks(size) {
                secure.write_all(piece, until).await?;
            }
            secure.flush(until).await?;
            let (mut received, mut into) = (Vec::new(), vec![0; 3_000]);
            loop {
                match secure.read(&mut into, until).await? {
                    0 => return Ok(received),
                    read => received.extend_from_slice(&into[..read]),
                }
            }
        });
        server.join().expect("the server does not panic");
        assert_eq!(received, Ok((0..total).map(pattern).collect()), "records of {size}");
    }
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    let (ca, identity) = world(KeyKind::P256);
    let (address, server) = rustls(rustls_server(&identity, None), |tls| {
        for number in 0..1_000_u32 {
            let octets = vec![number as u8; 1 + number as usize % 40];
            tls.write_all(&octets).and_then(|()| tls.flush()).expect("an open connection");
            if number % 10 == 0 {
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        }
        tls.conn.send_close_notify();
        let _ = tls.flush();
    });
    let (received, cancelled) = Device::trusting(&ca)
        .connect(address, async |mut secure, clock| {
            let (mut received, mut cancelled, mut into) = (Vec::new(), 0, [0; 64]);
            loop {
                let until = clock.after_ms(5_000);
                // One poll, then the wait is dropped; many of them are in the middle of a header.
                while poll_once(secure.readable(until)).is_pending() {
                    cancelled += 1;
                    yield_now().await;
                }
                // What is readable is read without waiting.
                match poll_once(secure.read(&mut into, until)) {
                    Poll::Pending => panic!("readable, and yet a read waits"),
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Ready(Ok(0)) => return Ok((received, cancelled)),
                    Poll::Ready(Ok(read)) => received.extend_from_slice(&into[..read]),
                }
            }
        })
        .expect("a connection");
    server.join().expect("the server does not panic");
    let sent: Vec<u8> = (0..1_000_u32).flat_map(|n| vec![n as u8; 1 + n as usize % 40]).collect();
    assert!(received == sent);
    println!("{cancelled} waits cancelled");
    assert!(cancelled >= 1_000, "only {cancelled} waits were cancelled");
}

#[test]
fn waits_end_and_a_quiet_timeout_does_no_harm() {
    let (ca, identity) = world(KeyKind::P256);
    let (address, server) = rustls(rustls_server(&identity, None), echo);
    Device::trusting(&ca)
        .connect(address, async |mut secure, clock| {
            let mut into = [0; 64];
            let quiet = secure.read(&mut into, clock.after_ms(80)).await;
            assert!(matches!(quiet, Err(Error::Timeout { what: "TLS read", .. })), "{quiet:?}");
            assert_eq!(secure.readable(clock.after_ms(20)).await, Ok(false));
            assert_eq!(secure.readable(Instant(0)).await, Ok(false));
            let until = clock.after_ms(2_000);
            secure.write_all(b"still here", until).await?;
            secure.flush(until).await?;
            assert_eq!(secure.read(&mut into, until).await, Ok(10));
            secure.close(until).await
        })
        .expect("a connection");
    server.join().expect("the server does not panic");
}

#[test]
fn a_record_that_never_ends_and_a_dropped_read_end_the_connection() {
    let half = || {
        let (ca, identity) = world(KeyKind::P256);
        let (address, server) = serve(move |tcp| {
            let mut rogue = Rogue::accept(tcp);
            let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
            rogue.honest(&chain, &identity.key);
            rogue.raw(&[APPLICATION, 3, 3, 7, 99, 1, 2, 3]);
            rogue.drain();
        });
        (Device::trusting(&ca), address, server)
    };
    let (mut device, address, server) = half();
    device
        .connect(address, async |mut secure, clock| {
            let mut into = [0; 64];
            let stuck = secure.read(&mut into, clock.after_ms(100)).await;
            assert!(matches!(stuck, Err(Error::Timeout { what: "TLS read", .. })), "{stuck:?}");
            let until = clock.after_ms(100);
            assert_eq!(secure.read(&mut into, until).await, Err(Error::Closed { during: "TLS read" }));
            assert_eq!(secure.write_all(b"x", until).await, Err(Error::Closed { during: "TLS write" }));
            secure.close(until).await
        })
        .expect("a connection");
    server.join().expect("the server does not panic");

    let (mut device, address, server) = half();
    device
        .connect(address, async |mut secure, clock| {
            let (mut into, until) = ([0; 64], clock.after_ms(1_000));
            assert_eq!(secure.readable(until).await, Ok(true));
            assert!(poll_once(secure.read(&mut into, until)).is_pending());
            assert_eq!(secure.readable(until).await, Err(Error::Closed { during: "TLS read" }));
            Ok(())
        })
        .expect("a connection");
    server.join().expect("the server does not panic");
}

#[test]
fn a_cut_anywhere_in_the_handshake_is_an_error() {
    // Octets of a whole flight of the server, then a cut after each of them.
    let (ca, identity) = world(KeyKind::P256);
    let chain: Vec<Vec<u8>> = identity.chain.clone();
    let total = 5 + 5 + 4 + 2 + 32 + 1 + 3 + 2 + 6 + 73 + 700;
    let mut device = Device::trusting(&ca);
    device.limit_ms = 2_000;
    let config = Arc::new(rustls_server(&identity, None));
    for cut in (0..total).step_by(7) {
        let config = Arc::clone(&config);
        let (address, server) = serve(move |mut tcp| {
            let mut tls = ServerConnection::new(config).expect("a server");
            while tls.wants_read() && !tls.wants_write() {
                if tls.read_tls(&mut tcp).is_err() || tls.process_new_packets().is_err() {
                    return;
                }
            }
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight).expect("memory");
            }
            let cut = cut.min(flight.len() - 1);
            let _ = tcp.write_all(&flight[..cut]);
        });
        assert_eq!(device.greet(address), Err(Error::Closed { during: "TLS handshake" }), "cut at {cut}");
        server.join().expect("the server does not panic");
    }
    assert!(!chain.is_empty());
}

#[test]
fn buffers_that_are_too_small_are_named() {
    let (ca, identity) = world(KeyKind::P256);
    let (address, server) = rustls(rustls_server(&identity, None), |tls| drop(tls.conn.complete_io(&mut tls.sock)));
    let mut device = Device::trusting(&ca);
    device.receive = 300;
    match device.greet(address) {
        Err(Error::Core(identity_core::Error::NoSpace { what: "the TLS receive buffer", wanted: 301.. })) => {}
        other => panic!("{other:?}"),
    }
    server.join().expect("the server does not panic");
}

#[test]
fn openssl_with_mutual_tls() {
    let (mut ca, identity) = world(KeyKind::P256);
    let scratch = Scratch::new();
    let chain: String = identity.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let (chain, key) = (scratch.file("chain.pem", chain), scratch.file("key.pem", identity.key.pem()));
    let root = scratch.file("root.pem", pem("CERTIFICATE", ca.root()));
    let mut server = std::process::Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-rev", "-Verify", "2", "-verify_return_error"])
        .args(["-naccept", "1", "-cert"])
        .arg(&chain)
        .args([std::ffi::OsStr::new("-key"), key.as_os_str(), std::ffi::OsStr::new("-CAfile"), root.as_os_str()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("install openssl");
    let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let listening = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
    let address = listening.expect("s_server says where it listens").parse().expect("an address");
    let reversed = Device::trusting(&ca).certified_by(&mut ca).connect(address, async |mut secure, clock| {
        let until = clock.after_ms(3_000);
        secure.write_all(b"abc\n", until).await?;
        secure.flush(until).await?;
        let mut into = [0; 4];
        let read = secure.read(&mut into, until).await?;
        secure.close(until).await?;
        Ok((read, into))
    });
    server.kill().and_then(|()| server.wait()).expect("s_server ends");
    assert_eq!(reversed, Ok((4, *b"cba\n")));
}

#[test]
fn sizes() {
    let device = size_of::<Connection<'_>>();
    println!("Secure on this machine: {device} octets, buffers {} more", RECEIVE + SEND);
    assert!(device < 2_048, "a connection grew to {device} octets");
}
