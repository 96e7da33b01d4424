//! The admin port: which rooms there are, and the metrics of all shards. On shard 0, which coordinates, and serves an
//! audience like every other: a page that is long is written over several turns.

use super::super::Shard;
use super::super::coordinator::{Asker, ChangeOutcome, Coordinator, Order, RoomChange, ScrapeForm};
use super::answer::{Answer, READ};
use super::public::without_mark;
use super::{HttpConn, Routed, room_id};
use crate::ingest::http::{Method, reply};
use crate::limits;
use crate::metrics::{self, BuildInfo, HttpProblem, ShardMetrics, ShardsPage};
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
                Order::AnswerTotal(conn, total) => self.totals.push_back((conn, total)),
                Order::AnswerShards(askers, shards) => self.page = Some((askers, ShardsPage::new(shards))),
            }
        }
    }

    pub(super) fn scrape(&mut self, conn: HttpConn, form: ScrapeForm, answer: &mut Answer<'_, '_>) -> Routed {
        if !answer.is_get() {
            answer.method_not_allowed(READ);
            return Routed::Replied;
        }
        self.coordinate(|coordinator| coordinator.handle_scrape(conn, form));
        Routed::Asked
    }

    pub(super) fn route_admin_room(&mut self, conn: HttpConn, room: &str, answer: &mut Answer<'_, '_>) -> Routed {
        let Some(id) = room_id(room) else {
            let detail = "a room is named by a number from 0 to 4294967295";
            return answer.problem(404, HttpProblem::UnknownRoom, detail);
        };
        let known = self.rooms.find(id);
        let change = match (answer.request.method, known) {
            (Method::Get | Method::Head, Some(state)) => {
                answer.json_shared(200, state.room.json());
                return Routed::Replied;
            }
            (Method::Put, _) => match self.room_of_spec(id, answer.request.body) {
                Ok(room) => RoomChange::Put(Arc::new(room)),
                Err((status, problem, detail)) => return answer.problem(status, problem, &detail),
            },
            (Method::Delete, Some(_)) => RoomChange::Delete(id),
            (Method::Get | Method::Head | Method::Delete, None) => {
                return answer.problem(404, HttpProblem::UnknownRoom, "there is no such room");
            }
            _ => {
                answer.method_not_allowed("GET, HEAD, PUT, DELETE");
                return Routed::Replied;
            }
        };
        let peer = self.http.admin_peer(conn);
        self.coordinate(|coordinator| coordinator.handle_change(Asker::Http { conn, peer }, change));
        Routed::Asked
    }

    fn room_of_spec(&self, id: RoomId, body: &[u8]) -> Result<Room, (u16, HttpProblem, String)> {
        if self.rooms.find(id).is_none() && self.rooms.len() >= limits::ROOMS_MAX {
            let detail = format!("a node holds at most {} rooms; delete some", limits::ROOMS_MAX);
            return Err((409, HttpProblem::TooManyRooms, detail));
        }
        let bad_room = |detail: String| (400, HttpProblem::BadRoom, detail);
        let spec: RoomSpec = serde_json::from_slice(without_mark(body)).map_err(|error| bad_room(error.to_string()))?;
        Room::new(id, spec).map_err(|error| bad_room(error.to_string()))
    }

    fn answer_change(&mut self, conn: HttpConn, change: &RoomChange, outcome: &ChangeOutcome) {
        let status = match (outcome, change) {
            (ChangeOutcome::PaletteFull(_), _) => 409,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Put(_)) => 201,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Put(_)) => 200,
            (ChangeOutcome::InForce { existed: true }, RoomChange::Delete(_)) => 204,
            (ChangeOutcome::InForce { existed: false }, RoomChange::Delete(_)) => 404,
        };
        let problem = match outcome {
            ChangeOutcome::PaletteFull(full) => {
                let detail =
                    format!("{full}; each emoji keeps its id for good, so put the new palette under a new room id");
                Some((HttpProblem::PaletteFull, detail))
            }
            ChangeOutcome::InForce { .. } if status == 404 => {
                Some((HttpProblem::UnknownRoom, "there is no such room".into()))
            }
            ChangeOutcome::InForce { .. } => None,
        };
        self.metrics.count_http_reply(status);
        if let Some((problem, _)) = problem {
            self.metrics.count_http_refused(problem);
        }
        self.http.answer(conn, &self.date, |reply, manner| match (&problem, change) {
            (Some((problem, detail)), _) => reply::problem(reply, status, *problem, detail, manner),
            (None, RoomChange::Put(room)) => reply::json(reply, status, room.json(), manner),
            (None, RoomChange::Delete(_)) => reply::no_content(reply, manner),
        });
    }

    fn answer_total(&mut self, conn: HttpConn, total: &ShardMetrics) {
        let mut page = String::new();
        metrics::render(total, &(self.read_process)(), &BuildInfo::current(), &mut page);
        self.answer_page(conn, &page);
    }

    /// Answers a slice of the requests for `/metrics`; true while there are more.
    pub(in crate::shard) fn serve_totals(&mut self) -> bool {
        for _ in 0..limits::SCRAPES_PER_TURN {
            let Some((conn, total)) = self.totals.pop_front() else { break };
            self.answer_total(conn, &total);
        }
        !self.totals.is_empty()
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
        self.http.answer(conn, &self.date, |reply, manner| {
            reply::text(reply, 200, "text/plain; version=0.0.4; charset=utf-8", page.as_bytes(), manner);
        });
    }
}
