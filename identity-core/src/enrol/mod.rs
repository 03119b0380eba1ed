//! How credentials are obtained: one file per way.
/// A way to obtain credentials.
pub trait Enrol: Sync {}
