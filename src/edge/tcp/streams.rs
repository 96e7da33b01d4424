//! Connections that are event streams: they have asked for frames as they come (Server-Sent Events).
//!
//! Invariant: events are appended whole, [`STREAM_EVENTS_MAX`] at most in a turn, and only while the kernel has taken those
//! before: the shard is told when it has not, and when it has. Not here: which event when (the shard), and when a stream is
//! over (`sweep`, `departures`).

use super::{Conn, State, Tcp, find};
use crate::edge::sys::ring::Ring;
use crate::edge::sys::socket_option::limit_unacknowledged;
use crate::limits::{STREAM_EVENTS_MAX, STREAM_SLICE, STREAM_UNACKNOWLEDGED_MIN};
use crate::shard::{Shard, StreamWrite};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// A comment, which readers of events pass over.
const HEARTBEAT: &[u8] = b":\n\n";

impl Tcp {
    /// Takes what the turn has written to streams. Before [`Self::flush`], in the same turn.
    pub fn handle_stream_writes(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) {
        while let Some((conn, write)) = shard.poll_stream_write() {
            let Some(known) = find(&mut self.conns, conn).filter(|known| known.state == State::Streaming) else {
                continue;
            };
            match write {
                StreamWrite::Event(event) => {
                    known.events += 1;
                    debug_assert!(!known.is_full && usize::from(known.events) <= STREAM_EVENTS_MAX, "too many events");
                    known.append(now, event, ring);
                }
                StreamWrite::End => known.state = State::Finishing,
            }
            self.note_change(conn);
        }
    }

    /// A slice of those to which nothing was sent for long; the next turn goes on.
    pub(super) fn send_heartbeats(&mut self, now: Instant, ring: &mut Ring) {
        for conn in self.quiet.split_off(self.quiet.len().saturating_sub(STREAM_SLICE)) {
            if let Some(known) = find(&mut self.conns, conn).filter(|known| known.state == State::Streaming)
                && self.time_limits.wants_heartbeat(known, now)
            {
                known.append(now, Bytes::from_static(HEARTBEAT), ring);
                self.note_change(conn);
            }
        }
    }
}

impl Conn {
    /// Of a reader that takes something at least once in `send_timeout` or [`STREAM_UNACKNOWLEDGED_MIN`], as the limit is when the stream begins.
    pub(super) fn begin_stream(&self, send_timeout: Duration) -> State {
        // Without the limit a stream works too; a reader that has vanished is only noticed when the kernel has no room for it
        // any more.
        let _ = limit_unacknowledged(self.fd(), send_timeout.max(STREAM_UNACKNOWLEDGED_MIN));
        State::Streaming
    }

    fn append(&mut self, now: Instant, event: Bytes, ring: &mut Ring) {
        self.replies.push_event(event, ring);
        self.since = now;
    }
}
