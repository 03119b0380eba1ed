//! Records in RAM, for tests: everything is lost at reset.

use heapless::{LinearMap, Vec};
use identity_core::agent::step::Cause;

use crate::ports::{PortError, Store};

/// Up to `RECORDS` records of up to `OCTETS` octets each.
#[derive(Clone, Debug, Default)]
pub struct MemStore<const RECORDS: usize = 12, const OCTETS: usize = 3072> {
    records: LinearMap<u8, Vec<u8, OCTETS>, RECORDS>,
}

/// Why a record cannot be kept or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemError {
    /// There is no room for it.
    Full,
    /// It does not fit the buffer it is read into.
    Buffer,
}

impl PortError for MemError {
    fn cause(&self) -> Cause {
        Cause::Permanent
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Full => "the record does not fit; give `MemStore` more records or octets",
            Self::Buffer => "the record is longer than the buffer it is read into",
        }
    }
}

impl<const RECORDS: usize, const OCTETS: usize> Store for MemStore<RECORDS, OCTETS> {
    type Error = MemError;

    async fn load(&mut self, record: u8, into: &mut [u8]) -> Result<Option<usize>, MemError> {
        let Some(octets) = self.records.get(&record) else { return Ok(None) };
        into.get_mut(..octets.len()).ok_or(MemError::Buffer)?.copy_from_slice(octets);
        Ok(Some(octets.len()))
    }

    async fn store(&mut self, record: u8, octets: &[u8]) -> Result<(), MemError> {
        let octets = Vec::from_slice(octets).map_err(|_| MemError::Full)?;
        self.records.insert(record, octets).map(drop).map_err(|_| MemError::Full)
    }

    async fn erase(&mut self, record: u8) -> Result<(), MemError> {
        self.records.remove(&record);
        Ok(())
    }
}
