//! Where HTTP connections become subscribers: streams of events (Server-Sent Events), one room each.
//!
//! The rules are [`crate::fanout`]'s, as for those who come by QUIC: whoever does not read gets the newest frame in place
//! of those between. Only what is written differs: the text of an event, made once a frame and shard.
//!
//! Invariant: a stream's connection is handed whole events, and none while the kernel has not taken those before: so it
//! keeps at most what one turn writes, the palette and two frames. A stream that ended is unsubscribed once.
//!
//! Not here: what is asked for and answered ([`super::http`]), how bytes travel (edge).

use super::Shard;
use super::http::{HttpConn, frame_event, palette_event};
use super::mesh_message::SharedFrame;
use crate::fanout::{Fanout, FrameMessage, Link, Links, SubscriptionId, Wrote};
use crate::limits;
use crate::metrics::{ShardMetrics, Skip};
use crate::room::Room;
use crate::window::Now;
use bytes::Bytes;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use uproar_wire::RoomId;

/// What to do next with the connection of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamWrite {
    /// Send these.
    Event(Bytes),
    /// Send what is left, then close.
    End,
}

/// A stream, until it ends; then the number is given out anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StreamKey(u32);

/// All streams of a shard.
pub(super) struct Streams {
    fanout: Fanout,
    streams: Slab<Stream>,
    /// Of the rooms that have streams.
    events: HashMap<RoomId, Events, foldhash::fast::RandomState>,
    writes: VecDeque<(HttpConn, StreamWrite)>,
    max: usize,
}

#[derive(Debug)]
struct Stream {
    conn: HttpConn,
    room: RoomId,
    subscription: SubscriptionId,
    /// The kernel has not taken what was written.
    is_stalled: bool,
}

/// What is said to who comes.
struct Events {
    palette: Bytes,
    newest: Option<FrameMessage>,
}

/// Streams, as fan-out writes to them.
struct Writer<'a> {
    streams: &'a Slab<Stream>,
    writes: &'a mut VecDeque<(HttpConn, StreamWrite)>,
    metrics: &'a mut ShardMetrics,
    now: Instant,
}

impl Links for Writer<'_> {
    fn approach(&mut self, _link: Link) {}

    fn write(&mut self, link: Link, bytes: &mut Bytes) -> Wrote {
        let stream = &self.streams[link.conn];
        if stream.is_stalled {
            return Wrote::Part;
        }
        self.writes.push_back((stream.conn, StreamWrite::Event(std::mem::take(bytes))));
        Wrote::All
    }

    fn handle_delivered(&mut self, frame: &FrameMessage) {
        self.metrics.fanout.record(self.now.saturating_duration_since(frame.encoded_at));
    }
}

impl Streams {
    /// None yet, and `max` at most; see [`Fanout::new`] for `spread`.
    pub(super) fn new(max: usize, spread: Duration) -> Self {
        Self {
            fanout: Fanout::new(spread),
            streams: Slab::new(),
            events: HashMap::default(),
            writes: VecDeque::new(),
            max,
        }
    }

    /// So many from here on; those that are there go on.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn set_spread(&mut self, spread: Duration) {
        self.fanout.set_spread(spread);
    }

    pub(super) fn hurry(&mut self) {
        self.fanout.hurry();
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.streams.len() >= self.max
    }

    /// Streams of a room.
    pub(super) fn audience(&self, room: RoomId) -> usize {
        self.fanout.audience(room)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.fanout.poll_timeout()
    }

    pub(super) fn frames_sent(&self) -> u64 {
        self.fanout.frames_sent()
    }

    pub(super) fn frames_skipped(&self, reason: Skip) -> u64 {
        self.fanout.frames_skipped(reason)
    }

    /// Whether frames are yet to be handed to connections that take them.
    pub(super) fn has_work(&self) -> bool {
        self.fanout.has_work()
    }

    /// Whether events wait for the edge to take them.
    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    pub(super) fn handle_stalled(&mut self, conn: HttpConn, key: StreamKey) {
        if let Some(stream) = self.find(conn, key) {
            stream.is_stalled = true;
        }
    }

    pub(super) fn handle_writable(&mut self, conn: HttpConn, key: StreamKey) {
        if let Some(stream) = self.find(conn, key) {
            stream.is_stalled = false;
            let subscription = stream.subscription;
            self.fanout.handle_writable(subscription);
        }
    }

    /// Tells those who watch a replaced room what its emoji mean from now on.
    pub(super) fn offer_palette(&mut self, room: &Room) {
        let Some(events) = self.events.get_mut(&room.id()) else { return };
        // What the newest frame calls its emoji is out of date.
        *events = Events { palette: palette_event(room), newest: None };
        let audience: Vec<SubscriptionId> = self.fanout.subscriptions(room.id()).map(|(id, _)| id).collect();
        for subscription in audience {
            self.fanout.offer_one(subscription, events.palette.clone(), None);
        }
    }

    /// Ends the streams of a deleted room.
    pub(super) fn drop_room(&mut self, room: RoomId) {
        self.events.remove(&room);
        for link in self.fanout.remove_room(room) {
            let stream = self.streams.remove(link.conn);
            self.writes.push_back((stream.conn, StreamWrite::End));
        }
    }

    /// The first stream from this place on.
    pub(super) fn stream_from(&self, place: usize) -> Option<usize> {
        (place..self.streams.capacity()).find(|&place| self.streams.contains(place))
    }

    /// Whether nothing is left that the stream at `place` was offered and the kernel has not taken, as far as is known.
    pub(super) fn is_caught_up(&self, place: usize) -> bool {
        let stream = self.streams.get(place);
        stream.is_none_or(|stream| !stream.is_stalled && self.fanout.is_caught_up(stream.subscription))
    }

    /// Streams that [`Self::is_caught_up`], a few of them.
    pub(super) fn caught_up(&self) -> Vec<usize> {
        let caught_up = self.streams.iter().map(|(place, _)| place).filter(|&place| self.is_caught_up(place));
        caught_up.take(limits::STREAM_SLICE).collect()
    }

    fn find(&mut self, conn: HttpConn, key: StreamKey) -> Option<&mut Stream> {
        self.streams.get_mut(key.0 as usize).filter(|stream| stream.conn == conn)
    }

    fn join(&mut self, conn: HttpConn, room: &Room) -> StreamKey {
        let entry = self.streams.vacant_entry();
        let place = entry.key();
        let link = Link { conn: place, stream: 0 };
        let subscription = self.fanout.subscribe(room.id(), link);
        entry.insert(Stream { conn, room: room.id(), subscription, is_stalled: false });
        StreamKey(place as u32)
    }

    fn leave(&mut self, place: usize) -> Option<Stream> {
        let stream = self.streams.try_remove(place)?;
        self.fanout.unsubscribe(stream.subscription);
        if self.fanout.audience(stream.room) == 0 {
            self.events.remove(&stream.room);
        }
        Some(stream)
    }
}

impl Shard {
    /// The next event to send on a connection, or its end. Taken in every turn after [`Self::serve`].
    pub fn poll_stream_write(&mut self) -> Option<(HttpConn, StreamWrite)> {
        self.streams.writes.pop_front()
    }

    pub(super) fn serve_streams(&mut self, now: Now) -> bool {
        let Self { streams: Streams { fanout, streams, writes, .. }, metrics, .. } = self;
        fanout.serve(now.instant, limits::STREAM_SLICE, &mut Writer { streams, writes, metrics, now: now.instant })
    }

    /// Has a connection watch a room, if that exists; `seen` is the window of the newest frame that its client knows.
    pub(super) fn watch(&mut self, conn: HttpConn, room: RoomId, seen: Option<u64>) -> Option<StreamKey> {
        let state = self.rooms.find(room)?;
        let key = self.streams.join(conn, &state.room);
        let events = self.streams.events.entry(room);
        let events = events.or_insert_with(|| Events { palette: palette_event(&state.room), newest: None });
        if let (None, Some(newest)) = (&events.newest, &state.newest) {
            events.newest = Some(event_message(&state.room, newest));
        }
        let newest = events.newest.clone().filter(|newest| Some(newest.window.0) != seen);
        let subscription = self.streams.streams[key.0 as usize].subscription;
        self.streams.fanout.offer_one(subscription, events.palette.clone(), newest);
        self.tally.set_watched(room, true);
        Some(key)
    }

    /// Offers a frame to the streams of its room.
    pub(super) fn offer_event(&mut self, now: Now, frame: &SharedFrame) {
        let Some(events) = self.streams.events.get_mut(&frame.room) else { return };
        let Some(state) = self.rooms.find(frame.room) else { return };
        let message = event_message(&state.room, frame);
        events.newest = Some(message.clone());
        self.streams.fanout.offer(now.instant, frame.room, message);
    }

    /// The connection of a stream is gone. One that has ended before is ignored.
    pub(super) fn end_stream(&mut self, conn: HttpConn, key: StreamKey) {
        if self.streams.find(conn, key).is_some() {
            self.leave_stream(key.0 as usize);
        }
    }

    /// Ends the stream at `place`; what was written to it still arrives.
    pub(super) fn finish_stream(&mut self, place: usize) {
        if let Some(conn) = self.leave_stream(place) {
            self.streams.writes.push_back((conn, StreamWrite::End));
        }
    }

    fn leave_stream(&mut self, place: usize) -> Option<HttpConn> {
        let stream = self.streams.leave(place)?;
        self.unwatch_if_alone(stream.room);
        Some(stream.conn)
    }
}

fn event_message(room: &Room, frame: &SharedFrame) -> FrameMessage {
    FrameMessage { window: frame.window, bytes: frame_event(room, frame), encoded_at: frame.encoded_at }
}
