//! Entropy of a desktop.

use identity_core::entropy::RawSource;
use identity_core::error::EntropyFault;

/// The operating system's generator. It is conditioned output, so its own health tests are the ones that count.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdEntropy;

impl RawSource for StdEntropy {
    const CENTIBITS_PER_OCTET: u16 = 800;

    fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
        getrandom::fill(into).map_err(|_| EntropyFault::Source)
    }
}
