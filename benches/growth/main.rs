//! Does the cost of a tap grow with what the node knows, or only with work?
//!
//! Cost is CPU time of the server process a tap; receivers share one core, the client has another. Appliances that know
//! much and appliances that know little take turns in one run; a figure is the median of its rounds. Each is stopped
//! while its work comes to it and then continued, so it never waits for the client.
//!
//! *Rooms*: datagrams of one tap to rooms drawn at random from all that the node knows. The window is a minute and every
//! room has been tapped in it, so this is the cost of a tap alone. `floor_ns` is a bare `recvmmsg` loop that takes the
//! same datagrams and touches one cache line for each, the room's, in a table as long: what grows there is the machine's
//! caches. What the first tap of a room in a window brings with it (an entry, a merge, a frame) is paid once a room and
//! window, however often it is tapped: `window_cpu_ms` is what closing one window costs in which every room was tapped,
//! and `share_2s` that as a part of one core with windows of two seconds. The row of one room says what of it is idling.
//!
//! *Connections*: HTTP requests of one tap, round all keep-alive connections in turn. 64 requests are outstanding,
//! one on a connection, whatever the number of connections: what differs is how much the node knows, not how many
//! requests it finds when it looks. So the row of 64 connections is what the others are compared with. One connection
//! cannot hold 64 requests without pipelining, which is another kind of work: its row has one request outstanding, for
//! which the server is woken each time. `floor_ns` is a bare ring loop that answers the same requests without reading
//! them: what grows there is what the kernel has to fetch for a connection. The servers take turns as a whole, as the
//! connections of all at once would need more open files than there usually are.
//!
//! ```text
//! cargo bench --bench growth                      the table
//! cargo bench --bench growth -- --json FILE       and the same as JSON
//! cargo bench --bench growth -- --only rooms      half of it; the other half: connections
//! cargo bench --bench growth -- --quick           small sizes
//! ```

#[path = "../udp_floor/bare.rs"]
mod bare;
#[path = "../http_floor/bare_ring.rs"]
mod bare_ring;
#[path = "../http_floor/exchange.rs"]
mod exchange;
#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;
#[path = "../udp_floor/receiver.rs"]
mod receiver;
#[path = "../udp_floor/sender.rs"]
mod sender;

mod connections;
mod rooms;

use serde::Serialize;

/// How much is measured.
struct Effort {
    rooms: &'static [usize],
    connections: &'static [usize],
    /// Turns of each number of rooms; a figure is their median.
    rounds: usize,
    /// Times that all sizes of connections are set up, and turns of each of them then.
    passes: usize,
    rounds_a_pass: usize,
    /// Bursts of datagrams in one turn.
    bursts: u64,
    /// HTTP requests in one turn.
    requests: usize,
}

const FULL: Effort = Effort {
    rooms: &[1, 100, 10_000, 100_000],
    connections: &[1, 64, 1000, 20_000],
    rounds: 5,
    passes: 3,
    rounds_a_pass: 3,
    bursts: 20,
    requests: 20_000,
};
const QUICK: Effort = Effort {
    rooms: &[1, 100],
    connections: &[1, 64, 100],
    rounds: 1,
    passes: 1,
    rounds_a_pass: 1,
    bursts: 1,
    requests: 200,
};

fn main() {
    bare::Bare::run_if_asked();
    connections::run_bare_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let json = args.iter().position(|arg| arg == "--json").map(|at| args.get(at + 1).expect("--json FILE"));
    let effort = if is_measuring { FULL } else { QUICK };

    println!("what           size  cpu_ns_tap  ratio  floor_ns  floor_ratio  window_cpu_ms  share_2s");
    let only = args.iter().position(|arg| arg == "--only").map(|at| args.get(at + 1).expect("--only WHAT").as_str());
    let mut rows = Vec::new();
    if only.is_none_or(|what| what == "rooms") {
        rows.extend(rooms::measure(&effort));
    }
    if only.is_none_or(|what| what == "connections") {
        rows.extend(connections::measure(&effort));
    }
    if let Some(file) = json {
        process::write_json(file, &Report { rows });
    }
}

#[derive(Serialize)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    size: usize,
    cpu_ns_tap: f64,
    /// Over the row that the others of its kind are compared with.
    ratio: f64,
    /// Of a bare loop with the same work.
    floor_ns: f64,
    floor_ratio: f64,
    /// Of rooms only.
    window_cpu_ms: Option<f64>,
}

impl Row {
    fn print(&self) {
        let Self { what, size, cpu_ns_tap, ratio, floor_ns, floor_ratio, window_cpu_ms } = self;
        print!("{what:11}  {size:6}  {cpu_ns_tap:10.1}  {ratio:5.2}  {floor_ns:8.1}  {floor_ratio:11.2}");
        if let Some(window_cpu_ms) = window_cpu_ms {
            let share = window_cpu_ms / 2000.0 * 100.0;
            print!("  {window_cpu_ms:13.2}  {share:6.2} %");
        }
        println!();
    }
}
