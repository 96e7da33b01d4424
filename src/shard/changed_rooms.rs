//! Which rooms were added, replaced or deleted, and by whom: for the operator's log.
//!
//! Invariant: each change that is in force is told once, by the coordinating shard, after it was answered. Not here: how it is
//! logged (`edge`).

use super::Shard;
use super::coordinator::{Asker, ChangeOutcome, RoomChange};
use std::net::SocketAddr;
use uproar_wire::RoomId;

/// One change of the set of rooms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangedRoom {
    /// Which room.
    pub room: RoomId,
    /// What became of it.
    pub change: RoomFate,
    /// Who wanted it.
    pub by: RoomChanger,
}

/// What became of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomFate {
    /// It was not there before.
    Added,
    /// It has another name or palette.
    Replaced,
    /// It is gone.
    Deleted,
}

/// Who changed a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomChanger {
    /// A client of the admin port, by its address and port if the kernel knew them.
    Admin(Option<SocketAddr>),
    /// The configuration was read again.
    Reload,
}

impl Shard {
    /// The next change of a room for the log.
    pub fn poll_changed_room(&mut self) -> Option<ChangedRoom> {
        self.changed_rooms.pop_front()
    }

    pub(super) fn note_changed_room(&mut self, asker: Asker, change: &RoomChange, outcome: &ChangeOutcome) {
        let by = match asker {
            Asker::Http { peer, .. } => RoomChanger::Admin(peer),
            Asker::Reload => RoomChanger::Reload,
        };
        let (room, change) = match (change, outcome) {
            (RoomChange::Put(room), ChangeOutcome::InForce { existed: false }) => (room.id(), RoomFate::Added),
            (RoomChange::Put(room), ChangeOutcome::InForce { existed: true }) => (room.id(), RoomFate::Replaced),
            (RoomChange::Delete(room), ChangeOutcome::InForce { existed: true }) => (*room, RoomFate::Deleted),
            // Nothing has changed.
            (RoomChange::Delete(_), ChangeOutcome::InForce { existed: false }) | (_, ChangeOutcome::PaletteFull(_)) => {
                return;
            }
        };
        self.changed_rooms.push_back(ChangedRoom { room, change, by });
    }
}
