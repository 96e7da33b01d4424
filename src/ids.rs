//! Ids that live inside one process; those that travel are in `uproar_wire::ids`.

use std::fmt;
use uproar_wire::RoomId;

/// One shard: everything one core owns. Numbered from 0 without gaps; at most [`crate::limits::SHARDS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u8);

impl ShardId {
    /// As a place in a table with one entry a shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All shards of a process that has `shards`.
    pub fn all(shards: usize) -> impl Iterator<Item = ShardId> {
        (0..shards).map(|index| ShardId(index as u8))
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The shard that adds up a room's deltas. Every shard computes the same answer, so nobody has to be asked.
pub fn merger_of(room: RoomId, shards: usize) -> ShardId {
    // Fibonacci hashing: rooms numbered in sequence, or in steps of the shard count, still spread.
    let spread = room.0.wrapping_mul(0x9E37_79B9);
    ShardId(((u64::from(spread) * shards as u64) >> 32) as u8)
}
