//! HTTP, MQTT, SNTP and TLS over any embedded-io-async stream.
#[cfg(feature = "embassy")]
pub mod embassy_net;
pub mod http;
pub mod mqtt;
pub mod sntp;
#[cfg(feature = "std")]
pub mod std_net;
pub mod tls;
pub mod transport;
