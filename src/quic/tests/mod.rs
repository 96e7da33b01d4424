//! Subscribers against one shard's QUIC, in memory and virtual time. A seed that fails is the bug report.

mod pair;
mod refusals;
mod requests;
mod storm;
mod webtransport;

use super::{Arrival, QuicEvent, TransmitBatch, WriteOutcome, shard_of_packet};
use crate::metrics::Outcome;
use bytes::Bytes;
use pair::{DELAY, HELLO_TIMEOUT, IDLE_TIMEOUT, Impairment, Pair, SHARD, SHARDS, hello_bytes, server, start};
use proptest::prelude::*;
use quinn_proto::{ConnectionError, VarInt};
use std::net::SocketAddr;
use std::time::Duration;
use uproar_wire::hello::{CloseCode, ROOMS_MAX, Welcome};

/// Bytes that tell their place, so that a swap or a gap shows.
fn pattern(len: usize, salt: u64) -> Bytes {
    (0..len as u64).map(|at| ((at * 31 + (at >> 8) * 7 + salt * 13) % 251) as u8).collect()
}

fn is_closed(event: &QuicEvent) -> Option<Outcome> {
    match event {
        QuicEvent::Closed { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

fn code(code: CloseCode) -> Option<VarInt> {
    Some(VarInt::from_u32(code as u32))
}

/// Writes all of `message`, waiting for the stream as often as it takes; how often it was blocked.
fn write_all(pair: &mut Pair, conn: usize, stream: u64, mut message: Bytes) -> usize {
    let mut blocked = 0;
    while pair.server.write(conn, stream, &mut message) == WriteOutcome::Blocked {
        blocked += 1;
        let writable = QuicEvent::Writable { conn, stream };
        pair.run_until_event(|event| (*event == writable).then_some(()));
    }
    assert!(message.is_empty());
    blocked
}

#[test]
fn a_subscriber_says_hello_is_welcomed_and_reads_what_was_written() {
    let mut pair = Pair::new(1);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    let message = pattern(300, 1);
    let mut chunk = message.clone();
    assert_eq!(pair.server.write(conn, streams[0], &mut chunk), WriteOutcome::All);
    assert!(chunk.is_empty());
    pair.run_until(|pair| pair.clients[client].received.get(&streams[0]).is_some_and(|got| *got == message));
    let (welcome, _) = Welcome::decode(&pair.clients[client].control_received).unwrap().unwrap();
    assert_eq!(welcome.rooms.len(), 1);
    assert_eq!((pair.server.connections(), pair.server.established(), pair.server.accepted()), (1, 1, 1));
}

#[test]
fn a_hello_in_pieces_is_one_hello() {
    let mut pair = Pair::new(2);
    let client = pair.connected();
    let hello = hello_bytes(3);
    for piece in hello.chunks(4) {
        assert!(pair.events.is_empty());
        pair.say(client, piece);
        pair.run_for(Duration::from_millis(50));
    }
    assert!(matches!(pair.events[..], [QuicEvent::Hello { .. }]));
}

#[test]
fn reactions_arrive_before_and_after_the_hello() {
    let mut pair = Pair::new(3);
    let client = pair.connected();
    let mut sent = Vec::new();
    for number in 0..40 {
        // The largest reaction datagram does not fit beside QUIC's own bytes in a packet of 1,200.
        let payload = pattern(16 + number * 25, number as u64);
        pair.clients[client].react(&payload);
        sent.push(payload);
        if number == 20 {
            pair.run_for(Duration::from_secs(1));
            pair.say_hello(client, 1);
        }
    }
    pair.run_for(Duration::from_secs(1));
    let received: Vec<_> = std::mem::take(&mut pair.events)
        .into_iter()
        .filter_map(|event| match event {
            QuicEvent::Reactions { datagram, .. } => Some(datagram),
            _ => None,
        })
        .collect();
    assert_eq!(received, sent);
}

#[test]
fn what_is_not_a_hello_closes_with_its_code() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0], &[4, 0, 1, 9, 0, 0], &[7, 0, 3, 1, 0, 7, 0, 0, 0]] {
        let mut pair = Pair::new(4);
        let client = pair.connected();
        pair.say(client, bytes);
        assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
        pair.run_until(|pair| pair.clients[client].lost.is_some());
        assert_eq!(pair.clients[client].close_code(), code(CloseCode::BadHello));
        assert_eq!(pair.server.outcomes()[Outcome::BadHello.index()], 1);
    }
}

#[test]
fn a_control_stream_that_ends_early_is_a_bad_hello() {
    let mut pair = Pair::new(5);
    let client = pair.connected();
    let hello = hello_bytes(2);
    pair.say(client, &hello[..hello.len() - 1]);
    let control = pair.clients[client].control.unwrap();
    pair.clients[client].connection.send_stream(control).finish().unwrap();
    assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
}

#[test]
fn a_second_hello_later_is_a_bad_hello() {
    let mut pair = Pair::new(6);
    let client = pair.connected();
    pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    pair.say_hello(client, 1);
    assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
}

#[test]
fn who_says_no_hello_in_time_is_closed() {
    let mut pair = Pair::new(8);
    let began = pair.now;
    let client = pair.connected();
    pair.say(client, &hello_bytes(1)[..5]);
    assert_eq!(pair.run_until_event(is_closed), Outcome::HelloTimeout);
    // From the end of the handshake, three ways after it began, to the tick of timers that follows.
    let late = pair.now - began - (HELLO_TIMEOUT + 3 * DELAY);
    assert!(late <= Duration::from_millis(4), "{late:?}");
    pair.run_until(|pair| pair.clients[client].lost.is_some());
    assert_eq!(pair.clients[client].close_code(), code(CloseCode::HelloTimeout));
    pair.run_until(|pair| pair.server.connections() == 0);
}

#[test]
fn a_handshake_that_stops_half_way_gives_its_slot_back() {
    let mut pair = Pair::new(9);
    pair.connect();
    // The first packet arrives; the client never hears the answer.
    pair.run_until(|pair| pair.server.accepted() == 1);
    pair.impairment.loss_percent = 100;
    assert_eq!(pair.run_until_event(is_closed), Outcome::HandshakeFailed);
    pair.run_until(|pair| pair.server.connections() == 0);
}

#[test]
fn a_silent_subscriber_times_out() {
    let mut pair = Pair::new(10);
    let client = pair.connected();
    pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    pair.impairment.loss_percent = 100;
    let silent_from = pair.now;
    assert_eq!(pair.run_until_event(is_closed), Outcome::TimedOut);
    assert!(pair.now - silent_from <= IDLE_TIMEOUT);
    assert_eq!((pair.server.connections(), pair.server.established()), (0, 0));
}

#[test]
fn a_client_that_leaves_is_done() {
    let mut pair = Pair::new(11);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    let now = pair.now;
    pair.clients[client].connection.close(now, VarInt::from_u32(0), Bytes::new());
    assert_eq!(pair.run_until_event(is_closed), Outcome::Done);
    assert_eq!(pair.server.write(conn, streams[0], &mut pattern(10, 0)), WriteOutcome::Gone);
    assert_eq!(pair.server.open_room_stream(conn), None);
    pair.run_until(|pair| pair.server.connections() == 0);
}

#[test]
fn every_room_of_a_full_hello_has_its_stream() {
    let mut pair = Pair::new(12);
    let client = pair.connected_with(|transport| {
        transport.max_concurrent_uni_streams(VarInt::from_u32(ROOMS_MAX as u32));
    });
    let (conn, streams) = pair.subscribe(client, ROOMS_MAX as u32);
    assert_eq!(pair.server.open_room_stream(conn), None, "the client permits one stream a room");
    for &stream in &streams {
        write_all(&mut pair, conn, stream, pattern(700, stream));
    }
    pair.run_until(|pair| pair.clients[client].received.values().filter(|got| got.len() == 700).count() == ROOMS_MAX);
    for &stream in &streams {
        assert_eq!(pair.clients[client].received[&stream], pattern(700, stream));
    }
}

#[test]
fn a_client_that_does_not_read_blocks_until_it_does() {
    let mut pair = Pair::new(13);
    let client = pair.connected_with(|transport| {
        transport.stream_receive_window(VarInt::from_u32(8000));
    });
    let (conn, streams) = pair.subscribe(client, 1);
    pair.clients[client].reads = false;
    let message = pattern(20_000, 5);
    let mut rest = message.clone();
    assert_eq!(pair.server.write(conn, streams[0], &mut rest), WriteOutcome::Blocked);
    assert_eq!(rest, message[8000..]);
    let writable = QuicEvent::Writable { conn, stream: streams[0] };
    pair.run_for(Duration::from_secs(10));
    assert!(!pair.events.contains(&writable));
    pair.clients[client].reads = true;
    pair.run_until_event(|event| (*event == writable).then_some(()));
    write_all(&mut pair, conn, streams[0], rest);
    pair.run_until(|pair| pair.clients[client].received[&streams[0]] == message);
}

#[test]
fn more_than_the_send_window_waits_for_acknowledgements() {
    let mut pair = Pair::new(14);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    let palette = pattern(1 << 20, 9);
    assert!(write_all(&mut pair, conn, streams[0], palette.clone()) > 0);
    pair.run_until(|pair| pair.clients[client].received[&streams[0]] == palette);
}

#[test]
fn a_stream_that_the_client_stops_is_gone_and_the_others_stay() {
    let mut pair = Pair::new(15);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 2);
    write_all(&mut pair, conn, streams[0], pattern(10, 0));
    pair.run_until(|pair| pair.clients[client].received.get(&streams[0]).is_some_and(|got| got.len() == 10));
    let stopped = VarInt::from_u64(streams[0]).unwrap().into();
    pair.clients[client].connection.recv_stream(stopped).stop(VarInt::from_u32(0)).unwrap();
    // Whoever writes to the stream is told.
    pair.run_until_event(|event| (*event == QuicEvent::Stopped { conn, stream: streams[0] }).then_some(()));
    assert_eq!(pair.server.write(conn, streams[0], &mut pattern(10, 0)), WriteOutcome::Gone);
    assert_eq!(pair.server.write(conn, streams[1], &mut pattern(10, 0)), WriteOutcome::All);
}

#[test]
fn ids_that_are_no_room_stream_are_gone() {
    let mut pair = Pair::new(16);
    let client = pair.connected();
    let (conn, _) = pair.subscribe(client, 1);
    for stream in [0, 1, 2, 7, 4_000_003, u64::MAX] {
        assert_eq!(pair.server.write(conn, stream, &mut pattern(10, 0)), WriteOutcome::Gone, "{stream}");
    }
    assert_eq!(pair.server.write(99, 3, &mut pattern(10, 0)), WriteOutcome::Gone);
}

#[test]
fn loss_reordering_and_duplicates_change_nothing_that_is_read() {
    for seed in 100..110 {
        let mut pair = Pair::new(seed);
        pair.impairment = Impairment { loss_percent: 10, duplicate_percent: 10, jitter: Duration::from_millis(40) };
        let client = pair.connected();
        let (conn, streams) = pair.subscribe(client, 4);
        for round in 0..25 {
            for &stream in &streams {
                write_all(&mut pair, conn, stream, pattern(400, stream + round));
            }
            pair.run_for(Duration::from_millis(200));
        }
        for &stream in &streams {
            let expected: Vec<u8> = (0..25).flat_map(|round| pattern(400, stream + round)).collect();
            pair.run_until(|pair| pair.clients[client].received[&stream].len() >= expected.len());
            assert_eq!(pair.clients[client].received[&stream], expected, "seed {seed}");
        }
    }
}

#[test]
fn a_client_whose_address_changes_stays_connected() {
    let mut pair = Pair::new(17);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    for port in 50_000..50_003 {
        pair.clients[client].address.set_port(port);
        pair.clients[client].react(&pattern(20, 0));
        pair.run_for(Duration::from_secs(2));
        write_all(&mut pair, conn, streams[0], pattern(300, 0));
        pair.run_for(Duration::from_secs(2));
    }
    assert_eq!(pair.clients[client].received[&streams[0]].len(), 900);
    let reactions = pair.events.iter().filter(|event| matches!(event, QuicEvent::Reactions { .. })).count();
    assert_eq!((reactions, pair.server.established()), (3, 1));
}

#[test]
fn every_packet_of_a_connected_client_names_this_shard() {
    let mut pair = Pair::new(18);
    for _ in 0..8 {
        let client = pair.connected();
        let (conn, streams) = pair.subscribe(client, 2);
        write_all(&mut pair, conn, streams[1], pattern(5000, 0));
        pair.run_for(Duration::from_secs(1));
        // A new address makes the client use an id that was issued later.
        pair.clients[client].address.set_port(50_000);
        pair.clients[client].connection.local_address_changed();
        pair.clients[client].react(&pattern(20, 0));
        pair.run_for(Duration::from_secs(1));
    }
    let ids: std::collections::BTreeSet<_> = pair.client_packets.iter().map(|packet| packet[1..9].to_vec()).collect();
    assert!(ids.len() > 8, "clients changed ids");
    for packet in &pair.client_packets {
        assert_eq!(shard_of_packet(packet, SHARDS), Some(SHARD.index()));
    }
}

#[test]
fn draining_delivers_the_last_message_then_tells_everyone_and_frees_every_slot() {
    let mut pair = Pair::new(19);
    let mut streams = Vec::new();
    for _ in 0..20 {
        let client = pair.connected();
        let (conn, opened) = pair.subscribe(client, 1);
        streams.push((conn, opened[0]));
    }
    pair.connected();
    pair.run_for(Duration::from_secs(1));
    pair.server.refuse_new();
    for &(conn, stream) in &streams {
        assert_eq!(pair.server.write(conn, stream, &mut Bytes::from_static(b"the last frame")), WriteOutcome::All);
        pair.server.finish(conn, stream);
    }
    pair.server.drain(pair.now, CloseCode::Draining, "going away");
    pair.run_until(|pair| pair.server.connections() == 0);
    assert!(pair.clients.iter().all(|client| client.close_code() == code(CloseCode::Draining)));
    for (client, &(_, stream)) in streams.iter().enumerate() {
        assert_eq!(pair.clients[client].received[&stream], b"the last frame");
    }
    let closed: Vec<_> = pair.events.iter().filter_map(is_closed).collect();
    assert_eq!(closed.len(), 21);
    assert_eq!(pair.server.outcomes()[Outcome::Draining.index()], 21);

    let late = pair.connect();
    pair.run_until(|pair| pair.clients[late].lost.is_some());
    assert_eq!(pair.server.outcomes()[Outcome::Refused.index()], 1);
    assert_eq!(pair.server.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn who_comes_when_all_slots_are_in_use_is_refused_and_counted() {
    let mut pair = Pair::with_max_connections(20, 2);
    let first = pair.connected();
    pair.connected();
    let third = pair.connect();
    pair.run_until(|pair| pair.clients[third].lost.is_some());
    assert!(matches!(pair.clients[third].lost, Some(ConnectionError::ConnectionClosed(_))));
    assert_eq!(pair.server.outcomes()[Outcome::Refused.index()], 1);
    assert_eq!((pair.server.connections(), pair.server.accepted()), (2, 2));

    let now = pair.now;
    pair.clients[first].connection.close(now, VarInt::from_u32(0), Bytes::new());
    pair.run_until(|pair| pair.server.connections() == 1);
    pair.connected();
}

#[test]
fn a_slot_is_not_used_again_before_its_end_was_polled() {
    let mut pair = Pair::new(21);
    let client = pair.connected();
    let (conn, _) = pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    // Lost, and drained at once, while the shard does not look.
    let later = pair.now + 2 * IDLE_TIMEOUT;
    pair.server.handle_timeout(later);
    assert_eq!(pair.server.connections(), 1);
    assert_eq!(pair.server.poll_event(), Some(QuicEvent::Closed { conn, outcome: Outcome::TimedOut }));
    assert_eq!(pair.server.connections(), 0);
}

#[test]
fn a_hello_answered_after_the_connection_was_lost_is_harmless() {
    let mut pair = Pair::new(22);
    let client = pair.connected();
    pair.say_hello(client, 1);
    let (conn, hello) = pair.run_until_event(|event| match event {
        QuicEvent::Hello { conn, hello, .. } => Some((*conn, hello.clone())),
        _ => None,
    });
    pair.server.handle_timeout(pair.now + 2 * IDLE_TIMEOUT);
    pair.server.welcome(pair.now, conn, &pair::welcome(&hello));
    assert!(matches!(pair.server.poll_event(), Some(QuicEvent::Closed { .. })));
}

#[test]
fn a_datagram_for_one_of_many_asks_only_that_one() {
    let mut pair = Pair::new(23);
    for _ in 0..200 {
        pair.connect();
    }
    pair.run_until(|pair| pair.clients.iter().all(|client| client.connected));
    for client in 0..200 {
        pair.subscribe(client, 1);
    }
    pair.run_for(Duration::from_millis(500));
    pair.server.polls = 0;
    pair.clients[117].react(&pattern(20, 0));
    pair.run_until_event(|event| matches!(event, QuicEvent::Reactions { .. }).then_some(()));
    assert_eq!(pair.server.polls, 1);
}

#[test]
fn a_connection_that_filled_the_batch_is_asked_again() {
    let mut pair = Pair::new(25);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.server.write(conn, streams[0], &mut pattern(9000, 0)), WriteOutcome::All);
    let mut batch = TransmitBatch::new(0);
    assert!(pair.server.poll_transmit(pair.now, 64, &mut batch), "it may have more to say");
    assert!(batch.is_full());
    batch.clear();
    assert!(!pair.server.poll_transmit(pair.now, 64, &mut batch));
    assert!(batch.is_empty());
}

#[test]
fn a_full_batch_ends_the_turn_and_nothing_is_lost() {
    let mut pair = Pair::new(24);
    let mut written = Vec::new();
    for _ in 0..10 {
        let client = pair.connected();
        written.push(pair.subscribe(client, 1));
    }
    pair.run_for(Duration::from_secs(1));
    for (conn, streams) in &written {
        assert_eq!(pair.server.write(*conn, streams[0], &mut pattern(9000, 0)), WriteOutcome::All);
    }
    let mut batch = TransmitBatch::new(0);
    let mut turns = 0;
    loop {
        let more = pair.server.poll_transmit(pair.now, 64, &mut batch);
        assert!(batch.bytes().len() <= super::TRAIN_BYTES_MAX);
        turns += 1;
        batch.clear();
        if !more {
            break;
        }
    }
    assert!(turns >= 10);
    // Those packets were thrown away; QUIC sends them again.
    pair.run_until(|pair| pair.clients.iter().all(|client| client.received.values().any(|got| got.len() == 9000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(datagrams in proptest::collection::vec(
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..1300)), 1..20
    )) {
        let mut quic = server(4, 1);
        let now = start();
        let mut batch = TransmitBatch::new(0);
        for (port, mut bytes) in datagrams {
            // Half of them are dressed up as first packets of version 1, for which more is done.
            if port % 2 == 0 && bytes.len() > 8 {
                bytes[..6].copy_from_slice(&[0xC0, 0, 0, 0, 1, 8]);
                bytes.resize(1200, port);
            }
            let remote = SocketAddr::from(([203, 0, 113, 1], 1000 + u16::from(port)));
            quic.handle_datagrams(now, std::iter::once(Arrival { remote, local_ip: None, ecn: None, bytes: &bytes }));
        }
        while quic.poll_event().is_some() {}
        while quic.poll_transmit(now, 64, &mut batch) {
            batch.clear();
        }
        quic.handle_timeout(now + IDLE_TIMEOUT);
        prop_assert_eq!(quic.connections(), 0);
    }

    /// Packets of a real client, bent on the way.
    #[test]
    fn a_bent_packet_never_panics(at in 0usize..1200, bits in 1u8.., seed in 0u64..50, nth in 0usize..6) {
        let mut pair = Pair::new(seed);
        pair.bend = Some((nth, at, bits));
        let client = pair.connect();
        pair.run_until(|pair| {
            let client = &pair.clients[client];
            client.connected || client.lost.is_some()
        });
    }
}

#[test]
fn a_close_that_is_lost_comes_again() {
    let mut pair = Pair::new(40);
    let client = pair.connected();
    pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    pair.impairment.loss_percent = 100;
    pair.server.drain(pair.now, CloseCode::Draining, "the server is going away");
    pair.server.close_all(pair.now, CloseCode::Draining, "the server is going away");
    pair.flush();
    pair.impairment.loss_percent = 0;
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.clients[client].lost, None);
    pair.server.repeat_closes();
    pair.run_until(|pair| pair.clients[client].lost.is_some());
    assert_eq!(pair.clients[client].close_code(), code(CloseCode::Draining));
}
