//! What does the appliance spend on an HTTP reaction beside bare loops that only count bytes, and beside nginx?
//!
//! The real process takes `POST`ed reactions on its real socket and ring; beside it, in the same run and from the same
//! [`generator`], bare loops ([`bare_epoll`], [`bare_ring`]) and [`nginx`] answer the same bytes. Servers share one
//! core, the generator has another. They take turns; a figure is the median of its rounds, and a ratio the median of the ratios
//! within a round.
//!
//! The loop is closed: each connection has one batch of requests under way, and the generator, which is cheaper than most
//! servers, goes round them without sleeping. CPU time of the server's process is divided by the requests that it answered;
//! beside it stands how busy its core was. A server that is not busy finds fewer requests at a time and sleeps between them:
//! that is part of its price, for all of them alike.
//!
//! The appliance must also have counted each record it said it took: after its turn the counter of HTTP records has
//! grown by the requests answered, or the bench fails.
//!
//! ```text
//! cargo bench --bench http_floor                      the table
//! cargo bench --bench http_floor -- --json FILE       and the same as JSON
//! cargo bench --bench http_floor -- --quick           a few requests
//! ```

#[path = "../process/mod.rs"]
mod process;
#[path = "../provided/mod.rs"]
mod provided;

mod bare_epoll;
mod bare_ring;
mod exchange;
mod generator;
mod nginx;
mod report;
mod server;

use generator::Generator;
use report::{Report, Row};
use server::{SERVERS, Server, Turn};
use std::time::Duration;

/// Argument that makes this program one of the bare loops.
const BARE: &str = "--bare";
/// Few enough for the nearest caches, and more than they hold.
const CONNECTIONS: [usize; 2] = [64, 512];
/// Requests under way on a connection: browsers have one; a relay in front of many has more.
const PIPELINES: [usize; 2] = [1, 16];

/// How much is measured.
struct Effort {
    rounds: usize,
    /// Of one server's turn.
    slice: Duration,
}

/// Short turns, often: what else the machine does then falls on all servers alike.
const FULL: Effort = Effort { rounds: 15, slice: Duration::from_millis(300) };
/// One batch a connection is always sent.
const QUICK: Effort = Effort { rounds: 1, slice: Duration::ZERO };
/// Of a server's first turn, which brings memory and caches into their usual state.
const WARM_UP: Duration = Duration::from_millis(50);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == BARE) {
        server::run_bare(&args[1]);
    }
    let is_measuring = args.iter().any(|arg| arg == "--bench") && !args.iter().any(|arg| arg == "--quick");
    let json = args.iter().position(|arg| arg == "--json").map(|at| args.get(at + 1).expect("--json FILE"));
    let effort = if is_measuring { FULL } else { QUICK };
    let cores = process::cores();
    let (generating, serving) = (cores[0], cores[cores.len() - 1]);
    let mut servers = Server::start_all(serving);
    process::pin(generating);

    report::print_head();
    let mut rows = Vec::new();
    for pipeline in PIPELINES {
        for connections in CONNECTIONS {
            let row = measure(&mut servers, connections, pipeline, &effort);
            row.print();
            rows.push(row);
        }
    }
    if let Some(file) = json {
        process::write_json(file, &Report { rows });
    }
}

fn measure(servers: &mut [Server], connections: usize, pipeline: usize, effort: &Effort) -> Row {
    let mut generators: Vec<_> =
        servers.iter().map(|server| Generator::new(server.port(), connections, pipeline)).collect();
    let mut turns: [Vec<Turn>; SERVERS] = Default::default();
    for round in 0..=effort.rounds {
        for (server, generator) in servers.iter_mut().zip(&mut generators) {
            let is_warm_up = round == 0;
            let turn = server.take(generator, if is_warm_up { WARM_UP.min(effort.slice) } else { effort.slice });
            if !is_warm_up {
                turns[server.column()].push(turn);
            }
        }
    }
    Row::new(connections, pipeline, turns)
}
