//! The admin port: which rooms there are, and the metrics of all shards. On shard 0, which coordinates, and serves an
//! audience like every other: a page that is long is written over several turns.

use super::super::Shard;
use super::super::coordinator::{Asker, ChangeOutcome, Coordinator, Order, RoomChange, ScrapeForm};
use super::answer::Answer;
use super::{HttpConn, Routed, room_id};
use crate::ingest::http::{Method, reply};
use crate::limits;
use crate::metrics::{self, BuildInfo, ShardMetrics, ShardsPage};
use crate::room::Room;
use std::sync::Arc;
use uproar_wire::RoomId;
use uproar_wire::http::RoomSpec;

impl Shard {
    /// Hands an answer of the coordinator to it, and does what it orders.
    pub(in crate::shard) fn coordinate(&mut self, handle: impl FnOnce(&mut Coordinator)) {
        if let Some(coordinator) = &mut self.coordinator {
            handle(coordinator);
        }
        while let Some(order) = self.coordinator.as_mut().and_then(|coordinator| coordinator.poll_order(&self.rooms)) {
            match order {
                Order::Broadcast(message) => self.broadcast(message),
                Order::TellSelf(message) => self.send(self.id, message),
                Order::AnswerChange(asker, change, outcome) => {
                    match asker {
                        Asker::Http { conn, .. } => self.answer_change(conn, &change, &outcome),
                        Asker::Reload => self.handle_room_changed(&change, &outcome),
                    }
                    self.note_changed_room(asker, &change, &outcome);
                }
                Order::AnswerTotal(conn, total) => self.answer_total(conn, &total),
                Order::AnswerShards(askers, shards) => self.page = Some((askers, ShardsPage::new(shards))),
            }
        }
    }

    pub(super) fn scrape(&mut self, conn: HttpConn, form: ScrapeForm, answer: &mut Answer<'_, '_>) -> Routed {
        if !answer.is_get() {
            answer.method_not_allowed("GET, HEAD");
            return Routed::Replied;
        }
        self.coordinate(|coordinator| coordinator.handle_scrape(conn, form));
        Routed::Asked
    }

    pub(super) fn list_rooms(&self, answer: &mut Answer<'_, '_>) -> Routed {
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

    pub(super) fn change_room(&mut self, conn: HttpConn, room: &str, answer: &mut Answer<'_, '_>) -> Routed {
        let Some(id) = room_id(room) else {
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
        let peer = self.http.admin_peer(conn);
        self.coordinate(|coordinator| coordinator.handle_change(Asker::Http { conn, peer }, change));
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
        let status = match (outcome, change) {
            (ChangeOutcome::PaletteFull(_), _) => 409,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Put(_)) => 201,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Put(_)) => 200,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Delete(_)) => 204,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Delete(_)) => 404,
        };
        self.metrics.count_http_reply(status);
        self.http.answer(conn, |reply, manner| match (outcome, change) {
            (ChangeOutcome::PaletteFull(full), _) => {
                let detail =
                    format!("{full}; each emoji keeps its id for good, so put the new palette under a new room id");
                reply::problem(reply, status, "palette_full", &detail, manner);
            }
            (_, RoomChange::Put(room)) => reply::json(reply, status, room.json(), manner),
            (ChangeOutcome::InForce { existed: false }, RoomChange::Delete(_)) => {
                reply::problem(reply, status, "unknown_room", "there is no such room", manner);
            }
            (ChangeOutcome::InForce { existed: true }, RoomChange::Delete(_)) => reply::no_content(reply, manner),
        });
    }

    fn answer_total(&mut self, conn: HttpConn, total: &ShardMetrics) {
        let mut page = String::new();
        metrics::render(total, &(self.read_process)(), &BuildInfo::current(), &mut page);
        self.answer_page(conn, &page);
    }

    /// Writes a slice of the page of shards, or hands the page to one of its askers; true while there is more to do.
    pub(in crate::shard) fn serve_page(&mut self) -> bool {
        let Some((mut askers, mut page)) = self.page.take() else { return false };
        if !page.write_slice(limits::PAGE_SLICE_BYTES)
            && let Some(conn) = askers.pop_front()
        {
            self.answer_page(conn, page.text());
        }
        if askers.is_empty() {
            self.coordinate(Coordinator::handle_shards_answered);
            return false;
        }
        self.page = Some((askers, page));
        true
    }

    fn answer_page(&mut self, conn: HttpConn, page: &str) {
        self.metrics.count_http_reply(200);
        self.http.answer(conn, |reply, manner| {
            reply::text(reply, 200, "text/plain; version=0.0.4; charset=utf-8", page.as_bytes(), manner);
        });
    }
}
