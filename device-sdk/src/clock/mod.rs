//! Ready-made clocks.
#[cfg(feature = "std")]
pub mod std_clock;
