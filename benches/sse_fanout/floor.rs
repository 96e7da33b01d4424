//! The floor: what no server can do without that gives each of its connections the same bytes once a window.
//!
//! One thread, one send a connection: by the system call, or as operations of a ring, some hundred in each entry to the
//! kernel. A process of its own, so that its CPU time can be told apart. Invariant: it sleeps between windows. Not here:
//! requests, rooms, connections that do not drain or end, anything that must be remembered.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::message;
use crate::process::Process;
use crate::window;
use io_uring::{IoUring, opcode, types};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

/// Argument that makes this program the floor.
const FLOOR: &str = "--floor";
/// Sends of one entry to the kernel.
const BATCH: usize = 256;
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

/// How bytes leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sending {
    /// The system call, a connection each.
    Direct,
    /// Operations of the ring.
    Ring,
}

/// The floor's process.
pub(crate) struct Floor {
    pub(crate) process: Process,
    pub(crate) port: SocketAddr,
}

impl Floor {
    /// Starts it for so many connections.
    pub(crate) fn start(sending: Sending, connections: usize, event_bytes: usize, window_ms: u64, core: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let how = if sending == Sending::Ring { "ring" } else { "direct" };
        let numbers = [connections.to_string(), event_bytes.to_string(), window_ms.to_string()];
        let mut process = Process::start(program, &[FLOOR, how, &numbers[0], &numbers[1], &numbers[2]], Some(core));
        let port = process.line().parse().expect("an address");
        Self { process, port }
    }
}

/// Becomes the floor, and never returns, if this program was started for that.
pub(crate) fn run_if_asked(args: &[String]) {
    let [flag, how, connections, event_bytes, window_ms] = args else { return };
    if flag == FLOOR {
        let number = |text: &String| text.parse().expect("a number");
        let event = message::event(number(event_bytes) as usize);
        run(how == "ring", number(connections) as usize, &event, number(window_ms));
    }
}

fn run(is_ring: bool, count: usize, event: &[u8], window_ms: u64) -> ! {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    let connections: Vec<_> = (0..count).map(|_| accept(&listener)).collect();
    let mut ring = is_ring.then(|| {
        let ring = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(BATCH as u32);
        ring.expect("a ring")
    });
    loop {
        window::wait_for_next(window_ms);
        match &mut ring {
            Some(ring) => connections.chunks(BATCH).for_each(|some| send_by_ring(ring, some, event)),
            None => connections.iter().for_each(|connection| send(connection, event)),
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut connection, _) = listener.accept().expect("the readers connect");
    connection.set_nodelay(true).expect("a connection takes options");
    let mut request = [0; 1024];
    let len = connection.read(&mut request).expect("the readers ask");
    assert!(request[..len].ends_with(b"\r\n\r\n"), "a request comes whole");
    connection.write_all(HEAD).expect("the readers read");
    connection
}

fn send(mut connection: &TcpStream, event: &[u8]) {
    let len = connection.write(event).expect("the readers read");
    assert!(len == event.len(), "an event fits the socket's buffer");
}

fn send_by_ring(ring: &mut IoUring, connections: &[TcpStream], event: &[u8]) {
    for connection in connections {
        let fd = types::Fd(connection.as_raw_fd());
        let entry = opcode::Send::new(fd, event.as_ptr(), event.len() as u32).build();
        // SAFETY: the event lives until all of this batch are done, which is waited for.
        unsafe { ring.submission().push(&entry) }.expect("a batch fits the ring");
    }
    let mut done = 0;
    while done < connections.len() {
        ring.submit_and_wait(connections.len() - done).expect("the kernel takes operations");
        for completion in ring.completion() {
            assert!(completion.result() == event.len() as i32, "a send: {}", completion.result());
            done += 1;
        }
    }
}
