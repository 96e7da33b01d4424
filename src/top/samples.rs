//! A page of Prometheus text as numbers that can be asked for by name and labels.
//!
//! Invariant: what a page lacks is `None`, never 0 and never an error: servers older or newer than this program have
//! other metrics. Values that are no number are left out. Not here: what the numbers mean ([`super::figures`]).

use prometheus_parse::{Scrape, Value};
use std::collections::BTreeMap;

/// The samples of one page.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    families: BTreeMap<String, Vec<Series>>,
}

#[derive(Clone, Debug)]
struct Series {
    labels: BTreeMap<String, String>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Number(f64),
    Buckets(Vec<Bucket>),
}

/// One step of a histogram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// Its upper end, in seconds; infinite in the last one.
    pub upper_seconds: f64,
    /// How many durations were no longer.
    pub count: f64,
}

impl Samples {
    /// Reads a page. Lines that are not Prometheus text are passed over.
    pub fn parse(page: &str) -> Self {
        Self::of_lines(page.lines())
    }

    /// Reads the `families` of a page and nothing else: with a hundred shards most of a page is not shown here.
    pub fn parse_only(page: &str, families: &[&str]) -> Self {
        Self::of_lines(page.lines().filter(|line| family_of(line).is_some_and(|name| families.contains(&name))))
    }

    fn of_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut families: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        let Ok(scrape) = Scrape::parse(lines.map(|line| Ok(line.to_owned()))) else {
            unreachable!("lines that are in memory cannot fail to be read");
        };
        for sample in scrape.samples {
            let Some(content) = Content::of(&sample.value) else { continue };
            #[allow(clippy::disallowed_methods, reason = "into a map that has an order")]
            let labels = sample.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            families.entry(sample.metric).or_default().push(Series { labels, content });
        }
        Self { families }
    }

    /// The sum of the series of `name` that have all of `labels`, if there are any.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.numbers(name, labels).map(|(_, number)| number).reduce(|sum, number| sum + number)
    }

    /// The values that label `key` takes in `name`, each once, in order.
    pub fn values_of(&self, name: &str, key: &str) -> Vec<&str> {
        let series = self.families.get(name).map_or(&[][..], Vec::as_slice);
        let mut values: Vec<_> =
            series.iter().filter_map(|series| series.labels.get(key).map(String::as_str)).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// The buckets of a histogram without further labels, in order.
    pub fn buckets(&self, name: &str) -> Option<&[Bucket]> {
        self.families.get(name)?.iter().find_map(|series| match &series.content {
            Content::Buckets(buckets) => Some(buckets.as_slice()),
            Content::Number(_) => None,
        })
    }

    fn numbers<'a>(&'a self, name: &str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = (&'a Series, f64)> {
        let series = self.families.get(name).map_or(&[][..], Vec::as_slice);
        series.iter().filter_map(move |series| {
            let has_all = labels.iter().all(|&(key, value)| series.labels.get(key).is_some_and(|has| has == value));
            match series.content {
                Content::Number(number) if has_all => Some((series, number)),
                _ => None,
            }
        })
    }
}

impl Content {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Counter(number) | Value::Gauge(number) | Value::Untyped(number) => {
                number.is_finite().then_some(Self::Number(*number))
            }
            Value::Histogram(counts) => {
                let bucket = |step: &prometheus_parse::HistogramCount| Bucket {
                    upper_seconds: step.less_than,
                    count: step.count,
                };
                let mut buckets: Vec<_> = counts.iter().map(bucket).filter(|step| step.count.is_finite()).collect();
                buckets.sort_by(|a, b| a.upper_seconds.total_cmp(&b.upper_seconds));
                Some(Self::Buckets(buckets))
            }
            Value::Summary(_) => None,
        }
    }
}

/// The name that a line of a page is about.
fn family_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix("# TYPE ").unwrap_or(line);
    line.split(['{', ' ']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP taps_total Taps.
# TYPE taps_total counter
taps_total{shard=\"0\",proto=\"udp\"} 5
taps_total{shard=\"0\",proto=\"http\"} 7
taps_total{shard=\"1\",proto=\"udp\"} 11
# TYPE depth gauge
depth NaN
# TYPE close_seconds histogram
close_seconds_bucket{le=\"0.1\"} 3
close_seconds_bucket{le=\"+Inf\"} 4
close_seconds_sum 0.5
close_seconds_count 4
";

    #[test]
    fn series_are_summed_over_the_labels_that_are_not_named() {
        let samples = Samples::parse(PAGE);
        assert_eq!(samples.sum("taps_total", &[]), Some(23.0));
        assert_eq!(samples.sum("taps_total", &[("proto", "udp")]), Some(16.0));
        assert_eq!(samples.sum("taps_total", &[("proto", "udp"), ("shard", "1")]), Some(11.0));
        assert_eq!(samples.values_of("taps_total", "proto"), ["http", "udp"]);
    }

    #[test]
    fn what_is_missing_or_no_number_is_none() {
        let samples = Samples::parse(PAGE);
        assert_eq!(samples.sum("taps_total", &[("proto", "smoke")]), None);
        assert_eq!(samples.sum("depth", &[]), None);
        assert_eq!(samples.sum("close_seconds", &[]), None);
        assert_eq!(samples.buckets("taps_total"), None);
        assert_eq!(samples.values_of("nothing", "proto"), [""; 0]);
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let samples = Samples::parse(PAGE);
        let counts = samples.buckets("close_seconds").unwrap().iter().map(|step| (step.upper_seconds, step.count));
        assert_eq!(counts.collect::<Vec<_>>(), [(0.1, 3.0), (f64::INFINITY, 4.0)]);
    }

    #[test]
    fn only_the_families_asked_for_are_read() {
        let samples = Samples::parse_only(PAGE, &["taps_total"]);
        assert_eq!(samples.sum("taps_total", &[]), Some(23.0));
        assert_eq!(samples.buckets("close_seconds"), None);
    }

    #[test]
    fn text_that_is_no_page_has_nothing() {
        for text in ["", "<html>\n<body>", "}{ 1 2 3", "# TYPE\n# HELP\n\u{0}"] {
            assert_eq!(Samples::parse(text).sum("taps_total", &[]), None);
        }
    }
}
