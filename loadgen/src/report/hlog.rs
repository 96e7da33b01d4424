//! All latencies over time as one HdrHistogram V2 interval log, for the tools that read those.
//!
//! Each line is one interval of one latency, whose name is the line's tag; values are microseconds, the largest of each line
//! is shown in milliseconds. Intervals are in the order of time.

use super::{HistogramError, Latency, Report, WriteError, file};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Microseconds of a millisecond, in which the largest values are shown.
const US_PER_MS: f64 = 1000.0;

/// One line.
struct Line<'a> {
    starts_at: Duration,
    lasts: Duration,
    tag: Tag<'a>,
    histogram: Histogram<u64>,
}

/// Writes all latencies to a file.
///
/// # Errors
/// When a histogram is damaged or the file cannot be written.
pub fn write(report: &Report, to: &Path) -> Result<(), WriteError> {
    let text = to_text(report)?;
    file::write(to, &text).map_err(|source| WriteError::Unwritable { file: to.display().to_string(), source })
}

/// All latencies as an interval log.
///
/// # Errors
/// When a histogram is damaged.
pub fn to_text(report: &Report) -> Result<Vec<u8>, WriteError> {
    let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let start = UNIX_EPOCH + Duration::from_millis(report.start_unix_ms);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("[Latencies of {} in microseconds, by {}]", report.scenario.name, report.format))
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(US_PER_MS)
        .begin_log_with(&mut text, &mut serializer)
        .unwrap_or_else(|error| unreachable!("into memory: {error}"));
    for line in lines(report)? {
        let Line { starts_at, lasts, tag, histogram } = line;
        let written = log.write_histogram(&histogram, starts_at, lasts, Some(tag));
        written.unwrap_or_else(|error| unreachable!("into memory: {error:?}"));
    }
    Ok(text)
}

fn lines(report: &Report) -> Result<Vec<Line<'_>>, WriteError> {
    let mut lines = Vec::new();
    for (measure, latency) in &report.latency {
        let damaged = |source| WriteError::Histogram { measure: measure.clone(), source };
        // A name that cannot be a tag would spoil the line it is in.
        let Some(tag) = Tag::new(measure) else { continue };
        let intervals = intervals(latency, report.scenario.duration_s).map_err(damaged)?;
        lines.extend(intervals.into_iter().map(|(starts_at, lasts, histogram)| Line {
            starts_at,
            lasts,
            tag,
            histogram,
        }));
    }
    lines.sort_by_key(|line| line.starts_at);
    Ok(lines)
}

type Interval = (Duration, Duration, Histogram<u64>);

/// Intervals that have values; one for the whole match where they were not kept.
fn intervals(latency: &Latency, duration_s: f64) -> Result<Vec<Interval>, HistogramError> {
    let Some(recorder) = latency.recorder()? else {
        let whole = Duration::try_from_secs_f64(duration_s).unwrap_or_default();
        return Ok(vec![(Duration::ZERO, whole, latency.histogram()?)]);
    };
    let every = recorder.interval();
    let intervals = (0..).zip(recorder.intervals()).filter(|(_, histogram)| !histogram.is_empty());
    Ok(intervals.map(|(number, histogram)| (every * number, every, histogram.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::ledger::{histogram, merge};
    use crate::report::synthetic::Play;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::collections::BTreeMap;

    #[test]
    fn what_is_read_back_adds_up_to_the_whole() {
        let report = Play::new(1).report(Part::WHOLE);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.hlog");
        write(&report, &path).unwrap();
        let text = std::fs::read(path).unwrap();
        let (mut sums, mut last) = (BTreeMap::new(), Duration::ZERO);
        for entry in IntervalLogIterator::new(&text) {
            match entry.unwrap() {
                LogEntry::StartTime(at) | LogEntry::BaseTime(at) => {
                    assert_eq!(at.as_millis() as u64, report.start_unix_ms);
                }
                LogEntry::Interval(line) => {
                    let bytes = STANDARD.decode(line.encoded_histogram()).unwrap();
                    let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                    assert!(line.start_timestamp() >= last && line.duration() > Duration::ZERO);
                    assert!((line.max() - read.max() as f64 / 1000.0).abs() < 0.01, "{}", line.max());
                    last = line.start_timestamp();
                    let tag = line.tag().unwrap().as_str().to_owned();
                    merge(sums.entry(tag).or_insert_with(histogram), &read);
                }
            }
        }
        assert!(last > Duration::from_secs(1), "several intervals");
        assert_eq!(sums.len(), report.latency.len());
        for (measure, latency) in &report.latency {
            assert_eq!(&Latency::of(&sums[measure]).histogram, &latency.histogram, "{measure}");
        }
    }

    #[test]
    fn a_damaged_histogram_is_named() {
        let mut report = Play::new(1).report(Part::WHOLE);
        report.latency.get_mut("tap_to_202").unwrap().interval_histograms[0] = "?".into();
        assert!(to_text(&report).unwrap_err().to_string().starts_with("latency tap_to_202"));
    }
}
