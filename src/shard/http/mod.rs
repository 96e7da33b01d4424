//! HTTP: connections, and which request asks for what.
//!
//! Answers that need other shards are given later: the connection waits, and requests pipelined behind it wait too.
//!
//! 1. this file: connections, and the table of paths;
//! 2. `public`: reactions, rooms, frames;
//! 3. `stream`: rooms and frames as they come (Server-Sent Events);
//! 4. `admin`: the set of rooms, and metrics (shard 0 only);
//! 5. `host`: under which names the admin port may be asked;
//! 6. `origin`: whose pages may ask the public port;
//! 7. `assets`: the pages of the ports themselves;
//! 8. `answer`: the reply to one request.
//!
//! Not here: how requests are cut out of bytes ([`crate::ingest::http`]) and how bytes travel (edge).

mod admin;
mod answer;
mod assets;
mod host;
mod origin;
mod public;
mod stream;
#[cfg(test)]
mod tests;

use super::Shard;
use super::coordinator::ScrapeForm;
use super::streams::StreamKey;
use crate::ingest::http::{
    DecoderLimits, Flow, Manner, Method, Progress, Readers, Refusal, Request, RequestDecoder, reply,
};
use crate::limits;
use crate::metrics::{Outcome, Proto, Reject};
use answer::Answer;
pub(super) use host::AdminHosts;
use std::collections::VecDeque;
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

/// All HTTP connections of a shard, by slot.
#[derive(Default)]
pub(super) struct HttpConnections {
    /// Each apart, so that it can be taken out at the cost of a pointer while its requests are handled.
    slots: Vec<Option<Box<HttpConnection>>>,
    open: usize,
    ready: VecDeque<HttpConn>,
}

/// Bytes of a connection without a request: its box, and the slot that points to it.
#[cfg(feature = "edge")]
pub(crate) const HTTP_CONNECTION_BYTES: usize = size_of::<HttpConnection>() + size_of::<Option<Box<HttpConnection>>>();

struct HttpConnection {
    generation: u32,
    port: HttpPort,
    decoder: RequestDecoder,
    deferred: Deferred,
}

enum Deferred {
    Nothing,
    Asked {
        keep_alive: bool,
        head_only: bool,
    },
    Answered {
        reply: Vec<u8>,
        keep_alive: bool,
    },
    /// No other request follows.
    Streaming(StreamKey),
}

/// What became of one request.
enum Routed {
    Replied,
    Asked,
    Streaming(StreamKey),
}

impl HttpConnections {
    pub(super) fn len(&self) -> usize {
        self.open
    }

    fn find(&mut self, conn: HttpConn) -> Option<&mut HttpConnection> {
        self.slots
            .get_mut(conn.slot as usize)?
            .as_deref_mut()
            .filter(|connection| connection.generation == conn.generation)
    }

    /// Gives the answer that a request of the admin port, which alone has to wait for any, was promised.
    fn answer(&mut self, conn: HttpConn, write: impl FnOnce(&mut Vec<u8>, Manner<'_>)) {
        if let Some(connection) = self.find(conn)
            && let Deferred::Asked { keep_alive, head_only } = connection.deferred
        {
            let mut reply = Vec::new();
            write(&mut reply, Manner { keep_alive, head_only, readers: Readers::SameOrigin });
            connection.deferred = Deferred::Answered { reply, keep_alive };
            self.ready.push_back(conn);
        }
    }
}

impl Shard {
    /// A connection was accepted on `port`.
    pub fn http_opened(&mut self, conn: HttpConn, port: HttpPort) {
        let slot = conn.slot as usize;
        if self.http.slots.len() <= slot {
            self.http.slots.resize_with(slot + 1, || None);
        }
        let body_bytes = match port {
            HttpPort::Public => limits::HTTP_BODY_MAX,
            HttpPort::Admin => limits::ROOM_SPEC_BYTES_MAX,
        };
        let decoder = RequestDecoder::new(DecoderLimits { body_bytes });
        let connection =
            Box::new(HttpConnection { generation: conn.generation, port, decoder, deferred: Deferred::Nothing });
        self.http.open += usize::from(self.http.slots[slot].replace(connection).is_none());
        self.metrics.count_connection(Proto::Http, Outcome::Accepted);
    }

    /// A connection is gone, and how it ended.
    pub fn http_closed(&mut self, conn: HttpConn, outcome: Outcome) {
        if let Some(connection) = self.http.find(conn) {
            if let Deferred::Streaming(key) = connection.deferred {
                self.end_stream(conn, key);
            }
            self.metrics.count_connection(Proto::Http, outcome);
            self.http.slots[conn.slot as usize] = None;
            self.http.open -= 1;
        }
    }

    /// Whether a request has begun on `conn` and is not complete.
    pub fn http_is_mid_request(&mut self, conn: HttpConn) -> bool {
        self.http.find(conn).is_some_and(|connection| connection.decoder.is_mid_request())
    }

    /// How far the request has come that has begun on `conn` and is not complete.
    pub fn http_progress(&self, conn: HttpConn) -> Progress {
        let connection = self.http.slots.get(conn.slot as usize).and_then(Option::as_ref);
        connection
            .filter(|connection| connection.generation == conn.generation)
            .map_or(Progress::Idle, |connection| connection.decoder.progress())
    }

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
        let manner = Manner { keep_alive: false, head_only: false, readers: self.readers(port, b"") };
        self.metrics.count_http_reply(408);
        let detail = "the request did not come whole in time; send it again on a new connection";
        reply::problem(replies, 408, Reject::HttpTimeout.label(), detail, manner);
    }

    /// The next connection whose answer has come: go on with [`Self::handle_http`] and no bytes.
    pub fn poll_http_ready(&mut self) -> Option<HttpConn> {
        self.http.ready.pop_front()
    }

    fn route(&mut self, conn: HttpConn, port: HttpPort, request: &Request<'_>, replies: &mut Vec<u8>) -> Routed {
        let readers = self.readers(port, request.origin);
        let mut answer = Answer { replies, request, readers, status: 0, rejected: None };
        let routed = match (port, request.path, room_path(request.path)) {
            (HttpPort::Admin, ..) if !self.admin_hosts.allows(request.host) => answer.problem(
                403,
                "unknown_host",
                "Host names this port as nobody here does; listen.admin_names adds names",
            ),
            (HttpPort::Public, path, _) if origin::is_foreign(path, request.origin, readers) => answer.foreign(),
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
        let Answer { status, rejected, .. } = answer;
        if status != 0 {
            self.metrics.count_http_reply(status);
        }
        // Only a reaction is lost when it is turned away.
        if let Some(reason) = rejected.filter(|_| port == HttpPort::Public && request.method == Method::Post) {
            self.metrics.count_reject(Proto::Http, reason);
        }
        routed
    }

    fn readyz(&self, answer: &mut Answer<'_, '_>) -> Routed {
        let is_ready = self.is_ready();
        answer.only_get(|answer| if is_ready { answer.text(200, "ready\n") } else { answer.text(503, "draining\n") })
    }

    fn refuse_http(&mut self, port: HttpPort, refusal: Refusal, replies: &mut Vec<u8>) {
        let reason = Reject::from(refusal);
        self.metrics.count_reject(Proto::Http, reason);
        self.metrics.count_http_reply(refusal.status());
        reply::refusal(replies, refusal, self.readers(port, b""));
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
