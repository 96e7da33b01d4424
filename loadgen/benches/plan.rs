//! Question: what does planning a tap cost beside drawing the random numbers that it needs?
//!
//! `plan` is one section of the flagship's crowd, slice after slice, each about 10,000 taps, in a phone's datagrams or a
//! gateway's. `floor` draws as many numbers of the same generator, two a tap, and stores what a tap takes.
//! `cargo bench --bench plan`; tests plan once.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use uproar_loadgen::crowd::{Crowd, Planner, Slice, SlicePlan};
use uproar_loadgen::scenario::Scenario;

const TAPS: usize = 10_000;
/// Each of its sections taps that many in a slice.
const MATCH: &str = "people = 50000000\nsections = 100\nemoji = 12\nduration_s = 60\n\
    reactions_per_second = 100000000\n[udp]";

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 200)]
fn floor(bencher: Bencher<'_, '_>) {
    let (mut state, mut drawn) = (1u64, Vec::with_capacity(TAPS));
    bencher.counter(ItemsCount::new(TAPS)).bench_local(|| {
        drawn.clear();
        drawn.extend((0..TAPS).map(|_| next(&mut state) ^ next(&mut state).rotate_left(32)));
        black_box(&drawn);
    });
}

#[divan::bench(sample_count = 200, args = [1, 64])]
fn plan(bencher: Bencher<'_, '_>, records_max: usize) {
    let crowd = Crowd::new(Scenario::parse(MATCH).expect("a valid scenario"));
    let (mut planner, mut plan, mut slice) = (Planner::new(&crowd), SlicePlan::default(), 0);
    bencher.counter(ItemsCount::new(TAPS)).bench_local(|| {
        planner.begin(Slice(slice));
        slice = (slice + 1) % 6000;
        planner.plan(&crowd.sections()[60], records_max, &mut plan);
        black_box(plan.taps());
    });
}

/// SplitMix64, as the planner has it.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
