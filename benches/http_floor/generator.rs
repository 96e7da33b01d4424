//! The generator: connections that each have one batch of requests under way, sent in one write, answered whole.
//!
//! Every reply is looked at: its status, its end, and that no byte comes which nobody asked for. It waits by looking
//! again, not by sleeping in the kernel, so that no server pays for waking it. Not here: what the server's
//! side of it costs.

use crate::exchange;
use memchr::memmem::Finder;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Looks at one connection before others may run instead.
const LOOKS_IN_A_ROW: u32 = 64;
/// Idle instructions between two looks: a look takes the socket's lock, which the server also needs.
const PAUSE: u32 = 200;
const STATUS: [&[u8]; 2] = [b"HTTP/1.1 202 ", b"HTTP/1.1 204 "];

/// Connections to one server.
pub(crate) struct Generator {
    connections: Vec<TcpStream>,
    batch: Vec<u8>,
    pipeline: usize,
    end: Finder<'static>,
    /// Replies of the connection that is being read.
    replies: Vec<u8>,
}

impl Generator {
    /// Connects; a batch is `pipeline` requests.
    pub(crate) fn new(port: SocketAddr, connections: usize, pipeline: usize) -> Self {
        let connect = |_| {
            let stream = TcpStream::connect(port).expect("the server accepts");
            stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).expect("a connection takes options");
            stream
        };
        Self {
            connections: (0..connections).map(connect).collect(),
            batch: exchange::request().repeat(pipeline),
            pipeline,
            end: Finder::new(b"\r\n\r\n"),
            replies: Vec::new(),
        }
    }

    /// Keeps a batch under way on every connection while `goes_on`, then waits for the last replies; says how many requests
    /// were answered.
    pub(crate) fn run(&mut self, goes_on: impl Fn() -> bool) -> u64 {
        let count = self.connections.len();
        (0..count).for_each(|connection| self.send(connection));
        let mut batches = 0;
        loop {
            let is_last = !goes_on();
            for connection in 0..count {
                self.receive(connection);
                if !is_last {
                    self.send(connection);
                }
            }
            batches += count;
            if is_last {
                return (batches * self.pipeline) as u64;
            }
        }
    }

    fn send(&mut self, connection: usize) {
        self.connections[connection].write_all(&self.batch).expect("a batch fits in a socket's buffers");
    }

    /// Reads until every request of the batch has its reply.
    fn receive(&mut self, connection: usize) {
        let Self { connections, pipeline, end, replies, .. } = self;
        replies.clear();
        let (mut seen_len, mut missing) = (0, *pipeline);
        while missing > 0 {
            read_more(&mut connections[connection], replies);
            while let Some(at) = end.find(&replies[seen_len..]) {
                let reply = &replies[seen_len..seen_len + at];
                let is_expected = missing > 0 && STATUS.iter().any(|status| reply.starts_with(status));
                assert!(is_expected, "not a reply to a reaction: {}", String::from_utf8_lossy(reply));
                missing -= 1;
                seen_len += at + end.needle().len();
            }
        }
        assert!(seen_len == replies.len(), "more bytes than replies: {}", String::from_utf8_lossy(replies));
    }
}

/// Waits for bytes and appends them to `replies`.
fn read_more(connection: &mut TcpStream, replies: &mut Vec<u8>) {
    let mut bytes = [0; 16 * 1024];
    let mut looks = 0;
    loop {
        match connection.read(&mut bytes) {
            Ok(0) => panic!("the server has ended a connection"),
            Ok(len) => return replies.extend_from_slice(&bytes[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => pause(&mut looks),
            Err(error) => panic!("receiving replies: {error}"),
        }
    }
}

fn pause(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS_IN_A_ROW) {
        std::thread::yield_now();
    }
    (0..PAUSE).for_each(|_| std::hint::spin_loop());
}
