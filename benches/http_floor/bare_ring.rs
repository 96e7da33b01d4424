//! The floor by completion: one ring, multishot accept, multishot receive into provided buffers.
//!
//! Replies go out by an operation of the ring, or directly by the system call: the two ways that the appliance could
//! choose. A process of its own, so that its CPU time can be told apart. Not here: parsing, counting, time-outs,
//! anything that could go wrong.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::exchange::{Boundaries, RECEIVE_LEN, Replies};
use crate::provided::{self, Provided};
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, RawFd};

/// Provided buffers: two for each connection of the largest row.
const BUFFERS: u16 = 1024;
/// Submissions of one turn: a reply on each connection of the largest row.
const ENTRIES: u32 = 512;
/// Keeps the buffers' beginnings off one another's cache sets.
const SLACK: usize = 192;

/// How replies leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "not every bench with this floor sends both ways")]
pub(crate) enum Sending {
    /// An operation of the ring, submitted with the next wait.
    Ring,
    /// The system call, at once.
    Direct,
}

/// What an operation was for, in its user data; the low half is a descriptor, or the length of a send.
const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const KIND: u64 = !(u32::MAX as u64);

struct Loop {
    ring: IoUring,
    provided: Provided,
    replies: Replies,
    sending: Sending,
    listener: RawFd,
    /// By file descriptor.
    boundaries: Vec<Boundaries>,
}

/// Serves until the process is ended.
pub(crate) fn run(listener: &TcpListener, sending: Sending) -> ! {
    let ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4 * u32::from(BUFFERS))
        .build(ENTRIES)
        .expect("a ring");
    // SAFETY: both end with the process.
    let provided = unsafe { Provided::register(&ring, BUFFERS, RECEIVE_LEN + SLACK) };
    let (replies, listener) = (Replies::new(), listener.as_raw_fd());
    let mut serving = Loop { ring, provided, replies, sending, listener, boundaries: Vec::new() };
    serving.accept();
    let mut completions = Vec::new();
    loop {
        if let Err(error) = serving.ring.submit_and_wait(1) {
            // Being stopped and continued interrupts.
            assert!(error.kind() == std::io::ErrorKind::Interrupted, "{error}");
        }
        completions.extend(serving.ring.completion());
        for completion in completions.drain(..) {
            serving.handle(&completion);
        }
    }
}

impl Loop {
    fn handle(&mut self, completion: &cqueue::Entry) {
        let (kind, low) = (completion.user_data() & KIND, completion.user_data() as u32);
        match kind {
            ACCEPT => self.handle_accepted(completion),
            RECEIVE => self.handle_received(low as RawFd, completion),
            _ => assert!(completion.result() == low as i32, "a reply was sent whole: {}", completion.result()),
        }
    }

    fn handle_accepted(&mut self, completion: &cqueue::Entry) {
        let fd = completion.result();
        assert!(fd >= 0, "accepting: {}", std::io::Error::from_raw_os_error(-fd));
        if self.boundaries.len() <= fd as usize {
            self.boundaries.resize(fd as usize + 1, Boundaries::new());
        }
        self.boundaries[fd as usize] = Boundaries::new();
        self.receive(fd);
        if !cqueue::more(completion.flags()) {
            self.accept();
        }
    }

    fn handle_received(&mut self, fd: RawFd, completion: &cqueue::Entry) {
        let buffer = cqueue::buffer_select(completion.flags());
        if let Ok(received_len @ 1..) = usize::try_from(completion.result()) {
            let count = self.boundaries[fd as usize].advance(received_len);
            if count > 0 {
                self.send(fd, self.replies.of(count));
            }
        }
        if let Some(buffer) = buffer {
            self.provided.give(buffer);
        }
        if cqueue::more(completion.flags()) {
            return;
        }
        match completion.result() {
            1.. => self.receive(fd),
            result if result == -libc::ENOBUFS => self.receive(fd),
            // SAFETY: the peer has ended, and no operation of the ring holds the descriptor.
            _ => drop(unsafe { libc::close(fd) }),
        }
    }

    fn accept(&mut self) {
        let accept = opcode::AcceptMulti::new(types::Fd(self.listener)).flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        self.push(&accept.build().user_data(ACCEPT));
    }

    fn receive(&mut self, fd: RawFd) {
        let receive = opcode::RecvMulti::new(types::Fd(fd), provided::GROUP);
        self.push(&receive.build().user_data(RECEIVE | fd as u64));
    }

    fn send(&mut self, fd: RawFd, bytes: &'static [u8]) {
        match self.sending {
            Sending::Ring => {
                let send = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), bytes.len() as u32)
                    .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
                self.push(&send.build().user_data(SEND | bytes.len() as u64));
            }
            Sending::Direct => {
                // SAFETY: `bytes` is readable.
                let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
                assert!(usize::try_from(sent) == Ok(bytes.len()), "a reply was sent whole: {sent}");
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: replies stay until the process ends; nothing else points to memory.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit().expect("the kernel takes submissions");
        }
    }
}
