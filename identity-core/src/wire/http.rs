//! HTTP field values: media type, Retry-After, dates (RFC 9110).
