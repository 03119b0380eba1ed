//! Ready-made clocks.
#[cfg(feature = "embassy")]
pub mod embassy_clock;
#[cfg(feature = "std")]
pub mod std_clock;
