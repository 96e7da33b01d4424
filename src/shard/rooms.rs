//! The rooms as one shard knows them: what they are called, and their newest frame.
//!
//! Invariant: the tally counts for a room exactly while it stands here; who watches it is told when it changes. Not here: who decides which rooms exist (the
//! coordinator) and who watches them (fan-out).

use super::Shard;
use super::mesh_message::SharedFrame;
use crate::ids::merger_of;
use crate::room::Room;
use crate::tally::RoomSlot;
use crate::window::Now;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uproar_wire::RoomId;

/// One room on one shard.
#[derive(Debug)]
pub(super) struct RoomState {
    /// Name and palette.
    pub room: Arc<Room>,
    /// Its place in the tally.
    pub slot: RoomSlot,
    /// The newest frame, for late joiners and for `GET …/frame`.
    pub newest: Option<SharedFrame>,
}

/// All rooms of one shard.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    by_id: HashMap<RoomId, RoomState, foldhash::fast::FixedState>,
    /// In their order.
    ids: BTreeSet<RoomId>,
    /// Rooms that were replaced or forgotten.
    changes: u64,
}

impl Rooms {
    /// The room of this id.
    pub(super) fn find(&self, id: RoomId) -> Option<&RoomState> {
        self.by_id.get(&id)
    }

    /// Adds or replaces a room; a replaced one keeps its newest frame. True when there was one.
    pub(super) fn put(&mut self, room: Arc<Room>, slot: RoomSlot) -> bool {
        match self.by_id.entry(room.id()) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                known.get_mut().room = room;
                self.changes += 1;
                true
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                self.ids.insert(*free.key());
                free.insert(RoomState { room, slot, newest: None });
                false
            }
        }
    }

    /// Forgets a room.
    pub(super) fn remove(&mut self, id: RoomId) -> bool {
        let existed = self.by_id.remove(&id).is_some();
        self.ids.remove(&id);
        self.changes += u64::from(existed);
        existed
    }

    /// How many were replaced or forgotten so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Keeps `frame` if its room exists and it is the newest.
    pub(super) fn keep_newest(&mut self, frame: &SharedFrame) {
        if let Some(state) = self.by_id.get_mut(&frame.room)
            && state.newest.as_ref().is_none_or(|newest| newest.window < frame.window)
        {
            state.newest = Some(frame.clone());
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// All rooms from this id on, in their order.
    pub(super) fn from(&self, first: RoomId) -> impl Iterator<Item = &RoomState> {
        self.ids.range(first..).filter_map(|id| self.by_id.get(id))
    }
}

impl Shard {
    /// Adds or replaces a room; true when there was one.
    pub(super) fn put_room(&mut self, now: Now, room: &Arc<Room>) -> bool {
        let slot = self.tally.put_room(room.id(), room.palette_len());
        self.tally.retire(slot, room.retired());
        let existed = self.rooms.put(room.clone(), slot);
        if existed {
            self.offer_palette(room);
            self.event_streams.offer_palette(room);
        }
        self.take_early_frames(now, room);
        existed
    }

    /// Removes a room; true when there was one.
    pub(super) fn delete_room(&mut self, room: RoomId) -> bool {
        let existed = self.rooms.remove(room);
        if existed {
            self.tally.remove_room(room);
            if merger_of(room, self.shards) == self.id {
                self.merger.remove_room(room);
            }
            self.fanout.remove_room(room);
            self.event_streams.drop_room(room);
            self.early_frames.drop_room(room);
        }
        existed
    }
}
