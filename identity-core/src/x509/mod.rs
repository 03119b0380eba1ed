//! X.509: write a CSR, read certificates and certs-only CMS, verify paths.

pub mod cert;
pub mod cms;
pub mod csr;
pub mod csrattrs;
pub(crate) mod der;
mod host;
pub(crate) mod oid;
pub mod verify;

/// Splits concatenated DER certificates; stops at the first octet that does not start a whole SEQUENCE.
pub fn der_certificates(concatenated: &[u8]) -> impl Iterator<Item = &[u8]> + use<'_> {
    let mut rest = concatenated;
    core::iter::from_fn(move || {
        let (first, after) = cert::split_der(rest)?;
        rest = after;
        Some(first)
    })
}
