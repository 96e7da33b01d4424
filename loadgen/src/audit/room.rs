//! One room: its windows as frames show them, and who got which.

use super::{Delays, Received};
use crate::ledger::us_between;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uproar_wire::WindowSeq;
use uproar_wire::frame::{Frame, Palette};

/// When a frame came, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// For durations on this machine.
    pub instant: Instant,
    /// Unix time in microseconds.
    pub unix_us: u64,
}

/// One connection's place in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seat(usize);

/// A window as its first frame shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Taps.
    pub total: u64,
    /// Emoji that it shows: id and taps, in its order.
    pub top: Vec<(u16, u64)>,
    /// Unix time at which the window ended, in milliseconds.
    pub end_unix_ms: u64,
    /// When the first frame came.
    pub first: Arrival,
    /// From the window's end to the first frame of a seat that was there, in microseconds; nothing without one.
    pub lateness_us_min: Option<u64>,
    /// The same to the last one.
    pub lateness_us_max: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct SeatState {
    first: Option<WindowSeq>,
    last: Option<WindowSeq>,
    received: u64,
    is_gone: bool,
}

/// One room.
#[derive(Debug, Default)]
pub struct Room {
    palette: Option<Palette>,
    window: Option<Duration>,
    windows: BTreeMap<WindowSeq, Seen>,
    /// Frames after this window are no longer looked at.
    horizon: Option<WindowSeq>,
    seats: Vec<SeatState>,
    twice: u64,
    conflicting: u64,
}

impl Room {
    pub(super) fn take_seat(&mut self) -> Seat {
        self.seats.push(SeatState::default());
        Seat(self.seats.len() - 1)
    }

    pub(super) fn leave(&mut self, seat: Seat) {
        self.seats[seat.0].is_gone = true;
    }

    /// The palette came. In those that replace it, emoji keep their ids.
    pub(super) fn handle_palette(&mut self, palette: &Palette) {
        self.palette.get_or_insert_with(|| palette.clone());
    }

    /// A seat got a frame; how late it was, or nothing when the frame is not news to the seat.
    pub(super) fn handle_frame(&mut self, seat: Seat, frame: &Frame, at: Arrival) -> Option<Delays> {
        let window = frame.window_seq();
        if self.horizon.is_some_and(|horizon| window > horizon) {
            return None;
        }
        let seat = &mut self.seats[seat.0];
        if seat.last.is_some_and(|last| window <= last) {
            self.twice += 1;
            return None;
        }
        // The newest frame comes at once on arrival, whenever it was made: it says nothing about delays.
        let has_joined = seat.first.is_none();
        seat.first.get_or_insert(window);
        seat.last = Some(window);
        seat.received += 1;
        self.window = Some(Duration::from_millis(frame.window_ms.into()));
        let is_first = !self.windows.contains_key(&window);
        let top = || frame.top.iter().map(|entry| (entry.emoji, entry.count));
        let seen = self.windows.entry(window).or_insert_with(|| Seen {
            total: frame.total,
            top: top().collect(),
            end_unix_ms: frame.start_ms + u64::from(frame.window_ms),
            first: at,
            lateness_us_min: None,
            lateness_us_max: None,
        });
        let is_the_same = seen.total == frame.total && top().eq(seen.top.iter().copied());
        self.conflicting += u64::from(!is_the_same);
        if has_joined {
            return Some(Delays { window, lateness_us: None, spread_us: None });
        }
        let lateness_us = at.unix_us.saturating_sub(seen.end_unix_ms * 1000);
        seen.lateness_us_min = seen.lateness_us_min.or(Some(lateness_us));
        seen.lateness_us_max = seen.lateness_us_max.max(Some(lateness_us));
        // The first frame has nobody to be later than.
        let spread_us = (!is_first).then(|| us_between(seen.first.instant, at.instant));
        Some(Delays { window, lateness_us: Some(lateness_us), spread_us })
    }

    /// Its palette, once it has come.
    pub fn palette(&self) -> Option<&Palette> {
        self.palette.as_ref()
    }

    /// Length of its windows, once a frame has said so.
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// The newest window that anybody got.
    pub fn newest(&self) -> Option<WindowSeq> {
        self.windows.last_key_value().map(|(window, _)| *window)
    }

    /// What a window's frame shows, if one came.
    pub fn seen(&self, window: WindowSeq) -> Option<&Seen> {
        self.windows.get(&window)
    }

    /// All windows from one on.
    pub fn windows_since(&self, window: WindowSeq) -> impl Iterator<Item = (WindowSeq, &Seen)> {
        self.windows.range(window..).map(|(window, seen)| (*window, seen))
    }

    /// Taps in all frames from a window on.
    pub fn taps_since(&self, window: WindowSeq) -> u64 {
        self.windows_since(window).map(|(_, seen)| seen.total).sum()
    }

    /// Of these, per emoji, as far as the frames show them.
    pub fn taps_by_emoji_since(&self, window: WindowSeq) -> BTreeMap<u16, u64> {
        let mut taps = BTreeMap::new();
        for (emoji, count) in self.windows_since(window).flat_map(|(_, seen)| &seen.top) {
            *taps.entry(*emoji).or_default() += count;
        }
        taps
    }

    pub(super) fn fix_horizon(&mut self) {
        self.horizon = self.horizon.or(self.newest());
    }

    pub(super) fn everyone_is_at_the_horizon(&self) -> bool {
        !self.seats.iter().any(|seat| !seat.is_gone && seat.last < self.horizon)
    }

    /// What its seats got.
    pub fn received(&self) -> Received {
        let mut sum = Received { twice: self.twice, conflicting: self.conflicting, ..Received::default() };
        for seat in &self.seats {
            let Some(first) = seat.first else { continue };
            // Who lost its connection is reported as lost, not as missing everything since.
            let end = if seat.is_gone { seat.last } else { self.horizon.or(self.newest()) };
            // Each window has a frame, so their numbers are enough to see a gap that everybody has.
            let expected = end.map_or(0, |end| (end.0 + 1).saturating_sub(first.0));
            sum.frames += seat.received;
            sum.missing += expected.saturating_sub(seat.received);
        }
        sum
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use uproar_wire::frame::TopEntry;

    pub(in crate::audit) fn frame(window: u64, total: u64) -> Frame {
        let top = vec![TopEntry { count: total, emoji: 1, share: 10_000, intensity: 255 }];
        Frame { room: 1, window_ms: 1000, window, start_ms: window * 1000, total, intensity: 255, top }
    }

    struct Stage {
        room: Room,
        start: Instant,
    }

    impl Stage {
        fn new() -> Self {
            Self { room: Room::default(), start: Instant::now() }
        }

        fn shows(&mut self, seat: Seat, window: u64, total: u64, at_ms: u64) -> Option<Delays> {
            let instant = self.start + Duration::from_millis(at_ms);
            self.room.handle_frame(seat, &frame(window, total), Arrival { instant, unix_us: (at_ms + 5) * 1000 })
        }
    }

    #[test]
    fn a_window_is_added_once_however_many_get_it() {
        let mut stage = Stage::new();
        let (one, other) = (stage.room.take_seat(), stage.room.take_seat());
        for seat in [one, other] {
            stage.shows(seat, 1, 100, 2000);
            stage.shows(seat, 2, 7, 3000);
        }
        assert_eq!([1, 2, 3].map(|window| stage.room.taps_since(WindowSeq(window))), [107, 7, 0]);
        assert_eq!(stage.room.taps_by_emoji_since(WindowSeq(1)), [(1, 107)].into());
        assert_eq!(stage.room.received(), Received { frames: 4, ..Received::default() });
    }

    #[test]
    fn gaps_repetitions_and_contradictions_are_told_apart() {
        let mut stage = Stage::new();
        let (one, other) = (stage.room.take_seat(), stage.room.take_seat());
        for window in [3, 4, 5] {
            stage.shows(one, window, 1, window * 1000);
        }
        stage.shows(one, 5, 1, 5001);
        stage.shows(other, 3, 1, 5002);
        stage.shows(other, 5, 2, 5003);
        assert_eq!(stage.room.received(), Received { frames: 5, missing: 1, twice: 1, conflicting: 1 });
    }

    #[test]
    fn a_window_that_nobody_got_is_everybodys_gap() {
        let mut stage = Stage::new();
        let one = stage.room.take_seat();
        stage.shows(one, 3, 1, 0);
        stage.shows(one, 9, 1, 6000);
        assert_eq!(stage.room.received().missing, 5);
    }

    #[test]
    fn whoever_is_gone_misses_nothing_more() {
        let mut stage = Stage::new();
        let (one, other) = (stage.room.take_seat(), stage.room.take_seat());
        stage.shows(one, 1, 1, 0);
        stage.shows(other, 1, 1, 0);
        stage.room.leave(other);
        stage.shows(one, 2, 1, 1000);
        stage.room.fix_horizon();
        assert!(stage.room.everyone_is_at_the_horizon());
        stage.shows(one, 3, 9, 2000);
        assert_eq!((stage.room.received().missing, stage.room.newest()), (0, Some(WindowSeq(2))));
    }

    #[test]
    fn lateness_counts_from_the_windows_end_and_spread_from_the_first_frame() {
        let mut stage = Stage::new();
        let (one, other) = (stage.room.take_seat(), stage.room.take_seat());
        let delays =
            |window, lateness_us, spread_us| Some(Delays { window: WindowSeq(window), lateness_us, spread_us });
        // The frame that comes on arrival is old, and measures nothing.
        assert_eq!(stage.shows(one, 1, 1, 1000), delays(1, None, None));
        assert_eq!(stage.shows(other, 1, 1, 1900), delays(1, None, None));
        assert_eq!(stage.shows(one, 2, 1, 3000), delays(2, Some(5000), None));
        assert_eq!(stage.shows(other, 2, 1, 3020), delays(2, Some(25_000), Some(20_000)));
        let seen = stage.room.seen(WindowSeq(2)).unwrap();
        assert_eq!((seen.lateness_us_min, seen.lateness_us_max), (Some(5000), Some(25_000)));
    }
}
