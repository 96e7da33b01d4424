//! Which core each shard runs on.

use super::life;
use super::machine::{Machine, cpu_list};
use crate::limits;
use std::collections::BTreeSet;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The cores that this process may use, first to last.
pub fn usable_cores() -> Vec<usize> {
    match core_affinity::get_core_ids().unwrap_or_default() {
        // The call has room for 1,024 processors, and fails where the kernel knows more.
        none if none.is_empty() => allowed_by_status(&Machine::at("/")).unwrap_or_default(),
        cores => cores.into_iter().map(|core| core.id).collect(),
    }
}

/// The line `Cpus_allowed_list` of `/proc/self/status` (proc_pid_status(5)).
fn allowed_by_status(machine: &Machine) -> Option<Vec<usize>> {
    let status = machine.read("/proc/self/status").ok()?;
    cpu_list(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// One core a shard; with more shards than cores, cores are shared in turn. `shards` of `None` means one a core.
pub fn place(shards: Option<usize>, usable: &[usize]) -> Vec<usize> {
    let shards = shards.unwrap_or(usable.len()).clamp(1, limits::SHARDS_MAX);
    (0..shards).map(|shard| usable.get(shard % usable.len().max(1)).copied().unwrap_or(0)).collect()
}

/// Keeps the calling thread, and those it starts afterwards, off the shards' cores where there are others.
pub fn keep_off(shard_cores: &[usize], usable: &[usize]) {
    if let Some(&free) = usable.iter().find(|core| !shard_cores.contains(core)) {
        core_affinity::set_for_current(core_affinity::CoreId { id: free });
    }
}

/// Claims the cores for this server as long as the result is held, and warns of those that another server has claimed: each
/// would take the time of the other. A claim is a name in the network namespace's abstract socket space, as a port's lock is.
pub fn claim(cores: &[usize]) -> Vec<UnixListener> {
    let (mut claims, mut taken) = (Vec::new(), Vec::new());
    for core in BTreeSet::from_iter(cores) {
        let name = SocketAddr::from_abstract_name(format!("uproar/core/{core}"));
        match name.and_then(|name| UnixListener::bind_addr(&name)) {
            Ok(claim) => claims.push(claim),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken.push(core.to_string()),
            // Whatever else is wrong with sockets ends the start elsewhere.
            Err(_) => {}
        }
    }
    if !taken.is_empty() {
        tracing::warn!(
            event = life::CORES_TAKEN,
            remedy = "give each server cores of its own with `taskset -c`, AllowedCPUs= or --cpuset-cpus",
            "another server has shards on the same {}: {}",
            if taken.len() == 1 { "core" } else { "cores" },
            taken.join(",")
        );
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::machine::with_files;

    #[test]
    fn cores_are_read_where_the_call_does_not_tell_them() {
        let (_root, machine) = with_files(&[("/proc/self/status", "Name:\tuproar\nCpus_allowed_list:\t0-1,1030\n")]);
        assert_eq!(allowed_by_status(&machine), Some(vec![0, 1, 1030]));
        let (_root, empty) = with_files(&[("/proc/self/status", "")]);
        assert_eq!(allowed_by_status(&empty), None);
        assert!(!usable_cores().is_empty());
    }

    #[test]
    fn a_core_is_claimed_once_at_a_time() {
        // Cores that no machine has.
        let cores = [99_001, 99_002, 99_001];
        let first = claim(&cores);
        assert_eq!((first.len(), claim(&cores).len()), (2, 0));
        drop(first);
        assert_eq!(claim(&cores).len(), 2);
    }
}
