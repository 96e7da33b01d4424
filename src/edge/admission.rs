//! Which shard serves a connection that was accepted, and whether anybody does.
//!
//! ```text
//! acceptor --Admit--> home of the client's address --Serve--> shard with the fewest connections
//!                     <-------------Left-------------
//! ```
//! Without a cap on the connections of an address nobody asks for addresses, and the acceptor takes the home's part.
//! With one, every address has a *home* shard, which alone counts its connections: so the cap is exact for the node. It
//! holds an address only while a connection of it is open.
//!
//! Invariant: a connection that was placed is on the [`Board`] and in its home's count until [`Admission::handle_closed`].
//! Not here: how many connections a shard takes in all ([`super::tcp`]).

use super::board::Board;
use super::mesh::EdgeMessage;
use crate::ids::ShardId;
use socket2::SockRef;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A connection between its accept and the shard that serves it. Dropping it closes it.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub socket: OwnedFd,
    /// Whose it is; `None` while nobody counts.
    pub client: Option<ClientAddress>,
}

/// What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 address, which is what a household has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientAddress {
    /// Also one that was mapped into IPv6.
    V4(u32),
    /// The network's part.
    V6(u64),
}

/// What becomes of an arrival.
#[derive(Debug)]
pub enum Admitted {
    /// This shard serves it.
    Here(Arrival),
    /// It is another shard's to decide.
    Sent,
    /// Its address has as many connections as it may have; it is closed.
    Refused,
}

/// One shard's part in placing connections.
pub struct Admission {
    here: ShardId,
    shards: usize,
    board: Arc<Board>,
    per_address_max: u32,
    /// Connections of the addresses whose home is here.
    addresses: HashMap<ClientAddress, u32>,
    outbound: VecDeque<(ShardId, EdgeMessage)>,
}

impl ClientAddress {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }

    /// The shard that counts its connections.
    fn home(self, shards: usize) -> ShardId {
        let bits = match self {
            Self::V4(bits) => u64::from(bits),
            Self::V6(bits) => bits,
        };
        // Fibonacci hashing: neighbouring addresses spread.
        let spread = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ShardId(((spread * shards as u64) >> 32) as u8)
    }
}

impl Admission {
    /// Of shard `here` among `shards`; 0 connections an address means any number.
    pub fn new(here: ShardId, shards: usize, board: Arc<Board>, per_address_max: usize) -> Self {
        let per_address_max = per_address_max as u32;
        Self { here, shards, board, per_address_max, addresses: HashMap::new(), outbound: VecDeque::new() }
    }

    /// This shard has accepted a connection.
    pub fn handle_accepted(&mut self, socket: OwnedFd) -> Admitted {
        if self.per_address_max == 0 {
            return self.place(Arrival { socket, client: None });
        }
        // A connection without a peer is over already: whoever reads from it sees that.
        let peer = SockRef::from(&socket).peer_addr().ok().and_then(|peer| peer.as_socket());
        let client = peer.map(|peer| ClientAddress::of(peer.ip()));
        let arrival = Arrival { socket, client };
        match client.map(|client| client.home(self.shards)) {
            Some(home) if home != self.here => {
                self.outbound.push_back((home, EdgeMessage::Admit(arrival)));
                Admitted::Sent
            }
            _ => self.handle_admit(arrival),
        }
    }

    /// This shard is the home of the arrival's address, and decides.
    pub fn handle_admit(&mut self, arrival: Arrival) -> Admitted {
        if let Some(client) = arrival.client {
            let connections = self.addresses.entry(client).or_default();
            if *connections >= self.per_address_max {
                return Admitted::Refused;
            }
            *connections += 1;
        }
        self.place(arrival)
    }

    /// A connection of an address whose home is here is gone.
    pub fn handle_left(&mut self, client: ClientAddress) {
        if let Entry::Occupied(mut connections) = self.addresses.entry(client) {
            *connections.get_mut() -= 1;
            if *connections.get() == 0 {
                connections.remove();
            }
        }
    }

    /// Counts a connection that this shard serves whatever the others have.
    pub fn handle_unplaced(&mut self) {
        self.board.join(self.here);
    }

    /// A connection that this shard was to serve is gone, or was not taken.
    pub fn handle_closed(&mut self, client: Option<ClientAddress>) {
        self.board.leave(self.here);
        let Some(client) = client else { return };
        match client.home(self.shards) {
            home if home == self.here => self.handle_left(client),
            home => self.outbound.push_back((home, EdgeMessage::Left(client))),
        }
    }

    /// The next message to another shard.
    pub fn poll_mesh(&mut self) -> Option<(ShardId, EdgeMessage)> {
        self.outbound.pop_front()
    }

    fn place(&mut self, arrival: Arrival) -> Admitted {
        let shard = self.board.place(self.here);
        if shard == self.here {
            return Admitted::Here(arrival);
        }
        self.outbound.push_back((shard, EdgeMessage::Serve(arrival)));
        Admitted::Sent
    }
}
