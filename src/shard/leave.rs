//! Leaving: before a drain, subscribers are sent away evenly over a time, so that they do not all come to other nodes at
//! one moment. Everything else goes on: taps are counted, windows close, and whoever is still here gets each frame.
//!
//! The coordinating shard ends it by asking for the drain, which is for whoever is left. It lasts its whole time, also
//! without subscribers, as those who send taps find out by the readiness of the node.
//!
//! Invariant: a subscriber is sent away between two frames, never in the middle of one that it was offered.

use super::{MeshMessage, Shard};
use crate::fanout::Pace;
use crate::limits;
use crate::window::Now;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use uproar_wire::hello::CloseCode;

/// How far the leaving of one shard's connections has come.
pub(super) struct Leave {
    pace: Pace,
    begin: Instant,
    total: usize,
    /// Connections that had their turn.
    turns: usize,
    /// The slot at which turns go on.
    cursor: usize,
    /// Connections that had a frame to get when it was their turn.
    behind: VecDeque<usize>,
    /// When to ask for the drain; none where another shard does, or once it was asked for.
    ends_at: Option<Instant>,
}

impl Leave {
    fn new(now: Instant, duration: Duration, connections: usize, place: u32) -> Self {
        Self {
            pace: Pace::new(now, duration, connections, place),
            begin: now,
            total: connections,
            turns: 0,
            cursor: 0,
            behind: VecDeque::new(),
            ends_at: None,
        }
    }

    fn turns_now(&self, now: Instant) -> usize {
        self.pace.released(now).saturating_sub(self.turns)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let next = (self.turns < self.total).then(|| self.pace.next_release(self.turns, self.begin));
        next.into_iter().chain(self.ends_at).min()
    }
}

impl Shard {
    /// Sends this shard's connections away from now on, and takes no new ones.
    pub(super) fn begin_leaving(&mut self, now: Now) {
        let duration = self.drain.duration();
        self.quic.refuse_new();
        let mut leave = Leave::new(now.instant, duration, self.quic.connections(), u32::from(self.id.0));
        leave.ends_at = self.coordinator.is_some().then(|| now.instant + duration);
        self.drain.handle_leave(leave);
    }

    /// Sends away whose turn has come; true when more of them wait.
    pub(super) fn serve_leave(&mut self, now: Now) -> bool {
        let Some(mut leave) = self.drain.take_leave() else { return false };
        let due = leave.turns_now(now.instant);
        if due > 0 {
            // Those first whose turn it was before. After the last turn they are left to the drain.
            for _ in 0..leave.behind.len().min(limits::FANOUT_SLICE) {
                let conn = leave.behind.pop_front();
                leave.behind.extend(conn.filter(|&conn| !self.send_away(now, conn)));
            }
            self.take_turns(now, &mut leave, due.min(limits::FANOUT_SLICE));
        }
        let is_over = leave.ends_at.is_some_and(|ends_at| ends_at <= now.instant);
        if is_over {
            leave.ends_at = None;
            self.broadcast(|| MeshMessage::Drain);
        }
        let has_more = is_over || leave.turns_now(now.instant) > 0;
        self.drain.handle_leave(leave);
        has_more
    }

    fn take_turns(&mut self, now: Now, leave: &mut Leave, turns: usize) {
        for _ in 0..turns {
            let Some(conn) = self.quic.connection_from(leave.cursor) else {
                // Some have left by themselves.
                leave.turns = leave.total;
                return;
            };
            leave.turns += 1;
            leave.cursor = conn + 1;
            if !self.send_away(now, conn) {
                leave.behind.push_back(conn);
            }
        }
    }

    /// Ends a connection's subscriptions and closes it once its peer has everything; false, and nothing happens, while it
    /// has a frame to get.
    fn send_away(&mut self, now: Now, conn: usize) -> bool {
        if !self.is_caught_up(conn) {
            return false;
        }
        self.end_subscriptions(conn);
        self.quic.part(now.instant, conn, CloseCode::Draining, "the server is going away");
        // Those without anything to get are closed already.
        self.handle_quic_events(now);
        true
    }
}
