//! Everything that one core owns, joined: reactions in, deltas between shards, frames and QUIC datagrams out.
//!
//! The core is sans-I/O and deterministic: the same calls in the same order give the same answers. The caller
//!
//! 1. hands over what happened with `handle_*`, with one reading of the clocks per turn,
//! 2. calls [`Shard::serve`] once per turn: a bounded slice of merging and fan-out,
//! 3. takes what to do with `poll_*` until they have nothing more,
//! 4. calls [`Shard::handle_timeout`] when [`Shard::poll_timeout`] has come.
//!
//! Invariant: a tap that was counted here is in exactly one delta, so in exactly one frame. This file only joins;
//! every rule lives in its part.

mod changed_rooms;
mod config;
mod coordinator;
mod counters;
mod departed;
mod drain;
mod event_streams;
mod framing;
mod http;
mod leave;
pub mod mesh_message;
mod reactions;
mod reload;
mod rooms;
mod settle;
mod subscribers;

pub use changed_rooms::{ChangedRoom, RoomChanger, RoomFate};
pub use config::{ReadProcess, ShardConfig, WebConfig};
pub use event_streams::StreamWrite;
#[cfg(feature = "edge")]
pub(crate) use http::HTTP_CONNECTION_BYTES;
#[cfg(test)]
pub(crate) use http::tests as http_tests;
pub use http::{HttpConn, HttpNext, HttpPort};
pub use mesh_message::MeshMessage;
pub use reactions::Train;
pub use reload::{KeptRoom, RoomChanges, RoomsChanged, ShardSettings};

use crate::fanout::Fanout;
use crate::ids::ShardId;
use crate::ingest::http::Date;
use crate::limits;
use crate::metrics::{ShardMetrics, ShardsPage};
use crate::quic::{Arrival, Quic, TransmitBatch};
use crate::tally::{Merger, Tally};
use crate::window::{Now, WindowClock};
use coordinator::Coordinator;
use drain::Drain;
use event_streams::EventStreams;
use framing::EarlyFrames;
use mesh_message::SharedFrame;
use reload::RoomsChanging;
use rooms::Rooms;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use subscribers::Subscribers;
use uproar_wire::{EmojiId, WindowSeq};

/// Everything that one core owns. See the module for the calling order.
pub struct Shard {
    id: ShardId,
    shards: usize,
    window: WindowClock,
    last_closed: Option<(WindowSeq, Instant)>,
    rooms: Rooms,
    tally: Tally,
    merger: Merger,
    /// Frames of the merger that wait to fill a message.
    frames: Vec<SharedFrame>,
    frame_bytes: Vec<u8>,
    /// Frames that came before the palette that they need.
    early_frames: EarlyFrames,
    fanout: Fanout,
    quic: Quic,
    subscribers: Subscribers,
    event_streams: EventStreams,
    http: http::HttpConnections,
    /// Of the turn, for HTTP.
    date: Rc<Date>,
    admin_hosts: http::AdminHosts,
    web: WebConfig,
    /// See [`ShardSettings::webtransport`].
    webtransport: Option<Arc<[u8]>>,
    coordinator: Option<Coordinator>,
    /// The page of `/metrics/shards` that is being written, and for whom.
    page: Option<(VecDeque<HttpConn>, ShardsPage)>,
    outbound: VecDeque<(ShardId, MeshMessage)>,
    /// Messages to itself were handled since the last slice of work.
    has_heard_itself: bool,
    /// How many since the last slice of work.
    heard_itself: usize,
    room_list: http::RoomList,
    /// Requests for `/metrics` to answer, with what all shards have counted.
    totals: VecDeque<(HttpConn, Box<ShardMetrics>)>,
    drain: Drain,
    metrics: ShardMetrics,
    /// For the log.
    changed_rooms: VecDeque<ChangedRoom>,
    /// A reload's changes of rooms, until all are answered.
    rooms_changing: Option<RoomsChanging>,
    read_process: ReadProcess,
    reactions: Vec<(EmojiId, u16)>,
}

impl Shard {
    /// A shard that has opened the window in which `now` lies.
    pub fn new(config: ShardConfig, now: Now) -> Self {
        let mut shard = Self {
            id: config.id,
            shards: config.shards,
            window: WindowClock::new(config.window_ms, now),
            last_closed: None,
            rooms: Rooms::default(),
            tally: Tally::new(config.shards),
            merger: Merger::new(config.shards, config.window_ms, config.top_k),
            frames: Vec::with_capacity(limits::FRAMES_PER_MESSAGE),
            frame_bytes: Vec::new(),
            early_frames: EarlyFrames::default(),
            fanout: Fanout::new(config.settings.fanout_spread),
            quic: Quic::new(config.quic, config.rng_seed),
            subscribers: Subscribers::new(config.settings.subscribers_max, config.settings.rooms_per_subscriber_max),
            event_streams: EventStreams::new(config.settings.streams_max, config.settings.fanout_spread),
            http: http::HttpConnections::default(),
            date: Rc::new(Date::new(now.unix_ms)),
            admin_hosts: http::AdminHosts::new(config.admin_names),
            web: config.web,
            webtransport: config.settings.webtransport,
            coordinator: (config.id == ShardId(0)).then(|| Coordinator::new(config.shards)),
            page: None,
            outbound: VecDeque::new(),
            has_heard_itself: false,
            heard_itself: 0,
            room_list: http::RoomList::default(),
            totals: VecDeque::new(),
            drain: Drain::new(config.settings.drain_duration, config.settings.drain_timeout),
            metrics: ShardMetrics { configured_at_s: now.unix_ms / 1000, ..ShardMetrics::default() },
            changed_rooms: VecDeque::new(),
            rooms_changing: None,
            read_process: config.read_process,
            reactions: Vec::new(),
        };
        shard.tally.set_limits(config.settings.tap_limits);
        for room in config.rooms {
            shard.put_room(now, &room);
        }
        shard
    }

    /// A turn begins: replies of HTTP say this time until the next one does.
    pub fn handle_turn(&mut self, now: Now) {
        Rc::make_mut(&mut self.date).set(now.unix_ms);
    }

    /// QUIC datagrams, as they were received; trains are already split.
    pub fn handle_quic<'a>(&mut self, now: Now, batch: impl Iterator<Item = Arrival<'a>>) {
        self.quic.handle_datagrams(now.instant, batch);
        self.handle_quic_events(now);
    }

    /// A message of another shard, or of this one to itself.
    pub fn handle_mesh(&mut self, now: Now, from: ShardId, message: MeshMessage) {
        match message {
            MeshMessage::Delta(delta) => self.merger.handle_delta(now, from, delta),
            MeshMessage::Recycled(delta) => self.tally.recycle(delta),
            MeshMessage::Frames(frames) => self.take_frames(now, &frames),
            MeshMessage::RoomPut(change, room) => {
                let existed = self.put_room(now, &room);
                self.send(ShardId(0), MeshMessage::RoomChanged(change, existed));
            }
            MeshMessage::RoomDeleted(change, room) => {
                let existed = self.delete_room(room);
                self.send(ShardId(0), MeshMessage::RoomChanged(change, existed));
            }
            MeshMessage::Scrape(scrape) => {
                let metrics = Box::new(self.metrics());
                self.send(ShardId(0), MeshMessage::Scraped(scrape, metrics));
            }
            MeshMessage::RoomChanged(change, existed) => {
                self.coordinate(|coordinator| coordinator.handle_changed(change, existed));
            }
            MeshMessage::Scraped(scrape, metrics) => {
                self.coordinate(|coordinator| coordinator.handle_scraped(scrape, from.index(), *metrics));
            }
            MeshMessage::Leave => self.begin_leaving(now),
            MeshMessage::Settle => self.begin_settling(now),
            MeshMessage::Settled => self.handle_settled(),
            MeshMessage::Drain => self.drain.handle_request(),
            MeshMessage::DeltasEnd => self.handle_deltas_end(),
            MeshMessage::FramesEnd => self.drain.handle_frames_end(),
            MeshMessage::Drained => self.drain.handle_drained(),
        }
    }

    /// Does what is due: closes the window, gives up on late deltas, runs QUIC timers.
    pub fn handle_timeout(&mut self, now: Now) {
        if !self.drain.is_closed_to_taps()
            && let Some(closed) = self.window.handle_timeout(now)
        {
            self.close_window(now, closed);
        }
        self.merger.handle_timeout(now);
        self.quic.handle_timeout(now.instant);
        self.handle_quic_events(now);
    }

    /// When [`Self::handle_timeout`] must be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let window = (!self.drain.is_closed_to_taps()).then(|| self.window.poll_timeout());
        let fanouts = [self.fanout.poll_timeout(), self.event_streams.poll_timeout()].into_iter().flatten().min();
        [window, self.merger.poll_timeout(), fanouts, self.quic.poll_timeout(), self.drain.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A bounded slice of the work that bursts: merging, framing, fan-out, handshakes, pages of metrics. True while more is due now.
    pub fn serve(&mut self, now: Now) -> bool {
        self.has_heard_itself = false;
        self.heard_itself = 0;
        let changing = self.serve_room_changes();
        let merging = self.serve_merge(now);
        let fanning_out = self.serve_fanout(now);
        let streaming = self.serve_event_streams(now);
        let dropping = self.drop_disbanded(now);
        let leaving = self.serve_leave(now);
        let settling = self.serve_settle(now);
        let writing = self.serve_totals() | self.serve_page() | self.serve_room_list();
        let draining = self.serve_drain(now);
        // After the frames: who comes waits for those who watch.
        let beginning = self.begin_handshakes(now, fanning_out || streaming);
        let subscribers = fanning_out || streaming || dropping || leaving || settling;
        changing || merging || subscribers || draining || beginning || writing
    }

    /// The next message for another shard. Those of the shard to itself are handled on the way, [`limits::MESH_SLICE`] of them
    /// between two calls of [`Self::serve`]; what is behind them waits.
    pub fn poll_mesh(&mut self, now: Now) -> Option<(ShardId, MeshMessage)> {
        while let Some(&(to, _)) = self.outbound.front() {
            if to == self.id && self.heard_itself == limits::MESH_SLICE {
                return None;
            }
            let Some((to, message)) = self.outbound.pop_front() else { break };
            if to == self.id {
                self.has_heard_itself = true;
                self.heard_itself += 1;
                self.handle_mesh(now, to, message);
            } else {
                return Some((to, message));
            }
        }
        None
    }

    /// Whether messages wait that [`Self::poll_mesh`] has not handed out.
    pub fn has_messages(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// Whether [`Self::poll_mesh`] handled messages to this shard itself, which [`Self::serve`] has not seen: deltas to
    /// merge, frames to fan out. Call it again before sleeping.
    pub fn has_heard_itself(&self) -> bool {
        self.has_heard_itself
    }

    /// Changes whenever something was let go that may have held much memory: a connection, a room that was changed, a
    /// configuration that was read.
    pub fn let_go(&self) -> u64 {
        self.quic.ended() + self.rooms.changes() + self.metrics.configured_at_s
    }

    /// QUIC datagrams to send, into `batch`; true while more are due.
    pub fn poll_transmit(&mut self, now: Now, batch: &mut TransmitBatch) -> bool {
        let has_more = self.quic.poll_transmit(now.instant, limits::TRANSMIT_SLICE, batch);
        if !has_more {
            self.drain.handle_sent(now.instant);
        }
        has_more
    }

    fn send(&mut self, to: ShardId, message: MeshMessage) {
        self.metrics.detail.mesh_sent += 1;
        self.outbound.push_back((to, message));
    }

    fn broadcast(&mut self, message: impl Fn() -> MeshMessage) {
        for shard in ShardId::all(self.shards) {
            self.send(shard, message());
        }
    }

    fn begin_handshakes(&mut self, now: Now, is_fanning_out: bool) -> bool {
        let has_more = self.quic.begin_handshakes(now.instant, is_fanning_out);
        self.handle_quic_events(now);
        has_more
    }
}
