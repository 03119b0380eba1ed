//! The applications of `apps` on a desktop.
fn main() {}
