//! The generator that firmware owns: a source under test and a DRBG that reseeds itself from it.

use super::{Drbg, RawSource, Tested};
use crate::Error;
use crate::error::EntropyFault;

/// Requests served between reseedings.
pub const RESEED_INTERVAL: u64 = 1024;

/// A tested source and its generator. Fails for good, until [`Rng::restart`], once the source has failed a health test.
pub struct Rng<S> {
    source: Tested<S>,
    drbg: Drbg,
}

impl<S: RawSource> Rng<S> {
    /// Tests the source and seeds the generator. `personalization` may be empty; a serial number sets devices apart.
    ///
    /// # Errors
    /// [`Error::Entropy`] with the test that failed.
    pub fn start(source: S, personalization: &[u8]) -> Result<Self, Error> {
        let mut source = Tested::start(source).map_err(Error::Entropy)?;
        let drbg = Drbg::new(source.seed().map_err(Error::Entropy)?, personalization);
        Ok(Self { source, drbg })
    }

    /// Tests the source anew from the start-up test, and reseeds.
    ///
    /// # Errors
    /// [`Error::Entropy`] with the test that failed.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.source.restart().map_err(Error::Entropy)?;
        self.reseed()
    }

    /// Fills `into`.
    ///
    /// # Errors
    /// [`Error::Entropy`] once the source has failed.
    pub fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.drbg()?.fill(into)
    }

    /// Lends the generator, reseeded if that is due: for [`crate::crypto::SecretKey`].
    ///
    /// # Errors
    /// [`Error::Entropy`] once the source has failed.
    pub fn drbg(&mut self) -> Result<&mut Drbg, Error> {
        if let Some(fault) = self.source.fault() {
            return Err(Error::Entropy(fault));
        }
        if self.drbg.requests() >= RESEED_INTERVAL {
            self.reseed()?;
        }
        Ok(&mut self.drbg)
    }

    /// Mixes a fresh seed in now.
    ///
    /// # Errors
    /// [`Error::Entropy`] once the source has failed.
    pub fn reseed(&mut self) -> Result<(), Error> {
        self.drbg.reseed(self.source.seed().map_err(Error::Entropy)?);
        Ok(())
    }

    /// A generator of its own, seeded from the source, for what must not fail half-way, such as a TLS handshake.
    ///
    /// # Errors
    /// [`Error::Entropy`] once the source has failed.
    pub fn fork(&mut self) -> Result<Drbg, Error> {
        Ok(Drbg::new(self.source.seed().map_err(Error::Entropy)?, b"fork"))
    }

    /// What failed, if anything did.
    pub const fn fault(&self) -> Option<EntropyFault> {
        self.source.fault()
    }
}
