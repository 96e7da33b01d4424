//! The crowd.
fn main() {}
