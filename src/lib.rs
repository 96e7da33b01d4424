//! Uproar takes every tap of an audience, counts it, and shows every viewer what the stadium feels.
//!
//! The life of a reaction, in order; each step is one module:
//!
//! 1. [`ingest`]: bytes become reactions, or a counted reason why not.
//! 2. [`tally`]: the shard that received a reaction counts it into the open window; when the window closes, each
//!    room's merger adds up what all shards counted and makes the frame.
//! 3. [`fanout`]: the frame is offered to every subscriber of the room; the newest one wins.
//! 4. [`quic`]: connections, hellos and streams, as a state machine over datagrams.
//! 5. [`shard`]: joins these parts into everything that one core owns.
//! 6. `edge` (cargo feature, on by default): sockets, rings, clocks, the mesh between cores: the only async code, the
//!    only system calls, the only unsafe code.
//! 7. `appliance`: start-up and shut-down, step by step. `top` looks at a running one from outside.
//!
//! Beside it, for whoever runs it: `tune` makes a machine fit for it, `top` shows what a running one does.
//!
//! Steps 1 to 5 are sans-I/O: bytes and `now` come in by `handle_*`, what to do comes out by `poll_*`. That is why a
//! whole match replays from one seed in a test. The bytes on the wire are the crate `uproar_wire`.

// Both panic when nobody can read them; `edge::output` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod ids;
pub mod limits;
pub mod metrics;
pub mod origins;
pub mod room;
pub mod window;

pub mod ingest;
pub mod tally;

pub mod fanout;
pub mod quic;

pub mod shard;

pub mod config;
pub mod input;

#[cfg(feature = "edge")]
pub mod appliance;
#[cfg(feature = "edge")]
pub mod cli;
#[cfg(feature = "edge")]
pub mod edge;
#[cfg(feature = "edge")]
pub mod top;
#[cfg(feature = "edge")]
pub mod tune;
