//! Ready-made key stores.
pub mod software;
#[cfg(feature = "std")]
pub mod std_entropy;

pub use software::{DeviceSecret, SoftwareKeys};
