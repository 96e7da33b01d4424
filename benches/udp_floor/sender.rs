//! The sender: as many reaction datagrams as one core can send, from many sources.

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
    bytes: Vec<u8>,
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
        let bind = |_| UdpSocket::bind("127.0.0.1:0").expect("a free port");
        Self {
            sockets: (0..SOURCES).map(bind).collect(),
            sender: DatagramSender::default(),
            bytes: datagram.repeat(train),
            datagram_len: datagram.len(),
            train,
        }
    }

    /// Datagrams that a socket's receive buffer holds while nobody reads.
    pub(crate) fn burst(&self) -> u64 {
        // The kernel accounts at least this much for each, whatever its length.
        const OVERHEAD: usize = 900;
        let per_train = self.bytes.len() * 5 / 4 + OVERHEAD;
        (BURST_BYTES / per_train * self.train) as u64
    }

    /// Sends at least `datagrams`, as fast as it goes.
    pub(crate) fn send(&mut self, datagrams: u64, to: SocketAddr) {
        let segment_len = (self.train > 1).then_some(self.datagram_len);
        let outgoing = Outgoing { bytes: &self.bytes, segment_len, remote: to, local_ip: None, ecn: 0 };
        let mut left = datagrams.div_ceil(self.train as u64);
        for socket in self.sockets.iter().cycle() {
            if left == 0 {
                return;
            }
            let batch = BATCH.min(left as usize);
            match self.sender.send(socket.as_raw_fd(), std::iter::repeat_n(outgoing, batch)) {
                Sent::Some(count) => left -= count as u64,
                Sent::Full => std::thread::yield_now(),
                Sent::Refused(errno) => panic!("sending failed: {}", std::io::Error::from_raw_os_error(errno)),
            }
        }
    }
}
