//! Uproar.
fn main() {}
