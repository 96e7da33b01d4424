//! What the drivers of a run add to while it goes on, so that it can be shown.
//!
//! Invariant: written once a slice, not once a tap, and never read by what is reported: reports come from ledgers.
//! Orderings are relaxed, as nothing follows from one counter about another; a picture may be a slice out of step.

use super::snapshot::{LiveSnapshot, Moment};
use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Shared by all drivers and subscribers of a run. All grow from 0, as the run begins.
#[derive(Debug, Default)]
pub struct LiveCounters {
    planned_taps: AtomicU64,
    sent_taps: AtomicU64,
    people_acted: AtomicU64,
    frames: AtomicU64,
    frames_missing: AtomicU64,
    lag: Lag,
}

/// What a driver did in one slice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SliceDone {
    /// Taps that were to go.
    pub planned_taps: u64,
    /// Taps that went.
    pub sent_taps: u64,
    /// People who tapped for the first time.
    pub people_acted: u64,
    /// How late the latest of its batches was, in microseconds; `None` when none was due.
    pub lag_us: Option<u64>,
}

impl LiveCounters {
    /// Adds a slice.
    pub fn add_slice(&self, done: &SliceDone) {
        let SliceDone { planned_taps, sent_taps, people_acted, lag_us } = *done;
        self.planned_taps.fetch_add(planned_taps, Relaxed);
        self.sent_taps.fetch_add(sent_taps, Relaxed);
        self.people_acted.fetch_add(people_acted, Relaxed);
        if let Some(lag_us) = lag_us {
            self.lag.add(lag_us);
        }
    }

    /// Adds frames that came, and those that were found not to have come.
    pub fn add_frames(&self, frames: u64, missing: u64) {
        self.frames.fetch_add(frames, Relaxed);
        self.frames_missing.fetch_add(missing, Relaxed);
    }

    /// The counters at a moment. The lag is that of the slices since the last picture, so only one may take pictures.
    pub fn picture(&self, moment: Moment) -> LiveSnapshot {
        LiveSnapshot {
            moment,
            planned_taps: self.planned_taps.load(Relaxed),
            sent_taps: self.sent_taps.load(Relaxed),
            lag_p99_us: self.lag.take_p99_us(),
            people_acted: self.people_acted.load(Relaxed),
            frames: self.frames.load(Relaxed),
            frames_missing: self.frames_missing.load(Relaxed),
        }
    }
}

/// Buckets of an octave, as a power of two: a quantile is at most a quarter too high.
const STEP_BITS: u32 = 2;
const STEPS: usize = 1 << STEP_BITS;
/// Up to 2^32 us, which is over an hour.
const BUCKETS: usize = (32 - STEP_BITS as usize + 1) * STEPS;

/// A histogram that many write and one reads: exact below [`STEPS`], then four buckets an octave.
#[derive(Debug)]
struct Lag {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Lag {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Lag {
    fn add(&self, lag_us: u64) {
        self.buckets[bucket(lag_us)].fetch_add(1, Relaxed);
    }

    fn take_p99_us(&self) -> Option<u64> {
        let counts: [u64; BUCKETS] = array::from_fn(|place| self.buckets[place].swap(0, Relaxed));
        let rank = (counts.iter().sum::<u64>() * 99).div_ceil(100);
        let mut below = 0;
        let place = counts.iter().position(|count| {
            below += count;
            rank > 0 && below >= rank
        })?;
        Some(bucket_end_us(place))
    }
}

fn bucket(lag_us: u64) -> usize {
    let lag_us = lag_us.min(u32::MAX.into()) as u32;
    let Some(octave) = lag_us.checked_ilog2().filter(|&octave| octave >= STEP_BITS) else { return lag_us as usize };
    let step = (lag_us >> (octave - STEP_BITS)) as usize & (STEPS - 1);
    (octave - STEP_BITS + 1) as usize * STEPS + step
}

/// The highest lag that falls into a bucket.
fn bucket_end_us(place: usize) -> u64 {
    match place / STEPS {
        0 => place as u64,
        octave => (((STEPS + place % STEPS + 1) as u64) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_frames_add_up() {
        let counters = LiveCounters::default();
        let slice = SliceDone { planned_taps: 10, sent_taps: 9, people_acted: 4, lag_us: Some(3) };
        counters.add_slice(&slice);
        counters.add_slice(&SliceDone { sent_taps: 10, lag_us: None, ..slice });
        counters.add_frames(2, 0);
        counters.add_frames(1, 5);
        let expected = LiveSnapshot {
            planned_taps: 20,
            sent_taps: 19,
            lag_p99_us: Some(3),
            people_acted: 8,
            frames: 3,
            frames_missing: 5,
            ..LiveSnapshot::default()
        };
        assert_eq!(counters.picture(Moment::default()), expected);
        let later = counters.picture(Moment::default());
        assert_eq!(later, LiveSnapshot { lag_p99_us: None, ..expected }, "totals stay, the lag is of the time between");
    }

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        let mut start = 0;
        for place in 0..BUCKETS {
            let end = bucket_end_us(place);
            assert_eq!((bucket(start), bucket(end)), (place, place), "{start} to {end} us");
            assert!(end - start <= start / 4, "{start} to {end} us");
            start = end + 1;
        }
        assert_eq!(start, 1 << 32);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_99th_of_a_hundred_is_shown_and_never_too_low() {
        let lag = Lag::default();
        (0..98).for_each(|_| lag.add(2));
        lag.add(1000);
        lag.add(900_000);
        let p99_us = lag.take_p99_us().unwrap();
        assert!((1000..1250).contains(&p99_us), "{p99_us}");
        lag.add(7);
        assert_eq!(lag.take_p99_us(), Some(7));
    }
}
