//! The floor: sends datagrams of the same length as the generator's, and does nothing else.

use crate::match_of::{Pace, SOCKETS};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};
use uproar::edge::sys::datagram_sender::{BATCH, DatagramSender, Outgoing, Sent};
use uproar_loadgen::drivers::udp::STEP;
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// Sockets, and the bytes that they send over and over.
pub(crate) struct Floor {
    sockets: Vec<UdpSocket>,
    sender: DatagramSender,
    bytes: Vec<u8>,
    datagram_len: usize,
}

#[allow(clippy::disallowed_methods, reason = "a loop that keeps a pace needs the clock")]
impl Floor {
    /// Datagrams of so many records.
    pub(crate) fn new(records: u16, server: SocketAddr) -> Self {
        let records: Vec<_> = (0..records).map(|at| Record { emoji: EmojiId(at % 12), count: 1 }).collect();
        let mut datagram = Vec::new();
        reaction::encode(RoomId(1), ClientId(7), &records, &mut datagram);
        Self {
            sockets: (0..SOCKETS as u8).map(|at| connected(at, server)).collect(),
            sender: DatagramSender::default(),
            bytes: datagram.repeat(BATCH),
            datagram_len: datagram.len(),
        }
    }

    /// Sends at the generator's pace; how many datagrams left.
    pub(crate) fn send(&mut self, pace: &Pace) -> u64 {
        let (mut sent, start) = (0, Instant::now());
        let steps = (pace.seconds / STEP.as_secs_f64()) as u32;
        for step in 1..=steps {
            std::thread::sleep((start + STEP * step).saturating_duration_since(Instant::now()));
            let due = (pace.datagrams_per_second * STEP.as_secs_f64() * f64::from(step)) as u64;
            let each = (due - sent).div_ceil(SOCKETS as u64);
            for socket in 0..SOCKETS {
                sent += self.send_from(socket, each.min(due - sent));
            }
        }
        sent
    }

    /// Sends without a pause; how many datagrams left.
    pub(crate) fn send_without_a_pause(&mut self, time: Duration) -> u64 {
        let (mut sent, end) = (0, Instant::now() + time);
        while Instant::now() < end {
            sent += (0..SOCKETS).map(|socket| self.send_from(socket, BATCH as u64)).sum::<u64>();
        }
        sent
    }

    fn send_from(&mut self, socket: usize, count: u64) -> u64 {
        let mut left = count as usize;
        while left > 0 {
            let batch = self.bytes.chunks_exact(self.datagram_len).take(left).map(outgoing);
            match self.sender.send(self.sockets[socket].as_raw_fd(), batch) {
                Sent::Some(sent) => left -= sent,
                other => panic!("loopback takes everything, but: {other:?}"),
            }
        }
        count
    }
}

fn outgoing(bytes: &[u8]) -> Outgoing<'_> {
    Outgoing { bytes, segment_len: None, remote: None, local_ip: None, ecn: 0 }
}

fn connected(at: u8, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2 + at), 0)).expect("loopback has this address");
    socket.connect(server).expect("loopback has a way");
    socket
}
