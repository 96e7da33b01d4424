//! What goes wrong around a server, and what it then does: each row of `docs/FAILURES.md` that can be played.
//!
//! A real process, as in the loopback tests, and faults that the process cannot tell from real ones: a clock that steps or
//! cannot be read, a full disk, too few files, signals. Invariant: the server that is tested has no part in the fault.
//! Not here: bad peers and lossy networks, which the loopback tests play.

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod compiler;
mod container;
mod death;
mod disk;
mod document;
mod expiry;
mod fault;
mod files;
mod flood;
mod panic;
mod stuck;
