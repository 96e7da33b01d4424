//! Percentile distributions as text, one file a latency, as HdrHistogram's own tools print and plot them.
//!
//! The format is that of `outputPercentileDistribution` in the Java implementation, with values in milliseconds.

use super::{Report, WriteError, file};
use hdrhistogram::Histogram;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Lines for each halving of the distance to 100 %, as HdrHistogram's tools have them.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
/// Microseconds of a value's unit.
const US_PER_UNIT: f64 = 1000.0;
/// The latency that has the name it was asked for; the others' names are derived from it.
const MAIN: &str = "tap_to_frame";

/// The percentile distribution of a histogram of microseconds, in milliseconds.
pub fn percentiles(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = histogram.highest_equivalent(step.value_iterated_to()) as f64 / US_PER_UNIT;
        let quantile = step.quantile_iterated_to();
        let _ = write!(text, "{value:12.3} {quantile:14.12} {total:10}");
        // The last one would be infinite.
        if quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    text + &footer(histogram)
}

fn footer(histogram: &Histogram<u64>) -> String {
    let (mean, deviation) = (histogram.mean() / US_PER_UNIT, histogram.stdev() / US_PER_UNIT);
    let max = histogram.highest_equivalent(histogram.max()) as f64 / US_PER_UNIT;
    let (count, buckets) = (histogram.len(), histogram.buckets());
    // Enough to tell 2 * 10^digits values apart, as a power of two.
    let sub_buckets = (2 * 10_u64.pow(histogram.sigfig().into())).next_power_of_two();
    format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {count:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n"
    )
}

/// Writes the distribution of `tap_to_frame` to a file, and of each other latency beside it, as `STEM.LATENCY.hgrm`. Gives
/// the files written.
///
/// # Errors
/// When a histogram is damaged or a file cannot be written.
pub fn write(report: &Report, to: &Path) -> Result<Vec<PathBuf>, WriteError> {
    let mut written = Vec::new();
    for (measure, latency) in &report.latency {
        let histogram = latency.histogram();
        let histogram = histogram.map_err(|source| WriteError::Histogram { measure: measure.clone(), source })?;
        let path = if measure == MAIN { to.to_owned() } else { beside(to, measure) };
        file::write(&path, percentiles(&histogram).as_bytes())
            .map_err(|source| WriteError::Unwritable { file: path.display().to_string(), source })?;
        written.push(path);
    }
    Ok(written)
}

fn beside(file: &Path, measure: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}.{measure}.hgrm"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::ledger::{histogram, record};
    use crate::report::synthetic::Play;

    #[test]
    fn the_text_is_what_hdr_histogram_prints() {
        let mut latencies = histogram();
        [(1000, 1), (2000, 2), (8000, 1)].into_iter().for_each(|(us, count)| record(&mut latencies, us, count));
        let expected = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n\
            \x20      1.000 0.000000000000          1           1.00\n\
            \x20      1.000 0.100000000000          1           1.11\n\
            \x20      1.000 0.200000000000          1           1.25\n\
            \x20      2.000 0.300000000000          3           1.43\n";
        let text = percentiles(&latencies);
        assert!(text.starts_with(expected), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let [.., last, mean, max, buckets] = &lines[..] else { panic!("{text}") };
        assert_eq!(*last, "       8.003 1.000000000000          4");
        assert_eq!(*mean, "#[Mean    =        3.251, StdDeviation   =        2.773]");
        assert_eq!(*max, "#[Max     =        8.003, Total count    =            4]");
        assert!(buckets.ends_with("SubBuckets     =         2048]"), "{buckets}");
    }

    #[test]
    fn nothing_measured_is_an_empty_distribution() {
        let text = percentiles(&histogram());
        assert!(text.lines().nth(2).is_some_and(|line| line.starts_with("#[Mean    =        0.000")), "{text}");
    }

    #[test]
    fn each_latency_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let report = Play::new(1).report(Part::WHOLE);
        let written = write(&report, &folder.path().join("run.hgrm")).unwrap();
        assert_eq!(written.len(), report.latency.len());
        for (name, measure) in [("run.hgrm", "tap_to_frame"), ("run.tap_to_202.hgrm", "tap_to_202")] {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.contains(&format!("{:>12}]", report.latency[measure].all.count)), "{name}: {text}");
        }
        assert!(write(&report, &folder.path().join("no/run.hgrm")).is_err());
    }
}
