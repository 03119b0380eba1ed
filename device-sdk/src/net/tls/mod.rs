//! TLS behind a seam.
