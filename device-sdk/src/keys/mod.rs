//! Ready-made key stores.
