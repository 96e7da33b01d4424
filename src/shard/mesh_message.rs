//! What shards say to one another. Channels between two shards keep order and lose nothing; a message is lost only
//! with the whole process.
//!
//! Every message below says who sends it, who receives it, and what its loss would cost.

use crate::metrics::ShardMetrics;
use crate::room::Room;
use crate::tally::Delta;
use std::sync::Arc;
use std::time::Instant;
use uproar_wire::{RoomId, WindowSeq};

/// One change of the set of rooms, from its request to its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChangeId(pub u64);

/// One frame as it travels to all shards: encoded once, shared read-only.
#[derive(Clone, Debug)]
pub struct SharedFrame {
    /// The frame's room.
    pub room: RoomId,
    /// The frame's window.
    pub window: WindowSeq,
    /// Ids of emoji that it names lie below this: who reads it needs a palette of as many.
    pub emoji_ids: u16,
    /// The whole stream message, prefix included.
    pub message: Arc<[u8]>,
    /// When its merger encoded it.
    pub encoded_at: Instant,
}

/// What travels on the mesh.
#[derive(Debug)]
pub enum MeshMessage {
    /// Every shard to every merger, once per window, also when empty. Lost: the taps in it.
    Delta(Delta),
    /// Merger to the shard a delta came from: its storage, emptied. Lost: one allocation.
    Recycled(Delta),
    /// Merger to every shard: finished frames. Lost: those pictures, for that shard's subscribers.
    Frames(Arc<[SharedFrame]>),
    /// Coordinator to every shard: the room is from now on this one. Lost: that shard knows another palette.
    RoomPut(ChangeId, Arc<Room>),
    /// Coordinator to every shard: the room is gone. Lost: that shard still counts for it.
    RoomDeleted(ChangeId, RoomId),
    /// Every shard to the coordinator: the change is in force here, and whether there was such a room before. The coordinator
    /// to itself: it has refused the change. Lost: the request is never answered.
    RoomChanged(ChangeId, bool),
    /// Coordinator to every shard: send your metrics. Lost: that scrape is never answered.
    Scrape(u64),
    /// Every shard to the coordinator: a copy of its metrics. Lost: as above.
    Scraped(u64, Box<ShardMetrics>),
    /// Coordinator to every shard: take no new subscribers and send away those you have, until told to drain. Lost: the
    /// subscribers of that shard are sent away all at once.
    Leave,
    /// Coordinator to every shard: close the connections of subscribers that no longer answer. Lost: the process does not
    /// end.
    Settle,
    /// Every shard to the coordinator: all subscribers that are left answer. Lost: the process does not end.
    Settled,
    /// Coordinator to every shard: take nothing more, close the window, deliver, stop. Lost: the process does not end.
    Drain,
    /// Every shard to every merger: no delta follows. Lost: the last frames wait for the drain's time limit.
    DeltasEnd,
    /// Every merger to every shard: no frame follows. Lost: the drain's time limit ends it.
    FramesEnd,
    /// Every shard to every shard: its connections are closed. All end together, as shard 0 hears the signals and
    /// answers the admin port until the last is done. Lost: the process does not end.
    Drained,
}
