//! Raw entropy sources for tests. None of them is random: the good one repeats with its seed.

use identity_core::entropy::RawSource;
use identity_core::error::EntropyFault;

/// How a source behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Uniform octets.
    Good,
    /// Always this octet.
    Stuck(u8),
    /// This octet in so many of 256 cases, else uniform.
    Biased {
        /// The favoured octet.
        octet: u8,
        /// Cases of 256 in which it is forced.
        of_256: u8,
    },
    /// Good for so many octets, then always zero.
    StuckAfter(u64),
    /// Good for so many octets, then the hardware reports a fault.
    FaultAfter(u64),
}

/// A deterministic raw source (SplitMix64) that claims 4 bits of min-entropy for an octet.
#[derive(Clone, Debug)]
pub struct TestSource {
    /// How it behaves; may be changed at any time.
    pub behaviour: Behaviour,
    state: u64,
    given: u64,
}

impl TestSource {
    /// A source; the same seed gives the same octets.
    #[must_use]
    pub fn new(seed: u64, behaviour: Behaviour) -> Self {
        Self { behaviour, state: seed, given: 0 }
    }

    /// A good source.
    #[must_use]
    pub fn good(seed: u64) -> Self {
        Self::new(seed, Behaviour::Good)
    }

    /// Octets given so far.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }

    fn uniform(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn octet(&mut self) -> u8 {
        let [octet, chance, ..] = self.uniform().to_be_bytes();
        match self.behaviour {
            Behaviour::Stuck(stuck) => stuck,
            Behaviour::Biased { octet: favoured, of_256 } if chance < of_256 => favoured,
            Behaviour::StuckAfter(limit) if self.given >= limit => 0,
            _ => octet,
        }
    }
}

impl RawSource for TestSource {
    const CENTIBITS_PER_OCTET: u16 = 400;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        for place in into {
            if matches!(self.behaviour, Behaviour::FaultAfter(limit) if self.given >= limit) {
                return Err(EntropyFault::Source);
            }
            *place = self.octet();
            self.given += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(behaviour: Behaviour) -> [u32; 256] {
        let mut octets = [0; 25_600];
        TestSource::new(7, behaviour).read(&mut octets).unwrap();
        let mut counts = [0; 256];
        octets.iter().for_each(|octet| counts[usize::from(*octet)] += 1);
        counts
    }

    #[test]
    fn each_behaves_as_named() {
        assert!(counts(Behaviour::Good).iter().all(|count| (50..150).contains(count)));
        assert_eq!(counts(Behaviour::Stuck(9))[9], 25_600);
        assert!((12_000..14_000).contains(&counts(Behaviour::Biased { octet: 3, of_256: 128 })[3]));
        assert!(counts(Behaviour::StuckAfter(12_800))[0] > 12_800);
        let mut failing = TestSource::new(1, Behaviour::FaultAfter(10));
        assert_eq!(failing.read(&mut [0; 10]), Ok(()));
        assert_eq!(failing.read(&mut [0; 1]), Err(EntropyFault::Source));
    }
}
