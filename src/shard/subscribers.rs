//! Where QUIC connections become subscribers: hello, palette, newest frame, then one frame a window.
//!
//! Joins [`crate::quic`] (who is connected) with [`crate::fanout`] (who gets which frame); those two do not know each
//! other. Invariant: a room with an audience here is watched in the tally, so that it gets a frame every window.

use super::mesh_message::SharedFrame;
use super::{Proto, Shard};
use crate::fanout::{FrameMessage, Link, SubscriptionId, Wrote};
use crate::limits;
use crate::quic::{QuicEvent, WriteOutcome};
use crate::room::Room;
use crate::window::Now;
use bytes::Bytes;
use uproar_wire::RoomId;
use uproar_wire::hello::{CloseCode, Hello, RoomStatus, Welcome};

/// Which subscriptions each connection holds, by the connection's slot.
pub(super) struct Subscribers {
    by_conn: Vec<Vec<Subscribed>>,
    count: usize,
    max: usize,
}

#[derive(Clone, Copy)]
struct Subscribed {
    room: RoomId,
    stream: u64,
    subscription: SubscriptionId,
}

impl Subscribers {
    pub(super) fn new(max: usize) -> Self {
        Self { by_conn: Vec::new(), count: 0, max }
    }

    /// Connections that watch at least one room.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All room streams.
    pub(super) fn streams(&self) -> impl Iterator<Item = (Link, SubscriptionId)> {
        let by_conn = self.by_conn.iter().enumerate();
        by_conn.flat_map(|(conn, held)| {
            held.iter().map(move |held| (Link { conn, stream: held.stream }, held.subscription))
        })
    }

    fn add(&mut self, conn: usize, subscribed: Subscribed) {
        if self.by_conn.len() <= conn {
            self.by_conn.resize_with(conn + 1, Vec::new);
        }
        self.count += usize::from(self.by_conn[conn].is_empty());
        self.by_conn[conn].push(subscribed);
    }

    fn find(&self, conn: usize, stream: u64) -> Option<Subscribed> {
        self.by_conn.get(conn)?.iter().find(|subscribed| subscribed.stream == stream).copied()
    }

    fn take(&mut self, conn: usize) -> Vec<Subscribed> {
        let taken = self.by_conn.get_mut(conn).map(std::mem::take).unwrap_or_default();
        self.count -= usize::from(!taken.is_empty());
        taken
    }

    /// Removes one subscription; true when the connection has no other left.
    fn remove(&mut self, conn: usize, stream: u64) -> bool {
        let Some(held) = self.by_conn.get_mut(conn).filter(|held| !held.is_empty()) else {
            return false;
        };
        held.retain(|subscribed| subscribed.stream != stream);
        self.count -= usize::from(held.is_empty());
        held.is_empty()
    }
}

/// The frame as fan-out wants it: its reference count is this shard's own, so that thousands of subscribers on
/// different cores do not fight over one cache line.
pub(super) fn frame_message(frame: &SharedFrame) -> FrameMessage {
    FrameMessage { window: frame.window, bytes: Bytes::from_owner(frame.message.clone()), encoded_at: frame.encoded_at }
}

impl Shard {
    pub(super) fn handle_quic_events(&mut self, now: Now) {
        while let Some(event) = self.quic.poll_event() {
            match event {
                QuicEvent::Hello { conn, hello } => self.handle_hello(now, conn, &hello),
                QuicEvent::Reactions { datagram, .. } => {
                    // Refusals are counted inside; a datagram is never answered.
                    self.count_datagram(Proto::Quic, &datagram);
                }
                QuicEvent::Writable { conn, stream } => {
                    if let Some(subscribed) = self.subscribers.find(conn, stream) {
                        self.fanout.handle_writable(subscribed.subscription);
                    }
                }
                QuicEvent::Closed { conn, .. } => {
                    for subscribed in self.subscribers.take(conn) {
                        self.fanout.unsubscribe(subscribed.subscription);
                        self.unwatch_if_alone(subscribed.room);
                    }
                }
            }
        }
    }

    fn handle_hello(&mut self, now: Now, conn: usize, hello: &Hello) {
        if self.drain.is_closed_to_taps() {
            return self.quic.close(now.instant, conn, CloseCode::Draining, "the server is going away");
        }
        if self.subscribers.len() >= self.subscribers.max {
            return self.quic.close(now.instant, conn, CloseCode::Full, "no room for another subscriber");
        }
        let known: Vec<(RoomId, bool)> = hello.rooms.iter().map(|&id| (id, self.rooms.find(id).is_some())).collect();
        if known.iter().all(|&(_, exists)| !exists) {
            return self.quic.close(now.instant, conn, CloseCode::NoRooms, "none of the rooms exists");
        }
        let mut statuses = Vec::with_capacity(known.len());
        for (room, exists) in known {
            let status = if exists { self.subscribe(conn, room) } else { RoomStatus::UnknownRoom };
            statuses.push((room, status));
        }
        self.quic.welcome(conn, &Welcome { rooms: statuses });
    }

    fn subscribe(&mut self, conn: usize, room: RoomId) -> RoomStatus {
        let Some(state) = self.rooms.find(room) else {
            return RoomStatus::UnknownRoom;
        };
        let palette = state.room.palette_message().clone();
        let newest = state.newest.as_ref().map(frame_message);
        let Some(stream) = self.quic.open_room_stream(conn) else {
            return RoomStatus::NoStream;
        };
        let subscription = self.fanout.subscribe(room, Link { conn, stream });
        self.subscribers.add(conn, Subscribed { room, stream, subscription });
        self.tally.set_watched(room, true);
        self.fanout.offer_one(subscription, palette, newest);
        RoomStatus::Subscribed
    }

    pub(super) fn serve_fanout(&mut self, now: Now) -> bool {
        let Self { fanout, quic, metrics, .. } = self;
        fanout.serve(
            limits::FANOUT_SLICE,
            |link, chunk| match quic.write(link.conn, link.stream, chunk) {
                WriteOutcome::All => Wrote::All,
                WriteOutcome::Blocked => Wrote::Part,
                WriteOutcome::Gone => Wrote::Gone,
            },
            |frame| metrics.fanout.record(now.instant.saturating_duration_since(frame.encoded_at)),
        )
    }

    /// Tells the audience of a replaced room what its emoji mean from now on.
    pub(super) fn offer_palette(&mut self, room: &Room) {
        let audience: Vec<SubscriptionId> = self.fanout.subscriptions(room.id()).map(|(id, _)| id).collect();
        for subscription in audience {
            self.fanout.offer_one(subscription, room.palette_message().clone(), None);
        }
    }

    /// Ends the subscriptions of a deleted room, and the connections that watched nothing else.
    pub(super) fn drop_audience(&mut self, now: Now, room: RoomId) {
        for link in self.fanout.remove_room(room) {
            let was_last = self.subscribers.remove(link.conn, link.stream);
            if was_last {
                self.quic.close(now.instant, link.conn, CloseCode::RoomDeleted, "the room was deleted");
            } else {
                self.quic.finish(link.conn, link.stream);
            }
        }
    }

    fn unwatch_if_alone(&mut self, room: RoomId) {
        if self.fanout.audience(room) == 0 {
            self.tally.set_watched(room, false);
        }
    }
}
