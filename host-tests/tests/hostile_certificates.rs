//! Chains that were built to hurt: well signed and wrong inside, or made so that there is much to check.

use std::sync::atomic::{AtomicUsize, Ordering};

use host_tests::der;
use host_tests::key::{Key, KeyKind};
use identity_core::crypto::ALGORITHMS;
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::cert::Certificate;
use identity_core::x509::verify::{MAX_SIGNATURES, Purpose, accept_issued, verify_path, verify_server};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn octets(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

struct Signed<'a> {
    issuer: &'a [u8],
    key: &'a Key,
    subject: &'a [u8],
    spki: &'a [u8],
    validity: (u64, u64),
    extensions: &'a [Vec<u8>],
}

fn to_be_signed(dice: &mut Dice, c: &Signed<'_>, wild: bool) -> Vec<u8> {
    let version = match wild && dice.one_in(40) {
        true => {
            dice.pick(&[vec![], der::context(0, &der::integer(&[0])), der::context(0, &der::integer(&[9]))]).clone()
        }
        false => der::context(0, &der::integer(&[2])),
    };
    let serial = match wild && dice.one_in(10) {
        true => der::tlv(2, &dice.octets(24)),
        false => der::integer(&[dice.next() as u8 | 1]),
    };
    let time = |dice: &mut Dice, at: u64| match wild && dice.one_in(30) {
        true => {
            let texts: [&[u8]; 4] = [b"99991231235959Z", b"00000101000000Z", b"20500230000000Z", b"20261399999999Z"];
            let text = *dice.pick(&texts);
            der::tlv(*dice.pick(&[0x17, 0x18]), text)
        }
        false => der::time(at),
    };
    let (from, until) = c.validity;
    let validity = der::sequence(&[&time(dice, from), &time(dice, until)]);
    let extensions = der::context(3, &der::sequence(&[&c.extensions.concat()]));
    let extensions = if c.extensions.is_empty() { vec![] } else { extensions };
    der::sequence(&[
        &version,
        &serial,
        &c.key.signature_algorithm(),
        c.issuer,
        &validity,
        c.subject,
        c.spki,
        &extensions,
    ])
}

fn sign(key: &Key, tbs: &[u8]) -> Vec<u8> {
    der::sequence(&[tbs, &key.signature_algorithm(), &der::bit_string(&key.sign(tbs))])
}

/// A GeneralName, right or wrong.
fn general_name(dice: &mut Dice) -> Vec<u8> {
    let tag = *dice.pick(&[0x81, 0x82, 0x82, 0x82, 0x86, 0x87, 0x87, 0xa4, 0xa0, 0x88, 0xa3, 0xa5]);
    let text: &[&[u8]] = &[
        b"plant.example",
        b"*.plant.example",
        b"*",
        b".",
        b"",
        b".example",
        b"*.*.example",
        b"xn--a",
        b"a..b",
        b"-",
        b"a.",
        b"\xff\xfe",
        &[b'a'; 255],
    ];
    let octets = match tag {
        0x87 => {
            let length = *dice.pick(&[0, 1, 4, 4, 5, 8, 8, 16, 31, 32, 32, 33]);
            (0..length).map(|_| *dice.pick(&[0, 0xff, 0x80, 10])).collect()
        }
        0xa4 => der::common_name("Someone"),
        0xa0 => [der::oid(&[1, 2, 3]), der::context(0, &der::octet_string(b"x"))].concat(),
        _ if dice.one_in(6) => dice.octets(40),
        _ => dice.pick(text).to_vec(),
    };
    der::tlv(tag, &octets)
}

fn names(dice: &mut Dice) -> Vec<u8> {
    (0..dice.below(4)).flat_map(|_| general_name(dice)).collect()
}

fn extensions(dice: &mut Dice, ca: bool, wild: bool) -> Vec<Vec<u8>> {
    let constraints = if ca { der::sequence(&[&[1, 1, 0xff]]) } else { der::sequence(&[]) };
    let usage: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
    let mut list = vec![der::extension(&[2, 5, 29, 19], true, &constraints)];
    if !ca {
        let san = der::sequence(&[&der::tlv(0x82, b"plant.example")]);
        list.push(der::extension(&[2, 5, 29, 17], false, &san));
        list.push(der::extension(&[2, 5, 29, 37], false, &der::sequence(&[&der::oid(usage)])));
    }
    while wild && !dice.one_in(3) {
        let critical = dice.one_in(3);
        let subtrees = |dice: &mut Dice| -> Vec<u8> {
            (0..1 + dice.below(3))
                .flat_map(|_| {
                    let minimum = if dice.one_in(6) { der::tlv(0x80, &dice.octets(2)) } else { vec![] };
                    der::sequence(&[&general_name(dice), &minimum])
                })
                .collect()
        };
        let (arcs, value): (&[u64], Vec<u8>) = match dice.below(9) {
            0 | 1 => {
                let (permitted, excluded) = (subtrees(dice), subtrees(dice));
                let (permitted, excluded) = (der::context(0, &permitted), der::context(1, &excluded));
                let parts = match dice.below(4) {
                    0 => permitted,
                    1 => excluded,
                    2 => [permitted, excluded].concat(),
                    _ => vec![],
                };
                (&[2, 5, 29, 30], der::sequence(&[&parts]))
            }
            2 => (&[2, 5, 29, 17], der::sequence(&[&names(dice)])),
            3 => (&[2, 5, 29, 19], der::sequence(&[&[1, 1, 0xff], &der::tlv(2, &dice.octets(3))])),
            4 => (&[2, 5, 29, 15], der::tlv(3, &dice.octets(3))),
            5 => {
                let purposes: [&[u64]; 3] = [&[2, 5, 29, 37, 0], usage, &[1, 3, 6]];
                let purpose: &[u64] = purposes[dice.below(3)];
                (&[2, 5, 29, 37], der::sequence(&[&der::oid(purpose)]))
            }
            6 => {
                let point = der::context(0, &der::context(0, &names(dice)));
                (&[2, 5, 29, 31], der::sequence(&[&der::sequence(&[&point])]))
            }
            7 => (&[1, 2, 3, 4], dice.octets(30)),
            _ => {
                let ids: [&[u64]; 4] = [&[2, 5, 29, 14], &[2, 5, 29, 35], &[2, 5, 29, 30], &[2, 5, 29, 31]];
                (*dice.pick(&ids), dice.octets(30))
            }
        };
        let extension = der::extension(arcs, critical, &value);
        // in place of one that is there, or beside it
        let at = dice.below(list.len() + 1);
        if at < list.len() && dice.one_in(2) {
            list[at] = extension;
        } else {
            list.insert(at, extension);
        }
    }
    list
}

fn strange_spki(dice: &mut Dice, good: &[u8]) -> Vec<u8> {
    let rsa = der::sequence(&[&der::oid(&[1, 2, 840, 113_549, 1, 1, 1]), &der::null()]);
    let ec = der::sequence(&[&der::oid(&[1, 2, 840, 10045, 2, 1]), &der::oid(&[1, 2, 840, 10045, 3, 1, 7])]);
    match dice.below(3) {
        0 => {
            let modulus = vec![*dice.pick(&[0u8, 1, 0x7f, 0xff, 2]); *dice.pick(&[0, 1, 255, 256, 257, 512, 513, 600])];
            let exponent = dice.octets(9);
            let key = der::sequence(&[&der::tlv(2, &modulus), &der::tlv(2, &exponent)]);
            der::sequence(&[&rsa, &der::bit_string(&key)])
        }
        1 => {
            let mut point = vec![*dice.pick(&[4u8, 2, 3, 0])];
            point.extend(vec![*dice.pick(&[0u8, 0xff, 1]); *dice.pick(&[0, 32, 64, 96])]);
            der::sequence(&[&ec, &der::bit_string(&point)])
        }
        _ => {
            let mut octets = good.to_vec();
            let at = dice.below(octets.len());
            octets[at] ^= 1 << dice.below(8);
            octets
        }
    }
}

/// One hostile chain: leaf, two intermediates, root; each well signed unless a key is strange. What the checks say is beside
/// the point: they return.
fn round(dice: &mut Dice, keys: &[Key; 4]) -> bool {
    let names = ["root", "upper", "lower", "leaf"].map(der::common_name);
    let wild_at = dice.below(4);
    let mut chain = Vec::new();
    for i in 0..4 {
        let wild = i == wild_at || dice.one_in(4);
        let by = usize::max(i, 1) - 1;
        let spki = if wild && dice.one_in(8) { strange_spki(dice, keys[i].spki()) } else { keys[i].spki().to_vec() };
        let list = extensions(dice, i < 3, wild);
        let validity = (NOW - DAY, NOW + DAY);
        let signed =
            Signed { issuer: &names[by], key: &keys[by], subject: &names[i], spki: &spki, validity, extensions: &list };
        let mut tbs = to_be_signed(dice, &signed, wild);
        if wild && dice.one_in(3) {
            for _ in 0..1 + dice.below(3) {
                let at = dice.below(tbs.len());
                tbs[at] = dice.next() as u8;
            }
        }
        let mut certificate = sign(&keys[by], &tbs);
        if wild && dice.one_in(12) {
            let at = dice.below(certificate.len());
            certificate[at] = dice.next() as u8;
        }
        chain.push(certificate);
    }
    let [root, upper, lower, leaf] = &chain[..] else { unreachable!() };
    let judge = *dice.pick(&[Judge::Wall(UnixTime(NOW)), Judge::Floor(UnixTime(0)), Judge::Floor(UnixTime(NOW))]);
    let fetched = [&root[..], upper].concat();
    let (one, two): ([&[u8]; 1], [&[u8]; 2]) = ([root], [upper, root]);
    let anchors = *dice.pick(&[
        Anchors { configured: &one, fetched: &[] },
        Anchors { configured: &[], fetched: &fetched },
        Anchors { configured: &two, fetched: &fetched },
    ]);
    let between = || [&lower[..], upper, root].into_iter();
    let host = dice.pick(&["plant.example", "a.plant.example", "10.10.10.10", "fd00::1"]);
    let server = verify_server(ALGORITHMS, "server", leaf, between(), anchors, host, judge);
    let _ = verify_path(ALGORITHMS, "client", leaf, between(), anchors, Purpose::ClientAuth, judge);
    if let Ok(certificate) = Certificate::parse(leaf) {
        certificate.alternative_names().for_each(drop);
        let chain = [&lower[..], leaf, upper].concat();
        if let Some(public) = certificate.public_key() {
            let _ = accept_issued(ALGORITHMS, &chain, &public, anchors, judge);
        }
    }
    server.is_ok()
}

/// `HOSTILE_ROUNDS` asks for more.
#[test]
fn no_well_signed_chain_panics() {
    let rounds = std::env::var("HOSTILE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let keys = [(); 4].map(|()| Key::generate(KeyKind::P256));
    let seed = std::env::var("HOSTILE_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut dice = Dice(seed);
    let accepted = (0..rounds).filter(|_| round(&mut dice, &keys)).count();
    println!("{accepted} of {rounds} chains accepted");
    assert!(accepted > rounds / 100 && accepted < rounds, "the chains are neither all right nor all wrong");
}

thread_local! {
    static CHECKS: AtomicUsize = const { AtomicUsize::new(0) };
}

/// Counts the signatures that it checks.
#[derive(Debug)]
struct Counting;

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        CHECKS.with(|checks| checks.fetch_add(1, Ordering::Relaxed));
        ALGORITHMS[0].verify_signature(public, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        ALGORITHMS[0].public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        ALGORITHMS[0].signature_alg_id()
    }
}

/// Many CAs of one name, all of which might have issued each other, none of which did: what it costs a device to say no.
#[test]
fn a_maze_of_issuers_is_bounded_work() {
    let keys: Vec<Key> = (0..10).map(|_| Key::generate(KeyKind::P256)).collect();
    let (leaf_name, other) = (der::common_name("leaf"), der::common_name("other"));
    let maze_name = der::common_name("maze");
    let mut dice = Dice(3);
    let mut make = |key: &Key, issuer: &[u8], subject: &[u8], spki: &[u8], from: u64, ca: bool| {
        let list = extensions(&mut dice, ca, false);
        let validity = (from, NOW + 100 * DAY);
        let signed = Signed { issuer, key, subject, spki, validity, extensions: &list };
        sign(key, &to_be_signed(&mut Dice(5), &signed, false))
    };
    for anchored in [&maze_name, &other] {
        for judge in [Judge::Wall(UnixTime(NOW)), Judge::Floor(UnixTime(0))] {
            let root = make(&keys[0], anchored, anchored, keys[0].spki(), NOW - 9 * DAY, true);
            let second = make(&keys[9], anchored, anchored, keys[9].spki(), NOW - 9 * DAY, true);
            // each says that it was signed by the next, and was not: the stranger keys[1] signed them all
            let name = &maze_name;
            let maze = (1..9).map(|i| make(&keys[1], name, name, keys[i].spki(), NOW - i as u64, true));
            let maze: Vec<Vec<u8>> = maze.collect();
            let leaf = make(&keys[1], name, &leaf_name, keys[1].spki(), NOW - DAY, false);
            let anchors: [&[u8]; 2] = [&root, &second];
            let anchors = Anchors { configured: &anchors, fetched: &[] };
            CHECKS.with(|checks| checks.store(0, Ordering::Relaxed));
            let start = std::time::Instant::now();
            let between = maze.iter().map(Vec::as_slice);
            let verdict = verify_server(&[&Counting], "server", &leaf, between, anchors, "plant.example", judge);
            let checks = CHECKS.with(|checks| checks.load(Ordering::Relaxed));
            println!("{judge:?}: {checks} signatures, {:?}: {verdict:?}", start.elapsed());
            assert!(verdict.is_err(), "{verdict:?}");
            assert!(checks <= 16, "{checks} signatures checked for one hostile chain");
        }
    }
}

/// No name has more than two CAs, and yet they make a tree of paths, each of which ends at an anchor's name.
#[test]
fn a_tree_of_issuers_is_bounded_work() {
    let keys: Vec<Key> = (0..10).map(|_| Key::generate(KeyKind::P256)).collect();
    let names = ["anchor", "1", "2", "3", "4"].map(der::common_name);
    let mut dice = Dice(3);
    let mut make = |key: &Key, issuer: &[u8], subject: &[u8], spki: &[u8], ca: bool| {
        let list = extensions(&mut dice, ca, false);
        let validity = (NOW - DAY, NOW + DAY);
        let signed = Signed { issuer, key, subject, spki, validity, extensions: &list };
        sign(key, &to_be_signed(&mut Dice(5), &signed, false))
    };
    let root = make(&keys[0], &names[0], &names[0], keys[0].spki(), true);
    let tree = (1..9usize).map(|i| (i.div_ceil(2), keys[i].spki()));
    let tree: Vec<Vec<u8>> = tree.map(|(n, spki)| make(&keys[9], &names[n - 1], &names[n], spki, true)).collect();
    let leaf = make(&keys[9], &names[4], &der::common_name("leaf"), keys[9].spki(), false);
    let anchors = Anchors { configured: &[], fetched: &root };
    CHECKS.with(|checks| checks.store(0, Ordering::Relaxed));
    let (between, judge) = (tree.iter().map(Vec::as_slice), Judge::Wall(UnixTime(NOW)));
    let verdict = verify_server(&[&Counting], "server", &leaf, between, anchors, "plant.example", judge);
    let checks = CHECKS.with(|checks| checks.load(Ordering::Relaxed));
    assert!(matches!(verdict, Err(identity_core::Error::Malformed { .. })), "{checks}: {verdict:?}");
    assert_eq!(checks, usize::from(MAX_SIGNATURES));
}
