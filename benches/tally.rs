//! What does counting a reaction cost beside the additions themselves?
//!
//! One shard of sixteen counts into rooms that it visits at random, in the middle of a window: each room has been tapped
//! before. The tally finds the room by its id, checks the emoji and adds; the floor does the same additions, in the same
//! order, to a plain array in which the room's number is its place. With many rooms both wait for memory; what the tally
//! waits for beyond the floor is its look-up. `count` waits for one reaction after the other, as an HTTP request does;
//! `count_in_groups` finds, touches and then counts 32 at a time, as datagrams are counted. `cargo bench --bench tally`; tests count each case once, into fewer rooms.

mod effort;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt;
use uproar::tally::Tally;
use uproar_wire::{EmojiId, RoomId};

const SHARDS: usize = 16;
const PALETTE_LEN: u16 = 12;
/// A power of two, so that going round costs a mask.
const VISITS: usize = 1 << 16;
/// Reactions counted between two looks at the clock: enough to see all of the rooms, not only the last few.
const REACTIONS_A_SAMPLE: u32 = 4096;

/// As the shard groups datagrams.
const GROUP: usize = 32;

/// How many rooms are visited, and what is counted at each visit.
#[derive(Clone, Copy)]
struct Case {
    rooms: u32,
    records: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rooms, {} records", self.rooms, self.records)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    [1, 16].into_iter().flat_map(|records| {
        [1, 1_000, 100_000].into_iter().map(move |rooms| Case { rooms: effort::rooms(rooms), records })
    })
}

fn main() {
    divan::main();
}

#[divan::bench(args = cases(), sample_size = REACTIONS_A_SAMPLE, sample_count = 200)]
fn floor_array(bencher: Bencher<'_, '_>, case: Case) {
    let mut visits = Visits::new(case);
    let mut counts = vec![0u64; case.rooms as usize * usize::from(PALETTE_LEN)];
    bencher.counter(ItemsCount::new(case.records)).bench_local(|| {
        let (room, records) = visits.next();
        let first = room.0 as usize * usize::from(PALETTE_LEN);
        let counts = &mut counts[first..first + usize::from(PALETTE_LEN)];
        for &(emoji, count) in black_box(records) {
            counts[usize::from(emoji.0)] += u64::from(count);
        }
    });
    black_box(counts);
}

#[divan::bench(args = cases(), sample_size = REACTIONS_A_SAMPLE, sample_count = 200)]
fn count(bencher: Bencher<'_, '_>, case: Case) {
    let mut visits = Visits::new(case);
    let mut tally = tapped(case);
    bencher.counter(ItemsCount::new(case.records)).bench_local(|| {
        let (room, records) = visits.next();
        let slot = tally.find(room).expect("a known room");
        tally.count_in(slot, black_box(records).iter().copied()).expect("known emoji")
    });
}

#[divan::bench(args = cases(), sample_size = REACTIONS_A_SAMPLE / GROUP as u32, sample_count = 200)]
fn count_in_groups(bencher: Bencher<'_, '_>, case: Case) {
    let mut visits = Visits::new(case);
    let mut tally = tapped(case);
    bencher.counter(ItemsCount::new(GROUP * case.records)).bench_local(|| {
        let slots: [_; GROUP] = std::array::from_fn(|_| tally.find(visits.next().0).expect("a known room"));
        slots.iter().for_each(|&slot| tally.touch(slot));
        let records = &visits.records[..case.records];
        for slot in slots {
            tally.count_in(slot, black_box(records).iter().copied()).expect("known emoji");
        }
    });
}

/// In the middle of a window.
fn tapped(case: Case) -> Tally {
    let mut tally = Tally::new(SHARDS);
    for room in 0..case.rooms {
        let slot = tally.put_room(RoomId(room), PALETTE_LEN);
        tally.count_in(slot, [(EmojiId(0), 1)].into_iter()).expect("a known emoji");
    }
    tally
}

/// A play of rooms and records, the same in every run, and too long for a branch predictor to learn.
struct Visits {
    rooms: Vec<RoomId>,
    records: Vec<(EmojiId, u16)>,
    records_per_visit: usize,
    next: usize,
}

impl Visits {
    fn new(case: Case) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        Self {
            rooms: (0..VISITS).map(|_| RoomId(rng.random_range(0..case.rooms))).collect(),
            records: (0..1024).map(|_| (EmojiId(rng.random_range(0..PALETTE_LEN)), rng.random_range(1..=9))).collect(),
            records_per_visit: case.records,
            next: 0,
        }
    }

    fn next(&mut self) -> (RoomId, &[(EmojiId, u16)]) {
        self.next += 1;
        let first = self.next * self.records_per_visit % self.records.len();
        (self.rooms[self.next % VISITS], &self.records[first..first + self.records_per_visit])
    }
}
