//! What a subscriber asks for: its hello, and the rooms it joins and leaves while it is connected.
//!
//! Invariant: every request gets one answer with a status for each of its rooms, unless the shard is draining or has
//! sent the subscriber away: then it keeps what it has, and is told by the close.

use super::Subscribed;
use super::{Shard, newest_message};
use crate::fanout::Link;
use crate::metrics::RoomRefusal;
use crate::window::Now;
use uproar_wire::RoomId;
use uproar_wire::control::{Change, RoomsAnswer, RoomsRequest};
use uproar_wire::hello::{CloseCode, Hello, RoomStatus, Welcome};

impl Shard {
    pub(super) fn handle_hello(&mut self, now: Now, conn: usize, hello: &Hello) {
        if !self.is_ready() {
            return self.quic.close(now.instant, conn, CloseCode::Draining, "the server is going away");
        }
        if self.subscribers.is_full() {
            return self.quic.close(now.instant, conn, CloseCode::Full, "no room for another subscriber");
        }
        if hello.rooms.iter().all(|&room| self.rooms.find(room).is_none()) {
            return self.quic.close(now.instant, conn, CloseCode::NoRooms, "none of the rooms exists");
        }
        let rooms: Vec<_> = hello.rooms.iter().map(|&room| (room, self.subscribe(conn, room))).collect();
        self.count_refused_rooms(&rooms);
        self.quic.welcome(now.instant, conn, &Welcome { rooms });
    }

    pub(super) fn handle_request(&mut self, now: Now, conn: usize, request: &RoomsRequest) {
        if self.drain.is_closed_to_taps() || self.quic.is_parting(conn) {
            self.metrics.rooms_refused[RoomRefusal::Draining.index()] += request.rooms.len() as u64;
            return;
        }
        let carry_out = |&room| match request.change {
            Change::Subscribe => (room, self.subscribe(conn, room)),
            Change::Unsubscribe => (room, self.unsubscribe(conn, room)),
        };
        let rooms: Vec<_> = request.rooms.iter().map(carry_out).collect();
        self.count_refused_rooms(&rooms);
        self.quic.answer(now.instant, conn, &RoomsAnswer { rooms });
    }

    fn count_refused_rooms(&mut self, rooms: &[(RoomId, RoomStatus)]) {
        for refusal in rooms.iter().filter_map(|(_, status)| refusal(*status)) {
            self.metrics.rooms_refused[refusal.index()] += 1;
        }
    }

    fn subscribe(&mut self, conn: usize, room: RoomId) -> RoomStatus {
        let Some(state) = self.rooms.find(room) else {
            return RoomStatus::UnknownRoom;
        };
        if let Some(refusal) = self.subscribers.refusal(conn, room) {
            return refusal;
        }
        let palette = state.room.palette_message().clone();
        let newest = newest_message(state, self.window.open());
        let Some(stream) = self.quic.open_room_stream(conn) else {
            return RoomStatus::NoStream;
        };
        let subscription = self.fanout.subscribe(room, Link { conn, stream });
        self.subscribers.add(conn, Subscribed { room, subscription, stream });
        self.tally.set_watched(room, true);
        self.fanout.offer_one(subscription, palette, newest);
        RoomStatus::Subscribed
    }

    fn unsubscribe(&mut self, conn: usize, room: RoomId) -> RoomStatus {
        let Some(Subscribed { stream, .. }) = self.subscribers.find_room(conn, room) else {
            return RoomStatus::NotSubscribed;
        };
        self.quic.finish(conn, stream);
        self.end_subscription(conn, stream);
        RoomStatus::Unsubscribed
    }

    /// The stream is over, or nothing more is written to it.
    pub(super) fn end_subscription(&mut self, conn: usize, stream: u64) {
        if let Some(Subscribed { room, subscription, .. }) = self.subscribers.remove(conn, stream) {
            self.fanout.unsubscribe(subscription);
            self.unwatch_if_alone(room);
        }
    }
}

/// The reason that a status gives for not carrying out a request; `None` when it was carried out.
fn refusal(status: RoomStatus) -> Option<RoomRefusal> {
    Some(match status {
        RoomStatus::Subscribed | RoomStatus::Unsubscribed => return None,
        RoomStatus::UnknownRoom => RoomRefusal::UnknownRoom,
        RoomStatus::NoStream => RoomRefusal::NoStream,
        RoomStatus::AlreadySubscribed => RoomRefusal::AlreadySubscribed,
        RoomStatus::TooManyRooms => RoomRefusal::TooManyRooms,
        RoomStatus::NotSubscribed => RoomRefusal::NotSubscribed,
        RoomStatus::Full => RoomRefusal::Full,
    })
}
