//! Adds up the deltas of all shards for the rooms that this shard merges, and makes their frames.
//!
//! A window is *complete* when every shard has sent a delta of its number or a later one; it is *sealed* when it is
//! complete or its grace has passed, and then nothing joins it any more. Windows are sealed in the order of their
//! numbers. A delta that comes after its window was sealed is late: it joins the oldest unsealed window, or, when there
//! is none, the one numbered after the last sealed.
//!
//! Invariants: every counter of every delta is added exactly once; the windows of a room's frames only grow.
//!
//! Not here: clocks (`now` comes in), what travels between shards, and encoding frames.

use super::RoomMap;
use super::counters::{Delta, RoomCounts};
use super::top_k::{PEAK_WINDOWS_MAX, TopK, decayed, intensity};
use crate::ids::ShardId;
use crate::limits::{GRACE_DIVISOR, MERGE_SLICE};
use crate::window::Now;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use uproar_wire::frame::Frame;
use uproar_wire::{RoomId, WindowSeq};

/// Counters that cost as much as one further room entry; with it a slice of full palettes is no longer than others.
const COUNTERS_PER_ENTRY: usize = 64;
/// Emptied sums kept for later windows: one window is merged while the next one's first deltas come.
const SPARE_SUMS: usize = 2;

const _: () = assert!(
    uproar_wire::frame::PALETTE_MAX / COUNTERS_PER_ENTRY < MERGE_SLICE,
    "one entry with a full palette fits a slice, or merging would stand still"
);

/// What [`Merger::poll_output`] did or wants done.
#[derive(Debug)]
pub enum MergeOutput {
    /// A room's frame, to be encoded and offered on every shard.
    Frame(Frame),
    /// A delta that was added: its storage goes back to the shard that sent it.
    Recycled(ShardId, Delta),
    /// A slice of work is done and more is due: call again, after a look at arrivals.
    Working,
    /// Nothing to do until a delta comes or the deadline passes.
    Idle,
}

/// One window that still has deltas to add or frames to make.
#[derive(Debug)]
struct Pending {
    window: WindowSeq,
    deadline: Instant,
    sealed: bool,
    /// Not yet added.
    deltas: VecDeque<(ShardId, Delta)>,
    /// Entries already added of the first of `deltas`.
    next_entry: usize,
    sums: Sums,
}

/// What a window's deltas add up to so far.
#[derive(Debug, Default)]
struct Sums {
    index: RoomMap<u32>,
    /// In the order in which rooms first appeared.
    rooms: Vec<RoomSum>,
    counts: Vec<u64>,
    /// Rooms whose frame is made.
    framed: usize,
}

#[derive(Clone, Copy, Debug)]
struct RoomSum {
    counts: RoomCounts,
    total: u64,
}

impl Pending {
    fn add_slice(&mut self) -> MergeOutput {
        let Some((_, delta)) = self.deltas.front() else { return MergeOutput::Idle };
        let mut budget = MERGE_SLICE;
        while let Some(&entry) = delta.rooms.get(self.next_entry) {
            let Some(left) = budget.checked_sub(1 + usize::from(entry.len) / COUNTERS_PER_ENTRY) else {
                return MergeOutput::Working;
            };
            budget = left;
            self.sums.add(entry.room, delta.counts_of(entry));
            self.next_entry += 1;
        }
        self.next_entry = 0;
        self.deltas.pop_front().map_or(MergeOutput::Idle, |(from, delta)| MergeOutput::Recycled(from, delta))
    }
}

impl Sums {
    fn add(&mut self, room: RoomId, counts: &[u64]) {
        let Self { index, rooms, counts: sums, .. } = self;
        let place = *index.entry(room).or_insert_with(|| {
            rooms.push(RoomSum { counts: RoomCounts { room, offset: 0, len: 0 }, total: 0 });
            rooms.len() as u32 - 1
        });
        let sum = &mut rooms[place as usize];
        let mut own = sum.counts.offset..sum.counts.offset + usize::from(sum.counts.len);
        if counts.len() > own.len() {
            // First counters of this room, or a longer palette than before: move to the end, where there is room.
            let offset = sums.len();
            sums.extend_from_within(own);
            sums.resize(offset + counts.len(), 0);
            sum.counts = RoomCounts { room, offset, len: counts.len() as u16 };
            own = offset..offset + counts.len();
        }
        for (sum, count) in sums[own].iter_mut().zip(counts) {
            *sum += count;
        }
        sum.total += counts.iter().sum::<u64>();
    }

    fn counts_of(&self, RoomCounts { offset, len, .. }: RoomCounts) -> &[u64] {
        &self.counts[offset..offset + usize::from(len)]
    }

    fn next_unframed(&mut self) -> Option<RoomSum> {
        let room = *self.rooms.get(self.framed)?;
        self.framed += 1;
        Some(room)
    }

    fn clear(&mut self) {
        self.index.clear();
        self.rooms.clear();
        self.counts.clear();
        self.framed = 0;
    }
}

/// The loudest that rooms have been of late.
///
/// Two generations: a peak that was not touched for [`PEAK_WINDOWS_MAX`] windows has decayed to nothing, so forgetting
/// it changes no frame, and rooms that are gone cost nothing, even those of which a delta came after their removal.
#[derive(Debug, Default)]
struct Peaks {
    young: RoomMap<Peak>,
    old: RoomMap<Peak>,
    young_since: WindowSeq,
}

#[derive(Clone, Copy, Debug)]
struct Peak {
    total: u64,
    at: WindowSeq,
}

impl Peaks {
    /// The room's peak in `window`, which counts `total` itself.
    fn raise(&mut self, room: RoomId, window: WindowSeq, total: u64) -> u64 {
        let last = self.young.get(&room).copied().or_else(|| self.old.remove(&room));
        let recent = last.map_or(0, |peak| decayed(peak.total, window.0.saturating_sub(peak.at.0)));
        let peak = Peak { total: recent.max(total), at: window };
        if peak.total > 0 {
            self.young.insert(room, peak);
        }
        peak.total
    }

    fn handle_window(&mut self, window: WindowSeq) {
        if window.0.saturating_sub(self.young_since.0) >= PEAK_WINDOWS_MAX {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young_since = window;
        }
    }

    fn remove(&mut self, room: RoomId) {
        self.young.remove(&room);
        self.old.remove(&room);
    }
}

/// Sums and frames of the rooms that one shard merges.
///
/// After every `handle_*` and [`Self::flush`], [`Self::poll_output`] is called until it is idle, and
/// [`Self::poll_timeout`] asked anew.
#[derive(Debug)]
pub struct Merger {
    window_ms: u64,
    /// Number of each shard's newest delta.
    newest: Vec<Option<WindowSeq>>,
    last_sealed: Option<WindowSeq>,
    /// By window number, ascending; the sealed ones come first.
    pending: VecDeque<Pending>,
    /// Emptied storage for a later window.
    spare: Vec<Sums>,
    peaks: Peaks,
    top: TopK,
    late_deltas: u64,
}

impl Merger {
    /// Waits for the deltas of `shards` shards; frames carry at most `top_k` emoji.
    pub fn new(shards: usize, window_ms: u64, top_k: usize) -> Self {
        Self {
            window_ms,
            newest: vec![None; shards],
            last_sealed: None,
            pending: VecDeque::new(),
            spare: Vec::new(),
            peaks: Peaks::default(),
            top: TopK::new(top_k),
            late_deltas: 0,
        }
    }

    /// A shard closed a window.
    pub fn handle_delta(&mut self, now: Now, from: ShardId, delta: Delta) {
        let number = delta.window;
        if let Some(newest) = self.newest.get_mut(from.index()) {
            *newest = (*newest).max(Some(number));
        }
        let late = self.last_sealed.is_some_and(|sealed| number <= sealed);
        let (window, deadline) = if late {
            self.late_deltas += 1;
            self.window_for_late(now)
        } else {
            (number, now.instant + self.grace())
        };
        let pending = self.pending_at(window, deadline);
        pending.deadline = pending.deadline.min(deadline);
        pending.deltas.push_back((from, delta));
        if let Some(complete) = self.newest.iter().copied().min().flatten() {
            self.seal_through(complete);
        }
    }

    /// Seals the windows whose grace has passed, and those before them.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = self.pending.iter().rev().find(|pending| pending.deadline <= now.instant);
        if let Some(window) = due.map(|pending| pending.window) {
            self.seal_through(window);
        }
    }

    /// When the first grace ends, if a window waits for deltas.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().filter(|pending| !pending.sealed).map(|pending| pending.deadline).min()
    }

    /// Seals everything pending without waiting: for draining, once all shards have sent their last delta.
    pub fn flush(&mut self) {
        if let Some(window) = self.pending.back().map(|pending| pending.window) {
            self.seal_through(window);
        }
    }

    /// Does the next bit of work: at most [`MERGE_SLICE`] room entries, or one frame.
    pub fn poll_output(&mut self) -> MergeOutput {
        let Some(front) = self.pending.front_mut() else { return MergeOutput::Idle };
        if !front.deltas.is_empty() {
            return front.add_slice();
        }
        if !front.sealed {
            return MergeOutput::Idle;
        }
        if let Some(room) = front.sums.next_unframed() {
            return MergeOutput::Frame(self.frame(room));
        }
        self.finish_front();
        MergeOutput::Working
    }

    /// Forgets the room's recent peak. What was counted still becomes a frame.
    pub fn remove_room(&mut self, room: RoomId) {
        self.peaks.remove(room);
    }

    /// Deltas that came after their window was sealed.
    pub fn late_deltas(&self) -> u64 {
        self.late_deltas
    }

    /// Whether nothing is pending and there is nothing to output.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    fn grace(&self) -> Duration {
        Duration::from_millis(self.window_ms / GRACE_DIVISOR)
    }

    /// The window that a late delta joins, and its deadline: that window's own deltas come when it ends, so its grace
    /// begins there. Otherwise one late delta would make every later one late. After a clock step the end may lie far
    /// off; one window is long enough.
    fn window_for_late(&self, now: Now) -> (WindowSeq, Instant) {
        let unsealed = self.pending.iter().find(|pending| !pending.sealed).map(|pending| pending.window);
        let window = unsealed.unwrap_or_else(|| WindowSeq(self.last_sealed.map_or(0, |sealed| sealed.0 + 1)));
        let end_ms = window.0.saturating_add(1).saturating_mul(self.window_ms);
        let until_end = Duration::from_millis(end_ms.saturating_sub(now.unix_ms).min(self.window_ms));
        (window, now.instant + until_end + self.grace())
    }

    fn pending_at(&mut self, window: WindowSeq, deadline: Instant) -> &mut Pending {
        let place = self.pending.partition_point(|pending| pending.window < window);
        if self.pending.get(place).is_none_or(|pending| pending.window != window) {
            let sums = self.spare.pop().unwrap_or_default();
            let deltas = VecDeque::with_capacity(self.newest.len());
            self.pending.insert(place, Pending { window, deadline, sealed: false, deltas, next_entry: 0, sums });
        }
        &mut self.pending[place]
    }

    fn seal_through(&mut self, window: WindowSeq) {
        for pending in self.pending.iter_mut().take_while(|pending| pending.window <= window) {
            pending.sealed = true;
            self.last_sealed = self.last_sealed.max(Some(pending.window));
        }
    }

    /// The frame of one room of the front window.
    fn frame(&mut self, RoomSum { counts, total }: RoomSum) -> Frame {
        let front = &self.pending[0];
        let (room, window) = (counts.room, front.window);
        let peak = self.peaks.raise(room, window, total);
        Frame {
            room: room.0,
            window_ms: self.window_ms as u32,
            window: window.0,
            start_ms: window.0.saturating_mul(self.window_ms),
            total,
            intensity: intensity(total, peak),
            top: self.top.entries(front.sums.counts_of(counts), total, peak),
        }
    }

    fn finish_front(&mut self) {
        let Some(Pending { window, mut sums, .. }) = self.pending.pop_front() else { return };
        self.peaks.handle_window(window);
        if self.spare.len() < SPARE_SUMS {
            sums.clear();
            self.spare.push(sums);
        }
    }
}
