//! Device identity for microcontrollers: one async loop over four ports of a board.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[macro_use]
mod log;

pub mod clock;
pub mod error;
pub mod keys;
pub mod net;
pub mod ports;
pub mod store;

pub use error::Error;
