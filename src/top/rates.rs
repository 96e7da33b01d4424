//! Two readings of counters, and how fast they grew in between; and what a histogram says of those in between.
//!
//! Invariant: a counter that fell has started anew, so what it says now is all that came: no rate is ever negative.
//! Not here: which counters there are ([`super::figures`]).

use super::samples::{Bucket, Samples};
use serde::Serialize;

/// A counter: how fast it grows, and how far it has come.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Count {
    /// Per second, between the last two readings; none after the first one.
    pub per_second: Option<f64>,
    /// Since the server started.
    pub total: Option<u64>,
}

/// What half and almost all of some durations did not exceed, in seconds.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Quantiles {
    /// Half of them.
    pub p50: Option<f64>,
    /// 99 of a hundred.
    pub p99: Option<f64>,
}

/// The reading before, and how long ago it was.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// What was read; none when the server has started since, and every counter began at 0.
    pub samples: Option<&'a Samples>,
    /// Seconds between the readings, more than 0.
    pub seconds: f64,
}

/// One page, against the same page of the reading before.
#[derive(Clone, Copy, Debug)]
pub struct Growth<'a> {
    /// The page now.
    pub now: &'a Samples,
    /// The page before; none in the first reading.
    pub before: Option<Before<'a>>,
}

impl Growth<'_> {
    /// The counter `name`, summed over the labels that `labels` does not name.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> Count {
        let total = self.now.sum(name, labels);
        // What no number of taps reaches is cut off.
        let whole = total.map(|total| total.max(0.0) as u64);
        Count { per_second: self.per_second(name, labels), total: whole }
    }

    /// How fast the counter `name` grows.
    pub fn per_second(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let before = self.before?;
        Some(self.grown(name, labels)? / before.seconds)
    }

    /// How far the counter `name` grew.
    pub fn grown(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let now = self.now.sum(name, labels)?;
        let before = match self.before?.samples {
            Some(samples) => samples.sum(name, labels)?,
            None => 0.0,
        };
        Some(grown(before, now))
    }
}

fn grown(before: f64, now: f64) -> f64 {
    if now < before { now } else { now - before }
}

/// Where the durations recorded between two readings of a histogram lie: none where there were none, or where the
/// histogram has other buckets than before. Within a bucket they count as spread evenly, as Prometheus has it; those
/// beyond the last finite end count as that end.
pub fn quantiles(before: &[Bucket], now: &[Bucket]) -> Quantiles {
    let same_ends = before.len() == now.len()
        && before.iter().zip(now).all(|(before, now)| before.upper_seconds == now.upper_seconds);
    if !same_ends {
        return Quantiles::default();
    }
    let anew = before.iter().zip(now).any(|(before, now)| now.count < before.count);
    let between: Vec<_> = before
        .iter()
        .zip(now)
        .map(|(before, now)| Bucket { count: if anew { now.count } else { now.count - before.count }, ..*now })
        .collect();
    Quantiles { p50: quantile(&between, 0.5), p99: quantile(&between, 0.99) }
}

fn quantile(buckets: &[Bucket], quantile: f64) -> Option<f64> {
    let all = buckets.last()?.count;
    if all <= 0.0 {
        return None;
    }
    let rank = quantile * all;
    let at = buckets.iter().position(|bucket| bucket.count >= rank)?;
    let below = at.checked_sub(1).map_or(Bucket { upper_seconds: 0.0, count: 0.0 }, |below| buckets[below]);
    let bucket = buckets[at];
    if bucket.upper_seconds.is_infinite() {
        return Some(below.upper_seconds);
    }
    let inside = (rank - below.count) / (bucket.count - below.count);
    Some(below.upper_seconds + (bucket.upper_seconds - below.upper_seconds) * inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(taps: u64) -> Samples {
        Samples::parse(&format!("# TYPE taps_total counter\ntaps_total{{proto=\"udp\"}} {taps}\n"))
    }

    fn count(before: Option<(u64, f64)>, now: u64) -> Count {
        let (pages, now) = (before.map(|(taps, seconds)| (page(taps), seconds)), page(now));
        let before = pages.as_ref().map(|(page, seconds)| Before { samples: Some(page), seconds: *seconds });
        Growth { now: &now, before }.count("taps_total", &[("proto", "udp")])
    }

    #[test]
    fn a_rate_is_the_growth_over_the_time_that_passed() {
        assert_eq!(count(Some((100, 2.0)), 150), Count { per_second: Some(25.0), total: Some(150) });
        assert_eq!(count(Some((100, 0.5)), 100), Count { per_second: Some(0.0), total: Some(100) });
    }

    #[test]
    fn the_first_reading_has_totals_and_no_rates() {
        assert_eq!(count(None, 150), Count { per_second: None, total: Some(150) });
    }

    #[test]
    fn a_counter_that_fell_has_started_anew() {
        assert_eq!(count(Some((100, 2.0)), 30).per_second, Some(15.0));
        let now = page(30);
        let started = Growth { now: &now, before: Some(Before { samples: None, seconds: 2.0 }) };
        assert_eq!(started.per_second("taps_total", &[]), Some(15.0));
    }

    #[test]
    fn a_counter_that_one_of_the_readings_lacks_has_no_rate() {
        let (empty, full) = (Samples::default(), page(5));
        let growth = |now, before| Growth { now, before: Some(Before { samples: Some(before), seconds: 1.0 }) };
        assert_eq!(growth(&full, &empty).count("taps_total", &[]), Count { per_second: None, total: Some(5) });
        assert_eq!(growth(&empty, &full).count("taps_total", &[]), Count::default());
    }

    fn buckets(counts: [f64; 3]) -> Vec<Bucket> {
        let ends = [0.1, 0.2, f64::INFINITY];
        ends.into_iter().zip(counts).map(|(upper_seconds, count)| Bucket { upper_seconds, count }).collect()
    }

    #[test]
    fn quantiles_are_of_what_came_between() {
        // A hundred old ones in the first bucket say nothing of the hundred new ones in the second.
        let new = quantiles(&buckets([100.0, 100.0, 100.0]), &buckets([100.0, 200.0, 200.0]));
        assert!((new.p50.unwrap() - 0.15).abs() < 1e-9, "{new:?}");
        assert!((new.p99.unwrap() - 0.199).abs() < 1e-9, "{new:?}");
    }

    #[test]
    fn beyond_the_last_end_is_that_end() {
        let new = quantiles(&buckets([0.0; 3]), &buckets([0.0, 0.0, 4.0]));
        assert_eq!(new, Quantiles { p50: Some(0.2), p99: Some(0.2) });
    }

    #[test]
    fn no_durations_have_no_quantiles() {
        let some = buckets([1.0, 2.0, 3.0]);
        assert_eq!(quantiles(&some, &some), Quantiles::default());
        assert_eq!(quantiles(&some[..2], &some), Quantiles::default());
        assert_eq!(quantiles(&[], &[]), Quantiles::default());
    }

    #[test]
    fn a_histogram_that_fell_has_started_anew() {
        let new = quantiles(&buckets([500.0, 500.0, 500.0]), &buckets([0.0, 10.0, 10.0]));
        assert!((new.p50.unwrap() - 0.15).abs() < 1e-9, "{new:?}");
    }
}
