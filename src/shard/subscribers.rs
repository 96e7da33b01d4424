//! Where QUIC connections become subscribers: hello, palette, newest frame, then one frame a window.
//!
//! Joins [`crate::quic`] (who is connected) with [`crate::fanout`] (who gets which frame); those two do not know each
//! other. A subscriber is a connection that watches at least one room; one that has left its last room stays connected
//! and may join another. Invariant: a room with an audience here is watched in the tally, so that it gets a frame every
//! window.
//!
//! 1. [`requests`]: what subscribers ask for. 2. [`held`]: what one connection holds.

mod held;
mod requests;

use super::Shard;
use super::mesh_message::SharedFrame;
use super::rooms::RoomState;
use crate::fanout::{FrameMessage, Link, Links, SubscriptionId, Wrote};
use crate::limits;
use crate::metrics::{Proto, Reject, ShardMetrics};
use crate::quic::{Quic, QuicEvent, WriteOutcome};
use crate::room::Room;
use crate::window::Now;
use bytes::Bytes;
use held::{Held, Subscribed};
use std::time::Instant;
use uproar_wire::hello::{CloseCode, RoomStatus};
use uproar_wire::{RoomId, WindowSeq};

/// Which subscriptions each connection holds, by the connection's slot.
pub(super) struct Subscribers {
    by_conn: Vec<Held>,
    /// How each of them speaks, which a connection says with its hello.
    protos: Vec<Proto>,
    counts: [usize; Proto::COUNT],
    max: usize,
    rooms_max: usize,
}

impl Subscribers {
    /// Nobody yet; `max` connections with `rooms_max` rooms each at most.
    pub(super) fn new(max: usize, rooms_max: usize) -> Self {
        Self { by_conn: Vec::new(), protos: Vec::new(), counts: [0; Proto::COUNT], max, rooms_max }
    }

    /// So many connections with so many rooms each may watch from here on; those that do go on.
    pub(super) fn set_max(&mut self, max: usize, rooms_max: usize) {
        (self.max, self.rooms_max) = (max, rooms_max);
    }

    /// Connections that watch at least one room, by how they speak.
    pub(super) fn counts(&self) -> &[usize; Proto::COUNT] {
        &self.counts
    }

    fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Connections that may.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// All room streams.
    pub(super) fn streams(&self) -> impl Iterator<Item = (Link, SubscriptionId)> {
        let by_conn = self.by_conn.iter().enumerate();
        by_conn.flat_map(|(conn, held)| {
            held.as_slice().iter().map(move |held| (Link { conn, stream: held.stream }, held.subscription))
        })
    }

    fn held(&self, conn: usize) -> &[Subscribed] {
        self.by_conn.get(conn).map_or(&[], Held::as_slice)
    }

    /// Why the connection may not watch this room too.
    fn refusal(&self, conn: usize, room: RoomId) -> Option<RoomStatus> {
        let rooms = self.held(conn).len();
        if self.find_room(conn, room).is_some() {
            Some(RoomStatus::AlreadySubscribed)
        } else if rooms >= self.rooms_max {
            Some(RoomStatus::TooManyRooms)
        } else if rooms == 0 && self.is_full() {
            Some(RoomStatus::Full)
        } else {
            None
        }
    }

    fn find(&self, conn: usize, stream: u64) -> Option<Subscribed> {
        self.held(conn).iter().find(|subscribed| subscribed.stream == stream).copied()
    }

    fn find_room(&self, conn: usize, room: RoomId) -> Option<Subscribed> {
        self.held(conn).iter().find(|subscribed| subscribed.room == room).copied()
    }

    /// A connection that holds nothing said hello.
    fn handle_hello(&mut self, conn: usize, proto: Proto) {
        if self.by_conn.len() <= conn {
            self.by_conn.resize_with(conn + 1, Held::default);
            self.protos.resize(conn + 1, proto);
        }
        debug_assert!(self.held(conn).is_empty(), "slot {conn} is counted by how it spoke before");
        self.protos[conn] = proto;
    }

    fn add(&mut self, conn: usize, subscribed: Subscribed) {
        self.counts[self.protos[conn].index()] += usize::from(self.held(conn).is_empty());
        self.by_conn[conn].push(subscribed);
    }

    fn remove(&mut self, conn: usize, stream: u64) -> Option<Subscribed> {
        let removed = self.by_conn.get_mut(conn)?.remove(stream)?;
        self.counts[self.protos[conn].index()] -= usize::from(self.held(conn).is_empty());
        Some(removed)
    }

    fn take(&mut self, conn: usize) -> Held {
        let Some(taken) = self.by_conn.get_mut(conn).map(std::mem::take) else { return Held::Nothing };
        self.counts[self.protos[conn].index()] -= usize::from(!taken.as_slice().is_empty());
        taken
    }
}

/// The frame as fan-out wants it: its reference count is this shard's own, so that thousands of subscribers on
/// different cores do not fight over one cache line.
pub(super) fn frame_message(frame: &SharedFrame) -> FrameMessage {
    FrameMessage {
        window: frame.window,
        bytes: Bytes::from_owner(frame.message.clone()),
        encoded_at: Some(frame.encoded_at),
    }
}

/// The newest frame of a room for a subscriber that joins it, if it is recent enough to be what the room shows now.
pub(super) fn newest_message(state: &RoomState, open: WindowSeq) -> Option<FrameMessage> {
    let newest = state.newest.as_ref()?;
    let is_recent = newest.window.0 + limits::NEWEST_FRAME_WINDOWS >= open.0;
    is_recent.then(|| FrameMessage { encoded_at: None, ..frame_message(newest) })
}

/// Counts how long a frame took to a subscriber.
pub(super) fn record_delivery(metrics: &mut ShardMetrics, now: Instant, frame: &FrameMessage) {
    if let Some(encoded_at) = frame.encoded_at {
        metrics.fanout.record(now.saturating_duration_since(encoded_at));
    }
}

/// The streams of subscribers, as fan-out writes to them.
struct Streams<'a> {
    quic: &'a mut Quic,
    metrics: &'a mut ShardMetrics,
    now: Instant,
}

impl Links for Streams<'_> {
    fn approach(&mut self, link: Link) {
        self.quic.prefetch(link.conn);
    }

    fn write(&mut self, link: Link, bytes: &mut Bytes) -> Wrote {
        match self.quic.write(link.conn, link.stream, bytes) {
            WriteOutcome::All => Wrote::All,
            WriteOutcome::Blocked => Wrote::Part,
            WriteOutcome::Gone => Wrote::Gone,
        }
    }

    fn handle_delivered(&mut self, frame: &FrameMessage) {
        record_delivery(self.metrics, self.now, frame);
    }
}

impl Shard {
    pub(super) fn handle_quic_events(&mut self, now: Now) {
        while let Some(event) = self.quic.poll_event() {
            match event {
                QuicEvent::Hello { conn, hello, proto } => {
                    self.subscribers.handle_hello(conn, proto);
                    self.handle_hello(now, conn, &hello);
                }
                QuicEvent::Request { conn, request } => self.handle_request(now, conn, &request),
                QuicEvent::Reactions { datagram, proto, .. } => {
                    // Refusals are counted inside; a datagram is never answered.
                    self.count_datagram(proto, &datagram);
                }
                QuicEvent::Stray { count, .. } => {
                    self.metrics.rejected[Proto::WebTransport.index()][Reject::NoSession.index()] += count;
                }
                QuicEvent::Writable { conn, stream } => {
                    if let Some(subscribed) = self.subscribers.find(conn, stream) {
                        self.fanout.handle_writable(subscribed.subscription);
                    }
                }
                QuicEvent::Stopped { conn, stream } => self.end_subscription(conn, stream),
                QuicEvent::Closed { conn, .. } => self.end_subscriptions(conn),
            }
        }
    }

    /// Whether a connection has been handed every frame that it was offered.
    pub(super) fn is_caught_up(&self, conn: usize) -> bool {
        self.subscribers.held(conn).iter().all(|subscribed| self.fanout.is_caught_up(subscribed.subscription))
    }

    /// Whether a stream of a connection takes no more bytes, as its peer does not read on.
    pub(super) fn is_blocked(&self, conn: usize) -> bool {
        self.subscribers.held(conn).iter().any(|subscribed| self.fanout.is_blocked(subscribed.subscription))
    }

    /// Ends whatever a connection watches. If it lives, what was written to it still arrives.
    pub(super) fn end_subscriptions(&mut self, conn: usize) {
        for subscribed in self.subscribers.take(conn).as_slice() {
            self.quic.finish(conn, subscribed.stream);
            self.fanout.unsubscribe(subscribed.subscription);
            self.unwatch_if_alone(subscribed.room);
        }
    }

    pub(super) fn serve_fanout(&mut self, now: Now) -> bool {
        let Self { fanout, quic, metrics, .. } = self;
        fanout.serve(now.instant, limits::FANOUT_SLICE, &mut Streams { quic, metrics, now: now.instant })
    }

    /// Tells the audience of a replaced room what its emoji mean from now on.
    pub(super) fn offer_palette(&mut self, room: &Room) {
        self.fanout.offer_palette(room.id(), room.palette_message().clone());
    }

    /// Ends the subscriptions of deleted rooms, and the connections that watched nothing else: a slice of them. True while
    /// there are more.
    pub(super) fn drop_disbanded(&mut self, now: Now) -> bool {
        for _ in 0..limits::FANOUT_SLICE {
            let Some(link) = self.fanout.poll_disbanded() else { break };
            self.subscribers.remove(link.conn, link.stream);
            if self.subscribers.held(link.conn).is_empty() {
                self.quic.close(now.instant, link.conn, CloseCode::RoomDeleted, "the room was deleted");
            }
            self.quic.finish(link.conn, link.stream);
        }
        self.fanout.is_disbanding()
    }

    /// A room that nobody watches here any more, in whichever way, need not have a frame every window.
    pub(super) fn unwatch_if_alone(&mut self, room: RoomId) {
        if self.fanout.audience(room) == 0 && self.event_streams.audience(room) == 0 {
            self.tally.set_watched(room, false);
        }
    }
}
