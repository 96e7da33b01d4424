//! What does merging a window cost beside adding plain slices?
//!
//! One merger takes the deltas of 2, 16 or 128 shards and makes a frame of each room; every shard met the rooms in an
//! order of its own, as taps come. `floor_slices` adds as many counters, one slice a shard, to one plain slice from its
//! beginning; `floor_scattered` adds each room's counters where they belong, in the same order as the merger, knowing the
//! place without a look-up, and so shows how much of the difference is memory. Neither makes frames.
//!
//! Up to [`ENTRIES_MAX`] rooms of all deltas every shard's delta names every room. Beyond, each names a random share:
//! all would be 1.5 GB for 128 shards of 100,000 rooms, and this keeps the largest case at about 200 MB.
//! `cargo bench --bench merge`; tests merge one window of each case, of fewer rooms.

mod effort;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::time::Instant;
use uproar::ids::ShardId;
use uproar::tally::{Delta, MergeOutput, Merger, Tally};
use uproar::window::Now;
use uproar_wire::{EmojiId, RoomId, WindowSeq};

/// Rooms named by the deltas of one window, each time one of a delta counted: some 120 bytes.
const ENTRIES_MAX: usize = 1_600_000;
const PALETTE_LEN: usize = 12;
const WINDOW_MS: u64 = 2000;
const TOP_K: usize = 8;

/// Who merges how much.
#[derive(Clone, Copy)]
struct Case {
    shards: usize,
    rooms: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shards, {} rooms", self.shards, self.rooms)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [2, 16, 128].into_iter().flat_map(|shards| {
        [1, 1_000, 100_000].into_iter().map(move |rooms| Case { shards, rooms: effort::rooms(rooms) })
    })
}

fn main() {
    divan::main();
}

#[divan::bench(args = cases(), sample_count = 50, max_time = 4)]
fn floor_slices(bencher: Bencher<'_, '_>, case: Case) {
    let orders = case.orders();
    let len = |order: &Vec<RoomId>| order.len() * PALETTE_LEN;
    let slices: Vec<Vec<u64>> = orders.iter().map(|order| vec![1; len(order)]).collect();
    let mut sums = vec![0u64; case.rooms as usize * PALETTE_LEN];
    bencher.counter(entries(&orders)).bench_local(|| {
        for slice in black_box(&slices) {
            add(&mut sums[..slice.len()], slice);
        }
    });
    black_box(sums);
}

#[divan::bench(args = cases(), sample_count = 50, max_time = 4)]
fn floor_scattered(bencher: Bencher<'_, '_>, case: Case) {
    let orders = case.orders();
    let len = |order: &Vec<RoomId>| order.len() * PALETTE_LEN;
    let slices: Vec<Vec<u64>> = orders.iter().map(|order| vec![1; len(order)]).collect();
    let mut sums = vec![0u64; case.rooms as usize * PALETTE_LEN];
    bencher.counter(entries(&orders)).bench_local(|| {
        for (order, slice) in black_box(&orders).iter().zip(&slices) {
            for (room, counts) in order.iter().zip(slice.chunks_exact(PALETTE_LEN)) {
                let first = room.0 as usize * PALETTE_LEN;
                add(&mut sums[first..first + PALETTE_LEN], counts);
            }
        }
    });
    black_box(sums);
}

#[divan::bench(args = cases(), sample_count = 50, max_time = 4)]
fn merge_and_frame(bencher: Bencher<'_, '_>, case: Case) {
    let orders = case.orders();
    let mut window = Window::new(&orders, case.rooms);
    let taps = entries_of(&orders) * PALETTE_LEN;
    // Also brings the merger's memory to its usual size, as the window before does.
    assert_eq!(window.merge(), taps as u64, "the frames have every tap");
    bencher.counter(entries(&orders)).bench_local(|| window.merge());
}

/// A merger and the deltas of one window, which it is given again and again under growing numbers.
struct Window {
    merger: Merger,
    deltas: Vec<(ShardId, Delta)>,
    number: u64,
    now: Now,
}

impl Window {
    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn new(orders: &[Vec<RoomId>], rooms: u32) -> Self {
        let mut tally = Tally::new(1);
        for room in 0..rooms {
            tally.put_room(RoomId(room), PALETTE_LEN as u16);
        }
        let deltas = ShardId::all(orders.len()).zip(orders).map(|(from, order)| (from, delta(&mut tally, order)));
        Self {
            deltas: deltas.collect(),
            merger: Merger::new(orders.len(), WINDOW_MS, TOP_K),
            number: 0,
            now: Now { instant: Instant::now(), unix_ms: 0 },
        }
    }

    /// Returns the taps of all frames.
    fn merge(&mut self) -> u64 {
        self.number += 1;
        for (from, mut delta) in self.deltas.drain(..) {
            delta.window = WindowSeq(self.number);
            self.merger.handle_delta(self.now, from, delta);
        }
        let mut taps = 0;
        loop {
            match self.merger.poll_output() {
                MergeOutput::Frame(frame) => taps += black_box(frame).total,
                MergeOutput::Recycled(from, delta) => self.deltas.push((from, delta)),
                MergeOutput::Working => {}
                MergeOutput::Idle => return taps,
            }
        }
    }
}

/// What a shard hands over that counted one tap of every emoji of these rooms, in their order.
fn delta(tally: &mut Tally, order: &[RoomId]) -> Delta {
    for &room in order {
        let records = (0..PALETTE_LEN as u16).map(|emoji| (EmojiId(emoji), 1));
        let slot = tally.find(room).expect("a known room");
        tally.count_in(slot, records).expect("known emoji");
    }
    let (_, delta) = tally.close(WindowSeq(0)).next().expect("a delta for the only merger");
    delta
}

impl Case {
    /// The rooms that each shard's delta names, in its order.
    fn orders(self) -> Vec<Vec<RoomId>> {
        let share = (ENTRIES_MAX as f64 / (self.shards as f64 * f64::from(self.rooms))).min(1.0);
        let mut rng = StdRng::seed_from_u64(1);
        let mut order = || {
            let mut rooms: Vec<RoomId> = (0..self.rooms).filter(|_| rng.random_bool(share)).map(RoomId).collect();
            rooms.shuffle(&mut rng);
            rooms
        };
        (0..self.shards).map(|_| order()).collect()
    }
}

fn add(sums: &mut [u64], counts: &[u64]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}

fn entries_of(orders: &[Vec<RoomId>]) -> usize {
    orders.iter().map(Vec::len).sum()
}

fn entries(orders: &[Vec<RoomId>]) -> ItemsCount {
    ItemsCount::new(entries_of(orders))
}
