//! Noise for the emulated board. **Not for products.**

use identity_core::entropy::RawSource;
use identity_core::error::EntropyFault;
use semihosting::fs::File;
use semihosting::io::Read;

/// **For emulation only.** The machine has no noise source, so octets come from the host's `/dev/urandom` through
/// semihosting: keys made here are as good as the host's generator, and as secret as the emulator. A product reads the
/// raw output of its chip's noise source instead and claims what its maker assessed.
pub struct EmulationOnlyEntropy(File);

impl EmulationOnlyEntropy {
    /// Opens it.
    ///
    /// # Panics
    /// When the host has no `/dev/urandom`.
    #[must_use]
    pub fn open() -> Self {
        Self(File::open(c"/dev/urandom").expect("emulation needs a host with /dev/urandom"))
    }
}

impl RawSource for EmulationOnlyEntropy {
    const CENTIBITS_PER_OCTET: u16 = 800;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        self.0.read_exact(into).map_err(|_| EntropyFault::Source)
    }
}
