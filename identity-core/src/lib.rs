//! Device identity as a plain synchronous machine: no IO, no clock, no heap, no async, no unsafe, no panic.
//!
//! A driver asks [`agent::Agent::poll`] what to do, does it, and says how it went with `done`. `device-sdk` is such a driver.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

pub mod agent;
pub mod config;
pub mod crypto;
pub mod enrol;
pub mod entropy;
pub mod error;
pub mod jose;
pub mod keys;
pub mod memory;
pub mod record;
pub mod session;
pub mod time;
pub mod trust;
pub mod wire;
pub mod x509;

pub use error::Error;
