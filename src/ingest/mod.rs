//! Bytes become reactions, or a counted reason why not.
//!
//! Invariant: input is taken whole or refused whole, and a refusal is one variant of one enum, whose label is the
//! metric's. Sans-I/O: bytes come in, requests and replies go out. Not here: sockets and time-outs (the edge), what a
//! reaction adds to (the tally), which path means what (the shard).

mod reason;

pub mod datagram;
pub mod http;
