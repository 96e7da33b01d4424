//! Leaving: before a drain, subscribers are sent away evenly over a time, so that they do not all come to other nodes at
//! one moment. Everything else goes on: taps are counted, windows close, and whoever is still here gets each frame.
//!
//! The coordinating shard ends it by asking all shards to settle ([`super::settle`]), and then to drain whoever is left. It lasts its whole time, also
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

/// How far the leaving of one shard's subscribers has come.
pub(super) struct Leave {
    quic: Walk,
    event_streams: Walk,
    /// When to ask all shards to settle; none where another shard does, or once it was asked for.
    ends_at: Option<Instant>,
}

/// How far the leaving of those who come in one way has come.
struct Walk {
    pace: Pace,
    begin: Instant,
    total: usize,
    /// Subscribers that had their turn.
    turns: usize,
    /// The place at which turns go on.
    cursor: usize,
    /// Subscribers that had a frame to get when it was their turn.
    behind: VecDeque<usize>,
}

/// A way to watch.
#[derive(Clone, Copy)]
enum Way {
    Quic,
    EventStreams,
}

impl Walk {
    fn new(now: Instant, duration: Duration, total: usize, place: u32) -> Self {
        let pace = Pace::new(now, duration, total, place);
        Self { pace, begin: now, total, turns: 0, cursor: 0, behind: VecDeque::new() }
    }

    fn turns_now(&self, now: Instant) -> usize {
        self.pace.released(now).saturating_sub(self.turns)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (self.turns < self.total).then(|| self.pace.next_release(self.turns, self.begin))
    }
}

impl Leave {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.quic.poll_timeout(), self.event_streams.poll_timeout(), self.ends_at].into_iter().flatten().min()
    }
}

impl Shard {
    /// Sends this shard's subscribers away from now on, and takes no new ones.
    pub(super) fn begin_leaving(&mut self, now: Now) {
        let duration = self.drain.duration();
        self.quic.refuse_new();
        let walk = |subscribers| Walk::new(now.instant, duration, subscribers, u32::from(self.id.0));
        self.drain.handle_leave(Leave {
            quic: walk(self.quic.connections()),
            event_streams: walk(self.event_streams.len()),
            ends_at: self.coordinator.is_some().then(|| now.instant + duration),
        });
    }

    /// Sends away whose turn has come; true when more of them wait.
    pub(super) fn serve_leave(&mut self, now: Now) -> bool {
        let Some(mut leave) = self.drain.take_leave() else { return false };
        let has_more = self.serve_walk(now, &mut leave.quic, Way::Quic);
        let has_more = self.serve_walk(now, &mut leave.event_streams, Way::EventStreams) || has_more;
        let is_over = leave.ends_at.is_some_and(|ends_at| ends_at <= now.instant);
        if is_over {
            leave.ends_at = None;
            self.broadcast(|| MeshMessage::Settle);
        }
        self.drain.handle_leave(leave);
        is_over || has_more
    }

    fn serve_walk(&mut self, now: Now, walk: &mut Walk, way: Way) -> bool {
        let due = walk.turns_now(now.instant);
        if due > 0 {
            // Those first whose turn it was before. After the last turn they are left to the drain.
            for _ in 0..walk.behind.len().min(limits::FANOUT_SLICE) {
                let place = walk.behind.pop_front();
                walk.behind.extend(place.filter(|&place| !self.send_away(now, way, place)));
            }
            self.take_turns(now, walk, way, due.min(limits::FANOUT_SLICE));
        }
        walk.turns_now(now.instant) > 0
    }

    fn take_turns(&mut self, now: Now, walk: &mut Walk, way: Way, turns: usize) {
        for _ in 0..turns {
            let place = match way {
                Way::Quic => self.quic.connection_from(walk.cursor),
                Way::EventStreams => self.event_streams.stream_from(walk.cursor),
            };
            let Some(place) = place else {
                // Some have left by themselves.
                walk.turns = walk.total;
                return;
            };
            walk.turns += 1;
            walk.cursor = place + 1;
            if !self.send_away(now, way, place) {
                walk.behind.push_back(place);
            }
        }
    }

    fn send_away(&mut self, now: Now, way: Way, place: usize) -> bool {
        match way {
            Way::Quic => self.send_connection_away(now, place),
            Way::EventStreams => self.send_event_stream_away(place),
        }
    }

    /// Ends a connection's subscriptions and closes it once its peer has everything; false, and nothing happens, while it
    /// has a frame to get.
    fn send_connection_away(&mut self, now: Now, conn: usize) -> bool {
        if !self.is_caught_up(conn) {
            return false;
        }
        self.end_subscriptions(conn);
        self.quic.part(now.instant, conn, CloseCode::Draining, "the server is going away");
        // Those without anything to get are closed already.
        self.handle_quic_events(now);
        true
    }

    /// The same of an event stream.
    fn send_event_stream_away(&mut self, place: usize) -> bool {
        let is_caught_up = self.event_streams.is_caught_up(place);
        if is_caught_up {
            self.end_event_stream(place);
        }
        is_caught_up
    }
}
