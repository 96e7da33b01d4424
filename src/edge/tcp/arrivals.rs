//! Who comes: connections are accepted on every shard, and served on the one that [`crate::edge::admission`] names.
//!
//! Invariant: a connection that was accepted is opened here, handed to another shard, or refused, told so and counted.

use super::{Conn, State, Tcp};
use crate::edge::admission::{Admitted, Arrival};
use crate::edge::mesh::EdgeMessage;
use crate::edge::sys::ring::{Completion, Ring};
use crate::edge::sys::socket_option::shut_down;
use crate::edge::token::{GENERATIONS, Purpose};
use crate::ids::{ClientAddress, ShardId};
use crate::limits;
use crate::metrics::Outcome;
use crate::shard::{HttpConn, HttpPort, Shard};
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

/// Why the kernel cannot accept although somebody waits: descriptors of the process or the machine, memory.
const WANTS: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];

impl Tcp {
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
        let Some(socket) = completion.accepted else {
            let is_for_want = WANTS.contains(&completion.result.saturating_neg());
            shard.metrics_mut().detail.accepts_failed += u64::from(is_for_want);
            return Ok(());
        };
        match port {
            HttpPort::Admin if self.admin_conns < limits::ADMIN_CONNECTIONS_MAX => {
                self.admission.handle_unplaced();
                self.open(now, Arrival { socket, client: None }, port, ring, shard)
            }
            HttpPort::Public if !is_closing => {
                let admitted = self.admission.handle_accepted(socket);
                self.handle_admitted(now, admitted, ring, shard)
            }
            HttpPort::Public => {
                refuse(&socket, port, Outcome::Draining, shard);
                Ok(())
            }
            HttpPort::Admin => {
                refuse(&socket, port, Outcome::Full, shard);
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
        let is_full = self.conns.len() - self.admin_conns >= self.connections_max;
        if self.is_draining || is_full {
            self.admission.handle_closed(arrival.client);
            let outcome = if self.is_draining { Outcome::Draining } else { Outcome::Full };
            refuse(&arrival.socket, HttpPort::Public, outcome, shard);
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
            Admitted::Refused(socket) => refuse(&socket, HttpPort::Public, Outcome::AddressFull, shard),
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
            is_full: false,
            is_behind: false,
            is_changed: false,
            replies: Vec::new(),
            taken_len: 0,
            since: now,
            is_mid_request: false,
            has_asked: false,
            sent_at: now,
            stalled_at: None,
            events: 0,
            discarded_bytes: 0,
            outcome: Outcome::Done,
        });
        let conn = HttpConn { slot: slot as u32, generation };
        shard.http_opened(conn, port);
        if port == HttpPort::Admin
            && let Some(peer) =
                SockRef::from(&self.conns[slot].socket).peer_addr().ok().and_then(|peer| peer.as_socket())
        {
            shard.set_admin_peer(conn, peer);
        }
        self.conns[slot].receive(conn, ring)
    }
}

/// Tells a connection that is turned away why, as far as the kernel takes it at once, and counts it. The caller closes it.
fn refuse(socket: &OwnedFd, port: HttpPort, outcome: Outcome, shard: &mut Shard) {
    let mut reply = Vec::new();
    shard.refuse_http_connection(port, outcome, &mut reply);
    let socket = SockRef::from(socket);
    // A request that has come already and was not read would make the end a reset, and the peer might not read why.
    let mut request = [MaybeUninit::uninit(); limits::TCP_BUFFER];
    let _ = socket.recv_with_flags(&mut request, libc::MSG_DONTWAIT);
    let _ = socket.send_with_flags(&reply, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
}
