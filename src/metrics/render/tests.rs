//! Rendered text, read back line by line the way a scraper does.

use super::super::latency::BUCKETS;
use super::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names that `docs/WIRE.md` promises on `/metrics`, with their types.
const PROMISED: [(&str, &str); 38] = [
    ("uproar_reactions_total", "counter"),
    ("uproar_reaction_records_total", "counter"),
    ("uproar_datagrams_total", "counter"),
    ("uproar_http_requests_total", "counter"),
    ("uproar_http_refused_total", "counter"),
    ("uproar_webtransport_requests_total", "counter"),
    ("uproar_webtransport_refused_total", "counter"),
    ("uproar_quic_refused_total", "counter"),
    ("uproar_rooms_refused_total", "counter"),
    ("uproar_rejected_total", "counter"),
    ("uproar_socket_drops_total", "counter"),
    ("uproar_windows_total", "counter"),
    ("uproar_window_close_seconds", "histogram"),
    ("uproar_window_late_deltas_total", "counter"),
    ("uproar_frame_taps_total", "counter"),
    ("uproar_frames_sent_total", "counter"),
    ("uproar_frames_skipped_total", "counter"),
    ("uproar_fanout_seconds", "histogram"),
    ("uproar_subscribers", "gauge"),
    ("uproar_connections_total", "counter"),
    ("uproar_frames_made_total", "counter"),
    ("uproar_subscribers_max", "gauge"),
    ("uproar_streams_max", "gauge"),
    ("uproar_streams_refused_total", "counter"),
    ("uproar_http_connections", "gauge"),
    ("uproar_http_connections_max", "gauge"),
    ("uproar_handshake_seconds", "histogram"),
    ("uproar_handshakes_under_way", "gauge"),
    ("uproar_handshakes_waiting", "gauge"),
    ("uproar_rooms", "gauge"),
    ("uproar_ready", "gauge"),
    ("uproar_buffer_exhaustion_total", "counter"),
    ("uproar_sends_stalled_total", "counter"),
    ("uproar_sends_failed_total", "counter"),
    ("uproar_accepts_failed_total", "counter"),
    ("uproar_reloads_total", "counter"),
    ("uproar_config_last_reload_success_timestamp_seconds", "gauge"),
    ("uproar_build_info", "gauge"),
];

/// A scrape: the type of each family, and the value of each series by its name and labels.
#[derive(Default)]
struct Scrape {
    types: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads a page; panics where a scraper would complain.
    fn read(page: &str) -> Self {
        let mut scrape = Self::default();
        let mut helped = Vec::new();
        let mut family = String::new();
        assert!(page.ends_with('\n'), "the last line ends");
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("HELP has a name and a text");
                assert!(!text.is_empty() && !helped.contains(&name.to_owned()), "one HELP: {line}");
                helped.push(name.to_owned());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("TYPE has a name and a type");
                assert_eq!(helped.last().map(String::as_str), Some(name), "HELP goes before TYPE");
                assert!(scrape.types.insert(name.into(), kind.into()).is_none(), "one TYPE: {line}");
                name.clone_into(&mut family);
            } else {
                scrape.read_series(line, &family);
            }
        }
        scrape
    }

    fn read_series(&mut self, line: &str, family: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a series has a value");
        let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} stands under {family}"));
        let histogram = self.types[family] == "histogram";
        assert!(if histogram { ["_bucket", "_sum", "_count"].contains(&suffix) } else { suffix.is_empty() }, "{line}");
        for label in labels.iter().flat_map(|rest| rest.strip_suffix('}').expect("labels end").split(',')) {
            let (key, text) = label.split_once('=').expect("a label has a value");
            assert!(key.bytes().all(|b| b.is_ascii_lowercase()), "{label}");
            assert!(text.len() > 2 && text.starts_with('"') && text.ends_with('"'), "{label}");
        }
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        assert!(self.series.insert(series.into(), value).is_none(), "series twice: {series}");
    }

    fn value(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no series {series}"))
    }

    /// Bucket counts of a histogram in the order of their upper ends, `labels` going before `le`.
    fn buckets(&self, name: &str, labels: &str) -> Vec<f64> {
        let ends = BUCKETS.iter().map(|&(_, end)| end).chain(["+Inf"]);
        ends.map(|end| self.value(&format!("{name}_bucket{{{labels}le=\"{end}\"}}"))).collect()
    }
}

fn page(metrics: &ShardMetrics) -> String {
    page_with(metrics, &ProcessMetrics::default())
}

fn page_with(metrics: &ShardMetrics, process: &ProcessMetrics) -> String {
    let mut page = String::new();
    render(metrics, process, &BuildInfo::current(), &mut page);
    page
}

fn shards_page(shards: Vec<ShardMetrics>) -> String {
    let mut page = ShardsPage::new(shards);
    assert!(!page.write_slice(usize::MAX / 2), "one slice takes all of it");
    page.text().into()
}

/// A shard that has counted something everywhere, each figure different and scaled by `scale`.
fn busy(scale: u64) -> ShardMetrics {
    let mut metrics = ShardMetrics::default();
    let mut next = 0;
    let mut fill = |counts: &mut [u64]| {
        for count in counts {
            next += 1;
            *count = next * scale;
        }
    };
    let ShardMetrics { datagrams, windows, window_late_deltas, frame_taps, frames, frames_sent, .. } = &mut metrics;
    for count in [datagrams, windows, window_late_deltas, frame_taps, frames, frames_sent] {
        fill(std::slice::from_mut(count));
    }
    fill(&mut metrics.reactions);
    fill(&mut metrics.reaction_records);
    fill(&mut metrics.http_requests);
    fill(&mut metrics.http_refused.0);
    fill(&mut metrics.webtransport_requests);
    fill(&mut metrics.webtransport_refused);
    fill(&mut metrics.quic_refused);
    fill(&mut metrics.rooms_refused);
    fill(metrics.rejected.as_flattened_mut());
    fill(&mut metrics.socket_drops);
    fill(&mut metrics.frames_skipped);
    fill(&mut metrics.subscribers);
    fill(&mut metrics.streams_refused);
    fill(&mut metrics.reloads);
    fill(std::slice::from_mut(&mut metrics.configured_at_s));
    fill(metrics.connections.as_flattened_mut());
    let detail = &mut metrics.detail;
    for count in [
        &mut detail.loop_turns,
        &mut detail.parks,
        &mut detail.naps,
        &mut detail.dozes,
        &mut detail.ring_enters,
        &mut detail.completions,
        &mut detail.handshakes_under_way,
        &mut detail.handshakes_waiting,
        &mut detail.buffer_exhaustion,
        &mut detail.sends_failed,
        &mut detail.accepts_failed,
        &mut detail.mesh_sent,
        &mut detail.mesh_received,
        &mut detail.mesh_depth,
        &mut detail.rooms,
        &mut detail.http_connections,
        &mut detail.http_connections_max,
        &mut detail.subscribers_max,
        &mut detail.streams_max,
        &mut detail.http_handed_over,
    ] {
        fill(std::slice::from_mut(count));
    }
    fill(&mut detail.sends_stalled);
    for (time, ms) in [(&mut detail.busy, 1), (&mut detail.idle, 2), (&mut detail.cpu, 3)] {
        *time = Duration::from_millis(ms * scale);
    }
    metrics.window_close.record_n(Duration::from_millis(3), scale);
    metrics.handshake.record_n(Duration::from_millis(30), scale);
    metrics.loop_turn.record_n(Duration::from_micros(90), scale);
    metrics.fanout.record_n(Duration::from_micros(700), scale);
    metrics.fanout.record_n(Duration::from_secs(20), 2 * scale);
    metrics
}

#[test]
fn every_promised_name_is_there_before_anything_is_counted() {
    let scrape = Scrape::read(&page(&ShardMetrics::default()));
    for (name, kind) in PROMISED {
        assert_eq!(scrape.types.get(name).map(String::as_str), Some(kind), "{name}");
        assert!(scrape.series.keys().any(|series| series.starts_with(name)), "{name} has series");
    }
    let counted = scrape.series.iter().filter(|(_, value)| **value != 0.0).collect::<Vec<_>>();
    let counted: Vec<_> = counted.iter().map(|(series, _)| series.split('{').next().unwrap()).collect();
    assert_eq!(counted, ["uproar_build_info", "uproar_ready"], "nothing has been counted, and nobody drains");
}

#[test]
fn every_reason_and_outcome_has_its_own_series() {
    let scrape = Scrape::read(&page(&ShardMetrics::default()));
    for reason in Reject::ALL {
        assert_eq!(scrape.value(&format!("uproar_rejected_total{{proto=\"udp\",reason=\"{}\"}}", reason.label())), 0.0);
    }
    for outcome in Outcome::ALL {
        let series = format!("uproar_connections_total{{proto=\"quic\",outcome=\"{}\"}}", outcome.label());
        assert_eq!(scrape.value(&series), 0.0);
    }
}

#[test]
fn what_is_counted_shows_under_its_own_labels() {
    let mut metrics = ShardMetrics::default();
    metrics.count_reaction(Proto::Http, 2, 65_535);
    metrics.count_reject(Proto::Quic, Reject::UnknownEmoji);
    metrics.count_http_reply(202);
    metrics.count_http_reply(418);
    metrics.count_connection(Proto::Quic, Outcome::HelloTimeout);
    let scrape = Scrape::read(&page(&metrics));
    for (series, value) in [
        ("uproar_reactions_total{proto=\"http\"}", 65_535.0),
        ("uproar_reaction_records_total{proto=\"http\"}", 2.0),
        ("uproar_reactions_total{proto=\"udp\"}", 0.0),
        ("uproar_rejected_total{proto=\"quic\",reason=\"unknown_emoji\"}", 1.0),
        ("uproar_http_requests_total{code=\"202\"}", 1.0),
        ("uproar_http_requests_total{code=\"other\"}", 1.0),
        ("uproar_connections_total{proto=\"quic\",outcome=\"hello_timeout\"}", 1.0),
    ] {
        assert_eq!(scrape.value(series), value, "{series}");
    }
}

#[test]
fn figures_of_the_process_have_their_usual_names() {
    let process = ProcessMetrics {
        cpu: Some(Duration::from_millis(38_070)),
        resident_bytes: Some(25_436_160),
        open_files: Some(21),
        open_files_max: Some(20_000),
        started: Some(Duration::from_millis(1_802_469_134_370)),
        certificate_expires: Some(Duration::from_secs(1_803_000_000)),
        log_lines_lost: Some(7),
    };
    let scrape = Scrape::read(&page_with(&ShardMetrics::default(), &process));
    for (name, kind, value) in [
        ("process_cpu_seconds_total", "counter", 38.07),
        ("process_resident_memory_bytes", "gauge", 25_436_160.0),
        ("process_open_fds", "gauge", 21.0),
        ("process_max_fds", "gauge", 20_000.0),
        ("process_start_time_seconds", "gauge", 1_802_469_134.37),
        ("uproar_certificate_expiry_timestamp_seconds", "gauge", 1_803_000_000.0),
        ("uproar_log_lines_lost_total", "counter", 7.0),
    ] {
        assert_eq!((scrape.types[name].as_str(), scrape.value(name)), (kind, value), "{name}");
    }
}

#[test]
fn what_the_kernel_did_not_tell_is_left_out() {
    let process = ProcessMetrics { resident_bytes: Some(4096), ..ProcessMetrics::default() };
    let scrape = Scrape::read(&page_with(&ShardMetrics::default(), &process));
    let names: Vec<_> = scrape.types.keys().filter(|name| name.starts_with("process_")).collect();
    assert_eq!(names, ["process_resident_memory_bytes"]);
}

#[test]
fn histograms_are_cumulative_and_end_in_their_count() {
    let scrape = Scrape::read(&page(&busy(5)));
    for (name, count, sum) in [("uproar_window_close_seconds", 5.0, 0.015), ("uproar_fanout_seconds", 15.0, 200.0035)] {
        let buckets = scrape.buckets(name, "");
        assert!(buckets.is_sorted(), "{name}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&count), "{name}");
        assert_eq!(scrape.value(&format!("{name}_count")), count);
        assert!((scrape.value(&format!("{name}_sum")) - sum).abs() < 1e-9, "{name}");
    }
    let fanout = scrape.buckets("uproar_fanout_seconds", "");
    assert_eq!(fanout[fanout.len() - 2], 5.0, "20 s lie beyond the last bucket");
}

#[test]
fn absorbing_adds_every_series_but_what_all_shards_have_in_common() {
    let (left, right) = (busy(1), busy(1000));
    let mut total = left.clone();
    total.absorb(&right);
    let [left, right, total] = [left, right, total].map(|metrics| Scrape::read(&shards_page(vec![metrics])).series);
    assert_eq!(left.len(), total.len());
    for (series, sum) in &total {
        let common = ["uproar_windows_total", "uproar_rooms{", "uproar_ready", "uproar_config_last"];
        let is_common = common.iter().any(|name| series.starts_with(name));
        let expected = match is_common {
            true => left[series].max(right[series]),
            false => left[series] + right[series],
        };
        assert!((expected - sum).abs() < 1e-6, "{series}");
        assert!(*sum > 0.0 || series.contains("_bucket{"), "{series} was filled");
    }
}

#[test]
fn a_node_is_ready_while_no_shard_drains() {
    let mut total = ShardMetrics::default();
    let series = "uproar_ready";
    assert_eq!(Scrape::read(&page(&total)).value(series), 1.0);
    total.absorb(&ShardMetrics { draining: 1, ..ShardMetrics::default() });
    total.absorb(&ShardMetrics::default());
    assert_eq!(Scrape::read(&page(&total)).value(series), 0.0);
}

#[test]
fn times_are_in_seconds_and_a_loop_is_busy_or_idle() {
    let mut shard = ShardMetrics::default();
    shard.detail.busy = Duration::from_millis(1250);
    shard.detail.idle = Duration::from_micros(3);
    let scrape = Scrape::read(&shards_page(vec![shard]));
    assert_eq!(scrape.value("uproar_loop_busy_seconds_total{shard=\"0\"}"), 1.25);
    assert_eq!(scrape.value("uproar_loop_idle_seconds_total{shard=\"0\"}"), 0.000_003);
}

#[test]
fn shards_have_the_same_names_and_their_own_label() {
    let shards = Scrape::read(&shards_page(vec![busy(1), busy(2)]));
    let node = Scrape::read(&page(&ShardMetrics::default()));
    for name in node.types.keys().filter(|name| *name != "uproar_build_info") {
        assert_eq!(shards.types.get(name), node.types.get(name), "{name}");
    }
    assert!(shards.series.keys().all(|series| series.contains("{shard=\"")));
    let turns = |shard: u8| shards.value(&format!("uproar_loop_turns_total{{shard=\"{shard}\"}}"));
    assert_eq!(turns(1), 2.0 * turns(0));
    assert!(shards.buckets("uproar_fanout_seconds", "shard=\"1\",").is_sorted());
}

#[test]
fn labels_are_distinct_snake_case_words() {
    fn check(labels: &[&str]) {
        for (place, label) in labels.iter().enumerate() {
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{label}");
            assert!(!labels[..place].contains(label), "{label} twice");
        }
    }
    check(&Proto::ALL.map(Proto::label));
    check(&Reject::ALL.map(Reject::label));
    check(&HttpProblem::ALL.map(HttpProblem::label));
    check(&Outcome::ALL.map(Outcome::label));
    check(&Skip::ALL.map(Skip::label));
    check(&Reload::ALL.map(Reload::label));
    check(&Socket::ALL.map(Socket::label));
}

#[test]
fn slices_make_the_same_page() {
    let shards = || (1..=32).map(busy).collect::<Vec<_>>();
    let whole = shards_page(shards());
    let (mut page, mut slices) = (ShardsPage::new(shards()), 1);
    let mut written = 0;
    while page.write_slice(1000) {
        // One shard's reasons, or one of its histograms, may go beyond.
        assert!((1000..8000).contains(&(page.text().len() - written)), "slice {slices}");
        (slices, written) = (slices + 1, page.text().len());
    }
    assert_eq!(page.text(), whole);
    assert!(slices > whole.len() / 8000, "{slices} slices of {} bytes", whole.len());
}
