//! One shard's endpoint: routes datagrams to connections, and what connections have to say to the shard and the wire.
//!
//! Every input ends in [`Quic::settle`], which moves what a connection reports into the queue of events while its
//! memory is still in the cache, and leaves its output to [`Quic::poll_transmit`], once for all inputs of a turn.

mod answers;
mod browsers;
mod ends;
mod newcomers;
mod strangers;

use super::addresses::Addresses;
use super::closes::Closes;
use super::dirty::Dirty;
use super::handshakes::Handshakes;
use super::refusal::Line;
use super::session::{Heard, Session};
use super::slots::{Slot, Slots};
use super::timers::Timers;
use super::transmit::{TRAIN_BYTES_MAX, TransmitBatch};
use super::transport::{self, Lasting, Seed};
use super::webtransport::Seen;
use super::{Arrival, Prefetch, QuicConfig, QuicEvent, QuicSettings, WriteOutcome, outcome};
use crate::limits::{
    self, DATAGRAM_BUFFER, QUIC_ARENA_BYTES, QUIC_RESPONSES_BYTES, QUIC_SEND_STREAMS_MAX, QUIC_TRAIN_DATAGRAMS,
};
use crate::metrics::{Http3Refusal, Http3Status, Latency, Outcome, QuicRefusal};
use crate::origins::Origins;
use bytes::{Bytes, BytesMut};
use quinn_proto::{
    Connection, ConnectionEvent, ConnectionHandle, ConnectionId, DatagramEvent, Dir, Endpoint, Event, Incoming, Side,
    StreamEvent, StreamId, VarInt, WriteError,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uproar_wire::control::RoomsAnswer;
use uproar_wire::hello::{CloseCode, Welcome};

/// The QUIC part of one shard; the calling order stands at [`super`].
pub struct Quic {
    endpoint: Endpoint,
    lasting: Lasting,
    slots: Slots,
    addresses: Addresses,
    timers: Timers,
    dirty: Dirty,
    events: VecDeque<QuicEvent>,
    /// Who waits for a handshake, and since when.
    handshakes: Handshakes<Waiting>,
    /// The same clients by what their further packets name.
    line: Line,
    /// Received datagrams are copied into this once; all that QUIC keeps of them are slices of it.
    received: BytesMut,
    /// What quinn writes a packet or a train to.
    scratch: Vec<u8>,
    /// Datagrams whose connection is known and has not seen them.
    routed: VecDeque<(usize, ConnectionEvent)>,
    prefetch: Prefetch,
    /// Answers that belong to no connection, and how many of them have been handed out.
    responses: TransmitBatch,
    responses_taken: usize,
    closes: Closes,
    outcomes: [u64; Outcome::COUNT],
    refused: [u64; QuicRefusal::COUNT],
    /// Whose pages may have a session of WebTransport, if it is spoken.
    webtransport: Option<Arc<Origins>>,
    webtransport_requests: [u64; Http3Status::COUNT],
    webtransport_refused: [u64; Http3Refusal::COUNT],
    /// See [`Self::farewells`].
    farewells: usize,
    accepted: u64,
    handshake_times: Latency,
    established: usize,
    /// Connections that are not closed.
    open: usize,
    max_connections: usize,
    hello_timeout: Duration,
    refusing: bool,
    #[cfg(test)]
    pub(super) polls: usize,
}

/// A client that waits for its handshake.
struct Waiting {
    came_at: Instant,
    /// The connection id that its first packet names.
    id: ConnectionId,
    incoming: Incoming,
}

impl Quic {
    /// An endpoint without connections. `rng_seed` decides connection ids and everything else that QUIC draws.
    ///
    /// # Panics
    /// When `config.shard` is not one of `config.shards`.
    #[expect(clippy::needless_pass_by_value, reason = "whoever starts a shard has no use for the keys afterwards")]
    pub fn new(config: QuicConfig, rng_seed: Seed) -> Self {
        let lasting = Lasting::of(&config);
        let QuicConfig { settings, .. } = &config;
        Self {
            endpoint: transport::endpoint(&config, &lasting, rng_seed),
            lasting,
            slots: Slots::default(),
            addresses: Addresses::new(settings.connections_per_address_max),
            timers: Timers::default(),
            dirty: Dirty::default(),
            events: VecDeque::new(),
            handshakes: Handshakes::new(settings.handshakes),
            line: Line::default(),
            received: BytesMut::with_capacity(QUIC_ARENA_BYTES),
            scratch: Vec::with_capacity(TRAIN_BYTES_MAX),
            routed: VecDeque::with_capacity(limits::QUIC_ROUTED_MAX),
            prefetch: config.prefetch,
            responses: TransmitBatch::new(QUIC_RESPONSES_BYTES),
            responses_taken: 0,
            closes: Closes::default(),
            outcomes: [0; Outcome::COUNT],
            refused: [0; QuicRefusal::COUNT],
            webtransport: config.webtransport.clone(),
            webtransport_requests: [0; Http3Status::COUNT],
            webtransport_refused: [0; Http3Refusal::COUNT],
            farewells: 0,
            accepted: 0,
            handshake_times: Latency::new(),
            established: 0,
            open: 0,
            max_connections: settings.max_connections,
            hello_timeout: config.hello_timeout,
            refusing: false,
            #[cfg(test)]
            polls: 0,
        }
    }

    /// From here on connections begin with `settings`. Those that are there go on with the certificate and the time limits
    /// they began with, also where they are more than may begin now.
    pub fn reconfigure(&mut self, settings: &QuicSettings) {
        self.endpoint.set_server_config(Some(self.lasting.server(settings)));
        self.addresses.set_max(settings.connections_per_address_max);
        self.handshakes.set_limits(settings.handshakes);
        self.max_connections = settings.max_connections;
    }

    /// Datagrams came. Whatever they hold, the worst that happens is that they are dropped.
    ///
    /// They are routed first and handled then, so that the memory of the connections that follow comes while one is
    /// served: at thousands of subscribers it is never in the cache.
    pub fn handle_datagrams<'a>(&mut self, now: Instant, arrivals: impl Iterator<Item = Arrival<'a>>) {
        for arrival in arrivals {
            self.route(now, arrival);
            if self.routed.len() == limits::QUIC_ROUTED_MAX {
                self.handle_routed(now);
            }
        }
        self.handle_routed(now);
    }

    /// Finds out whose a datagram is.
    fn route(&mut self, now: Instant, arrival: Arrival<'_>) {
        let Arrival { remote, local_ip, ecn, bytes } = arrival;
        if bytes.is_empty() || bytes.len() > DATAGRAM_BUFFER {
            return self.count_refusal(QuicRefusal::Malformed);
        }
        let datagram = self.copy(bytes);
        self.scratch.clear();
        match self.endpoint.handle(now, remote, local_ip, ecn, datagram, &mut self.scratch) {
            None => self.handle_ignored(bytes),
            Some(DatagramEvent::ConnectionEvent(ConnectionHandle(conn), event)) => self.routed.push_back((conn, event)),
            Some(DatagramEvent::NewConnection(incoming)) => self.handle_incoming(now, incoming, bytes),
            Some(DatagramEvent::Response(answer)) => self.handle_answered(bytes, &answer),
        }
    }

    fn handle_routed(&mut self, now: Instant) {
        for &(conn, _) in self.routed.iter().take(limits::PREFETCH_AHEAD) {
            self.prefetch(conn);
        }
        while let Some((conn, event)) = self.routed.pop_front() {
            if let Some(&(next, _)) = self.routed.get(limits::PREFETCH_AHEAD - 1) {
                self.prefetch(next);
            }
            // A drained connection waits only for its slot to be freed.
            match self.slots.slot_mut(conn).filter(|slot| slot.drained.is_none()) {
                Some(slot) => {
                    slot.connection.handle_event(event);
                    self.settle(now, conn);
                }
                None => self.count_refusal(QuicRefusal::ConnectionOver),
            }
        }
    }

    /// The connection will be needed soon: has its memory come.
    pub fn prefetch(&self, conn: usize) {
        self.slots.prefetch(conn, self.prefetch);
    }

    /// The time that [`Self::poll_timeout`] named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..limits::QUIC_TIMEOUTS_PER_CALL {
            let Some(conn) = self.timers.poll_due(now) else { break };
            let Some(slot) = self.slots.slot_mut(conn) else { continue };
            slot.connection.handle_timeout(now);
            let hello_missing = slot.awaits_hello() && slot.hello_deadline <= now;
            let has_waited = slot.farewell_until().is_some_and(|until| until <= now);
            self.settle(now, conn);
            if hello_missing {
                self.close_without_hello(now, conn);
            }
            if has_waited {
                self.end_farewell(now, conn);
            }
        }
    }

    /// When [`Self::handle_timeout`] and [`Self::begin_handshakes`] are due; possibly early, never late once
    /// [`Self::poll_transmit`] returned `false`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout().into_iter().chain(self.handshakes.poll_timeout()).min()
    }

    /// What happened, in order; poll until `None` after every batch of input, as nothing else bounds the queue.
    pub fn poll_event(&mut self) -> Option<QuicEvent> {
        let event = self.events.pop_front()?;
        if let QuicEvent::Closed { conn, .. } = event
            && let Some(slot) = self.slots.slot_mut(conn)
        {
            slot.closed_polled = true;
            self.free_if_over(conn);
        }
        Some(event)
    }

    /// Answers the hello of `conn`. Nothing happens when it is gone or awaits no answer.
    pub fn welcome(&mut self, now: Instant, conn: usize, welcome: &Welcome) {
        self.reply(now, conn, |session, connection| session.welcome(connection, welcome));
    }

    /// Answers the request of `conn`. Nothing happens when it is gone or awaits no answer.
    pub fn answer(&mut self, now: Instant, conn: usize, answer: &RoomsAnswer) {
        self.reply(now, conn, |session, connection| session.answer(connection, answer));
    }

    fn reply(&mut self, now: Instant, conn: usize, write: impl FnOnce(&mut Session, &mut Connection) -> Heard) {
        if let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) {
            // What the peer asked for meanwhile has waited for this.
            let heard = write(&mut slot.session, &mut slot.connection);
            self.dirty.mark(conn);
            self.handle_heard(now, conn, heard);
        }
    }

    /// Opens a unidirectional stream to `conn` and returns its id; `None` when the peer permits no more, has not
    /// confirmed the ends of too many, or is gone.
    pub fn open_room_stream(&mut self, conn: usize) -> Option<u64> {
        let slot = self.slots.slot_mut(conn).filter(|slot| !slot.closed)?;
        // A peer that permits any number and confirms none would have us keep them all.
        if slot.connection.streams().send_streams() >= QUIC_SEND_STREAMS_MAX {
            return None;
        }
        let stream = slot.connection.streams().open(Dir::Uni)?;
        if let Some(web) = &mut slot.web {
            slot.has_beginnings |= !web.begin_room(&mut slot.connection, stream);
            self.dirty.mark(conn);
        }
        slot.open_streams += 1;
        Some(stream.into())
    }

    /// Queues `chunk` on a stream of [`Self::open_room_stream`], sharing its memory, and takes from its front what
    /// was queued.
    pub fn write(&mut self, conn: usize, stream: u64, chunk: &mut Bytes) -> WriteOutcome {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| !slot.closed) else { return WriteOutcome::Gone };
        let Some(stream) = room_stream(stream) else { return WriteOutcome::Gone };
        if slot.has_beginnings && slot.web.as_ref().is_some_and(|web| web.is_beginning(stream)) {
            return WriteOutcome::Blocked;
        }
        let mut stream = slot.connection.send_stream(stream);
        // QUIC promises to say when a stream is writable again only once it has refused a write.
        while !chunk.is_empty() {
            match stream.write_chunks(std::slice::from_mut(chunk)) {
                Ok(_) => self.dirty.mark(conn),
                Err(WriteError::Blocked) => {
                    // The peer is told that it holds us up.
                    self.dirty.mark(conn);
                    return WriteOutcome::Blocked;
                }
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return WriteOutcome::Gone,
            }
        }
        WriteOutcome::All
    }

    /// The first slot in use from `conn` on.
    pub fn connection_from(&self, conn: usize) -> Option<usize> {
        self.slots.first_from(conn)
    }

    /// Handshakes that have begun and are not complete, those that failed and are not forgotten yet included.
    pub fn handshakes_under_way(&self) -> usize {
        self.handshakes.under_way()
    }

    /// First packets whose handshake has not begun.
    pub fn handshakes_waiting(&self) -> usize {
        self.handshakes.waiting()
    }

    /// From a client's first packet to its handshake complete, of all that were: the wait in line, and the round trips.
    pub fn handshake_times(&self) -> &Latency {
        &self.handshake_times
    }

    /// Slots in use, those of closed connections that QUIC still drains included.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Connections whose handshake is complete and that are not closed.
    pub fn established(&self) -> usize {
        self.established
    }

    /// Connections that are not closed, those whose handshake is under way included.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Connections ever accepted. Each ends in one of [`Self::outcomes`].
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Ends by [`Outcome::index`]: of all connections, and of attempts that never became one and of which
    /// therefore no [`QuicEvent::Closed`] tells.
    pub fn outcomes(&self) -> &[u64; Outcome::COUNT] {
        &self.outcomes
    }

    /// Requests for a session of WebTransport, and other ones, by [`Http3Status::index`].
    pub fn webtransport_requests(&self) -> &[u64; Http3Status::COUNT] {
        &self.webtransport_requests
    }

    /// Streams over HTTP/3 that were cut off while their connection lived, by [`Http3Refusal::index`].
    pub fn webtransport_refused(&self) -> &[u64; Http3Refusal::COUNT] {
        &self.webtransport_refused
    }

    /// Serialises what connections want to send, until `batch` is full or `slice` of them were asked. Returns whether
    /// more is due.
    pub fn poll_transmit(&mut self, now: Instant, slice: usize, batch: &mut TransmitBatch) -> bool {
        self.responses_taken = batch.take_from(&self.responses, self.responses_taken);
        if self.responses_taken == self.responses.len() {
            self.responses.clear();
            self.responses_taken = 0;
        }
        let is_repeating = self.closes.poll(batch);
        for _ in 0..slice {
            if batch.is_full() {
                break;
            }
            let Some(conn) = self.dirty.take() else { break };
            self.transmit(now, conn, batch);
        }
        is_repeating || !self.dirty.is_empty() || !self.responses.is_empty()
    }

    fn transmit(&mut self, now: Instant, conn: usize, batch: &mut TransmitBatch) {
        let Some(slot) = self.slots.slot_mut(conn).filter(|slot| slot.drained.is_none()) else { return };
        #[cfg(test)]
        {
            self.polls += 1;
        }
        while !batch.is_full() {
            self.scratch.clear();
            match slot.connection.poll_transmit(now, QUIC_TRAIN_DATAGRAMS, &mut self.scratch) {
                Some(transmit) => {
                    batch.push(&transmit, &self.scratch);
                    if self.closes.is_keeping() && slot.connection.is_closed() {
                        self.closes.keep(&transmit, &self.scratch);
                    }
                }
                None => {
                    self.timers.arm(now, conn, slot.deadline());
                    return;
                }
            }
        }
        // Not known to have said everything: asked again, after those that wait already.
        self.timers.arm(now, conn, slot.deadline());
        self.dirty.mark(conn);
    }

    fn copy(&mut self, bytes: &[u8]) -> BytesMut {
        let arena_bytes = QUIC_ARENA_BYTES.max(bytes.len());
        if self.received.capacity() < bytes.len() && !self.received.try_reclaim(arena_bytes) {
            self.received = BytesMut::with_capacity(arena_bytes);
        }
        self.received.extend_from_slice(bytes);
        self.received.split()
    }

    /// Takes what `conn` reports after an input, and notes that it may have output.
    fn settle(&mut self, now: Instant, conn: usize) {
        self.dirty.mark(conn);
        self.settle_with_endpoint(conn);
        while let Some(event) = self.slots.slot_mut(conn).and_then(|slot| slot.connection.poll()) {
            self.handle_connection_event(now, conn, event);
        }
        self.free_if_over(conn);
    }

    /// Lets connection and endpoint agree on connection ids.
    fn settle_with_endpoint(&mut self, conn: usize) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        while let Some(event) = slot.connection.poll_endpoint_events() {
            if event.is_drained() {
                slot.drained = Some(event);
            } else if let Some(answer) = self.endpoint.handle_event(ConnectionHandle(conn), event) {
                slot.connection.handle_event(answer);
            }
        }
    }

    fn handle_connection_event(&mut self, now: Instant, conn: usize, event: Event) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        if slot.closed {
            return self.handle_farewell_event(now, conn, &event);
        }
        if slot.web.is_some() && self.handle_web_event(now, conn, &event) == Seen::Taken {
            return;
        }
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        let proto = slot.proto();
        let Slot { connection, session, .. } = slot;
        let heard = match event {
            Event::Connected => {
                slot.established = true;
                self.handshake_times.record(now.saturating_duration_since(slot.came_at));
                slot.hello_deadline = now + self.hello_timeout;
                self.established += 1;
                self.handshakes.handle_ended();
                return self.begin_http3(now, conn);
            }
            Event::ConnectionLost { reason } => {
                let outcome = outcome::of_loss(&reason, slot.established, slot.web.is_some());
                return self.report_closed(conn, outcome);
            }
            Event::DatagramReceived => {
                while let Some(datagram) = connection.datagrams().recv() {
                    self.events.push_back(QuicEvent::Reactions { conn, datagram, proto });
                }
                Heard::Nothing
            }
            Event::HandshakeDataReady => return self.handle_protocol(conn),
            Event::Stream(StreamEvent::Opened { dir }) => match connection.streams().accept(dir) {
                Some(stream) => session.handle_opened(connection, stream),
                None => Heard::Nothing,
            },
            Event::Stream(StreamEvent::Readable { id }) if session.is_control(id) => {
                session.handle_readable(connection)
            }
            Event::Stream(StreamEvent::Writable { id }) if session.is_control(id) => {
                session.handle_writable(connection)
            }
            Event::Stream(StreamEvent::Writable { id }) => {
                self.events.push_back(QuicEvent::Writable { conn, stream: id.into() });
                Heard::Nothing
            }
            Event::Stream(StreamEvent::Finished { id }) if !session.is_control(id) => {
                slot.open_streams = slot.open_streams.saturating_sub(1);
                self.close_if_parted(now, conn);
                Heard::Nothing
            }
            Event::Stream(StreamEvent::Stopped { id, error_code }) if !session.is_control(id) => {
                // What waits on it is let go. If everything has left already, its end is reported apart.
                let is_over = connection.send_stream(id).reset(error_code).is_ok();
                slot.open_streams = slot.open_streams.saturating_sub(is_over.into());
                self.events.push_back(QuicEvent::Stopped { conn, stream: id.into() });
                self.close_if_parted(now, conn);
                Heard::Nothing
            }
            Event::Stream(_) | Event::DatagramsUnblocked => Heard::Nothing,
        };
        self.handle_heard(now, conn, heard);
    }

    fn handle_heard(&mut self, now: Instant, conn: usize, mut heard: Heard) {
        let Some(slot) = self.slots.slot_mut(conn) else { return };
        let proto = slot.proto();
        while let Heard::Reactions(datagram) = heard {
            self.events.push_back(QuicEvent::Reactions { conn, datagram, proto });
            heard = slot.session.handle_readable(&mut slot.connection);
        }
        match heard {
            // Those of reactions have been taken above.
            Heard::Nothing | Heard::Reactions(_) => {}
            Heard::Hello(hello) => self.events.push_back(QuicEvent::Hello { conn, hello, proto }),
            Heard::Request(request) => self.events.push_back(QuicEvent::Request { conn, request }),
            Heard::Malformed(reason) => self.close(now, conn, CloseCode::BadHello, reason),
        }
    }
}

/// QUIC wants to hear of every first packet what became of it.
impl Drop for Quic {
    fn drop(&mut self) {
        while let Some(waiting) = self.handshakes.poll_waiting() {
            self.endpoint.ignore(waiting.incoming);
        }
    }
}

/// A raw id as a stream that the server opened; `None` for any other, on which quinn would panic.
fn room_stream(raw: u64) -> Option<StreamId> {
    let stream = StreamId::from(VarInt::from_u64(raw).ok()?);
    (stream.dir() == Dir::Uni && stream.initiator() == Side::Server).then_some(stream)
}
