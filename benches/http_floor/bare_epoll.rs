//! The floor by readiness: level-triggered epoll, one receive and one send for whatever a connection has sent.
//!
//! A process of its own, so that its CPU time can be told apart. Not here: parsing, counting, time-outs, anything that
//! could go wrong.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::exchange::{Boundaries, RECEIVE_LEN, Replies};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

/// Events of one wait; all connections of the largest row.
const EVENTS: usize = 512;

/// One connection; they are found by file descriptor.
struct Connection {
    stream: TcpStream,
    boundaries: Boundaries,
}

/// Serves until the process is ended.
pub(crate) fn run(listener: &TcpListener) -> ! {
    let epoll = create();
    watch(epoll, listener);
    let replies = Replies::new();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = [0; RECEIVE_LEN];
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    loop {
        for event in wait(epoll, &mut events) {
            let fd = event.u64 as usize;
            if fd == listener.as_raw_fd() as usize {
                accept(epoll, listener, &mut connections);
            } else if let Some(connection) = &mut connections[fd]
                && !connection.serve(&mut buffer, &replies)
            {
                connections[fd] = None;
            }
        }
    }
}

impl Connection {
    /// False when the peer has ended.
    fn serve(&mut self, buffer: &mut [u8; RECEIVE_LEN], replies: &Replies) -> bool {
        let received_len = match self.stream.read(buffer) {
            Ok(0) => return false,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => panic!("receiving: {error}"),
        };
        let count = self.boundaries.advance(received_len);
        if count > 0 {
            self.stream.write_all(replies.of(count)).expect("the generator reads its replies");
        }
        true
    }
}

fn accept(epoll: RawFd, listener: &TcpListener, connections: &mut Vec<Option<Connection>>) {
    let (stream, _) = listener.accept().expect("the listener is ready");
    stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).expect("a connection takes options");
    watch(epoll, &stream);
    let fd = stream.as_raw_fd() as usize;
    if connections.len() <= fd {
        connections.resize_with(fd + 1, || None);
    }
    connections[fd] = Some(Connection { stream, boundaries: Boundaries::new() });
}

fn create() -> RawFd {
    // SAFETY: no pointers.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(epoll >= 0, "{}", std::io::Error::last_os_error());
    epoll
}

/// A socket leaves on its own when it is closed.
fn watch(epoll: RawFd, socket: &impl AsRawFd) {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: socket.as_raw_fd() as u64 };
    // SAFETY: `event` lives during the call.
    let failed = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) } < 0;
    assert!(!failed, "{}", std::io::Error::last_os_error());
}

/// Being stopped and continued interrupts; then there are no events.
fn wait(epoll: RawFd, events: &mut [libc::epoll_event; EVENTS]) -> &[libc::epoll_event] {
    // SAFETY: `events` is writable and as long as said.
    let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), EVENTS as i32, -1) };
    let Ok(count) = usize::try_from(count) else {
        let error = std::io::Error::last_os_error();
        assert!(error.kind() == ErrorKind::Interrupted, "{error}");
        return &[];
    };
    &events[..count]
}
