//! A NOR flash whose contents are a file of the host.

use core::ffi::CStr;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use semihosting::fs::File;
use semihosting::io::{self, Read, Seek, SeekFrom, Write};

/// Pages of the flash.
const PAGES: usize = 16;
/// Octets of a page.
const PAGE: usize = 4096;
/// A blank page.
static BLANK: [u8; PAGE] = [0xff; PAGE];

/// 64 KiB: 16 pages of 4096 octets, words of 4 octets. Blank octets are 0xff; a write only clears bits, as in silicon.
///
/// QEMU killed in the middle loses what was not yet written and keeps the rest. An operation ends before it returns, so
/// a dropped future tears nothing.
pub struct HostFileFlash(File);

/// What the host said, or a misaligned or out-of-range address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError(pub NorFlashErrorKind);

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self(kind)
    }
}

impl From<io::Error> for FlashError {
    fn from(_: io::Error) -> Self {
        Self(NorFlashErrorKind::Other)
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl HostFileFlash {
    /// Opens the file, relative to the directory QEMU runs in. A missing one is made, a short one lengthened with 0xff.
    ///
    /// # Panics
    /// When the host lets it be neither opened nor made.
    #[must_use]
    pub fn open(path: &CStr) -> Self {
        let open = File::options().read(true).write(true).open(path);
        let open = open.or_else(|_| File::options().read(true).write(true).create(true).truncate(true).open(path));
        let mut flash = Self(open.expect("the directory QEMU runs in must be writable: the flash is a file there"));
        flash.lengthen().expect("the host's disk is full or the flash's file is read-only");
        flash
    }

    fn lengthen(&mut self) -> io::Result<()> {
        let mut have = self.0.seek(SeekFrom::End(0))? as usize;
        while have < PAGES * PAGE {
            let blank = &BLANK[have % PAGE..];
            self.0.write_all(blank)?;
            have += blank.len();
        }
        Ok(())
    }

    /// Fails unless `from..from + length` is inside and both ends are multiples of `unit`.
    fn check(from: u32, length: usize, unit: usize) -> Result<(), FlashError> {
        let from = from as usize;
        if !from.is_multiple_of(unit) || !length.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned.into());
        }
        let inside = from.checked_add(length).is_some_and(|end| end <= PAGES * PAGE);
        if inside { Ok(()) } else { Err(NorFlashErrorKind::OutOfBounds.into()) }
    }

    fn at(&mut self, offset: u32) -> io::Result<&mut File> {
        self.0.seek(SeekFrom::Start(offset.into()))?;
        Ok(&mut self.0)
    }
}

impl ErrorType for HostFileFlash {
    type Error = FlashError;
}

impl ReadNorFlash for HostFileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), FlashError> {
        Self::check(offset, octets.len(), 1)?;
        Ok(self.at(offset)?.read_exact(octets)?)
    }

    fn capacity(&self) -> usize {
        PAGES * PAGE
    }
}

impl NorFlash for HostFileFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        Self::check(from, length, PAGE)?;
        let file = self.at(from)?;
        for _ in 0..length / PAGE {
            file.write_all(&BLANK)?;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FlashError> {
        Self::check(offset, octets.len(), Self::WRITE_SIZE)?;
        let mut at = offset;
        for new in octets.chunks(256) {
            let mut block = [0; 256];
            let now = &mut block[..new.len()];
            self.at(at)?.read_exact(now)?;
            now.iter_mut().zip(new).for_each(|(now, new)| *now &= new);
            self.at(at)?.write_all(now)?;
            at += new.len() as u32;
        }
        Ok(())
    }
}
