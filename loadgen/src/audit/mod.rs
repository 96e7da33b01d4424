//! What the frames of all rooms add up to, and what each subscriber got of them.
//!
//! All frames of one window are the same picture, so a room's totals are taken from whoever gets a window first, and one
//! subscriber's gap does not spoil the sum.
//!
//! 1. [`room`]: one room's windows, and those who watch it. This file: all rooms, and waiting for them.
//! 2. [`bounds`]: what must and may be in each window. [`delay`]: from each tap to the frame that shows it.
//!
//! Invariant: the sum over a match's windows is what viewers were shown of it. Nothing here compares clocks of two machines
//! but the time from a window's end to its frame, which says so.

pub mod bounds;
pub mod delay;
pub mod room;

pub use room::{Arrival, Room, Seen};

use crate::ledger::{histogram, record};
use hdrhistogram::Histogram;
use room::Seat;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use uproar_client::RoomEvent;
use uproar_wire::frame::Palette;
use uproar_wire::{RoomId, WindowSeq};

/// Different reasons of lost connections that are told apart.
const REASONS_MAX: usize = 32;

/// All rooms of a match.
#[derive(Debug)]
pub struct Audit {
    first: RoomId,
    rooms: Vec<Mutex<Room>>,
    lost: Mutex<BTreeMap<String, u64>>,
    measures: Mutex<Measures>,
    /// One for each room, as there may be thousands.
    changed: Vec<Notify>,
}

/// How late one seat's frame was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Delays {
    window: WindowSeq,
    /// From the window's end; nothing for the frame that came when the seat was taken.
    lateness_us: Option<u64>,
    /// From the window's first frame of any seat; nothing for that one.
    spread_us: Option<u64>,
}

/// How late frames were, over all rooms.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Windows before this one do not count.
    first: Option<WindowSeq>,
    /// From a window's end to each seat's frame, in microseconds.
    pub lateness_us: Histogram<u64>,
    /// From a window's first frame to each other seat's, in microseconds.
    pub spread_us: Histogram<u64>,
}

impl Measures {
    fn handle(&mut self, delays: Delays) {
        if self.first.is_none_or(|first| delays.window < first) {
            return;
        }
        if let Some(us) = delays.lateness_us {
            record(&mut self.lateness_us, us, 1);
        }
        if let Some(us) = delays.spread_us {
            record(&mut self.spread_us, us, 1);
        }
    }
}

/// What those who sit in the rooms got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Frames.
    pub frames: u64,
    /// Frames that a seat did not get though its room had one while it was there.
    pub missing: u64,
    /// Frames of a window that the seat had seen already, or of an older one.
    pub twice: u64,
    /// Frames that say something else about a window than the first one did.
    pub conflicting: u64,
}

impl Audit {
    /// `count` rooms from `first` on, none of them watched.
    pub fn new(first: RoomId, count: u32) -> Arc<Self> {
        let rooms = (0..count).map(|_| Mutex::new(Room::default())).collect();
        let measures = Mutex::new(Measures { first: None, lateness_us: histogram(), spread_us: histogram() });
        let changed = (0..count).map(|_| Notify::new()).collect();
        Arc::new(Self { first, rooms, lost: Mutex::default(), measures, changed })
    }

    /// The match begins in a window: frames of it, and of later ones, are measured.
    pub fn begin(&self, window: WindowSeq) {
        self.locked_measures().first = Some(window);
    }

    /// How late frames were since then.
    pub fn measures(&self) -> Measures {
        self.locked_measures().clone()
    }

    fn locked_measures(&self) -> MutexGuard<'_, Measures> {
        self.measures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// One room, by its place.
    pub fn room(&self, place: usize) -> MutexGuard<'_, Room> {
        // A panic elsewhere ends the run anyway; a room is plain counters.
        self.rooms[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, room: RoomId) -> Option<usize> {
        let place = room.0.checked_sub(self.first.0)? as usize;
        (place < self.rooms.len()).then_some(place)
    }

    /// Why connections were lost, and how many each.
    pub fn lost(&self) -> BTreeMap<String, u64> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The palettes of all rooms, once they have come.
    pub async fn palettes(&self) -> Vec<Palette> {
        let mut palettes = Vec::with_capacity(self.rooms());
        for place in 0..self.rooms() {
            palettes.push(self.until(place, |room| room.palette().cloned()).await);
        }
        palettes
    }

    /// Length of the windows, once a frame has said so.
    pub async fn window(&self) -> Duration {
        self.until(0, Room::window).await
    }

    /// Returns when frames of a room from `window` on have shown this many taps.
    pub async fn until_shown(&self, place: usize, window: WindowSeq, taps: u64) {
        self.until(place, |room| (room.taps_since(window) >= taps).then_some(())).await;
    }

    /// Returns when a frame of `window`, or of a later one, has come.
    pub async fn until_window(&self, place: usize, window: WindowSeq) {
        self.until(place, |room| (room.newest() >= Some(window)).then_some(())).await;
    }

    /// Stops looking beyond the newest window of a room, and returns when every seat that is left has it.
    pub async fn until_everyone_has_the_newest(&self, place: usize) {
        self.room(place).fix_horizon();
        self.until(place, |room| room.everyone_is_at_the_horizon().then_some(())).await;
    }

    async fn until<T>(&self, place: usize, check: impl Fn(&Room) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed[place].notified());
            // Registered before looking, or a change in between would be missed.
            changed.as_mut().enable();
            if let Some(answer) = check(&self.room(place)) {
                return answer;
            }
            changed.await;
        }
    }

    /// What all seats got, over all rooms.
    pub fn received(&self) -> Received {
        let mut sum = Received::default();
        for place in 0..self.rooms() {
            let received = self.room(place).received();
            sum.frames += received.frames;
            sum.missing += received.missing;
            sum.twice += received.twice;
            sum.conflicting += received.conflicting;
        }
        sum
    }
}

/// One connection's seats, one in each room that it watches.
#[derive(Debug)]
pub struct Sitter {
    audit: Arc<Audit>,
    seats: BTreeMap<usize, Seat>,
}

impl Sitter {
    /// Somebody who has heard nothing yet. It sits down in a room with the room's first word.
    pub fn new(audit: &Arc<Audit>) -> Self {
        Self { audit: Arc::clone(audit), seats: BTreeMap::new() }
    }

    /// Hears something. Rooms that are not of the match are ignored.
    pub fn handle_event(&mut self, event: &RoomEvent, at: Arrival) {
        let id = match event {
            RoomEvent::Palette(room, _) => *room,
            RoomEvent::Frame(frame) => RoomId(frame.room),
        };
        let Some(place) = self.audit.place(id) else { return };
        let mut room = self.audit.room(place);
        let seat = *self.seats.entry(place).or_insert_with(|| room.take_seat());
        let delays = match event {
            RoomEvent::Palette(_, palette) => {
                room.handle_palette(palette);
                None
            }
            RoomEvent::Frame(frame) => room.handle_frame(seat, frame, at),
        };
        drop(room);
        delays.into_iter().for_each(|delays| self.audit.locked_measures().handle(delays));
        self.audit.changed[place].notify_waiters();
    }

    /// Loses its connection.
    pub fn handle_loss(self, reason: String) {
        let mut lost = self.audit.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = if lost.len() < REASONS_MAX { reason } else { "another reason".to_owned() };
        *lost.entry(reason).or_default() += 1;
        drop(lost);
        for (place, seat) in self.seats {
            self.audit.room(place).leave(seat);
            self.audit.changed[place].notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::room::tests::frame;
    use std::time::Instant;

    fn arrival() -> Arrival {
        Arrival { instant: Instant::now(), unix_us: 1 }
    }

    #[test]
    fn a_sitter_hears_each_of_its_rooms() {
        let audit = Audit::new(RoomId(4), 2);
        let mut sitter = Sitter::new(&audit);
        for room in [3, 4, 5, 5, 6] {
            let frame = uproar_wire::frame::Frame { room, ..frame(9, 10) };
            sitter.handle_event(&RoomEvent::Frame(frame), arrival());
        }
        let taps = [0, 1].map(|place| audit.room(place).taps_since(WindowSeq(0)));
        assert_eq!(taps, [10, 10]);
        assert_eq!((audit.received().frames, audit.received().twice), (2, 1));
        sitter.handle_loss("timed out".to_owned());
        assert_eq!(audit.lost(), [("timed out".to_owned(), 1)].into());
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let audit = Audit::new(RoomId(1), 1);
        let mut sitter = Sitter::new(&audit);
        let shown = audit.until_shown(0, WindowSeq(5), 30);
        let feed = async {
            for window in 4..8 {
                sitter.handle_event(&RoomEvent::Frame(frame(window, 15)), arrival());
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(shown, feed);
        audit.until_window(0, WindowSeq(7)).await;
        audit.until_everyone_has_the_newest(0).await;
        assert_eq!(audit.window().await, Duration::from_secs(1));
    }
}
