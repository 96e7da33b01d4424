//! What a crew has to send: datagrams to one server, each from its subscriber's own address.

use quinn_proto::Transmit;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd;
use uproar::edge::sys::datagram_sender::{DatagramSender, Outgoing, Sent};

/// Bytes that wait for the kernel at most, but for one connection's burst.
const BYTES_MAX: usize = 128 * 1024;

struct Departure {
    remote: SocketAddr,
    local_ip: Option<IpAddr>,
    ecn: u8,
    range: Range<usize>,
}

/// The datagrams that one turn sends, reused.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    departures: Vec<Departure>,
    /// Of these, how many the kernel has taken.
    sent: usize,
    /// Datagrams that the kernel would not send.
    pub(super) refused: u64,
}

impl Outbox {
    /// Whether nothing more should be put in before it was sent.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES_MAX
    }

    /// Whether everything was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.departures.is_empty()
    }

    /// Queues what QUIC wrote to `bytes`, from `local_ip`.
    pub(super) fn push(&mut self, transmit: &Transmit, bytes: &[u8], local_ip: Option<IpAddr>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..transmit.size]);
        let ecn = transmit.ecn.map_or(0, |ecn| ecn as u8);
        let range = start..self.bytes.len();
        self.departures.push(Departure { remote: transmit.destination, local_ip, ecn, range });
    }

    /// Sends what the kernel takes; false when its buffer is full.
    pub(super) fn send(&mut self, socket: &UdpSocket, sender: &mut DatagramSender) -> bool {
        while self.sent < self.departures.len() {
            let waiting = self.departures[self.sent..].iter().map(|departure| Outgoing {
                bytes: &self.bytes[departure.range.clone()],
                segment_len: None,
                remote: Some(departure.remote),
                local_ip: departure.local_ip,
                ecn: departure.ecn,
            });
            match sender.send(socket.as_raw_fd(), waiting) {
                Sent::Some(count) => self.sent += count,
                Sent::Full | Sent::Congested => return false,
                // The server's port may just have gone; QUIC finds out by its own means.
                Sent::Refused(_) => {
                    self.sent += 1;
                    self.refused += 1;
                }
            }
        }
        self.bytes.clear();
        self.departures.clear();
        self.sent = 0;
        true
    }
}

/// Bytes of receive buffer asked for: all frames of a crew, which come at the same moment.
const RECEIVE_BUFFER: usize = 32 << 20;
const SEND_BUFFER: usize = 4 << 20;

/// A socket on every address of the machine, whose datagrams say how the network marked them.
pub(super) fn open_socket(server: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    use std::net::{Ipv4Addr, Ipv6Addr};
    use uproar::edge::sys::socket_option;
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
    let anywhere: IpAddr = match server {
        SocketAddr::V4(_) => {
            socket.set_recv_tos_v4(true)?;
            Ipv4Addr::UNSPECIFIED.into()
        }
        SocketAddr::V6(_) => {
            socket.set_recv_tclass_v6(true)?;
            Ipv6Addr::UNSPECIFIED.into()
        }
    };
    socket_option::set_receive_buffer(&socket, RECEIVE_BUFFER)?;
    socket_option::set_send_buffer(&socket, SEND_BUFFER)?;
    socket.bind(&SocketAddr::new(anywhere, 0).into())?;
    Ok(socket.into())
}
