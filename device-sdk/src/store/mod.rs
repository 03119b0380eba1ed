//! Ready-made stores.
#[cfg(feature = "std")]
pub mod file_flash;
pub mod mem;
pub mod nor;

pub use mem::MemStore;
pub use nor::NorStore;
