//! Latencies, by the time at which they were planned: one histogram for each interval of the match.
//!
//! Invariant: the whole is the sum of the intervals, and results of several machines add up exactly. Memory is bounded by
//! [`INTERVALS_MAX`] histograms, each as long as its largest value needs.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Intervals of a match at most; a long match has longer ones.
pub const INTERVALS_MAX: u32 = 600;
/// Significant digits: values are exact to a thousandth.
const DIGITS: u8 = 3;
/// The largest latency that is told apart, an hour in microseconds.
pub const LATENCY_MAX_US: u64 = 3_600_000_000;

/// An empty histogram of microseconds up to [`LATENCY_MAX_US`], which grows to its largest value.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("a constant number of digits is valid"))
}

/// Adds a value to a histogram of [`histogram`], as often as it was seen.
pub fn record(histogram: &mut Histogram<u64>, us: u64, count: u64) {
    let us = us.clamp(1, LATENCY_MAX_US);
    histogram.record_n(us, count).unwrap_or_else(|_| unreachable!("the histogram grows to its largest value"));
}

/// Adds a histogram to another one.
pub fn merge(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).unwrap_or_else(|_| unreachable!("the histogram grows to its largest value"));
}

/// Length of a match's intervals: a second, or more where the match is long.
pub fn interval_of(duration: Duration) -> Duration {
    Duration::from_secs((duration.as_secs_f64() / f64::from(INTERVALS_MAX)).ceil().max(1.0) as u64)
}

/// One kind of latency over a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorder {
    interval_us: u64,
    intervals: Vec<Histogram<u64>>,
}

impl Recorder {
    /// Nothing, in intervals of this length.
    pub fn new(interval: Duration) -> Self {
        Self { interval_us: (interval.as_micros() as u64).max(1), intervals: Vec::new() }
    }

    /// From histograms of its intervals, as [`Self::intervals`] gives them.
    pub fn from_intervals(interval: Duration, intervals: Vec<Histogram<u64>>) -> Self {
        Self { intervals, ..Self::new(interval) }
    }

    /// Something that was planned `at` after the start took so long, in microseconds.
    pub fn record(&mut self, at: Duration, us: u64) {
        self.record_n(at, us, 1);
    }

    /// The same for several.
    pub fn record_n(&mut self, at: Duration, us: u64, count: u64) {
        let place = (at.as_micros() as u64 / self.interval_us) as usize;
        // What is planned is within the match; beyond its bound, the last interval takes it.
        record(self.at(place.min(INTERVALS_MAX as usize)), us, count);
    }

    fn at(&mut self, place: usize) -> &mut Histogram<u64> {
        if place >= self.intervals.len() {
            self.intervals.resize_with(place + 1, histogram);
        }
        &mut self.intervals[place]
    }

    /// Adds another one with intervals of the same length.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.interval_us, other.interval_us);
        for (place, interval) in other.intervals.iter().enumerate() {
            merge(self.at(place), interval);
        }
    }

    /// Length of an interval.
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_us)
    }

    /// Its intervals, from the start of the match; there are none after the last that has a value.
    pub fn intervals(&self) -> &[Histogram<u64>] {
        &self.intervals
    }

    /// All of them together.
    pub fn total(&self) -> Histogram<u64> {
        self.intervals.iter().fold(histogram(), |mut total, interval| {
            merge(&mut total, interval);
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_the_interval_they_were_planned_in() {
        let mut recorder = Recorder::new(Duration::from_secs(1));
        recorder.record(Duration::from_millis(999), 10);
        recorder.record_n(Duration::from_millis(2500), 5_000_000, 3);
        let counts: Vec<u64> = recorder.intervals().iter().map(Histogram::len).collect();
        assert_eq!(counts, [1, 0, 3]);
        assert_eq!(recorder.total().len(), 4);
    }

    #[test]
    fn recorders_of_two_machines_add_up() {
        let (mut one, mut other) = (Recorder::new(Duration::from_secs(1)), Recorder::new(Duration::from_secs(1)));
        one.record(Duration::ZERO, 7);
        other.record(Duration::ZERO, 7);
        other.record(Duration::from_secs(5), u64::MAX);
        one.add(&other);
        assert_eq!((one.intervals()[0].len(), one.intervals()[5].max() >= LATENCY_MAX_US), (2, true));
    }

    #[test]
    fn intervals_are_few_however_long_the_match() {
        assert_eq!(interval_of(Duration::from_secs(180)), Duration::from_secs(1));
        assert_eq!(interval_of(Duration::from_secs(86_400)), Duration::from_secs(144));
        let mut recorder = Recorder::new(Duration::from_secs(1));
        recorder.record(Duration::from_secs(86_400), 1);
        assert_eq!(recorder.intervals().len(), INTERVALS_MAX as usize + 1);
    }
}
