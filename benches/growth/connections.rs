//! Keep-alive connections: appliances that differ in how many they hold, and bare loops that do.

use crate::bare_ring::{self, Sending};
use crate::process::{self, Appliance, Process};
use crate::{Effort, Row, exchange};
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Requests outstanding at a time, one on a connection.
const OUTSTANDING: usize = 64;
/// Connections from one address of the loopback network; each has some 28,000 ports.
const PER_SOURCE: usize = 10_000;
/// Open files beside connections.
const OTHER_FILES: usize = 256;
const REPLY_START: &[u8] = b"HTTP/1.1 202 ";
/// Argument that makes this program the bare loop.
const BARE: &str = "--bare-http";

/// Who answers.
enum Server {
    Appliance(Appliance),
    Bare(Process, SocketAddr),
}

/// One size: a server and the client's ends.
struct Size {
    server: Server,
    connections: Vec<TcpStream>,
    next: usize,
    request: Vec<u8>,
    /// All replies are the same.
    reply_len: usize,
}

/// Becomes the bare loop if the command line says so: prints the port, then serves until the process is ended.
pub(crate) fn run_bare_if_asked() {
    if std::env::args().nth(1).is_some_and(|first| first == BARE) {
        bare_ring::run(&exchange::listen(), Sending::Ring);
    }
}

/// A row for each size.
pub(crate) fn measure(effort: &Effort) -> Vec<Row> {
    let counts = counts(effort.connections);
    let (mut costs, mut floors) = (vec![Vec::new(); counts.len()], vec![Vec::new(); counts.len()]);
    // The open files of both at once would be too many, so their servers take turns as a whole.
    for _ in 0..effort.passes {
        measure_servers(&counts, effort, Server::appliance, &mut costs);
        measure_servers(&counts, effort, Server::bare, &mut floors);
    }
    let medians = |costs: Vec<Vec<f64>>| costs.into_iter().map(process::median).collect::<Vec<_>>();
    let (costs, floors) = (medians(costs), medians(floors));
    let base = counts.iter().position(|&count| count >= OUTSTANDING).expect("a size to compare with");
    let rows = counts.iter().zip(&costs).zip(&floors).map(|((&size, &cpu_ns_tap), &floor_ns)| {
        let (ratio, floor_ratio) = (cpu_ns_tap / costs[base], floor_ns / floors[base]);
        let row = Row { what: "connections", size, cpu_ns_tap, ratio, floor_ns, floor_ratio, window_cpu_ms: None };
        row.print();
        row
    });
    rows.collect()
}

/// Adds the costs of each size to `costs`.
fn measure_servers(counts: &[usize], effort: &Effort, start: impl Fn(usize, usize) -> Server, costs: &mut [Vec<f64>]) {
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    let mut sizes: Vec<_> = counts.iter().map(|&count| Size::start(count, start(count, receiving), sending)).collect();
    // The first round brings memory and caches into their usual state.
    for round in 0..=effort.rounds_a_pass {
        for (size, costs) in sizes.iter_mut().zip(&mut *costs) {
            let cost = size.take_turn(effort.requests);
            if round > 0 {
                costs.push(cost);
            }
        }
    }
}

/// The sizes, the last one cut to what the limit of open files leaves: this process holds the ends of all of them.
fn counts(wanted: &[usize]) -> Vec<usize> {
    let mut counts = wanted.to_vec();
    let total = wanted.iter().sum::<usize>() + OTHER_FILES;
    let allowed = process::allow_open_files(total);
    if let Some(last) = counts.last_mut()
        && allowed < total
    {
        let cut = last.saturating_sub(total - allowed);
        println!("open files are limited to {allowed} (`ulimit -Hn`): {cut} connections instead of {last}");
        *last = cut;
    }
    counts
}

impl Server {
    fn appliance(connections: usize, core: usize) -> Self {
        let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
        write!(config, "[http]\nconnections_max = {}\nidle_timeout = \"1h\"\n", connections + 1)
            .expect("it takes text");
        let flag = format!("--config={}", config.path().display());
        Self::Appliance(Appliance::start(&["--shards=1", &flag], Some(core)))
    }

    fn bare(_: usize, core: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Process::start(program, &[BARE], Some(core));
        let port = process.line().parse().expect("the bare loop prints its address first");
        Self::Bare(process, port)
    }

    fn port(&self) -> SocketAddr {
        match self {
            Self::Appliance(appliance) => appliance.port("http"),
            Self::Bare(_, port) => *port,
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Appliance(appliance) => &appliance.process,
            Self::Bare(process, _) => process,
        }
    }
}

impl Size {
    fn start(count: usize, server: Server, sending: usize) -> Self {
        process::pin(sending);
        let connections = (0..count).map(|number| connect(number, server.port())).collect();
        let mut size = Self { server, connections, next: 0, request: exchange::request(), reply_len: 0 };
        size.reply_len = size.first_reply_len();
        size
    }

    fn first_reply_len(&mut self) -> usize {
        let connection = &mut self.connections[0];
        connection.write_all(&self.request).expect("it reads");
        let mut reply = [0; 1024];
        let len = connection.read(&mut reply).expect("it answers");
        assert!(reply[..len].starts_with(REPLY_START) && reply[..len].ends_with(b"\r\n\r\n"), "a whole 202");
        len
    }

    /// CPU time of a request, over at least `requests`.
    fn take_turn(&mut self, requests: usize) -> f64 {
        let outstanding = OUTSTANDING.min(self.connections.len());
        let batches = requests.div_ceil(OUTSTANDING);
        let before_ns = self.server.process().cpu_ns();
        for _ in 0..batches {
            self.exchange(outstanding);
        }
        // Until it sleeps again.
        process::wait(Duration::from_millis(5));
        let cpu_ns = self.server.process().cpu_ns() - before_ns;
        cpu_ns as f64 / (batches * outstanding) as f64
    }

    /// One request on each of the next `outstanding` connections, all there before the server goes on, and the replies.
    fn exchange(&mut self, outstanding: usize) {
        let all = self.connections.len();
        let of_batch = |at: usize| (self.next + at) % all;
        // A single request is all that there is to wait for.
        let is_stopped = outstanding > 1;
        if is_stopped {
            self.server.process().stop();
        }
        for at in 0..outstanding {
            (&self.connections[of_batch(at)]).write_all(&self.request).expect("the kernel has room for a request");
        }
        if is_stopped {
            self.server.process().resume();
        }
        let mut reply = [0; 1024];
        for at in 0..outstanding {
            let reply = &mut reply[..self.reply_len];
            (&self.connections[of_batch(at)]).read_exact(reply).expect("every request is answered");
            assert!(reply.starts_with(REPLY_START), "{}", String::from_utf8_lossy(reply));
        }
        self.next = of_batch(outstanding);
    }
}

fn connect(number: usize, to: SocketAddr) -> TcpStream {
    let source = Ipv4Addr::new(127, 0, 1, 1 + (number / PER_SOURCE) as u8);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("open files are allowed");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("loopback is a network of addresses");
    socket.connect(&to.into()).expect("the appliance accepts");
    socket.set_tcp_nodelay(true).expect("a connected socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    socket.into()
}
