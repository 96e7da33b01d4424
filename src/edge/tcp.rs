//! TCP connections of one shard on its ring: multishot accept, multishot receive into provided buffers, and one send a
//! connection and turn, with all replies of the turn.
//!
//! What a turn has changed is brought to the ring by [`Tcp::flush`] at its end, so that the ring is entered once for all.
//! Sends do not wait: what a socket has no room for comes back at once, and goes out when the socket is writable.
//!
//! A connection is *open*, *waiting* (an answer or a reader is awaited; nothing is received), *finishing* (the last
//! replies go out), *lingering* (we have sent our end and discard what still comes, so that the peer reads the replies
//! instead of a reset) or *dead*. It is forgotten when the ring has no operation of it left.
//! What requests mean is the shard's to say.

use super::sys::ring::{Completion, Ring};
use super::sys::socket_option::{shut_down, shut_down_write};
use super::token::{GENERATIONS, Purpose};
use crate::config::Config;
use crate::metrics::Outcome;
use crate::shard::{HttpConn, HttpNext, HttpPort, Shard};
use slab::Slab;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// How often connections are looked over for time-outs.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a connection lingers.
const LINGER: Duration = Duration::from_secs(1);

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
    swept_at: Instant,
    connections_max: usize,
    idle_timeout: Duration,
    request_timeout: Duration,
    is_draining: bool,
}

struct Conn {
    socket: OwnedFd,
    generation: u32,
    state: State,
    is_receiving: bool,
    /// The socket has no room; the ring says when it has.
    is_full: bool,
    /// Among the changed of this turn.
    is_changed: bool,
    replies: Vec<u8>,
    /// Of the last byte, or of the start of the request under way.
    since: Instant,
    is_mid_request: bool,
    /// How it ended, once it is dead.
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Waiting,
    Finishing,
    Lingering,
    Dead,
}

impl Tcp {
    /// Accepts on `listeners` once [`Self::start`] is called.
    pub fn new(listeners: Vec<(TcpListener, HttpPort)>, config: &Config, now: Instant) -> Self {
        Self {
            unarmed: (0..listeners.len() as u32).collect(),
            listeners,
            conns: Slab::new(),
            next_generation: 0,
            changed: Vec::new(),
            flushed: Vec::new(),
            swept_at: now,
            connections_max: config.http.connections_max,
            idle_timeout: config.http.idle_timeout,
            request_timeout: config.http.request_timeout,
            is_draining: false,
        }
    }

    /// Accepts on every listener that does not.
    pub fn start(&mut self, ring: &mut Ring) -> io::Result<()> {
        for listener in self.unarmed.drain(..) {
            let (socket, _) = &self.listeners[listener as usize];
            ring.accept_multishot(socket.as_raw_fd(), Purpose::Accept(listener).token())?;
        }
        Ok(())
    }

    /// Draining: no new connections on the public port; idle connections end with their next reply.
    pub fn stop_accepting(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.is_draining = true;
        for (listener, (socket, port)) in self.listeners.iter().enumerate() {
            if *port == HttpPort::Public {
                ring.cancel_accept(Purpose::Accept(listener as u32).token(), Purpose::Cancel.token())?;
                // Who comes now is refused at once instead of waiting for nobody.
                shut_down(socket.as_raw_fd());
            }
        }
        Ok(())
    }

    /// A connection was accepted, or accepting has ended.
    pub fn handle_accepted(
        &mut self,
        now: Instant,
        listener: u32,
        completion: Completion,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        let port = self.listeners[listener as usize].1;
        // The admin port stays: who asks whether the process is ready connects anew each time.
        let is_closing = self.is_draining && port == HttpPort::Public;
        if !completion.has_more() && !is_closing {
            // Usually out of descriptors: tried again with the next sweep.
            self.unarmed.push(listener);
        }
        let Some(socket) = completion.accepted else { return Ok(()) };
        if self.conns.len() >= self.connections_max || is_closing {
            shard.count_refused_connection();
            return Ok(());
        }
        let generation = self.next_generation;
        self.next_generation = (generation + 1) % GENERATIONS;
        let slot = self.conns.insert(Conn {
            socket,
            generation,
            state: State::Open,
            is_receiving: false,
            is_full: false,
            is_changed: false,
            replies: Vec::new(),
            since: now,
            is_mid_request: false,
            outcome: Outcome::Done,
        });
        let conn = HttpConn { slot: slot as u32, generation };
        shard.http_opened(conn, port);
        self.conns[slot].receive(conn, ring)
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
                // Receiving was stopped while the connection waited; it goes on when it is open again.
                _ if completion.result == -libc::ECANCELED => {}
                // The peer sends nothing more, and may still read. Its end is met again once the answer has come.
                _ if completion.result == 0 && known.state == State::Waiting => {}
                _ if completion.result == 0 && !known.replies.is_empty() => known.state = State::Finishing,
                _ if completion.result == 0 => known.kill(Outcome::Done),
                _ => known.kill(Outcome::Reset),
            }
        }
        if let Some(buffer) = buffer {
            ring.give_back(buffer);
        }
        self.note_change(conn);
    }

    /// The socket has room again.
    pub fn handle_writable(&mut self, now: Instant, conn: HttpConn) {
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_full = false;
            known.since = now;
            self.note_change(conn);
        }
    }

    /// The ring was entered: the kernel has taken the replies of the turn before, but for those that it returns.
    pub fn handle_flushed(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        while let Some(unsent) = ring.poll_unsent() {
            if let Purpose::Send(conn) = Purpose::of(unsent.token) {
                self.handle_unsent(conn, unsent.rest, ring)?;
            }
        }
        let mut flushed = std::mem::take(&mut self.flushed);
        for conn in flushed.drain(..) {
            match find(&mut self.conns, conn) {
                Some(known) if known.is_full => {}
                Some(known) if known.state == State::Finishing => {
                    shut_down_write(known.fd());
                    known.state = State::Lingering;
                    known.since = now;
                }
                Some(known) if known.state == State::Waiting => {
                    self.lend_buffer(conn, ring);
                    self.handle_bytes(now, conn, &[], shard);
                }
                _ => {}
            }
            self.note_change(conn);
        }
        self.flushed = flushed;
        Ok(())
    }

    fn handle_unsent(&mut self, conn: HttpConn, rest: io::Result<Vec<u8>>, ring: &mut Ring) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        match rest {
            Ok(rest) => {
                // Nothing was appended meanwhile: what a turn sent is known before the next turn handles anything.
                known.replies = rest;
                known.is_full = true;
                ring.poll_writable(known.fd(), Purpose::Writable(conn).token())?;
            }
            Err(_) => known.kill(Outcome::Reset),
        }
        self.note_change(conn);
        Ok(())
    }

    /// Goes on with connections whose answers have come.
    pub fn handle_answers(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) {
        while let Some(conn) = shard.poll_http_ready() {
            self.lend_buffer(conn, ring);
            self.handle_bytes(now, conn, &[], shard);
            self.note_change(conn);
        }
    }

    /// Whether connections go on as soon as the ring has been entered: sends say nothing when they are done.
    pub fn has_flushed(&self) -> bool {
        !self.flushed.is_empty()
    }

    /// Brings what the turn has changed to the ring.
    pub fn flush(&mut self, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let mut changed = std::mem::take(&mut self.changed);
        for conn in changed.drain(..) {
            self.settle(conn, ring, shard)?;
        }
        self.changed = changed;
        Ok(())
    }

    /// When [`Self::handle_timeout`] has something to look over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_due = !self.conns.is_empty() || !self.unarmed.is_empty();
        is_due.then(|| self.swept_at + SWEEP)
    }

    /// Ends connections that are idle or whose request does not come.
    pub fn handle_timeout(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        if now < self.swept_at + SWEEP {
            return Ok(());
        }
        self.swept_at = now;
        self.start(ring)?;
        let mut ended = Vec::new();
        for (slot, conn) in &mut self.conns {
            let limit = match conn.state {
                State::Lingering => LINGER,
                State::Open if conn.is_mid_request => self.request_timeout,
                _ => self.idle_timeout,
            };
            if now.saturating_duration_since(conn.since) >= limit {
                if conn.is_mid_request {
                    shard.count_http_timeout();
                }
                let is_over = conn.state == State::Lingering;
                conn.kill(if is_over { Outcome::Done } else { Outcome::TimedOut });
                ended.push(HttpConn { slot: slot as u32, generation: conn.generation });
            }
        }
        ended.into_iter().for_each(|conn| self.note_change(conn));
        Ok(())
    }

    fn handle_bytes(&mut self, now: Instant, conn: HttpConn, bytes: &[u8], shard: &mut Shard) {
        let Some(known) = find(&mut self.conns, conn) else { return };
        if matches!(known.state, State::Finishing | State::Lingering | State::Dead) {
            return;
        }
        let next = shard.handle_http(conn, bytes, &mut known.replies);
        known.state = match next {
            HttpNext::Read if self.is_draining && !shard.http_is_mid_request(conn) => State::Finishing,
            HttpNext::Read => State::Open,
            HttpNext::Wait => State::Waiting,
            HttpNext::Close => State::Finishing,
        };
        let was_mid_request = known.is_mid_request;
        known.is_mid_request = shard.http_is_mid_request(conn);
        // The time of a request is total: bytes that trickle in do not extend it.
        if !(was_mid_request && known.is_mid_request) {
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

    /// Brings the ring's operations in line with the connection's state, and forgets it when it is over.
    fn settle(&mut self, conn: HttpConn, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        known.is_changed = false;
        if !known.is_full {
            let replies = std::mem::take(&mut known.replies);
            let has_replies = !replies.is_empty() && known.state != State::Dead;
            if has_replies {
                ring.send(known.fd(), Purpose::Send(conn).token(), replies)?;
            } else {
                ring.keep_spare(replies);
            }
            if known.state == State::Finishing || (has_replies && known.state == State::Waiting) {
                self.flushed.push(conn);
            }
        }
        match known.state {
            State::Open | State::Lingering if !known.is_receiving => known.receive(conn, ring)?,
            State::Waiting if known.is_receiving => {
                ring.cancel(Purpose::Receive(conn).token(), Purpose::Cancel.token())?;
            }
            State::Dead if !known.is_receiving && !known.is_full => {
                shard.http_closed(conn, known.outcome);
                self.conns.remove(conn.slot as usize);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Conn {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn receive(&mut self, conn: HttpConn, ring: &mut Ring) -> io::Result<()> {
        self.is_receiving = true;
        ring.receive_multishot(self.fd(), Purpose::Receive(conn).token())
    }

    /// Operations under way complete soon; then the connection is forgotten.
    fn kill(&mut self, outcome: Outcome) {
        self.state = State::Dead;
        self.outcome = outcome;
        shut_down(self.fd());
    }
}

fn find(conns: &mut Slab<Conn>, conn: HttpConn) -> Option<&mut Conn> {
    conns.get_mut(conn.slot as usize).filter(|known| known.generation == conn.generation)
}
