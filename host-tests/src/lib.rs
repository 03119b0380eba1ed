//! The test bed.

pub mod broker;
pub mod ca;
pub mod der;
pub mod entropy;
pub mod est;
pub mod est_options;
pub mod events;
pub mod flash;
pub mod http;
pub mod key;
pub mod loopback;
pub mod mosquitto;
mod mqtt_wire;
pub mod plant;
pub mod qemu;
pub mod rig;
pub mod scratch;
pub mod server;
pub mod simulator;
pub mod sntp;
pub mod subscriber;
pub mod timeline;
pub mod tls_peers;
pub mod tls_world;
pub mod virtual_time;
