//! What frames add up to: per window who has it and how late it came, and what was never seen.
//!
//! A *place* is one subscriber's watch of one room. From the window after its first frame on, a place is *due* a frame of
//! every window. Invariant: a window's record counts the frames of due places only, so that `frames + missing` are exactly
//! those who waited for it.
//! All rooms of a server cut time at the same boundaries, so that a window is one record, whatever the rooms.

use super::delays::Delays;
use super::sightings::Sightings;
use super::viewer::Picture;
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime};
use uproar_wire::WindowSeq;

/// Records that wait for whoever asks; those beyond are dropped.
const RECORDS_MAX: usize = 1024;
/// Windows looked after at once; the oldest is told as it is when there are more.
const OPEN_MAX: usize = 8;
/// Lateness beyond this counts as this.
const LATENESS_US_MAX: u64 = 60_000_000;

/// One reading of both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// Unix time in microseconds.
    pub unix_us: u64,
}

impl Moment {
    /// Now. A wall clock before 1970 counts as 1970.
    pub(super) fn now() -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { instant: Instant::now(), unix_us: since_1970.as_micros() as u64 }
    }
}

/// How the frames of one window came. Lateness is from the window's end, by the wall clock, to the moment at which the
/// fleet read the frame.
#[derive(Clone, Debug)]
pub struct WindowArrivals {
    /// The window.
    pub window: WindowSeq,
    /// Frames that came, of all rooms and subscribers that were due one.
    pub frames: u64,
    /// Frames that were due and had not come when most had the next window's.
    pub missing: u64,
    /// When the first came.
    pub first_at: Moment,
    /// When the last came.
    pub last_at: Moment,
    /// Median lateness, in microseconds.
    pub lateness_us_p50: u64,
    /// Lateness that one in a hundred exceeds, in microseconds.
    pub lateness_us_p99: u64,
    /// The largest lateness, in microseconds.
    pub lateness_us_max: u64,
}

impl WindowArrivals {
    /// From the first arrival to the last.
    pub fn spread(&self) -> Duration {
        self.last_at.instant.saturating_duration_since(self.first_at.instant)
    }
}

/// One subscriber's watch of one room.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Window of the newest frame, plus one.
    last: Option<NonZeroU64>,
    /// Window since which it is due frames, plus one.
    first: Option<NonZeroU64>,
    /// Frames before this window are not what it waits for.
    from: u64,
}

struct Open {
    window: u64,
    /// Frames of due places, and of these how many are due no longer.
    frames: u64,
    left: u64,
    /// Places whose first frame this was.
    joined: u64,
    first_at: Moment,
    last_at: Moment,
    lateness_us: Histogram<u32>,
}

/// The sum of all places.
pub(super) struct Arrivals {
    open: VecDeque<Open>,
    spare: Vec<Histogram<u32>>,
    records: SyncSender<WindowArrivals>,
    /// The newest window that was told.
    told: u64,
    newest: u64,
    due: u64,
    sightings: Sightings,
    pub(super) delays: Delays,
    pub(super) frames: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) gaps_while_paused: u64,
}

impl Arrivals {
    /// Nothing has come of so many rooms; records appear at the other end.
    pub(super) fn new(rooms: usize) -> (Self, Receiver<WindowArrivals>) {
        let (records, taken) = mpsc::sync_channel(RECORDS_MAX);
        let arrivals = Self {
            open: VecDeque::with_capacity(OPEN_MAX + 1),
            spare: Vec::new(),
            records,
            told: 0,
            newest: 0,
            due: 0,
            sightings: Sightings::new(rooms),
            delays: Delays::new(),
            frames: 0,
            duplicates: 0,
            gaps: 0,
            gaps_while_paused: 0,
        };
        (arrivals, taken)
    }

    /// A frame came to `place`.
    pub(super) fn handle_frame(&mut self, at: Moment, place: &mut Place, picture: Picture) {
        let window = picture.window;
        self.frames += 1;
        let spread = self.sightings.handle_frame(at.instant, &picture);
        let next = NonZeroU64::MIN.saturating_add(window);
        let last = place.last;
        if let Some(last) = last {
            if next <= last {
                self.duplicates += 1;
                return;
            }
            let skipped = next.get() - last.get() - 1;
            *(if place.first.is_some() { &mut self.gaps } else { &mut self.gaps_while_paused }) += skipped;
        }
        place.last = Some(next);
        self.newest = self.newest.max(window);
        if place.first.is_some() {
            let windows = last.map_or(1, |last| next.get() - last.get());
            self.delays.handle_frame(at, &picture, spread, windows);
            self.record(at, picture);
        } else if window >= place.from {
            place.first = Some(next);
            self.due += 1;
            if let Some(open) = self.open_mut(at, window) {
                open.joined += 1;
            }
        }
    }

    /// `place` waits for nothing any more.
    pub(super) fn leave(&mut self, place: &mut Place) {
        let Some(first) = place.first.take() else { return };
        self.due -= 1;
        for open in &mut self.open {
            if first.get() - 1 == open.window {
                open.joined -= 1;
            } else if first.get() - 1 < open.window && place.last.is_some_and(|last| last.get() > open.window) {
                open.left += 1;
            }
        }
    }

    /// `place` waits again, for the newest frame and those after it.
    pub(super) fn come_back(&self, place: &mut Place) {
        place.from = self.newest;
    }

    /// Tells of windows that everybody has, or that most are past.
    pub(super) fn settle(&mut self) {
        while let Some(front) = self.open.front() {
            let due = self.due_of(0);
            let has_come = front.frames.saturating_sub(front.left);
            let is_complete = due > 0 && has_come >= due;
            let most_are_past =
                (1..self.open.len()).any(|at| self.open[at].frames > 0 && 2 * self.open[at].frames > self.due_of(at));
            if !is_complete && !most_are_past && self.open.len() <= OPEN_MAX {
                break;
            }
            self.tell(due.saturating_sub(has_come));
        }
    }

    /// Frames whose bytes were others than the first one's of the same room and window.
    pub(super) fn conflicting(&self) -> u64 {
        self.sightings.conflicting
    }

    fn record(&mut self, at: Moment, picture: Picture) {
        let Some(open) = self.open_mut(at, picture.window) else { return };
        if open.frames == 0 {
            open.first_at = at;
        }
        open.frames += 1;
        open.last_at = at;
        let late_us = at.unix_us.saturating_sub(picture.end_unix_us).clamp(1, LATENESS_US_MAX);
        open.lateness_us.saturating_record(late_us);
    }

    /// The record of `window`, unless it was told already.
    fn open_mut(&mut self, at: Moment, window: u64) -> Option<&mut Open> {
        if window <= self.told {
            return None;
        }
        // Almost always the newest.
        let after = self.open.iter().rposition(|open| open.window <= window);
        let place = match after {
            Some(place) if self.open[place].window == window => return self.open.get_mut(place),
            Some(place) => place + 1,
            None => 0,
        };
        let lateness_us = self.spare.pop().unwrap_or_else(histogram);
        let open = Open { window, frames: 0, left: 0, joined: 0, first_at: at, last_at: at, lateness_us };
        self.open.insert(place, open);
        self.open.get_mut(place)
    }

    /// Places that are due a frame of the open window at `at`: those whose first frame was of an earlier one.
    fn due_of(&self, at: usize) -> u64 {
        self.due.saturating_sub(self.open.range(at..).map(|open| open.joined).sum())
    }

    fn tell(&mut self, missing: u64) {
        let Some(mut open) = self.open.pop_front() else { return };
        self.told = open.window;
        if open.frames > 0 || missing > 0 {
            // Nobody may be asking.
            let _ = self.records.try_send(WindowArrivals {
                window: WindowSeq(open.window),
                frames: open.frames,
                missing,
                first_at: open.first_at,
                last_at: open.last_at,
                lateness_us_p50: open.lateness_us.value_at_quantile(0.5),
                lateness_us_p99: open.lateness_us.value_at_quantile(0.99),
                lateness_us_max: open.lateness_us.max(),
            });
        }
        open.lateness_us.reset();
        self.spare.push(open.lateness_us);
    }
}

fn histogram() -> Histogram<u32> {
    // Two digits: a percentile is off by one in a hundred, and a histogram takes 10 KB.
    Histogram::new_with_bounds(1, LATENESS_US_MAX, 2).unwrap_or_else(|_| unreachable!("the bounds are in order"))
}

#[cfg(test)]
mod tests;
