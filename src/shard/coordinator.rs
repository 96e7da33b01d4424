//! The coordinator: the part of shard 0 that asks all shards and answers once: changes of rooms, and scrapes.
//!
//! Invariants: one change of rooms is under way at a time, so all shards see changes in one order. A change is answered
//! after every shard has carried it out: a tap sent after the answer finds the same room on whichever shard it lands. Emoji
//! ids are given here and nowhere else, when a change begins, so all shards agree on them; a room goes on with those that it
//! has or had, so an id keeps its meaning whatever is put or deleted.
//!
//! Not here: what the shards do with a change; that is each shard's own.

use super::departed::Departed;
use super::http::HttpConn;
use super::mesh_message::{ChangeId, MeshMessage};
use super::rooms::Rooms;
use crate::metrics::ShardMetrics;
use crate::room::{PaletteFull, Room};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use uproar_wire::RoomId;

/// Who is told what a change came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// A connection of the admin port, and the address of its client, if the kernel knew it.
    Http { conn: HttpConn, peer: Option<SocketAddr> },
    /// The configuration was read again.
    Reload,
}

/// A wish to change the set of rooms.
#[derive(Debug)]
pub(super) enum RoomChange {
    /// Add or replace. Until the change begins, its ids are those of a new room.
    Put(Arc<Room>),
    /// Remove.
    Delete(RoomId),
}

/// What a change came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeOutcome {
    /// It is in force on every shard.
    InForce {
        /// Whether there was such a room before.
        existed: bool,
    },
    /// The room has no ids left for its emoji; nothing has changed.
    PaletteFull(PaletteFull),
}

/// What the coordinator wants done next.
pub(super) enum Order {
    /// Send this to every shard, made afresh for each.
    Broadcast(Box<dyn Fn() -> MeshMessage>),
    /// Send this to the coordinating shard itself, so that it is handled once the request that it answers waits for it.
    TellSelf(MeshMessage),
    /// Tell the asker what its change came to.
    AnswerChange(Asker, RoomChange, ChangeOutcome),
    /// Hand the asker what all shards have counted together.
    AnswerTotal(HttpConn, Box<ShardMetrics>),
    /// Hand the askers every shard's metrics, in the order of the shards, and then say so
    /// ([`Coordinator::handle_shards_answered`]).
    AnswerShards(VecDeque<HttpConn>, Vec<ShardMetrics>),
}

/// Which page a scrape was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScrapeForm {
    /// `/metrics`: sums over all shards.
    Total,
    /// `/metrics/shards`: one series a shard.
    Shards,
}

/// Collects answers of all shards. Lives on shard 0 only.
pub(super) struct Coordinator {
    shards: usize,
    last_change: ChangeId,
    last_scrape: u64,
    waiting: VecDeque<(Asker, RoomChange)>,
    under_way: Option<UnderWay>,
    departed: Departed,
    scrapes: Vec<ScrapeUnderWay>,
    /// Who asks for every shard's metrics while others are being answered.
    shards_askers: VecDeque<HttpConn>,
    /// One such answer is under way at a time, as it is large; its askers share it.
    is_asking_shards: bool,
    orders: VecDeque<Order>,
}

#[derive(Debug)]
struct UnderWay {
    asker: Asker,
    change: RoomChange,
    missing: usize,
    /// Why nothing is changed.
    refused: Option<PaletteFull>,
}

#[derive(Debug)]
struct ScrapeUnderWay {
    id: u64,
    missing: usize,
    heard: Heard,
}

/// Who asks, and what the shards that have answered say. Sums are added up one by one, as all of them at once would hold up shard 0.
#[derive(Debug)]
enum Heard {
    Total(HttpConn, Box<ShardMetrics>),
    Shards(VecDeque<HttpConn>, Vec<Option<ShardMetrics>>),
}

impl Coordinator {
    /// Coordinates `shards` shards, itself included.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards,
            last_change: ChangeId(0),
            last_scrape: 0,
            waiting: VecDeque::new(),
            under_way: None,
            departed: Departed::default(),
            scrapes: Vec::new(),
            shards_askers: VecDeque::new(),
            is_asking_shards: false,
            orders: VecDeque::new(),
        }
    }

    /// Queues a change behind those before it.
    pub(super) fn handle_change(&mut self, asker: Asker, change: RoomChange) {
        self.waiting.push_back((asker, change));
    }

    /// Asks all shards for their metrics.
    pub(super) fn handle_scrape(&mut self, asker: HttpConn, form: ScrapeForm) {
        match form {
            ScrapeForm::Total => self.ask_shards(Heard::Total(asker, Box::default())),
            ScrapeForm::Shards => {
                self.shards_askers.push_back(asker);
                self.start_next_shards();
            }
        }
    }

    /// The askers of [`Order::AnswerShards`] have their answer.
    pub(super) fn handle_shards_answered(&mut self) {
        self.is_asking_shards = false;
        self.start_next_shards();
    }

    fn start_next_shards(&mut self) {
        if self.is_asking_shards || self.shards_askers.is_empty() {
            return;
        }
        self.is_asking_shards = true;
        let askers = std::mem::take(&mut self.shards_askers);
        self.ask_shards(Heard::Shards(askers, (0..self.shards).map(|_| None).collect()));
    }

    fn ask_shards(&mut self, heard: Heard) {
        self.last_scrape += 1;
        let id = self.last_scrape;
        self.scrapes.push(ScrapeUnderWay { id, missing: self.shards, heard });
        self.broadcast(move || MeshMessage::Scrape(id));
    }

    /// One shard's answer to [`MeshMessage::RoomPut`] or [`MeshMessage::RoomDeleted`].
    pub(super) fn handle_changed(&mut self, change: ChangeId, existed: bool) {
        let Some(under_way) = self.under_way.as_mut().filter(|_| change == self.last_change) else {
            return;
        };
        under_way.missing -= 1;
        if under_way.missing == 0
            && let Some(done) = self.under_way.take()
        {
            let outcome = done.refused.map_or(ChangeOutcome::InForce { existed }, ChangeOutcome::PaletteFull);
            self.orders.push_back(Order::AnswerChange(done.asker, done.change, outcome));
        }
    }

    /// One shard's answer to [`MeshMessage::Scrape`]; each gives one.
    pub(super) fn handle_scraped(&mut self, scrape: u64, shard: usize, metrics: ShardMetrics) {
        let Some(at) = self.scrapes.iter().position(|under_way| under_way.id == scrape) else {
            return;
        };
        let under_way = &mut self.scrapes[at];
        match &mut under_way.heard {
            Heard::Total(_, total) => total.absorb(&metrics),
            Heard::Shards(_, shards) => shards[shard] = Some(metrics),
        }
        under_way.missing -= 1;
        if under_way.missing == 0 {
            let done = self.scrapes.swap_remove(at);
            self.orders.push_back(match done.heard {
                Heard::Total(asker, total) => Order::AnswerTotal(asker, total),
                Heard::Shards(askers, shards) => Order::AnswerShards(askers, shards.into_iter().flatten().collect()),
            });
        }
    }

    /// What to do next, until `None`. `rooms` are those of this shard, which has carried out every change before the next.
    pub(super) fn poll_order(&mut self, rooms: &Rooms) -> Option<Order> {
        if self.orders.is_empty() && self.under_way.is_none() {
            self.start_next_change(rooms);
        }
        self.orders.pop_front()
    }

    fn broadcast(&mut self, message: impl Fn() -> MeshMessage + 'static) {
        self.orders.push_back(Order::Broadcast(Box::new(message)));
    }

    fn start_next_change(&mut self, rooms: &Rooms) {
        let Some((asker, change)) = self.waiting.pop_front() else {
            return;
        };
        self.last_change.0 += 1;
        let id = self.last_change;
        let (mut missing, mut refused) = (self.shards, None);
        let change = match change {
            RoomChange::Put(room) => match self.with_ids(&room, rooms) {
                Ok(with_ids) => {
                    self.departed.forget(room.id());
                    let put = with_ids.clone();
                    self.broadcast(move || MeshMessage::RoomPut(id, put.clone()));
                    RoomChange::Put(with_ids)
                }
                Err(full) => {
                    (missing, refused) = (1, Some(full));
                    self.orders.push_back(Order::TellSelf(MeshMessage::RoomChanged(id, true)));
                    RoomChange::Put(room)
                }
            },
            RoomChange::Delete(room) => {
                if let Some(state) = rooms.find(room) {
                    self.departed.remember(room, state.room.glyphs());
                }
                self.broadcast(move || MeshMessage::RoomDeleted(id, room));
                RoomChange::Delete(room)
            }
        };
        self.under_way = Some(UnderWay { asker, change, missing, refused });
    }

    /// The room with the ids of the one that it replaces, or of one of the same number that was deleted.
    fn with_ids(&self, room: &Arc<Room>, rooms: &Rooms) -> Result<Arc<Room>, PaletteFull> {
        match (rooms.find(room.id()), self.departed.find(room.id())) {
            (Some(state), _) => room.going_on_from(&state.room.glyphs()).map(Arc::new),
            (None, Some(glyphs)) => room.going_on_from(glyphs).map(Arc::new),
            (None, None) => Ok(room.clone()),
        }
    }
}
