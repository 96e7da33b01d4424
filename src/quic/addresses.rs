//! How many connections every client address has on this shard, where that is limited.
//!
//! Invariant: an address is held only while a connection of it is open, so the table has at most as many entries as there
//! are slots. An address counts as it was when the connection was accepted, whatever networks the client goes on to.
//! Not here: proof that a client has the address it claims.

use crate::ids::ClientAddress;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

/// Connections by client address.
pub(super) struct Addresses {
    /// 0 for any number.
    per_address_max: u32,
    connections: HashMap<ClientAddress, u32>,
}

impl Addresses {
    pub(super) fn new(per_address_max: usize) -> Self {
        let per_address_max = u32::try_from(per_address_max).unwrap_or(u32::MAX);
        Self { per_address_max, connections: HashMap::new() }
    }

    /// A client may have so many from here on. Connections that were accepted while nobody counted are not counted later.
    pub(super) fn set_max(&mut self, per_address_max: usize) {
        self.per_address_max = u32::try_from(per_address_max).unwrap_or(u32::MAX);
    }

    /// Who is to be counted for a connection from `address`; `None` while nobody is.
    pub(super) fn client(&self, address: IpAddr) -> Option<ClientAddress> {
        (self.per_address_max > 0).then(|| ClientAddress::of(address))
    }

    /// Whether the client has as many connections as it may have.
    pub(super) fn is_full(&self, client: Option<ClientAddress>) -> bool {
        client.is_some_and(|client| self.connections.get(&client).is_some_and(|&count| count >= self.per_address_max))
    }

    /// Whether the client has half of the connections that it may have.
    pub(super) fn is_half_full(&self, client: Option<ClientAddress>) -> bool {
        let count = |client| self.connections.get(&client).copied().unwrap_or(0);
        client.is_some_and(|client| count(client) >= self.per_address_max / 2)
    }

    /// A connection of the client was accepted.
    pub(super) fn add(&mut self, client: Option<ClientAddress>) {
        if let Some(client) = client {
            *self.connections.entry(client).or_default() += 1;
        }
    }

    /// A connection of the client is over.
    pub(super) fn remove(&mut self, client: Option<ClientAddress>) {
        if let Some(Entry::Occupied(mut count)) = client.map(|client| self.connections.entry(client)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_held_while_it_has_connections() {
        let mut addresses = Addresses::new(2);
        let household = addresses.client(ip("2001:db8:0:7::1"));
        addresses.add(household);
        assert!(!addresses.is_full(household));
        addresses.add(addresses.client(ip("2001:db8:0:7:ffff::2")));
        assert!(addresses.is_full(household));
        assert!(!addresses.is_full(addresses.client(ip("2001:db8:0:8::1"))), "the neighbours");
        addresses.remove(household);
        assert!(!addresses.is_full(household));
        addresses.remove(household);
        assert!(addresses.connections.is_empty());
    }

    #[test]
    fn a_cap_that_comes_or_goes_leaves_no_client_behind() {
        let mut addresses = Addresses::new(0);
        let before = addresses.client(ip("192.0.2.1"));
        addresses.add(before);
        addresses.set_max(1);
        let after = addresses.client(ip("192.0.2.1"));
        assert!(!addresses.is_full(after), "what came before the cap is not counted");
        addresses.add(after);
        assert!(addresses.is_full(after));
        addresses.set_max(0);
        assert!(!addresses.is_full(addresses.client(ip("192.0.2.1"))));
        addresses.remove(before);
        addresses.remove(after);
        assert!(addresses.connections.is_empty());
    }

    #[test]
    fn without_a_cap_nothing_is_kept() {
        let mut addresses = Addresses::new(0);
        let client = addresses.client(ip("192.0.2.1"));
        addresses.add(client);
        assert!(!addresses.is_full(client) && addresses.connections.is_empty());
    }
}
