//! What a machine lacks for what is asked of the node, looked for once at start.
//!
//! Names and meanings are published in `docs/LOG.md`. Invariant: a check only reads, and through [`Machine`]; it finds a gap or nothing, never fails, and passes over what this
//! kernel does not show. Each gap has a stable name, says what is there, and how to close it.
//!
//! 1. `files`: limits of the process;
//! 2. `cores`: where the shards run;
//! 3. `network`: queues of the kernel.
//!
//! Others need no machine, and are looked for by `uproar config check` and at a reload as well: values that are
//! valid but likely a mistake ([`crate::config::Doubt`]), `identity` (the certificate) and `access` (who reaches the admin port).
//!
//! Not here: io_uring, without which nothing starts at all ([`super::sys::ring`]).

mod access;
mod cores;
mod files;
mod identity;
mod network;

use super::certificate::Validity;
use super::machine::Machine;
use super::socket_buffer::Clamp;
use crate::config::{Config, Doubt};
use std::fmt;
use std::time::Duration;

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

/// A configuration, whatever machine it is for.
#[derive(Clone, Copy, Debug)]
pub struct Configured<'a> {
    /// As loaded.
    pub config: &'a Config,
    /// What in it is valid but likely a mistake.
    pub doubts: &'a [Doubt],
    /// When the certificate that it names is valid, as far as that says so.
    pub validity: Option<Validity>,
    /// The time since 1970.
    pub now: Duration,
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
pub struct Gaps {
    gaps: Vec<Gap>,
    /// Whether some of them are of the configuration, so that another start alone will not do.
    are_of_configuration: bool,
}

/// Looks for one kind of gap.
type Check = fn(&Machine, &Plan<'_>) -> Vec<Gap>;

/// Looks for one kind of gap of a configuration.
type ConfigurationCheck = fn(&Configured<'_>) -> Vec<Gap>;

const CONFIGURATION_CHECKS: [ConfigurationCheck; 3] = [identity::development, identity::validity, access::admin];

const CHECKS: [Check; 9] = [
    files::open_files,
    files::memlock,
    cores::shared,
    cores::quota,
    cores::governor,
    cores::numa,
    network::socket_buffers,
    network::netdev_backlog,
    network::listen_backlog,
];

/// Every gap, in the order of the checks.
pub fn gaps(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    CHECKS.iter().flat_map(|check| check(machine, plan)).collect()
}

/// Every gap that a configuration has on any machine.
pub fn gaps_of_configuration(configured: &Configured<'_>) -> Vec<Gap> {
    let of = |Doubt { check, found, remedy }: &Doubt| Gap { check, found: found.clone(), remedy: remedy.clone() };
    let checked = CONFIGURATION_CHECKS.iter().flat_map(|check| check(configured));
    configured.doubts.iter().map(of).chain(checked).collect()
}

/// The gaps to warn of, those of the machine first; with `strict`, none is taken.
///
/// # Errors
/// All gaps at once, if `strict` and there are any.
pub fn judge(of_machine: Vec<Gap>, of_configuration: Vec<Gap>, strict: bool) -> Result<Vec<Gap>, Gaps> {
    let are_of_configuration = !of_configuration.is_empty();
    let gaps: Vec<_> = of_machine.into_iter().chain(of_configuration).collect();
    if strict && !gaps.is_empty() { Err(Gaps { gaps, are_of_configuration }) } else { Ok(gaps) }
}

impl Gap {
    /// The name of the check that found it.
    pub fn check(&self) -> &'static str {
        self.check
    }

    /// Logs it.
    pub fn warn(&self) {
        tracing::warn!(event = self.check, remedy = self.remedy, "{}", self.found);
    }
}

impl Gaps {
    /// Whether the configuration has to change: another start alone will not do.
    pub fn are_of_configuration(&self) -> bool {
        self.are_of_configuration
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
        self.gaps.iter().try_for_each(|gap| write!(f, "\n  {gap}"))
    }
}

impl std::error::Error for Gaps {}

/// A number that a file holds alone.
fn number(machine: &Machine, path: &str) -> Option<u64> {
    machine.read(path).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
