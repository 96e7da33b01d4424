//! Ids that live inside one process; those that travel are in `uproar_wire::ids`.

use std::fmt;
use std::net::IpAddr;
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

/// What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is what a household has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientAddress {
    /// Also one that was mapped into IPv6.
    V4(u32),
    /// The network's part.
    V6(u64),
}

impl ClientAddress {
    /// The client behind an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }

    /// The shard that counts its connections where one counts for the node.
    pub fn home(self, shards: usize) -> ShardId {
        let bits = match self {
            Self::V4(bits) => u64::from(bits),
            Self::V6(bits) => bits,
        };
        // Fibonacci hashing: neighbouring addresses spread.
        let spread = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ShardId(((spread * shards as u64) >> 32) as u8)
    }
}
