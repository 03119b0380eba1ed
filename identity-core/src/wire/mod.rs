//! Formats of the wire: HTTP field values, base64, JSON.
pub mod base64;
pub mod base64url;
pub mod http;
pub mod json;
