//! The board's noise, and the same noise under test.

use super::health::{Health, START_UP_OCTETS, proportion_cutoff, repetition_cutoff};
use crate::crypto::Sha256;
use crate::error::EntropyFault;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The noise source of a board: octets as the hardware gives them, before any whitening, hashing or DRBG.
///
/// Health tests behind a whitener see nothing. Where the hardware offers only conditioned output, give that and claim
/// what its maker assessed; its own health tests then are the ones that count: report them as [`EntropyFault::Source`].
pub trait RawSource {
    /// Min-entropy assessed for one octet, in hundredths of a bit (1 to 800), by SP 800-90B §3 or the chip maker's report.
    ///
    /// It sets the cutoffs of the health tests and how many octets make a seed: claim low when in doubt. A claim that is
    /// too high refuses a good source and trusts a weak one.
    const CENTIBITS_PER_OCTET: u16;

    /// Fills `into` with fresh raw octets, waiting for the hardware as long as it must.
    ///
    /// # Errors
    /// [`EntropyFault::Source`] when the hardware reports a fault or gives nothing.
    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault>;
}

/// Min-entropy gathered for one full-entropy block of 256 bits: 64 more than it holds. SP 800-90C §3.2.2.2.
const BITS_PER_BLOCK: u32 = 256 + 64;

/// Octets read at a time.
const CHUNK: usize = 32;

/// A source that passed the start-up test and is tested on every octet since. Its first failure latches.
pub struct Tested<S> {
    source: S,
    health: Health,
    fault: Option<EntropyFault>,
}

impl<S: RawSource> Tested<S> {
    const REPETITION_CUTOFF: u16 = repetition_cutoff(S::CENTIBITS_PER_OCTET);
    const PROPORTION_CUTOFF: u16 = proportion_cutoff(S::CENTIBITS_PER_OCTET);
    /// Raw octets that hold [`BITS_PER_BLOCK`].
    const OCTETS_PER_BLOCK: usize = {
        assert!(S::CENTIBITS_PER_OCTET >= 1 && S::CENTIBITS_PER_OCTET <= 800, "an octet holds 0.01 to 8 bits");
        (BITS_PER_BLOCK * 100).div_ceil(S::CENTIBITS_PER_OCTET as u32) as usize
    };

    /// Runs the start-up test of SP 800-90B §4.3: [`START_UP_OCTETS`] octets, looked at and thrown away.
    ///
    /// # Errors
    /// The test that failed.
    pub fn start(source: S) -> Result<Self, EntropyFault> {
        let mut tested = Self::untested(source);
        tested.start_up()?;
        Ok(tested)
    }

    /// Tries a source that failed once more, from the start-up test.
    ///
    /// # Errors
    /// The test that failed.
    pub fn restart(&mut self) -> Result<(), EntropyFault> {
        self.health = Self::fresh();
        self.fault = None;
        self.start_up()
    }

    /// Gathers 640 bits of min-entropy under test and conditions them to 512 bits.
    ///
    /// # Errors
    /// The test that failed, now or at any time since the start.
    pub fn seed(&mut self) -> Result<Seed, EntropyFault> {
        let mut seed = Seed { entropy: [0; 32], nonce: [0; 32] };
        self.block(&mut seed.entropy)?;
        self.block(&mut seed.nonce)?;
        Ok(seed)
    }

    /// What failed, if anything did.
    pub const fn fault(&self) -> Option<EntropyFault> {
        self.fault
    }

    const fn fresh() -> Health {
        Health::new(Self::REPETITION_CUTOFF, Self::PROPORTION_CUTOFF)
    }

    const fn untested(source: S) -> Self {
        Self { source, health: Self::fresh(), fault: None }
    }

    fn start_up(&mut self) -> Result<(), EntropyFault> {
        self.gather(START_UP_OCTETS, |_| ())
    }

    /// One block of full entropy: SHA-256, a vetted conditioning component (SP 800-90B §3.1.5.1.1), over raw octets.
    fn block(&mut self, into: &mut [u8; 32]) -> Result<(), EntropyFault> {
        let mut conditioner = Sha256::new();
        self.gather(Self::OCTETS_PER_BLOCK, |raw| conditioner.update(raw))?;
        *into = conditioner.finish();
        Ok(())
    }

    /// Hands at least `octets` tested raw octets to `sink`, whole chunks at a time.
    fn gather(&mut self, octets: usize, mut sink: impl FnMut(&[u8])) -> Result<(), EntropyFault> {
        let mut raw = Zeroizing::new([0; CHUNK]);
        for _ in 0..octets.div_ceil(CHUNK) {
            if let Some(fault) = self.fault {
                return Err(fault);
            }
            let read = self.source.read(raw.as_mut_slice());
            if let Err(fault) = read.and_then(|()| self.health.feed(raw.as_slice())) {
                self.fault = Some(fault);
                return Err(fault);
            }
            sink(raw.as_slice());
        }
        Ok(())
    }
}

/// 512 bits of full entropy from a source that is under test: proof of it, since nothing else makes one.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seed {
    entropy: [u8; 32],
    nonce: [u8; 32],
}

impl Seed {
    /// Entropy input and nonce of SP 800-90A §8.6.7, in this order.
    pub(super) const fn parts(&self) -> [&[u8]; 2] {
        [&self.entropy, &self.nonce]
    }
}
