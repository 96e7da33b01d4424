//! Where datagrams leave from: sockets on several addresses, connected to the server.
//!
//! They are connected because the kernel then looks for the way to the server once, not for each datagram, which saves a
//! sixth of a datagram's cost.

use crate::drivers::SourceAddresses;
use crate::scenario::Sources;
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use uproar::edge::sys::socket_option;

/// Room for what a network card does not take at once, at least a step's datagrams of a busy match. The kernel gives as
/// much of it as `net.core.wmem_max` allows.
const SEND_BUFFER_BYTES: usize = 4 << 20;

/// Why a match cannot be played by UDP.
#[derive(Debug, thiserror::Error)]
pub enum UdpError {
    /// The address is not this machine's.
    #[error("udp.from: {0} is not an address of this machine; list some of those that `ip address` shows")]
    NotLocal(IpAddr),
    /// The address cannot reach the server.
    #[error(
        "udp.from: {from} cannot send to {server}, which is of another kind (IPv4, IPv6); list addresses of its kind"
    )]
    OtherFamily {
        /// The source address.
        from: IpAddr,
        /// The server.
        server: SocketAddr,
    },
    /// Too many open files.
    #[error("opening socket {number} of {count} (udp.sockets): too many open files; raise `ulimit -n` or open fewer")]
    TooManyFiles {
        /// Counted from 1.
        number: usize,
        /// Of so many.
        count: usize,
    },
    /// No free port.
    #[error("udp.from: no free port on {0}; list more addresses or open fewer sockets (udp.sockets)")]
    NoPort(IpAddr),
    /// No way to the server.
    #[error("no way from {from} to {server}: {error}; check the address of the server and the routes to it")]
    NoRoute {
        /// The source address.
        from: IpAddr,
        /// The server.
        server: SocketAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// Anything else.
    #[error("opening a UDP socket on {from}: {error}")]
    Socket {
        /// The source address.
        from: IpAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// No thread.
    #[error("starting a thread to send from (udp.threads): {0}")]
    Thread(io::Error),
}

/// Opens `count` sockets that send to `server`, on the source addresses in turn.
pub(super) fn open(from: &Sources, server: SocketAddr, count: usize) -> Result<Vec<UdpSocket>, UdpError> {
    let sources = SourceAddresses::new(from, server);
    let open = |at| open_one(sources.bind_address(at, server), server, at + 1, count);
    (0..count).map(open).collect()
}

fn open_one(address: SocketAddr, server: SocketAddr, number: usize, count: usize) -> Result<UdpSocket, UdpError> {
    let from = address.ip();
    if from.is_ipv4() != server.is_ipv4() {
        return Err(UdpError::OtherFamily { from, server });
    }
    let failed = |error: io::Error| match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE) => UdpError::TooManyFiles { number, count },
        _ => match error.kind() {
            io::ErrorKind::AddrNotAvailable => UdpError::NotLocal(from),
            io::ErrorKind::AddrInUse => UdpError::NoPort(from),
            _ => UdpError::Socket { from, error },
        },
    };
    let socket = UdpSocket::bind(address).map_err(failed)?;
    socket_option::set_send_buffer(&socket, SEND_BUFFER_BYTES).map_err(failed)?;
    socket.connect(server).map_err(|error| UdpError::NoRoute { from, server, error })?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn loopback_has_an_address_for_each_until_they_are_used_up() {
        let loopback = server("127.0.0.1:7400");
        let sockets = open(&Sources::Loopback(3), loopback, 4).unwrap();
        let from: Vec<String> = sockets.iter().map(|s| s.local_addr().unwrap().ip().to_string()).collect();
        assert_eq!(from, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"]);
        assert!(sockets.iter().all(|socket| socket.peer_addr().unwrap() == loopback));
    }

    #[test]
    fn errors_say_what_to_change() {
        let error = |from: &str, server: SocketAddr| {
            open(&Sources::Listed(vec![from.parse().unwrap()]), server, 1).unwrap_err().to_string()
        };
        // 192.0.2.0/24 is for documentation: nobody's.
        let not_local = error("192.0.2.7", server("127.0.0.1:7400"));
        assert!(not_local.contains("192.0.2.7 is not an address of this machine"), "{not_local}");
        let other = error("127.0.0.1", server("[::1]:7400"));
        assert!(other.contains("127.0.0.1 cannot send to [::1]:7400"), "{other}");
    }
}
