//! The one seam to low-level cryptography: nothing else in this crate names a curve, hash or cipher crate, so that another
//! backend (assembly, a hardware accelerator) is a change to this folder alone.
//!
//! Octets in, octets out. Secrets ([`SecretKey`], [`HmacSha256`]) have no `Debug` and no `Clone`.

mod algorithms;
mod der;
mod ecdsa;
mod hash;
mod jose;
mod p256;
mod p384;
mod rsa;
mod seal;

pub use algorithms::{ALGORITHMS, by_tls_scheme};
pub use der::SIGNATURE_DER_MAX;
pub use hash::{HmacSha256, Sha256, hmac_sha256, sha256};
pub(crate) use jose::{verify_es256, verify_es384, verify_ps256, verify_rs256};
pub use p256::{SecretKey, verify_p256};
pub use seal::{SEALED_LEN, open, seal};

#[cfg(test)]
mod tests;
