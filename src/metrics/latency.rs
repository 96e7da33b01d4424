//! How long something took, as a distribution: cheap to record, summed over shards, and rendered in fixed buckets.
//!
//! Invariant: the memory is fixed when it is made (24 KiB of counters); recording allocates nothing and never fails.

use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// Finest difference that is kept, in nanoseconds.
const RESOLUTION_NS: u64 = 100;
/// Longest duration that is told apart, in nanoseconds; what takes longer counts as this long.
const LONGEST_NS: u64 = 60_000_000_000;
/// Two digits: an error of at most one percent.
const DIGITS: u8 = 2;

/// Upper ends of the exported buckets, in nanoseconds, with the text that Prometheus sees (seconds).
pub(super) const BUCKETS: [(u64, &str); 19] = [
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
];

/// A distribution of durations up to a minute.
#[derive(Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
    /// Exact, and wide enough for every duration that a process can ever record.
    sum_ns: u128,
}

impl Latency {
    /// Nothing recorded.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(RESOLUTION_NS, LONGEST_NS, DIGITS)
            .unwrap_or_else(|_| unreachable!("the bounds are constants that hdrhistogram accepts"));
        Self { histogram, sum_ns: 0 }
    }

    /// Counts one duration.
    pub fn record(&mut self, took: Duration) {
        self.record_n(took, 1);
    }

    /// Counts the same duration `n` times: subscribers that were served in one go.
    pub fn record_n(&mut self, took: Duration, n: u64) {
        let took_ns = took.as_nanos();
        self.histogram.saturating_record_n(u64::try_from(took_ns).unwrap_or(LONGEST_NS), n);
        self.sum_ns += took_ns * u128::from(n);
    }

    /// Durations recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Sum of all durations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// The duration that `quantile` (0 to 1) of those recorded do not exceed, within one percent.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(quantile))
    }

    /// Adds what `other` recorded.
    pub fn absorb(&mut self, other: &Self) {
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "all latencies have the same bounds");
        self.sum_ns += other.sum_ns;
    }

    /// For each of [`BUCKETS`], how many durations were no longer (within the one percent of the distribution).
    pub(super) fn cumulative(&self) -> [u64; BUCKETS.len()] {
        let mut counts = [0; BUCKETS.len()];
        for step in self.histogram.iter_recorded() {
            let shortest_ns = self.histogram.lowest_equivalent(step.value_iterated_to());
            let bucket = BUCKETS.partition_point(|&(upper_ns, _)| upper_ns < shortest_ns);
            if let Some(count) = counts.get_mut(bucket) {
                *count += step.count_since_last_iteration();
            }
        }
        let mut below = 0;
        counts.map(|count| {
            below += count;
            below
        })
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = self.quantile(0.99);
        f.debug_struct("Latency").field("count", &self.count()).field("p99", &p99).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_hold_their_own_upper_end() {
        let mut latency = Latency::new();
        for took in [0, 10_000, 1_000_000, 1_000_000, 2_500_000_000].map(Duration::from_nanos) {
            latency.record(took);
        }
        latency.record(Duration::from_secs(3600));
        let counts = latency.cumulative();
        let at = |seconds: &str| counts[BUCKETS.iter().position(|&(_, text)| text == seconds).unwrap()];
        assert_eq!([at("0.00001"), at("0.0005"), at("0.001"), at("1"), at("2.5"), at("10")], [2, 2, 4, 4, 5, 5]);
        assert_eq!(latency.count(), 6, "what is longer than every bucket still counts");
        assert!((latency.sum_seconds() - 3602.50201).abs() < 1e-6, "{}", latency.sum_seconds());
    }

    #[test]
    fn the_text_of_a_bucket_is_its_upper_end_in_seconds() {
        for (upper_ns, text) in BUCKETS {
            assert_eq!((text.parse::<f64>().unwrap() * 1e9).round() as u64, upper_ns);
        }
    }

    #[test]
    fn absorbing_is_recording_in_one() {
        let (mut left, mut right, mut both) = (Latency::new(), Latency::new(), Latency::new());
        for us in [3, 40, 500, 6000, 70_000] {
            let took = Duration::from_micros(us);
            let (side, times) = if us % 20 == 0 { (&mut left, 1) } else { (&mut right, 3) };
            side.record_n(took, times);
            both.record_n(took, times);
        }
        left.absorb(&right);
        assert_eq!((left.cumulative(), left.count(), left.sum_ns), (both.cumulative(), both.count(), both.sum_ns));
        assert_eq!(left.quantile(0.5), both.quantile(0.5));
    }
}
