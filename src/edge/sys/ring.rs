//! The second ring of a shard: what `io-uring` offers, behind calls that cannot be misused.
//!
//! Buffers of operations under way are owned here until their completion. The ring is never waited in: the shard
//! enters it to submit and to collect, and parks elsewhere (see `doorbell`).

use super::buffer_ring::{self, BufferRing};
use crate::limits;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What the owner of an operation wants to be told with its completion.
pub type Token = u64;

/// Submissions that fit before a turn's end. What exceeds them is submitted early.
const ENTRIES: u32 = 1024;
/// Completions: at least as many as there are buffers, so that a full ring never drops a receive.
const COMPLETIONS: u32 = 8192;
const _: () = assert!(COMPLETIONS >= limits::TCP_BUFFERS as u32);

/// Tokens of owners have these bits clear. With the first, the rest is the slab key of a send; with the second, the
/// result is a descriptor.
const SEND_TAG: u64 = 1 << 63;
const ACCEPT_TAG: u64 = 1 << 62;

/// The end of an operation, or one result of a multishot one.
#[derive(Debug)]
pub struct Completion {
    /// Of the operation.
    pub token: Token,
    /// Negative: an errno.
    pub result: i32,
    flags: u32,
    /// The buffer of a send, back from the kernel.
    pub sent: Option<Vec<u8>>,
    /// The connection that was accepted.
    pub accepted: Option<OwnedFd>,
}

impl Completion {
    /// Whether a multishot operation goes on.
    pub fn has_more(&self) -> bool {
        cqueue::more(self.flags)
    }
}

/// A ring, its provided buffers and the sends under way.
pub struct Ring {
    // Dropped first: afterwards the kernel touches none of the memory below.
    ring: IoUring,
    buffers: BufferRing,
    sends: Slab<Sending>,
    /// Apart from the ring, which may move before the kernel has read it.
    timeout: Box<types::Timespec>,
}

struct Sending {
    bytes: Vec<u8>,
    token: Token,
}

impl Ring {
    /// A ring for the calling thread, which alone may submit to it.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .dontfork()
            .build(ENTRIES)?;
        let buffers = BufferRing::register(&ring, limits::TCP_BUFFERS, limits::TCP_BUFFER)?;
        Ok(Self { ring, buffers, sends: Slab::new(), timeout: Box::default() })
    }

    /// Has `eventfd` signalled for completions while signals are on.
    pub fn register_doorbell(&mut self, eventfd: &impl AsRawFd) -> io::Result<()> {
        self.ring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        self.set_doorbell(false);
        Ok(())
    }

    /// Turns the signals of completions on or off.
    pub fn set_doorbell(&mut self, on: bool) {
        let completions = self.ring.completion();
        if on {
            completions.enable_eventfd();
        } else {
            completions.disable_eventfd();
        }
    }

    /// Completes once when `fd` is readable.
    pub fn poll_readable(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        self.push(opcode::PollAdd::new(types::Fd(fd), libc::POLLIN as u32).build(), token)
    }

    /// Completes once when `fd` is writable.
    pub fn poll_writable(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        self.push(opcode::PollAdd::new(types::Fd(fd), libc::POLLOUT as u32).build(), token)
    }

    /// Accepts connections until it completes without more; each result is a descriptor.
    pub fn accept_multishot(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        self.push(opcode::AcceptMulti::new(types::Fd(fd)).flags(flags).build(), ACCEPT_TAG | token)
    }

    /// Receives into provided buffers until it completes without more.
    pub fn receive_multishot(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        self.push(opcode::RecvMulti::new(types::Fd(fd), buffer_ring::GROUP).build(), token)
    }

    /// Sends all of `bytes`; they come back with the completion.
    pub fn send(&mut self, fd: RawFd, token: Token, bytes: Vec<u8>) -> io::Result<()> {
        let (start, len) = (bytes.as_ptr(), bytes.len() as u32);
        let key = self.sends.insert(Sending { bytes, token });
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let send = opcode::Send::new(types::Fd(fd), start, len).flags(flags).build();
        self.push(send, SEND_TAG | key as u64)
    }

    /// Ends the operation of `target`, which completes in its own time. Accepts have [`Self::cancel_accept`].
    pub fn cancel(&mut self, target: Token, token: Token) -> io::Result<()> {
        self.push(opcode::AsyncCancel::new(target).build(), token)
    }

    /// Ends the accept of `target`, which completes in its own time.
    pub fn cancel_accept(&mut self, target: Token, token: Token) -> io::Result<()> {
        self.push(opcode::AsyncCancel::new(ACCEPT_TAG | target).build(), token)
    }

    /// Completes after `wait`.
    pub fn timeout(&mut self, wait: std::time::Duration, token: Token) -> io::Result<()> {
        *self.timeout = wait.into();
        // The kernel reads the duration when the entry is submitted: at once, so that the field can serve again. Should it
        // refuse for a moment, an earlier timeout takes on the value of this one, which only comes sooner.
        self.push(opcode::Timeout::new(&raw const *self.timeout).build(), token)?;
        self.submit()
    }

    /// Submits what was pushed, lets the kernel finish what is ready, and collects it into `completions`. False when the
    /// kernel wants to be entered again: it did not take all, or has more to finish.
    pub fn enter(&mut self, completions: &mut Vec<Completion>) -> io::Result<bool> {
        let Self { ring, sends, .. } = self;
        let (submitter, mut submissions, finished) = ring.split();
        submissions.sync();
        if !submissions.is_empty() || submissions.taskrun() || submissions.cq_overflow() {
            // With deferred task work, completions appear only when this thread asks for events.
            // SAFETY: no argument is passed, and the entries were checked when they were pushed.
            let entered = unsafe { submitter.enter::<libc::sigset_t>(submissions.len() as u32, 0, GETEVENTS, None) };
            ignore_transient(entered)?;
        }
        submissions.sync();
        let is_settled = submissions.is_empty() && !submissions.taskrun() && !submissions.cq_overflow();
        drop((submissions, finished));
        for entry in ring.completion() {
            completions.push(completion(&entry, sends));
        }
        Ok(is_settled)
    }

    /// The bytes that a receive's completion brought, and the number of their buffer, to be given back.
    pub fn received(&self, completion: &Completion) -> Option<(u16, &[u8])> {
        self.buffers.received(completion.flags, usize::try_from(completion.result).ok()?)
    }

    /// Returns a buffer of [`Self::received`].
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    fn push(&mut self, entry: squeue::Entry, token: Token) -> io::Result<()> {
        let entry = entry.user_data(token);
        loop {
            // SAFETY: descriptors are the caller's and an unknown one is refused by the kernel; memory that entries
            // point to is owned by `self` until their completion (`sends`, `buffers`) or read at once (`timeout`).
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        ignore_transient(self.ring.submit())
    }
}

const GETEVENTS: u32 = 1;

fn completion(entry: &cqueue::Entry, sends: &mut Slab<Sending>) -> Completion {
    let (token, result, flags) = (entry.user_data(), entry.result(), entry.flags());
    let mut completion = Completion { token, result, flags, sent: None, accepted: None };
    if token & SEND_TAG != 0 {
        let sending = sends.remove((token & !SEND_TAG) as usize);
        completion.token = sending.token;
        completion.sent = Some(sending.bytes);
    } else if token & ACCEPT_TAG != 0 {
        completion.token = token & !ACCEPT_TAG;
        // SAFETY: a successful accept's result is a new descriptor, which nobody else owns.
        completion.accepted = (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) });
    }
    completion
}

/// Interrupted, or completions are to be collected first: the next turn goes on.
fn ignore_transient(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The ring is torn down after this call returns; the kernel may read a send's bytes until then.
        std::mem::forget(std::mem::take(&mut self.sends));
    }
}

/// Whether this process may use io_uring as shards do.
pub fn probe() -> io::Result<()> {
    let mut builder = IoUring::<squeue::Entry, cqueue::Entry>::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().build(8).map(drop)
}

/// What to change when [`probe`] has failed.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "set `sysctl kernel.io_uring_disabled=0`, and in a container allow io_uring_setup, io_uring_enter and \
             io_uring_register in its seccomp profile"
        }
        Some(libc::ENOMEM) => "raise the limit of locked memory: `ulimit -l unlimited` or LimitMEMLOCK=infinity",
        _ => "use Linux 6.1 or newer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    const RECEIVE: Token = 1;

    /// The next completion; everything it needs has been done by this thread, so it is not long in coming.
    fn next(ring: &mut Ring) -> Completion {
        let mut completions = Vec::new();
        for _ in 0..1_000_000 {
            ring.enter(&mut completions).unwrap();
            if let Some(completion) = completions.pop() {
                assert_eq!((completion.token, completions.len()), (RECEIVE, 0));
                return completion;
            }
        }
        panic!("nothing completes");
    }

    #[test]
    fn a_receive_that_found_no_buffer_ends_and_loses_nothing() {
        let mut ring = Ring::new().unwrap();
        let (mut writer, reader) = UnixStream::pair().unwrap();
        ring.receive_multishot(reader.as_raw_fd(), RECEIVE).unwrap();
        let mut held = Vec::new();
        for number in 0..limits::TCP_BUFFERS {
            writer.write_all(&number.to_le_bytes()).unwrap();
            let completion = next(&mut ring);
            let (buffer, bytes) = ring.received(&completion).unwrap();
            assert_eq!(bytes, number.to_le_bytes());
            assert!(completion.has_more());
            held.push(buffer);
        }
        for _ in 0..2 {
            writer.write_all(b"!").unwrap();
            let ended = next(&mut ring);
            assert_eq!((ended.result, ended.has_more()), (-libc::ENOBUFS, false));
            ring.receive_multishot(reader.as_raw_fd(), RECEIVE).unwrap();
        }
        // As in a turn of the shard loop: it is submitted when the ring is next entered, and buffers are back by then.
        held.into_iter().for_each(|buffer| ring.give_back(buffer));
        let completion = next(&mut ring);
        let (_, bytes) = ring.received(&completion).unwrap();
        assert_eq!(bytes, b"!!");
    }
}
