//! What benches and tests take from the crowd: the [`fleet`], many thousand real subscribers in one thread.
//!
//! Not here: matches and their audits, which are the binary's.

// The generator is the clock's business from end to end.
#![allow(clippy::disallowed_methods)]

#[cfg(feature = "edge")]
pub mod fleet;
