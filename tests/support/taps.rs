//! Taps by UDP. Each [`Tapper`] has a port of its own, so that several of them reach several shards.

use std::net::{SocketAddr, UdpSocket};
use uproar_wire::reaction::{Record, encode};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// A reaction datagram: emoji and counts.
pub(crate) fn datagram(room: u32, taps: &[(u16, u16)]) -> Vec<u8> {
    let records: Vec<_> = taps.iter().map(|&(emoji, count)| Record { emoji: EmojiId(emoji), count }).collect();
    let mut bytes = Vec::new();
    encode(RoomId(room), ClientId(7), &records, &mut bytes);
    bytes
}

/// One sender of datagrams.
pub(crate) struct Tapper {
    socket: UdpSocket,
}

impl Tapper {
    /// Sends to `port` from a free port.
    pub(crate) fn to(port: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(port).unwrap();
        Self { socket }
    }

    /// As many as it takes to reach every shard, most likely: the kernel spreads by source port.
    pub(crate) fn several(port: SocketAddr) -> Vec<Self> {
        (0..16).map(|_| Self::to(port)).collect()
    }

    /// Sends bytes as they are. A server that drains has closed its port: what is sent then is lost, as the totals show.
    pub(crate) fn send(&self, bytes: &[u8]) {
        match self.socket.send(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            sent => assert_eq!(sent.unwrap(), bytes.len()),
        }
    }

    /// Sends one reaction.
    pub(crate) fn tap(&self, room: u32, emoji: u16, count: u16) {
        self.send(&datagram(room, &[(emoji, count)]));
    }
}
