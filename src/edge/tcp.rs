//! TCP connections of one shard on its ring: multishot accept, multishot receive into provided buffers, one send under
//! way a connection.
//!
//! A connection is *open*, *waiting* (an answer or a reader is awaited; nothing is received), *finishing* (the last
//! replies go out), *lingering* (we have sent our end and discard what still comes, so that the peer reads the replies
//! instead of a reset) or *dead*. It is forgotten when the ring has no operation of it left.
//! What requests mean is the shard's to say. Who may connect, and to which shard, is [`super::admission`]'s; when a
//! connection's time is up is [`sweep`]'s.

mod sweep;

use super::admission::{Admission, Admitted, Arrival, ClientAddress};
use super::mesh::EdgeMessage;
use super::sys::ring::{Completion, Ring};
use super::sys::socket_option::{shut_down, shut_down_write};
use super::token::{GENERATIONS, Purpose};
use crate::config::Config;
use crate::ids::ShardId;
use crate::limits;
use crate::metrics::Outcome;
use crate::shard::{HTTP_CONNECTION_BYTES, HttpConn, HttpNext, HttpPort, Shard};
use slab::Slab;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;
use sweep::TimeLimits;

/// Reply buffers kept for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 1024;
const SPARE_BUFFER_BYTES: usize = 16 * 1024;

/// All TCP connections of one shard.
pub struct Tcp {
    listeners: Vec<(TcpListener, HttpPort)>,
    /// Listeners whose multishot accept has ended.
    unarmed: Vec<u32>,
    conns: Slab<Conn>,
    next_generation: u32,
    spare: Vec<Vec<u8>>,
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
    is_sending: bool,
    replies: Vec<u8>,
    /// Of the last byte, or of the start of the request under way.
    since: Instant,
    is_mid_request: bool,
    /// When the last send was over.
    sent_at: Instant,
    /// The sweep that first saw the send under way, unless `sent_at` is later.
    stalled_at: Option<Instant>,
    /// Bytes that came when nothing was awaited any more.
    discarded_bytes: usize,
    /// Why it ends, or `Done`.
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
    pub fn new(listeners: Vec<(TcpListener, HttpPort)>, admission: Admission, config: &Config, now: Instant) -> Self {
        Self {
            unarmed: (0..listeners.len() as u32).collect(),
            listeners,
            conns: Slab::new(),
            next_generation: 0,
            spare: Vec::new(),
            swept_at: now,
            swept_before_at: now,
            admission,
            connections_max: config.http.connections_max,
            admin_conns: 0,
            time_limits: TimeLimits::of(&config.http),
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
        match port {
            HttpPort::Admin if self.admin_conns < limits::ADMIN_CONNECTIONS_MAX => {
                self.admission.handle_unplaced();
                self.open(now, Arrival { socket, client: None }, port, ring, shard)
            }
            HttpPort::Public if !is_closing => {
                let admitted = self.admission.handle_accepted(socket);
                self.handle_admitted(now, admitted, ring, shard)
            }
            _ => {
                shard.count_refused_connection(Outcome::Full);
                Ok(())
            }
        }
    }

    /// Another shard has accepted a connection of an address whose home is here.
    pub fn handle_admit(
        &mut self,
        now: Instant,
        arrival: Arrival,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        let admitted = self.admission.handle_admit(arrival);
        self.handle_admitted(now, admitted, ring, shard)
    }

    /// Another shard has accepted a connection for this one. Here it is counted, also when there is no room for it.
    pub fn handle_serve(
        &mut self,
        now: Instant,
        arrival: Arrival,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        if self.is_draining || self.conns.len() - self.admin_conns >= self.connections_max {
            self.admission.handle_closed(arrival.client);
            shard.count_refused_connection(Outcome::Full);
            return Ok(());
        }
        self.open(now, arrival, HttpPort::Public, ring, shard)
    }

    /// A connection elsewhere is gone whose address has its home here.
    pub fn handle_left(&mut self, client: ClientAddress) {
        self.admission.handle_left(client);
    }

    /// The next message to another shard.
    pub fn poll_mesh(&mut self) -> Option<(ShardId, EdgeMessage)> {
        self.admission.poll_mesh()
    }

    fn handle_admitted(
        &mut self,
        now: Instant,
        admitted: Admitted,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        match admitted {
            Admitted::Here(arrival) => self.handle_serve(now, arrival, ring, shard)?,
            Admitted::Sent => {}
            Admitted::Refused => shard.count_refused_connection(Outcome::AddressFull),
        }
        Ok(())
    }

    fn open(
        &mut self,
        now: Instant,
        arrival: Arrival,
        port: HttpPort,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        let generation = self.next_generation;
        self.next_generation = (generation + 1) % GENERATIONS;
        self.admin_conns += usize::from(port == HttpPort::Admin);
        let slot = self.conns.insert(Conn {
            socket: arrival.socket,
            client: arrival.client,
            port,
            generation,
            state: State::Open,
            is_receiving: false,
            is_sending: false,
            replies: Vec::new(),
            since: now,
            is_mid_request: false,
            sent_at: now,
            stalled_at: None,
            discarded_bytes: 0,
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
    ) -> io::Result<()> {
        let received = ring.received(completion);
        let buffer = received.map(|(buffer, _)| buffer);
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_receiving = completion.has_more();
            match received {
                Some((_, bytes)) if !bytes.is_empty() => self.handle_bytes(now, conn, bytes, shard),
                _ if completion.result == -libc::ENOBUFS => shard.metrics_mut().detail.buffer_exhaustion += 1,
                // Receiving was stopped while the connection waited; it goes on when it is open again.
                _ if completion.result == -libc::ECANCELED => {}
                // The peer sends nothing more, and may still read. Its end is met again once the answer has come.
                _ if completion.result == 0 && known.state == State::Waiting => {}
                _ if completion.result == 0 && known.has_replies() => known.state = State::Finishing,
                _ if completion.result == 0 => known.kill(Outcome::Done),
                _ => known.kill(Outcome::Reset),
            }
        }
        if let Some(buffer) = buffer {
            ring.give_back(buffer);
        }
        self.settle(conn, ring, shard)
    }

    /// Replies were sent, or cannot be.
    pub fn handle_sent(
        &mut self,
        now: Instant,
        conn: HttpConn,
        completion: Completion,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        let Some(mut bytes) = completion.sent else { return Ok(()) };
        let is_complete = usize::try_from(completion.result) == Ok(bytes.len());
        bytes.clear();
        if self.spare.len() < SPARE_BUFFERS && bytes.capacity() <= SPARE_BUFFER_BYTES {
            self.spare.push(bytes);
        }
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_sending = false;
            known.sent_at = now;
            if !is_complete {
                known.kill(Outcome::Reset);
            } else if known.state == State::Waiting {
                self.handle_bytes(now, conn, &[], shard);
            }
        }
        self.settle(conn, ring, shard)
    }

    /// Goes on with connections whose answers have come.
    pub fn handle_answers(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        while let Some(conn) = shard.poll_http_ready() {
            self.handle_bytes(now, conn, &[], shard);
            self.settle(conn, ring, shard)?;
        }
        Ok(())
    }

    fn handle_bytes(&mut self, now: Instant, conn: HttpConn, bytes: &[u8], shard: &mut Shard) {
        let Some(known) = find(&mut self.conns, conn) else { return };
        if matches!(known.state, State::Finishing | State::Lingering | State::Dead) {
            known.discard(bytes.len());
            return;
        }
        if known.replies.capacity() == 0 {
            known.replies = self.spare.pop().unwrap_or_default();
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
        if known.replies.is_empty() {
            let unused = std::mem::take(&mut known.replies);
            if unused.capacity() > 0 && self.spare.len() < SPARE_BUFFERS {
                self.spare.push(unused);
            }
        }
    }

    /// Brings the ring's operations in line with the connection's state, and forgets it when it is over.
    fn settle(&mut self, conn: HttpConn, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        if known.state != State::Dead && !known.is_sending && !known.replies.is_empty() {
            known.is_sending = true;
            let replies = std::mem::take(&mut known.replies);
            ring.send(known.fd(), Purpose::Send(conn).token(), replies)?;
        }
        match known.state {
            State::Open | State::Lingering if !known.is_receiving => known.receive(conn, ring)?,
            // For a dead one, too: while its peer goes on sending, a receive does not come to the end of what was sent.
            State::Waiting | State::Dead if known.is_receiving => {
                ring.cancel(Purpose::Receive(conn).token(), Purpose::Cancel.token())?;
            }
            State::Finishing if !known.is_sending => {
                shut_down_write(known.fd());
                known.state = State::Lingering;
                if !known.is_receiving {
                    known.receive(conn, ring)?;
                }
            }
            State::Dead if !known.is_sending => {
                shard.http_closed(conn, known.outcome);
                let closed = self.conns.remove(conn.slot as usize);
                self.admin_conns -= usize::from(closed.port == HttpPort::Admin);
                self.admission.handle_closed(closed.client);
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

    /// Whether replies have not been handed to the kernel whole.
    fn has_replies(&self) -> bool {
        self.is_sending || !self.replies.is_empty()
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
            self.kill(Outcome::Done);
        }
    }
}

fn find(conns: &mut Slab<Conn>, conn: HttpConn) -> Option<&mut Conn> {
    conns.get_mut(conn.slot as usize).filter(|known| known.generation == conn.generation)
}
