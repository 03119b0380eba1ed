//! HTTP, MQTT, SNTP and TLS over any embedded-io-async stream.
pub mod http;
pub mod mqtt;
pub mod sntp;
pub mod tls;
