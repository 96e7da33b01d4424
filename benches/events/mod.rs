//! Readers of Server-Sent Events: thousands of connections in one thread, each of which reads every event whole.
//!
//! They look for bytes once a millisecond, as a browser's event loop does at best: the server never pays for waking them.
//! In the usual case, where an event comes whole, nothing is copied or allocated. Not here: what the events mean.

#![allow(unsafe_code, reason = "the standard library cannot wait for many sockets")]
#![allow(dead_code, reason = "each bench is its own crate and uses its part of this file")]

use crate::process;
use memchr::memmem::{self, Finder};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

/// Longer than any reply takes.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between looks.
const NAP: Duration = Duration::from_millis(1);
/// Connections of one look.
const EVENTS: usize = 512;
/// Read at once of one connection.
const READ_LEN: usize = 64 * 1024;
/// Between events.
const END: &[u8] = b"\n\n";

/// One stream of events.
struct Connection {
    stream: TcpStream,
    /// The beginning of an event whose end has not come.
    begun: Vec<u8>,
    has_ended: bool,
}

/// All connections to one server.
pub(crate) struct Readers {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Box<[u8]>,
    end: Finder<'static>,
}

impl Readers {
    /// Asks `port` for the stream at `path` so many times, and waits for each answer's head.
    ///
    /// # Panics
    /// When one is refused.
    pub(crate) fn connect(port: SocketAddr, path: &str, count: usize) -> Self {
        // SAFETY: no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the kernel has just made it, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nConnection: keep-alive\r\n\r\n"
        );
        let connections: Vec<_> = (0..count).map(|_| Connection::open(port, request.as_bytes())).collect();
        let readers = Self { epoll, connections, buffer: vec![0; READ_LEN].into_boxed_slice(), end: Finder::new(END) };
        for (at, connection) in readers.connections.iter().enumerate() {
            readers.watch(&connection.stream, at);
        }
        readers
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// How many of them the server has ended.
    pub(crate) fn ended(&self) -> usize {
        self.connections.iter().filter(|connection| connection.has_ended).count()
    }

    /// Reads until `goes_on` says no; each event, without its empty line, is told with its connection's number.
    pub(crate) fn read_while(&mut self, mut goes_on: impl FnMut() -> bool, mut tell: impl FnMut(usize, &[u8])) {
        while goes_on() {
            if self.look(&mut tell) < EVENTS {
                process::wait(NAP);
            }
        }
    }

    /// Reads what is there now; of how many connections, at most some hundred.
    pub(crate) fn look(&mut self, mut tell: impl FnMut(usize, &[u8])) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: `events` is writable and as long as said.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, 0) };
        let count = usize::try_from(count).unwrap_or_else(|_| {
            let error = std::io::Error::last_os_error();
            assert!(error.kind() == ErrorKind::Interrupted, "{error}");
            0
        });
        for event in &events[..count] {
            let at = event.u64 as usize;
            let Self { connections, buffer, end, .. } = self;
            connections[at].read(buffer, end, |event| tell(at, event));
        }
        count
    }

    /// Edge-triggered: a connection that has ended is told once.
    fn watch(&self, stream: &TcpStream, at: usize) {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: at as u64 };
        let (epoll, stream) = (self.epoll.as_raw_fd(), stream.as_raw_fd());
        // SAFETY: `event` lives during the call.
        let failed = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, stream, &raw mut event) } < 0;
        assert!(!failed, "{}", std::io::Error::last_os_error());
    }
}

impl Connection {
    fn open(port: SocketAddr, request: &[u8]) -> Self {
        let mut stream = TcpStream::connect(port).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a connection takes options");
        stream.write_all(request).expect("the server reads");
        let (mut begun, mut bytes) = (Vec::new(), [0; 4096]);
        let head_len = loop {
            if let Some(at) = memmem::find(&begun, b"\r\n\r\n") {
                break at + 4;
            }
            let len = stream.read(&mut bytes).expect("the server answers");
            assert!(len > 0, "no answer: {}", String::from_utf8_lossy(&begun));
            begun.extend_from_slice(&bytes[..len]);
        };
        let head = String::from_utf8_lossy(&begun[..head_len]).to_ascii_lowercase();
        let is_plain = head.starts_with("http/1.1 200 ") && !head.contains("transfer-encoding");
        assert!(is_plain && head.contains("text/event-stream"), "no plain stream of events: {head}");
        begun.drain(..head_len);
        stream.set_nonblocking(true).expect("a connection takes options");
        Self { stream, begun, has_ended: false }
    }

    /// Reads until nothing is left.
    fn read(&mut self, buffer: &mut [u8], end: &Finder<'_>, mut tell: impl FnMut(&[u8])) {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return self.has_ended = true,
                Ok(len) => {
                    self.take(&buffer[..len], end, &mut tell);
                    // Less than asked for was all there is; what comes now is told as a new edge.
                    if len < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.has_ended = true,
                Err(error) => panic!("reading events: {error}"),
            }
        }
    }

    fn take(&mut self, bytes: &[u8], end: &Finder<'_>, mut tell: impl FnMut(&[u8])) {
        if self.begun.is_empty() {
            let rest = whole_events(bytes, end, &mut tell);
            self.begun.extend_from_slice(rest);
            return;
        }
        self.begun.extend_from_slice(bytes);
        let rest_len = whole_events(&self.begun, end, &mut tell).len();
        self.begun.drain(..self.begun.len() - rest_len);
    }
}

/// Tells of every event that is whole; the bytes after the last.
fn whole_events<'a>(mut bytes: &'a [u8], end: &Finder<'_>, tell: &mut impl FnMut(&[u8])) -> &'a [u8] {
    while let Some(at) = end.find(bytes) {
        tell(&bytes[..at]);
        bytes = &bytes[at + END.len()..];
    }
    bytes
}
