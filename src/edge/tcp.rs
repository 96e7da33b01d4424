//! TCP connections of one shard on its ring: multishot accept, multishot receive into provided buffers, and one send a
//! connection and turn, with all replies of the turn.
//!
//! 1. `arrivals`: who comes, and who is served here;
//! 2. this file: what a connection receives, and what state that brings it to;
//! 3. `departures`: at the end of a turn, what it has changed is brought to the ring;
//! 4. `streams`: connections that have asked for frames as they come;
//! 5. `sweep`: when a connection's time is up.
//!
//! A connection is *open*, *waiting* (an answer or a reader is awaited; nothing is received), *streaming* (frames go out
//! as they come, nothing is asked any more), *finishing* (the last replies go out), *lingering* (we have sent our end and
//! discard what still comes, so that the peer reads the replies instead of a reset) or *dead*. It is forgotten when the ring has no operation of it left.
//! What requests mean is the shard's to say.

mod arrivals;
mod departures;
mod streams;
mod sweep;

use super::admission::Admission;
use super::sys::ring::{Completion, Ring};
use super::sys::socket_option::shut_down;
use super::token::Purpose;
use crate::config::{Config, Http};
use crate::ids::ClientAddress;
use crate::limits;
use crate::metrics::Outcome;
use crate::shard::{HTTP_CONNECTION_BYTES, HttpConn, HttpNext, HttpPort, Shard};
use slab::Slab;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;
use sweep::TimeLimits;

/// All TCP connections of one shard.
pub struct Tcp {
    listeners: Vec<(TcpListener, HttpPort)>,
    /// Listeners whose multishot accept has ended.
    unarmed: Vec<u32>,
    conns: Slab<Conn>,
    next_generation: u32,
    /// Connections that this turn has changed.
    changed: Vec<HttpConn>,
    /// Connections that go on when the kernel has taken their replies, which it does when the ring is next entered.
    flushed: Vec<HttpConn>,
    /// Connections that have just fallen silent, and are still to be asked whether they are over.
    silent: Vec<HttpConn>,
    /// Streams on which nothing was sent for long, and are still to be sent a heartbeat.
    quiet: Vec<HttpConn>,
    swept_at: Instant,
    /// The sweep before that.
    swept_before_at: Instant,
    admission: Admission,
    /// Public connections at most, and how many connections of the admin port there are.
    connections_max: usize,
    admin_conns: usize,
    time_limits: TimeLimits,
    is_draining: bool,
}

// The replies of an idle connection are an empty vector.
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
    replies: Vec<u8>,
    /// Of the replies, the bytes that the kernel has taken.
    taken_len: usize,
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
    discarded_bytes: usize,
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
    /// Accepts on `listeners` once [`Self::start`] is called.
    pub fn new(listeners: Vec<(TcpListener, HttpPort)>, admission: Admission, config: &Config, now: Instant) -> Self {
        Self {
            unarmed: (0..listeners.len() as u32).collect(),
            listeners,
            conns: Slab::new(),
            next_generation: 0,
            changed: Vec::new(),
            flushed: Vec::new(),
            silent: Vec::new(),
            quiet: Vec::new(),
            swept_at: now,
            swept_before_at: now,
            admission,
            connections_max: config.http.connections_max,
            admin_conns: 0,
            time_limits: TimeLimits::of(&config.http),
            is_draining: false,
        }
    }

    /// Takes in other limits. Time limits are for every connection, numbers for those that come from here on.
    pub fn reconfigure(&mut self, http: &Http) {
        self.admission.set_max(http.connections_per_address_max, http.connections_max);
        self.connections_max = http.connections_max;
        self.time_limits = TimeLimits::of(http);
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
        self.lend_buffer(conn, ring);
        let received = ring.received(completion);
        let buffer = received.map(|(buffer, _)| buffer);
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_receiving = completion.has_more();
            match received {
                Some((_, bytes)) if !bytes.is_empty() => self.handle_bytes(now, conn, bytes, shard),
                _ if completion.result == -libc::ENOBUFS => {
                    shard.metrics_mut().detail.buffer_exhaustion += 1;
                    ring.lend_more_buffers();
                }
                _ if known.state == State::Dead => {}
                // Receiving was stopped while the connection waited; it goes on when it is open again.
                _ if completion.result == -libc::ECANCELED => {}
                // The peer sends nothing more, and may still read. Its end is met again once the answer has come.
                _ if completion.result == 0 && known.state == State::Waiting => {}
                // A reader of a stream that ends its side is leaving.
                _ if completion.result == 0 && known.state == State::Streaming => known.kill(Outcome::Done),
                _ if completion.result == 0 && known.has_replies() => known.state = State::Finishing,
                _ if completion.result == 0 => known.kill(Outcome::Done),
                _ => known.kill(Outcome::Reset),
            }
        }
        if let Some(buffer) = buffer {
            ring.give_back(buffer);
        }
        self.note_change(conn);
    }

    /// Goes on with connections whose answers have come.
    pub fn handle_answers(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) {
        while let Some(conn) = shard.poll_http_ready() {
            self.lend_buffer(conn, ring);
            self.handle_bytes(now, conn, &[], shard);
            self.note_change(conn);
        }
    }

    fn handle_bytes(&mut self, now: Instant, conn: HttpConn, bytes: &[u8], shard: &mut Shard) {
        let Some(known) = find(&mut self.conns, conn) else { return };
        if matches!(known.state, State::Streaming | State::Finishing | State::Lingering | State::Dead) {
            known.discard(bytes.len());
            return;
        }
        let replies_before = known.replies.len();
        let next = shard.handle_http(conn, bytes, &mut known.replies);
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
        known.has_asked |= next != HttpNext::Read || known.replies.len() > replies_before;
        let was_mid_request = known.is_mid_request;
        known.is_mid_request = shard.http_is_mid_request(conn);
        // The time of a request is total: bytes that trickle in do not extend it, but for the end of one request.
        let is_same_request = was_mid_request && known.is_mid_request && known.replies.len() == replies_before;
        if !is_same_request {
            known.since = now;
        }
    }

    /// Idle connections hold no buffer.
    fn lend_buffer(&mut self, conn: HttpConn, ring: &mut Ring) {
        if let Some(known) = find(&mut self.conns, conn)
            && known.replies.capacity() == 0
        {
            known.replies = ring.spare_buffer();
        }
    }

    fn note_change(&mut self, conn: HttpConn) {
        if let Some(known) = find(&mut self.conns, conn)
            && !std::mem::replace(&mut known.is_changed, true)
        {
            self.changed.push(conn);
        }
    }
}

impl Conn {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether replies have not been handed to the kernel whole.
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
        self.discarded_bytes += bytes;
        if self.discarded_bytes > limits::HTTP_LINGER_BYTES_MAX {
            self.kill(Outcome::Overflow);
        }
    }
}

fn find(conns: &mut Slab<Conn>, conn: HttpConn) -> Option<&mut Conn> {
    conns.get_mut(conn.slot as usize).filter(|known| known.generation == conn.generation)
}
