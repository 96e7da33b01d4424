//! Values that must go together: ports, times, the two halves of a certificate, rooms of one node.

use super::knob::quoted;
use super::{Config, ConfigError, Origin, Origins};
use crate::limits::ROOMS_MAX;
use crate::room::Room;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use uproar_wire::RoomId;
use uproar_wire::http::RoomSpec;

impl Config {
    /// Refuses values that are in range one by one, and do not go together.
    pub(super) fn check_together(&self, origins: &Origins) -> Result<(), ConfigError> {
        self.check_ports(origins)?;
        if self.fanout.spread > self.window / 2 {
            return Err(ConfigError::OutOfRange {
                origin: origins.of("fanout.spread"),
                key: "fanout.spread".into(),
                value: quoted(&humantime::format_duration(self.fanout.spread).to_string()),
                allowed: format!("half of window ({}) at most", humantime::format_duration(self.window)),
            });
        }
        let (given, missing) = match (&self.quic.certificate, &self.quic.private_key) {
            (Some(_), None) => ("quic.certificate", "quic.private_key"),
            (None, Some(_)) => ("quic.private_key", "quic.certificate"),
            // One at a time: there may be very many.
            _ => return self.each_room(origins)?.try_for_each(|room| room.map(drop)),
        };
        Err(ConfigError::OutOfRange {
            origin: origins.of(given),
            key: missing.into(),
            value: "not set".into(),
            allowed: format!("a path, as {given} is set, or neither of the two"),
        })
    }

    pub(super) fn make_rooms(&self, origins: &Origins) -> Result<Vec<Room>, ConfigError> {
        self.each_room(origins)?.collect()
    }

    fn each_room(&self, origins: &Origins) -> Result<impl Iterator<Item = Result<Room, ConfigError>>, ConfigError> {
        let refused = |place: usize, key: String, value: String, allowed: String| ConfigError::OutOfRange {
            origin: origins.of_room(place),
            key,
            value,
            allowed,
        };
        if self.rooms.len() > ROOMS_MAX {
            let value = format!("{} rooms", self.rooms.len());
            return Err(refused(ROOMS_MAX, "rooms".into(), value, format!("up to {ROOMS_MAX} rooms")));
        }
        let mut ids = BTreeSet::new();
        Ok(self.rooms.iter().enumerate().map(move |(place, room)| {
            if !ids.insert(room.id) {
                let key = format!("rooms[{place}].id");
                return Err(refused(place, key, room.id.to_string(), "an id that no room before it has".into()));
            }
            let spec = RoomSpec { name: room.name.clone(), palette: room.palette.clone() };
            Room::new(RoomId(room.id), spec)
                .map_err(|error| refused(place, format!("rooms[{place}].{}", error.key), error.value, error.allowed))
        }))
    }

    /// Two ports of one protocol at one address would share what arrives, and a machine cannot tell them apart.
    fn check_ports(&self, origins: &Origins) -> Result<(), ConfigError> {
        let listen = &self.listen;
        let pairs = [
            ("UDP", ("listen.reactions", listen.reactions), ("listen.quic", listen.quic)),
            ("TCP", ("listen.http", listen.http), ("listen.admin", listen.admin)),
        ];
        let colliding = pairs.into_iter().find(|(_, (_, first), (_, second))| collide(*first, *second));
        let Some((proto, first, second)) = colliding else { return Ok(()) };
        // Whoever set one of them means to change that one.
        let is_first = origins.of(second.0) == Origin::Default;
        let ((key, address), (other, taken)) = if is_first { (first, second) } else { (second, first) };
        Err(ConfigError::OutOfRange {
            origin: origins.of(key),
            key: key.into(),
            value: quoted(&address.to_string()),
            allowed: format!("another port than that of {other}, which is {taken} and {proto} as well"),
        })
    }
}

/// Whether one datagram or connection could be for both.
fn collide(first: SocketAddr, second: SocketAddr) -> bool {
    let [a, b] = [first, second].map(|address| address.ip().to_canonical());
    // An IPv6 socket at [::] takes what comes by IPv4 as well.
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    first.port() != 0 && first.port() == second.port() && (a == b || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_where_one_could_take_what_is_for_the_other() {
        for (first, second, is_wrong) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("[::]:1", "[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::1]:1", false),
            ("0.0.0.0:0", "0.0.0.0:0", false),
            ("0.0.0.0:1", "0.0.0.0:2", false),
        ] {
            let [a, b] = [first, second].map(|text| text.parse().unwrap());
            assert_eq!(collide(a, b), is_wrong, "{first} and {second}");
        }
    }
}
