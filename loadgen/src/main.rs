//! The crowd: plays a match against Uproar and says what was counted.
//!
//! 1. [`cli`]: what was asked for. [`scenario`]: the match to play; every knob with its range.
//! 2. [`schedule`]: who taps what and when, from one seed, planned before anything is sent.
//! 3. [`drivers`]: the three ways in: UDP, HTTP, QUIC. [`ledger`]: what they sent.
//! 4. [`subscribers`]: real QUIC subscribers. [`audit`]: what their frames add up to.
//! 5. [`metrics_scrape`]: what the server says. [`report`]: where all of these agree, and where not;
//!    [`table`] shows it.
//! 6. [`fan_out`]: many thousand subscribers and nothing else, on the library's fleet.
//! 7. [`play`]: a run from start to end. [`demo`], [`watch`], [`view`]: the same, for people to look at;
//!    [`appliance`] is the demo's server.
//!
//! Invariant: open loop. Nothing the server does delays the plan, and latency counts from the planned moment.

// The generator is the clock's business from end to end: plans against real time is what it is for.
#![allow(clippy::disallowed_methods)]

mod appliance;
mod audit;
mod cli;
mod demo;
mod drivers;
mod fan_out;
mod ledger;
mod metrics_scrape;
mod play;
mod report;
mod scenario;
mod schedule;
mod subscribers;
mod table;
mod view;
mod watch;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
