//! Whatever a client by QUIC is refused is counted with a reason.
//!
//! Elsewhere: reasons to drop a datagram of taps in `malformed`, datagrams that reach no connection beside the code of the
//! endpoint, requests over HTTP/3 in `http3`.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::{Server, Tapper, Viewer, http};
use uproar::metrics::{Outcome, RoomRefusal};
use uproar_wire::RoomId;
use uproar_wire::hello::Hello;

const ROOM: u32 = 1;

fn put(server: &Server, room: u32) {
    let body = r#"{"name":"Final","palette":[{"name":"fire","glyph":"F"}]}"#;
    let request = format!("PUT /v1/rooms/{room} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(server.ask_admin(format!("{request}{body}").as_bytes()).status, 201);
}

fn hello(rooms: &[u32]) -> Vec<u8> {
    let mut hello = Vec::new();
    Hello { rooms: rooms.iter().copied().map(RoomId).collect(), token: Vec::new() }.encode(&mut hello);
    hello
}

#[test]
fn every_reason_to_refuse_a_room_is_counted() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let flags = ["--shards", "1", "--window", "100ms", &certificate, &key];
    let config = "[quic]\nrooms_per_subscriber_max = 2\nsubscribers_max = 1\n";
    for refusal in RoomRefusal::ALL {
        let server = Server::configured(config, &flags);
        [7, 8].into_iter().for_each(|room| put(&server, room));
        let viewer = Viewer::watching(&server, &[ROOM]);
        // Its connection lasts until the refusal is counted: a close could overtake the hello.
        let mut talking = None;
        match refusal {
            RoomRefusal::UnknownRoom => drop(viewer.subscribe_more(&[99])),
            RoomRefusal::AlreadySubscribed => drop(viewer.subscribe_more(&[ROOM])),
            RoomRefusal::NotSubscribed => drop(viewer.unsubscribe(&[7])),
            RoomRefusal::TooManyRooms => drop(viewer.subscribe_more(&[7, 8])),
            RoomRefusal::NoStream => {
                viewer.leave();
                server.await_shards("uproar_subscribers", |now| now == 0);
                let peer = HostilePeer::connect_with(&server, &identity, b"uproar/1", |transport| {
                    transport.max_concurrent_uni_streams(1_u32.into());
                })
                .unwrap();
                let control = peer.talk(&hello(&[ROOM, 7]));
                talking = Some((control, peer));
            }
            RoomRefusal::Full => {
                viewer.unsubscribe(&[ROOM]);
                let _other = Viewer::watching(&server, &[ROOM]);
                viewer.subscribe_more(&[ROOM]);
            }
            // Takes a moment that lasts longer on the networks of `tests/simulation/going_away.rs`.
            RoomRefusal::Draining => continue,
        }
        let of = |refusal: RoomRefusal| format!("uproar_rooms_refused_total{{reason=\"{}\"}}", refusal.label());
        server.await_metric(&of(refusal), 1);
        server.await_metric("uproar_rooms_refused_total", 1);
        drop(talking);
    }
}

#[test]
fn every_way_to_refuse_a_connection_or_its_hello_is_counted() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let of = |outcome: Outcome| format!("uproar_connections_total{{proto=\"quic\",outcome=\"{}\"}}", outcome.label());
    for outcome in Outcome::ALL {
        let config = match outcome {
            Outcome::Full | Outcome::Refused => "[quic]\nsubscribers_max = 1\n",
            Outcome::AddressFull => "[quic]\nconnections_per_address_max = 1\n",
            Outcome::Retried => "[quic]\nretry_above = 0\n",
            Outcome::HandshakeFailed | Outcome::BadHello | Outcome::HelloTimeout | Outcome::NoRooms => "",
            // Those of whom nothing is refused, those of HTTP, and those that other tests count: `vanished`, `life`, `http3`,
            // `rooms`, `connections`, and the storms of the endpoint's own tests.
            Outcome::Accepted
            | Outcome::Overflow
            | Outcome::Done
            | Outcome::Draining
            | Outcome::NoFiles
            | Outcome::RoomDeleted
            | Outcome::TimedOut
            | Outcome::Reset
            | Outcome::TransportError
            | Outcome::Http3Error
            | Outcome::Dropped => continue,
        };
        let server = Server::configured(config, &["--shards", "1", "--window", "100ms", &certificate, &key]);
        let connect = |alpn: &[u8]| HostilePeer::connect(&server, &identity, alpn);
        let peer = match outcome {
            Outcome::HandshakeFailed => connect(b"uproar/0"),
            Outcome::AddressFull | Outcome::Refused => {
                // Without a hello they hold their places for some seconds.
                let mut peers = Vec::new();
                loop {
                    match connect(b"uproar/1") {
                        Ok(peer) => peers.push(peer),
                        refused => break refused,
                    }
                }
            }
            _ => connect(b"uproar/1"),
        };
        match (outcome, &peer) {
            (Outcome::BadHello, Ok(peer)) => peer.say(b"GET / HTTP/1.1\r\n\r\n"),
            (Outcome::NoRooms, Ok(peer)) => peer.say(&hello(&[99])),
            (Outcome::Full, Ok(peer)) => {
                let _watching = peer.talk(&hello(&[ROOM]));
                let other = connect(b"uproar/1").unwrap();
                other.say(&hello(&[ROOM]));
                other.end();
            }
            (Outcome::HelloTimeout | Outcome::Retried, Ok(_)) => {}
            (Outcome::HandshakeFailed | Outcome::AddressFull | Outcome::Refused, Err(_)) => {}
            (outcome, _) => panic!("{outcome:?}: connected: {}", peer.is_ok()),
        }
        server.await_shards(&of(outcome), |count| count > 0);
    }
}

#[test]
fn junk_and_forgeries_on_the_quic_port_are_counted_by_reason() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let tapper = Tapper::to(server.quic());
    let of = |reason: &str| format!("uproar_quic_refused_total{{reason=\"{reason}\"}}");
    // A version that nobody speaks, and first packets that nobody can decrypt: their payload is as long as they say.
    let mut unknown = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    unknown.resize(1200, 0);
    let mut forged = vec![0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x9e];
    forged.resize(1200, 0x5a);
    for number in 0..100 {
        tapper.send(&[0xc0]);
        tapper.send(&unknown);
        forged[7] = number;
        tapper.send(&forged);
    }
    server.await_metric(&of("malformed"), 100);
    server.await_metric(&of("version_negotiated"), 100);
    server.await_metric(&of("undecryptable"), 100);
    server.await_metric("uproar_quic_refused_total", 300);
    let failed = "uproar_connections_total{proto=\"quic\",outcome=\"handshake_failed\"}";
    assert_eq!((server.metric(failed), server.metric("uproar_rejected_total")), (0, 0));
    assert_eq!(server.ask_admin(&http::get("/readyz")).status, 200);
}
