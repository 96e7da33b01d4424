//! Connections that have asked for frames as they come (Server-Sent Events).
//!
//! Invariant: events are appended whole, and only while the kernel has taken those before: the shard is told when it has
//! not, and when it has. Not here: which event when (the shard), and when a stream is over (`sweep`, `departures`).

use super::{Conn, State, Tcp, find};
use crate::edge::sys::ring::Ring;
use crate::edge::sys::socket_option::limit_unsent;
use crate::limits::{STREAM_SLICE, STREAM_UNSENT_BYTES};
use crate::shard::{Shard, StreamWrite};
use std::time::Instant;

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
                StreamWrite::Event(event) => known.append(now, &event, ring),
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
                known.append(now, HEARTBEAT, ring);
                self.note_change(conn);
            }
        }
    }
}

impl Conn {
    pub(super) fn begin_stream(&self) -> State {
        // Without the limit a stream works too; its reader only gets older frames after a pause.
        let _ = limit_unsent(self.fd(), STREAM_UNSENT_BYTES);
        State::Streaming
    }

    fn append(&mut self, now: Instant, event: &[u8], ring: &mut Ring) {
        if self.replies.capacity() == 0 {
            self.replies = ring.spare_buffer();
        }
        self.replies.extend_from_slice(event);
        self.since = now;
    }
}
