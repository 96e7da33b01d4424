//! A room as it comes: `GET /v1/rooms/{room}/stream`, which does not end until one of the two sides does.
//!
//! ```text
//! retry: 3471                         before the first palette: after how many milliseconds to come again
//! event: palette                      first, and when the room was replaced
//! data: JSON of GET /v1/rooms/{room}
//!
//! id: 901234567                       the window
//! event: frame
//! data: JSON of GET /v1/rooms/{room}/frame
//! ```
//! Invariant: whoever is refused a stream gets a reply as to any other request; where there is no room now, on a connection
//! that ends with it, so that the next one is placed anew. Not here: who gets
//! which event when ([`crate::shard::event_streams`]).

#[cfg(test)]
mod tests;

use super::answer::Answer;
use super::{Deferred, HttpConn, Routed, Shard, public, room_id};
use crate::fanout::FrameMessage;
use crate::ingest::http::Method;
use crate::metrics::{HttpProblem, StreamRefusal};
use crate::room::Room;
use crate::shard::event_streams::EventStreamKey;
use bytes::Bytes;

impl Shard {
    pub(super) fn route_stream(&mut self, conn: HttpConn, room: &str, answer: &mut Answer<'_, '_>) -> Routed {
        match answer.request.method {
            Method::Get | Method::Head => self.begin_stream(conn, room, answer),
            Method::Options => {
                answer.preflight();
                Routed::Replied
            }
            _ => {
                answer.method_not_allowed("GET, HEAD, OPTIONS");
                Routed::Replied
            }
        }
    }

    fn begin_stream(&mut self, conn: HttpConn, room: &str, answer: &mut Answer<'_, '_>) -> Routed {
        let Some(room) = room_id(room).filter(|&room| self.rooms.find(room).is_some()) else {
            return answer.problem(404, HttpProblem::UnknownRoom, "there is no such room");
        };
        if !self.is_ready() {
            self.metrics.streams_refused[StreamRefusal::Draining.index()] += 1;
            let retry_ms = self.event_streams.next_retry_ms();
            return answer.unavailable(HttpProblem::Draining, retry_ms, "the server is going away; ask elsewhere");
        }
        if self.event_streams.is_full() {
            self.metrics.streams_refused[StreamRefusal::Full.index()] += 1;
            let retry_ms = self.event_streams.next_retry_ms();
            let detail = "no room for another stream here; ask again, on a new connection";
            return answer.unavailable(HttpProblem::Full, retry_ms, detail);
        }
        answer.events(self.event_streams.next_retry_ms());
        if answer.request.head_only {
            return Routed::Replied;
        }
        self.watch(conn, room, answer.request.last_event).map_or(Routed::Replied, Routed::Streaming)
    }

    /// The kernel has not taken all that was written to this connection's stream.
    pub fn handle_stream_stalled(&mut self, conn: HttpConn) {
        if let Some(key) = self.stream_of(conn) {
            self.event_streams.handle_stalled(conn, key);
        }
    }

    /// The kernel has taken all that was written to this connection's stream.
    pub fn handle_stream_writable(&mut self, conn: HttpConn) {
        if let Some(key) = self.stream_of(conn) {
            self.event_streams.handle_writable(conn, key);
        }
    }

    fn stream_of(&mut self, conn: HttpConn) -> Option<EventStreamKey> {
        match self.http.find(conn)?.deferred {
            Deferred::Streaming(key) => Some(key),
            _ => None,
        }
    }
}

/// What a stream says about its room first, and when the room was replaced.
pub(in crate::shard) fn palette_event(room: &Room) -> Bytes {
    // JSON has no line ends of its own, so it is one line of data.
    [b"event: palette\ndata: ", &room.json()[..], b"\n\n"].concat().into()
}

/// What a stream says when a window has closed.
pub(in crate::shard) fn frame_event(room: &Room, frame: &FrameMessage) -> Bytes {
    let head = format!("id: {}\nevent: frame\ndata: ", frame.window);
    [head.as_bytes(), &public::frame_json(room, &frame.bytes), b"\n\n"].concat().into()
}
