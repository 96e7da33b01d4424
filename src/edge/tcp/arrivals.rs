//! Who comes: connections are accepted on every shard, and served on the one that [`crate::edge::admission`] names.
//!
//! Invariant: a connection that was accepted is opened here, handed to another shard, or refused, told so and counted. A turn
//! accepts at most [`ACCEPTS_PER_TURN`] of them on each port, and those of the public port only while the process has files to
//! spare for others.

use super::outgoing::Queue;
use super::{Conn, State, Tcp};
use crate::edge::admission::{Admitted, Arrival};
use crate::edge::mesh::EdgeMessage;
use crate::edge::sys::accept::accept;
use crate::edge::sys::ring::Ring;
use crate::edge::sys::socket_option::shut_down;
use crate::edge::token::{GENERATIONS, Purpose};
use crate::ids::{ClientAddress, ShardId};
use crate::limits::{ACCEPTS_PER_TURN, TCP_BUFFER};
use crate::metrics::Outcome;
use crate::shard::{HttpConn, HttpPort, Shard};
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

/// A listener, and whether connections wait there.
pub(super) struct Door {
    listener: TcpListener,
    port: HttpPort,
    readiness: Readiness,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// Connections may wait.
    Ready,
    /// None waits; the ring says when one does.
    Polled,
    /// The kernel lacks what it takes to accept one: asked again with the next sweep.
    Wanting,
    /// Nobody is let in any more.
    Shut,
}

impl Door {
    pub(super) fn new(listener: TcpListener, port: HttpPort) -> Self {
        Self { listener, port, readiness: Readiness::Ready }
    }
}

impl Tcp {
    /// Draining: no new connections on the public port; idle connections end with their next reply.
    pub fn stop_accepting(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.is_draining = true;
        for (place, door) in self.doors.iter_mut().enumerate() {
            // The admin port stays: who asks whether the process is ready connects anew each time.
            if door.port == HttpPort::Public {
                if door.readiness == Readiness::Polled {
                    ring.cancel(Purpose::Accept(place as u32).token(), Purpose::Cancel.token())?;
                }
                door.readiness = Readiness::Shut;
                // Who comes now is refused at once instead of waiting for nobody.
                shut_down(door.listener.as_raw_fd());
            }
        }
        Ok(())
    }

    /// Connections wait at a listener.
    pub fn handle_acceptable(&mut self, listener: u32) {
        if let Some(door) = self.doors.get_mut(listener as usize)
            && door.readiness == Readiness::Polled
        {
            door.readiness = Readiness::Ready;
        }
    }

    /// Whether connections may wait to be accepted.
    pub(super) fn has_arrivals(&self) -> bool {
        self.doors.iter().any(|door| door.readiness == Readiness::Ready)
    }

    /// Asks again for what the kernel lacked.
    pub(super) fn retry_accepting(&mut self) {
        for door in &mut self.doors {
            if door.readiness == Readiness::Wanting {
                door.readiness = Readiness::Ready;
            }
        }
    }

    /// Whether listeners wait for the next sweep.
    pub(super) fn is_wanting(&self) -> bool {
        self.doors.iter().any(|door| door.readiness == Readiness::Wanting)
    }

    /// Accepts connections that wait.
    pub(super) fn accept(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        for place in 0..self.doors.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let door = &mut self.doors[place];
                if door.readiness != Readiness::Ready {
                    break;
                }
                let port = door.port;
                match accept(&door.listener) {
                    Ok(Some(socket)) => self.handle_accepted(now, socket, port, ring, shard)?,
                    Ok(None) => {
                        door.readiness = Readiness::Polled;
                        ring.poll_readable(door.listener.as_raw_fd(), Purpose::Accept(place as u32).token())?;
                    }
                    Err(_) => {
                        door.readiness = Readiness::Wanting;
                        shard.metrics_mut().detail.accepts_failed += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn handle_accepted(
        &mut self,
        now: Instant,
        socket: OwnedFd,
        port: HttpPort,
        ring: &mut Ring,
        shard: &mut Shard,
    ) -> io::Result<()> {
        #[cfg(test)]
        {
            self.work.accepts += 1;
        }
        match port {
            HttpPort::Admin if self.admin_conns < self.admission.admin_max() => {
                self.admission.handle_admin();
                self.open(now, Arrival { socket, client: None }, port, ring, shard)
            }
            HttpPort::Admin => {
                refuse(&socket, port, Outcome::Full, shard);
                Ok(())
            }
            HttpPort::Public => {
                let admitted = self.admission.handle_accepted(socket);
                self.handle_admitted(now, admitted, ring, shard)
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
            Admitted::Refused(socket, outcome) => refuse(&socket, HttpPort::Public, outcome, shard),
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
            is_queued: false,
            replies: Queue::default(),
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
    let mut request = [MaybeUninit::uninit(); TCP_BUFFER];
    let _ = socket.recv_with_flags(&mut request, libc::MSG_DONTWAIT);
    let _ = socket.send_with_flags(&reply, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
}
