//! Two pages of a server, and what they say; pages of servers that have other metrics.

use super::*;
use crate::metrics::{self, BuildInfo, Outcome, ProcessMetrics, Proto, Reject, ShardMetrics, ShardsPage, Skip, Socket};

/// A server of two shards that was started at 1000 s, as its own metrics tell it.
fn reading(at_s: u64, shards: &[ShardMetrics; 2], rooms: Option<Vec<Room>>) -> Reading {
    let mut total = ShardMetrics::default();
    shards.iter().for_each(|shard| total.absorb(shard));
    #[allow(clippy::needless_update, reason = "what else the kernel may tell is nothing that is shown here")]
    let process = ProcessMetrics {
        cpu: Some(Duration::from_millis(1500 * at_s)),
        resident_bytes: Some(64 << 20),
        open_files: Some(40),
        open_files_max: Some(1024),
        started: Some(Duration::from_secs(1000)),
        ..ProcessMetrics::default()
    };
    let mut node = String::new();
    metrics::render(&total, &process, &BuildInfo::current(), &mut node);
    let mut each = ShardsPage::new(shards.to_vec());
    while each.write_slice(usize::MAX / 2) {}
    Reading {
        at: Duration::from_secs(at_s),
        wall: Duration::from_secs(1000 + at_s),
        state: State::Ready,
        node: Samples::parse(&node),
        shards: Samples::parse_only(each.text(), &SHARD_FAMILIES),
        rooms,
    }
}

fn between(before: &Reading, now: &Reading) -> Figures {
    Figures::of(Some(before), now, [Quantiles::default(); 2])
}

fn rates(counts: &BTreeMap<String, Count>) -> Vec<(&str, f64)> {
    let rate = |(name, count): (&String, &Count)| (name.clone(), count.per_second.unwrap());
    let mut rates: Vec<_> = counts.iter().map(rate).filter(|rate| rate.1 > 0.0).collect();
    rates.sort_by(|a, b| a.0.cmp(&b.0));
    rates.into_iter().map(|(name, rate)| (counts.get_key_value(&name).unwrap().0.as_str(), rate)).collect()
}

#[test]
fn what_came_between_two_readings_is_told_per_second() {
    let mut shards = [ShardMetrics::default(), ShardMetrics::default()];
    shards[0].count_reaction(Proto::Udp, 1, 1000);
    let before = reading(10, &shards, None);
    shards[0].count_reaction(Proto::Udp, 2, 200);
    shards[1].count_reaction(Proto::Http, 3, 50);
    shards[1].count_reject(Proto::Udp, Reject::TooShort);
    shards[1].count_reject(Proto::Http, Reject::TooShort);
    shards[1].count_connection(Proto::Quic, Outcome::Accepted);
    shards[1].count_connection(Proto::Http, Outcome::Reset);
    shards[0].socket_drops[Socket::Quic.index()] += 8;
    shards[0].frames_skipped[Skip::Overrun.index()] += 4;
    shards[0].windows += 1;
    shards[0].frame_taps += 900;
    shards[0].subscribers[Proto::Quic.index()] = 3;
    shards[1].subscribers[Proto::Quic.index()] = 4;
    shards[1].detail.loop_turns += 600;
    shards[1].detail.buffer_exhaustion += 2;
    let room = Room { id: 7, name: "final".into(), emoji: 2 };
    shards[0].detail.rooms = 1;
    let figures = between(&before, &reading(12, &shards, Some(vec![room.clone()])));

    assert_eq!((figures.version.as_deref(), figures.state), (Some(env!("CARGO_PKG_VERSION")), State::Ready));
    assert_eq!((figures.uptime_seconds, figures.interval_seconds), (Some(12.0), Some(2.0)));
    assert_eq!(rates(&figures.taps), [("http", 25.0), ("udp", 100.0)]);
    assert_eq!(figures.taps_counted, Count { per_second: Some(125.0), total: Some(1250) });
    assert_eq!(figures.taps_in_frames, Count { per_second: Some(450.0), total: Some(900) });
    assert_eq!(rates(&figures.rejected), [("too_short", 1.0)], "both ways in add up");
    assert_eq!(rates(&figures.dropped), [("quic", 4.0)]);
    assert_eq!(rates(&figures.frames_skipped), [("overrun", 2.0)]);
    assert_eq!(rates(&figures.connections["quic"]), [("accepted", 0.5)]);
    assert_eq!(rates(&figures.connections["http"]), [("reset", 0.5)]);
    assert_eq!(figures.windows.per_second, Some(0.5));
    assert_eq!((figures.subscribers["quic"], figures.subscribers_now()), (7, Some(7)));
    assert_eq!((figures.rooms_count, figures.rooms), (Some(1), Some(vec![room])));
    let process = figures.process;
    assert_eq!((process.cpu_cores, process.resident_bytes), (Some(1.5), Some(64 << 20)));
    assert_eq!((process.open_files, process.open_files_max), (Some(40), Some(1024)));

    let [first, second] = &figures.shards[..] else { panic!("two shards: {:?}", figures.shards) };
    assert_eq!((first.shard, first.taps.per_second, first.subscribers), (0, Some(100.0), Some(3)));
    assert_eq!((second.shard, second.turns.per_second, second.buffer_exhaustion.total), (1, Some(300.0), Some(2)));
}

#[test]
fn the_first_reading_has_no_rates() {
    let figures = Figures::of(None, &reading(5, &Default::default(), None), [Quantiles::default(); 2]);
    assert_eq!((figures.interval_seconds, figures.restarted), (None, false));
    assert_eq!(figures.taps["udp"], Count { per_second: None, total: Some(0) });
    assert_eq!(figures.process.cpu_cores, None);
}

/// The names of what is shown must be those of the metrics: a metric that is renamed fails here.
#[test]
fn this_version_of_the_server_tells_everything_that_is_shown() {
    let mut shards = [ShardMetrics::default(), ShardMetrics::default()];
    shards[0].window_close.record(Duration::from_millis(1));
    let now = reading(5, &shards, None);
    for name in [WINDOW_CLOSE, FANOUT] {
        assert!(now.node.buckets(name).is_some(), "{name}");
    }
    for name in SHARD_FAMILIES {
        assert!(now.shards.sum(name, &[("shard", "1")]).is_some(), "{name}");
    }
    let figures = serde_json::to_value(between(&now, &reading(6, &shards, Some(Vec::new())))).unwrap();
    assert_eq!(nulls(&figures, "$"), UNTOLD_AT_REST);
}

/// What has no value when nothing happens, though the metrics are there.
const UNTOLD_AT_REST: [&str; 6] = [
    "$.fanout_seconds.p50",
    "$.fanout_seconds.p99",
    "$.shards[].busy",
    "$.shards[].busy",
    "$.window_close_seconds.p50",
    "$.window_close_seconds.p99",
];

fn nulls(value: &serde_json::Value, path: &str) -> Vec<String> {
    use serde_json::Value;
    match value {
        Value::Null => vec![path.into()],
        Value::Array(values) => values.iter().flat_map(|value| nulls(value, &format!("{path}[]"))).collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| nulls(value, &format!("{path}.{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_server_with_other_metrics_tells_what_it_has() {
    let page = "uproar_build_info{version=\"9.9\"} 1\nuproar_reactions_total{proto=\"pigeon\"} 3\n";
    let other = Reading {
        at: Duration::from_secs(1),
        wall: Duration::ZERO,
        state: State::Draining,
        node: Samples::parse(page),
        shards: Samples::parse(
            "uproar_loop_turns_total{shard=\"10\"} 1\nuproar_loop_turns_total{shard=\"9\"} 1\nuproar_loop_turns_total{shard=\"x\"} 1\n",
        ),
        rooms: None,
    };
    let figures = between(&other, &Reading { at: Duration::from_secs(2), ..other.clone() });
    assert_eq!((figures.version.as_deref(), figures.state), (Some("9.9"), State::Draining));
    assert_eq!((figures.uptime_seconds, figures.rooms_count, figures.subscribers_now()), (None, None, None));
    assert_eq!(figures.taps["pigeon"].per_second, Some(0.0));
    assert_eq!(figures.late_deltas, Count::default());
    let [first, second] = &figures.shards[..] else { panic!("two shards: {:?}", figures.shards) };
    assert_eq!((first.shard, second.shard), (9, 10), "by number, not as text");
    assert_eq!((first.busy, first.mesh_depth, first.taps), (None, None, Count::default()));
}

#[test]
fn the_busy_part_is_of_the_time_between() {
    let page =
        |busy: f64, idle: f64| Samples::parse(&format!("{BUSY}{{shard=\"0\"}} {busy}\n{IDLE}{{shard=\"0\"}} {idle}\n"));
    let part = |before: &Samples, now: &Samples| {
        busy(&Growth { now, before: Some(Before { samples: Some(before), seconds: 1.0 }) }, &[("shard", "0")])
    };
    assert_eq!(part(&page(100.0, 50.0), &page(100.25, 50.75)), Some(0.25));
    assert_eq!(part(&page(100.0, 50.0), &page(100.0, 50.0)), None);
    assert_eq!(part(&Samples::default(), &page(1.0, 1.0)), None);
}

#[test]
fn without_a_start_time_fewer_windows_tell_a_restart() {
    let page = |windows: u64| Samples::parse(&format!("uproar_windows_total {windows}\n"));
    assert!(has_restarted(&page(5), &page(4)));
    assert!(!has_restarted(&page(5), &page(5)));
    assert!(!has_restarted(&page(5), &Samples::default()), "it says nothing either way");
}

#[test]
fn after_a_restart_rates_are_over_an_age_that_can_be() {
    let page = |started: f64| Samples::parse(&format!("{START_TIME} {started}\nuproar_windows_total 30\n"));
    let reading = |at: u64, wall: u64, started: f64| Reading {
        at: Duration::from_secs(at),
        wall: Duration::from_secs(wall),
        state: State::Ready,
        node: page(started),
        shards: Samples::default(),
        rooms: None,
    };
    let before = reading(10, 1010, 500.0);
    let rate = |now: Reading| (between(&before, &now).interval_seconds, between(&before, &now).windows.per_second);
    assert_eq!(rate(reading(13, 1013, 1011.0)), (Some(2.0), Some(15.0)), "up for two of the three seconds");
    for started in [1013.0, 1013.4, 1100.0] {
        assert_eq!(
            rate(reading(13, 1013, started)),
            (Some(3.0), Some(10.0)),
            "this clock is behind the server's: {started}"
        );
    }
    assert_eq!(rate(reading(13, 1013, 900.0)), (Some(3.0), Some(10.0)), "this clock is ahead of the server's");
}
