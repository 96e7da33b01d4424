//! Where the shards run: cores of their own, all of their time, at full speed, near one another.

use super::{Gap, Plan, number};
use crate::edge::machine::{Machine, cpu_list};
use std::collections::BTreeSet;

/// Each shard believes that it has its core alone.
pub(super) fn shared(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let (shards, cores) = (plan.cores.len(), distinct(plan.cores));
    if shards <= cores.len() {
        return Vec::new();
    }
    let online = machine.read("/sys/devices/system/cpu/online").ok().and_then(|list| cpu_list(&list));
    let others = match online.map(|cores| cores.len()).filter(|&online| online > plan.usable.len()) {
        Some(online) => format!(" ({} of the machine's {online} are allowed)", plan.usable.len()),
        None => String::new(),
    };
    vec![Gap {
        check: "shared_cores",
        found: format!("{shards} shards share {}{others}", cores_text(&cores)),
        remedy: format!("start with --shards {}, or allow more cores (AllowedCPUs=, --cpuset-cpus)", cores.len()),
    }]
}

/// A control group that has used up its time is stopped, all shards at once, for the rest of a period.
pub(super) fn quota(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let shards = plan.cores.len();
    let Some(allowed) = allowed_cores(machine).filter(|&allowed| allowed < distinct(plan.cores).len() as f64) else {
        return Vec::new();
    };
    let lower = if allowed >= 1.0 { format!(", or start with --shards {}", allowed as u64) } else { String::new() };
    vec![Gap {
        check: "cpu_quota",
        found: format!(
            "the control group may use the time of {allowed} cores, and {shards} shards are stopped when it is used up"
        ),
        remedy: format!("lift the quota (CPUQuota=, --cpus, limits.cpu) to {shards} cores, or altogether{lower}"),
    }]
}

/// Other governors slow a core down in the pauses between bursts, and need milliseconds to see one.
pub(super) fn governor(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let governor_of =
        |core: &usize| machine.read(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")).ok();
    let mut slow: Vec<(usize, String)> =
        distinct(plan.cores).iter().filter_map(|core| Some((*core, governor_of(core)?))).collect();
    slow.retain(|(_, governor)| governor != "performance");
    let Some((_, first)) = slow.first() else { return Vec::new() };
    let cores: BTreeSet<_> = slow.iter().map(|(core, _)| *core).collect();
    vec![Gap {
        check: "governor",
        found: format!(
            "{} {} under the frequency governor {first}, not performance",
            cores_text(&cores),
            if cores.len() == 1 { "runs" } else { "run" }
        ),
        remedy: "set it with `cpupower frequency-set -g performance` (`uproar tune script`)".into(),
    }]
}

/// Shards of several nodes pay for each message, and for memory that lies with the other.
pub(super) fn numa(machine: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let cores = distinct(plan.cores);
    let nodes = nodes_of(machine);
    let used: Vec<_> = nodes.iter().filter(|(_, of_node)| !of_node.is_disjoint(&cores)).collect();
    if used.len() < 2 {
        return Vec::new();
    }
    let parts: Vec<_> =
        used.iter().map(|(node, of_node)| format!("{} of node {node}", cores_text(&(of_node & &cores)))).collect();
    let usable = distinct(plan.usable);
    let largest = used.iter().max_by_key(|(_, of_node)| (of_node & &usable).len());
    let list = largest.map(|(_, of_node)| list_text(&(of_node & &usable))).unwrap_or_default();
    vec![Gap {
        check: "numa",
        found: format!("the shards' cores are on {} NUMA nodes: {}", used.len(), parts.join(", ")),
        remedy: format!(
            "keep the process on one node with `taskset -c {list}` or AllowedCPUs={list}, and serve the others with processes \
             and ports of their own"
        ),
    }]
}

/// Each NUMA node and its cores.
fn nodes_of(machine: &Machine) -> Vec<(usize, BTreeSet<usize>)> {
    let names = machine.list("/sys/devices/system/node");
    let numbers = names.iter().filter_map(|name| name.strip_prefix("node")?.parse().ok());
    let cores_of = |node: usize| {
        let list = machine.read(&format!("/sys/devices/system/node/node{node}/cpulist")).ok()?;
        Some((node, cpu_list(&list)?.into_iter().collect()))
    };
    let mut nodes: Vec<(usize, BTreeSet<usize>)> = numbers.filter_map(cores_of).collect();
    nodes.sort_unstable_by_key(|(node, _)| *node);
    nodes
}

/// How many cores' time the process may use: the least that its control group and those above it allow; `None` for
/// all there are.
fn allowed_cores(machine: &Machine) -> Option<f64> {
    let groups = machine.read("/proc/self/cgroup").ok()?;
    let allowed = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_cpu = controllers.is_empty() || controllers.split(',').any(|controller| controller == "cpu");
        let above = is_cpu.then(|| above(path)).into_iter().flatten();
        above.filter_map(move |path| allowed_by(machine, controllers, &path))
    });
    allowed.min_by(f64::total_cmp)
}

/// A path, and all above it: `/a/b`, `/a`, and the root, which is empty.
fn above(path: &str) -> impl Iterator<Item = String> {
    let path = path.trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| path[..end].to_owned()).collect::<Vec<_>>().into_iter()
}

/// What one control group allows: of version 2 when no controllers are named, else of version 1.
fn allowed_by(machine: &Machine, controllers: &str, path: &str) -> Option<f64> {
    let (quota, period) = if controllers.is_empty() {
        let text = machine.read(&format!("/sys/fs/cgroup{path}/cpu.max")).ok()?;
        let (quota, period) = text.split_once(' ')?;
        (quota.parse().ok()?, period.parse().ok()?)
    } else {
        let directory = format!("/sys/fs/cgroup/{controllers}{path}");
        let of = |name: &str| number(machine, &format!("{directory}/{name}"));
        (of("cpu.cfs_quota_us")?, of("cpu.cfs_period_us")?)
    };
    (period > 0).then(|| quota as f64 / period as f64)
}

fn distinct(cores: &[usize]) -> BTreeSet<usize> {
    cores.iter().copied().collect()
}

fn cores_text(cores: &BTreeSet<usize>) -> String {
    format!("{} {}", if cores.len() == 1 { "core" } else { "cores" }, list_text(cores))
}

/// As the kernel writes a list of cores: `0-3,8`.
fn list_text(cores: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}
