//! The whole appliance from outside: a real server process, real sockets on the loopback interface.
//!
//! What is asserted is what arrives and what is counted, never how long it took. Not here: every byte a parser may
//! meet and every interleaving of shards, which tests of the parts replay without a socket.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod connections;
mod crowd;
mod deploy;
mod drain;
mod drops;
mod environment;
mod fleet;
mod http;
mod http3;
mod impaired;
mod inputs;
mod interop;
mod joining;
mod life;
mod log;
mod malformed;
mod match_play;
mod metrics;
mod network;
mod outputs;
mod page;
mod refusals;
mod reload;
mod reloading;
mod restart;
mod rooms;
mod startup;
mod storm;
mod stream;
mod subscribers;
mod supervised;
mod tools;
mod top;
mod totals;
mod vanished;
mod webtransport;
