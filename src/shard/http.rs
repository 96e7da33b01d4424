//! HTTP requests: which one asks for what, and the answer.
//!
//! Public port: reactions, rooms, frames, health. Admin port (shard 0 only): the set of rooms, metrics, health.
//! Answers that need other shards are given later: the connection waits, and requests pipelined behind it wait too.
//! Not here: how requests are cut out of bytes ([`crate::ingest::http`]) and how bytes travel (edge).

use super::coordinator::{ChangeOutcome, Coordinator, Order, RoomChange, ScrapeForm};
use super::{Proto, Reject, Shard};
use crate::ingest::http::decoder::{ContentKind, Method};
use crate::ingest::http::decoder::{DecoderLimits, Flow, Refusal, Request, RequestDecoder};
use crate::ingest::http::reactions::{ReactionsError, parse_reactions};
use crate::ingest::http::reply;
use crate::limits;
use crate::metrics::{self, BuildInfo, Outcome};
use crate::room::Room;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use uproar_wire::RoomId;
use uproar_wire::http::{FrameBody, RoomSpec, TopBody};
use uproar_wire::reaction::ReactionBatch;

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
}

/// All HTTP connections of a shard, by slot.
#[derive(Default)]
pub(super) struct HttpConnections {
    slots: Vec<Option<HttpConnection>>,
    open: usize,
    ready: VecDeque<HttpConn>,
}

struct HttpConnection {
    generation: u32,
    port: HttpPort,
    decoder: RequestDecoder,
    deferred: Deferred,
}

enum Deferred {
    Nothing,
    Asked { keep_alive: bool, head_only: bool },
    Answered { reply: Vec<u8>, keep_alive: bool },
}

/// What became of one request.
enum Routed {
    Replied,
    Asked,
}

impl HttpConnections {
    pub(super) fn len(&self) -> usize {
        self.open
    }

    fn find(&mut self, conn: HttpConn) -> Option<&mut HttpConnection> {
        self.slots.get_mut(conn.slot as usize)?.as_mut().filter(|connection| connection.generation == conn.generation)
    }

    fn answer(&mut self, conn: HttpConn, write: impl FnOnce(&mut Vec<u8>, bool, bool)) {
        if let Some(connection) = self.find(conn)
            && let Deferred::Asked { keep_alive, head_only } = connection.deferred
        {
            let mut reply = Vec::new();
            write(&mut reply, keep_alive, head_only);
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
        let connection = HttpConnection { generation: conn.generation, port, decoder, deferred: Deferred::Nothing };
        self.http.open += usize::from(self.http.slots[slot].replace(connection).is_none());
    }

    /// A connection is gone.
    pub fn http_closed(&mut self, conn: HttpConn) {
        if self.http.find(conn).is_some() {
            self.http.slots[conn.slot as usize] = None;
            self.http.open -= 1;
        }
    }

    /// Whether a request has begun on `conn` and is not complete.
    pub fn http_is_mid_request(&mut self, conn: HttpConn) -> bool {
        self.http.find(conn).is_some_and(|connection| connection.decoder.is_mid_request())
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
                    Routed::Replied if !request.keep_alive => HttpNext::Close,
                    Routed::Replied if replies.len() > limits::HTTP_REPLIES_MAX => HttpNext::Wait,
                    Routed::Replied => HttpNext::Read,
                },
                Err(refusal) => {
                    self.refuse_http(refusal, replies);
                    HttpNext::Close
                }
            };
            match next {
                HttpNext::Read => Flow::Continue,
                HttpNext::Wait => Flow::Pause,
                HttpNext::Close => Flow::Close,
            }
        });
        if next == HttpNext::Read && decoder.wants_continue() {
            reply::continue_100(replies);
        }
        next
    }

    /// A connection was turned away: there are as many as the configuration allows.
    pub fn count_refused_connection(&mut self) {
        self.metrics.count_connection(Proto::Http, Outcome::Full);
    }

    /// A request did not come whole in time.
    pub fn count_http_timeout(&mut self) {
        self.metrics.count_reject(Proto::Http, Reject::HttpTimeout);
    }

    /// The next connection whose answer has come: go on with [`Self::handle_http`] and no bytes.
    pub fn poll_http_ready(&mut self) -> Option<HttpConn> {
        self.http.ready.pop_front()
    }

    /// Hands an answer of the coordinator to it, and does what it orders.
    pub(super) fn coordinate(&mut self, handle: impl FnOnce(&mut Coordinator)) {
        if let Some(coordinator) = &mut self.coordinator {
            handle(coordinator);
        }
        while let Some(order) = self.coordinator.as_mut().and_then(Coordinator::poll_order) {
            match order {
                Order::Broadcast(broadcast) => self.broadcast(|| broadcast.message()),
                Order::AnswerChange(conn, change, outcome) => self.answer_change(conn, &change, &outcome),
                Order::AnswerScrape(conn, form, shards) => self.answer_scrape(conn, form, &shards),
            }
        }
    }

    fn route(&mut self, conn: HttpConn, port: HttpPort, request: &Request<'_>, replies: &mut Vec<u8>) -> Routed {
        let mut answer = Answer { replies, request, status: 0 };
        let mut segments = request.path.split('/').skip(1);
        let path = [segments.next(), segments.next(), segments.next(), segments.next(), segments.next()];
        let routed = match (port, path) {
            (_, [Some("livez"), None, ..]) => answer.only_get(|answer| answer.text(200, "alive\n")),
            (_, [Some("readyz"), None, ..]) => self.readyz(&mut answer),
            (HttpPort::Public, [Some("v1"), Some("rooms"), Some(room), rest, None]) => {
                self.route_room(room, rest, &mut answer);
                Routed::Replied
            }
            (HttpPort::Admin, [Some("metrics"), None, ..]) => self.scrape(conn, ScrapeForm::Total, &mut answer),
            (HttpPort::Admin, [Some("metrics"), Some("shards"), None, ..]) => {
                self.scrape(conn, ScrapeForm::Shards, &mut answer)
            }
            (HttpPort::Admin, [Some("v1"), Some("rooms"), None, ..]) => self.list_rooms(&mut answer),
            (HttpPort::Admin, [Some("v1"), Some("rooms"), Some(room), None, ..]) => {
                self.change_room(conn, room, &mut answer)
            }
            _ => answer.not_found("there is no such path on this port"),
        };
        if answer.status != 0 {
            self.metrics.count_http_reply(answer.status);
        }
        routed
    }

    fn readyz(&self, answer: &mut Answer<'_, '_>) -> Routed {
        let is_ready = self.is_ready();
        answer.only_get(|answer| if is_ready { answer.text(200, "ready\n") } else { answer.text(503, "draining\n") })
    }

    fn route_room(&mut self, room: &str, rest: Option<&str>, answer: &mut Answer<'_, '_>) {
        let room = room.parse().ok().map(RoomId);
        let known = room.and_then(|room| self.rooms.find(room));
        match (rest, answer.request.method) {
            (None | Some("reactions" | "frame"), Method::Options) => answer.preflight(),
            (Some("reactions"), Method::Post) => match room {
                Some(room) => self.react(room, answer),
                None => drop(answer.problem(404, "unknown_room", "a room is named by its number")),
            },
            (Some("reactions"), _) => answer.method_not_allowed("POST, OPTIONS"),
            (None | Some("frame"), Method::Get | Method::Head) => match (known, rest) {
                (None, _) => drop(answer.problem(404, "unknown_room", "there is no such room")),
                (Some(state), None) => answer.json(200, state.room.json()),
                (Some(state), Some(_)) => match &state.newest {
                    Some(newest) => answer.json(200, &frame_json(&state.room, &newest.message)),
                    None => drop(answer.problem(
                        404,
                        "no_frame",
                        "no window of this room has closed with taps or subscribers",
                    )),
                },
            },
            (None | Some("frame"), _) => answer.method_not_allowed("GET, HEAD, OPTIONS"),
            _ => drop(answer.not_found("there is no such path on this port")),
        }
    }

    fn react(&mut self, room: RoomId, answer: &mut Answer<'_, '_>) {
        let counted = match answer.request.content {
            ContentKind::Json | ContentKind::None => self.react_json(room, answer.request.body),
            ContentKind::OctetStream => self.react_datagram(room, answer.request.body),
            ContentKind::Other => Err((415, Reject::Unsupported, "use application/json or application/octet-stream")),
        };
        match counted {
            Ok(()) => answer.accepted(),
            Err((status, reason, detail)) => {
                self.metrics.count_reject(Proto::Http, reason);
                answer.problem(status, reason.label(), detail);
            }
        }
    }

    fn react_json(&mut self, room: RoomId, body: &[u8]) -> Result<(), (u16, Reject, &'static str)> {
        let Some(state) = self.rooms.find(room) else {
            return Err(refused(Reject::UnknownRoom));
        };
        if self.drain.is_closed_to_taps() {
            return Err(refused(Reject::Draining));
        }
        parse_reactions(body, |label| state.room.emoji_id(label), &mut self.reactions)
            .map_err(|error| (error.status(), Reject::from(error), error.detail()))?;
        let taps = self.tally.count(room, self.reactions.iter().copied()).map_err(|error| refused(error.into()))?;
        self.metrics.count_reaction(Proto::Http, self.reactions.len() as u64, taps);
        Ok(())
    }

    fn react_datagram(&mut self, room: RoomId, body: &[u8]) -> Result<(), (u16, Reject, &'static str)> {
        let batch = ReactionBatch::parse(body).map_err(|error| refused(error.into()))?;
        if batch.room != room {
            return Err((400, Reject::RoomMismatch, "the datagram names another room than the path"));
        }
        self.count_batch(Proto::Http, &batch).map_err(refused)
    }

    fn scrape(&mut self, conn: HttpConn, form: ScrapeForm, answer: &mut Answer<'_, '_>) -> Routed {
        if !answer.is_get() {
            answer.method_not_allowed("GET, HEAD");
            return Routed::Replied;
        }
        self.coordinate(|coordinator| coordinator.handle_scrape(conn, form));
        Routed::Asked
    }

    fn list_rooms(&self, answer: &mut Answer<'_, '_>) -> Routed {
        let rooms = self.rooms.sorted();
        answer.only_get(|answer| {
            let mut body = vec![b'['];
            for (at, room) in rooms.iter().enumerate() {
                if at > 0 {
                    body.push(b',');
                }
                body.extend_from_slice(room.json());
            }
            body.push(b']');
            answer.json(200, &body);
        })
    }

    fn change_room(&mut self, conn: HttpConn, room: &str, answer: &mut Answer<'_, '_>) -> Routed {
        let Ok(id) = room.parse().map(RoomId) else {
            return answer.problem(404, "unknown_room", "a room is named by a number from 0 to 4294967295");
        };
        let change = match answer.request.method {
            Method::Put => match self.room_of_spec(id, answer.request.body) {
                Ok(room) => RoomChange::Put(Arc::new(room)),
                Err((status, code, detail)) => return answer.problem(status, code, &detail),
            },
            Method::Delete if self.rooms.find(id).is_some() => RoomChange::Delete(id),
            Method::Delete => return answer.problem(404, "unknown_room", "there is no such room"),
            _ => {
                answer.method_not_allowed("PUT, DELETE");
                return Routed::Replied;
            }
        };
        self.coordinate(|coordinator| coordinator.handle_change(conn, change));
        Routed::Asked
    }

    fn room_of_spec(&self, id: RoomId, body: &[u8]) -> Result<Room, (u16, &'static str, String)> {
        if self.rooms.find(id).is_none() && self.rooms.len() >= limits::ROOMS_MAX {
            return Err((409, "too_many_rooms", format!("a node holds at most {} rooms", limits::ROOMS_MAX)));
        }
        let spec: RoomSpec = serde_json::from_slice(body).map_err(|error| (400, "bad_room", error.to_string()))?;
        Room::new(id, spec).map_err(|error| (400, "bad_room", error.to_string()))
    }

    fn answer_change(&mut self, conn: HttpConn, change: &RoomChange, outcome: &ChangeOutcome) {
        let detail = "taps are being counted for emoji that the new palette lacks; try again in two windows";
        let status = match (outcome, change) {
            (ChangeOutcome::LiveCounts, _) => 409,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Put(_)) => 201,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Put(_)) => 200,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Delete(_)) => 204,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Delete(_)) => 404,
        };
        self.metrics.count_http_reply(status);
        self.http.answer(conn, |reply, keep_alive, head_only| match (status, change) {
            (409, _) => reply::problem(reply, 409, "live_counts", detail, keep_alive, head_only),
            (404, _) => reply::problem(reply, 404, "unknown_room", "there is no such room", keep_alive, head_only),
            (_, RoomChange::Put(room)) => reply::json(reply, status, room.json(), keep_alive, head_only),
            (_, RoomChange::Delete(_)) => reply::no_content(reply, keep_alive),
        });
    }

    fn answer_scrape(&mut self, conn: HttpConn, form: ScrapeForm, shards: &[metrics::ShardMetrics]) {
        let mut page = String::new();
        match form {
            ScrapeForm::Total => {
                let mut total = metrics::ShardMetrics::default();
                for shard in shards {
                    total.absorb(shard);
                }
                metrics::render(&total, &BuildInfo::current(), &mut page);
            }
            ScrapeForm::Shards => metrics::render_shards(shards, &mut page),
        }
        self.metrics.count_http_reply(200);
        self.http.answer(conn, |reply, keep_alive, head_only| {
            reply::text(reply, 200, "text/plain; version=0.0.4; charset=utf-8", page.as_bytes(), keep_alive, head_only);
        });
    }

    fn refuse_http(&mut self, refusal: Refusal, replies: &mut Vec<u8>) {
        let reason = Reject::from(refusal);
        self.metrics.count_reject(Proto::Http, reason);
        self.metrics.count_http_reply(refusal.status());
        reply::refusal(replies, refusal);
    }
}

/// Keeps bytes that cannot be looked at yet; a connection that sends more than any request may hold is closed.
fn hold(decoder: &mut RequestDecoder, bytes: &[u8]) -> HttpNext {
    if decoder.hold(bytes) { HttpNext::Wait } else { HttpNext::Close }
}

/// The reply under way to one request; remembers its status for the metrics.
struct Answer<'a, 'r> {
    replies: &'a mut Vec<u8>,
    request: &'a Request<'r>,
    status: u16,
}

impl Answer<'_, '_> {
    fn is_get(&self) -> bool {
        matches!(self.request.method, Method::Get | Method::Head)
    }

    fn only_get(&mut self, reply: impl FnOnce(&mut Self)) -> Routed {
        if self.is_get() {
            reply(self);
        } else {
            self.method_not_allowed("GET, HEAD");
        }
        Routed::Replied
    }

    fn accepted(&mut self) {
        self.status = 202;
        reply::accepted(self.replies, self.request.keep_alive);
    }

    fn preflight(&mut self) {
        self.status = 204;
        reply::preflight(self.replies);
    }

    fn json(&mut self, status: u16, body: &[u8]) {
        self.status = status;
        reply::json(self.replies, status, body, self.request.keep_alive, self.request.head_only);
    }

    fn text(&mut self, status: u16, body: &str) {
        self.status = status;
        let Request { keep_alive, head_only, .. } = *self.request;
        reply::text(self.replies, status, "text/plain; charset=utf-8", body.as_bytes(), keep_alive, head_only);
    }

    fn problem(&mut self, status: u16, code: &str, detail: &str) -> Routed {
        self.status = status;
        reply::problem(self.replies, status, code, detail, self.request.keep_alive, self.request.head_only);
        Routed::Replied
    }

    fn not_found(&mut self, detail: &str) -> Routed {
        self.problem(404, "not_found", detail)
    }

    fn method_not_allowed(&mut self, allow: &'static str) {
        self.status = 405;
        reply::method_not_allowed(self.replies, allow, self.request.keep_alive, self.request.head_only);
    }
}

fn refused(reason: Reject) -> (u16, Reject, &'static str) {
    match reason {
        Reject::UnknownRoom => (404, reason, "there is no such room"),
        Reject::UnknownEmoji => (422, reason, "the room's palette has no such emoji"),
        Reject::Draining => (503, reason, "the server is going away; send the reaction again, elsewhere"),
        _ => (400, reason, "the body is not a reaction datagram"),
    }
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

impl From<ReactionsError> for Reject {
    fn from(error: ReactionsError) -> Self {
        match error {
            ReactionsError::BadJson => Self::BadJson,
            ReactionsError::BadCount => Self::BadCount,
            ReactionsError::TooMany => Self::HttpTooLarge,
            ReactionsError::UnknownEmoji => Self::UnknownEmoji,
        }
    }
}

/// A frame as HTTP clients read it.
fn frame_json(room: &Room, message: &[u8]) -> Vec<u8> {
    let archive = uproar_wire::stream::frame_archive(message);
    let frame = uproar_wire::frame::access_frame(archive).unwrap_or_else(|_| unreachable!("encoded by this process"));
    let top = frame.top.iter().map(|entry| {
        let id = entry.emoji.to_native();
        TopBody {
            emoji: Cow::Borrowed(room.glyph(uproar_wire::EmojiId(id)).unwrap_or_default()),
            id,
            count: entry.count.to_native(),
            share: entry.share.to_native(),
            intensity: entry.intensity,
        }
    });
    let body = FrameBody {
        room: frame.room.to_native(),
        window: frame.window.to_native(),
        start_ms: frame.start_ms.to_native(),
        window_ms: frame.window_ms.to_native(),
        total: frame.total.to_native(),
        intensity: frame.intensity,
        top: top.collect(),
    };
    serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("a frame is always JSON"))
}
