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
use crate::ids::{ClientAddress, ShardId};
use crate::metrics::Outcome;
use socket2::SockRef;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
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

/// What becomes of an arrival.
#[derive(Debug)]
pub enum Admitted {
    /// This shard serves it.
    Here(Arrival),
    /// It is another shard's to decide.
    Sent,
    /// It is to be told why, and closed: its address has as many connections as it may have, or the process as many files.
    Refused(OwnedFd, Outcome),
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

impl Admission {
    /// Of shard `here` among `shards`; 0 connections an address means any number.
    pub fn new(here: ShardId, shards: usize, board: Arc<Board>, per_address_max: usize) -> Self {
        let per_address_max = per_address_max as u32;
        Self { here, shards, board, per_address_max, addresses: HashMap::new(), outbound: VecDeque::new() }
    }

    /// From here on a client may have so many connections, and every shard takes so many. Connections that were accepted
    /// while nobody counted are not counted later.
    pub fn set_max(&mut self, per_address_max: usize, shard_max: usize) {
        self.per_address_max = per_address_max as u32;
        self.board.set_shard_max(shard_max);
    }

    /// This shard has accepted a connection.
    pub fn handle_accepted(&mut self, socket: OwnedFd) -> Admitted {
        if !self.board.has_files() {
            return Admitted::Refused(socket, Outcome::NoFiles);
        }
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
            // One that came while there was a cap may meet none here.
            if self.per_address_max > 0 && *connections >= self.per_address_max {
                return Admitted::Refused(arrival.socket, Outcome::AddressFull);
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

    /// Connections of the admin port that there may be.
    pub fn admin_max(&self) -> usize {
        self.board.admin_max()
    }

    /// Counts a connection of the admin port, which this shard serves whatever the others have.
    pub fn handle_admin(&mut self) {
        self.board.join_admin(self.here);
    }

    /// A connection of the admin port is gone.
    pub fn handle_admin_closed(&mut self) {
        self.board.leave_admin(self.here);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};
    use std::os::unix::net::UnixStream;

    const CLIENT: ClientAddress = ClientAddress::V4(0x7f00_0001);

    fn arrival(client: Option<ClientAddress>) -> (Arrival, UnixStream) {
        let (socket, peer) = UnixStream::pair().unwrap();
        peer.set_nonblocking(true).unwrap();
        (Arrival { socket: socket.into(), client }, peer)
    }

    fn is_closed(mut peer: UnixStream) -> bool {
        match peer.read(&mut [0]) {
            Ok(len) => len == 0,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }

    fn alone(per_address_max: usize) -> Admission {
        Admission::new(ShardId(0), 1, Arc::new(Board::new(1, 10_000)), per_address_max)
    }

    #[test]
    fn an_address_is_counted_while_it_has_connections_and_then_forgotten() {
        let mut admission = alone(2);
        for _ in 0..2 {
            assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Here(_)));
        }
        let (third, peer) = arrival(Some(CLIENT));
        assert!(matches!(admission.handle_admit(third), Admitted::Refused(_, Outcome::AddressFull)));
        assert!(is_closed(peer));
        assert!(matches!(admission.handle_admit(arrival(Some(ClientAddress::V6(1))).0), Admitted::Here(_)));

        admission.handle_closed(Some(CLIENT));
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Here(_)));
        for client in [CLIENT, CLIENT, ClientAddress::V6(1)] {
            admission.handle_closed(Some(client));
        }
        assert!(admission.addresses.is_empty());
    }

    #[test]
    fn a_cap_that_goes_or_comes_counts_every_connection_that_it_met() {
        let mut admission = alone(1);
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Here(_)));
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Refused(_, Outcome::AddressFull)));
        admission.set_max(0, 10_000);
        // It was on its way here when the cap went.
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Here(_)));
        admission.set_max(3, 10_000);
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Here(_)));
        assert!(matches!(admission.handle_admit(arrival(Some(CLIENT)).0), Admitted::Refused(_, Outcome::AddressFull)));
        (0..3).for_each(|_| admission.handle_closed(Some(CLIENT)));
        assert!(admission.addresses.is_empty());
    }

    #[test]
    fn a_connection_handed_over_is_closed_when_nobody_takes_the_message() {
        let board = Arc::new(Board::new(2, 10_000));
        let mut admission = Admission::new(ShardId(0), 2, board.clone(), 0);
        board.join_admin(ShardId(0));
        let (handed, peer) = arrival(None);
        assert!(matches!(admission.handle_admit(handed), Admitted::Sent));
        let (to, message) = admission.poll_mesh().unwrap();
        assert!(matches!((to, &message), (ShardId(1), EdgeMessage::Serve(_))));
        let still_open = peer.try_clone().unwrap();
        assert!(!is_closed(still_open));
        drop(message);
        assert!(is_closed(peer));
    }

    #[test]
    fn a_household_is_one_client_and_neighbours_have_different_homes() {
        let of = |text: &str| ClientAddress::of(text.parse().unwrap());
        assert_eq!(of("127.0.0.1"), CLIENT);
        assert_eq!(of("::ffff:127.0.0.1"), CLIENT);
        assert_eq!(of("2001:db8:0:7::1"), of("2001:db8:0:7:ffff::2"));
        assert_ne!(of("2001:db8:0:7::1"), of("2001:db8:0:8::1"));
        let mut homes = [0; 4];
        (0..400).for_each(|host| homes[ClientAddress::V4(0x0a00_0000 + host).home(4).index()] += 1);
        assert!(homes.iter().all(|&addresses| addresses > 50), "{homes:?}");
    }
}
