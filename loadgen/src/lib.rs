//! The crowd: plays a match with fifty million people against Uproar, and says what was counted.
//!
//! 1. [`cli`]: what was asked for. [`scenario`]: the match to play; every knob with its range.
//! 2. [`crowd`]: who taps what and when, from one seed; [`plan`] says what that comes to. Pure: no clock, no sockets.
//! 3. [`stage`]: the clock that a match is played by, and [`interrupt`]: the signal that ends it early. [`drivers`]: the three ways in, and intruders.
//!    [`ledger`]: what was sent, and when.
//! 4. [`audience`]: auditors, and the [`fleet`], many thousand real subscribers in one thread. [`audit`]: what their frames
//!    add up to.
//! 5. [`server_watch`]: what the server says of itself, by [`metrics_scrape`]. [`live`]: what is shown meanwhile.
//! 6. [`play`]: a run from start to end. [`rooms`] are made for it where they are missing.
//! 7. [`report`]: where all of these agree, and where not: as JSON, as text, merged and compared. [`html`]: as a page.
//! 8. [`demo`], [`watch`], [`view`]: for people to look at; [`appliance`] is the demo's server. [`fan_out`]: the fleet alone.
//!
//! Invariant: open loop. Nothing the server does delays the plan, and latency counts from the planned moment.
//!
//! Without the feature `edge` nothing is left of it, so that tests of the appliance's pure core, which has this crate among
//! its dev-dependencies, stay pure.

#![cfg(feature = "edge")]
// Both panic when nobody can read them; `uproar::edge::output` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
// The generator is the clock's business from end to end: plans against real time is what it is for.
#![allow(clippy::disallowed_methods)]

pub mod appliance;
pub mod audience;
pub mod audit;
pub mod cli;
mod cpu;
pub mod crowd;
pub mod demo;
pub mod drivers;
pub mod exchange;
pub mod fan_out;
pub mod fleet;
pub mod html;
pub mod interrupt;
pub mod ledger;
pub mod live;
pub mod metrics_scrape;
pub mod plan;
pub mod play;
pub mod report;
pub mod rooms;
pub mod scenario;
pub mod server_watch;
pub mod stage;
pub mod table;
pub mod view;
pub mod watch;
mod witness;
