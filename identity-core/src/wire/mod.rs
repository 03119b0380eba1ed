//! Helpers over well-kept crates: HTTP field values, base64.
pub mod base64;
pub mod http;
