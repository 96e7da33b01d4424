//! The measured servers, each a process of its own, and what one does in its turn.

use crate::bare_ring::Sending;
use crate::generator::Generator;
use crate::nginx::Nginx;
use crate::process::{self, Appliance, Process};
use crate::{BARE, bare_epoll, bare_ring};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// Columns of the table.
pub(crate) const SERVERS: usize = 5;
const COUNTED: &str = "uproar_reaction_records_total{proto=\"http\"}";
/// After the last reply and after a stop with nothing sent: long enough for any server to fall asleep again.
const SETTLE: Duration = Duration::from_micros(300);
const LISTEN_BACKLOG: i32 = 4096;

/// Bare loops by name, as on the command line.
const BARE_LOOPS: [&str; 3] = ["epoll", "ring", "ring_direct"];

/// What one server did in one turn.
pub(crate) struct Turn {
    /// Spent on requests: without what stops cost.
    pub(crate) cpu_ns: f64,
    pub(crate) requests: u64,
    pub(crate) bursts: u64,
    /// Times that it slept with requests still to come: 0 is saturated.
    pub(crate) sleeps: f64,
}

/// Whoever takes reactions.
pub(crate) enum Server {
    Appliance { appliance: Appliance, counted: u64 },
    Bare { which: usize, process: Process, port: SocketAddr },
    Nginx(Nginx),
}

/// Becomes one of the bare loops: prints the port, then serves until the process is ended.
pub(crate) fn run_bare(name: &str) -> ! {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    // Connections inherit it.
    socket.set_tcp_nodelay(true).expect("a socket takes options");
    socket.listen(LISTEN_BACKLOG).expect("a bound socket listens");
    let listener = TcpListener::from(socket);
    println!("{}", listener.local_addr().expect("it is bound"));
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

    /// Answers bursts for as long as `slice`, at least one.
    pub(crate) fn take(&mut self, generator: &mut Generator, slice: Duration) -> Turn {
        let process = self.process();
        let (start, before) = (now(), Spent::of(process));
        let mut bursts = 0;
        while bursts == 0 || now() - start < slice {
            burst(process, generator);
            bursts += 1;
        }
        let served = Spent::of(process).since(&before);
        let stopped = cost_of_stops(process, bursts);
        let requests = bursts * generator.burst();
        self.assert_counted(requests);
        Turn {
            cpu_ns: served.cpu_ns as f64 - stopped.cpu_ns as f64,
            requests,
            bursts,
            sleeps: served.sleeps as f64 - stopped.sleeps as f64,
        }
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

/// What a process has used.
struct Spent {
    cpu_ns: u64,
    sleeps: u64,
}

impl Spent {
    fn of(process: &Process) -> Self {
        Self { cpu_ns: process.cpu_ns(), sleeps: process.sleeps() }
    }

    fn since(&self, before: &Self) -> Self {
        Self { cpu_ns: self.cpu_ns - before.cpu_ns, sleeps: self.sleeps - before.sleeps }
    }
}

/// Has every connection's batch ready before the server looks.
fn burst(process: &Process, generator: &mut Generator) {
    process.stop();
    generator.send();
    process.resume();
    generator.receive();
    process::wait(SETTLE);
}

/// What as many stops cost when there is nothing to do.
fn cost_of_stops(process: &Process, stops: u64) -> Spent {
    let before = Spent::of(process);
    for _ in 0..stops {
        process.stop();
        process.resume();
        process::wait(SETTLE);
    }
    Spent::of(process).since(&before)
}

#[allow(clippy::disallowed_methods, reason = "a bench measures time; it serves nobody")]
fn now() -> Instant {
    Instant::now()
}
