//! Counting: taps into the open window, and the sum of all shards' windows into frames.
//!
//! 1. [`counters`]: the shard that received a reaction counts it; a closing window leaves as one [`Delta`] per merger.
//! 2. [`merge`]: the room's merger adds up the deltas of all shards and makes one frame a room and window.
//! 3. [`top_k`]: which emoji the frame names, and how loud they are.
//!
//! Invariant: what was counted comes out exactly once, under the emoji id that its sender named. The sum of `total` over all
//! frames equals the taps that [`Tally::count_in`] accepted, whatever came late, was replaced or was removed in between.
//! An id means one emoji for as long as anything is counted for it, which is for the coordinator to see to.
//!
//! Not here: whether a sender may count (`ingest`), how deltas and frames travel (`shard`).

pub mod counters;
pub mod merge;
pub mod top_k;

pub use counters::{CountError, Delta, RoomSlot, Tally, TapLimits};
pub use merge::{MergeOutput, Merger};

#[cfg(test)]
mod tests;

/// Tables keyed by room: looked up, never iterated, so that the hash's random seed shows nowhere.
type RoomMap<T> = std::collections::HashMap<uproar_wire::RoomId, T, foldhash::fast::RandomState>;
