//! A latency as it is published: quantiles to read, and the whole histograms, so that nothing has to be averaged.

use crate::ledger::recorder::INTERVALS_MAX;
use crate::ledger::{Recorder, histogram, merge};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest interval that can be read, in seconds: the longest match.
const INTERVAL_S_MAX: f64 = 86_400.0;

/// One kind of latency, in microseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Of everything.
    #[serde(flatten)]
    pub all: Quantiles,
    /// Length of an interval in seconds; 0 when there are no intervals.
    pub interval_s: f64,
    /// Quantiles of each interval of the match, by the time at which it was planned or, for frames, came.
    pub intervals: Vec<Quantiles>,
    /// The histogram of everything, as HdrHistogram V2 with deflate, in base64.
    pub histogram: String,
    /// The same of each interval, an empty text where it has no values.
    pub interval_histograms: Vec<String>,
}

/// A histogram in short.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Values.
    pub count: u64,
    /// The smallest.
    pub min_us: u64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// The largest.
    pub max_us: u64,
}

/// Why a published histogram cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a histogram is damaged: {0}")]
pub struct HistogramError(String);

impl Quantiles {
    /// Of a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            min_us: histogram.min(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

impl Latency {
    /// Of one histogram, without intervals.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            all: Quantiles::of(histogram),
            interval_s: 0.0,
            intervals: Vec::new(),
            histogram: encode(histogram),
            interval_histograms: Vec::new(),
        }
    }

    /// Of a recorder, with its intervals.
    pub fn over_time(recorder: &Recorder) -> Self {
        let encode_any = |interval: &Histogram<u64>| if interval.is_empty() { String::new() } else { encode(interval) };
        Self {
            interval_s: recorder.interval().as_secs_f64(),
            intervals: recorder.intervals().iter().map(Quantiles::of).collect(),
            interval_histograms: recorder.intervals().iter().map(encode_any).collect(),
            ..Self::of(&recorder.total())
        }
    }

    /// The histogram of everything.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn histogram(&self) -> Result<Histogram<u64>, HistogramError> {
        decode(&self.histogram)
    }

    /// The intervals as they were recorded; `None` where there are none.
    ///
    /// # Errors
    /// When a text is not a histogram, or the intervals are not those of a match.
    pub fn recorder(&self) -> Result<Option<Recorder>, HistogramError> {
        if self.interval_s <= 0.0 {
            return Ok(None);
        }
        let count = self.interval_histograms.len();
        if self.interval_s > INTERVAL_S_MAX || count > INTERVALS_MAX as usize + 1 {
            return Err(HistogramError(format!("{count} intervals of {} s", self.interval_s)));
        }
        let decode_any = |text: &String| if text.is_empty() { Ok(histogram()) } else { decode(text) };
        let intervals = self.interval_histograms.iter().map(decode_any).collect::<Result<_, _>>()?;
        Ok(Some(Recorder::from_intervals(Duration::from_secs_f64(self.interval_s), intervals)))
    }

    /// Both together, exactly.
    ///
    /// # Errors
    /// When a histogram is damaged.
    pub fn merged(&self, other: &Self) -> Result<Self, HistogramError> {
        if let (Some(mut one), Some(other)) = (self.recorder()?, other.recorder()?)
            && one.interval() == other.interval()
        {
            one.add(&other);
            return Ok(Self::over_time(&one));
        }
        let mut sum = self.histogram()?;
        merge(&mut sum, &other.histogram()?);
        Ok(Self::of(&sum))
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(&tight(histogram), &mut bytes);
    written.unwrap_or_else(|error| unreachable!("into memory: {error:?}"));
    STANDARD.encode(bytes)
}

/// The same values in a histogram that is as long as its largest one needs: a histogram remembers how it grew, and the same
/// values must have the same text.
fn tight(loose: &Histogram<u64>) -> Histogram<u64> {
    let max = loose.max().max(2);
    let tight = Histogram::new_with_bounds(1, max, loose.sigfig());
    let mut tight = tight.unwrap_or_else(|_| unreachable!("from 1 to 2 or more, with digits that were valid before"));
    merge(&mut tight, loose);
    tight
}

fn decode(text: &str) -> Result<Histogram<u64>, HistogramError> {
    let bytes = STANDARD.decode(text).map_err(|error| HistogramError(error.to_string()))?;
    let mut decoded: Histogram<u64> =
        Deserializer::new().deserialize(&mut &bytes[..]).map_err(|error| HistogramError(format!("{error:?}")))?;
    decoded.auto(true);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(values: &[(u64, u64)]) -> Recorder {
        let mut recorder = Recorder::new(Duration::from_secs(1));
        values.iter().for_each(|(at_s, us)| recorder.record(Duration::from_secs(*at_s), *us));
        recorder
    }

    #[test]
    fn what_is_published_can_be_read_back() {
        let recorder = recorder(&[(0, 100), (0, 250), (2, 1_000_000)]);
        let latency = Latency::over_time(&recorder);
        let text = serde_json::to_string(&latency).unwrap();
        let read: Latency = serde_json::from_str(&text).unwrap();
        assert_eq!(read, latency);
        assert_eq!(read.recorder().unwrap().unwrap(), recorder);
        assert_eq!((read.all.count, read.all.min_us, read.intervals[1].count), (3, 100, 0));
    }

    #[test]
    fn merging_adds_histograms_and_does_not_average() {
        let (fast, slow) = (recorder(&[(0, 10); 99]), recorder(&[(0, 50_000), (3, 70_000)]));
        let merged = Latency::over_time(&fast).merged(&Latency::over_time(&slow)).unwrap();
        let mut all = fast.clone();
        all.add(&slow);
        assert_eq!(merged, Latency::over_time(&all));
        assert_eq!((merged.all.p50_us, merged.all.count), (10, 101));
    }

    #[test]
    fn the_same_values_have_the_same_text_however_they_came() {
        let (mut one, mut other) = (histogram(), histogram());
        [7, 5_000_000, 90_000].into_iter().for_each(|us| crate::ledger::record(&mut one, us, 1));
        [90_000, 7].into_iter().for_each(|us| crate::ledger::record(&mut other, us, 1));
        let mut last = histogram();
        crate::ledger::record(&mut last, 5_000_000, 1);
        merge(&mut other, &last);
        assert_eq!(encode(&one), encode(&other));
    }

    #[test]
    fn a_damaged_histogram_is_an_error() {
        for text in ["", "%", "AAAA"] {
            let damaged = Latency { histogram: text.into(), ..Latency::of(&histogram()) };
            assert!(damaged.histogram().is_err(), "{text:?}");
        }
        let one = Latency { interval_s: 1e300, ..Latency::of(&histogram()) };
        let many = Latency { interval_s: 1.0, interval_histograms: vec![String::new(); 700], ..one.clone() };
        assert!(one.recorder().is_err() && many.recorder().is_err());
    }
}
