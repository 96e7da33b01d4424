//! Bytes that nobody should send: the server counts them by reason, and serves on.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::random::junk;
use crate::support::{Http, Server, Tapper, Viewer, http, taps};
use uproar_wire::hello::CloseCode;

const ROOM: u32 = 1;

#[test]
fn junk_on_every_port_leaves_the_server_serving() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let datagrams = junk(1, 200, 1400);
    for (tapper, bytes) in Tapper::several(server.reactions()).iter().cycle().zip(&datagrams) {
        tapper.send(bytes);
    }
    for (tapper, bytes) in Tapper::several(server.quic()).iter().cycle().zip(&junk(2, 200, 1400)) {
        tapper.send(bytes);
    }
    // With the bits of a QUIC long header and a version that is spoken, so that it comes further.
    for (tapper, mut bytes) in Tapper::several(server.quic()).iter().cycle().zip(junk(3, 100, 1400)) {
        bytes.resize(1200, 0);
        bytes[..6].copy_from_slice(&[0xc0, 0, 0, 0, 1, 8]);
        tapper.send(&bytes);
    }
    let mut refused = 0;
    for port in [server.http(), server.admin()] {
        for bytes in junk(4, 30, 600) {
            let mut connection = Http::to(port);
            connection.send_into_the_dark(&bytes);
            connection.send_into_the_dark(b"\r\n\r\n");
            let status = connection.reply().status;
            assert!((400..=505).contains(&status), "{status}");
            connection.expect_end();
            refused += 1;
        }
    }
    server.await_metric("uproar_quic_refused_total", 300);
    server.await_metric("uproar_datagrams_total", datagrams.len() as u64);
    server.await_metric("uproar_rejected_total{proto=\"udp\"}", datagrams.len() as u64);
    server.await_metric("uproar_rejected_total{proto=\"http\"}", refused);
    assert_eq!(server.metric("uproar_reactions_total"), 0);

    assert_serves(&server);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((3, 3))), "{}", ended.log);
}

/// A tap each way is counted, and subscribers have their frames.
fn assert_serves(server: &Server) {
    let mut viewer = Viewer::watching(server, &[ROOM]);
    viewer.next_frame();
    viewer.tap(ROOM, &[(0, 1)]);
    Tapper::to(server.reactions()).tap(ROOM, 0, 1);
    assert_eq!(Http::to(server.http()).ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
    for proto in ["quic", "udp", "http"] {
        server.await_metric(&format!("uproar_reactions_total{{proto=\"{proto}\"}}"), 1);
    }
    viewer.leave();
}

/// One datagram for each reason why one may be dropped.
fn rejected_datagrams() -> Vec<(&'static str, Vec<u8>)> {
    let good = taps::datagram(ROOM, &[(0, 1)]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    vec![
        ("too_short", good[..15].to_vec()),
        ("too_short", good[..19].to_vec()),
        ("too_long", [&good[..], &[0]].concat()),
        ("bad_version", with(0, 2)),
        ("bad_flags", with(1, 1)),
        ("bad_flags", with(1, 0x80)),
        ("bad_count", with(2, 0)),
        ("bad_count", with(18, 0)),
        ("unknown_room", with(4, 99)),
        ("unknown_emoji", with(16, 12)),
    ]
}

#[test]
fn every_reason_to_drop_a_datagram_is_counted() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "2", "--window", "100ms", &certificate, &key]);
    let quic = HostilePeer::connect(&server, &identity, b"uproar/1").unwrap();
    let mut http = Http::to(server.http());
    let mut expected = std::collections::BTreeMap::new();
    for (reason, datagram) in rejected_datagrams() {
        Tapper::to(server.reactions()).send(&datagram);
        quic.send_datagram(&datagram);
        let room = u32::from_le_bytes(datagram.get(4..8).map_or([0; 4], |id| id.try_into().unwrap()));
        let reply = http.ask(&http::octets(room, &datagram));
        let status = match reason {
            "unknown_room" => 404,
            "unknown_emoji" => 422,
            _ => 400,
        };
        assert_eq!((reply.status, reply.code().as_str()), (status, reason));
        *expected.entry(reason).or_insert(0) += 1;
    }
    for (reason, count) in expected {
        for proto in ["udp", "quic", "http"] {
            server.await_metric(&format!("uproar_rejected_total{{proto=\"{proto}\",reason=\"{reason}\"}}"), count);
        }
    }
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((0, 0))), "{}", ended.log);
}

#[test]
fn a_peer_that_says_no_hello_is_told_so() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let silent = Viewer::connect(&server);
    assert_eq!(silent.wait_for_close(), Some(CloseCode::HelloTimeout));
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"hello_timeout\"}"), 1);
}

#[test]
fn a_peer_that_says_something_else_is_told_so() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "1", "--window", "100ms", &certificate, &key]);
    let hellos: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
        // A length of 0, a welcome, another version.
        &[0, 0],
        &[7, 0, 2, 1, 0, 0, 0],
        &[11, 0, 1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0],
    ];
    for hello in hellos {
        let peer = HostilePeer::connect(&server, &identity, b"uproar/1").unwrap();
        peer.say(hello);
        assert_eq!(peer.close_code(), CloseCode::BadHello as u64, "{hello:?}");
    }
    let count = hellos.len() as u64;
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"bad_hello\"}"), count);

    let other = HostilePeer::connect(&server, &identity, b"uproar/0").err().expect("a protocol that is not spoken");
    assert!(matches!(other, quinn::ConnectionError::ConnectionClosed(_)), "{other}");
    server.await_metric("uproar_connections_total{proto=\"quic\",outcome=\"handshake_failed\"}", 1);
    assert_serves(&server);
}
