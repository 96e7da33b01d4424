//! The sender: as many reaction datagrams as one core can send, from many sources.

#![allow(dead_code, reason = "each bench is its own crate and uses its part of this file")]

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use uproar::edge::sys::datagram_sender::{BATCH, DatagramSender, Outgoing, Sent};
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// Senders of an audience; a stand-in for many, enough that no two neighbours in a batch have the same source.
const SOURCES: usize = 64;
/// Of a receive buffer of `net.core.rmem_max` = 4 MiB, which the kernel doubles.
const BURST_BYTES: usize = 6 << 20;
/// The room and the palette of an appliance without configured rooms.
const ROOM: RoomId = RoomId(1);
const PALETTE: u16 = 12;

/// Sockets and the bytes that they send.
pub(crate) struct Sender {
    sockets: Vec<UdpSocket>,
    sender: DatagramSender,
    /// What is sent, over and over: trains or single datagrams, back to back.
    bytes: Vec<u8>,
    next: usize,
    datagram_len: usize,
    /// Datagrams that leave as one train; 1 is no train.
    train: usize,
}

impl Sender {
    /// Datagrams of `records` records each, in trains that the receiver's kernel hands over whole, or one by one.
    pub(crate) fn new(records: usize, is_coalesced: bool) -> Self {
        let records: Vec<_> =
            (0..records).map(|at| Record { emoji: EmojiId(at as u16 % PALETTE), count: 1 + at as u16 % 3 }).collect();
        let mut datagram = Vec::new();
        reaction::encode(ROOM, ClientId(7), &records, &mut datagram);
        // The kernel takes trains of up to 64 datagrams and as many bytes as a datagram may have.
        let train = if is_coalesced { (60_000 / datagram.len()).min(64) } else { 1 };
        Self::of(datagram.repeat(train), datagram.len(), train)
    }

    /// Datagrams of one tap each, to `rooms` in this order and from the start again.
    pub(crate) fn to_rooms(rooms: impl Iterator<Item = RoomId>) -> Self {
        let mut bytes = Vec::new();
        let mut datagram = Vec::new();
        for room in rooms {
            datagram.clear();
            reaction::encode(room, ClientId(7), &[Record { emoji: EmojiId(0), count: 1 }], &mut datagram);
            bytes.extend_from_slice(&datagram);
        }
        Self::of(bytes, datagram.len(), 1)
    }

    fn of(bytes: Vec<u8>, datagram_len: usize, train: usize) -> Self {
        let bind = |_| UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sockets = (0..SOURCES).map(bind).collect();
        Self { sockets, sender: DatagramSender::default(), bytes, next: 0, datagram_len, train }
    }

    /// Datagrams that a socket's receive buffer holds while nobody reads.
    pub(crate) fn burst(&self) -> u64 {
        // The kernel accounts at least this much for each, whatever its length.
        const OVERHEAD: usize = 900;
        let per_train = self.datagram_len * self.train * 5 / 4 + OVERHEAD;
        (BURST_BYTES / per_train * self.train) as u64
    }

    /// Sends at least `datagrams`, as fast as it goes.
    pub(crate) fn send(&mut self, datagrams: u64, to: SocketAddr) {
        let segment_len = (self.train > 1).then_some(self.datagram_len);
        let unit = self.datagram_len * self.train;
        let units = self.bytes.len() / unit;
        let mut left = datagrams.div_ceil(self.train as u64);
        for socket in self.sockets.iter().cycle() {
            if left == 0 {
                return;
            }
            let batch = BATCH.min(left as usize);
            let batch = (0..batch).map(|at| Outgoing {
                bytes: &self.bytes[(self.next + at) % units * unit..][..unit],
                segment_len,
                remote: Some(to),
                local_ip: None,
                ecn: 0,
            });
            match self.sender.send(socket.as_raw_fd(), batch) {
                Sent::Some(count) => {
                    left -= count as u64;
                    self.next = (self.next + count) % units;
                }
                Sent::Full | Sent::Congested => std::thread::yield_now(),
                Sent::Refused(errno) => panic!("sending failed: {}", std::io::Error::from_raw_os_error(errno)),
            }
        }
    }
}
