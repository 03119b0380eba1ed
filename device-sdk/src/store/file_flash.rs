//! A NOR flash whose contents are a file of the desktop, so that a simulated device keeps its identity.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Pages of 4096 octets, words of 4 octets. Blank octets are 0xff; a write only clears bits, as in silicon.
#[derive(Debug)]
pub struct FileFlash {
    file: File,
    capacity: usize,
}

/// What the operating system said, or a misaligned or out-of-range address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileError(pub NorFlashErrorKind);

impl From<NorFlashErrorKind> for FileError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self(kind)
    }
}

impl From<io::Error> for FileError {
    fn from(_: io::Error) -> Self {
        Self(NorFlashErrorKind::Other)
    }
}

impl NorFlashError for FileError {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl FileFlash {
    /// Opens the file, or makes one of `capacity` octets, a multiple of 4096, all blank. A shorter file is lengthened.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: impl AsRef<Path>, capacity: usize) -> io::Result<Self> {
        if !capacity.is_multiple_of(Self::ERASE_SIZE) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the capacity must be a multiple of 4096"));
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let have = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        file.seek(SeekFrom::End(0))?;
        file.write_all(&std::vec![0xff; capacity.saturating_sub(have)])?;
        Ok(Self { file, capacity })
    }

    /// Fails unless `from..from + length` is inside and both ends are multiples of `unit`.
    fn check(&self, from: u32, length: usize, unit: usize) -> Result<(), FileError> {
        let from = from as usize;
        if !from.is_multiple_of(unit) || !length.is_multiple_of(unit) {
            return Err(NorFlashErrorKind::NotAligned.into());
        }
        let inside = from.checked_add(length).is_some_and(|end| end <= self.capacity);
        if inside { Ok(()) } else { Err(NorFlashErrorKind::OutOfBounds.into()) }
    }

    fn at(&mut self, offset: u32) -> io::Result<&mut File> {
        self.file.seek(SeekFrom::Start(offset.into()))?;
        Ok(&mut self.file)
    }
}

impl ErrorType for FileFlash {
    type Error = FileError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), FileError> {
        self.check(offset, octets.len(), 1)?;
        Ok(self.at(offset)?.read_exact(octets)?)
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FileError> {
        let length = to.checked_sub(from).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        self.check(from, length, Self::ERASE_SIZE)?;
        Ok(self.at(from)?.write_all(&std::vec![0xff; length])?)
    }

    async fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), FileError> {
        self.check(offset, octets.len(), Self::WRITE_SIZE)?;
        let mut now = std::vec![0; octets.len()];
        self.at(offset)?.read_exact(&mut now)?;
        now.iter_mut().zip(octets).for_each(|(now, new)| *now &= new);
        Ok(self.at(offset)?.write_all(&now)?)
    }
}
