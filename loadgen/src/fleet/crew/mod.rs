//! The subscribers of one socket: their connections, what they hear and what they have to say. `members` is who of them is
//! there, and who comes and goes.
//!
//! Invariant: a connection is asked for output right after its input, while it is in the cache; there is no pass over all
//! of them. A connection that is given up for another one (churn) lives on without a subscriber until QUIC is done with it.

mod members;

use super::Pause;
use super::arrivals::Moment;
use super::ledger::Ledger;
use super::measures;
use super::outbox::{self, Outbox};
use super::seating::Chart;
use super::timers::Timers;
use super::transport;
use super::viewer::{Fault, Viewer};
use bytes::BytesMut;
use members::{Member, Phase};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, EcnCodepoint, Endpoint, EndpointEvent, Event,
    StreamEvent,
};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;
use uproar::edge::sys::datagram_receiver::DatagramReceiver;
use uproar::edge::sys::socket_option;

/// Bytes of the memory that received datagrams share.
const ARENA_BYTES: usize = 16 * 1024;
/// Batches taken from one socket in one turn, so that no socket starves the others.
const BATCHES_PER_TURN: usize = 8;
/// The subscriber of a connection that has none any more.
const NOBODY: usize = usize::MAX;

/// What all crews of a fleet have in common.
pub(super) struct Course {
    pub(super) server: SocketAddr,
    pub(super) server_name: String,
    pub(super) client: ClientConfig,
    pub(super) chart: Chart,
}

struct Seat {
    connection: Connection,
    /// When it had its first packet to send.
    since: Instant,
    viewer: Viewer,
    /// Its place in the chart.
    wishes: u32,
    /// Place in the crew, or [`NOBODY`].
    member: usize,
    /// The address that it sends from.
    local_ip: Option<IpAddr>,
    pause: Option<Pause>,
    /// Whether it waits in the queue for room in the outbox.
    is_queued: bool,
}

/// Whether a socket has to be asked, or will say so itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    Empty,
    Polled,
}

/// One socket and its subscribers.
pub(super) struct Crew {
    socket: UdpSocket,
    readiness: Readiness,
    is_full: bool,
    is_polled_for_room: bool,
    endpoint: Endpoint,
    /// By connection handle. Boxed, as connections are large and come and go.
    seats: Vec<Option<Box<Seat>>>,
    members: Vec<Member>,
    /// Number of the first member in the fleet.
    first: usize,
    timers: Timers,
    outbox: Outbox,
    /// Connections that found the outbox full.
    queue: VecDeque<u32>,
    arena: BytesMut,
    scratch: Vec<u8>,
}

impl Crew {
    /// The subscribers with these numbers, none of them connected.
    pub(super) fn new(server: SocketAddr, numbers: Range<usize>) -> io::Result<Self> {
        Ok(Self {
            socket: outbox::open_socket(server)?,
            readiness: Readiness::Ready,
            is_full: false,
            is_polled_for_room: false,
            endpoint: transport::endpoint(),
            seats: Vec::with_capacity(numbers.len()),
            members: vec![Member { phase: Phase::Out, conn: 0 }; numbers.len()],
            first: numbers.start,
            timers: Timers::default(),
            outbox: Outbox::default(),
            queue: VecDeque::new(),
            arena: BytesMut::with_capacity(ARENA_BYTES),
            scratch: Vec::with_capacity(2048),
        })
    }

    /// Numbers of its subscribers in the fleet.
    pub(super) fn numbers(&self) -> Range<usize> {
        self.first..self.first + self.members.len()
    }

    /// Takes what has come, up to a few batches; true when there was something.
    pub(super) fn receive(
        &mut self,
        receiver: &mut DatagramReceiver,
        course: &Course,
        ledger: &mut Ledger,
    ) -> io::Result<bool> {
        let mut has_received = false;
        for _ in 0..BATCHES_PER_TURN {
            if self.readiness != Readiness::Ready {
                break;
            }
            let received = receiver.receive(self.socket.as_raw_fd())?;
            if received < receiver.batch() {
                self.readiness = Readiness::Empty;
            }
            if received > 0 {
                has_received = true;
                let at = Moment::now();
                for datagram in receiver.iter() {
                    let ecn = EcnCodepoint::from_bits(datagram.ecn);
                    self.handle_datagram(at, ecn, datagram.bytes, course, ledger);
                }
                self.flush(ledger);
            }
        }
        Ok(has_received)
    }

    fn handle_datagram(
        &mut self,
        at: Moment,
        ecn: Option<EcnCodepoint>,
        bytes: &[u8],
        course: &Course,
        ledger: &mut Ledger,
    ) {
        let datagram = self.copy(bytes);
        self.scratch.clear();
        // Every packet that matters is the server's. A reset in answer to one is not sent: who has vanished says nothing.
        let event = self.endpoint.handle(at.instant, course.server, None, ecn, datagram, &mut self.scratch);
        let Some(DatagramEvent::ConnectionEvent(ConnectionHandle(conn), event)) = event else { return };
        let Some(seat) = self.seats.get_mut(conn).and_then(Option::as_mut) else { return };
        if seat.pause == Some(Pause::Deaf) {
            return;
        }
        seat.connection.handle_event(event);
        self.settle(at, conn, course, ledger);
    }

    /// Whoever's time has come.
    pub(super) fn handle_timeout(&mut self, at: Moment, course: &Course, ledger: &mut Ledger) {
        while let Some(conn) = self.timers.poll_due(at.instant) {
            let Some(seat) = self.seats.get_mut(conn).and_then(Option::as_mut) else { continue };
            seat.connection.handle_timeout(at.instant);
            self.settle(at, conn, course, ledger);
        }
    }

    /// When [`Self::handle_timeout`] is due, or earlier.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout()
    }

    /// Sends what waits, and what found no room before.
    pub(super) fn transmit_queued(&mut self, now: Instant, ledger: &mut Ledger) {
        self.flush(ledger);
        while !self.is_full
            && let Some(conn) = self.queue.pop_front()
        {
            if let Some(seat) = self.seats.get_mut(conn as usize).and_then(Option::as_mut) {
                seat.is_queued = false;
                self.transmit(now, conn as usize, ledger);
            }
        }
        self.flush(ledger);
    }

    /// Datagrams that the kernel dropped at the socket.
    pub(super) fn drops(&self) -> u64 {
        socket_option::drops(&self.socket).map_or(0, u64::from)
    }

    /// Datagrams that the kernel did not send.
    pub(super) fn refused(&self) -> u64 {
        self.outbox.refused
    }

    /// The socket, if the ring has to say when it is readable.
    pub(super) fn poll_readable(&mut self) -> Option<RawFd> {
        let was_empty = self.readiness == Readiness::Empty;
        was_empty.then(|| {
            self.readiness = Readiness::Polled;
            self.socket.as_raw_fd()
        })
    }

    /// Whether there may be something to receive at once.
    pub(super) fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// The socket, if the kernel has no room for what waits and the ring has to say when it has.
    pub(super) fn poll_writable(&mut self) -> Option<RawFd> {
        let has_to_poll = self.is_full && !std::mem::replace(&mut self.is_polled_for_room, true);
        has_to_poll.then(|| self.socket.as_raw_fd())
    }

    /// There may be room for what waits.
    pub(super) fn handle_writable(&mut self) {
        self.is_full = false;
        self.is_polled_for_room = false;
    }

    /// There may be datagrams.
    pub(super) fn handle_readable(&mut self) {
        self.readiness = Readiness::Ready;
    }

    /// It was empty a while ago and the ring does not look at it: it has to be asked.
    pub(super) fn ask_again(&mut self) {
        if self.readiness == Readiness::Empty {
            self.readiness = Readiness::Ready;
        }
    }

    fn copy(&mut self, bytes: &[u8]) -> BytesMut {
        let arena_bytes = ARENA_BYTES.max(bytes.len());
        if self.arena.capacity() < bytes.len() && !self.arena.try_reclaim(arena_bytes) {
            self.arena = BytesMut::with_capacity(arena_bytes);
        }
        self.arena.extend_from_slice(bytes);
        self.arena.split()
    }

    /// Takes what a connection reports after an input, then what it has to say. Its own events come first: a connection
    /// that ends at once, by a reset or because its time is up, is done with before it was asked why.
    fn settle(&mut self, at: Moment, conn: usize, course: &Course, ledger: &mut Ledger) {
        loop {
            let Some(seat) = self.seats.get_mut(conn).and_then(Option::as_mut) else { return };
            if let Some(event) = seat.connection.poll() {
                let heard = self.handle_event(at, conn, event, course, ledger);
                self.judge(at.instant, conn, heard, ledger);
            } else if let Some(event) = seat.connection.poll_endpoint_events() {
                if event.is_drained() {
                    return self.free(conn, event);
                }
                if let Some(answer) = self.endpoint.handle_event(ConnectionHandle(conn), event) {
                    seat.connection.handle_event(answer);
                }
            } else {
                return self.transmit(at.instant, conn, ledger);
            }
        }
    }

    fn handle_event(
        &mut self,
        at: Moment,
        conn: usize,
        event: Event,
        course: &Course,
        ledger: &mut Ledger,
    ) -> Result<(), Fault> {
        let Some(seat) = &mut self.seats[conn] else { return Ok(()) };
        let Seat { connection, since, viewer, wishes, member, pause, .. } = &mut **seat;
        if *member == NOBODY {
            return Ok(());
        }
        let wishes = course.chart.at(*wishes);
        match event {
            Event::Connected => {
                ledger.handshakes += 1;
                measures::record(&mut ledger.handshake_us, at.instant.saturating_duration_since(*since));
                viewer.handle_connected(connection, wishes)?;
            }
            Event::ConnectionLost { reason } => {
                let member = *member;
                self.lose(member, reason.to_string(), ledger);
            }
            Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) if pause.is_none() => {
                viewer.read_rooms(connection, wishes, at, &mut ledger.arrivals)?;
            }
            Event::Stream(StreamEvent::Readable { id }) if pause.is_none() => {
                viewer.handle_readable(connection, id, wishes, at, &mut ledger.arrivals)?;
            }
            _ => {}
        }
        self.note_subscribed(at.instant, conn, ledger);
        Ok(())
    }

    fn free(&mut self, conn: usize, drained: EndpointEvent) {
        self.endpoint.handle_event(ConnectionHandle(conn), drained);
        self.seats[conn] = None;
        self.timers.arm(conn, None);
    }

    fn transmit(&mut self, now: Instant, conn: usize, ledger: &mut Ledger) {
        if self.outbox.is_full() {
            self.flush(ledger);
        }
        let Some(seat) = &mut self.seats[conn] else { return };
        loop {
            if self.outbox.is_full() {
                if !std::mem::replace(&mut seat.is_queued, true) {
                    self.queue.push_back(conn as u32);
                }
                break;
            }
            self.scratch.clear();
            match seat.connection.poll_transmit(now, 1, &mut self.scratch) {
                Some(transmit) => self.outbox.push(&transmit, &self.scratch, seat.local_ip),
                None => break,
            }
        }
        self.timers.arm(conn, seat.connection.poll_timeout());
    }

    fn flush(&mut self, ledger: &mut Ledger) {
        if !self.is_full && !self.outbox.is_empty() {
            self.is_full = !self.outbox.send(&self.socket, &mut ledger.sender);
        }
    }
}
