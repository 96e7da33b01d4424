//! The contract, checked from outside: golden samples that must never change, a reader that knows only
//! `docs/WIRE.md`, every refusal, and arbitrary bytes.
//!
//! The samples in `tests/golden` were laid out by hand from the byte tables, not printed by the encoder.

mod any;
mod control;
mod golden;
mod hello;
mod http;
mod plain;
mod reaction;
mod samples;
mod stream;
