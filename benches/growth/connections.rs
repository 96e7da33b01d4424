//! Keep-alive connections: appliances that differ in how many they hold.

use crate::process::{self, Appliance};
use crate::{Effort, Row};
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
const BODY: &str = r#"{"emoji":"fire"}"#;
const REPLY_START: &[u8] = b"HTTP/1.1 202 ";

/// One size: the appliance and the client's ends.
struct Size {
    appliance: Appliance,
    connections: Vec<TcpStream>,
    next: usize,
    request: Vec<u8>,
    /// All replies are the same.
    reply_len: usize,
    costs: Vec<f64>,
}

/// A row for each size.
pub(crate) fn measure(effort: &Effort) -> Vec<Row> {
    let counts = counts(effort.connections);
    let cores = process::cores();
    let (sending, receiving) = (cores[0], cores[cores.len() - 1]);
    let mut sizes: Vec<_> = counts.iter().map(|&count| Size::start(count, sending, receiving)).collect();
    // The first round brings memory and caches into their usual state.
    for round in 0..=effort.rounds {
        for size in &mut sizes {
            let cost = size.take_turn(effort.requests);
            if round > 0 {
                size.costs.push(cost);
            }
        }
    }
    let costs: Vec<_> = sizes.into_iter().map(|size| process::median(size.costs)).collect();
    let base = counts.iter().position(|&count| count >= OUTSTANDING).expect("a size to compare with");
    let rows = counts.iter().zip(&costs).map(|(&size, &cpu_ns_tap)| {
        let row = Row { what: "connections", size, cpu_ns_tap, ratio: cpu_ns_tap / costs[base], rooms: None };
        row.print();
        row
    });
    rows.collect()
}

/// The sizes, the last one cut to what the limit of open files leaves: this process holds the ends of all of them.
fn counts(wanted: &[usize]) -> Vec<usize> {
    let mut counts = wanted.to_vec();
    let total = wanted.iter().sum::<usize>() + OTHER_FILES;
    let allowed = allow_open_files(total);
    if let Some(last) = counts.last_mut()
        && allowed < total
    {
        let cut = last.saturating_sub(total - allowed);
        println!("open files are limited to {allowed} (`ulimit -Hn`): {cut} connections instead of {last}");
        *last = cut;
    }
    counts
}

impl Size {
    fn start(count: usize, sending: usize, receiving: usize) -> Self {
        let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
        write!(config, "[http]\nconnections_max = {}\nidle_timeout = \"1h\"\n", count + 1).expect("it takes text");
        let flag = format!("--config={}", config.path().display());
        let appliance = Appliance::start(&["--shards=1", &flag], Some(receiving));
        process::pin(sending);
        let http = appliance.port("http");
        let connections = (0..count).map(|number| connect(number, http)).collect();
        let request = format!(
            "POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let mut size =
            Self { appliance, connections, next: 0, request: request.into_bytes(), reply_len: 0, costs: Vec::new() };
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
        let before_ns = self.appliance.process.cpu_ns();
        for _ in 0..batches {
            self.exchange(outstanding);
        }
        // Until it sleeps again.
        process::wait(Duration::from_millis(5));
        let cpu_ns = self.appliance.process.cpu_ns() - before_ns;
        cpu_ns as f64 / (batches * outstanding) as f64
    }

    /// One request on each of the next `outstanding` connections, all there before the server goes on, and the replies.
    fn exchange(&mut self, outstanding: usize) {
        let all = self.connections.len();
        let of_batch = |at: usize| (self.next + at) % all;
        // A single request is all that there is to wait for.
        let is_stopped = outstanding > 1;
        if is_stopped {
            self.appliance.process.stop();
        }
        for at in 0..outstanding {
            (&self.connections[of_batch(at)]).write_all(&self.request).expect("the kernel has room for a request");
        }
        if is_stopped {
            self.appliance.process.resume();
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

/// Raises the limit of open files of this process, and of those that it starts, to `wanted` or as far as it may; where
/// it is then.
#[allow(unsafe_code, reason = "the standard library knows no limits")]
fn allow_open_files(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit, which the call writes.
    assert!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0, "there is a limit");
    let hard = limit.rlim_max;
    for hard in [hard.max(wanted as u64), hard] {
        limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: `limit` is a whole rlimit, which the call reads. Only some may raise the hard limit.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
            break;
        }
    }
    limit.rlim_cur as usize
}
