//! HTTP connections of a shard: where each stands, from its accept to its end.
//!
//! Invariant: a slot that is used again is another connection, and nothing meant for the one before reaches it. Not here:
//! what requests ask for, and bytes.

use super::{HttpConn, HttpPort};
use crate::ingest::http::{Date, DecoderLimits, Manner, Progress, Readers, RequestDecoder};
use crate::limits;
use crate::metrics::{Outcome, Proto};
use crate::shard::Shard;
use crate::shard::event_streams::EventStreamKey;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// All HTTP connections of a shard, by slot.
#[derive(Default)]
pub(in crate::shard) struct HttpConnections {
    /// Each apart, so that it can be taken out at the cost of a pointer while its requests are handled.
    pub(super) slots: Vec<Option<Box<HttpConnection>>>,
    open: usize,
    /// See [`Shard::http_requests`].
    pub(super) requests: u64,
    ready: VecDeque<HttpConn>,
    /// Of connections of the admin port, of which there are [`limits::ADMIN_CONNECTIONS_MAX`] at most.
    admin_peers: Vec<(HttpConn, SocketAddr)>,
}

/// Bytes of a connection without a request: its box, and the slot that points to it.
#[cfg(feature = "edge")]
pub(crate) const HTTP_CONNECTION_BYTES: usize = size_of::<HttpConnection>() + size_of::<Option<Box<HttpConnection>>>();

pub(super) struct HttpConnection {
    generation: u32,
    pub(super) port: HttpPort,
    pub(super) decoder: RequestDecoder,
    pub(super) deferred: Deferred,
}

pub(super) enum Deferred {
    Nothing,
    Asked {
        keep_alive: bool,
        head_only: bool,
    },
    Answered {
        reply: Vec<u8>,
        keep_alive: bool,
    },
    AnsweredInPieces(Box<Pieces>),
    /// No other request follows.
    Streaming(EventStreamKey),
}

/// A reply whose body lies elsewhere.
pub(super) struct Pieces {
    /// Empty once it was appended to the replies.
    pub(super) head: Vec<u8>,
    /// At least one.
    pub(super) body: VecDeque<Bytes>,
    pub(super) keep_alive: bool,
}

impl HttpConnections {
    pub(in crate::shard) fn len(&self) -> usize {
        self.open
    }

    pub(super) fn find(&mut self, conn: HttpConn) -> Option<&mut HttpConnection> {
        self.slots
            .get_mut(conn.slot as usize)?
            .as_deref_mut()
            .filter(|connection| connection.generation == conn.generation)
    }

    /// The address of a client of the admin port, if the kernel knew it.
    pub(super) fn admin_peer(&self, conn: HttpConn) -> Option<SocketAddr> {
        self.admin_peers.iter().find(|(known, _)| *known == conn).map(|&(_, peer)| peer)
    }

    /// Gives the answer that a request of the admin port, which alone has to wait for any, was promised.
    pub(super) fn answer(&mut self, conn: HttpConn, date: &Date, write: impl FnOnce(&mut Vec<u8>, Manner<'_>)) {
        self.answer_with_body(conn, &VecDeque::new(), date, write);
    }

    /// The same, with a body that follows what is written.
    pub(super) fn answer_with_body(
        &mut self,
        conn: HttpConn,
        body: &VecDeque<Bytes>,
        date: &Date,
        write: impl FnOnce(&mut Vec<u8>, Manner<'_>),
    ) {
        if let Some(connection) = self.find(conn)
            && let Deferred::Asked { keep_alive, head_only } = connection.deferred
        {
            let mut reply = Vec::new();
            write(&mut reply, Manner { keep_alive, head_only, readers: Readers::SameOrigin, date });
            connection.deferred = if head_only || body.is_empty() {
                Deferred::Answered { reply, keep_alive }
            } else {
                Deferred::AnsweredInPieces(Box::new(Pieces { head: reply, body: body.clone(), keep_alive }))
            };
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

    /// Whose connection of the admin port it is; for the log of what is changed there.
    pub fn set_admin_peer(&mut self, conn: HttpConn, peer: SocketAddr) {
        self.http.admin_peers.push((conn, peer));
    }

    /// A connection is gone, and how it ended.
    pub fn http_closed(&mut self, conn: HttpConn, outcome: Outcome) {
        if let Some(connection) = self.http.find(conn) {
            let port = connection.port;
            if let Deferred::Streaming(key) = connection.deferred {
                self.forget_event_stream(conn, key);
            }
            if port == HttpPort::Admin {
                self.http.admin_peers.retain(|(known, _)| *known != conn);
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

    /// The next connection whose answer has come: go on with [`Self::handle_http`] and no bytes.
    pub fn poll_http_ready(&mut self) -> Option<HttpConn> {
        self.http.ready.pop_front()
    }
}
