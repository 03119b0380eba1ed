//! SNTP client (RFC 4330).
