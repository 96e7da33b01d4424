//! The second ring of a shard: what `io-uring` offers, behind calls that cannot be misused.
//!
//! Buffers of operations under way are owned here until the kernel is done with them. Sends do not wait: the kernel copies
//! all bytes when it takes the entry, and only what does not fit the socket's buffer comes back, as [`Unsent`].

use super::buffer_ring::{self, BufferRing};
use crate::limits;
use bytes::Bytes;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// What the owner of an operation wants to be told with its completion.
pub type Token = u64;

/// Submissions that fit before a turn's end. What exceeds them is submitted early.
const ENTRIES: u32 = 1024;
/// Completions: at least as many as there are buffers, so that a full ring never drops a receive.
const COMPLETIONS: u32 = 8192;
const _: () = assert!(COMPLETIONS >= limits::TCP_BUFFERS as u32);

/// Tokens of owners have this bit clear. With it, the operation was a send.
const SEND_TAG: u64 = 1 << 63;
/// Reply buffers kept for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 1024;
const SPARE_BUFFER_BYTES: usize = 16 * 1024;

/// The end of an operation, or one result of a multishot one.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// Of the operation.
    pub token: Token,
    /// Negative: an errno.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// Whether a multishot operation goes on.
    pub fn has_more(&self) -> bool {
        cqueue::more(self.flags)
    }
}

/// The bytes of a send.
#[derive(Debug)]
pub enum Outgoing {
    /// Those of one connection. Their buffer serves again once they are sent.
    Owned(Vec<u8>),
    /// Those that many connections are sent.
    Shared(Bytes),
}

impl Outgoing {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A send of which the kernel did not take everything.
#[derive(Debug)]
pub struct Unsent {
    /// Of the send.
    pub token: Token,
    /// All bytes of the send.
    pub bytes: Outgoing,
    /// Of these, how many the kernel has taken, now and before; the others are to be sent when the socket is writable. An
    /// error when it never will be.
    pub taken: io::Result<usize>,
}

/// A ring, its provided buffers and the sends that the kernel has not taken.
pub struct Ring {
    // Dropped first: afterwards the kernel touches none of the memory below.
    ring: IoUring,
    buffers: BufferRing,
    sends: Vec<Sending>,
    unsent: Vec<Unsent>,
    spare: Vec<Vec<u8>>,
    /// The fewest spare buffers since [`Self::trim`]: that many were not needed.
    spare_unused: usize,
    /// Apart from the ring, which may move before the kernel has read it.
    timeout: Box<types::Timespec>,
}

struct Sending {
    token: Token,
    bytes: Outgoing,
    /// The send begins here.
    from: usize,
}

impl Ring {
    /// A ring for the calling thread, which alone may submit to it.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            // One entry that cannot be taken does not hold up those behind it.
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .dontfork()
            .build(ENTRIES)?;
        let buffers = BufferRing::register(&ring, limits::TCP_BUFFERS, limits::TCP_BUFFER)?;
        Ok(Self {
            ring,
            buffers,
            sends: Vec::new(),
            unsent: Vec::new(),
            spare: Vec::new(),
            spare_unused: 0,
            timeout: Box::default(),
        })
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

    /// Receives into provided buffers until it completes without more.
    pub fn receive_multishot(&mut self, fd: RawFd, token: Token) -> io::Result<()> {
        self.push(opcode::RecvMulti::new(types::Fd(fd), buffer_ring::GROUP).build(), token)
    }

    /// Sends `bytes`, but for those before `from`, when the ring is next entered. If the socket has no room for all, they
    /// are then in [`Self::poll_unsent`].
    /// A token may have one send until the ring is entered, so that nothing overtakes what did not fit.
    pub fn send(&mut self, fd: RawFd, token: Token, bytes: Outgoing, from: usize) -> io::Result<()> {
        let rest = &bytes.as_slice()[from..];
        let (start, len) = (rest.as_ptr(), rest.len() as u32);
        self.sends.push(Sending { token, bytes, from });
        // Not waiting, the kernel is done with the bytes when it has taken the entry; with WAITALL a short send counts as
        // a failure, and only failures complete.
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | libc::MSG_DONTWAIT;
        let send = opcode::Send::new(types::Fd(fd), start, len).flags(flags).build();
        self.push(send.flags(squeue::Flags::SKIP_SUCCESS), SEND_TAG | token)
    }

    /// What the kernel did not take of the sends before the ring was last entered.
    pub fn poll_unsent(&mut self) -> Option<Unsent> {
        self.unsent.pop()
    }

    /// Whether [`Self::poll_unsent`] has something.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// An empty buffer for a send, if an earlier one is done with.
    pub fn spare_buffer(&mut self) -> Vec<u8> {
        let buffer = self.spare.pop().unwrap_or_default();
        self.spare_unused = self.spare_unused.min(self.spare.len());
        buffer
    }

    /// Gives back the memory that a burst has left: spare buffers that were not needed since the last call, and what provided
    /// buffers hold beyond those of a quiet time. Completions that were collected have been handled.
    pub fn trim(&mut self) {
        self.spare.drain(..self.spare_unused);
        self.spare_unused = self.spare.len();
        // A completion that was not collected may have brought bytes that are still in a buffer.
        if self.ring.completion().is_empty() && !self.has_unfinished() {
            self.buffers.trim();
        }
    }

    /// Takes back a buffer that was not sent.
    pub fn keep_spare(&mut self, buffer: Vec<u8>) {
        keep_spare(&mut self.spare, buffer);
    }

    /// Ends the operation of `target`, which completes in its own time.
    pub fn cancel(&mut self, target: Token, token: Token) -> io::Result<()> {
        self.push(opcode::AsyncCancel::new(target).build(), token)
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
    /// kernel wants to be entered again, as it has more to finish.
    pub fn enter(&mut self, completions: &mut Vec<Completion>) -> io::Result<bool> {
        for _ in 0..ENTERS_MAX {
            let pushed = self.unsubmitted();
            if pushed > 0 || self.has_unfinished() {
                // With deferred task work, completions appear only when this thread asks for events.
                // SAFETY: no argument is passed, and the entries were checked when they were pushed.
                let entered =
                    unsafe { self.ring.submitter().enter::<libc::sigset_t>(pushed as u32, 0, GETEVENTS, None) };
                ignore_transient(entered)?;
            }
            self.collect(completions);
            if self.is_taken() {
                return Ok(!self.has_unfinished());
            }
        }
        Err(io::Error::other("the kernel does not take what the ring submits: it is out of memory"))
    }

    /// As [`Self::enter`], and sleeps until something completes, at most for `longest`.
    pub fn wait(&mut self, longest: std::time::Duration, completions: &mut Vec<Completion>) -> io::Result<()> {
        let longest = types::Timespec::from(longest);
        let args = types::SubmitArgs::new().timespec(&longest);
        match self.ring.submitter().submit_with_args(1, &args) {
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
            entered => ignore_transient(entered)?,
        }
        self.collect(completions);
        if !self.is_taken() {
            self.enter(completions)?;
        }
        Ok(())
    }

    /// Whether the kernel has taken every entry, and has told of every send that failed.
    fn is_taken(&mut self) -> bool {
        let submissions = self.ring.submission();
        submissions.is_empty() && !submissions.cq_overflow()
    }

    fn unsubmitted(&mut self) -> usize {
        self.ring.submission().len()
    }

    fn has_unfinished(&mut self) -> bool {
        let submissions = self.ring.submission();
        submissions.taskrun() || submissions.cq_overflow()
    }

    fn collect(&mut self, completions: &mut Vec<Completion>) {
        let Self { ring, sends, unsent, .. } = self;
        let mut place = 0;
        for entry in ring.completion() {
            if entry.user_data() & SEND_TAG == 0 {
                completions.push(completion(&entry));
            } else {
                unsent.extend(failed_send(&entry, sends, &mut place));
            }
        }
        if self.is_taken() {
            for sent in self.sends.drain(..) {
                if let Outgoing::Owned(buffer) = sent.bytes {
                    keep_spare(&mut self.spare, buffer);
                }
            }
        }
    }

    /// The bytes that a receive's completion brought, and the number of their buffer, to be given back.
    pub fn received(&self, completion: &Completion) -> Option<(u16, &[u8])> {
        self.buffers.received(completion.flags, usize::try_from(completion.result).ok()?)
    }

    /// A receive has ended because the kernel had no buffer: lends it more, if there are more.
    pub fn lend_more_buffers(&mut self) {
        self.buffers.lend_more();
    }

    /// Returns a buffer of [`Self::received`].
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    fn push(&mut self, entry: squeue::Entry, token: Token) -> io::Result<()> {
        let entry = entry.user_data(token);
        loop {
            // SAFETY: descriptors are the caller's and an unknown one is refused by the kernel. Memory that entries point to
            // is owned by `self`: provided buffers as long as the ring lives; a send's bytes until the kernel has taken its
            // entry, which it is then done with, as it may neither wait nor be deferred; a timeout until it was submitted.
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
/// Times that the kernel may refuse to take all entries in one go.
const ENTERS_MAX: usize = 1024;

/// What is left of a send. Sends fail in the order in which they were pushed, so each is looked for from `place` on.
fn failed_send(entry: &cqueue::Entry, sends: &mut [Sending], place: &mut usize) -> Option<Unsent> {
    let token = entry.user_data() & !SEND_TAG;
    let count = sends.len();
    let at = (*place..count).chain(0..*place).find(|&at| sends[at].token == token)?;
    *place = at;
    let sending = &mut sends[at];
    let taken = match entry.result() {
        result if result == -libc::EAGAIN => Ok(sending.from),
        result @ ..0 => Err(io::Error::from_raw_os_error(-result)),
        taken => Ok((sending.from + taken as usize).min(sending.bytes.as_slice().len())),
    };
    Some(Unsent { token, bytes: std::mem::replace(&mut sending.bytes, Outgoing::Owned(Vec::new())), taken })
}

fn keep_spare(spare: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    if (1..=SPARE_BUFFER_BYTES).contains(&buffer.capacity()) && spare.len() < SPARE_BUFFERS {
        buffer.clear();
        spare.push(buffer);
    }
}

fn completion(entry: &cqueue::Entry) -> Completion {
    Completion { token: entry.user_data(), result: entry.result(), flags: entry.flags() }
}

/// Interrupted, or completions are to be collected first: the next turn goes on.
fn ignore_transient(entered: io::Result<usize>) -> io::Result<()> {
    match entered {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Ok(()),
        Err(error) => Err(error),
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
mod tests;
