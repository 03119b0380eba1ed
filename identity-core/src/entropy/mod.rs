//! Health-tested entropy to DRBG; no key exists without it.
//!
//! ```text
//! board's noise ── RawSource ── Tested ── Seed ── Drbg ── SecretKey::generate, sign, seal
//!                    raw octets   │ SP 800-90B §4.3, §4.4 on every octet
//!                                 └ start-up test, then continuous; a failure latches
//! ```
//!
//! Each arrow is a type that only the step before can make: a [`Drbg`] asks for a [`Seed`], a [`Seed`] comes out of a
//! [`Tested`] source alone, and [`Tested::start`] runs the start-up test. Firmware owns one [`Rng`], which holds them all.

mod drbg;
mod health;
mod rng;
mod source;

pub use drbg::{Drbg, REQUEST_MAX};
pub use health::{START_UP_OCTETS, WINDOW, proportion_cutoff, repetition_cutoff};
pub use rng::{RESEED_INTERVAL, Rng};
pub use source::{RawSource, Seed, Tested};

pub(crate) use drbg::HmacDrbg;

#[cfg(test)]
mod tests;
