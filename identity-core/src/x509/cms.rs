//! Certs-only CMS reader (RFC 5652 §5, RFC 7030 §4.1.3).
