//! What does a frame that is delivered as a Server-Sent Event cost the server's CPU, against the floor and against nginx?
//!
//! One room, one event of some 560 bytes a window of one second, to every connection. In the same run and on the same
//! core, with as many bytes each: the [`floor`], one thread that only sends, by system calls or by the ring; the
//! appliance, the real process; and nginx with the [`nchan`] module, where both are installed. They take turns, and are
//! stopped while others have theirs; a figure is the median of its rounds. Those who read have the other core.
//!
//! CPU time of the server's process is divided by the events that its connections read whole; where a hundredth is
//! missing, a turn has no figure. Memory a connection is the slope of a straight line through the sizes, so what the
//! process needs anyway is not in it, and what it sets aside for so many is.
//!
//! ```text
//! cargo bench --bench sse_fanout                          the table, and what must hold
//! cargo bench --bench sse_fanout -- --json FILE           and the same as JSON
//! cargo bench --bench sse_fanout -- --sizes 1000,5000     other numbers of connections
//! cargo bench --bench sse_fanout -- --rounds 5            turns of each; 3 unless said
//! cargo bench --bench sse_fanout -- --quick               a few connections
//! ```

#[path = "../events/mod.rs"]
mod events;
#[path = "../process/mod.rs"]
mod process;

mod floor;
mod message;
mod nchan;
mod report;
mod server;
#[path = "../quic_fanout/slope.rs"]
mod slope;
mod turn;
#[path = "../quic_fanout/window.rs"]
mod window;

use floor::{Floor, Sending};
use report::{Report, Row};
use server::Server;
use std::process::ExitCode;
use turn::{Turn, Watched};

/// Open files of one process beside its connections.
const OTHER_FILES: usize = 256;

/// How much is measured.
struct Effort {
    is_measuring: bool,
    sizes: Vec<usize>,
    rounds: usize,
    /// Windows of one turn.
    windows: u32,
    window_ms: u64,
}

impl Effort {
    fn of(args: &[String]) -> Self {
        let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
        let mut effort = if is_measuring {
            Self { is_measuring, sizes: vec![1000, 5000], rounds: 3, windows: 6, window_ms: 1000 }
        } else {
            Self { is_measuring, sizes: vec![20], rounds: 1, windows: 2, window_ms: 200 }
        };
        if let Some(sizes) = value_of(args, "--sizes") {
            effort.sizes = sizes.split(',').map(|size| size.parse().expect("--sizes N,N")).collect();
        }
        if let Some(rounds) = value_of(args, "--rounds") {
            effort.rounds = rounds.parse().expect("--rounds N");
        }
        effort
    }
}

/// The cores of those who read and of those who are measured.
#[derive(Clone, Copy)]
struct Cores {
    reading: usize,
    serving: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    floor::run_if_asked(&args);
    slope::check();
    let effort = Effort::of(&args);
    let all = process::cores();
    let cores = Cores { reading: all[0], serving: all[all.len() - 1] };

    report::print_head();
    let measure = |&connections: &usize| {
        let row = measure(connections, &effort, cores);
        row.print();
        row
    };
    let rows: Vec<_> = effort.sizes.iter().map(measure).collect();
    let rss_bytes_connection = rss_slope(&rows, |row| Some(row.rss_bytes));
    let nchan_rss_bytes_connection = rss_slope(&rows, |row| row.nchan_rss_bytes);
    let report = Report { rows, rss_bytes_connection, nchan_rss_bytes_connection };
    report.print_memory();
    let has_held = !effort.is_measuring || report.print_verdicts();
    if let Some(file) = value_of(&args, "--json") {
        process::write_json(file, &report);
    }
    if has_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == flag)?;
    Some(args.get(at + 1).unwrap_or_else(|| panic!("{flag} needs a value")))
}

fn measure(connections: usize, effort: &Effort, cores: Cores) -> Row {
    let Effort { rounds, windows, window_ms, .. } = *effort;
    // Here the readers of three servers at a time.
    let files = 3 * connections + OTHER_FILES;
    let allowed = process::allow_open_files(files);
    assert!(allowed >= files, "{files} files must be open at a time, {allowed} may: raise the limit (`ulimit -n`)");

    let mut appliance =
        Watched::start(Server::appliance(connections, window_ms, cores.serving), connections, cores.reading);
    let event_bytes = appliance.event_bytes();
    let nchan = Server::nchan(connections, event_bytes, window_ms, cores.serving);
    let mut nchan = nchan.map(|nchan| Watched::start(nchan, connections, cores.reading));

    let (mut floors, mut costs, mut others) = ([Vec::new(), Vec::new()], Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (sending, floors) in [Sending::Direct, Sending::Ring].into_iter().zip(&mut floors) {
            // Anew each time, as all of them at once are more files than many a machine allows.
            let floor = Server::Floor(Floor::start(sending, connections, event_bytes, window_ms, cores.serving));
            let mut floor = Watched::start(floor, connections, cores.reading);
            floors.push(floor.take_turn(windows, event_bytes));
        }
        costs.push(appliance.take_turn(windows, event_bytes));
        others.extend(nchan.as_mut().map(|nchan| nchan.take_turn(windows, event_bytes)));
    }
    let [send_us_event, ring_us_event] = floors.map(|turns| median_cost(&turns));
    Row {
        connections,
        event_bytes,
        cpu_us_event: median_cost(&costs),
        floor_send_us_event: send_us_event,
        floor_ring_us_event: ring_us_event,
        nchan_us_event: median_cost(&others),
        spread_ms: process::median(costs.iter().map(|turn| turn.spread_ms).collect()),
        rss_bytes: appliance.rss_bytes(),
        nchan_rss_bytes: nchan.map(|nchan| nchan.rss_bytes()),
    }
}

/// None unless every turn has a figure.
fn median_cost(turns: &[Turn]) -> Option<f64> {
    let costs: Vec<_> = turns.iter().map(|turn| turn.cpu_us_event).collect::<Option<_>>()?;
    (!costs.is_empty()).then(|| process::median(costs))
}

/// Over all sizes; where there is only one, from nobody to that.
fn rss_slope(rows: &[Row], rss_bytes: impl Fn(&Row) -> Option<[u64; 2]>) -> Option<f64> {
    let point = |row| Some((row, rss_bytes(row)?));
    let measured: Vec<_> = rows.iter().filter_map(point).collect();
    let mut points: Vec<_> = measured.iter().map(|(row, [_, all])| (row.connections as f64, *all as f64)).collect();
    if let [(_, [nobody, _])] = measured[..] {
        points.push((0.0, nobody as f64));
    }
    slope::least_squares(&points)
}
