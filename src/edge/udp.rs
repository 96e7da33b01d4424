//! The two UDP sockets of a shard: drained in batches while they have datagrams, polled by the ring when they are empty.

use super::outlet::Outlet;
use super::sys::datagram_receiver::{DatagramReceiver, Detail};
use super::sys::datagram_sender::{DatagramSender, Outgoing, Sent};
use super::sys::ring::Ring;
use super::sys::socket_option;
use super::token::Purpose;
use crate::ingest::datagram::split_train;
use crate::limits;
use crate::metrics::Proto;
use crate::quic::{Arrival, Transmit, TransmitBatch};
use crate::shard::{Shard, Train};
use crate::window::Now;
use quinn_proto::EcnCodepoint;
use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Instant;

/// Whether a socket has to be asked, or will say so itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// There may be datagrams.
    Ready,
    /// It was empty.
    Empty,
    /// It was empty, and the ring polls it.
    Polled,
}

/// Reads a socket batch by batch and polls it when it is empty. What a turn has no work left for stays in the receiver's own
/// buffers.
struct Intake {
    socket: UdpSocket,
    receiver: DatagramReceiver,
    /// Of the last batch, what was not handled.
    rest: Range<usize>,
    readiness: Readiness,
}

impl Intake {
    fn new(socket: UdpSocket, batch: usize, detail: Detail) -> io::Result<Self> {
        Ok(Self { socket, receiver: DatagramReceiver::new(batch, detail)?, rest: 0..0, readiness: Readiness::Ready })
    }

    /// Takes at most `batches`, and receives of them until their costs come to `work`; a short batch means that the socket is
    /// empty. True when there were datagrams.
    fn receive(
        &mut self,
        batches: usize,
        mut work: usize,
        cost: impl Fn(&DatagramReceiver, usize) -> usize,
        mut handle: impl FnMut(&DatagramReceiver, Range<usize>),
    ) -> io::Result<bool> {
        let mut has_received = false;
        for _ in 0..batches {
            if self.rest.is_empty() {
                if self.readiness != Readiness::Ready {
                    break;
                }
                let received = self.receiver.receive(self.socket.as_raw_fd())?;
                if received < self.receiver.batch() {
                    self.readiness = Readiness::Empty;
                }
                self.rest = 0..received;
            }
            let first = self.rest.start;
            while work > 0
                && let Some(at) = self.rest.next()
            {
                work = work.saturating_sub(cost(&self.receiver, at));
            }
            if first < self.rest.start {
                has_received = true;
                handle(&self.receiver, first..self.rest.start);
            }
            if work == 0 {
                break;
            }
        }
        Ok(has_received)
    }

    /// Whether there may be more to receive at once.
    fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready || !self.rest.is_empty()
    }

    /// Has the socket asked in the next turn although it was empty in this one: nothing else says that datagrams came while
    /// no poll watches it. One that is watched stays so, as each new poll would be one more.
    fn ask_again(&mut self) {
        if self.readiness == Readiness::Empty {
            self.readiness = Readiness::Ready;
        }
    }

    fn poll(&mut self, ring: &mut Ring, purpose: Purpose) -> io::Result<()> {
        if self.readiness == Readiness::Empty {
            ring.poll_readable(self.socket.as_raw_fd(), purpose.token())?;
            self.readiness = Readiness::Polled;
        }
        Ok(())
    }
}

/// The reaction port of one shard.
pub struct ReactionSocket {
    intake: Intake,
}

impl ReactionSocket {
    /// Takes over a bound socket.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { intake: Intake::new(socket, limits::DATAGRAM_BATCH, Detail::BytesOnly)? })
    }

    /// The ring has seen datagrams.
    pub fn handle_readable(&mut self) {
        self.intake.readiness = Readiness::Ready;
    }

    /// Whether there may be more to receive at once.
    pub fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    /// The shard works on and does not sleep: what comes meanwhile is not to wait for the end of that.
    pub fn ask_again(&mut self) {
        self.intake.ask_again();
    }

    /// Hands at most `batches`, and about `bytes` of them, to the shard; true when there were any.
    pub fn receive(&mut self, batches: usize, bytes: usize, shard: &mut Shard) -> io::Result<bool> {
        self.intake.receive(batches, bytes, DatagramReceiver::len_of, |batch, places| {
            let receives = batch.part(places);
            shard.handle_reactions(
                receives.map(|received| Train { bytes: received.bytes, segment_len: received.segment_len }),
            );
        })
    }

    /// Has the ring say when there is more.
    pub fn poll(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.intake.poll(ring, Purpose::Reactions)
    }

    /// Datagrams that the kernel dropped here.
    pub fn drops(&self) -> u64 {
        socket_option::drops(&self.intake.socket).map_or(0, u64::from)
    }
}

/// The QUIC port of one shard.
pub struct QuicSocket {
    /// Whether it is bound to one address, so that packets need not say which they leave from.
    has_address: bool,
    intake: Intake,
    sender: DatagramSender,
    batch: TransmitBatch,
    /// Of the batch, how many the kernel has taken.
    sent: usize,
    outlet: Outlet,
}

/// Receives of QUIC datagrams in one system call.
const QUIC_BATCH: usize = 64;
/// Bytes that one turn may send.
const TRANSMIT_BYTES: usize = 256 * 1024;

impl QuicSocket {
    /// Takes over a bound socket.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self {
            has_address: !socket.local_addr()?.ip().is_unspecified(),
            intake: Intake::new(socket, QUIC_BATCH, Detail::Addresses)?,
            sender: DatagramSender::default(),
            batch: TransmitBatch::new(TRANSMIT_BYTES),
            sent: 0,
            outlet: Outlet::default(),
        })
    }

    /// The ring has seen datagrams.
    pub fn handle_readable(&mut self) {
        self.intake.readiness = Readiness::Ready;
    }

    /// The ring has seen room in the send buffer.
    pub fn handle_writable(&mut self) {
        self.outlet.handle_writable();
    }

    /// Whether there may be more to receive at once.
    pub fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    /// As [`ReactionSocket::ask_again`].
    pub fn ask_again(&mut self) {
        self.intake.ask_again();
    }

    /// Hands at most `batches`, and about `datagrams` of them, to the shard; true when there were any.
    pub fn receive(&mut self, now: Now, batches: usize, datagrams: usize, shard: &mut Shard) -> io::Result<bool> {
        self.forget_sent();
        let Self { intake, batch: transmits, .. } = self;
        intake.receive(batches, datagrams, count_datagrams, |batch, places| {
            let arrivals = batch.part(places).filter_map(|received| received.remote.map(|remote| (received, remote)));
            shard.handle_quic(
                now,
                arrivals.flat_map(|(received, remote)| {
                    split_train(received.bytes, received.segment_len).map(move |bytes| Arrival {
                        remote,
                        local_ip: received.local_ip,
                        ecn: EcnCodepoint::from_bits(received.ecn),
                        bytes,
                    })
                }),
            );
            // While the connections that were served are in the cache; sent with everything else of the turn.
            shard.poll_transmit(now, transmits);
        })
    }

    /// Has the ring say when there is more.
    pub fn poll(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.intake.poll(ring, Purpose::Quic)
    }

    /// Sends what the shard wants to send; true while it wants to send more and the kernel takes it.
    pub fn transmit(&mut self, now: Now, shard: &mut Shard, ring: &mut Ring) -> io::Result<bool> {
        if !self.outlet.is_open(now.instant) {
            return Ok(false);
        }
        self.forget_sent();
        let has_more = shard.poll_transmit(now, &mut self.batch);
        self.send(now.instant, shard, ring)?;
        Ok(has_more && self.outlet == Outlet::Open)
    }

    /// When to send again although nothing says so.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outlet.poll_timeout()
    }

    /// Once the kernel has taken the whole batch, its memory serves again.
    fn forget_sent(&mut self) {
        if self.sent == self.batch.len() {
            self.batch.clear();
            self.sent = 0;
        }
    }

    /// Datagrams that the kernel dropped here.
    pub fn drops(&self) -> u64 {
        socket_option::drops(&self.intake.socket).map_or(0, u64::from)
    }

    /// Sends the datagrams of a refused train one by one: not every network card can cut one.
    fn send_without_train(&mut self, at: usize) {
        let Some(train) = self.batch.iter().nth(at).filter(|train| train.segment_len.is_some()) else { return };
        for bytes in self.batch.datagrams(train) {
            let datagram = outgoing(train, bytes, None, self.has_address);
            self.sender.send(self.intake.socket.as_raw_fd(), std::iter::once(datagram));
        }
    }

    fn send(&mut self, now: Instant, shard: &mut Shard, ring: &mut Ring) -> io::Result<()> {
        let fd = self.intake.socket.as_raw_fd();
        while self.sent < self.batch.len() {
            let bytes = self.batch.bytes();
            let rest = self.batch.iter().skip(self.sent);
            let rest = rest.map(|transmit| {
                outgoing(transmit, &bytes[transmit.range.clone()], transmit.segment_len, self.has_address)
            });
            match self.sender.send(fd, rest) {
                Sent::Some(count) => self.sent += count,
                Sent::Full => {
                    stalled(shard);
                    self.outlet.handle_full();
                    return ring.poll_writable(fd, Purpose::QuicWritable.token());
                }
                Sent::Congested => {
                    stalled(shard);
                    self.outlet.handle_congestion(now);
                    return Ok(());
                }
                // One destination cannot be reached, or its path takes no trains. QUIC treats what is lost as loss, and
                // the others go on.
                Sent::Refused(_) => {
                    shard.metrics_mut().detail.sends_failed += 1;
                    self.send_without_train(self.sent);
                    self.sent += 1;
                }
            }
        }
        Ok(())
    }
}

/// Datagrams of the train at one place.
fn count_datagrams(batch: &DatagramReceiver, at: usize) -> usize {
    let received = batch.received(at);
    if received.segment_len == 0 { 1 } else { received.bytes.len().div_ceil(received.segment_len).max(1) }
}

fn stalled(shard: &mut Shard) {
    shard.metrics_mut().detail.sends_stalled[Proto::Quic.index()] += 1;
}

fn outgoing<'a>(transmit: &Transmit, bytes: &'a [u8], segment_len: Option<usize>, has_address: bool) -> Outgoing<'a> {
    Outgoing {
        bytes,
        segment_len,
        remote: Some(transmit.destination),
        local_ip: transmit.src_ip.filter(|_| !has_address),
        ecn: transmit.ecn.map_or(0, |ecn| ecn as u8),
    }
}

#[cfg(test)]
mod tests;
