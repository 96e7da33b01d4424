//! Question: what does a datagram of the crowd cost the load generator, and what does it cost the server?
//!
//! A generator that works harder than the server it measures needs more machines than the server does, so its bound is
//! that generating a datagram (planning its taps, encoding, sending, writing down) takes no more CPU time than receiving
//! it. The generator is the crowd's own UDP driver, on a core of its own; the server is the real binary on another one,
//! and is not saturated.
//!
//! On loopback the call that sends a datagram also carries it through the receiver's side of the kernel, up to its socket:
//! work that is the server's machine's as soon as there is a network between the two. So that part is shown on its own.
//! `ratio` has it on the server's side, `ratio_raw` leaves it where it ran.
//!
//! The floor is a loop that sends as many bytes at the same pace, from as many sockets, and plans nothing.
//!
//! ```text
//! cargo bench --bench generate                      both sides of datagrams with 1, 16, 64 and 296 records
//! cargo bench --bench generate -- --records N       of those with N only
//! cargo bench --bench generate -- --json FILE       and the same as JSON
//! cargo bench --bench generate -- --quick           a second of few datagrams
//! ```

#[path = "../process/mod.rs"]
mod process;

mod floor;
mod match_of;
mod receive_path;

use floor::Floor;
use match_of::{Pace, generate};
use process::Appliance;
use receive_path::ReceivePath;
use serde::Serialize;
use std::time::Duration;

/// Records of a datagram: a phone's tap, a phone's few seconds, a gateway's usual datagram, as many as fit.
const RECORDS: [u16; 4] = [1, 16, 64, 296];
/// Well below what a core sends, and well below what a shard takes.
const DATAGRAMS_PER_SECOND: [f64; 2] = [20_000.0, 100_000.0];

/// How much is measured.
struct Effort {
    rounds: usize,
    seconds: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let value_of = |flag: &str| args.iter().position(|arg| arg == flag).map(|at| args.get(at + 1).expect("a value"));
    let (json, only) = (value_of("--json"), value_of("--records").map(|n| n.parse().expect("--records N")));
    let effort = if is_measuring { Effort { rounds: 3, seconds: 2.0 } } else { Effort { rounds: 1, seconds: 1.0 } };
    let rates = if is_measuring { &DATAGRAMS_PER_SECOND[..] } else { &[500.0] };
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    let appliance = Appliance::start(&["--shards=1"], Some(receiving));
    process::pin(sending);

    println!("records  datagrams_s  generator_ns  floor_ns  receive_path_ns  server_ns  ratio  ratio_raw  taken");
    let mut rows = Vec::new();
    let wanted = RECORDS.into_iter().filter(|records| only.is_none_or(|only: u16| only == *records));
    for (records, rate) in wanted.flat_map(|records| rates.iter().map(move |rate| (records, *rate))) {
        let row =
            measure(&appliance, sending, &Pace { records, datagrams_per_second: rate, ..effort.pace() }, effort.rounds);
        row.print();
        rows.push(row);
    }
    if let Some(file) = json {
        process::write_json(file, &Report { rows });
    }
}

impl Effort {
    fn pace(&self) -> Pace {
        Pace { records: 1, datagrams_per_second: 1.0, seconds: self.seconds }
    }
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
}

/// CPU time in nanoseconds a datagram.
#[derive(Serialize)]
struct Row {
    records: u16,
    /// As they were sent.
    datagrams_per_second: f64,
    /// Of the generator's thread without the receive path.
    generator_ns: f64,
    /// Of a thread that only sends, at the same pace, without the receive path.
    floor_ns: f64,
    /// The kernel's receive path, which ran in the sending thread.
    receive_path_ns: f64,
    /// Of the server's process.
    server_ns: f64,
    /// The generator over the server with its receive path.
    ratio: f64,
    /// Everything in the generator's thread over the server's process.
    ratio_raw: f64,
    /// Of the datagrams sent, the part that the server took.
    taken: f64,
}

impl Row {
    fn print(&self) {
        println!(
            "{:7}  {:11.0}  {:12.0}  {:8.0}  {:15.0}  {:9.0}  {:5.2}  {:9.2}  {:5.3}",
            self.records,
            self.datagrams_per_second,
            self.generator_ns,
            self.floor_ns,
            self.receive_path_ns,
            self.server_ns,
            self.ratio,
            self.ratio_raw,
            self.taken
        );
    }
}

/// What a sender and the server did in one turn.
struct Turn {
    sender_ns: f64,
    server_ns: f64,
    datagrams: f64,
    taken: f64,
}

/// Has `send` send, which says how many datagrams it sent.
fn turn(appliance: &Appliance, send: impl FnOnce() -> u64) -> Turn {
    let taken_before = appliance.metric("uproar_datagrams_total");
    let (server_before, own_before) = (appliance.process.cpu_ns(), process::own_cpu_ns());
    let datagrams = send() as f64;
    let sender_ns = (process::own_cpu_ns() - own_before) as f64 / datagrams;
    process::wait(Duration::from_millis(100));
    let server = appliance.process.cpu_ns() - server_before;
    let taken = (appliance.metric("uproar_datagrams_total") - taken_before) as f64;
    assert!(datagrams > 0.0 && taken > 0.0, "datagrams were sent and arrived");
    Turn { sender_ns, server_ns: server as f64 / taken, datagrams, taken: taken / datagrams }
}

fn measure(appliance: &Appliance, core: usize, pace: &Pace, rounds: usize) -> Row {
    let server = appliance.port("reactions");
    let mut floor = Floor::new(pace.records, server);
    let (mut generated, mut bare, mut path_ns) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let path = ReceivePath::begin(core);
        let unpaced = turn(appliance, || floor.send_without_a_pause(Duration::from_secs_f64(pace.seconds)));
        path_ns.push((path.cpu_ns() / unpaced.datagrams).min(unpaced.sender_ns));
        let lane = match_of::ready(pace, server, round as u64);
        generated.push(turn(appliance, || generate(lane)));
        bare.push(turn(appliance, || floor.send(pace)));
    }
    let receive_path_ns = process::median(path_ns);
    let median = |turns: &[Turn], of: fn(&Turn) -> f64| process::median(turns.iter().map(of).collect());
    let (sender_ns, server_ns) = (median(&generated, |turn| turn.sender_ns), median(&generated, |turn| turn.server_ns));
    let generator_ns = sender_ns - receive_path_ns;
    Row {
        records: pace.records,
        datagrams_per_second: median(&generated, |turn| turn.datagrams) / pace.seconds,
        generator_ns,
        floor_ns: median(&bare, |turn| turn.sender_ns) - receive_path_ns,
        receive_path_ns,
        server_ns,
        ratio: generator_ns / (server_ns + receive_path_ns),
        ratio_raw: sender_ns / server_ns,
        taken: median(&generated, |turn| turn.taken),
    }
}
