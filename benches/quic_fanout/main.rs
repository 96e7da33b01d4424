//! What does a delivered frame cost the server's CPU, against the floor and against the obvious way?
//!
//! One room, one frame of 300 bytes a window of one second, and every subscriber acknowledges. In the same run and on the
//! same core: the [`floor`], which only encrypts, sends, receives and decrypts; the appliance, the real process; and
//! quinn on tokio ([`tokio_server`]), up to 5,000 subscribers. They take turns, and are stopped while others have theirs;
//! a figure is the median of its rounds. Subscribers, and the floor's [`echo`], have the other core. [`redis`] delivers
//! the same bytes to 5,000 subscribers over plain TCP, where it is installed.
//!
//! CPU time of the server's process is divided by the frames that arrived, or at the floor by acknowledgements: what
//! is lost makes the rest dearer, and beyond a hundredth a turn has no figure. The handshake is the CPU time from before
//! connecting until all are subscribed, less that of the frames which are delivered meanwhile, at their measured price.
//! Memory a subscriber is the slope of a straight line through the sizes, so what the process needs anyway is not in it.
//!
//! ```text
//! cargo bench --bench quic_fanout                          the table, and what must hold
//! cargo bench --bench quic_fanout -- --json FILE           and the same as JSON
//! cargo bench --bench quic_fanout -- --sizes 1000,5000     other numbers of subscribers
//! cargo bench --bench quic_fanout -- --rounds 5            turns of each; 3 unless said
//! cargo bench --bench quic_fanout -- --quick               a few subscribers
//! ```

#[path = "../process/mod.rs"]
mod process;

mod echo;
mod floor;
mod frame;
mod packet;
mod redis;
mod report;
mod server;
mod slope;
mod subscribers;
mod tokio_server;
mod turn;
mod window;

use echo::Echo;
use floor::Floor;
use report::{Report, Row};
use server::Server;
use turn::{Connected, Turn, Watched};

/// Larger rows leave quinn on tokio out: its subscribers would double the memory and the time that a run takes.
const TOKIO_MAX: usize = 5000;
/// As many subscribers as Redis gets.
const REDIS_AT: usize = 5000;

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
            Self { is_measuring, sizes: vec![1000, 5000, 20_000, 50_000], rounds: 3, windows: 6, window_ms: 1000 }
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

/// The cores of those who watch and of those who are measured.
#[derive(Clone, Copy)]
struct Cores {
    watching: usize,
    serving: usize,
}

/// One size's row, and how much memory the appliance had, without subscribers and with them.
struct Measured {
    row: Row,
    rss_bytes: [u64; 2],
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    floor::run_if_asked(&args);
    tokio_server::run_if_asked(&args);
    slope::check();
    let effort = Effort::of(&args);
    let all = process::cores();
    let cores = Cores { watching: all[0], serving: all[all.len() - 1] };

    report::print_head();
    let measure = |&subscribers: &usize| {
        let measured = measure(subscribers, &effort, cores);
        measured.row.print();
        measured
    };
    let measured: Vec<_> = effort.sizes.iter().map(measure).collect();
    let rss_bytes_subscriber = rss_slope(&measured);
    let report = Report { rows: measured.iter().map(|measured| measured.row).collect(), rss_bytes_subscriber };
    if effort.is_measuring {
        report.print_verdicts();
    }
    if let Some(file) = value_of(&args, "--json") {
        process::write_json(file, &report);
    }
}

fn value_of<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == flag)?;
    Some(args.get(at + 1).unwrap_or_else(|| panic!("{flag} needs a value")))
}

fn measure(subscribers: usize, effort: &Effort, cores: Cores) -> Measured {
    let Effort { rounds, windows, window_ms, .. } = *effort;
    let redis_us_frame = (subscribers == REDIS_AT)
        .then(|| redis::cpu_us_delivery(subscribers, windows, window_ms, [cores.watching, cores.serving]))
        .flatten();
    let echo = Echo::start(subscribers, cores.watching);
    let mut floor = Floor::start(subscribers, echo.ports(), window_ms, cores.serving);
    floor.process().stop();
    let appliance = Server::appliance(subscribers, window_ms, cores.serving);
    let (appliance, connected) = Watched::start(appliance, subscribers, cores.watching);
    let tokio = (subscribers <= TOKIO_MAX)
        .then(|| Watched::start(Server::tokio(window_ms, cores.serving), subscribers, cores.watching).0);

    let (mut floors, mut costs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        floors.push(turn::of_floor(&mut floor, windows));
        costs.push(appliance.take_turn(windows));
        others.extend(tokio.as_ref().map(|tokio| tokio.take_turn(windows)));
    }
    let cpu_us_frame = median_cost(&costs);
    let row = Row {
        subscribers,
        cpu_us_frame,
        floor_us_frame: median_cost(&floors),
        tokio_us_frame: median_cost(&others),
        redis_us_frame,
        spread_ms: process::median(costs.iter().map(|turn| turn.spread_ms).collect()),
        handshake_us: handshake_us(connected, cpu_us_frame.unwrap_or(0.0), subscribers),
    };
    Measured { row, rss_bytes: connected.rss_bytes }
}

/// None unless every turn has a figure.
fn median_cost(turns: &[Turn]) -> Option<f64> {
    let costs: Vec<_> = turns.iter().map(|turn| turn.cpu_us_frame).collect::<Option<_>>()?;
    (!costs.is_empty()).then(|| process::median(costs))
}

fn handshake_us(connected: Connected, cpu_us_frame: f64, subscribers: usize) -> f64 {
    let frames_us = connected.frames as f64 * cpu_us_frame;
    (connected.cpu_ns as f64 / 1e3 - frames_us) / subscribers as f64
}

/// Over all sizes; where there is only one, from nobody to that.
fn rss_slope(measured: &[Measured]) -> Option<f64> {
    let mut points: Vec<_> = measured.iter().map(|one| (one.row.subscribers as f64, one.rss_bytes[1] as f64)).collect();
    if let [only] = measured {
        points.push((0.0, only.rss_bytes[0] as f64));
    }
    slope::least_squares(&points)
}
