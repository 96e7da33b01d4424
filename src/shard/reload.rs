//! What a shard takes in while it runs: other limits, and on the coordinating shard other rooms.
//!
//! Invariant: other limits in number cut off nobody; they are for who comes from here on. (Time limits of HTTP, which are
//! the edge's, hold for everybody.) Rooms change as they do by the admin port, one after the other, and their emoji keep their
//! ids.
//!
//! Not here: what the file says and what of it is refused (`config`), and that all shards have taken it in (`edge`).

use super::Shard;
use super::coordinator::{Asker, ChangeOutcome, RoomChange};
use crate::limits;
use crate::quic::QuicSettings;
use crate::room::{PaletteFull, Room};
use crate::tally::TapLimits;
use crate::window::Now;
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::RoomId;

/// What may change while a shard runs, besides what QUIC has of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardSettings {
    /// Subscribers this shard takes at most.
    pub subscribers_max: usize,
    /// Rooms that one of them may watch.
    pub rooms_per_subscriber_max: usize,
    /// Streams of events by HTTP this shard takes at most.
    pub streams_max: usize,
    /// Taps that one record, and one datagram or request, may count.
    pub tap_limits: TapLimits,
    /// Time over which a window's frames are spread; see [`crate::fanout::Fanout::new`].
    pub fanout_spread: Duration,
    /// Time over which subscribers are sent away before a drain.
    pub drain_duration: Duration,
    /// Time that a drain may take before connections are cut.
    pub drain_timeout: Duration,
    /// What `GET /v1/webtransport` answers, as JSON ([`uproar_wire::http::WebTransportBody`]); `None` where nobody speaks it.
    pub webtransport: Option<Arc<[u8]>>,
}

/// How rooms differ from those of the configuration before.
#[derive(Clone, Debug, Default)]
pub struct RoomChanges {
    /// Rooms to delete.
    pub gone: Vec<RoomId>,
    /// Rooms to add, or to put in the place of those of the same id, with the emoji ids of new rooms.
    pub put: Vec<Arc<Room>>,
}

impl RoomChanges {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.put.is_empty()
    }
}

/// What [`RoomChanges`] came to, once all of them are answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoomsChanged {
    /// Rooms that are as they were before, and why.
    pub kept: Vec<(RoomId, KeptRoom)>,
}

/// Why a room did not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptRoom {
    /// It has no ids left for emoji that are new to it.
    PaletteFull(PaletteFull),
    /// The node has as many rooms as it may have; this one is not there.
    TooMany,
}

/// Changes that the coordinator has been given, and what those came to that are answered.
pub(super) struct RoomsChanging {
    /// Those that the coordinator has not been given: the ones that go, then the others.
    gone: std::vec::IntoIter<RoomId>,
    put: std::vec::IntoIter<Arc<Room>>,
    /// Rooms that there are when all that it was given is done.
    rooms: usize,
    missing: usize,
    changed: RoomsChanged,
}

impl Shard {
    /// Takes in other limits, for who comes from here on.
    pub fn reconfigure(&mut self, now: Now, settings: &ShardSettings, quic: &QuicSettings) {
        self.metrics.configured_at_s = now.unix_ms / 1000;
        self.quic.reconfigure(quic);
        self.webtransport.clone_from(&settings.webtransport);
        self.subscribers.set_max(settings.subscribers_max, settings.rooms_per_subscriber_max);
        self.event_streams.set_max(settings.streams_max);
        self.tally.set_limits(settings.tap_limits);
        // What is under way has its times.
        if self.is_ready() {
            self.fanout.set_spread(settings.fanout_spread);
            self.event_streams.set_spread(settings.fanout_spread);
            self.drain.set_times(settings.drain_duration, settings.drain_timeout);
        }
    }

    /// Changes rooms on all shards; [`Self::poll_rooms_changed`] says when it is done. Only the coordinating shard is
    /// asked to, and not again before then.
    pub fn change_rooms(&mut self, changes: RoomChanges) {
        // Those that go make room first, also for who waits behind.
        let RoomChanges { gone, put } = changes;
        let missing = gone.len() + put.len();
        let changed = RoomsChanged::default();
        let (gone, put) = (gone.into_iter(), put.into_iter());
        self.rooms_changing = Some(RoomsChanging { gone, put, rooms: self.rooms.len(), missing, changed });
        self.serve_room_changes();
    }

    /// Hands a slice of the changes to the coordinator; true while there are more.
    pub(super) fn serve_room_changes(&mut self) -> bool {
        for _ in 0..limits::ROOM_CHANGES_SLICE {
            let Some(changing) = &mut self.rooms_changing else { return false };
            let change = if let Some(room) = changing.gone.next() {
                changing.rooms -= usize::from(self.rooms.find(room).is_some());
                RoomChange::Delete(room)
            } else if let Some(room) = changing.put.next() {
                let is_new = self.rooms.find(room.id()).is_none();
                if is_new && changing.rooms >= limits::ROOMS_MAX {
                    changing.missing -= 1;
                    changing.changed.kept.push((room.id(), KeptRoom::TooMany));
                    continue;
                }
                changing.rooms += usize::from(is_new);
                RoomChange::Put(room)
            } else {
                return false;
            };
            self.coordinate(|coordinator| coordinator.handle_change(Asker::Reload, change));
        }
        true
    }

    /// What the changes came to; once, when the last is answered.
    pub fn poll_rooms_changed(&mut self) -> Option<RoomsChanged> {
        self.rooms_changing.take_if(|changing| changing.missing == 0).map(|changing| changing.changed)
    }

    /// One change is answered. A room that was to go and was not there is gone all the same.
    pub(super) fn handle_room_changed(&mut self, change: &RoomChange, outcome: &ChangeOutcome) {
        let Some(changing) = &mut self.rooms_changing else { return };
        changing.missing -= 1;
        if let (RoomChange::Put(room), ChangeOutcome::PaletteFull(full)) = (change, outcome) {
            changing.changed.kept.push((room.id(), KeptRoom::PaletteFull(*full)));
        }
    }
}
