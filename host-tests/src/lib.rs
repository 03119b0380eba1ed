//! The test bed.

pub mod ca;
pub mod der;
pub mod est;
mod est_options;
pub mod http;
pub mod key;
pub mod loopback;
pub mod scratch;
pub mod server;
pub mod tls_peers;
pub mod tls_world;
