//! What does choosing the most tapped emoji of a room cost beside one pass over its counters?
//!
//! `select` finds the top eight of palettes of 12, 256 and as many as there may be; `entries` also makes what a frame
//! carries of them. The counts are random, or ascending by id, the worst order: each count beats all before it. The floor
//! looks for the greatest count only. `cargo bench --bench top_k`; tests run each case once.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use uproar::tally::top_k::TopK;
use uproar_wire::frame::PALETTE_MAX;

/// What frames name unless configured otherwise.
const TOP_K: usize = 8;
/// Rooms that take turns, so that a branch predictor cannot learn one of them by heart.
const ROOMS: usize = 32;
/// Taps of one emoji in one window.
const COUNT_MAX: u64 = 1_000_000;

/// One room's palette and how its taps lie in it.
#[derive(Clone, Copy)]
struct Case {
    palette_len: usize,
    is_ascending: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.is_ascending { "ascending" } else { "random" };
        write!(f, "{} emoji, {order}", self.palette_len)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [false, true].into_iter().flat_map(|is_ascending| {
        [12, 256, PALETTE_MAX].into_iter().map(move |palette_len| Case { palette_len, is_ascending })
    })
}

fn main() {
    divan::main();
}

#[divan::bench(args = cases())]
fn floor_greatest(bencher: Bencher<'_, '_>, case: Case) {
    let mut rooms = Rooms::new(case);
    bencher.counter(ItemsCount::new(case.palette_len)).bench_local(|| rooms.next().iter().copied().max());
}

#[divan::bench(args = cases())]
fn select(bencher: Bencher<'_, '_>, case: Case) {
    let mut rooms = Rooms::new(case);
    let mut top = TopK::new(TOP_K);
    assert_eq!(top.select(rooms.next()).len(), TOP_K, "so many are named");
    bencher.counter(ItemsCount::new(case.palette_len)).bench_local(|| top.select(rooms.next()).last().copied());
}

#[divan::bench(args = cases())]
fn entries(bencher: Bencher<'_, '_>, case: Case) {
    let mut rooms = Rooms::new(case);
    let mut top = TopK::new(TOP_K);
    let total = black_box(COUNT_MAX * case.palette_len as u64);
    bencher.counter(ItemsCount::new(case.palette_len)).bench_local(|| top.entries(rooms.next(), total, total));
}

/// Counters of the rooms that take turns.
struct Rooms {
    counts: Vec<Vec<u64>>,
    next: usize,
}

impl Rooms {
    fn new(case: Case) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let mut room = || {
            let mut counts: Vec<u64> = (0..case.palette_len).map(|_| rng.random_range(1..=COUNT_MAX)).collect();
            if case.is_ascending {
                counts.sort_unstable();
            }
            counts
        };
        Self { counts: (0..ROOMS).map(|_| room()).collect(), next: 0 }
    }

    fn next(&mut self) -> &[u64] {
        self.next = (self.next + 1) % ROOMS;
        black_box(&self.counts[self.next])
    }
}
