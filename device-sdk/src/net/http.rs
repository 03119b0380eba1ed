//! HTTP/1.1 client (RFC 9112) on httparse.
