//! Health-tested entropy to DRBG; no key exists without it.
