//! The one seam to low-level cryptography.
