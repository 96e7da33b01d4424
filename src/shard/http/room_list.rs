//! All rooms, as `GET /v1/rooms` of the admin port lists them: in the order of their ids, a slice a turn, as there may be a
//! million, and each may be large.
//!
//! Invariant: a list has every room that exists all the while, once. A request that comes while a list is being written gets the
//! next one.

use super::answer::{Answer, READ};
use super::{HttpConn, Routed, Shard};
use crate::ingest::http::reply;
use crate::limits::{PAGE_SLICE_BYTES, ROOM_LIST_SLICE};
use bytes::Bytes;
use std::collections::VecDeque;
use uproar_wire::RoomId;

/// The list that is being written, and the requests for it and for the next one.
#[derive(Default)]
pub(in crate::shard) struct RoomList {
    askers: VecDeque<HttpConn>,
    next_askers: VecDeque<HttpConn>,
    /// What is written so far, in pieces.
    pieces: VecDeque<Bytes>,
    len: usize,
    /// Rooms from this id on are yet to be written.
    next: Option<RoomId>,
}

impl RoomList {
    fn push(&mut self, piece: Vec<u8>) {
        self.len += piece.len();
        self.pieces.push_back(piece.into());
    }
}

impl Shard {
    pub(super) fn list_rooms(&mut self, conn: HttpConn, answer: &mut Answer<'_, '_>) -> Routed {
        if !answer.is_get() {
            answer.method_not_allowed(READ);
            return Routed::Replied;
        }
        let list = &mut self.room_list;
        // A list that has not begun answers this request, too.
        if list.next.is_some() { &mut list.next_askers } else { &mut list.askers }.push_back(conn);
        Routed::Asked
    }

    /// Writes a slice of the list of rooms, if somebody waits for it; true while there is more to do.
    pub(in crate::shard) fn serve_room_list(&mut self) -> bool {
        let list = &mut self.room_list;
        if list.askers.is_empty() {
            return false;
        }
        let first = list.next.unwrap_or(RoomId(0));
        let mut piece = if list.next.is_none() { vec![b'['] } else { Vec::new() };
        let mut is_first_room = list.next.is_none();
        let mut is_whole = true;
        for (written, state) in self.rooms.from(first).enumerate() {
            if written == ROOM_LIST_SLICE || piece.len() >= PAGE_SLICE_BYTES {
                list.next = Some(state.room.id());
                is_whole = false;
                break;
            }
            if !std::mem::take(&mut is_first_room) {
                piece.push(b',');
            }
            piece.extend_from_slice(state.room.json());
        }
        if is_whole {
            piece.push(b']');
        }
        list.push(piece);
        if is_whole {
            self.answer_room_list();
        }
        !self.room_list.askers.is_empty()
    }

    fn answer_room_list(&mut self) {
        let RoomList { askers, next_askers, pieces, len, .. } = std::mem::take(&mut self.room_list);
        self.room_list.askers = next_askers;
        for conn in askers {
            self.metrics.count_http_reply(200);
            self.http
                .answer_with_body(conn, &pieces, &self.date, |reply, manner| reply::json_head(reply, 200, len, manner));
        }
    }
}
