//! HTTP: connections, and which request asks for what.
//!
//! Answers that need other shards are given later: the connection waits, and requests pipelined behind it wait too.
//!
//! 1. this file: what becomes of received bytes, and the table of paths;
//! 2. `connections`: which there are, and what each waits for;
//! 3. `public`: reactions, rooms, frames;
//! 4. `stream`: rooms and frames as they come (Server-Sent Events);
//! 5. `admin`: the set of rooms, and metrics (shard 0 only);
//! 6. `host`: under which names the admin port may be asked;
//! 7. `origin`: whose pages may ask the public port;
//! 8. `assets`: the pages of the ports themselves;
//! 9. `answer`: the reply to one request.
//!
//! Not here: how requests are cut out of bytes ([`crate::ingest::http`]) and how bytes travel (edge).

mod admin;
mod answer;
mod assets;
mod connections;
mod host;
mod origin;
mod public;
mod stream;
#[cfg(test)]
mod tests;

use super::Shard;
use super::coordinator::ScrapeForm;
use super::event_streams::EventStreamKey;
use crate::ingest::http::{Flow, Manner, Method, Refusal, Request, RequestDecoder, reply};
use crate::limits;
use crate::metrics::{Outcome, Proto, Reject};
use answer::Answer;
#[cfg(feature = "edge")]
pub(crate) use connections::HTTP_CONNECTION_BYTES;
pub(super) use connections::HttpConnections;
use connections::{Deferred, HttpConnection};
pub(super) use host::AdminHosts;
pub(super) use stream::{frame_event, palette_event};
use uproar_wire::RoomId;
use uproar_wire::http::WEBTRANSPORT_PATH;

/// One HTTP connection: its slot, and which of the slot's successive owners it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HttpConn {
    /// The edge's slot.
    pub slot: u32,
    /// Grows each time the slot is used again.
    pub generation: u32,
}

/// Which port a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpPort {
    /// Taps, rooms, frames.
    Public,
    /// Changes and metrics.
    Admin,
}

/// What the edge does with a connection after its bytes were handled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpNext {
    /// Read on.
    Read,
    /// Keep what comes; an answer is under way, or too many replies are unread.
    Wait,
    /// Send the replies, then close.
    Close,
    /// Send the replies, then what [`Shard::poll_stream_write`] says; what still comes means nothing.
    Stream,
}

/// What became of one request.
enum Routed {
    Replied,
    /// Replied, and the connection ends with that.
    Last,
    Asked,
    Streaming(EventStreamKey),
}

impl Shard {
    /// Received bytes; replies are appended to `replies`. With no bytes: goes on after [`HttpNext::Wait`].
    pub fn handle_http(&mut self, conn: HttpConn, bytes: &[u8], replies: &mut Vec<u8>) -> HttpNext {
        // The connection is taken out while its requests are handled, so that they may use the whole shard.
        let slot = conn.slot as usize;
        let Some(mut connection) = self.http.slots.get_mut(slot).and_then(Option::take) else {
            return HttpNext::Close;
        };
        let next = self.handle_http_taken(conn, &mut connection, bytes, replies);
        self.http.slots[slot] = Some(connection);
        next
    }

    fn handle_http_taken(
        &mut self,
        conn: HttpConn,
        connection: &mut HttpConnection,
        bytes: &[u8],
        replies: &mut Vec<u8>,
    ) -> HttpNext {
        let HttpConnection { port, decoder, deferred, .. } = connection;
        let mut next = HttpNext::Read;
        match std::mem::replace(deferred, Deferred::Nothing) {
            Deferred::Nothing => {}
            streaming @ Deferred::Streaming(_) => {
                *deferred = streaming;
                return HttpNext::Stream;
            }
            asked @ Deferred::Asked { .. } => {
                *deferred = asked;
                return hold(decoder, bytes);
            }
            Deferred::Answered { reply, keep_alive: true } => replies.extend_from_slice(&reply),
            Deferred::Answered { reply, keep_alive: false } => {
                replies.extend_from_slice(&reply);
                return HttpNext::Close;
            }
        }
        if replies.len() > limits::HTTP_REPLIES_MAX {
            return hold(decoder, bytes);
        }
        decoder.feed(bytes, |request| {
            next = match request {
                Ok(request) => match self.route(conn, *port, &request, replies) {
                    Routed::Asked => {
                        let Request { keep_alive, head_only, .. } = request;
                        *deferred = Deferred::Asked { keep_alive, head_only };
                        HttpNext::Wait
                    }
                    Routed::Streaming(key) => {
                        *deferred = Deferred::Streaming(key);
                        HttpNext::Stream
                    }
                    Routed::Last => HttpNext::Close,
                    Routed::Replied if !request.keep_alive => HttpNext::Close,
                    Routed::Replied if replies.len() > limits::HTTP_REPLIES_MAX => HttpNext::Wait,
                    Routed::Replied => HttpNext::Read,
                },
                Err(refusal) => {
                    self.refuse_http(*port, refusal, replies);
                    HttpNext::Close
                }
            };
            match next {
                HttpNext::Read => Flow::Continue,
                HttpNext::Wait => Flow::Pause,
                HttpNext::Close | HttpNext::Stream => Flow::Close,
            }
        });
        if next == HttpNext::Read && decoder.wants_continue() {
            reply::continue_100(replies);
        }
        next
    }

    /// A connection was turned away, and why.
    pub fn count_refused_connection(&mut self, outcome: Outcome) {
        self.metrics.count_connection(Proto::Http, outcome);
    }

    /// A request did not come whole in time, and its client cannot be told.
    pub fn count_http_timeout(&mut self) {
        self.metrics.count_reject(Proto::Http, Reject::HttpTimeout);
    }

    /// A request did not come whole in time: appends what its client is told before the connection closes.
    pub fn refuse_late_http(&mut self, conn: HttpConn, replies: &mut Vec<u8>) {
        self.count_http_timeout();
        let port = self.http.find(conn).map_or(HttpPort::Admin, |connection| connection.port);
        let manner = Manner { keep_alive: false, head_only: false, readers: self.refusal_readers(port) };
        self.metrics.count_http_reply(408);
        let detail = "the request did not come whole in time; send it again on a new connection";
        reply::problem(replies, 408, Reject::HttpTimeout.label(), detail, manner);
    }

    fn route(&mut self, conn: HttpConn, port: HttpPort, request: &Request<'_>, replies: &mut Vec<u8>) -> Routed {
        let readers = self.readers(port, request.origin);
        let mut answer = Answer { replies, request, readers, status: 0, rejected: None, is_last: false };
        let routed = match (port, request.path, room_path(request.path)) {
            (HttpPort::Admin, ..) if !self.admin_hosts.allows(request.host) => answer.problem(
                403,
                "unknown_host",
                "Host names this port as nobody here does; listen.admin_names adds names",
            ),
            _ if origin::is_foreign(port, request, readers) => {
                answer.readers = self.refusal_readers(port);
                answer.foreign(port)
            }
            (HttpPort::Public, _, Some((room, Some("stream")))) => self.route_stream(conn, room, &mut answer),
            (HttpPort::Public, _, Some((room, rest))) => {
                self.route_room(room, rest, &mut answer);
                Routed::Replied
            }
            (HttpPort::Public, WEBTRANSPORT_PATH, _) => self.tell_webtransport(&mut answer),
            (HttpPort::Admin, _, Some((room, None))) => self.change_room(conn, room, &mut answer),
            (HttpPort::Admin, "/v1/rooms", _) => self.list_rooms(&mut answer),
            (HttpPort::Admin, "/metrics", _) => self.scrape(conn, ScrapeForm::Total, &mut answer),
            (HttpPort::Admin, "/metrics/shards", _) => self.scrape(conn, ScrapeForm::Shards, &mut answer),
            (_, "/livez", _) => answer.only_get(|answer| answer.text(200, "alive\n")),
            (_, "/readyz", _) => self.readyz(&mut answer),
            _ => self.serve_asset(port, &mut answer),
        };
        let Answer { status, rejected, is_last, .. } = answer;
        if status != 0 {
            self.metrics.count_http_reply(status);
        }
        // Only a reaction is lost when it is turned away; a foreign page is turned away before its browser sends one.
        let is_counted = |reason: &Reject| *reason == Reject::Origin || request.method == Method::Post;
        if let Some(reason) = rejected.filter(|reason| port == HttpPort::Public && is_counted(reason)) {
            self.metrics.count_reject(Proto::Http, reason);
        }
        if is_last { Routed::Last } else { routed }
    }

    fn readyz(&self, answer: &mut Answer<'_, '_>) -> Routed {
        let is_ready = self.is_ready();
        answer.only_get(|answer| if is_ready { answer.text(200, "ready\n") } else { answer.text(503, "draining\n") })
    }

    fn refuse_http(&mut self, port: HttpPort, refusal: Refusal, replies: &mut Vec<u8>) {
        let reason = Reject::from(refusal);
        self.metrics.count_reject(Proto::Http, reason);
        self.metrics.count_http_reply(refusal.status());
        reply::refusal(replies, refusal, self.refusal_readers(port));
    }
}

/// The segment that names a room, and what follows it, if the path is below a room.
fn room_path(path: &str) -> Option<(&str, Option<&str>)> {
    let below = path.strip_prefix("/v1/rooms/")?;
    // Too short for a search that prepares itself.
    Some(match below.bytes().position(|byte| byte == b'/') {
        Some(slash) => (&below[..slash], Some(&below[slash + 1..])),
        None => (below, None),
    })
}

/// The room that a segment of a path names. Each room has one name: who filters or counts by path, such as a proxy in
/// front, would not know `+7` and `007` for room 7.
fn room_id(segment: &str) -> Option<RoomId> {
    let is_plain = segment.bytes().all(|byte| byte.is_ascii_digit()) && (segment == "0" || !segment.starts_with('0'));
    segment.parse().ok().filter(|_| is_plain).map(RoomId)
}

/// Keeps bytes that cannot be looked at yet; a connection that sends more than any request may hold is closed.
fn hold(decoder: &mut RequestDecoder, bytes: &[u8]) -> HttpNext {
    if decoder.hold(bytes) { HttpNext::Wait } else { HttpNext::Close }
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadClientId => Self::BadClientId,
            Refusal::BadVersion | Refusal::UnknownExpectation => Self::HttpUnsupported,
            _ if matches!(refusal.status(), 413 | 414 | 431) => Self::HttpTooLarge,
            _ => Self::HttpMalformed,
        }
    }
}
