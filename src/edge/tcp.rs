//! TCP connections of one shard on its ring: multishot receive into provided buffers, and one send a connection and turn, with
//! all replies of the turn.
//!
//! 1. `arrivals`: who comes, and who is served here;
//! 2. this file: what a connection receives, and what state that brings it to;
//! 3. `turns`: how much of that one turn does, and which connections go on in the next one (`budget`);
//! 4. `departures`: at the end of a turn, what it has changed is brought to the ring (`outgoing`);
//! 5. `streams`: connections that have asked for frames as they come;
//! 6. `sweep`: when a connection's time is up.
//!
//! A connection is *open*, *waiting* (an answer or a reader is awaited; nothing is received), *streaming* (frames go out
//! as they come, nothing is asked any more), *finishing* (the last replies go out), *lingering* (we have sent our end and
//! discard what still comes, so that the peer reads the replies instead of a reset) or *dead*. It is forgotten when the ring has no operation of it left.
//! What requests mean is the shard's to say.

mod arrivals;
mod budget;
mod departures;
mod outgoing;
mod streams;
mod sweep;
#[cfg(test)]
mod tests;
mod turns;

use super::admission::Admission;
use super::sys::ring::{Completion, Ring};
use super::sys::socket_option::shut_down;
use super::token::Purpose;
use crate::config::{Config, Http};
use crate::ids::ClientAddress;
use crate::limits;
use crate::metrics::Outcome;
use crate::shard::{HTTP_CONNECTION_BYTES, HttpConn, HttpNext, HttpPort, Shard};
use arrivals::Door;
use budget::Budget;
use outgoing::Queue;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;
use sweep::{Sweep, TimeLimits};

/// All TCP connections of one shard.
pub struct Tcp {
    doors: Vec<Door>,
    conns: Slab<Conn>,
    next_generation: u32,
    /// Connections that this turn has changed, and those that a turn before had no work left for.
    changed: VecDeque<HttpConn>,
    /// Connections that go on when the kernel has taken their replies, which it does when the ring is next entered.
    flushed: Vec<HttpConn>,
    /// Connections whose requests wait for their turn: those that go on after a pause, and those for which the turn in which
    /// they came had no work left.
    queued: VecDeque<HttpConn>,
    /// Work left to this turn.
    budget: Budget,
    /// Connections that have just fallen silent, and are still to be asked whether they are over.
    silent: Vec<HttpConn>,
    /// Streams on which nothing was sent for long, and are still to be sent a heartbeat.
    quiet: Vec<HttpConn>,
    sweep: Sweep,
    /// Connections that have closed.
    closed: u64,
    admission: Admission,
    /// Public connections at most, and how many connections of the admin port there are.
    connections_max: usize,
    admin_conns: usize,
    time_limits: TimeLimits,
    is_draining: bool,
    #[cfg(test)]
    work: turns::TurnWork,
}

/// Entries for which lists keep memory without connections.
const TRIM_ENTRIES: usize = 1024;

// An idle connection has nothing to send, and holds no memory for that.
const _: () = assert!(size_of::<Conn>() + HTTP_CONNECTION_BYTES <= limits::HTTP_IDLE_CONNECTION_BYTES_MAX);

struct Conn {
    socket: OwnedFd,
    client: Option<ClientAddress>,
    port: HttpPort,
    generation: u32,
    state: State,
    is_receiving: bool,
    /// The socket has no room; the ring says when it has.
    is_full: bool,
    /// The kernel has not taken all replies of an earlier turn.
    is_behind: bool,
    /// Among the changed of this turn.
    is_changed: bool,
    /// Among the queued.
    is_queued: bool,
    replies: Queue,
    /// Of the last byte, or of the start of the request under way; of a stream's last event.
    since: Instant,
    is_mid_request: bool,
    /// A request has come whole.
    has_asked: bool,
    /// When the kernel had last taken what it was behind with.
    sent_at: Instant,
    /// The sweep that first saw it behind, unless `sent_at` is later.
    stalled_at: Option<Instant>,
    /// Events of its stream that this turn has appended.
    events: u8,
    /// Bytes that came when nothing was awaited any more.
    discarded_bytes: u32,
    /// Why it ends, or `Done`.
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Waiting,
    Streaming,
    Finishing,
    Lingering,
    Dead,
}

impl Tcp {
    /// Accepts on `listeners` from the first turn on.
    pub fn new(listeners: Vec<(TcpListener, HttpPort)>, admission: Admission, config: &Config, now: Instant) -> Self {
        Self {
            doors: listeners.into_iter().map(|(listener, port)| Door::new(listener, port)).collect(),
            conns: Slab::new(),
            next_generation: 0,
            changed: VecDeque::new(),
            flushed: Vec::new(),
            queued: VecDeque::new(),
            budget: Budget::new(0),
            silent: Vec::new(),
            quiet: Vec::new(),
            sweep: Sweep::new(now),
            closed: 0,
            admission,
            connections_max: config.http.connections_max,
            admin_conns: 0,
            time_limits: TimeLimits::of(&config.http),
            is_draining: false,
            #[cfg(test)]
            work: turns::TurnWork::default(),
        }
    }

    /// Takes in other limits. Time limits are for every connection, numbers for those that come from here on.
    pub fn reconfigure(&mut self, http: &Http) {
        self.admission.set_max(http.connections_per_address_max, http.connections_max);
        self.connections_max = http.connections_max;
        self.time_limits = TimeLimits::of(http);
    }

    /// Connections that have closed so far.
    pub fn closed(&self) -> u64 {
        self.closed
    }

    /// Gives up what the lists of a burst have left.
    pub fn trim(&mut self) {
        let most = 4 * self.conns.len() + TRIM_ENTRIES;
        self.changed.shrink_to(most);
        self.queued.shrink_to(most);
        self.flushed.shrink_to(most);
        self.silent.shrink_to(most);
        self.quiet.shrink_to(most);
        if self.conns.capacity() > most {
            self.conns.shrink_to_fit();
        }
    }

    /// Public connections that this shard takes at most.
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Bytes have come, or the peer has ended.
    pub fn handle_received(
        &mut self,
        now: Instant,
        conn: HttpConn,
        completion: &Completion,
        ring: &mut Ring,
        shard: &mut Shard,
    ) {
        let received = ring.received(completion).map(|(buffer, bytes)| (buffer, !bytes.is_empty()));
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_receiving = completion.has_more();
            match received {
                Some((_, true)) => self.handle_bytes(now, conn, Some(completion), ring, shard),
                _ if completion.result == -libc::ENOBUFS => {
                    shard.metrics_mut().detail.buffer_exhaustion += 1;
                    ring.lend_more_buffers();
                }
                _ if known.state == State::Dead => {}
                // Receiving was stopped while the connection waited; it goes on when it is open again.
                _ if completion.result == -libc::ECANCELED => {}
                // The peer sends nothing more, and may still read. Its end is met again once the answer has come.
                _ if completion.result == 0 && known.state == State::Waiting => {}
                // The same once what it has sent had its turn.
                _ if completion.result == 0 && known.is_queued && known.state == State::Open => {
                    known.state = State::Waiting;
                }
                // A reader of a stream that ends its side is leaving.
                _ if completion.result == 0 && known.state == State::Streaming => known.kill(Outcome::Done),
                _ if completion.result == 0 && known.has_replies() => known.state = State::Finishing,
                _ if completion.result == 0 => known.kill(Outcome::Done),
                _ => known.kill(Outcome::Reset),
            }
        }
        if let Some((buffer, _)) = received {
            ring.give_back(buffer);
        }
        self.note_change(conn);
    }

    /// Takes connections whose answers have come among those that go on.
    pub fn handle_answers(&mut self, shard: &mut Shard) {
        while let Some(conn) = shard.poll_http_ready() {
            self.queue(conn);
        }
    }

    /// Hands to the shard what `completion` has received, or nothing, to go on after a pause.
    fn handle_bytes(
        &mut self,
        now: Instant,
        conn: HttpConn,
        completion: Option<&Completion>,
        ring: &mut Ring,
        shard: &mut Shard,
    ) {
        let Some(known) = find(&mut self.conns, conn) else { return };
        if matches!(known.state, State::Streaming | State::Finishing | State::Lingering | State::Dead) {
            let len = completion.map_or(0, |completion| completion.result.max(0) as usize);
            return known.discard(len);
        }
        if known.is_queued || known.replies.has_shared() || self.budget.is_spent() {
            return self.hold(now, conn, completion, ring, shard);
        }
        // Taken out, as the ring lends both the buffer and what was received.
        let mut own = std::mem::take(known.replies.own(ring));
        let bytes = completion.and_then(|completion| ring.received(completion)).map_or(&[][..], |(_, bytes)| bytes);
        let replies_before = own.len();
        let requests_before = shard.http_requests();
        let next = shard.handle_http(conn, bytes, &mut own);
        let replied = own.len() - replies_before;
        let mut work =
            bytes.len() + replied + (shard.http_requests() - requests_before) as usize * limits::HTTP_REQUEST_COST;
        known.replies.set_own(own);
        if next == HttpNext::Wait {
            let mut body_len = 0;
            while let Some(piece) = shard.take_http_body(conn) {
                body_len += piece.len();
                known.replies.push_shared(piece);
            }
            // The kernel takes as much of it at a time as its buffer holds.
            work += body_len.min(limits::HTTP_SEND_BUFFER_BYTES);
        }
        self.budget.spend(work);
        known.state = match next {
            HttpNext::Read if self.is_draining && !shard.http_is_mid_request(conn) => State::Finishing,
            HttpNext::Read => State::Open,
            HttpNext::Wait => State::Waiting,
            HttpNext::Close => State::Finishing,
            HttpNext::Stream => known.begin_stream(self.time_limits.send),
        };
        // Of a reply before it, the kernel may not have taken all.
        if known.state == State::Streaming && known.is_behind {
            shard.handle_stream_stalled(conn);
        }
        known.has_asked |= next != HttpNext::Read || replied > 0;
        let was_mid_request = known.is_mid_request;
        known.is_mid_request = shard.http_is_mid_request(conn);
        // The time of a request is total: bytes that trickle in do not extend it, but for the end of one request.
        let is_same_request = was_mid_request && known.is_mid_request && replied == 0;
        if !is_same_request {
            known.since = now;
        }
    }

    fn note_change(&mut self, conn: HttpConn) {
        if let Some(known) = find(&mut self.conns, conn)
            && !std::mem::replace(&mut known.is_changed, true)
        {
            self.changed.push_back(conn);
        }
    }
}

impl Conn {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether replies have not been handed to the kernel whole, or not been taken by it.
    fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    fn receive(&mut self, conn: HttpConn, ring: &mut Ring) -> io::Result<()> {
        self.is_receiving = true;
        ring.receive_multishot(self.fd(), Purpose::Receive(conn).token())
    }

    /// Operations under way complete soon; then the connection is forgotten. What it ended with first is what counts.
    fn kill(&mut self, outcome: Outcome) {
        if self.state == State::Dead {
            return;
        }
        self.state = State::Dead;
        if self.outcome == Outcome::Done {
            self.outcome = outcome;
        }
        shut_down(self.fd());
    }

    /// A peer that goes on sending is listened to for a while only, so that it reads the replies.
    fn discard(&mut self, bytes: usize) {
        self.discarded_bytes = self.discarded_bytes.saturating_add(bytes as u32);
        if self.discarded_bytes as usize > limits::HTTP_LINGER_BYTES_MAX {
            self.kill(Outcome::Overflow);
        }
    }
}

fn find(conns: &mut Slab<Conn>, conn: HttpConn) -> Option<&mut Conn> {
    conns.get_mut(conn.slot as usize).filter(|known| known.generation == conn.generation)
}
