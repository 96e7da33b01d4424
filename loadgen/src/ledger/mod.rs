//! What was sent: per room, window and emoji, and when. Whoever sends keeps a [`Ledger`] of its own and they are added up at
//! the end, so nothing is shared while taps are sent but one bit a person ([`Acted`]).
//!
//! [`grid`] says which window a tap belongs to; [`recorder`] has latencies.
//!
//! Invariant: `planned = sent + unconfirmed + refused + unsent`, in taps. Only what is `sent` must be in the frames;
//! `unconfirmed` may be (a request whose reply never came).

pub mod grid;
pub mod recorder;

mod acted;

pub use acted::Acted;
pub use grid::{Grid, Zone};
pub use recorder::{Recorder, histogram, merge, record};

use crate::crowd::{Batch, SLICE, Tap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The three ways in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Reaction datagrams.
    Udp,
    /// Requests.
    Http,
    /// QUIC DATAGRAM frames.
    Quic,
}

impl Transport {
    /// In the order they are reported.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Http, Self::Quic];

    /// As in the server's metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Quic => "quic",
        }
    }
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Handed to the kernel or the connection, or confirmed where the transport confirms.
    Sent,
    /// Sent, but no answer came.
    Unconfirmed,
    /// Refused or failed, with the reason.
    Refused(String),
    /// Not sent, because the generator came when its time was long over.
    Unsent,
}

/// The shape of a ledger: ledgers of one shape add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The match's windows.
    pub grid: Grid,
    /// Rooms of the scenario.
    pub rooms: usize,
    /// Emoji of the scenario.
    pub emoji: usize,
    /// Length of the intervals that latencies and rates are kept for.
    pub interval: Duration,
}

/// What one thread, or all of one transport, sent.
#[derive(Clone, Debug)]
pub struct Ledger {
    shape: Shape,
    /// Taps planned.
    pub planned: u64,
    /// Taps sent.
    pub sent: u64,
    /// Batches sent: datagrams, or requests.
    pub batches: u64,
    /// Taps whose fate is unknown.
    pub unconfirmed: u64,
    /// Taps refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Taps given up.
    pub unsent: u64,
    /// Datagrams that a connection took and that never left: it ended, or its path did not carry them. Their taps are
    /// among those sent.
    pub left_behind: u64,
    /// Packets, of any content, that connections hold for lost on the way to the server.
    pub packets_lost: u64,
    /// Taps planned, per interval of the match.
    pub planned_by_interval: Vec<u64>,
    /// Taps sent, per interval in which they left.
    pub sent_by_interval: Vec<u64>,
    /// From planned to handed over.
    pub lag_us: Recorder,
    /// From planned to confirmed, or to giving up on it: what was answered with a refusal at once is not in it. Empty where
    /// nothing confirms.
    pub confirmed_us: Recorder,
    /// CPU time of the threads that planned and sent, the kernel's part included; 0 where they do other things too.
    pub cpu: Duration,
    rooms: Vec<RoomLedger>,
}

#[derive(Clone, Debug, Default)]
struct RoomLedger {
    /// Taps per window since the first one, zone and emoji, one behind the other.
    cells: Vec<u64>,
    /// Taps per slice in which they were planned; as many as fit.
    curve: Vec<u32>,
    /// Taps whose fate is unknown.
    unconfirmed: u64,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            planned: 0,
            sent: 0,
            batches: 0,
            unconfirmed: 0,
            refused: BTreeMap::new(),
            unsent: 0,
            left_behind: 0,
            packets_lost: 0,
            planned_by_interval: Vec::new(),
            sent_by_interval: Vec::new(),
            lag_us: Recorder::new(shape.interval),
            confirmed_us: Recorder::new(shape.interval),
            cpu: Duration::ZERO,
            rooms: vec![RoomLedger::default(); shape.rooms],
        }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Writes down what became of a batch for a room (its place in the scenario) that left, or would have left, `at`.
    pub fn record(&mut self, room: usize, batch: &Batch<'_>, at: Instant, outcome: Outcome) {
        let taps = batch.count();
        self.record_planned(batch.due, taps);
        match outcome {
            Outcome::Sent => self.record_sent(room, batch.due, at, batch.taps),
            Outcome::Unconfirmed => {
                self.unconfirmed += taps;
                self.rooms[room].unconfirmed += taps;
            }
            Outcome::Refused(reason) => *self.refused.entry(reason).or_default() += taps,
            Outcome::Unsent => self.unsent += taps,
        }
    }

    /// Writes down that so many taps were to leave at `due`, which is counted from the start.
    pub fn record_planned(&mut self, due: Duration, taps: u64) {
        self.planned += taps;
        let place = place_of(due, self.shape.interval);
        add_at(&mut self.planned_by_interval, place, taps);
    }

    /// Writes down the taps of a batch that left `at`. They must have been recorded as planned.
    pub fn record_sent(&mut self, room: usize, due: Duration, at: Instant, taps: &[Tap]) {
        let cell = self.cell(room, self.shape.grid.place(at));
        let mut sum = 0;
        for tap in taps {
            cell[usize::from(tap.emoji.0)] += u64::from(tap.count);
            sum += u64::from(tap.count);
        }
        self.sent += sum;
        self.batches += 1;
        let slice = place_of(due, SLICE);
        let curve = &mut self.rooms[room].curve;
        if curve.len() <= slice {
            curve.resize(slice + 1, 0);
        }
        curve[slice] = curve[slice].saturating_add(u32::try_from(sum).unwrap_or(u32::MAX));
        let since_start = at.saturating_duration_since(self.shape.grid.start);
        let place = place_of(since_start, self.shape.interval);
        add_at(&mut self.sent_by_interval, place, sum);
    }

    /// Counts per emoji of what leaves for a room in a window and zone.
    fn cell(&mut self, room: usize, (window, zone): (usize, Zone)) -> &mut [u64] {
        let emoji = self.shape.emoji;
        let start = (window * Zone::ALL.len() + zone as usize) * emoji;
        let cells = &mut self.rooms[room].cells;
        if cells.len() < start + emoji {
            cells.resize(start + emoji, 0);
        }
        &mut cells[start..start + emoji]
    }

    /// Adds another ledger of the same shape.
    pub fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.batches += other.batches;
        self.unconfirmed += other.unconfirmed;
        self.unsent += other.unsent;
        self.left_behind += other.left_behind;
        self.packets_lost += other.packets_lost;
        for (reason, taps) in &other.refused {
            *self.refused.entry(reason.clone()).or_default() += taps;
        }
        add_each(&mut self.planned_by_interval, &other.planned_by_interval);
        add_each(&mut self.sent_by_interval, &other.sent_by_interval);
        self.lag_us.add(&other.lag_us);
        self.confirmed_us.add(&other.confirmed_us);
        self.cpu += other.cpu;
        for (to, from) in self.rooms.iter_mut().zip(&other.rooms) {
            add_each(&mut to.cells, &from.cells);
            add_each_saturating(&mut to.curve, &from.curve);
            to.unconfirmed += from.unconfirmed;
        }
    }

    /// Windows in which something was sent to a room, at most, counted from the grid's first.
    pub fn windows(&self, room: usize) -> usize {
        self.rooms[room].cells.len().div_ceil(self.shape.emoji * Zone::ALL.len())
    }

    /// Taps per emoji that left for a room in a window (counted from the grid's first) and zone; empty where none did.
    pub fn sent_in(&self, room: usize, window: usize, zone: Zone) -> &[u64] {
        let start = (window * Zone::ALL.len() + zone as usize) * self.shape.emoji;
        self.rooms[room].cells.get(start..start + self.shape.emoji).unwrap_or_default()
    }

    /// Taps that left for a room in a window, counted from the grid's first.
    pub fn sent_in_window(&self, room: usize, window: usize) -> u64 {
        Zone::ALL.iter().flat_map(|zone| self.sent_in(room, window, *zone)).sum()
    }

    /// Taps sent to a room, per emoji.
    pub fn sent_by_emoji(&self, room: usize) -> Vec<u64> {
        let mut sums = vec![0; self.shape.emoji];
        for cell in self.rooms[room].cells.chunks(self.shape.emoji) {
            sums.iter_mut().zip(cell).for_each(|(sum, taps)| *sum += taps);
        }
        sums
    }

    /// Taps sent to a room.
    pub fn sent_to(&self, room: usize) -> u64 {
        self.rooms[room].cells.iter().sum()
    }

    /// Taps for a room whose fate is unknown.
    pub fn unconfirmed_to(&self, room: usize) -> u64 {
        self.rooms[room].unconfirmed
    }

    /// Taps sent to a room, per slice in which they were planned.
    pub fn curve(&self, room: usize) -> &[u32] {
        &self.rooms[room].curve
    }

    /// Taps refused, for whatever reason.
    pub fn refused_taps(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// The number of the step, of whole microseconds, in which a time is. In 64 bits, as this is asked for every datagram.
fn place_of(at: Duration, step: Duration) -> usize {
    (at.as_micros() as u64 / (step.as_micros() as u64).max(1)) as usize
}

fn add_at(counts: &mut Vec<u64>, place: usize, count: u64) {
    if counts.len() <= place {
        counts.resize(place + 1, 0);
    }
    counts[place] += count;
}

fn add_each(to: &mut Vec<u64>, from: &[u64]) {
    if to.len() < from.len() {
        to.resize(from.len(), 0);
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

fn add_each_saturating(to: &mut Vec<u32>, from: &[u32]) {
    if to.len() < from.len() {
        to.resize(from.len(), 0);
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to = to.saturating_add(*from));
}

/// The time from one moment to another in microseconds, for a histogram; 0 when it is the other way round.
pub fn us_between(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use uproar_wire::EmojiId;

    fn shape() -> Shape {
        let grid = Grid::new(Instant::now(), 1_000_000, Duration::from_millis(100), Duration::from_millis(10));
        Shape { grid, rooms: 2, emoji: 3, interval: Duration::from_secs(1) }
    }

    /// Writes down a batch that left as planned.
    fn record(ledger: &mut Ledger, at_ms: u64, room: usize, taps: &[(u16, u16)], outcome: Outcome) {
        let tap = |&(emoji, count)| Tap { person: 0, emoji: EmojiId(emoji), count };
        let (taps, due): (Vec<Tap>, _) = (taps.iter().map(tap).collect(), Duration::from_millis(at_ms));
        let at = ledger.shape.grid.start + due;
        ledger.record(room, &Batch { due, lot: 0, taps: &taps }, at, outcome);
    }

    #[test]
    fn every_planned_tap_has_one_outcome() {
        let mut ledger = Ledger::new(shape());
        record(&mut ledger, 5, 0, &[(0, 2), (2, 3)], Outcome::Sent);
        record(&mut ledger, 125, 1, &[(1, 7)], Outcome::Sent);
        record(&mut ledger, 126, 1, &[(1, 4)], Outcome::Unconfirmed);
        record(&mut ledger, 127, 1, &[(1, 1)], Outcome::Refused("429".into()));
        record(&mut ledger, 1128, 1, &[(1, 9)], Outcome::Unsent);
        assert_eq!((ledger.planned, ledger.sent, ledger.unconfirmed, ledger.unsent), (26, 12, 4, 9));
        assert_eq!((ledger.refused["429"], ledger.batches), (1, 2));
        assert_eq!([0, 1].map(|room| ledger.sent_by_emoji(room)), [[2, 0, 3], [0, 7, 0]]);
        assert_eq!([ledger.curve(0), ledger.curve(1)], [&[5][..], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]]);
        assert_eq!((&ledger.planned_by_interval[..], &ledger.sent_by_interval[..]), (&[17, 9][..], &[12][..]));
    }

    #[test]
    fn taps_are_in_the_window_and_zone_in_which_they_left() {
        let mut ledger = Ledger::new(shape());
        record(&mut ledger, 5, 0, &[(0, 1)], Outcome::Sent);
        record(&mut ledger, 50, 0, &[(1, 2)], Outcome::Sent);
        record(&mut ledger, 195, 0, &[(2, 4)], Outcome::Sent);
        assert_eq!(ledger.windows(0), 2);
        assert_eq!(ledger.sent_in(0, 0, Zone::Head), [1, 0, 0]);
        assert_eq!(ledger.sent_in(0, 0, Zone::Body), [0, 2, 0]);
        assert_eq!(ledger.sent_in(0, 1, Zone::Tail), [0, 0, 4]);
        assert!(ledger.sent_in(1, 0, Zone::Body).is_empty());
    }

    #[test]
    fn ledgers_add_up_whatever_their_lengths() {
        let shape = shape();
        let (mut one, mut other) = (Ledger::new(shape), Ledger::new(shape));
        record(&mut one, 0, 0, &[(0, 1)], Outcome::Sent);
        record(&mut other, 30, 0, &[(0, 2)], Outcome::Sent);
        record(&mut other, 30, 0, &[(0, 5)], Outcome::Refused("503".into()));
        other.lag_us.record(Duration::ZERO, 10);
        (one.left_behind, other.left_behind, other.packets_lost) = (1, 2, 4);
        one.add(&other);
        assert_eq!((one.planned, one.sent, one.sent_to(0), one.refused_taps()), (8, 3, 3, 5));
        assert_eq!((one.left_behind, one.packets_lost), (3, 4));
        assert_eq!(one.curve(0), [1, 0, 0, 2]);
        assert_eq!(one.lag_us.total().len(), 1);
    }

    #[test]
    fn a_curve_is_full_rather_than_wrong() {
        let (mut one, mut other) = (Ledger::new(shape()), Ledger::new(shape()));
        record(&mut one, 0, 0, &[(0, 1)], Outcome::Sent);
        other.rooms[0].curve = vec![u32::MAX, 7];
        one.add(&other);
        record(&mut one, 0, 0, &[(0, 1)], Outcome::Sent);
        assert_eq!(one.curve(0), [u32::MAX, 7]);
    }
}
