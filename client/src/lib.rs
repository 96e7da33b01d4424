//! Rust SDK of Uproar.
