//! What deleted rooms leave behind: their emoji, so that a room that is put again goes on with the ids that it had.
//!
//! Taps that were counted before the room was deleted are still on their way into frames, and senders keep ids. Invariant:
//! no more than [`DEPARTED_ROOMS_MAX`] rooms and [`DEPARTED_BYTES_MAX`] bytes; the room that was deleted first is forgotten
//! first. Not here: who gives ids (the coordinator), and how ([`crate::room`]).

use crate::limits::{DEPARTED_BYTES_MAX, DEPARTED_ROOMS_MAX};
use crate::room::Glyphs;
use std::collections::{BTreeMap, HashMap};
use uproar_wire::RoomId;

/// Bytes of a room without its glyphs: its entries in both tables.
const ROOM_BYTES: usize = 128;

/// Rooms that were deleted. On the coordinating shard.
#[derive(Debug, Default)]
pub(super) struct Departed {
    rooms: HashMap<RoomId, (u64, Glyphs), foldhash::fast::FixedState>,
    /// By when they were deleted.
    order: BTreeMap<u64, RoomId>,
    deletions: u64,
    bytes: usize,
}

impl Departed {
    /// The emoji of a room that was deleted, if it is remembered.
    pub(super) fn find(&self, room: RoomId) -> Option<&Glyphs> {
        self.rooms.get(&room).map(|(_, glyphs)| glyphs)
    }

    /// A room goes.
    pub(super) fn remember(&mut self, room: RoomId, glyphs: Glyphs) {
        self.forget(room);
        self.deletions += 1;
        self.bytes += ROOM_BYTES + glyphs.bytes();
        self.rooms.insert(room, (self.deletions, glyphs));
        self.order.insert(self.deletions, room);
        while (self.rooms.len() > DEPARTED_ROOMS_MAX || self.bytes > DEPARTED_BYTES_MAX)
            && let Some((_, &first)) = self.order.first_key_value()
        {
            self.forget(first);
        }
    }

    /// A room is there again, and remembers its emoji itself.
    pub(super) fn forget(&mut self, room: RoomId) {
        if let Some((deletion, glyphs)) = self.rooms.remove(&room) {
            self.order.remove(&deletion);
            self.bytes -= ROOM_BYTES + glyphs.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Room;
    use uproar_wire::frame::{LABEL_MAX, PALETTE_MAX};
    use uproar_wire::http::{EmojiSpec, RoomSpec};

    fn glyphs(emoji: usize, label_len: usize) -> Glyphs {
        let palette = (0..emoji).map(|id| EmojiSpec { name: format!("n{id}"), glyph: format!("{id:0label_len$}") });
        let spec = RoomSpec { name: "final".into(), palette: palette.collect() };
        Room::new(RoomId(0), spec).unwrap().glyphs()
    }

    #[test]
    fn the_last_rooms_are_remembered() {
        let mut departed = Departed::default();
        for room in 0..DEPARTED_ROOMS_MAX as u32 {
            departed.remember(RoomId(room), glyphs(1, 4));
        }
        // Deleted again, room 0 is the last one.
        departed.remember(RoomId(0), glyphs(2, 4));
        departed.remember(RoomId(u32::MAX), glyphs(1, 4));
        assert_eq!(departed.find(RoomId(1)), None);
        assert_eq!(
            [0, 2, u32::MAX].map(|room| departed.find(RoomId(room)).map(Glyphs::len)),
            [Some(2), Some(1), Some(1)]
        );
        assert_eq!(departed.rooms.len(), DEPARTED_ROOMS_MAX);

        for room in 0..=u32::MAX {
            departed.forget(RoomId(room));
            if departed.rooms.len() == 1 {
                break;
            }
        }
        departed.forget(RoomId(u32::MAX));
        assert_eq!((departed.bytes, departed.order.len()), (0, 0));
    }

    #[test]
    fn large_palettes_stay_within_the_bytes() {
        let largest = glyphs(PALETTE_MAX, LABEL_MAX);
        let fit = DEPARTED_BYTES_MAX / (ROOM_BYTES + largest.bytes());
        let mut departed = Departed::default();
        for room in 0..=fit as u32 {
            departed.remember(RoomId(room), largest.clone());
            assert!(departed.bytes <= DEPARTED_BYTES_MAX);
        }
        assert_eq!((departed.rooms.len(), departed.find(RoomId(0))), (fit, None));
        assert!(fit > 50, "{fit} of the largest palettes");
    }
}
