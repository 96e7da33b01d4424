//! Limits of the process: open files, locked memory.

use super::{Gap, Plan};
use crate::edge::machine::Machine;
use crate::limits;

/// Bytes of locked memory without which the runtime does not set up a ring.
const MEMLOCK_BYTES: u64 = 512 * 1024;

/// Every HTTP connection that may be open needs a file. The limit has been raised as far as it goes by now.
pub(super) fn open_files(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let Some(limit) = soft_limit(machine, "Max open files") else { return Vec::new() };
    let (shards, connections) = (plan.cores.len() as u64, plan.config.http.connections_max as u64);
    let others =
        limits::ADMIN_CONNECTIONS_MAX as u64 + shards * limits::FILES_OF_A_SHARD + limits::FILES_OF_THE_PROCESS;
    let needed = shards * connections + others;
    if limit >= needed {
        return Vec::new();
    }
    let fitting = limit.saturating_sub(others) / shards.max(1);
    let lower = if fitting > 0 { format!(", or lower http.connections_max to {fitting}") } else { String::new() };
    vec![Gap {
        check: "open_files",
        found: format!(
            "{shards} shards with {connections} HTTP connections need {needed} open files, and may have {limit}"
        ),
        remedy: format!("raise the hard limit with `ulimit -Hn {needed}` or LimitNOFILE={needed}{lower}"),
    }]
}

/// Kernels before 5.12 count the memory of rings against this limit; the runtime insists on its minimum everywhere.
pub(super) fn memlock(machine: &Machine, _: &Plan<'_>) -> Vec<Gap> {
    let limit = soft_limit(machine, "Max locked memory").filter(|&limit| limit < MEMLOCK_BYTES);
    let gap = |limit| Gap {
        check: "memlock",
        found: format!("{limit} bytes of memory may be locked, and a shard needs {MEMLOCK_BYTES} for its rings"),
        remedy: "raise the limit with `ulimit -l unlimited` or LimitMEMLOCK=infinity".into(),
    };
    limit.map(gap).into_iter().collect()
}

/// The soft limit of a line of `/proc/self/limits`, whose columns are wide and separated by two spaces or more; `None` for
/// `unlimited`, and for a line that is not there.
fn soft_limit(machine: &Machine, name: &str) -> Option<u64> {
    let limits = machine.read("/proc/self/limits").ok()?;
    let values = limits.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_ascii_whitespace().next()?.parse().ok()
}
