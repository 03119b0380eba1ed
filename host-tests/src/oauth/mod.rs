//! An OAuth2 authorization server, as strict as the RFCs allow: a pure function of time, client certificate and
//! request. And a resource server that takes its tokens.

pub(crate) mod assertion;
pub(crate) mod authenticate;
pub mod client;
pub(crate) mod device;
pub(crate) mod dpop;
pub(crate) mod faults;
pub(crate) mod form;
pub(crate) mod grants;
pub mod json;
pub mod jwk;
pub mod jws;
pub(crate) mod manage;
pub(crate) mod metadata;
pub mod options;
pub(crate) mod problem;
pub(crate) mod registration;
pub mod resource;
mod server;
pub(crate) mod tokens;
pub mod verify;

pub use client::{Client, Credential, Subject};
pub use options::*;
pub(crate) use server::split;
pub use server::{AuthServer, Issued, Served};

/// So many random octets in base64url.
///
/// # Panics
/// When the system gives no randomness.
pub(crate) fn random(octets: usize) -> String {
    let mut out = vec![0; octets];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut out).expect("randomness");
    data_encoding::BASE64URL_NOPAD.encode(&out)
}
