//! The way of lines to standard error: a bounded queue, and a thread that writes.
//!
//! Invariant: [`Queue::push`] never waits, and no failure of standard error reaches who logs: a full disk, a pipe that nobody
//! reads and one that is closed all only cost lines, which are counted.

use super::super::sys::descriptor;
use crate::limits::LOG_LINES_WAITING_MAX;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait to be written.
pub(super) struct Queue {
    sender: NonBlocking,
    /// Ends the thread when dropped, which a queue of a process never is.
    _worker: WorkerGuard,
    dropped: ErrorCounter,
    pushed: AtomicU64,
    said_lost: AtomicU64,
    progress: Arc<Progress>,
}

/// What the writing thread has done.
#[derive(Default)]
struct Progress {
    written: Mutex<u64>,
    grew: Condvar,
    failed: AtomicU64,
}

impl Queue {
    /// Starts the thread that writes to `to`.
    pub(super) fn new(to: impl Write + Send + 'static) -> Self {
        let progress = Arc::new(Progress::default());
        let sink = Sink { to, progress: progress.clone() };
        let builder =
            NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES_WAITING_MAX).lossy(true).thread_name("log");
        // Signals are for the shard that reads them, and this thread would take them with their default action.
        let (sender, worker) = descriptor::without_signals(|| builder.finish(sink));
        let dropped = sender.error_counter();
        let (pushed, said_lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { sender, _worker: worker, dropped, pushed, said_lost, progress }
    }

    /// Takes a line, or drops and counts it when too many wait.
    pub(super) fn push(&self, line: &str) {
        self.pushed.fetch_add(1, Ordering::Relaxed);
        // It never fails: what it does not take, it counts.
        let _ = self.sender.clone().write_all(line.as_bytes());
    }

    /// How many lines have been lost since the start, if that has not been said.
    pub(super) fn poll_lost(&self) -> Option<u64> {
        let lost = self.lost();
        (self.said_lost.swap(lost, Ordering::Relaxed) < lost).then_some(lost)
    }

    /// Waits until all that was pushed before is written or lost, for `longest` at most.
    pub(super) fn flush(&self, longest: Duration) {
        let pushed = self.pushed.load(Ordering::Relaxed);
        let written = self.progress.written.lock().unwrap_or_else(PoisonError::into_inner);
        let is_behind = |written: &mut u64| *written + (self.dropped.dropped_lines() as u64) < pushed;
        // When it takes longer, nobody reads, and nobody misses the rest.
        drop(self.progress.grew.wait_timeout_while(written, longest, is_behind));
    }

    /// How many lines have been lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.dropped.dropped_lines() as u64 + self.progress.failed.load(Ordering::Relaxed)
    }
}

/// Standard error as the writing thread sees it: it never fails.
struct Sink<W> {
    to: W,
    progress: Arc<Progress>,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to.write_all(line).is_err() {
            self.progress.failed.fetch_add(1, Ordering::Relaxed);
        }
        *self.progress.written.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.progress.grew.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
