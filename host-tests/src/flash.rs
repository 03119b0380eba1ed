//! A NOR flash in RAM that can lose power in the middle of anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use device_sdk::clock::std_clock::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Octets of a page of [`FaultyFlash`].
pub const PAGE: usize = 4096;
/// Octets of a word of [`FaultyFlash`].
pub const WORD: usize = 4;

/// Flash with pages of 4096 and words of 4 octets, of which power can be cut after any number of effects.
///
/// An effect is one octet written, or one eighth of a page erased. Once cut, all fails until [`FaultyFlash::power_on`].
#[derive(Clone, Debug)]
pub struct FaultyFlash {
    octets: Vec<u8>,
    /// Effects left before the cut; none: no cut is planned.
    pub cut_after: Option<usize>,
    /// Effects so far.
    pub effects: usize,
    /// Erasures of each page.
    pub wear: Vec<u32>,
    /// Reads, writes and erasures so far.
    pub operations: [usize; 3],
    off: bool,
}

/// Power is off, or the caller broke the rules of NOR flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFault {
    /// Power was cut.
    Cut,
    /// Misaligned or out of range.
    Rule(NorFlashErrorKind),
}

impl NorFlashError for FlashFault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Cut => NorFlashErrorKind::Other,
            Self::Rule(kind) => *kind,
        }
    }
}

impl FaultyFlash {
    /// Blank pages.
    #[must_use]
    pub fn blank(pages: usize) -> Self {
        Self::holding(vec![0xff; pages * PAGE])
    }

    /// A flash with contents: whole pages.
    #[must_use]
    pub fn holding(octets: Vec<u8>) -> Self {
        let wear = vec![0; octets.len() / PAGE];
        Self { octets, cut_after: None, effects: 0, wear, operations: [0; 3], off: false }
    }

    /// The contents, to look at or to damage.
    pub const fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Power is back, and no cut is planned.
    pub const fn power_on(&mut self) {
        self.cut_after = None;
        self.off = false;
    }

    /// Whether power was cut.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.off
    }

    /// One effect, unless power is cut before it.
    fn effect(&mut self) -> Result<(), FlashFault> {
        if self.off || self.cut_after == Some(0) {
            self.off = true;
            return Err(FlashFault::Cut);
        }
        self.cut_after = self.cut_after.map(|left| left - 1);
        self.effects += 1;
        Ok(())
    }

    fn check(&self, from: usize, length: usize, unit: usize) -> Result<(), FlashFault> {
        if self.off {
            Err(FlashFault::Cut)
        } else if !from.is_multiple_of(unit) || !length.is_multiple_of(unit) {
            Err(FlashFault::Rule(NorFlashErrorKind::NotAligned))
        } else if from + length > self.octets.len() {
            Err(FlashFault::Rule(NorFlashErrorKind::OutOfBounds))
        } else {
            Ok(())
        }
    }
}

impl ErrorType for FaultyFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for FaultyFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let from = offset as usize;
        self.check(from, into.len(), 1)?;
        self.operations[0] += 1;
        into.copy_from_slice(&self.octets[from..from + into.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.octets.len()
    }
}

impl NorFlash for FaultyFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let (from, to) = (from as usize, to as usize);
        self.check(from, to - from, PAGE)?;
        self.operations[2] += 1;
        for at in (from..to).step_by(PAGE / 8) {
            if at.is_multiple_of(PAGE) {
                self.wear[at / PAGE] += 1;
            }
            self.effect()?;
            self.octets[at..at + PAGE / 8].fill(0xff);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FlashFault> {
        self.check(offset as usize, octets.len(), WORD)?;
        self.operations[1] += 1;
        for (at, octet) in (offset as usize..).zip(octets) {
            self.effect()?;
            self.octets[at] &= octet;
        }
        Ok(())
    }
}

/// A [`FaultyFlash`] soldered to the bench: it stays while devices come and go. Clones are the same flash.
#[derive(Clone, Debug)]
pub struct SharedFlash(Arc<Mutex<FaultyFlash>>);

impl SharedFlash {
    /// Solders it on.
    #[must_use]
    pub fn new(flash: FaultyFlash) -> Self {
        Self(Arc::new(Mutex::new(flash)))
    }

    /// The flash, to look at, to damage or to replace.
    pub fn get(&self) -> MutexGuard<'_, FaultyFlash> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ErrorType for SharedFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for SharedFlash {
    const READ_SIZE: usize = FaultyFlash::READ_SIZE;

    async fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        block_on(self.get().read(offset, into))
    }

    fn capacity(&self) -> usize {
        self.get().capacity()
    }
}

impl NorFlash for SharedFlash {
    const WRITE_SIZE: usize = FaultyFlash::WRITE_SIZE;
    const ERASE_SIZE: usize = FaultyFlash::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        block_on(self.get().erase(from, to))
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FlashFault> {
        block_on(self.get().write(offset, octets))
    }
}
