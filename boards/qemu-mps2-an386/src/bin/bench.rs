//! What computations cost, in instructions and octets of stack, and how large the futures are; `cargo xtask bench` runs it.
//!
//! Lines of fields between tabs. No interrupt is on and the noise repeats, so two runs of an image print the same.
#![no_std]
#![no_main]

use core::hint::black_box;

use board::{Ports, meter};
use device_sdk::ports::Platform;
use device_sdk::{Device, Link, Memory};
use identity_core::crypto::{ALGORITHMS, SecretKey, open, seal, sha256, verify_p256};
use identity_core::entropy::{Drbg, RawSource, Rng};
use identity_core::error::{EntropyFault, Error};
use identity_core::jose::assertion::{self, Assertion};
use identity_core::jose::dpop::{self, Proof};
use identity_core::jose::jwk::KeySet;
use identity_core::jose::jws;
use identity_core::jose::verify::{Algorithm, Rules, verify};
use identity_core::keys::{PublicKey, Slot};
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::csr::{self, CsrRequest, Subject};
use identity_core::x509::der_certificates;
use identity_core::x509::verify::verify_server;
use semihosting::println;

/// Leaf, intermediate and root, DER one after another; `cargo run -p host-tests --bin bench chains` makes new ones.
const CHAINS: [(&str, &[u8]); 4] = [
    ("path of a P-256 leaf and intermediate", include_bytes!("../../chains/p256.der")),
    ("path of a P-384 leaf and intermediate", include_bytes!("../../chains/p384.der")),
    ("path of an RSA-2048 leaf and intermediate", include_bytes!("../../chains/rsa2048.der")),
    ("path of an RSA-4096 leaf and intermediate", include_bytes!("../../chains/rsa4096.der")),
];
/// An access token of some 500 octets and the key set of its issuer; `cargo run -p host-tests --bin bench jwts` makes new ones.
const JWTS: [(&str, &str, &str); 2] = [
    ("JWT verified, ES256", include_str!("../../jwts/es256.jwt"), include_str!("../../jwts/es256.jwks")),
    ("JWT verified, RS256 by RSA-2048", include_str!("../../jwts/rs256.jwt"), include_str!("../../jwts/rs256.jwks")),
];
/// When the chains and tokens are judged: 2027-01-01.
const NOW: UnixTime = UnixTime(1_798_761_600);
const ISSUER: &str = "https://id.plant.example";
const HOST: &str = "est.plant.example";

/// Noise that repeats, at the claim of [`board::EmulationOnlyEntropy`].
struct Repeating(u32);

impl RawSource for Repeating {
    const CENTIBITS_PER_OCTET: u16 = 800;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        for octet in into {
            // xorshift, Marsaglia 2003
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            *octet = self.0 as u8;
        }
        Ok(())
    }
}

/// Does `work` and prints a line of what it took.
fn measure<R>(what: &str, work: impl FnOnce() -> R) -> R {
    let before_it = meter::stack();
    meter::paint();
    let start = meter::instructions();
    let result = black_box(work());
    let instructions = meter::instructions() - start;
    let stack = meter::high_water().saturating_sub(before_it);
    println!("cost\t{what}\t{instructions}\t{stack}");
    result
}

#[cortex_m_rt::entry]
fn main() -> ! {
    meter::start();
    computations();
    sizes();
    board::exit(0)
}

#[inline(never)]
fn computations() {
    let rng = measure("entropy start-up: health tests, seed, DRBG", || Rng::start(Repeating(1), b"bench"));
    let mut rng = rng.expect("noise that passes its tests");
    let drbg = rng.drbg().expect("a generator");
    let (key, public) = measure("key generation, with its public point", || new_key(drbg));
    measure("CSR: written, hashed, signed", || certification_request(&key, &public, drbg));
    measure("key generation and CSR", || {
        let (key, public) = new_key(drbg);
        certification_request(&key, &public, drbg)
    });
    let digest = sha256(b"bench");
    let signature = measure("ECDSA P-256 signature", || key.sign(&digest, drbg)).expect("a signature");
    measure("ECDSA P-256 verification", || verify_p256(&public, &digest, &signature)).expect("our own signature");
    let secret = [0x5A; 32];
    let sealed = measure("key sealed for flash", || seal(&secret, Slot::A, &key, drbg)).expect("a sealed key");
    measure("sealed key opened", || open(&secret, Slot::A, &sealed)).expect("our own key");
    for (what, chain) in CHAINS {
        let mut chain = der_certificates(chain);
        let mut next = || chain.next().expect("three certificates");
        let (leaf, intermediate, root) = (next(), next(), next());
        let anchors = Anchors { configured: &[root], fetched: &[] };
        measure(what, || {
            let between = core::iter::once(intermediate);
            verify_server(ALGORITHMS, "bench", leaf, between, anchors, HOST, Judge::Wall(NOW)).map(|_| ())
        })
        .expect("a chain that verifies");
    }
    tokens(&key, &public, drbg);
}

#[inline(never)]
fn tokens(key: &SecretKey, public: &PublicKey, drbg: &mut Drbg) {
    let mut room = [0; 2048];
    let mut signed = |drbg: &mut Drbg, write: &dyn Fn(&mut [u8]) -> Result<usize, Error>| {
        let length = write(&mut room).expect("a signing input");
        let signature = key.sign(&sha256(&room[..length]), drbg).expect("a signature");
        jws::finish(&mut room, length, &signature).expect("room for a signature")
    };
    let (random, issued) = ([7; 16], NOW);
    let assertion = Assertion::of_client("pump-7", ISSUER, &random, issued);
    measure("client assertion: written, hashed, signed", || signed(drbg, &|room| assertion::write(&assertion, room)));
    let url = "https://id.plant.example/token";
    let proof = Proof {
        key: public,
        method: "POST",
        url,
        random: &random,
        issued,
        token: None,
        nonce: Some("a-nonce-of-22-letters-"),
    };
    measure("DPoP proof for the token endpoint", || signed(drbg, &|room| dpop::write(&proof, room)));
    for (what, token, keys) in JWTS {
        let keys = KeySet::parse(keys.as_bytes()).expect("a key set");
        let rules = Rules {
            algorithms: Algorithm::ALL,
            issuer: ISSUER,
            audience: "https://mqtt.plant.example",
            typ: Some("at+jwt"),
            judge: Judge::Wall(NOW),
            skew: 60,
        };
        let mut scratch = [0; 1536];
        measure(what, || verify(token, keys, &rules, &mut scratch).map(|_| ())).expect("a token that verifies");
    }
}

fn new_key(drbg: &mut Drbg) -> (SecretKey, PublicKey) {
    let key = SecretKey::generate(drbg).expect("a key");
    let public = key.public();
    (key, public)
}

/// Octets of the CSR.
fn certification_request(key: &SecretKey, public: &PublicKey, drbg: &mut Drbg) -> usize {
    let subject = Subject {
        common_name: "pump-7",
        organization: "Plant Example",
        organizational_unit: "Pumps",
        serial_number: "",
    };
    let mut octets = [0; 1024];
    let length = csr::write_info(&CsrRequest { subject, names: &[], public }, &mut octets).expect("an info");
    let signature = key.sign(&sha256(&octets[..length]), drbg).expect("a signature");
    csr::finish(&mut octets, length, &signature).expect("a CSR")
}

/// The device of this board.
type Whole<P = Ports> = <P as Parts>::Device;
type Connection<P = Ports> = <P as Parts>::Link;

/// Names the ports of a platform, which [`Ports`] has as a type alias.
trait Parts {
    type Device;
    type Link;
}

impl<K, S, N, C> Parts for Platform<K, S, N, C>
where
    K: device_sdk::ports::KeyStore + 'static,
    S: device_sdk::ports::Store + 'static,
    N: device_sdk::ports::Net + 'static,
    C: device_sdk::ports::Clock + 'static,
{
    type Device = Device<'static, K, S, N, C>;
    type Link = Link<'static, 'static, K, S, N, C>;
}

fn sizes() {
    /// Octets of what `make` would return.
    fn returned<A, R>(_: impl FnOnce(A) -> R) -> usize {
        size_of::<R>()
    }
    let rows = [
        ("`Memory`, lent to the device", size_of::<Memory>()),
        ("`Device` with this board's ports", size_of::<Whole>()),
        ("`Link`", size_of::<Connection>()),
        ("future of `Device::online`", returned(|device: &'static mut Whole| device.online())),
        ("future of `Link::publish`", returned(|link: &'static mut Connection| link.publish("", &[]))),
        ("future of `Link::next`", returned(|link: &'static mut Connection| link.next(Default::default()))),
    ];
    for (what, octets) in rows {
        println!("size\t{what}\t{octets}");
    }
}
