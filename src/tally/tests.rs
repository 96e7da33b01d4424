//! A few shards count, close and merge in memory; what was counted comes out once, whatever happens in between.

use super::top_k::{TopK, decayed, intensity};
use super::*;
use crate::ids::{ShardId, merger_of};
use crate::limits::MERGE_SLICE;
use crate::window::Now;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use uproar_wire::frame::{Frame, PALETTE_MAX};
use uproar_wire::{EmojiId, RoomId, WindowSeq};

const WINDOW_MS: u64 = 2000;
const FIRST: u64 = 100;
const ROOM: RoomId = RoomId(7);

/// Some shards with their mergers, and the deltas between them that have not arrived.
struct Shards {
    now: Now,
    tallies: Vec<Tally>,
    mergers: Vec<Merger>,
    /// Per sender, per merger.
    mesh: Vec<Vec<VecDeque<Delta>>>,
    windows: Vec<u64>,
    frames: Vec<Frame>,
    counted: BTreeMap<(RoomId, EmojiId), u64>,
}

impl Shards {
    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn new(shards: usize) -> Self {
        Self {
            now: Now { instant: Instant::now(), unix_ms: FIRST * WINDOW_MS },
            tallies: (0..shards).map(|_| Tally::new(shards)).collect(),
            mergers: (0..shards).map(|_| Merger::new(shards, WINDOW_MS, 64)).collect(),
            mesh: (0..shards).map(|_| (0..shards).map(|_| VecDeque::new()).collect()).collect(),
            windows: vec![FIRST; shards],
            frames: Vec::new(),
            counted: BTreeMap::new(),
        }
    }

    fn with_room(shards: usize, palette_len: u16) -> Self {
        let mut new = Self::new(shards);
        new.put_room(ROOM, palette_len);
        new
    }

    fn put_room(&mut self, room: RoomId, palette_len: u16) {
        for tally in &mut self.tallies {
            tally.put_room(room, palette_len);
        }
    }

    fn remove_room(&mut self, room: RoomId) {
        self.tallies.iter_mut().for_each(|tally| tally.remove_room(room));
        self.mergers.iter_mut().for_each(|merger| merger.remove_room(room));
    }

    fn tap(&mut self, shard: usize, room: RoomId, emoji: u16, count: u16) -> Result<u64, CountError> {
        let result = tap(&mut self.tallies[shard], room, &[(EmojiId(emoji), count)]);
        if let Ok(taps) = result {
            *self.counted.entry((room, EmojiId(emoji))).or_default() += taps;
        }
        result
    }

    /// Closes a shard's window; its deltas stay in the mesh. The next window is `step` later.
    fn close(&mut self, shard: usize, step: u64) {
        let window = WindowSeq(self.windows[shard]);
        self.windows[shard] += step;
        for (merger, delta) in self.tallies[shard].close(window) {
            self.mesh[shard][merger.index()].push_back(delta);
        }
    }

    /// Lets the oldest delta from one shard to one merger arrive.
    fn deliver(&mut self, from: usize, merger: usize) {
        if let Some(delta) = self.mesh[from][merger].pop_front() {
            self.mergers[merger].handle_delta(self.now, ShardId(from as u8), delta);
        }
    }

    fn deliver_all_from(&mut self, from: usize) {
        for merger in 0..self.mergers.len() {
            while !self.mesh[from][merger].is_empty() {
                self.deliver(from, merger);
            }
        }
    }

    fn pass_time(&mut self, ms: u64) {
        self.now = self.now.after(Duration::from_millis(ms));
        self.mergers.iter_mut().for_each(|merger| merger.handle_timeout(self.now));
    }

    /// One call of one merger's `poll_output`; false when it is idle.
    fn poll(&mut self, merger: usize) -> bool {
        match self.mergers[merger].poll_output() {
            MergeOutput::Frame(frame) => self.frames.push(frame),
            MergeOutput::Recycled(shard, delta) => self.tallies[shard.index()].recycle(delta),
            MergeOutput::Working => {}
            MergeOutput::Idle => return false,
        }
        true
    }

    /// The frames that all mergers make of what has arrived.
    fn frames(&mut self) -> Vec<Frame> {
        for merger in 0..self.mergers.len() {
            while self.poll(merger) {}
        }
        std::mem::take(&mut self.frames)
    }

    /// A window of all shards, whose deltas all arrive.
    fn whole_window(&mut self) -> Vec<Frame> {
        for shard in 0..self.tallies.len() {
            self.close(shard, 1);
            self.deliver_all_from(shard);
        }
        self.pass_time(WINDOW_MS);
        self.frames()
    }

    fn late(&self) -> u64 {
        self.mergers.iter().map(Merger::late_deltas).sum()
    }
}

/// One reaction.
fn tap(tally: &mut Tally, room: RoomId, records: &[(EmojiId, u16)]) -> Result<u64, CountError> {
    let slot = tally.find(room)?;
    tally.count_in(slot, records.iter().copied())
}

fn totals(frames: &[Frame]) -> Vec<(u64, u64)> {
    frames.iter().map(|frame| (frame.window, frame.total)).collect()
}

#[test]
fn taps_of_all_shards_meet_in_one_frame() {
    let mut shards = Shards::with_room(4, 3);
    for shard in 0..4 {
        shards.tap(shard, ROOM, 1, 10).unwrap();
        shards.tap(shard, ROOM, 2, 30).unwrap();
    }
    let frames = shards.whole_window();
    assert_eq!(totals(&frames), [(FIRST, 160)]);
    let frame = &frames[0];
    assert_eq!((frame.room_id(), frame.window_ms, frame.start_ms), (ROOM, 2000, FIRST * WINDOW_MS));
    assert_eq!(
        frame.top.iter().map(|top| (top.emoji, top.count, top.share)).collect::<Vec<_>>(),
        [(2, 120, 7500), (1, 40, 2500)]
    );
    assert_eq!((frame.intensity, frame.top[0].intensity, frame.top[1].intensity), (255, 191, 63));
    assert!(shards.mergers.iter().all(Merger::is_idle));
}

#[test]
fn a_tap_belongs_to_the_window_that_is_open() {
    let mut shards = Shards::with_room(1, 1);
    shards.tap(0, ROOM, 0, 1).unwrap();
    assert!(!shards.tallies[0].is_empty());
    shards.close(0, 1);
    assert!(shards.tallies[0].is_empty());
    shards.tap(0, ROOM, 0, 2).unwrap();
    shards.close(0, 1);
    shards.deliver_all_from(0);
    assert_eq!(totals(&shards.frames()), [(FIRST, 1), (FIRST + 1, 2)]);
}

#[test]
fn a_reaction_counts_whole_or_not_at_all() {
    let mut tally = Tally::new(2);
    tally.put_room(ROOM, 2);
    let records = [(EmojiId(0), 5), (EmojiId(2), 1)];
    assert_eq!(tap(&mut tally, ROOM, &records), Err(CountError::UnknownEmoji));
    assert_eq!(tap(&mut tally, RoomId(8), &records), Err(CountError::UnknownRoom));
    assert!(tally.is_empty());
    assert_eq!(tap(&mut tally, ROOM, &records[..1]), Ok(5));
    assert_eq!(tally.close(WindowSeq(1)).map(|(_, delta)| delta.taps()).sum::<u64>(), 5);
}

#[test]
fn a_closing_window_leaves_one_delta_for_every_merger() {
    let mut tally = Tally::new(3);
    let deltas: Vec<_> = tally.close(WindowSeq(9)).collect();
    assert_eq!(deltas.iter().map(|(merger, _)| merger.index()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(deltas.iter().all(|(_, delta)| delta.is_empty() && delta.window == WindowSeq(9)));
}

#[test]
fn deltas_that_are_not_taken_leave_with_the_next_window() {
    let mut shards = Shards::with_room(1, 1);
    shards.tap(0, ROOM, 0, 3).unwrap();
    drop(shards.tallies[0].close(WindowSeq(1)));
    shards.tap(0, ROOM, 0, 4).unwrap();
    assert_eq!(totals(&shards.whole_window()), [(FIRST, 7)]);
}

#[test]
fn a_watched_room_has_a_frame_in_every_window() {
    let mut shards = Shards::new(2);
    for room in 0..5 {
        shards.put_room(RoomId(room), 4);
        shards.tallies[0].set_watched(RoomId(room), true);
    }
    shards.tap(0, RoomId(3), 0, 1).unwrap();
    shards.tap(1, RoomId(2), 3, 1).unwrap();
    let mut frames = shards.whole_window();
    frames.sort_by_key(|frame| frame.room);
    assert_eq!(
        frames.iter().map(|frame| (frame.room, frame.total)).collect::<Vec<_>>(),
        [(0, 0), (1, 0), (2, 1), (3, 1), (4, 0)]
    );
    for room in [0, 4, 1] {
        shards.tallies[0].set_watched(RoomId(room), false);
    }
    shards.remove_room(RoomId(2));
    let frames = shards.whole_window();
    assert_eq!(frames.iter().map(|frame| (frame.room, frame.total)).collect::<Vec<_>>(), [(3, 0)]);
}

#[test]
fn a_room_watched_after_its_first_tap_appears_once() {
    let mut tally = Tally::new(1);
    tally.put_room(ROOM, 1);
    tap(&mut tally, ROOM, &[(EmojiId(0), 1)]).unwrap();
    tally.set_watched(ROOM, true);
    let (_, delta) = tally.close(WindowSeq(0)).next().unwrap();
    assert_eq!(delta.rooms.len(), 1);
    let (_, delta) = tally.close(WindowSeq(1)).next().unwrap();
    assert_eq!((delta.rooms.len(), delta.taps()), (1, 0));
}

#[test]
fn a_late_delta_joins_the_next_window_and_only_that_one_is_late() {
    let mut shards = Shards::with_room(2, 1);
    let merger = merger_of(ROOM, 2).index();
    shards.tap(0, ROOM, 0, 1).unwrap();
    shards.tap(1, ROOM, 0, 10).unwrap();
    shards.close(0, 1);
    shards.close(1, 1);
    shards.deliver_all_from(0);
    assert!(shards.frames().is_empty(), "shard 1 is missing and grace has not passed");
    let deadline = shards.mergers[merger].poll_timeout().unwrap();
    assert_eq!(deadline - shards.now.instant, Duration::from_millis(WINDOW_MS / 4));
    shards.pass_time(WINDOW_MS / 4);
    assert_eq!(totals(&shards.frames()), [(FIRST, 1)]);

    shards.deliver_all_from(1);
    assert_eq!(shards.mergers[merger].late_deltas(), 1);
    // The late delta waits for those of its new window, which come when that ends.
    shards.pass_time(WINDOW_MS * 3 / 4);
    assert!(shards.frames().is_empty());
    shards.tap(0, ROOM, 0, 100).unwrap();
    assert_eq!(totals(&shards.whole_window()), [(FIRST + 1, 110)]);
    assert_eq!(shards.mergers[merger].late_deltas(), 1);
}

#[test]
fn a_late_delta_that_nobody_follows_still_becomes_a_frame() {
    let mut shards = Shards::with_room(2, 1);
    shards.tap(1, ROOM, 0, 10).unwrap();
    shards.close(0, 1);
    shards.close(1, 1);
    shards.deliver_all_from(0);
    shards.pass_time(WINDOW_MS);
    assert!(shards.frames().is_empty());
    shards.deliver_all_from(1);
    shards.pass_time(2 * WINDOW_MS);
    assert_eq!(totals(&shards.frames()), [(FIRST + 1, 10)]);
}

#[test]
fn a_shard_that_skipped_windows_holds_nobody_up() {
    let mut shards = Shards::with_room(2, 1);
    shards.tap(0, ROOM, 0, 1).unwrap();
    shards.close(0, 1);
    shards.windows[1] += 5;
    shards.tap(1, ROOM, 0, 2).unwrap();
    shards.close(1, 1);
    // The later window arrives first and is partly merged when an older one comes.
    shards.deliver_all_from(1);
    assert!(shards.frames().is_empty());
    shards.deliver_all_from(0);
    assert_eq!(totals(&shards.frames()), [(FIRST, 1)]);
    shards.windows[0] += 4;
    shards.close(0, 1);
    shards.deliver_all_from(0);
    assert_eq!(totals(&shards.frames()), [(FIRST + 5, 2)]);
    assert_eq!(shards.late(), 0);
}

#[test]
fn flushing_waits_for_nobody() {
    let mut shards = Shards::with_room(2, 1);
    shards.tap(0, ROOM, 0, 1).unwrap();
    shards.close(0, 1);
    shards.deliver_all_from(0);
    shards.mergers.iter_mut().for_each(Merger::flush);
    assert_eq!(totals(&shards.frames()), [(FIRST, 1)]);
    assert!(shards.mergers.iter().all(|merger| merger.is_idle() && merger.poll_timeout().is_none()));
}

#[test]
fn a_palette_that_grows_mid_window_loses_nothing() {
    let mut shards = Shards::with_room(2, 2);
    shards.tap(0, ROOM, 1, 5).unwrap();
    shards.put_room(ROOM, 4);
    shards.tap(0, ROOM, 1, 6).unwrap();
    shards.tap(1, ROOM, 3, 7).unwrap();
    let frames = shards.whole_window();
    assert_eq!(totals(&frames), [(FIRST, 18)]);
    assert_eq!(frames[0].top.iter().map(|top| (top.emoji, top.count)).collect::<Vec<_>>(), [(1, 11), (3, 7)]);
}

#[test]
fn a_retired_emoji_takes_no_taps_and_keeps_those_it_has() {
    let mut shards = Shards::with_room(1, 3);
    shards.tap(0, ROOM, 1, 5).unwrap();
    let slot = shards.tallies[0].put_room(ROOM, 3);
    shards.tallies[0].retire(slot, [EmojiId(1)].into_iter());
    assert_eq!(shards.tap(0, ROOM, 1, 1), Err(CountError::UnknownEmoji));
    let mixed = tap(&mut shards.tallies[0], ROOM, &[(EmojiId(0), 1), (EmojiId(1), 1)]);
    assert_eq!(mixed, Err(CountError::UnknownEmoji), "nothing of a reaction is counted");
    shards.tap(0, ROOM, 2, 7).unwrap();
    shards.put_room(ROOM, 3);
    shards.tap(0, ROOM, 1, 6).unwrap();
    let frames = shards.whole_window();
    assert_eq!(frames[0].top.iter().map(|top| (top.emoji, top.count)).collect::<Vec<_>>(), [(1, 11), (2, 7)]);
}

#[test]
fn a_reaction_counts_as_much_as_the_limits_allow() {
    let mut shards = Shards::with_room(1, 2);
    let mut count = |limits: TapLimits, counts: &[u16]| {
        let records: Vec<_> = counts.iter().map(|&count| (EmojiId(0), count)).collect();
        shards.tallies[0].set_limits(limits);
        tap(&mut shards.tallies[0], ROOM, &records)
    };
    let limits = TapLimits { per_record: 10, per_request: 25 };
    assert_eq!(count(limits, &[10]), Ok(10));
    assert_eq!(count(limits, &[10, 10, 5]), Ok(25));
    assert_eq!(count(limits, &[1, 11]), Err(CountError::RecordTooLarge { taps: 11 }));
    assert_eq!(count(limits, &[10, 10, 6]), Err(CountError::RequestTooLarge { taps: 26 }));
    // The smaller one decides, whichever it is.
    let limits = TapLimits { per_record: 10, per_request: 5 };
    assert_eq!(count(limits, &[5]), Ok(5));
    assert_eq!(count(limits, &[6]), Err(CountError::RequestTooLarge { taps: 6 }));
    assert_eq!(count(TapLimits::NONE, &[u16::MAX; 1024]), Ok(1024 * 65_535));
}

#[test]
fn any_id_of_the_largest_palette_can_be_retired() {
    let last = PALETTE_MAX as u16 - 1;
    let mut shards = Shards::with_room(1, PALETTE_MAX as u16);
    let retired = [0, 63, 64, last].map(EmojiId);
    let slot = shards.tallies[0].put_room(ROOM, PALETTE_MAX as u16);
    shards.tallies[0].retire(slot, retired.into_iter());
    for id in 0..=last {
        let is_retired = retired.contains(&EmojiId(id));
        assert_eq!(shards.tap(0, ROOM, id, 1).is_err(), is_retired, "emoji {id}");
    }
    assert_eq!(shards.tap(0, ROOM, u16::MAX, 1), Err(CountError::UnknownEmoji));
    // A room that is removed takes what is retired in it along.
    shards.remove_room(ROOM);
    shards.put_room(ROOM, 1);
    shards.tap(0, ROOM, 0, 1).unwrap();
}

#[test]
fn a_room_removed_mid_window_still_gets_its_frame() {
    let mut shards = Shards::with_room(2, 2);
    shards.tap(0, ROOM, 0, 5).unwrap();
    shards.remove_room(ROOM);
    assert_eq!(shards.tap(0, ROOM, 0, 1), Err(CountError::UnknownRoom));
    shards.put_room(ROOM, 1);
    shards.tap(0, ROOM, 0, 2).unwrap();
    shards.tap(1, ROOM, 0, 3).unwrap();
    assert_eq!(totals(&shards.whole_window()), [(FIRST, 10)]);
}

#[test]
fn counters_go_beyond_32_bits() {
    let mut shards = Shards::with_room(1, 1);
    let taps: u64 = (0..100_000).map(|_| shards.tap(0, ROOM, 0, u16::MAX).unwrap()).sum();
    assert!(taps > u64::from(u32::MAX));
    assert_eq!(totals(&shards.whole_window()), [(FIRST, taps)]);
}

#[test]
fn full_palettes_are_counted_and_merged() {
    let mut shards = Shards::with_room(4, PALETTE_MAX as u16);
    for emoji in 0..PALETTE_MAX as u16 {
        shards.tap(usize::from(emoji % 4), ROOM, emoji, emoji + 1).unwrap();
    }
    let frames = shards.whole_window();
    assert_eq!(totals(&frames), [(FIRST, 1024 * 1025 / 2)]);
    assert_eq!(frames[0].top.len(), 64);
    assert_eq!((frames[0].top[0].emoji, frames[0].top[63].emoji), (1023, 960));
}

#[test]
fn a_hundred_thousand_rooms_are_merged_in_slices_and_framed_in_order() {
    const ROOMS: usize = 100_000;
    let mut shards = Shards::new(1);
    for room in 0..ROOMS as u32 {
        shards.put_room(RoomId(room), 3);
        shards.tap(0, RoomId(room), 1, 2).unwrap();
    }
    shards.close(0, 1);
    shards.deliver_all_from(0);
    let (mut working, mut next) = (0, 0);
    loop {
        match shards.mergers[0].poll_output() {
            MergeOutput::Working => working += 1,
            MergeOutput::Recycled(..) => assert!(working >= ROOMS / MERGE_SLICE),
            MergeOutput::Frame(frame) => {
                assert_eq!((frame.room, frame.total), (next, 2));
                next += 1;
            }
            MergeOutput::Idle => break,
        }
    }
    assert_eq!(next as usize, ROOMS);
}

#[test]
fn recycled_storage_starts_empty() {
    let mut shards = Shards::with_room(1, 2);
    for count in 1..5 {
        shards.tap(0, ROOM, 1, count).unwrap();
        let frames = shards.whole_window();
        assert_eq!(frames[0].total, u64::from(count));
    }
}

#[test]
fn intensity_is_measured_against_a_peak_that_decays() {
    let mut shards = Shards::with_room(1, 1);
    let mut window = |taps| {
        shards.tap(0, ROOM, 0, taps).unwrap();
        let frame = shards.whole_window().remove(0);
        (frame.intensity, frame.top[0].intensity)
    };
    assert_eq!(window(1600), (255, 255));
    assert_eq!(window(750), (127, 127), "the peak is 1500 now");
    assert_eq!(window(1406), (255, 255), "1500 * 15 / 16, rounded down");
    assert_eq!(window(2000), (255, 255));
}

#[test]
fn a_removed_room_begins_with_a_new_peak() {
    let mut shards = Shards::with_room(1, 1);
    shards.tap(0, ROOM, 0, 1000).unwrap();
    shards.whole_window();
    shards.remove_room(ROOM);
    shards.put_room(ROOM, 1);
    shards.tap(0, ROOM, 0, 1).unwrap();
    assert_eq!(shards.whole_window()[0].intensity, 255);
}

#[test]
fn a_peak_outlives_its_silence_until_it_has_decayed() {
    assert_eq!(decayed(u64::MAX, super::top_k::PEAK_WINDOWS_MAX), 0);
    assert_eq!(decayed(1600, 1), 1500);
    assert_eq!(decayed(1, 1), 0);
    let mut shards = Shards::with_room(1, 1);
    shards.tap(0, ROOM, 0, 60_000).unwrap();
    shards.whole_window();
    shards.put_room(RoomId(1), 1);
    let mut left = 60_000;
    for _ in 0..10 {
        shards.windows[0] += 9;
        shards.tap(0, RoomId(1), 0, 1).unwrap();
        shards.whole_window();
        left = decayed(left, 10);
    }
    shards.tap(0, ROOM, 0, 1).unwrap();
    let last = shards.whole_window().remove(0);
    assert_eq!(last.intensity, intensity(1, decayed(left, 1)));
}

#[derive(Clone, Debug)]
enum Step {
    Tap { shard: usize, room: u32, emoji: u16, count: u16 },
    Close { shard: usize, step: u64 },
    Deliver { from: usize, merger: usize },
    Poll { merger: usize, times: usize },
    Pass { ms: u64 },
    Flush { merger: usize },
    Put { room: u32, len: u16 },
    Remove { room: u32 },
    Watch { shard: usize, room: u32, on: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (shard, room) = (0..4usize, 0..6u32);
    prop_oneof![
        8 => (shard.clone(), room.clone(), 0..6u16, 1..=u16::MAX)
            .prop_map(|(shard, room, emoji, count)| Step::Tap { shard, room, emoji, count }),
        4 => (shard.clone(), 1..4u64).prop_map(|(shard, step)| Step::Close { shard, step }),
        8 => (shard.clone(), shard.clone()).prop_map(|(from, merger)| Step::Deliver { from, merger }),
        6 => (shard.clone(), 1..6usize).prop_map(|(merger, times)| Step::Poll { merger, times }),
        2 => (0..3 * WINDOW_MS).prop_map(|ms| Step::Pass { ms }),
        1 => shard.clone().prop_map(|merger| Step::Flush { merger }),
        1 => (room.clone(), 1..6u16).prop_map(|(room, len)| Step::Put { room, len }),
        1 => room.clone().prop_map(|room| Step::Remove { room }),
        1 => (shard, room, any::<bool>()).prop_map(|(shard, room, on)| Step::Watch { shard, room, on }),
    ]
}

fn take(shards: &mut Shards, step: &Step) {
    match *step {
        Step::Tap { shard, room, emoji, count } => {
            // Refused taps are part of the play: they must not be counted.
            let _ = shards.tap(shard, RoomId(room), emoji, count);
        }
        Step::Close { shard, step } => shards.close(shard, step),
        Step::Deliver { from, merger } => shards.deliver(from, merger),
        Step::Poll { merger, times } => {
            (0..times).for_each(|_| {
                shards.poll(merger);
            });
        }
        Step::Pass { ms } => shards.pass_time(ms),
        Step::Flush { merger } => shards.mergers[merger].flush(),
        Step::Put { room, len } => shards.put_room(RoomId(room), len),
        Step::Remove { room } => shards.remove_room(RoomId(room)),
        Step::Watch { shard, room, on } => shards.tallies[shard].set_watched(RoomId(room), on),
    }
}

proptest! {
    #[test]
    fn any_interleaving_conserves_every_tap(steps in prop::collection::vec(step(), 0..200)) {
        let mut shards = Shards::new(4);
        for room in 0..6 {
            shards.put_room(RoomId(room), 3);
        }
        steps.iter().for_each(|step| take(&mut shards, step));
        for shard in 0..4 {
            shards.close(shard, 1);
            shards.deliver_all_from(shard);
        }
        shards.mergers.iter_mut().for_each(Merger::flush);
        let frames = shards.frames();

        let mut framed = BTreeMap::new();
        let mut newest = BTreeMap::new();
        for frame in &frames {
            let before = newest.insert(frame.room, frame.window);
            prop_assert!(before < Some(frame.window), "room {} repeats window {}", frame.room, frame.window);
            prop_assert_eq!(frame.total, frame.top.iter().map(|top| top.count).sum::<u64>());
            for top in &frame.top {
                prop_assert!(top.intensity <= frame.intensity);
                *framed.entry((frame.room_id(), top.emoji_id())).or_insert(0) += top.count;
            }
        }
        prop_assert_eq!(framed, shards.counted);
        prop_assert!(shards.mergers.iter().all(|merger| merger.is_idle() && merger.poll_timeout().is_none()));
        prop_assert!(shards.tallies.iter().all(Tally::is_empty));
    }

    #[test]
    fn top_k_is_what_a_full_sort_says(
        counts in prop::collection::vec(prop_oneof![0..4u64, any::<u64>()], 0..200),
        k in 0..80usize,
    ) {
        let mut sorted: Vec<_> = counts.iter().enumerate().filter(|&(_, &count)| count > 0)
            .map(|(id, &count)| (EmojiId(id as u16), count)).collect();
        sorted.sort_by_key(|&(id, count)| (std::cmp::Reverse(count), id));
        sorted.truncate(k.min(64));
        let mut top = TopK::new(k);
        prop_assert_eq!(top.select(&counts), sorted);
    }

    #[test]
    fn shares_and_intensities_are_exact_for_any_count(count in 1..=u64::MAX, rest in any::<u64>(), louder in any::<u64>()) {
        let total = count.saturating_add(rest);
        let peak = total.saturating_add(louder);
        let entry = TopK::new(1).entries(&[count], total, peak)[0];
        prop_assert_eq!(u128::from(entry.share), u128::from(count) * 10_000 / u128::from(total));
        prop_assert_eq!(u128::from(entry.intensity), u128::from(count) * 255 / u128::from(peak));
    }

    #[test]
    fn a_peak_decays_by_a_sixteenth(peak in any::<u64>()) {
        prop_assert_eq!(u128::from(decayed(peak, 1)), u128::from(peak) * 15 / 16);
    }
}
