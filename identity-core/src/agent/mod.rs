//! The lifecycle machine.
pub mod step;
