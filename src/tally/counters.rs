//! A shard's counters for the open window.
//!
//! Invariant: every tap that [`Tally::count_in`] accepted lies in exactly one [`Delta`], under the id that its sender named. A
//! window holds only rooms that were tapped in it, or that somebody watches, so an idle room costs its slot and nothing a
//! window.
//!
//! Not here: when windows close (`window`), and adding up what other shards counted ([`super::merge`]).

use super::RoomMap;
use crate::ids::{ShardId, merger_of};
use uproar_wire::frame::PALETTE_MAX;
use uproar_wire::{EmojiId, RoomId, WindowSeq};

/// What a shard hands over to one merger when a window closes: moved, never copied, as it is the counters' storage.
#[derive(Debug, Default)]
pub struct Delta {
    /// The window that was closed.
    pub window: WindowSeq,
    pub(super) rooms: Vec<RoomCounts>,
    pub(super) counts: Vec<u64>,
    taps: u64,
}

/// Where one room's counters lie in a delta. A room can have several entries; they add up.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoomCounts {
    pub(super) room: RoomId,
    pub(super) offset: usize,
    /// Counters of the room: its palette's length, or 0 when it is only watched.
    pub(super) len: u16,
}

impl Delta {
    /// Taps of all rooms.
    pub fn taps(&self) -> u64 {
        self.taps
    }

    /// Whether it names no room; it is sent all the same, as the merger waits for it.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    pub(super) fn counts_of(&self, entry: RoomCounts) -> &[u64] {
        &self.counts[entry.offset..entry.offset + usize::from(entry.len)]
    }

    fn open_room(&mut self, room: RoomId, len: u16) -> usize {
        let offset = self.counts.len();
        self.counts.resize(offset + usize::from(len), 0);
        self.rooms.push(RoomCounts { room, offset, len });
        offset
    }

    fn clear(&mut self) {
        self.rooms.clear();
        self.counts.clear();
        self.taps = 0;
    }
}

/// Why a reaction was not counted. Nothing of it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CountError {
    /// No such room on this node.
    #[error("unknown room")]
    UnknownRoom,
    /// An emoji id beyond the room's palette, or one that is retired.
    #[error("unknown emoji")]
    UnknownEmoji,
    /// More than [`TapLimits::per_record`].
    #[error("a record counts {taps} taps")]
    RecordTooLarge {
        /// What the largest record says.
        taps: u16,
    },
    /// More than [`TapLimits::per_request`].
    #[error("the records count {taps} taps together")]
    RequestTooLarge {
        /// What its records say together.
        taps: u64,
    },
}

/// What one reaction may count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TapLimits {
    /// Taps of one record.
    pub per_record: u16,
    /// Taps of all records of one datagram or request.
    pub per_request: u32,
}

impl TapLimits {
    /// As many as the contract can say.
    pub const NONE: Self = Self { per_record: u16::MAX, per_request: u32::MAX };
}

/// The ids of emoji that can no longer be tapped, one bit each.
#[derive(Debug)]
struct Retired([u64; PALETTE_MAX / 64]);

impl Retired {
    fn new(ids: impl Iterator<Item = EmojiId>) -> Option<Box<Self>> {
        let mut ids = ids.peekable();
        ids.peek()?;
        let mut retired = Box::new(Self([0; PALETTE_MAX / 64]));
        ids.for_each(|id| retired.0[usize::from(id.0) / 64] |= 1 << (id.0 % 64));
        Some(retired)
    }

    fn contains(&self, id: EmojiId) -> bool {
        self.0.get(usize::from(id.0) / 64).is_some_and(|bits| bits >> (id.0 % 64) & 1 == 1)
    }
}

/// Where a room's counters are found, until the room is removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoomSlot(u32);

/// What a shard knows of a room: enough to count a further tap. Half a cache line, and never in two.
#[derive(Debug)]
#[repr(align(32))]
struct Slot {
    /// The window that `offset` and `len` belong to; they mean nothing in any other.
    generation: u64,
    offset: usize,
    room: RoomId,
    /// Place in the merger's list of watched rooms, or [`UNWATCHED`].
    watched: u32,
    len: u16,
    palette_len: u16,
    /// Ids below this need no closer look: the palette's length, or 0 when the room is in [`Tally::retired`].
    unchecked_len: u16,
    merger: ShardId,
}
const UNWATCHED: u32 = u32::MAX;
const _: () = assert!(size_of::<Slot>() == 32);
const _: () = assert!(PALETTE_MAX.is_multiple_of(64), "every id has a bit");

#[derive(Debug)]
struct Watched {
    room: RoomId,
    /// The last window in which the room was tapped, as its entry is in the delta already.
    tapped: u64,
}

/// The rooms of one node and the counters of one shard's open window.
#[derive(Debug)]
pub struct Tally {
    index: RoomMap<RoomSlot>,
    slots: Vec<Slot>,
    limits: TapLimits,
    /// No reaction of so many taps passes a limit.
    unchecked_taps: u64,
    /// Of the rooms that have such emoji.
    retired: RoomMap<Box<Retired>>,
    /// Slots of removed rooms.
    free: Vec<RoomSlot>,
    /// Per merger shard.
    open: Vec<Delta>,
    /// Per merger shard.
    watched: Vec<Vec<Watched>>,
    /// Emptied storage for the next windows.
    spare: Vec<Delta>,
    /// Counts windows from 1, so that 0 is none.
    generation: u64,
}

impl Tally {
    /// Nothing counted, no rooms, one open delta for each of `shards` mergers; [`TapLimits::NONE`].
    pub fn new(shards: usize) -> Self {
        Self {
            index: RoomMap::default(),
            slots: Vec::new(),
            limits: TapLimits::NONE,
            unchecked_taps: u64::from(TapLimits::NONE.per_record),
            retired: RoomMap::default(),
            free: Vec::new(),
            open: (0..shards).map(|_| Delta::default()).collect(),
            watched: (0..shards).map(|_| Vec::new()).collect(),
            spare: Vec::new(),
            generation: 1,
        }
    }

    /// What a reaction may count from here on.
    pub fn set_limits(&mut self, limits: TapLimits) {
        self.limits = limits;
        self.unchecked_taps = u64::from(limits.per_request.min(limits.per_record.into()));
    }

    /// The limits in force.
    pub fn limits(&self) -> TapLimits {
        self.limits
    }

    /// Takes up a room, or replaces its palette: from here on it has `palette_len` emoji, none of them retired. Taps of the open
    /// window stay.
    pub fn put_room(&mut self, room: RoomId, palette_len: u16) -> RoomSlot {
        let place = match self.find(room) {
            Ok(known) => known,
            Err(_) => self.add_slot(room),
        };
        self.retired.remove(&room);
        let slot = self.slot_mut(place);
        slot.palette_len = palette_len;
        slot.unchecked_len = palette_len;
        if palette_len > slot.len {
            // Counters lie back to back and cannot grow in place: the next tap opens a second entry, and both add up.
            slot.generation = 0;
        }
        place
    }

    /// Emoji of the room's palette that are not counted from here on, until the room is put again.
    pub fn retire(&mut self, slot: RoomSlot, emoji: impl Iterator<Item = EmojiId>) {
        let Some(retired) = Retired::new(emoji) else { return };
        let slot = self.slot_mut(slot);
        slot.unchecked_len = 0;
        let room = slot.room;
        self.retired.insert(room, retired);
    }

    /// Forgets a room. Its taps of the open window stay and will be delivered.
    pub fn remove_room(&mut self, room: RoomId) {
        self.set_watched(room, false);
        self.retired.remove(&room);
        self.free.extend(self.index.remove(&room));
    }

    fn add_slot(&mut self, room: RoomId) -> RoomSlot {
        let merger = merger_of(room, self.open.len());
        let empty = Slot {
            generation: 0,
            offset: 0,
            room,
            watched: UNWATCHED,
            len: 0,
            palette_len: 0,
            unchecked_len: 0,
            merger,
        };
        let slot = if let Some(free) = self.free.pop() {
            *self.slot_mut(free) = empty;
            free
        } else {
            self.slots.push(empty);
            RoomSlot(self.slots.len() as u32 - 1)
        };
        self.index.insert(room, slot);
        slot
    }

    /// A watched room appears in every delta even without taps, so that its subscribers get a frame each window. Says
    /// nothing of rooms that do not exist.
    pub fn set_watched(&mut self, room: RoomId, watched: bool) {
        let Ok(slot) = self.find(room).map(|slot| &mut self.slots[slot.0 as usize]) else { return };
        let list = &mut self.watched[slot.merger.index()];
        match (slot.watched, watched) {
            (UNWATCHED, true) => {
                slot.watched = list.len() as u32;
                list.push(Watched { room, tapped: slot.generation });
            }
            (UNWATCHED, false) | (_, true) => {}
            (place, false) => {
                slot.watched = UNWATCHED;
                list.swap_remove(place as usize);
                if let Some(moved) = list.get(place as usize).map(|moved| moved.room)
                    && let Ok(slot) = self.find(moved)
                {
                    self.slot_mut(slot).watched = place;
                }
            }
        }
    }

    /// Where taps of `room` are counted.
    ///
    /// # Errors
    /// When the room is unknown.
    pub fn find(&self, room: RoomId) -> Result<RoomSlot, CountError> {
        self.index.get(&room).copied().ok_or(CountError::UnknownRoom)
    }

    /// Brings what [`Self::count_in`] will write into the cache. Called for a few reactions before any of them is
    /// counted, it has the processor wait for all of them at once instead of one by one.
    pub fn touch(&self, slot: RoomSlot) {
        let slot = &self.slots[slot.0 as usize];
        if slot.generation == self.generation {
            std::hint::black_box(self.open[slot.merger.index()].counts.get(slot.offset).copied());
        }
    }

    /// Counts one reaction to the room of `slot`, whole or not at all, and returns its taps. Allocates only while a
    /// window is fuller than any before.
    ///
    /// # Errors
    /// When one of the emoji is unknown, or retired, or there are more taps than [`TapLimits`] allow.
    pub fn count_in(
        &mut self,
        slot: RoomSlot,
        records: impl Iterator<Item = (EmojiId, u16)> + Clone,
    ) -> Result<u64, CountError> {
        let slot = &mut self.slots[slot.0 as usize];
        let (taps, known) = records.clone().fold((0, true), |(taps, known), (emoji, count)| {
            (taps + u64::from(count), known & (emoji.0 < slot.unchecked_len))
        });
        // One branch for all that is rare: no taps at all, too. Few taps in all are few in each record, so that this pass need
        // not look at each.
        if !known | (taps.wrapping_sub(1) >= self.unchecked_taps) {
            check_closely(slot, self.limits, &self.retired, taps, records.clone())?;
            if taps == 0 {
                return Ok(0);
            }
        }
        let delta = &mut self.open[slot.merger.index()];
        if slot.generation != self.generation {
            slot.offset = delta.open_room(slot.room, slot.palette_len);
            slot.len = slot.palette_len;
            slot.generation = self.generation;
            if slot.watched != UNWATCHED {
                self.watched[slot.merger.index()][slot.watched as usize].tapped = self.generation;
            }
        }
        let counts = &mut delta.counts[slot.offset..slot.offset + usize::from(slot.len)];
        for (emoji, count) in records {
            counts[usize::from(emoji.0)] += u64::from(count);
        }
        delta.taps += taps;
        Ok(taps)
    }

    /// Closes the open window under the number `window` and opens the next: one delta per merger shard, also when it
    /// is empty. A delta that is not taken from the iterator stays open and leaves with the next window.
    pub fn close(&mut self, window: WindowSeq) -> impl Iterator<Item = (ShardId, Delta)> {
        let closing = self.generation;
        self.generation += 1;
        ShardId::all(self.open.len()).map(move |merger| {
            let next = self.spare.pop().unwrap_or_default();
            let mut delta = std::mem::replace(&mut self.open[merger.index()], next);
            delta.window = window;
            let untapped = self.watched[merger.index()].iter().filter(|watched| watched.tapped != closing);
            delta.rooms.extend(untapped.map(|watched| RoomCounts { room: watched.room, offset: 0, len: 0 }));
            (merger, delta)
        })
    }

    /// Takes back a merged delta's storage for a later window.
    pub fn recycle(&mut self, mut delta: Delta) {
        // Two windows' worth: one being counted while the last is being merged.
        if self.spare.len() < 2 * self.open.len() {
            delta.clear();
            self.spare.push(delta);
        }
    }

    fn slot_mut(&mut self, slot: RoomSlot) -> &mut Slot {
        &mut self.slots[slot.0 as usize]
    }

    /// Whether the open window has no taps.
    pub fn is_empty(&self) -> bool {
        self.open.iter().all(|delta| delta.taps == 0)
    }
}

/// Why a reaction of `taps` in all is not counted, if there is a reason.
#[cold]
fn check_closely(
    slot: &Slot,
    limits: TapLimits,
    retired: &RoomMap<Box<Retired>>,
    taps: u64,
    records: impl Iterator<Item = (EmojiId, u16)> + Clone,
) -> Result<(), CountError> {
    let has_retired = slot.unchecked_len < slot.palette_len;
    let retired = if has_retired { retired.get(&slot.room) } else { None };
    let is_unknown = |id: EmojiId| id.0 >= slot.palette_len || retired.is_some_and(|retired| retired.contains(id));
    if records.clone().any(|(id, _)| is_unknown(id)) {
        return Err(CountError::UnknownEmoji);
    }
    let largest = records.map(|(_, count)| count).fold(0, u16::max);
    if largest > limits.per_record {
        return Err(CountError::RecordTooLarge { taps: largest });
    }
    if taps > u64::from(limits.per_request) {
        return Err(CountError::RequestTooLarge { taps });
    }
    Ok(())
}
