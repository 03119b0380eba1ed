//! JSON Object Signing: the device's own key as a JWK, what it signs with it (DPoP proofs, assertions), and tokens of others
//! read ([`jwt`], without trust) and verified ([`verify`], as evidence).
//!
//! RFC 7515 (JWS), 7517 (JWK), 7518 (algorithms), 7519 (JWT), 7638 (thumbprints), 8725 (best practices).

pub mod assertion;
pub mod dpop;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod verify;
