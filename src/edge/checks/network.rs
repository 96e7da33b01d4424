//! Queues of the kernel, which drop what does not fit without a word.

use super::{Gap, Plan, number};
use crate::edge::listen::LISTEN_BACKLOG;
use crate::edge::machine::Machine;

/// Packets of one core's queue that a burst needs: the kernel's 1000 are full after half a millisecond of small datagrams.
pub(super) const NETDEV_BACKLOG: u64 = 16_384;

/// What was asked for is known, and so is what the kernel gave.
pub(super) fn socket_buffers(_: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let gap = |clamp: &super::Clamp| Gap { check: "socket_buffers", found: clamp.found(), remedy: clamp.remedy() };
    plan.clamps.iter().map(gap).collect()
}

/// Packets wait in this queue on loopback, on virtual interfaces, and where they are steered to another core in software.
pub(super) fn netdev_backlog(machine: &Machine, _: &Plan<'_>) -> Vec<Gap> {
    let small = number(machine, "/proc/sys/net/core/netdev_max_backlog").filter(|&packets| packets < NETDEV_BACKLOG);
    let gap = |packets| Gap {
        check: "netdev_backlog",
        found: format!(
            "net.core.netdev_max_backlog is {packets}: a burst of more packets on one core is dropped unseen"
        ),
        remedy: format!("raise it with `sysctl -w net.core.netdev_max_backlog={NETDEV_BACKLOG}`"),
    };
    small.map(gap).into_iter().collect()
}

/// The kernel cuts the backlog that a listener asks for.
pub(super) fn listen_backlog(machine: &Machine, _: &Plan<'_>) -> Vec<Gap> {
    let asked = LISTEN_BACKLOG as u64;
    let small = number(machine, "/proc/sys/net/core/somaxconn").filter(|&connections| connections < asked);
    let gap = |connections| Gap {
        check: "listen_backlog",
        found: format!(
            "net.core.somaxconn is {connections}, and {asked} HTTP connections are to wait on each shard in a burst"
        ),
        remedy: format!("raise it with `sysctl -w net.core.somaxconn={asked}`"),
    };
    small.map(gap).into_iter().collect()
}
