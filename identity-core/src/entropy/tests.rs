use super::*;
use crate::Error;
use crate::error::EntropyFault;
use std::vec::Vec;

/// xorshift64*: good enough noise for the tests of the tests, and the same on each run.
struct Noise(u64);

impl Noise {
    fn octet(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    }
}

/// A source that follows `shape` from octet `from` on, and is good noise before.
struct Faulty<F> {
    noise: Noise,
    from: usize,
    given: usize,
    shape: F,
}

fn faulty<F: FnMut(&mut Noise) -> Result<u8, EntropyFault>>(from: usize, shape: F) -> Faulty<F> {
    Faulty { noise: Noise(0x9E37_79B9_7F4A_7C15), from, given: 0, shape }
}

type Shape = fn(&mut Noise) -> Result<u8, EntropyFault>;

fn good() -> Faulty<Shape> {
    faulty(usize::MAX, |_| Err(EntropyFault::Source))
}

impl<F: FnMut(&mut Noise) -> Result<u8, EntropyFault>> RawSource for Faulty<F> {
    const CENTIBITS_PER_OCTET: u16 = 600;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        for octet in into {
            *octet = if self.given < self.from { self.noise.octet() } else { (self.shape)(&mut self.noise)? };
            self.given += 1;
        }
        Ok(())
    }
}

/// From `tests/entropy_reference.py`, which computes them with exact fractions.
#[test]
fn cutoffs_are_those_of_the_standard() {
    for line in include_str!("../../tests/data/entropy_cutoffs.txt").lines().filter(|l| !l.starts_with('#')) {
        let [h, repetition, proportion] = line.split(' ').map(|n| n.parse::<u16>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        assert_eq!((repetition_cutoff(h), proportion_cutoff(h)), (repetition, proportion), "H = {h}/100");
    }
}

#[test]
fn a_stuck_source_never_starts() {
    for value in [0, 0x55, 0xff] {
        assert_eq!(Tested::start(faulty(0, |_| Ok(value))).err(), Some(EntropyFault::Stuck));
    }
}

#[test]
fn a_biased_source_never_starts() {
    // One octet in four is zero: two bits where six were claimed.
    let biased = faulty(0, |noise| Ok(if noise.octet() < 64 { 0 } else { noise.octet() }));
    assert_eq!(Tested::start(biased).err(), Some(EntropyFault::Biased));
    // Two values in turn: no run, one bit.
    let mut turn = 0_u8;
    assert_eq!(
        Tested::start(faulty(0, |_| {
            turn ^= 1;
            Ok(turn)
        }))
        .err(),
        Some(EntropyFault::Biased)
    );
}

#[test]
fn a_failing_source_never_starts() {
    assert_eq!(Tested::start(faulty(0, |_| Err(EntropyFault::Source))).err(), Some(EntropyFault::Source));
    assert_eq!(Tested::start(faulty(1000, |_| Err(EntropyFault::Source))).err(), Some(EntropyFault::Source));
}

/// Each test is wrong about a good octet once in 2^30: 2^24 octets should give no alarm (chance of one: 3 %, and the
/// noise is the same on each run).
#[test]
fn a_good_source_is_not_refused() {
    let mut health = health::Health::new(repetition_cutoff(800), proportion_cutoff(800));
    let mut noise = Noise(42);
    for _ in 0..1 << 24 {
        health.feed(&[noise.octet()]).unwrap();
    }
    for seed in 1..=1000 {
        assert!(Tested::start(Faulty { noise: Noise(seed), ..good() }).is_ok(), "seed {seed}");
    }
}

/// A source that is as weak as it claims, no weaker, passes: octets with exactly one bit of min-entropy.
#[test]
fn a_weak_source_that_says_so_is_not_refused() {
    let mut health = health::Health::new(repetition_cutoff(100), proportion_cutoff(100));
    let mut noise = Noise(7);
    for _ in 0..1 << 22 {
        let octet = if noise.octet() < 128 { 0 } else { noise.octet() | 1 };
        health.feed(&[octet]).unwrap();
    }
}

#[test]
fn a_fault_after_the_start_is_caught_and_latches() {
    let mut broken = false;
    let cell = core::cell::Cell::new(true);
    // Start-up 1024, first seed 2 x 54 octets read in chunks of 32: the fault comes after both.
    let source = faulty(1024 + 128, |noise| if cell.get() { Ok(7) } else { Ok(noise.octet()) });
    let mut rng = Rng::start(source, b"").unwrap();
    let mut octets = [0; 16];
    for request in 0..=RESEED_INTERVAL {
        match rng.fill(&mut octets) {
            Ok(()) => assert!(request < RESEED_INTERVAL),
            Err(error) => {
                assert_eq!((request, error), (RESEED_INTERVAL, Error::Entropy(EntropyFault::Stuck)));
                broken = true;
            }
        }
    }
    assert!(broken);
    // The source mends; the latch holds until restarted.
    cell.set(false);
    assert_eq!(rng.fill(&mut octets), Err(Error::Entropy(EntropyFault::Stuck)));
    assert_eq!(rng.fork().err(), Some(Error::Entropy(EntropyFault::Stuck)));
    assert_eq!(rng.fault(), Some(EntropyFault::Stuck));
    rng.restart().unwrap();
    rng.fill(&mut octets).unwrap();
    // And breaks again.
    cell.set(true);
    assert_eq!(rng.restart(), Err(Error::Entropy(EntropyFault::Stuck)));
    assert_eq!(rng.fill(&mut octets), Err(Error::Entropy(EntropyFault::Stuck)));
}

/// The tests see each octet that goes into a seed: a run that begins in the last octets of the start-up and ends in the seed.
#[test]
fn the_tests_go_on_across_the_start() {
    let cutoff = usize::from(repetition_cutoff(600));
    let source = faulty(1024 - (cutoff - 1), |_| Ok(9));
    let mut tested = Tested::start(source).unwrap();
    assert_eq!(tested.seed().err(), Some(EntropyFault::Stuck));
}

#[test]
fn forks_and_reseeds_differ() {
    use rand_core::RngCore;
    let mut rng = Rng::start(good(), b"unit 1").unwrap();
    let mut other = Rng::start(good(), b"unit 2").unwrap();
    let (mut a, mut b, mut c) = ([0; 32], [0; 32], [0; 32]);
    rng.fill(&mut a).unwrap();
    other.fill(&mut b).unwrap();
    rng.reseed().unwrap();
    rng.fill(&mut c).unwrap();
    let mut fork = rng.fork().unwrap();
    let (x, y) = (fork.next_u64(), fork.next_u64());
    assert!(a != b && a != c && b != c && x != y);
    // next_u32 and try_fill_bytes draw from the same stream.
    let mut octets = [0; 4];
    fork.try_fill_bytes(&mut octets).unwrap();
    assert_ne!(u32::from_le_bytes(octets), fork.next_u32());
}

#[test]
fn long_requests_are_split() {
    let mut drbg = Drbg::new(Tested::start(good()).unwrap().seed().unwrap(), b"");
    let mut octets = std::vec![0; REQUEST_MAX + 1];
    drbg.fill(&mut octets).unwrap();
    assert_eq!(drbg.requests(), 2);
    assert!(octets.chunks(32).zip(octets.chunks(32).skip(1)).all(|(a, b)| a != b));
}

/// Answers of an independent implementation (`tests/entropy_reference.py`), with lengths around the block of 32 octets,
/// with and without reseeding. Its first answer is also NIST's (CAVP, HMAC_DRBG SHA-256, no reseeding, COUNT 0).
#[test]
fn known_answers() {
    let mut seen = 0;
    for line in include_str!("../../tests/data/hmac_drbg_sha256.txt").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<Vec<u8>> = line.split(' ').map(hex).collect();
        let [entropy, nonce, personalization, reseed, first, second] = &fields[..] else { panic!("{line}") };
        let mut drbg = HmacDrbg::new(&[entropy, nonce, personalization]);
        if !reseed.is_empty() {
            drbg.update(&[reseed]);
        }
        for answer in [first, second] {
            let mut octets = std::vec![0; answer.len()];
            drbg.generate(&mut octets);
            assert_eq!(&octets, answer, "{line}");
        }
        seen += 1;
    }
    assert!(seen >= 20);
}

/// Hexadecimal; "-" is empty.
fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
