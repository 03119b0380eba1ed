//! Path verification on rustls-webpki with algorithms of our own.
