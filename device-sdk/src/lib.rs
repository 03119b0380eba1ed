//! Device identity for microcontrollers: one async loop over four ports of a board.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[macro_use]
mod log;

pub mod clock;
pub mod config;
mod device;
mod effects;
pub mod error;
pub mod keys;
mod link;
pub mod net;
pub mod ports;
mod reconnect;
pub mod store;
mod wall;

pub use config::{Config, Memory, TimeServer};
pub use device::Device;
pub use error::Error;
pub use identity_core::{agent, entropy};
pub use link::Link;
