//! Connections that may have something to send, each once, in the order they came to have it.
//!
//! Invariant: a connection that is not in here is not asked for output, however many there are.

use std::collections::VecDeque;

/// The queue of connections to ask.
#[derive(Default)]
pub(super) struct Dirty {
    queue: VecDeque<u32>,
    queued: Vec<bool>,
}

impl Dirty {
    /// Asks `conn` when its turn comes.
    pub(super) fn mark(&mut self, conn: usize) {
        if conn >= self.queued.len() {
            self.queued.resize(conn + 1, false);
        }
        if !std::mem::replace(&mut self.queued[conn], true) {
            self.queue.push_back(conn as u32);
        }
    }

    /// The next one to ask.
    pub(super) fn take(&mut self) -> Option<usize> {
        let conn = self.queue.pop_front()? as usize;
        self.queued[conn] = false;
        Some(conn)
    }

    /// How many wait to be asked.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nobody waits to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
