//! What comes out at the other end, and when nothing can.

use super::*;
use crate::edge::incidents::Incidents;
use crate::ids::ShardId;
use crate::limits::{LOG_KIND_PERIOD, LOG_KINDS_MAX, LOG_LINES_PER_KIND, LOG_LINES_WAITING_MAX};
use crate::metrics::{ShardMetrics, Socket};
use serde_json::json;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const AT_MS: u64 = 1_802_469_134_567;
const TEXT: Style = Style::Text { reader: Reader::File };

/// Standard error of which the test sees every line.
struct Seen(mpsc::Sender<String>);

impl Write for Seen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.send(String::from_utf8(line.to_vec()).unwrap()).map_err(io::Error::other)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `say` logs, line by line, without the time.
fn logged(style: Style, level: LevelFilter, say: impl FnOnce(&LevelHandle)) -> Vec<String> {
    let (seen, lines) = mpsc::channel();
    let log = Arc::new(LogLines::new(style, Seen(seen)));
    let (filter, handle) = reload::Layer::new(level);
    let subscriber = tracing_subscriber::registry().with(filter).with(LogLayer(log.clone()));
    tracing::subscriber::with_default(subscriber, || say(&handle));
    log.end();
    drop(log);
    let lines = lines.into_iter();
    match style {
        Style::Json => lines.collect(),
        Style::Text { .. } => lines.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reading; from here on time is added up")]
fn start() -> Instant {
    Instant::now()
}

fn warning(text: &str) -> Line {
    Line::new(Level::WARN, text.into())
}

#[test]
fn a_line_says_when_how_bad_where_what_and_what_to_do() {
    let line = warning("the kernel dropped 3 datagrams").of_kind("reactions_dropped").counting(3).with_remedy("tune");
    assert_eq!(
        TEXT.render(&line, AT_MS),
        "2027-02-12T21:52:14.567Z WARN  reactions_dropped: the kernel dropped 3 datagrams; tune\n"
    );
    assert_eq!(
        Style::Json.render(&line, AT_MS),
        "{\"time\":\"2027-02-12T21:52:14.567Z\",\"level\":\"warn\",\"event\":\"reactions_dropped\",\
         \"message\":\"the kernel dropped 3 datagrams\",\"remedy\":\"tune\",\"count\":3}\n"
    );
    let coloured = Style::Text { reader: Reader::Terminal }.render(&line, AT_MS);
    assert!(coloured.contains(" \x1b[33mWARN \x1b[0m reactions_dropped: "), "{coloured}");
    let in_journal = Style::Text { reader: Reader::Journal }.render(&line, AT_MS);
    assert_eq!(in_journal, format!("<4>{}", TEXT.render(&line, AT_MS)));
}

#[test]
fn events_keep_their_fields() {
    let say = |_: &LevelHandle| {
        tracing::warn!(event = "late", shard = 3, count = 7, remedy = "wait", room = 5, name = "a b", "late by {}", 9);
        tracing::info!(target: "quinn_proto::connection", is_lost = true, "gone");
    };
    assert_eq!(
        logged(TEXT, LevelFilter::INFO, say),
        [
            "WARN  shard 3: late: late by 9 name=a b room=5; wait\n",
            "INFO  quinn_proto::connection: gone is_lost=true\n"
        ]
    );
    let lines = logged(Style::Json, LevelFilter::INFO, say);
    let objects: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let known = json!({"level": "warn", "event": "late", "shard": 3, "message": "late by 9", "remedy": "wait",
        "count": 7, "room": 5, "name": "a b", "time": objects[0]["time"]});
    assert_eq!(objects[0], known);
    assert_eq!(objects[1]["source"], "quinn_proto::connection");
    assert_eq!(objects[1]["is_lost"], true);
}

#[test]
fn a_text_cannot_forge_a_line_or_command_a_terminal() {
    let line = warning("one\ntwo\r\x1b[2J\u{9b}").with_remedy("a\nb");
    let text = TEXT.render(&line, AT_MS);
    assert!(text.ends_with("one\\ntwo\\r\\u{1b}[2J\\u{9b}; a\\nb\n") && text.lines().count() == 1, "{text:?}");
    assert_eq!(Style::Json.render(&line, AT_MS).lines().count(), 1);
    let long = TEXT.render(&warning(&"é".repeat(10_000)), AT_MS);
    assert!(long.len() < 5_000, "a line is bounded: {}", long.len());
}

#[test]
fn the_level_can_change_while_the_process_runs() {
    let lines = logged(TEXT, LevelFilter::WARN, |level| {
        tracing::info!("not yet");
        level.modify(|level| *level = LevelFilter::DEBUG).unwrap();
        tracing::debug!("now");
        level.modify(|level| *level = LevelFilter::OFF).unwrap();
        tracing::error!("no more");
    });
    assert_eq!(lines, ["DEBUG now\n"]);
}

#[test]
fn one_kind_does_not_drown_the_others_and_what_was_held_back_is_said() {
    let (mut limiter, start) = (Limiter::default(), start());
    let (storm, other) = (warning("again").of_kind("storm"), warning("other").of_kind("other"));
    assert!((0..LOG_LINES_PER_KIND).all(|_| limiter.judge(start, &storm)));
    assert!((0..5).all(|_| !limiter.judge(start + LOG_KIND_PERIOD / 2, &storm)));
    assert_eq!(limiter.take_ended(start + LOG_KIND_PERIOD / 2), [], "its period goes on");
    assert!(limiter.judge(start + LOG_KIND_PERIOD / 2, &other));
    let held_back = HeldBack { count: 5, shard: None, level: Level::WARN, like: Some("again".into()) };
    assert_eq!(limiter.take_ended(start + LOG_KIND_PERIOD), [held_back], "whatever kind comes next");
    assert!(limiter.judge(start + LOG_KIND_PERIOD, &storm));
    assert_eq!(limiter.take_all(), [], "it has been said");
}

#[test]
fn a_period_ends_for_each_kind_by_itself() {
    let (mut limiter, start) = (Limiter::default(), start());
    let kinds = ["one", "two"].map(|kind| warning(kind).of_kind(kind));
    for (kind, at) in kinds.iter().zip([start, start + LOG_KIND_PERIOD / 2]) {
        let passed = (0..LOG_LINES_PER_KIND + 1).filter(|_| limiter.judge(at, kind));
        assert_eq!(passed.count(), LOG_LINES_PER_KIND as usize);
    }
    let mut ended = |at| limiter.take_ended(at).into_iter().filter_map(|held_back| held_back.like).collect::<Vec<_>>();
    assert_eq!(ended(start + LOG_KIND_PERIOD), ["one"]);
    assert_eq!(ended(start + LOG_KIND_PERIOD), [""; 0]);
    assert_eq!(ended(start + LOG_KIND_PERIOD * 3 / 2), ["two"]);
}

#[test]
fn what_is_held_back_at_the_end_is_said_then() {
    let lines = logged(TEXT, LevelFilter::INFO, |_| {
        for number in 0..LOG_LINES_PER_KIND + 3 {
            tracing::info!("line {number}");
        }
    });
    assert_eq!(lines.len(), LOG_LINES_PER_KIND as usize + 1);
    let last = lines.last().unwrap();
    assert_eq!(last, "INFO  log_lines_held_back: 3 lines were not written that are like: line 10\n");
}

#[test]
fn debugging_is_not_limited_and_kinds_beyond_the_table_share_a_limit() {
    let (mut limiter, start) = (Limiter::default(), start());
    let debug = Line::new(Level::DEBUG, "packet".into());
    assert!((0..1000).all(|_| limiter.judge(start, &debug)));
    let kinds = LOG_KINDS_MAX - 1 + LOG_LINES_PER_KIND as usize;
    let passed = (0..kinds + 7).filter(|kind| limiter.judge(start, &warning("").of_kind(&kind.to_string())));
    assert_eq!(passed.count(), kinds);
    let others = HeldBack { count: 7, shard: None, level: Level::WARN, like: None };
    assert_eq!(limiter.take_ended(start + LOG_KIND_PERIOD), [others], "none speaks for the others");
    assert!(limiter.judge(start + LOG_KIND_PERIOD, &warning("").of_kind("new")), "the table has room again");
}

/// Every shard has an incident of the same kinds, as in a storm, and each is a line of its own.
#[test]
fn incidents_of_many_shards_are_all_said() {
    const SHARDS: usize = 32;
    let lines = logged(Style::Json, LevelFilter::INFO, |_| {
        let now = start();
        for shard in ShardId::all(SHARDS) {
            let metrics = ShardMetrics { socket_drops: [7; Socket::COUNT], ..ShardMetrics::default() };
            Incidents::new(shard, now).handle_metrics(now, &metrics, true);
        }
    });
    let lines: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in ["reactions_dropped", "quic_dropped"] {
        let of_event = lines.iter().filter(|line| line["event"] == event && line["count"] == 7);
        let shards: BTreeSet<_> = of_event.filter_map(|line| line["shard"].as_u64()).collect();
        assert_eq!(shards.len(), SHARDS, "{event}");
    }
    assert_eq!(lines.len(), 2 * SHARDS);
}

/// Takes nothing until it is let go.
struct Stuck(mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // An error: nobody holds it any more.
        let _ = self.0.recv();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn who_logs_does_not_wait_for_a_pipe_that_nobody_reads() {
    let (hold, stuck) = mpsc::channel();
    let queue = Queue::new(Stuck(stuck));
    let many = LOG_LINES_WAITING_MAX + 100;
    for _ in 0..many {
        queue.push("line\n");
    }
    // One may be with the writer.
    let lost = queue.poll_lost().expect("more than fits");
    assert!((99..=100).contains(&lost), "{lost}");
    assert_eq!(queue.poll_lost(), None, "it is said once");
    queue.flush(Duration::from_millis(1));
    drop(hold);
    queue.flush(Duration::from_secs(60));
    assert_eq!(queue.poll_lost(), None, "what waited was written");
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let queue = Queue::new(full);
    for _ in 0..3 {
        queue.push("line\n");
    }
    queue.flush(Duration::from_secs(60));
    assert_eq!(queue.poll_lost(), Some(3));
}
