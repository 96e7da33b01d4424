//! Which addresses connections and sockets are sent from, so that the ports of one do not run out.

use crate::scenario::Sources;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The first source address on loopback.
const LOOPBACK_FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The first one of those who are hostile: away from the crowd's, as the server limits what one address may have.
const LOOPBACK_HOSTILE_FIRST: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);

/// Source addresses towards one server, by the number of whoever asks.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceAddresses {
    from: Sources,
    /// Where addresses of 127.0.0.0/8 reach the server, the first of them.
    loopback: Option<Ipv4Addr>,
}

impl SourceAddresses {
    /// The crowd's, towards a server.
    pub fn new(from: &Sources, server: SocketAddr) -> Self {
        Self::starting_at(LOOPBACK_FIRST, from, server)
    }

    /// Those of hostile input.
    pub fn hostile(from: &Sources, server: SocketAddr) -> Self {
        Self::starting_at(LOOPBACK_HOSTILE_FIRST, from, server)
    }

    fn starting_at(first: Ipv4Addr, from: &Sources, server: SocketAddr) -> Self {
        let is_loopback = matches!(server.ip(), IpAddr::V4(ip) if ip.is_loopback());
        Self { from: from.clone(), loopback: is_loopback.then_some(first) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match &self.from {
            Sources::Loopback(count) if self.loopback.is_some() => *count as usize,
            Sources::Loopback(_) => 1,
            Sources::Listed(addresses) => addresses.len(),
        }
    }

    /// That of number `number`, in turn; `None` where the kernel chooses.
    pub fn of(&self, number: usize) -> Option<IpAddr> {
        let place = number % self.count().max(1);
        match (&self.from, self.loopback) {
            (Sources::Listed(addresses), _) => addresses.get(place).copied(),
            (Sources::Loopback(_), Some(first)) => Some(Ipv4Addr::from_bits(first.to_bits() + place as u32).into()),
            (Sources::Loopback(_), None) => None,
        }
    }

    /// What a socket for number `number` is bound to, at a port of the kernel's choice.
    pub fn bind_address(&self, number: usize, server: SocketAddr) -> SocketAddr {
        let any = || if server.is_ipv6() { IpAddr::V6(0.into()) } else { IpAddr::V4(0.into()) };
        SocketAddr::new(self.of(number).unwrap_or_else(any), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn of(from: &Sources, to: &str) -> Vec<Option<String>> {
        let sources = SourceAddresses::new(from, server(to));
        (0..3).map(|number| sources.of(number).map(|ip| ip.to_string())).collect()
    }

    #[test]
    fn loopback_has_many_addresses_and_elsewhere_the_kernel_chooses() {
        let some = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
        assert_eq!(of(&Sources::Loopback(2), "127.0.0.1:1"), some(["127.0.0.1", "127.0.0.2", "127.0.0.1"]));
        assert_eq!(of(&Sources::Loopback(2), "192.0.2.1:1"), [None, None, None]);
        assert_eq!(of(&Sources::Loopback(2), "[::1]:1"), [None, None, None]);
        let listed = Sources::Listed(vec!["192.0.2.7".parse().unwrap()]);
        assert_eq!(of(&listed, "192.0.2.1:1"), some(["192.0.2.7"; 3]));
    }

    #[test]
    fn hostile_addresses_are_not_the_crowds() {
        let (from, to) = (Sources::Loopback(65_536), server("127.0.0.1:1"));
        let (crowd, hostile) = (SourceAddresses::new(&from, to), SourceAddresses::hostile(&from, to));
        assert!(crowd.of(65_535).unwrap() < hostile.of(0).unwrap());
        assert_eq!(crowd.bind_address(65_535, to).to_string(), "127.1.0.0:0");
        assert_eq!(hostile.bind_address(65_535, to).to_string(), "127.67.0.0:0");
        assert!(!crowd.bind_address(0, server("[2001:db8::1]:1")).is_ipv6());
    }
}
