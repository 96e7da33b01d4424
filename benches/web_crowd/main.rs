//! Does everybody get every frame where thousands watch by QUIC, by Server-Sent Events and by WebTransport at once?
//!
//! The real appliance with two shards, 5,000 native subscribers, 1,000 streams of events and 200 WebTransport sessions, all
//! of one room into which taps come by UDP. For 60 windows of a second each of them must get the frame of each window, and
//! the frame of a window must say the same to all: native subscribers compare bytes among each other, and one of them,
//! the events and the sessions compare the window's total.
//!
//! Everything is on one machine, so that delays are those of a server that shares its cores with its crowd; CPU time is
//! the server's own.
//!
//! ```text
//! cargo bench --bench web_crowd                              the whole crowd
//! cargo bench --bench web_crowd -- --windows N               another number of windows
//! cargo bench --bench web_crowd -- --crowd 5000,1000,200     others of each kind: native, events, WebTransport
//! cargo bench --bench web_crowd -- --json FILE               and the same as JSON
//! cargo bench --bench web_crowd -- --quick                   a small crowd
//! ```

#![allow(clippy::disallowed_methods, reason = "a bench is the clock's business from end to end")]

#[path = "../events/mod.rs"]
mod events;
#[path = "../process/mod.rs"]
mod process;
#[path = "../../tests/support/web_session.rs"]
mod web_session;

mod auditor;
mod kind;
mod report;
mod server;
mod sessions;
mod streams;

use kind::{Record, Seen};
use report::{KindReport, Report};
use server::Server;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uproar_loadgen::fleet::{Fleet, FleetConfig, WindowArrivals};
use uproar_wire::RoomId;

/// The room that is there without a configuration.
const ROOM: RoomId = RoomId(1);
/// Longer than anything takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Open files of one process beside its connections.
const OTHER_FILES: usize = 1024;

/// How much is measured.
struct Effort {
    native: usize,
    events: usize,
    webtransport: usize,
    windows: u64,
    window_ms: u64,
}

impl Effort {
    fn of(args: &[String]) -> Self {
        let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
        let mut effort = if is_measuring {
            Self { native: 5000, events: 1000, webtransport: 200, windows: 60, window_ms: 1000 }
        } else {
            Self { native: 40, events: 20, webtransport: 8, windows: 3, window_ms: 300 }
        };
        if let Some(windows) = value_of(args, "--windows") {
            effort.windows = windows.parse().expect("--windows N");
        }
        if let Some(crowd) = value_of(args, "--crowd") {
            let crowd: Vec<usize> = crowd.split(',').map(|size| size.parse().expect("--crowd N,N,N")).collect();
            [effort.native, effort.events, effort.webtransport] = crowd[..].try_into().expect("--crowd N,N,N");
        }
        effort
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let report = measure(&Effort::of(&args));
    report.print();
    if let Some(file) = value_of(&args, "--json") {
        process::write_json(file, &report);
    }
    if report.has_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == flag)?;
    Some(args.get(at + 1).unwrap_or_else(|| panic!("{flag} needs a value")))
}

fn measure(effort: &Effort) -> Report {
    let files = effort.native + effort.events + OTHER_FILES;
    let allowed = process::allow_open_files(files);
    assert!(allowed >= files, "{files} files must be open at a time, {allowed} may: raise the limit (`ulimit -n`)");

    let server = Server::start(effort);
    let native = FleetConfig::new(server.quic(), vec![ROOM], effort.native);
    let native = Fleet::start(native).expect("the kernel gives sockets, a ring and a thread");
    native.wait_subscribed(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let auditor = auditor::start(server.quic());
    let streams = streams::start(server.http(), effort.events);
    let sessions = sessions::start(server.quic(), server.certificate(), effort.webtransport);
    let taps = server.tap();

    // Who came last has had a frame by then: they are due all from here on.
    let first = now_window(effort) + 2;
    let last = first + effort.windows - 1;
    let watched = await_windows(&native, first - 1, None);
    drop(watched);
    let repeated = native.totals().expect("the fleet counts").duplicates;
    let (cpu_ns, sent) = (server.cpu_ns(), server.frames_sent());
    let windows = await_windows(&native, last, Some(first));
    let seen_by_all = [&auditor, &streams, &sessions].map(|kind| Arc::clone(&kind.record));
    await_record(&seen_by_all, last, [1, effort.events, effort.webtransport]);
    let (cpu_ns, sent) = (server.cpu_ns() - cpu_ns, server.frames_sent() - sent);
    let rss_bytes = server.rss_bytes();
    taps.stop();

    let totals = native.totals().expect("the fleet counts");
    let [auditor, streams, sessions] = [auditor, streams, sessions].map(kind::Kind::stop);
    let kinds = vec![
        KindReport::of_fleet(&windows, totals.duplicates - repeated, effort, first..=last),
        KindReport::of_record("events", &streams, effort.events, first..=last, effort.window_ms),
        KindReport::of_record("webtransport", &sessions, effort.webtransport, first..=last, effort.window_ms),
    ];
    let disagreeing = disagreeing([&auditor, &streams, &sessions], first..=last) + totals.conflicting;
    let taps = (first..=last).filter_map(|window| auditor.total(window)).sum();
    Report::new(kinds, disagreeing, taps, cpu_ns as f64 / 1e3 / sent as f64, rss_bytes)
}

fn now_window(effort: &Effort) -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is later than 1970");
    now.as_millis() as u64 / effort.window_ms
}

/// What the fleet says of all windows up to `last`; those before `from` are left out.
fn await_windows(fleet: &Fleet, last: u64, from: Option<u64>) -> Vec<WindowArrivals> {
    let mut windows = Vec::new();
    loop {
        let window = fleet.next_window(PATIENCE).expect("windows go on");
        let number = window.window.0;
        if from.is_none_or(|from| number >= from) && number <= last {
            windows.push(window);
        }
        if number >= last {
            return windows;
        }
    }
}

/// Until everybody of these has the frame of `last`, or a later window is there, after which none comes.
fn await_record(records: &[Arc<Record>; 3], last: u64, counts: [usize; 3]) {
    let began = Instant::now();
    for (record, count) in records.iter().zip(counts) {
        while record.count(last) < count && record.count(last + 2) == 0 && began.elapsed() < PATIENCE {
            process::wait(Duration::from_millis(5));
        }
    }
}

/// Windows whose total was not the same for everybody.
fn disagreeing(kinds: [&Seen; 3], mut windows: std::ops::RangeInclusive<u64>) -> u64 {
    let differ = |&window: &u64| {
        let mut totals = kinds.iter().filter_map(|seen| seen.total(window));
        let first = totals.next();
        kinds.iter().any(|seen| seen.has_disagreed(window)) || totals.any(|total| Some(total) != first)
    };
    windows.by_ref().filter(differ).count() as u64
}
