//! Both pages of metrics of a running server, as an independent parser reads them, and against what the rules of the
//! format and of its naming ask (prometheus.io/docs: "Exposition formats", "Metric and label naming").
//!
//! Not here: what single counters count, which the tests of those parts say.

use crate::support::{Http, Server, Tapper, Viewer, eventually, http};
use prometheus_parse::{LineInfo, SampleType, Scrape, Value};
use std::collections::{BTreeMap, BTreeSet};

const ROOM: u32 = 1;
/// Words of units that are not the base units of Prometheus.
const OTHER_UNITS: [&str; 12] =
    ["ms", "us", "ns", "milliseconds", "microseconds", "minutes", "hours", "kb", "kib", "mb", "mib", "percent"];

/// One page.
pub(crate) struct Page {
    families: Vec<Family>,
    text: String,
}

struct Family {
    name: String,
    kind: SampleType,
    help: String,
    series: Vec<Series>,
}

/// One line with a value.
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// Where a scraper would complain: a line of no kind, series without or before their HELP and TYPE, families in pieces.
    pub(crate) fn read(text: String) -> Self {
        assert!(text.ends_with('\n'), "the last line ends");
        let mut families: Vec<Family> = Vec::new();
        let mut help = None;
        for line in text.lines() {
            match LineInfo::parse(line) {
                LineInfo::Doc { metric_name, doc } => {
                    assert!(
                        help.replace((metric_name.to_owned(), doc.to_owned())).is_none(),
                        "HELP, then TYPE: {line}"
                    );
                }
                LineInfo::Type { metric_name, metric_alias, sample_type } => {
                    let name = metric_alias.unwrap_or(metric_name);
                    let (helped, help) = help.take().unwrap_or_else(|| panic!("no HELP before {line}"));
                    assert_eq!(helped, name, "HELP is of the same family");
                    families.push(Family { name, kind: sample_type, help, series: Vec::new() });
                }
                LineInfo::Sample { metric_name, labels, value, timestamp } => {
                    assert_eq!((timestamp, &help), (None, &None), "{line}");
                    let family = families.last_mut().unwrap_or_else(|| panic!("no family before {line}"));
                    let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
                    let labels = labels.map_or_else(BTreeMap::new, read_labels);
                    family.series.push(Series { name: metric_name.into(), labels, value });
                }
                LineInfo::Empty | LineInfo::Ignored => panic!("no scraper reads {line:?}"),
            }
        }
        Self { families, text }
    }

    /// Values that each label of a series' name has, or nothing when there is no such name.
    pub(crate) fn labels(&self, series: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
        let mut series =
            self.families.iter().flat_map(|family| &family.series).filter(|found| found.name == series).peekable();
        series.peek()?;
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (label, value) in series.flat_map(|found| &found.labels) {
            labels.entry(label.clone()).or_default().insert(value.clone());
        }
        Some(labels)
    }

    fn names(&self) -> BTreeSet<&str> {
        self.families.iter().map(|family| family.name.as_str()).collect()
    }

    /// The sum of a name's series.
    fn sum(&self, name: &str) -> f64 {
        let series = self.families.iter().flat_map(|family| &family.series).filter(|series| series.name == name);
        let values: Vec<_> = series.map(|series| series.value).collect();
        assert!(!values.is_empty(), "no series {name}");
        values.iter().sum()
    }

    /// What the format and its customs ask of every family.
    fn check(&self) {
        assert_eq!(self.names().len(), self.families.len(), "no family stands twice");
        let mut seen = BTreeSet::new();
        for family in &self.families {
            family.check();
            for series in &family.series {
                assert!(seen.insert((&series.name, &series.labels)), "twice: {} {:?}", series.name, series.labels);
            }
        }
        self.check_histograms();
    }

    /// As the parser puts them together.
    fn check_histograms(&self) {
        let scrape = Scrape::parse(self.text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let mut checked = 0;
        for sample in &scrape.samples {
            let Value::Histogram(buckets) = &sample.value else { continue };
            let name = &sample.metric;
            assert!(buckets.is_sorted_by(|low, high| low.less_than < high.less_than), "{name}: {buckets:?}");
            assert!(buckets.is_sorted_by(|low, high| low.count <= high.count), "{name}: {buckets:?}");
            let last = buckets.last().unwrap();
            let beside = |suffix: &str| {
                let wanted = format!("{name}{suffix}");
                let found = scrape.samples.iter().find(|found| found.metric == wanted && found.labels == sample.labels);
                let Some(Value::Untyped(value)) = found.map(|found| &found.value) else { panic!("no {wanted}") };
                *value
            };
            assert_eq!((last.less_than, last.count), (f64::INFINITY, beside("_count")), "{name}");
            assert!(beside("_sum") >= 0.0, "{name}");
            checked += 1;
        }
        let series = self.families.iter().filter(|family| family.kind == SampleType::Histogram);
        let expected: usize = series.map(|family| family.series_ending("_count")).sum();
        assert_eq!(checked, expected, "the parser found every histogram");
    }
}

impl Family {
    fn check(&self) {
        let Self { name, kind, help, series } = self;
        assert!(!series.is_empty(), "{name} has series from the start");
        assert!(name.starts_with("uproar_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            *kind == SampleType::Counter,
            "counters, and only they, are totals: {name}"
        );
        let words: Vec<_> = name.split('_').collect();
        assert!(!words.iter().any(|word| OTHER_UNITS.contains(word)), "{name} is not in a base unit");
        for unit in ["seconds", "bytes"] {
            assert!(!words.contains(&unit) || help.contains(unit), "HELP of {name} says the unit: {help}");
        }
        assert!(*kind != SampleType::Histogram || words.last() == Some(&"seconds"), "{name} says what it measures");
        assert!(help.ends_with('.') && help.len() > 10, "a sentence: {help}");
        for one in series {
            one.check(self);
        }
    }

    fn series_ending(&self, suffix: &str) -> usize {
        self.series.iter().filter(|series| series.name.ends_with(suffix)).count()
    }
}

impl Series {
    fn check(&self, family: &Family) {
        let suffix =
            self.name.strip_prefix(&family.name).unwrap_or_else(|| panic!("{} under {}", self.name, family.name));
        let expected: &[&str] = match family.kind {
            SampleType::Histogram => &["_bucket", "_sum", "_count"],
            SampleType::Counter | SampleType::Gauge => &[""],
            SampleType::Summary | SampleType::Untyped => panic!("{} has no type", family.name),
        };
        assert!(expected.contains(&suffix), "{} under {}", self.name, family.name);
        assert_eq!(self.labels.contains_key("le"), suffix == "_bucket", "{}", self.name);
        assert!(self.value.is_finite() && self.value >= 0.0, "{} {:?}", self.name, self.labels);
        for (label, value) in &self.labels {
            let is_legal = label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !label.starts_with("__");
            assert!(is_legal && !value.is_empty(), "{label}={value:?} of {}", self.name);
            assert!(
                !["room", "client", "address", "job", "instance"].contains(&label.as_str()),
                "{label} of {}",
                self.name
            );
        }
    }
}

/// Strictly: `a="b",c="d"`, where values need no escapes.
fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for label in text.split(',') {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("no label: {label}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.filter(|value| !value.contains(['"', '\\', '\n']));
        let value = value.unwrap_or_else(|| panic!("no value: {label}"));
        assert!(labels.insert(name.to_owned(), value.to_owned()).is_none(), "twice: {label}");
    }
    labels
}

/// The pages of the node and of its shards.
pub(crate) fn pages(server: &Server) -> [Page; 2] {
    [server.metrics(), server.shard_metrics()].map(|metrics| Page::read(metrics.page().to_owned()))
}

/// Names, and names of labels, in the tables of `docs/WIRE.md`.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let wire = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/WIRE.md")).unwrap();
    let rows = wire.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name));
    let rows = rows.filter(|name| name.starts_with("uproar_") || name.starts_with("process_"));
    rows.map(|row| {
        let (name, labels) = row.split_once('{').unwrap_or((row, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (name.to_owned(), labels.map(str::to_owned).collect())
    })
    .collect()
}

/// A server on which something of every kind has happened.
fn busy_server() -> (Server, Viewer) {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    viewer.tap(ROOM, &[(0, 1)]);
    Tapper::to(server.reactions()).tap(ROOM, 1, 2);
    let mut public = Http::to(server.http());
    assert_eq!(public.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
    assert_eq!(public.ask(&http::reactions(77, r#"{"emoji":"fire"}"#)).status, 404);
    viewer.next_frame();
    server.await_metric("uproar_frame_taps_total", 4);
    (server, viewer)
}

#[test]
fn both_pages_are_what_a_scraper_expects() {
    let (server, _viewer) = busy_server();
    for page in pages(&server) {
        page.check();
    }
    let head = server.ask_admin(&http::get("/metrics")).head;
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
}

#[test]
fn what_is_documented_is_there_and_what_is_there_is_documented() {
    let (server, _viewer) = busy_server();
    let [node, shards] = pages(&server);
    let documented = documented();
    let named: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
    let served: BTreeSet<&str> = node.names().union(&shards.names()).copied().collect();
    assert_eq!(named, served);
    for (name, labels) in &documented {
        let found = [&node, &shards].into_iter().find_map(|page| {
            page.labels(name).or_else(|| page.labels(&format!("{name}_count"))).map(BTreeMap::into_keys)
        });
        let found: BTreeSet<String> = found.unwrap().filter(|label| label != "shard").collect();
        assert_eq!(&found, labels, "labels of {name}");
    }
    let only_of_the_node: BTreeSet<&str> = node.names().difference(&shards.names()).copied().collect();
    let is_of_the_process = |name: &&str| {
        name.starts_with("process_") || ["_build_", "_certificate_", "_log_"].iter().any(|part| name.contains(part))
    };
    assert!(only_of_the_node.iter().all(is_of_the_process), "{only_of_the_node:?}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a certificate expires by the machine's clock")]
fn figures_of_the_loop_and_of_the_process_are_those_of_this_server() {
    let (server, _viewer) = busy_server();
    let [node, shards] = pages(&server);
    assert_eq!(
        shards.sum("uproar_loop_turn_seconds_count"),
        shards.sum("uproar_loop_turns_total"),
        "each turn is measured"
    );
    for name in ["uproar_loop_busy_seconds_total", "uproar_loop_idle_seconds_total", "uproar_shard_cpu_seconds_total"] {
        assert!(shards.sum(name) > 0.0, "{name}");
    }
    assert_eq!(node.sum("uproar_handshake_seconds_count"), 1.0, "one viewer");
    assert_eq!([node.sum("uproar_subscribers"), node.sum("uproar_rooms"), node.sum("uproar_ready")], [1.0; 3]);
    assert_eq!(shards.sum("uproar_rooms"), 2.0, "each shard knows it");
    for name in ["uproar_subscribers_max", "uproar_http_connections_max"] {
        assert_eq!(node.sum(name), shards.sum(name), "what the shards take together: {name}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
        assert!(node.sum(name) > 0.0, "{name}");
    }
    assert!(node.sum("process_open_fds") <= node.sum("process_max_fds"));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let days = (node.sum("uproar_certificate_expiry_timestamp_seconds") - now) / 86_400.0;
    assert!((12.9..13.1).contains(&days), "the development certificate lasts 13 days, not {days}");
}

#[test]
fn a_client_that_does_not_read_stalls_sends() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let selector = "uproar_sends_stalled_total{proto=\"http\"}";
    assert_eq!(server.metric(selector), 0);
    let mut silent = Http::to(server.admin());
    // Some tens of megabytes: more than the kernel keeps for a connection.
    silent.send(&http::get("/metrics/shards").repeat(2000));
    eventually(|| (server.metric(selector) > 0).then_some(()), || "no send was stalled".into());
}

#[test]
fn a_node_that_leaves_says_so() {
    let mut server =
        Server::start(&["--shards", "2", "--window", "100ms", "--drain-duration", "10m", "--drain-timeout", "10m"]);
    assert_eq!(server.metrics().value("uproar_ready"), 1.0);
    let _viewer = Viewer::watching(&server, &[ROOM]);
    server.send_sigterm();
    eventually(
        || (server.metrics().value("uproar_ready") == 0.0).then_some(()),
        || "it still says that it is ready".into(),
    );
    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(1));
}
