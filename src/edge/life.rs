//! Kinds of lines about the life of the process: how it comes, changes and goes.
//!
//! Invariant: each name is published in `docs/LOG.md`, where alerts and runbooks find it. Not here: what goes wrong while it
//! serves ([`super::incidents`]), and what the machine lacks ([`super::checks`]).

use crate::shard::{ChangedRoom, RoomChanger, RoomFate};

macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident = $name:literal;)*) => {
        $($(#[$about])* pub const $kind: &str = $name;)*

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

kinds! {
    /// The key file was not there, and was made.
    KEY_FILE_MADE = "key_file_made";
    /// The soft limit of open files could not be raised.
    OPEN_FILES_NOT_RAISED = "open_files_not_raised";
    /// The configuration was read again and is in force.
    RELOAD = "reload";
    /// The configuration was read again and cannot be used.
    RELOAD_REFUSED = "reload_refused";
    /// Another reload was asked for while the files of one are being read.
    RELOAD_WAITS = "reload_waits";
    /// Nothing is read again while the server drains.
    RELOAD_IGNORED = "reload_ignored";
    /// A room is not as the new configuration has it.
    ROOM_KEPT = "room_kept";
    /// A room that was not there before is served.
    ROOM_ADDED = "room_added";
    /// A room has another name or palette.
    ROOM_REPLACED = "room_replaced";
    /// A room is gone.
    ROOM_DELETED = "room_deleted";
    /// What has changed is not in force before a restart.
    RESTART_NEEDED = "restart_needed";
    /// Another server has a shard on the core of one of this.
    CORES_TAKEN = "cores_taken";
    /// The first signal to end.
    DRAIN = "drain";
    /// All is delivered.
    DRAINED = "drained";
    /// The second.
    STOP = "stop";
    /// A shard stands still.
    STUCK = "stuck";
    /// The supervisor of the process cannot be told anything.
    SUPERVISOR_DEAF = "supervisor_deaf";
}

/// Says that `what` is not heeded, as the server drains.
pub fn warn_of_ignored(what: &str) {
    tracing::warn!(
        event = RELOAD_IGNORED,
        remedy = "nothing has to be done: the next start reads everything",
        "{what} is ignored: the server is draining"
    );
}

/// Says who changed a room.
pub fn tell_of_room(changed: ChangedRoom) {
    let ChangedRoom { room, change, by } = changed;
    // The name of an event is fixed where it is logged.
    macro_rules! tell {
        ($kind:expr, $what:literal) => {
            match by {
                RoomChanger::Admin(Some(peer)) => tracing::info!(
                    event = $kind,
                    room = room.0,
                    via = "admin",
                    peer = %peer,
                    concat!("room {} was ", $what, " by {} via the admin port"),
                    room,
                    peer
                ),
                RoomChanger::Admin(None) => tracing::info!(
                    event = $kind,
                    room = room.0,
                    via = "admin",
                    concat!("room {} was ", $what, " via the admin port; its client was gone at once"),
                    room
                ),
                RoomChanger::Reload => tracing::info!(
                    event = $kind,
                    room = room.0,
                    via = "reload",
                    concat!("room {} was ", $what, " by a reload of the configuration"),
                    room
                ),
            }
        };
    }
    match change {
        RoomFate::Added => tell!(ROOM_ADDED, "added"),
        RoomFate::Replaced => tell!(ROOM_REPLACED, "replaced"),
        RoomFate::Deleted => tell!(ROOM_DELETED, "deleted"),
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_name_is_published_once() {
        let published = include_str!("../../docs/LOG.md");
        for name in ALL {
            assert_eq!(published.matches(&format!("| `{name}` |")).count(), 1, "{name}");
        }
    }
}
