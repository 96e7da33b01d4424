//! Sockets before traffic: port locks, one socket a shard on every port, steering.
//!
//! All shards bind the same port (SO_REUSEPORT) and the kernel spreads arrivals. It would as silently let a second
//! process of the same user join and take a share, so every port is locked first.

use super::socket_buffer::{self, Clamp};
use super::sys::socket_option;
use crate::config::Config;
use crate::limits;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

/// Why a port cannot be served. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody serves it.
    #[error(
        "{what} port {address}: already in use by another server or program; stop it (`ss -tulpn` shows which it is), or choose \
         another port with --{what}"
    )]
    InUse {
        /// Name of the port and of its flag.
        what: &'static str,
        /// As configured.
        address: SocketAddr,
    },
    /// The kernel refuses.
    #[error("{what} port {address}: {source}; choose an address of this machine and a port you may use, with --{what}")]
    Refused {
        /// Name of the port and of its flag.
        what: &'static str,
        /// As configured.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Every socket of the process, and the locks on their ports.
pub struct Sockets {
    /// By shard.
    pub shards: Vec<ShardSockets>,
    /// The addresses as bound: name of the port, address.
    pub listening: Vec<(&'static str, SocketAddr)>,
    /// UDP port of QUIC, as bound.
    pub quic_port: u16,
    /// Held as long as the process serves.
    pub locks: Locks,
    /// Buffers of the datagram sockets that are smaller than configured.
    pub clamps: Vec<Clamp>,
}

/// Exclusive locks of ports, by protocol and port.
pub type Locks = BTreeMap<(&'static str, u16), UnixListener>;

/// The sockets of one shard.
pub struct ShardSockets {
    /// Reaction datagrams.
    pub reactions: UdpSocket,
    /// QUIC.
    pub quic: UdpSocket,
    /// Public HTTP.
    pub http: TcpListener,
    /// Admin HTTP, on shard 0.
    pub admin: Option<TcpListener>,
}

/// Binds everything that `config` names, for `shards` shards.
pub fn open(config: &Config, shards: usize) -> Result<Sockets, ListenError> {
    let mut locks = Locks::new();
    let mut udp = |what, address| bind_group(what, address, Type::DGRAM, shards, config, &mut locks);
    let reactions = udp("reactions", config.listen.reactions)?;
    let quic = udp("quic", config.listen.quic)?;
    let http = bind_group("http", config.listen.http, Type::STREAM, shards, config, &mut locks)?;
    let admin = bind_group("admin", config.listen.admin, Type::STREAM, 1, config, &mut locks)?;
    for socket in &http.sockets {
        limit_replies(socket).map_err(|source| ListenError::Refused { what: "http", address: http.address, source })?;
    }

    let refused = |what, address| move |source| ListenError::Refused { what, address, source };
    for socket in &reactions.sockets {
        socket_option::coalesce_datagrams(socket, true).map_err(refused("reactions", reactions.address))?;
    }
    if let Some(first) = quic.sockets.first() {
        // Attached once for the whole group, before there is traffic.
        socket_option::steer_by_connection_id(first, shards as u32).map_err(refused("quic", quic.address))?;
    }
    for socket in &quic.sockets {
        // GRO, ECN, packet information and don't-fragment; this crate sends and receives on its own.
        quinn_udp::UdpSocketState::new(socket.into()).map_err(refused("quic", quic.address))?;
        // A train is steered by its first packet, and one sender's may belong to connections of several shards.
        socket_option::coalesce_datagrams(socket, shards == 1).map_err(refused("quic", quic.address))?;
    }
    // All are asked for the same, so all are given the same.
    let clamps = reactions.sockets.first().map(|first| socket_buffer::clamps(first, &config.socket));
    let clamps = clamps.transpose().map_err(refused("reactions", reactions.address))?.unwrap_or_default();
    let listening = vec![
        ("reactions", reactions.address),
        ("quic", quic.address),
        ("http", http.address),
        ("admin", admin.address),
    ];
    let mut admin = admin.sockets.into_iter().map(TcpListener::from);
    let shards = reactions
        .sockets
        .into_iter()
        .zip(quic.sockets)
        .zip(http.sockets)
        .map(|((reactions, quic), http)| ShardSockets {
            reactions: reactions.into(),
            quic: quic.into(),
            http: http.into(),
            admin: admin.next(),
        })
        .collect();
    Ok(Sockets { shards, listening, quic_port: quic.address.port(), locks, clamps })
}

struct Group {
    address: SocketAddr,
    sockets: Vec<Socket>,
}

fn bind_group(
    what: &'static str,
    configured: SocketAddr,
    kind: Type,
    count: usize,
    config: &Config,
    locks: &mut Locks,
) -> Result<Group, ListenError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { what, address: configured },
        _ => ListenError::Refused { what, address: configured, source },
    };
    let address = match configured.port() {
        0 => free_port(configured, kind).map_err(refused)?,
        _ => configured,
    };
    let protocol = if kind == Type::DGRAM { "udp" } else { "tcp" };
    // This process may listen on one port at two addresses.
    if let Entry::Vacant(free) = locks.entry((protocol, address.port())) {
        free.insert(lock(protocol, address.port()).map_err(refused)?);
    }
    let sockets = (0..count).map(|_| bind(address, kind, config)).collect::<io::Result<_>>().map_err(refused)?;
    Ok(Group { address, sockets })
}

/// Has the kernel pick a port. A socket that shares its port would be given one that others share; this one does not.
fn free_port(address: SocketAddr, kind: Type) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    take_both_families(&socket, address)?;
    socket.bind(&address.into())?;
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket has no internet address"))
}

fn bind(address: SocketAddr, kind: Type, config: &Config) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    take_both_families(&socket, address)?;
    socket.set_reuse_port(true)?;
    if kind == Type::DGRAM {
        socket_buffer::set(&socket, &config.socket)?;
    } else {
        // A restart must not wait for the connections of the process before it.
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM {
        socket.listen(LISTEN_BACKLOG)?;
    }
    Ok(socket)
}

/// A socket at [::] takes what comes by IPv4 as well, whatever `net.ipv6.bindv6only` says.
fn take_both_families(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() { socket.set_only_v6(false) } else { Ok(()) }
}

/// The public HTTP listener of a process with one shard.
#[cfg(test)]
pub fn open_http(config: &Config) -> Result<Vec<TcpListener>, ListenError> {
    let http = bind_group("http", config.listen.http, Type::STREAM, 1, config, &mut BTreeMap::new())?;
    http.sockets.iter().for_each(|socket| limit_replies(socket).unwrap());
    Ok(http.sockets.into_iter().map(TcpListener::from).collect())
}

/// Bounds what the kernel keeps of the replies to one connection. Connections have it from the listener that they come by.
fn limit_replies(listener: &Socket) -> io::Result<()> {
    listener.set_send_buffer_size(limits::HTTP_SEND_BUFFER_BYTES)?;
    socket_option::limit_unsent(listener.as_raw_fd(), limits::HTTP_UNSENT_BYTES)
}

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub const LISTEN_BACKLOG: i32 = 65_535;

/// Takes the exclusive lock of a port: a name in the network namespace's abstract socket space, which the kernel frees
/// when the process ends, however it ends.
fn lock(protocol: &str, port: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&UnixAddr::from_abstract_name(format!("uproar/{protocol}/{port}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(reactions: &str, quic: &str) -> Config {
        let mut config = Config::default();
        let any = || ([127, 0, 0, 1], 0).into();
        config.listen.http = any();
        config.listen.admin = any();
        config.listen.reactions = reactions.parse().unwrap();
        config.listen.quic = quic.parse().unwrap();
        config
    }

    #[test]
    fn a_socket_for_all_addresses_takes_both_families() {
        let mut config = config("[::]:0", "[::]:0");
        config.listen.http = "[::]:0".parse().unwrap();
        config.listen.admin = "[::]:0".parse().unwrap();
        let sockets = open(&config, 1).unwrap();
        let shard = &sockets.shards[0];
        let udp = [&shard.reactions, &shard.quic].map(socket2::SockRef::from);
        let tcp = [&shard.http, shard.admin.as_ref().unwrap()].map(socket2::SockRef::from);
        for socket in udp.iter().chain(&tcp) {
            assert!(!socket.only_v6().unwrap());
        }
    }

    #[test]
    fn one_process_may_have_one_port_at_two_addresses() {
        let first = open(&config("127.0.0.1:0", "127.0.0.1:0"), 1).unwrap();
        let port = first.listening[0].1.port();
        drop(first);
        let [here, there] = [1, 2].map(|host| format!("127.0.0.{host}:{port}"));
        let both = open(&config(&here, &there), 1).unwrap();
        assert_eq!([0, 1].map(|at| both.listening[at].1.to_string()), [here, there]);
    }
}
