//! Where HTTP connections become subscribers: event streams (Server-Sent Events), one room each.
//!
//! The rules are [`crate::fanout`]'s, as for those who come by QUIC: whoever does not read gets the newest frame in place
//! of those between. Only what is written differs: the text of an event, made when a pass first writes it, so within the
//! slice of a turn; a frame that is overtaken before then is never made one.
//!
//! Invariant: an event stream's connection is handed whole events, and none while the kernel has not taken those before: so
//! a turn writes [`limits::STREAM_EVENTS_MAX`] at most. An event stream that ended is unsubscribed once.
//!
//! 1. this file: who watches what, and what is written to whom;
//! 2. `ending`: those whose room was deleted, and all of them when the shard drains, a slice a turn.
//!
//! Not here: what is asked for and answered ([`super::http`]), how bytes travel (edge).

mod ending;

use super::Shard;
use super::http::{HttpConn, frame_event, palette_event};
use super::rooms::Rooms;
use super::subscribers::{newest_message, record_delivery};
use crate::fanout::{Fanout, FrameMessage, Link, Links, SubscriptionId, Wrote};
use crate::limits;
use crate::metrics::{ShardMetrics, Skip};
use crate::room::Room;
use crate::window::Now;
use bytes::Bytes;
use ending::Ending;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};
use uproar_wire::{RoomId, WindowSeq};

/// What to do next with the connection of an event stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamWrite {
    /// Send these.
    Event(Bytes),
    /// Send what is left, then close.
    End,
}

/// An event stream, until it ends; then the number is given out anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EventStreamKey(u32);

/// All event streams of a shard.
pub(super) struct EventStreams {
    fanout: Fanout,
    streams: Slab<EventStream>,
    /// Of the rooms that have event streams.
    events: HashMap<RoomId, Events, foldhash::fast::RandomState>,
    writes: VecDeque<(HttpConn, StreamWrite)>,
    ending: Ending,
    max: usize,
    /// Event streams that have begun, for what each of them is told of when to come again.
    begun: u32,
}

#[derive(Debug)]
struct EventStream {
    conn: HttpConn,
    room: RoomId,
    /// None once its room was deleted.
    subscription: Option<SubscriptionId>,
    /// The kernel has not taken what was written.
    is_stalled: bool,
}

/// A room's events that may be written more than once.
struct Events {
    palette: Bytes,
    /// The frame that was last written to anybody.
    frame: Option<(WindowSeq, Bytes)>,
}

/// Event streams, as fan-out writes to them.
struct Writer<'a> {
    streams: &'a Slab<EventStream>,
    events: &'a mut HashMap<RoomId, Events, foldhash::fast::RandomState>,
    rooms: &'a Rooms,
    writes: &'a mut VecDeque<(HttpConn, StreamWrite)>,
    metrics: &'a mut ShardMetrics,
    now: Instant,
}

impl Links for Writer<'_> {
    fn approach(&mut self, _link: Link) {}

    fn encode(&mut self, link: Link, frame: &FrameMessage) -> Bytes {
        let EventStream { room, is_stalled, .. } = self.streams[link.conn];
        if is_stalled {
            // It is not written, and perhaps never will be.
            return Bytes::new();
        }
        let known = self.events.get_mut(&room).zip(self.rooms.find(room));
        let (events, state) = known.unwrap_or_else(|| unreachable!("a room that is gone has no audience"));
        match &events.frame {
            Some((window, event)) if *window == frame.window => event.clone(),
            _ => {
                let event = frame_event(&state.room, frame);
                events.frame = Some((frame.window, event.clone()));
                event
            }
        }
    }

    fn write(&mut self, link: Link, bytes: &mut Bytes) -> Wrote {
        let stream = &self.streams[link.conn];
        if stream.is_stalled {
            return Wrote::Part;
        }
        self.writes.push_back((stream.conn, StreamWrite::Event(std::mem::take(bytes))));
        Wrote::All
    }

    fn handle_delivered(&mut self, frame: &FrameMessage) {
        record_delivery(self.metrics, self.now, frame);
    }
}

impl EventStreams {
    /// None yet, and `max` at most; see [`Fanout::new`] for `spread`.
    pub(super) fn new(max: usize, spread: Duration) -> Self {
        Self {
            fanout: Fanout::new(spread),
            streams: Slab::new(),
            events: HashMap::default(),
            writes: VecDeque::new(),
            ending: Ending::default(),
            max,
            begun: 0,
        }
    }

    /// So many from here on; those that are there go on.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn max(&self) -> usize {
        self.max
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

    /// Event streams of a room.
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

    /// After how long the client of the next event stream shall come again when it has ended, in milliseconds: those that
    /// end together are spread evenly over [`limits::STREAM_RETRY_MS`], however many they are.
    pub(super) fn next_retry_ms(&mut self) -> u64 {
        let (least, most) = (*limits::STREAM_RETRY_MS.start(), *limits::STREAM_RETRY_MS.end());
        // Multiples of the golden ratio, modulo 1: each falls into one of the widest gaps that those before have left.
        self.begun = self.begun.wrapping_add(0x9E37_79B9);
        least + ((u64::from(self.begun) * (most - least + 1)) >> 32)
    }

    pub(super) fn handle_stalled(&mut self, conn: HttpConn, key: EventStreamKey) {
        if let Some(stream) = self.find(conn, key) {
            stream.is_stalled = true;
        }
    }

    pub(super) fn handle_writable(&mut self, conn: HttpConn, key: EventStreamKey) {
        let Some(stream) = self.find(conn, key) else { return };
        stream.is_stalled = false;
        if let Some(subscription) = stream.subscription {
            self.fanout.handle_writable(subscription);
        }
        self.ending.handle_writable(key.0 as usize);
    }

    /// Offers a frame to those who watch its room.
    pub(super) fn offer(&mut self, now: Instant, room: RoomId, frame: FrameMessage) {
        self.fanout.offer(now, room, frame);
    }

    /// Tells those who watch a replaced room what its emoji mean from now on.
    pub(super) fn offer_palette(&mut self, room: &Room) {
        let Some(events) = self.events.get_mut(&room.id()) else { return };
        // What the last frame calls its emoji is out of date.
        *events = Events { palette: palette_event(room), frame: None };
        self.fanout.offer_palette(room.id(), events.palette.clone());
    }

    /// The first event stream from this place on.
    pub(super) fn stream_from(&self, place: usize) -> Option<usize> {
        (place..self.streams.capacity()).find(|&place| self.streams.contains(place))
    }

    /// Whether nothing is left that the event stream at `place` was offered and the kernel has not taken, as far as is known.
    pub(super) fn is_caught_up(&self, place: usize) -> bool {
        let stream = self.streams.get(place);
        stream.is_none_or(|stream| {
            !stream.is_stalled && stream.subscription.is_none_or(|subscription| self.fanout.is_caught_up(subscription))
        })
    }

    /// Whether the kernel has not taken what the event stream at `place` was sent.
    pub(super) fn is_stalled(&self, place: usize) -> bool {
        self.streams.get(place).is_some_and(|stream| stream.is_stalled)
    }

    fn find(&mut self, conn: HttpConn, key: EventStreamKey) -> Option<&mut EventStream> {
        self.streams.get_mut(key.0 as usize).filter(|stream| stream.conn == conn)
    }

    fn join(&mut self, conn: HttpConn, room: &Room, newest: Option<FrameMessage>) -> EventStreamKey {
        let entry = self.streams.vacant_entry();
        let place = entry.key();
        let subscription = self.fanout.subscribe(room.id(), Link { conn: place, stream: 0 });
        entry.insert(EventStream { conn, room: room.id(), subscription: Some(subscription), is_stalled: false });
        let events = self.events.entry(room.id());
        let events = events.or_insert_with(|| Events { palette: palette_event(room), frame: None });
        self.fanout.offer_one(subscription, events.palette.clone(), newest);
        EventStreamKey(place as u32)
    }

    fn leave(&mut self, place: usize) -> Option<EventStream> {
        let stream = self.streams.try_remove(place)?;
        if let Some(subscription) = stream.subscription {
            self.fanout.unsubscribe(subscription);
        }
        if self.fanout.audience(stream.room) == 0 {
            self.events.remove(&stream.room);
        }
        Some(stream)
    }
}

impl Shard {
    /// The next event to send on a connection, or its end. Taken in every turn after [`Self::serve`].
    pub fn poll_stream_write(&mut self) -> Option<(HttpConn, StreamWrite)> {
        self.event_streams.writes.pop_front()
    }

    pub(super) fn serve_event_streams(&mut self, now: Now) -> bool {
        let is_ending = self.end_event_streams_of_deleted_rooms();
        let Self { event_streams, rooms, metrics, .. } = self;
        let EventStreams { fanout, streams, events, writes, .. } = event_streams;
        let mut writer = Writer { streams, events, rooms, writes, metrics, now: now.instant };
        fanout.serve(now.instant, limits::STREAM_SLICE, &mut writer) || is_ending
    }

    /// Has a connection watch a room, if that exists; `seen` is the window of the newest frame that its client knows.
    pub(super) fn watch(&mut self, conn: HttpConn, room: RoomId, seen: Option<u64>) -> Option<EventStreamKey> {
        let state = self.rooms.find(room)?;
        let newest = newest_message(state, self.window.open()).filter(|newest| Some(newest.window.0) != seen);
        let key = self.event_streams.join(conn, &state.room, newest);
        self.tally.set_watched(room, true);
        Some(key)
    }

    /// The connection of an event stream is gone. One that has ended before is ignored.
    pub(super) fn forget_event_stream(&mut self, conn: HttpConn, key: EventStreamKey) {
        if self.event_streams.find(conn, key).is_some() {
            self.leave_event_stream(key.0 as usize);
        }
    }

    /// Ends the event stream at `place`; what was written to it still arrives.
    pub(super) fn end_event_stream(&mut self, place: usize) {
        if let Some(conn) = self.leave_event_stream(place) {
            self.event_streams.writes.push_back((conn, StreamWrite::End));
        }
    }

    fn leave_event_stream(&mut self, place: usize) -> Option<HttpConn> {
        let stream = self.event_streams.leave(place)?;
        self.unwatch_if_alone(stream.room);
        Some(stream.conn)
    }
}
