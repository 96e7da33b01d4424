//! Which core each shard runs on.

use crate::limits;

/// The cores that this process may use, first to last.
pub fn usable_cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
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
