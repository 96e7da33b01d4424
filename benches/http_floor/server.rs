//! The measured servers, each a process of its own, and what one does in its turn.

use crate::bare_ring::Sending;
use crate::generator::Generator;
use crate::nginx::Nginx;
use crate::process::{Appliance, Process};
use crate::{BARE, bare_epoll, bare_ring, exchange};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Columns of the table.
pub(crate) const SERVERS: usize = 5;
const COUNTED: &str = "uproar_reaction_records_total{proto=\"http\"}";

/// Bare loops by name, as on the command line.
const BARE_LOOPS: [&str; 3] = ["epoll", "ring", "ring_direct"];

/// What one server did in one turn.
pub(crate) struct Turn {
    pub(crate) cpu_ns: f64,
    pub(crate) requests: u64,
    /// CPU time over time: 1 is saturated.
    pub(crate) busy: f64,
}

/// Whoever takes reactions.
pub(crate) enum Server {
    Appliance { appliance: Appliance, counted: u64 },
    Bare { which: usize, process: Process, port: SocketAddr },
    Nginx(Nginx),
}

/// Becomes one of the bare loops: prints the port, then serves until the process is ended.
pub(crate) fn run_bare(name: &str) -> ! {
    let listener = exchange::listen();
    match name {
        "epoll" => bare_epoll::run(&listener),
        "ring" => bare_ring::run(&listener, Sending::Ring),
        "ring_direct" => bare_ring::run(&listener, Sending::Direct),
        _ => panic!("no bare loop {name}"),
    }
}

impl Server {
    /// All that this machine has, on `core`. The calling thread moves there too.
    pub(crate) fn start_all(core: usize) -> Vec<Self> {
        let mut servers =
            vec![Self::Appliance { appliance: Appliance::start(&["--shards=1"], Some(core)), counted: 0 }];
        servers.extend((0..BARE_LOOPS.len()).map(|which| Self::start_bare(which, core)));
        match Nginx::start(core) {
            Some(nginx) => servers.push(Self::Nginx(nginx)),
            None => println!("nginx is not on the PATH: its columns stay empty"),
        }
        servers
    }

    fn start_bare(which: usize, core: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Process::start(program, &[BARE, BARE_LOOPS[which]], Some(core));
        let port = process.line().parse().expect("a bare loop prints its address first");
        Self::Bare { which, process, port }
    }

    /// Where it stands in the table.
    pub(crate) fn column(&self) -> usize {
        match self {
            Self::Appliance { .. } => 0,
            Self::Bare { which, .. } => 1 + which,
            Self::Nginx(_) => SERVERS - 1,
        }
    }

    pub(crate) fn port(&self) -> SocketAddr {
        match self {
            Self::Appliance { appliance, .. } => appliance.port("http"),
            Self::Bare { port, .. } => *port,
            Self::Nginx(nginx) => nginx.port,
        }
    }

    /// Answers for as long as `slice`.
    pub(crate) fn take(&mut self, generator: &mut Generator, slice: Duration) -> Turn {
        let (start, before) = (now(), self.process().cpu_ns());
        let requests = generator.run(|| now() - start < slice);
        let cpu_ns = (self.process().cpu_ns() - before) as f64;
        let busy = cpu_ns / (now() - start).as_nanos() as f64;
        self.assert_counted(requests);
        Turn { cpu_ns, requests, busy }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Appliance { appliance, .. } => &appliance.process,
            Self::Bare { process, .. } => process,
            Self::Nginx(nginx) => &nginx.process,
        }
    }

    /// Asked after the turn, so that the answer costs nothing in it.
    fn assert_counted(&mut self, requests: u64) {
        let Self::Appliance { appliance, counted } = self else { return };
        let total = appliance.metric(COUNTED);
        let grown = total - std::mem::replace(counted, total);
        assert!(grown == requests, "{requests} reactions were answered with 202, {grown} were counted");
    }
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time; it serves nobody")]
fn now() -> Instant {
    Instant::now()
}
