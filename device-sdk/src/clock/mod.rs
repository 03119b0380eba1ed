//! Ready-made clocks.
