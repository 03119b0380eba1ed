//! The test bed.

pub mod ca;
pub mod der;
pub mod est;
mod est_options;
pub mod http;
pub mod key;
pub mod scratch;
pub mod server;
