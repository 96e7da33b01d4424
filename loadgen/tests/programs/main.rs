//! `uproar-loadgen` as a process: what becomes of its results, its connections and its exit code, however it is ended.
//!
//! Invariant: a test waits for what the program says or does, never for a time. Not here: what a report says of a match
//! that is played to its end.

#![allow(clippy::disallowed_methods, reason = "a test observes processes from outside, by the machine's clock")]

mod interrupted;
mod outputs;
mod support;
mod watching;
