//! Records in NOR flash, on the map of sequential-storage.
//!
//! Record 0 is the header: `"idst"` and the version of the format, written before the first other record. An empty item is
//! the tombstone of an erased record. What was erased or overwritten stays readable in flash until its page is reused, so
//! nothing secret may be stored here unsealed: private keys come sealed.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use identity_core::agent::step::Cause;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::ports::{PortError, Store};

/// The header of the format this firmware reads and writes.
const HEADER: [u8; 5] = *b"idst\x01";

/// Records of up to `OCTETS - 8` octets in a range of pages of `flash`.
///
/// An item lies within one page, and one page is always kept free: six pages of 4096 octets do for a device whose four
/// largest records are as large as can be. A future dropped in the middle is as if power had failed there: the record is
/// the old one or the new one.
pub struct NorStore<F: NorFlash, const OCTETS: usize = 3072> {
    map: MapStorage<u8, F, Cache<Uncached, Uncached, Uncached, u8>>,
    scratch: [u8; OCTETS],
    checked: bool,
}

/// Why the flash does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NorError {
    /// The range is not whole pages, is fewer than two, or the pages or words of this flash do not suit.
    Range,
    /// No room is left although old records were cleared.
    Full,
    /// The record does not fit a page, the store's scratch or the buffer it is read into.
    TooLong,
    /// The range holds neither a store nor blank flash, or its repair failed. Nothing was erased.
    Corrupt,
    /// The store was written by newer firmware. Nothing was touched.
    Newer {
        /// The version found.
        version: u8,
    },
    /// The flash driver reported a failure.
    Flash,
    /// Record 0 is the store's own.
    Reserved,
}

impl PortError for NorError {
    fn cause(&self) -> Cause {
        if matches!(self, Self::Flash) { Cause::Transient } else { Cause::Permanent }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Range => "the flash range must be at least two whole pages; fix the board's partition",
            Self::Full => "the flash range is full; give the store more pages",
            Self::TooLong => "the record does not fit a page, the scratch or the buffer lent for it",
            Self::Corrupt => "the flash range holds no readable store; erase it to start anew (the identity is lost)",
            Self::Newer { .. } => "the flash was written by newer firmware; update this firmware",
            Self::Flash => "the flash driver failed; check wiring, supply and write protection",
            Self::Reserved => "record 0 belongs to the store",
        }
    }
}

impl core::fmt::Display for NorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.hint())
    }
}

impl core::error::Error for NorError {}

impl<E> From<sequential_storage::Error<E>> for NorError {
    fn from(error: sequential_storage::Error<E>) -> Self {
        use sequential_storage::Error as E;
        match error {
            E::Storage { .. } => Self::Flash,
            E::FullStorage => Self::Full,
            E::BufferTooSmall(_) | E::BufferTooBig | E::ItemTooBig => Self::TooLong,
            _ => Self::Corrupt,
        }
    }
}

impl<F: NorFlash, const OCTETS: usize> NorStore<F, OCTETS> {
    /// A store in `range` of `flash`, in octets from its start. Reads nothing yet.
    ///
    /// # Errors
    /// [`NorError::Range`].
    pub fn new(flash: F, range: Range<u32>) -> Result<Self, NorError> {
        let inside = usize::try_from(range.end).is_ok_and(|end| end <= flash.capacity());
        if !inside || range.start >= range.end || !F::ERASE_SIZE.is_multiple_of(128) {
            return Err(NorError::Range);
        }
        let config = MapConfig::try_new(range).map_err(|_| NorError::Range)?;
        let map = MapStorage::new(flash, config, Cache::new_uncached());
        Ok(Self { map, scratch: [0; OCTETS], checked: false })
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.map.destroy().0
    }

    async fn get(&mut self, record: u8) -> Result<Option<&[u8]>, NorError> {
        Ok(self.map.fetch_item::<&[u8]>(&mut self.scratch, &record).await?)
    }

    async fn put(&mut self, record: u8, octets: &[u8]) -> Result<(), NorError> {
        // Checked here because sequential-storage would close a page before it finds out.
        if octets.len() > OCTETS.saturating_sub(8).min(F::ERASE_SIZE.saturating_sub(8 * F::WRITE_SIZE.max(8))) {
            return Err(NorError::TooLong);
        }
        Ok(self.map.store_item(&mut self.scratch, &record, &octets).await?)
    }

    /// Whether nothing but the start of a page, where a cut may have left half a header, was ever written. The storage
    /// takes foreign contents for free space: without this look they would be overwritten.
    async fn blank(&mut self) -> Result<bool, NorError> {
        const CHUNK: usize = 128;
        let range = self.map.flash_range();
        let mut octets = [0; CHUNK];
        for at in range.step_by(CHUNK) {
            let starts_page = (at as usize).is_multiple_of(F::ERASE_SIZE);
            self.map.flash().read(at, &mut octets).await.map_err(|_| NorError::Flash)?;
            if !starts_page && octets.iter().any(|&octet| octet != 0xff) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks at the header once, before anything else: true when there is one. Blank flash has none.
    async fn open(&mut self) -> Result<bool, NorError> {
        if self.checked {
            return Ok(true);
        }
        match self.get(0).await? {
            None => return self.blank().await.and_then(|blank| if blank { Ok(false) } else { Err(NorError::Corrupt) }),
            Some(header) if *header == HEADER => {}
            Some(&[b'i', b'd', b's', b't', version]) if version > HEADER[4] => return Err(NorError::Newer { version }),
            Some(_) => return Err(NorError::Corrupt),
        }
        self.checked = true;
        Ok(true)
    }
}

impl<F: NorFlash, const OCTETS: usize> Store for NorStore<F, OCTETS> {
    type Error = NorError;

    async fn load(&mut self, record: u8, into: &mut [u8]) -> Result<Option<usize>, NorError> {
        if record == 0 {
            return Err(NorError::Reserved);
        }
        if !self.open().await? {
            return Ok(None);
        }
        match self.get(record).await? {
            None | Some([]) => Ok(None),
            Some(octets) => {
                into.get_mut(..octets.len()).ok_or(NorError::TooLong)?.copy_from_slice(octets);
                Ok(Some(octets.len()))
            }
        }
    }

    async fn store(&mut self, record: u8, octets: &[u8]) -> Result<(), NorError> {
        if record == 0 {
            return Err(NorError::Reserved);
        }
        if !self.open().await? {
            self.put(0, &HEADER).await?;
            self.checked = true;
        }
        self.put(record, octets).await
    }

    async fn erase(&mut self, record: u8) -> Result<(), NorError> {
        if record == 0 {
            return Err(NorError::Reserved);
        }
        if !self.open().await? || matches!(self.get(record).await?, None | Some([])) {
            return Ok(());
        }
        self.put(record, &[]).await
    }
}
