//! What a machine lacks for what is asked of the node, looked for once at start.
//!
//! Names and meanings are published in `docs/LOG.md`. Invariant: a check only reads, and through [`Machine`]; it finds a gap or nothing, never fails, and passes over what this
//! kernel does not show. Each gap has a stable name, says what is there, and how to close it.
//!
//! 1. `files`: limits of the process;
//! 2. `cores`: where the shards run;
//! 3. `network`: queues of the kernel;
//! 4. `identity`: the certificate.
//!
//! Not here: io_uring, without which nothing starts at all ([`super::sys::ring`]).

mod cores;
mod files;
mod identity;
mod network;

use super::machine::Machine;
use super::socket_buffer::Clamp;
use crate::config::Config;
use std::fmt;

/// What the node is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// As configured.
    pub config: &'a Config,
    /// The core of each shard.
    pub cores: &'a [usize],
    /// The cores that this process may use.
    pub usable: &'a [usize],
    /// Socket buffers that are smaller than configured.
    pub clamps: &'a [Clamp],
}

/// Something that is not as it should be. As text it is one sentence, with the remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    check: &'static str,
    found: String,
    remedy: String,
}

/// The gaps that a strict node does not start with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gaps(Vec<Gap>);

/// Looks for one kind of gap.
type Check = fn(&Machine, &Plan<'_>) -> Vec<Gap>;

const CHECKS: [Check; 10] = [
    files::open_files,
    files::memlock,
    cores::shared,
    cores::quota,
    cores::governor,
    cores::numa,
    network::socket_buffers,
    network::netdev_backlog,
    network::listen_backlog,
    identity::certificate,
];

/// Every gap, in the order of the checks.
pub fn gaps(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    CHECKS.iter().flat_map(|check| check(machine, plan)).collect()
}

/// Warns of every gap; on a strict node, none is taken.
///
/// # Errors
/// All gaps at once, if the node is strict and there are any.
pub fn enforce(machine: &Machine, plan: &Plan<'_>) -> Result<(), Gaps> {
    let gaps = gaps(machine, plan);
    if plan.config.strict && !gaps.is_empty() {
        return Err(Gaps(gaps));
    }
    for Gap { check, found, remedy } in &gaps {
        tracing::warn!(event = check, remedy, "{found}");
    }
    Ok(())
}

impl Gap {
    /// The name of the check that found it.
    pub fn check(&self) -> &'static str {
        self.check
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.check, self.found, self.remedy)
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node is strict, and the start-up checks found:")?;
        self.0.iter().try_for_each(|gap| write!(f, "\n  {gap}"))
    }
}

impl std::error::Error for Gaps {}

/// A number that a file holds alone.
fn number(machine: &Machine, path: &str) -> Option<u64> {
    machine.read(path).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
