//! Does the fan-out hold for minutes: every frame to everybody in time, memory that stays where it is, crowds that come
//! and go, and people who stop reading?
//!
//! The appliance has one core and the fleet another, as in `quic_fanout`; all its settings are the defaults but for room for those who come anew. Three parts,
//! one after the other:
//!
//! 1. *hold*: so many subscribers for so long. Every one of them gets every window's frame; from a window's end to its
//!    last subscriber takes less than a second at the 99th percentile of windows; the process' memory stays the same.
//! 2. *stop*: a tenth of them stops: half of those no longer read their stream, half no longer hear anything. The others
//!    get every frame meanwhile; afterwards those that are still there get the newest frame, and the rest has a reason.
//! 3. *churn*: a part of them leaves and comes anew, ten times. After the tenth time memory is what it was after the
//!    second.
//!
//! ```text
//! cargo bench --bench fanout_soak                              50,000 subscribers, five minutes, and the rest
//! cargo bench --bench fanout_soak -- --subscribers N --seconds S
//! cargo bench --bench fanout_soak -- --json FILE               and the same as JSON
//! cargo bench --bench fanout_soak -- --quick                   a small run
//! ```

#![allow(clippy::disallowed_methods, reason = "a bench is the clock's business from end to end")]

#[path = "../process/mod.rs"]
mod process;

use process::Appliance;
use serde::Serialize;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use uproar_loadgen::fleet::{Fleet, FleetConfig, FleetTotals, Pause, WindowArrivals};
use uproar_wire::RoomId;

/// The demo room, which is there without a configuration.
const ROOM: RoomId = RoomId(1);
/// Bytes that a stream may run ahead of its reader: a few windows' frames, so that who stops reading is soon felt.
const STREAM_WINDOW: u32 = 2048;
/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Connections that the server gave up as nothing came from them.
const TIMED_OUT: &str = "uproar_connections_total{proto=\"quic\",outcome=\"timed_out\"}";
/// Part of the memory by which it may differ and still be called the same.
const RSS_TOLERANCE: f64 = 0.02;
/// From a window's end to its last subscriber, at the 99th percentile of windows.
const LATENESS_MS_MAX: f64 = 1000.0;

/// How much is measured.
struct Effort {
    subscribers: usize,
    hold: Duration,
    stop: Duration,
    churns: usize,
    churned: usize,
    window: Duration,
    /// Whether times and memory are judged: a small run has too little of both.
    is_strict: bool,
}

#[derive(Serialize)]
struct Report {
    subscribers: usize,
    hold: Hold,
    stop: Stop,
    churn: Churn,
    lost: std::collections::BTreeMap<String, u64>,
    has_held: bool,
}

#[derive(Serialize)]
struct Hold {
    windows: usize,
    frames: u64,
    missing: u64,
    lateness_ms_p50: f64,
    lateness_ms_p99: f64,
    rss_bytes_first: u64,
    rss_bytes_last: u64,
    cpu_us_frame: f64,
}

#[derive(Serialize)]
struct Stop {
    stopped: usize,
    windows: usize,
    missing_of_others: u64,
    rss_bytes_before: u64,
    rss_bytes_most: u64,
    /// Given up by the server, which counts them as timed out.
    dropped: u64,
    /// Subscribers that the server has afterwards, and how many of them got the newest frame.
    left: u64,
    frames_after: u64,
}

#[derive(Serialize)]
struct Churn {
    churned: usize,
    /// After each time.
    rss_bytes: Vec<u64>,
}

impl Effort {
    fn of(args: &[String]) -> Self {
        let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
        let mut effort = Self {
            subscribers: 50_000,
            hold: Duration::from_secs(300),
            stop: Duration::from_secs(60),
            churns: 10,
            churned: 5000,
            window: Duration::from_secs(2),
            is_strict: true,
        };
        if !is_measuring {
            let (hold, stop, window) = (Duration::from_secs(1), Duration::from_secs(1), Duration::from_millis(200));
            effort = Self { subscribers: 100, hold, stop, churns: 2, churned: 20, window, is_strict: false };
        }
        if let Some(subscribers) = number(args, "--subscribers") {
            effort.subscribers = subscribers;
            effort.churned = effort.churned.min(subscribers);
        }
        if let Some(seconds) = number(args, "--seconds") {
            effort.hold = Duration::from_secs(seconds as u64);
        }
        effort
    }
}

fn number(args: &[String], flag: &str) -> Option<usize> {
    let at = args.iter().position(|arg| arg == flag)?;
    Some(args.get(at + 1).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{flag} takes a number")))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let effort = Effort::of(&args);
    let report = measure(&effort);
    if let Some(at) = args.iter().position(|arg| arg == "--json") {
        process::write_json(args.get(at + 1).expect("--json FILE"), &report);
    }
    if report.has_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(effort: &Effort) -> Report {
    let cores = process::cores();
    let (&watching, &serving) = (cores.first().expect("a core"), cores.last().expect("a core"));
    let window = format!("--window={}ms", effort.window.as_millis());
    // Who leaves keeps a slot until the last packets on the way are surely gone.
    let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
    let subscribers_max = effort.subscribers + effort.churned;
    writeln!(config, "[quic]\nsubscribers_max = {subscribers_max}").expect("it takes text");
    let flag = format!("--config={}", config.path().display());
    let appliance = Appliance::start(&["--shards=1", &window, &flag], Some(serving));
    process::pin(watching);
    let config = FleetConfig {
        core: Some(watching),
        stream_window_bytes: STREAM_WINDOW,
        ..FleetConfig::new(appliance.port("quic"), vec![ROOM], effort.subscribers)
    };
    let fleet = Fleet::start(config).expect("the kernel gives sockets, a ring and a thread");
    fleet.wait_subscribed(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let soak = Soak { effort, appliance, fleet };
    // Whoever came last has not been due a frame before.
    soak.windows(2 * effort.window);
    let hold = soak.hold();
    print_hold(effort, &hold);
    let stop = soak.stop();
    print_stop(&stop);
    let churn = soak.churn();
    print_churn(&churn);
    let totals = soak.fleet.stop().expect("the fleet counts");
    let has_held = judge(effort, &hold, &stop, &churn, &totals);
    Report { subscribers: effort.subscribers, hold, stop, churn, lost: totals.lost, has_held }
}

struct Soak<'a> {
    effort: &'a Effort,
    appliance: Appliance,
    fleet: Fleet,
}

impl Soak<'_> {
    /// The windows that come in `time`, at least one.
    fn windows(&self, time: Duration) -> Vec<WindowArrivals> {
        let (began, mut windows) = (Instant::now(), Vec::new());
        while windows.is_empty() || began.elapsed() < time {
            windows.extend(Some(self.fleet.next_window(PATIENCE).expect("windows go on")));
        }
        windows
    }

    fn hold(&self) -> Hold {
        let quarter = self.effort.hold / 4;
        let process = &self.appliance.process;
        let (cpu_ns, sent) = (process.cpu_ns(), self.appliance.metric("uproar_frames_sent_total"));
        let rss_bytes_first = process.rss_bytes();
        let windows: Vec<_> = (0..4).flat_map(|_| self.windows(quarter)).collect();
        let frames = self.appliance.metric("uproar_frames_sent_total") - sent;
        let cpu_us_frame = (process.cpu_ns() - cpu_ns) as f64 / 1000.0 / frames as f64;
        let mut late: Vec<_> = windows.iter().map(|window| window.lateness_us_max as f64 / 1000.0).collect();
        late.sort_by(f64::total_cmp);
        let at = |part: f64| late[((late.len() - 1) as f64 * part).round() as usize];
        Hold {
            windows: windows.len(),
            frames: windows.iter().map(|window| window.frames).sum(),
            missing: windows.iter().map(|window| window.missing).sum(),
            lateness_ms_p50: at(0.5),
            lateness_ms_p99: at(0.99),
            rss_bytes_first,
            rss_bytes_last: process.rss_bytes(),
            cpu_us_frame,
        }
    }

    fn stop(&self) -> Stop {
        let stopped = self.effort.subscribers / 10;
        let process = &self.appliance.process;
        let rss_bytes_before = process.rss_bytes();
        let timed_out = self.appliance.metric(TIMED_OUT);
        self.fleet.pause(0..stopped / 2, Pause::Unread).expect("they are there");
        self.fleet.pause(stopped / 2..stopped, Pause::Deaf).expect("they are there");
        let (mut rss_bytes_most, mut missing_of_others, mut count) = (0, 0, 0);
        let began = Instant::now();
        while began.elapsed() < self.effort.stop {
            missing_of_others += self.windows(Duration::ZERO).iter().map(|window| window.missing).sum::<u64>();
            rss_bytes_most = rss_bytes_most.max(process.rss_bytes());
            count += 1;
        }
        self.fleet.resume_reading(0..stopped).expect("they are known");
        // Those who come back are behind at first, and are found by the server's next attempt, which waits ever longer.
        let after = self.windows(self.effort.stop / 2 + 4 * self.effort.window);
        Stop {
            stopped,
            windows: count,
            missing_of_others,
            rss_bytes_before,
            rss_bytes_most,
            dropped: self.appliance.metric(TIMED_OUT) - timed_out,
            left: self.appliance.metric("uproar_subscribers{proto=\"quic\"}"),
            frames_after: after.last().map_or(0, |window| window.frames),
        }
    }

    fn churn(&self) -> Churn {
        // Those that did not stop, so all of them are there.
        let first = self.effort.subscribers / 10;
        let range = first..(first + self.effort.churned).min(self.effort.subscribers);
        // Whoever heard nothing may be lost, which is no matter of those who come anew.
        self.fleet.leave(first / 2..first).expect("they are known");
        let rss_bytes = (0..self.effort.churns).map(|_| {
            self.fleet.churn(range.clone(), PATIENCE).unwrap_or_else(|error| panic!("{error}"));
            self.windows(2 * self.effort.window);
            self.appliance.process.rss_bytes()
        });
        Churn { churned: range.len(), rss_bytes: rss_bytes.collect() }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn print_hold(effort: &Effort, hold: &Hold) {
    println!(
        "hold   {} subscribers, {} windows, {} frames, {} missing; window's end to last subscriber p50 {:.0} ms, p99 {:.0} ms; \
         memory {:.0} MiB, then {:.0} MiB; {:.2} us of CPU a frame",
        effort.subscribers,
        hold.windows,
        hold.frames,
        hold.missing,
        hold.lateness_ms_p50,
        hold.lateness_ms_p99,
        mib(hold.rss_bytes_first),
        mib(hold.rss_bytes_last),
        hold.cpu_us_frame,
    );
}

fn print_stop(stop: &Stop) {
    println!(
        "stop   {} stopped for {} windows: {} frames missing of the others; memory {:.0} MiB before, {:.0} MiB at most; \
         {} were dropped; {} are left, and {} of them have the newest frame",
        stop.stopped,
        stop.windows,
        stop.missing_of_others,
        mib(stop.rss_bytes_before),
        mib(stop.rss_bytes_most),
        stop.dropped,
        stop.left,
        stop.frames_after,
    );
}

fn print_churn(churn: &Churn) {
    let after: Vec<_> = churn.rss_bytes.iter().map(|&bytes| format!("{:.1}", mib(bytes))).collect();
    println!("churn  {} left and came anew; memory after each time, MiB: {}", churn.churned, after.join(" "));
}

fn judge(effort: &Effort, hold: &Hold, stop: &Stop, churn: &Churn, totals: &FleetTotals) -> bool {
    println!("lost   {:?}", totals.lost);
    let mut has_held = true;
    let mut must = |what: &str, holds: bool| {
        println!("{:<70} {}", what, if holds { "holds" } else { "does NOT hold" });
        has_held &= holds;
    };
    must("every subscriber gets every window's frame", hold.missing == 0 && totals.gaps == 0 && totals.duplicates == 0);
    must("those who read are not disturbed by those who do not", stop.missing_of_others == 0);
    must("whoever is left gets the newest frame", stop.frames_after == stop.left);
    must("whoever was dropped had heard nothing", stop.dropped <= stop.stopped.div_ceil(2) as u64);
    must("everybody else is there", stop.left + stop.dropped == effort.subscribers as u64);
    if effort.is_strict {
        must("window's end to last subscriber p99 below a second", hold.lateness_ms_p99 <= LATENESS_MS_MAX);
        must("memory stays the same while subscribers stay", is_same(hold.rss_bytes_first, hold.rss_bytes_last));
        let last = churn.rss_bytes.len() - 1;
        must(
            "memory is the same after the second and the last churn",
            is_same(churn.rss_bytes[1], churn.rss_bytes[last]),
        );
    }
    has_held
}

fn is_same(before: u64, after: u64) -> bool {
    after as f64 <= before as f64 * (1.0 + RSS_TOLERANCE)
}
