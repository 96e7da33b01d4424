//! HTTP: connections, and which request asks for what.
//!
//! Answers that need other shards are given later: the connection waits, and requests pipelined behind it wait too.
//!
//! 1. this file: what becomes of received bytes, and the table of paths;
//! 2. `connections`: which there are, and what each waits for;
//! 3. `public`: reactions, rooms, frames;
//! 4. `stream`: rooms and frames as they come (Server-Sent Events);
//! 5. `admin`: the set of rooms, and metrics (shard 0 only);
//! 6. `room_list`: all rooms, for the admin port;
//! 7. `host`: under which names the admin port may be asked;
//! 8. `origin`: whose pages may ask the public port;
//! 9. `assets`: the pages of the ports themselves;
//! 10. `answer`: the reply to one request.
//!
//! Not here: how requests are cut out of bytes ([`crate::ingest::http`]) and how bytes travel (edge).

mod admin;
mod answer;
mod assets;
mod connections;
mod host;
mod origin;
mod public;
mod room_list;
mod stream;
#[cfg(test)]
pub(crate) mod tests;

use super::Shard;
use super::coordinator::ScrapeForm;
use super::event_streams::EventStreamKey;
use crate::ingest::http::{Flow, Manner, Method, Refusal, Request, RequestDecoder, reply};
use crate::limits;
use crate::metrics::{HttpProblem, Outcome, Proto, Reject};
use answer::{Answer, PROBED};
use bytes::Bytes;
#[cfg(feature = "edge")]
pub(crate) use connections::HTTP_CONNECTION_BYTES;
pub(super) use connections::HttpConnections;
use connections::{Deferred, HttpConnection, Pieces};
pub(super) use host::AdminHosts;
pub(super) use room_list::RoomList;
use std::rc::Rc;
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
    /// Replied with the head; the body follows from where it lies.
    Body(Bytes),
    /// Replied, and the connection ends with that.
    Last,
    Asked,
    Streaming(EventStreamKey),
}

impl Shard {
    /// Received bytes; replies are appended to `replies`. With no bytes: goes on after [`HttpNext::Wait`], also with bytes that
    /// were held. After [`HttpNext::Wait`] a body may follow: see [`Self::take_http_body`].
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
                return self.hold(decoder, bytes);
            }
            Deferred::Answered { reply, keep_alive } => {
                append(replies, reply);
                if !keep_alive {
                    return HttpNext::Close;
                }
            }
            Deferred::AnsweredInPieces(mut pieces) if !pieces.head.is_empty() => {
                append(replies, std::mem::take(&mut pieces.head));
                *deferred = Deferred::AnsweredInPieces(pieces);
                return self.hold(decoder, bytes);
            }
            Deferred::AnsweredInPieces(pieces) => {
                pieces.body.iter().for_each(|piece| replies.extend_from_slice(piece));
                if !pieces.keep_alive {
                    return HttpNext::Close;
                }
            }
        }
        if replies.len() > limits::HTTP_REPLIES_MAX {
            return self.hold(decoder, bytes);
        }
        decoder.feed(bytes, |request| {
            self.http.requests += 1;
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
                    Routed::Body(body) => {
                        let (head, keep_alive) = (Vec::new(), request.keep_alive);
                        *deferred =
                            Deferred::AnsweredInPieces(Box::new(Pieces { head, body: [body].into(), keep_alive }));
                        HttpNext::Wait
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

    /// Keeps received bytes of a connection whose turn has not come, and says how many it keeps; none when those are more than
    /// any request may have, and the connection is to end.
    pub fn hold_http(&mut self, conn: HttpConn, bytes: &[u8]) -> Option<usize> {
        let decoder = &mut self.http.find(conn)?.decoder;
        if decoder.hold(bytes) {
            return Some(decoder.buffered_bytes());
        }
        self.metrics.count_reject(Proto::Http, Reject::HttpTooLarge);
        None
    }

    /// The next piece of the body that follows what was appended to the replies of a connection, if that lies elsewhere. Pieces
    /// that are not taken are appended when the connection goes on.
    pub fn take_http_body(&mut self, conn: HttpConn) -> Option<Bytes> {
        let connection = self.http.find(conn)?;
        let Deferred::AnsweredInPieces(pieces) = &mut connection.deferred else { return None };
        if !pieces.head.is_empty() {
            return None;
        }
        let piece = pieces.body.pop_front();
        if pieces.body.is_empty() {
            connection.deferred = Deferred::Answered { reply: Vec::new(), keep_alive: pieces.keep_alive };
        }
        piece
    }

    /// Requests that were handled so far, those included that were refused.
    pub fn http_requests(&self) -> u64 {
        self.http.requests
    }

    /// Keeps bytes that cannot be looked at yet; a connection that sends more than any request may hold is closed. It cannot
    /// be told why, as replies before that one are to come.
    fn hold(&mut self, decoder: &mut RequestDecoder, bytes: &[u8]) -> HttpNext {
        if decoder.hold(bytes) {
            return HttpNext::Wait;
        }
        self.metrics.count_reject(Proto::Http, Reject::HttpTooLarge);
        HttpNext::Close
    }

    /// A connection to `port` is turned away before it is taken in: appends what it is told.
    pub fn refuse_http_connection(&mut self, port: HttpPort, outcome: Outcome, replies: &mut Vec<u8>) {
        let (problem, detail) = match (outcome, port) {
            (Outcome::AddressFull, _) => (
                HttpProblem::AddressFull,
                "this address has as many connections as it may have (http.connections_per_address_max); use those",
            ),
            (Outcome::NoFiles, _) => {
                (HttpProblem::Full, "the server has no open files left for connections (LimitNOFILE); come again")
            }
            (Outcome::Draining, _) => (HttpProblem::Draining, "the server is going away; connect elsewhere"),
            (_, HttpPort::Public) => {
                (HttpProblem::Full, "there are as many connections as there may be (http.connections_max); come again")
            }
            (_, HttpPort::Admin) => {
                (HttpProblem::Full, "there are as many connections as this port takes; close some, or use those")
            }
        };
        self.metrics.count_connection(Proto::Http, outcome);
        self.metrics.count_http_reply(503);
        self.metrics.count_http_refused(problem);
        let (readers, date) = (self.refusal_readers(port), &self.date);
        let retry_s = self.event_streams.next_retry_ms().div_ceil(1000);
        reply::unavailable(
            replies,
            problem,
            retry_s,
            detail,
            Manner { keep_alive: false, head_only: false, readers, date },
        );
    }

    /// A request did not come whole in time, and its client cannot be told.
    pub fn count_http_timeout(&mut self) {
        self.metrics.count_reject(Proto::Http, Reject::HttpTimeout);
    }

    /// A request did not come whole in time: appends what its client is told before the connection closes.
    pub fn refuse_late_http(&mut self, conn: HttpConn, replies: &mut Vec<u8>) {
        self.count_http_timeout();
        let port = self.http.find(conn).map_or(HttpPort::Admin, |connection| connection.port);
        let manner =
            Manner { keep_alive: false, head_only: false, readers: self.refusal_readers(port), date: &self.date };
        self.metrics.count_http_reply(408);
        self.metrics.count_http_refused(HttpProblem::HttpTimeout);
        let detail = "the request did not come whole in time; send it again on a new connection";
        reply::problem(replies, 408, HttpProblem::HttpTimeout, detail, manner);
    }

    fn route(&mut self, conn: HttpConn, port: HttpPort, request: &Request<'_>, replies: &mut Vec<u8>) -> Routed {
        let date = Rc::clone(&self.date);
        let readers = self.readers(port, request.origin);
        let mut answer = Answer {
            replies,
            request,
            readers,
            date: &date,
            body: None,
            status: 0,
            problem: None,
            rejected: None,
            is_last: false,
        };
        let routed = self.route_to(conn, port, &mut answer);
        let Answer { body, status, problem, rejected, is_last, .. } = answer;
        if status != 0 {
            self.metrics.count_http_reply(status);
        }
        if let Some(problem) = problem {
            self.metrics.count_http_refused(problem);
        }
        // Only a reaction is lost when it is turned away; a foreign page is turned away before its browser sends one.
        let is_counted = |reason: &Reject| *reason == Reject::Origin || request.method == Method::Post;
        if let Some(reason) = rejected.filter(|reason| port == HttpPort::Public && is_counted(reason)) {
            self.metrics.count_reject(Proto::Http, reason);
        }
        match body {
            _ if is_last => Routed::Last,
            Some(body) => Routed::Body(body),
            None => routed,
        }
    }

    fn route_to(&mut self, conn: HttpConn, port: HttpPort, answer: &mut Answer<'_, '_>) -> Routed {
        let request = answer.request;
        match (port, request.path, room_path(request.path)) {
            (HttpPort::Admin, ..) if !self.admin_hosts.allows(request.host) => answer.problem(
                403,
                HttpProblem::UnknownHost,
                "Host names this port as nobody here does; listen.admin_names adds names",
            ),
            _ if self.is_foreign(port, request, answer.readers) => {
                answer.readers = self.refusal_readers(port);
                answer.foreign(port)
            }
            (HttpPort::Public, _, Some((room, Some("stream")))) => self.route_stream(conn, room, answer),
            (HttpPort::Public, _, Some((room, rest))) => {
                self.route_room(room, rest, answer);
                Routed::Replied
            }
            (HttpPort::Public, WEBTRANSPORT_PATH, _) => self.tell_webtransport(answer),
            (HttpPort::Admin, _, Some((room, None))) => self.route_admin_room(conn, room, answer),
            (HttpPort::Admin, "/v1/rooms", _) => self.list_rooms(conn, answer),
            (HttpPort::Admin, "/metrics", _) => self.scrape(conn, ScrapeForm::Total, answer),
            (HttpPort::Admin, "/metrics/shards", _) => self.scrape(conn, ScrapeForm::Shards, answer),
            (_, "/readyz", _) => self.readyz(answer),
            (_, "/" | "/livez" | "*", _) if request.method == Method::Options => answer.options(),
            (_, "/livez", _) => answer.only_get(PROBED, |answer| answer.text(200, "alive\n")),
            _ => self.serve_asset(port, answer),
        }
    }

    fn readyz(&self, answer: &mut Answer<'_, '_>) -> Routed {
        match (self.is_ready(), answer.request.method) {
            (true, Method::Options) => answer.options(),
            (true, _) => answer.only_get(PROBED, |answer| answer.text(200, "ready\n")),
            (false, Method::Options | Method::Get | Method::Head) => {
                answer.text(503, "draining\n");
                Routed::Replied
            }
            (false, _) => answer.only_get(PROBED, |_| {}),
        }
    }

    fn refuse_http(&mut self, port: HttpPort, refusal: Refusal, replies: &mut Vec<u8>) {
        self.metrics.count_reject(Proto::Http, Reject::from(refusal));
        self.metrics.count_http_reply(refusal.status());
        self.metrics.count_http_refused(refusal.into());
        let detail = match (refusal, port) {
            (Refusal::BodyTooLarge, HttpPort::Public) => BODY_TOO_LARGE,
            (Refusal::BodyTooLarge, HttpPort::Admin) => SPEC_TOO_LARGE,
            _ => refusal.detail(),
        };
        reply::refusal(replies, refusal, detail, self.refusal_readers(port), &self.date);
    }
}

const BODY_TOO_LARGE: &str = "The request body is larger than 65,536 bytes; send its reactions in several requests.";
const SPEC_TOO_LARGE: &str = "The request body is larger than 4,194,304 bytes, which no room's specification needs.";
const _: () = assert!(limits::HTTP_BODY_MAX == 65_536 && limits::ROOM_SPEC_BYTES_MAX == 4_194_304, "as the texts say");

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

/// Appends a reply, which is not copied when it is the first.
fn append(replies: &mut Vec<u8>, reply: Vec<u8>) {
    if replies.is_empty() && reply.len() > limits::HTTP_SHARED_BODY_MIN {
        *replies = reply;
    } else {
        replies.extend_from_slice(&reply);
    }
}

impl From<Refusal> for Reject {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadClientId => Self::BadClientId,
            Refusal::TlsHello => Self::TlsHello,
            Refusal::ProxyProtocol => Self::ProxyProtocol,
            Refusal::BadVersion | Refusal::UnknownExpectation => Self::HttpUnsupported,
            _ if matches!(refusal.status(), 413 | 414 | 431) => Self::HttpTooLarge,
            _ => Self::HttpMalformed,
        }
    }
}
