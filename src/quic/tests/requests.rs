//! What a subscriber says after its hello: requests in order, one at a time, and what holds up a peer that asks too much.

use super::pair::{Pair, hello_bytes};
use super::{code, is_closed};
use crate::limits::QUIC_SEND_STREAMS_MAX;
use crate::metrics::Outcome;
use crate::quic::QuicEvent;
use quinn_proto::{ConnectionError, VarInt};
use std::time::Duration;
use uproar_wire::RoomId;
use uproar_wire::control::{Change, ControlMessage, RoomsAnswer, RoomsRequest};
use uproar_wire::hello::{CloseCode, ROOMS_MAX, RoomStatus, Welcome};

fn request(rooms: std::ops::Range<u32>) -> RoomsRequest {
    RoomsRequest { change: Change::Subscribe, rooms: rooms.map(RoomId).collect() }
}

fn bytes(request: &RoomsRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

fn answer(request: &RoomsRequest) -> RoomsAnswer {
    RoomsAnswer { rooms: request.rooms.iter().map(|&room| (room, RoomStatus::AlreadySubscribed)).collect() }
}

fn is_request(event: &QuicEvent) -> Option<(usize, RoomsRequest)> {
    match event {
        QuicEvent::Request { conn, request } => Some((*conn, request.clone())),
        _ => None,
    }
}

/// Answers every request for a while; how many there were.
fn answer_for(pair: &mut Pair, duration: Duration) -> usize {
    let until = pair.now + duration;
    let mut answered = 0;
    while pair.now < until {
        pair.run_for(Duration::from_millis(5));
        for (conn, request) in std::mem::take(&mut pair.events).iter().filter_map(is_request) {
            pair.server.answer(pair.now, conn, &answer(&request));
            answered += 1;
        }
    }
    answered
}

/// The answers that a client has read, without the welcome before them.
fn answers(control_received: &[u8]) -> Vec<RoomsAnswer> {
    let (_, taken) = Welcome::decode(control_received).unwrap().unwrap();
    let mut rest = &control_received[taken..];
    let next = || {
        let (message, taken) = ControlMessage::decode(rest).unwrap()?;
        rest = &rest[taken..];
        let ControlMessage::Answer(answer) = message else { panic!("not an answer: {message:?}") };
        Some(answer)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn requests_are_reported_one_at_a_time_and_answered_in_order() {
    let mut pair = Pair::new(1);
    let client = pair.connected();
    // All at once, behind the hello, in pieces that cut messages anywhere.
    let requests: Vec<_> = (1..=5).map(request_of).collect();
    let said = [hello_bytes(1), requests.iter().flat_map(bytes).collect()].concat();
    for piece in said.chunks(7) {
        pair.say(client, piece);
    }
    pair.run_for(Duration::from_secs(1));
    assert!(matches!(pair.events[..], [QuicEvent::Hello { .. }]), "nothing else before the welcome: {:?}", pair.events);
    let QuicEvent::Hello { conn, hello, .. } = pair.events.remove(0) else { unreachable!() };
    pair.server.welcome(pair.now, conn, &super::pair::welcome(&hello));
    for expected in &requests {
        pair.run_for(Duration::from_millis(100));
        let events = std::mem::take(&mut pair.events);
        assert_eq!(events, [QuicEvent::Request { conn, request: expected.clone() }]);
        pair.server.answer(pair.now, conn, &answer(expected));
    }
    pair.run_for(Duration::from_millis(100));
    let expected: Vec<_> = requests.iter().map(answer).collect();
    assert_eq!(answers(&pair.clients[client].control_received), expected);
}

fn request_of(rooms: u32) -> RoomsRequest {
    request(0..rooms)
}

#[test]
fn kinds_of_a_later_version_are_passed_over() {
    let mut pair = Pair::new(2);
    let client = pair.connected();
    pair.subscribe(client, 1);
    pair.say(client, &[3, 0, 77, 1, 2]);
    pair.say(client, &bytes(&request(0..2)));
    assert_eq!(pair.run_until_event(is_request).1, request(0..2));
}

#[test]
fn what_is_no_request_closes_the_connection() {
    // Two rooms that are the same, an answer, a length beyond every message.
    let twice = [11, 0, 3, 2, 0, 7, 0, 0, 0, 7, 0, 0, 0];
    for said in [&twice[..], &[3, 0, 5, 0, 0], &[255, 255]] {
        let mut pair = Pair::new(3);
        let client = pair.connected();
        pair.subscribe(client, 1);
        pair.say(client, said);
        assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
        pair.run_until(|pair| pair.clients[client].lost.is_some());
        assert_eq!(pair.clients[client].close_code(), code(CloseCode::BadHello));
    }
}

#[test]
fn who_ends_the_control_stream_stays_subscribed() {
    let mut pair = Pair::new(4);
    let client = pair.connected();
    let (conn, streams) = pair.subscribe(client, 1);
    let control = pair.clients[client].control.unwrap();
    pair.clients[client].connection.send_stream(control).finish().unwrap();
    pair.run_for(Duration::from_secs(1));
    super::write_all(&mut pair, conn, streams[0], super::pattern(100, 0));
    pair.run_until(|pair| pair.clients[client].received.get(&streams[0]).is_some_and(|got| got.len() == 100));
}

#[test]
fn a_peer_that_does_not_read_answers_is_not_read_on() {
    let mut pair = Pair::new(5);
    let client = pair.connected_with(|transport| {
        transport.stream_receive_window(VarInt::from_u32(2000));
    });
    pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    pair.clients[client].reads_control = false;
    let most = bytes(&request(0..ROOMS_MAX as u32));
    let control = pair.clients[client].control.unwrap();
    let (mut sent, mut read) = (0, 0);
    for _ in 0..100 {
        // As much as the server's window lets through.
        while let Ok(taken) = pair.clients[client].connection.send_stream(control).write(&most[sent % most.len()..]) {
            sent += taken;
        }
        read += answer_for(&mut pair, Duration::from_millis(100));
    }
    // Answers of 325 bytes: six fit its window, and one more waits in part.
    assert!((5..=7).contains(&read), "{read} requests were read");
    assert!(sent < 16 * 1024, "{sent} bytes were let through");

    pair.clients[client].reads_control = true;
    let held_up = sent / most.len() - read;
    assert_eq!(answer_for(&mut pair, Duration::from_secs(5)), held_up, "the rest, once it reads");
}

#[test]
fn finished_streams_end_and_give_their_credit_back() {
    let mut pair = Pair::new(6);
    let client = pair.connected_with(|transport| {
        transport.max_concurrent_uni_streams(VarInt::from_u32(2));
    });
    let (conn, mut streams) = pair.subscribe(client, 2);
    for round in 0..10 {
        assert_eq!(pair.server.open_room_stream(conn), None, "two at a time");
        let stream = streams.remove(0);
        super::write_all(&mut pair, conn, stream, super::pattern(300, round));
        pair.server.finish(conn, stream);
        pair.run_until(|pair| pair.clients[client].received.get(&stream).is_some_and(|got| got.len() == 300));
        pair.run_for(Duration::from_millis(100));
        streams.push(pair.server.open_room_stream(conn).expect("credit for another"));
    }
}

#[test]
fn a_peer_that_confirms_no_ends_gets_no_more_streams() {
    let mut pair = Pair::new(7);
    let client = pair.connected_with(|transport| {
        transport.max_concurrent_uni_streams(VarInt::from_u32(1_000_000));
    });
    let (conn, streams) = pair.subscribe(client, 1);
    let mut opened = streams.len() + 1;
    // Nothing reaches it, so it confirms nothing.
    pair.impairment.loss_percent = 100;
    while let Some(stream) = pair.server.open_room_stream(conn) {
        pair.server.finish(conn, stream);
        opened += 1;
        assert!(opened <= QUIC_SEND_STREAMS_MAX);
    }
    assert_eq!(opened, QUIC_SEND_STREAMS_MAX);
    pair.impairment.loss_percent = 0;
    pair.run_for(Duration::from_secs(5));
    assert!(pair.server.open_room_stream(conn).is_some());
}

#[test]
fn an_address_has_as_many_connections_as_it_may_have() {
    let mut pair = Pair::with(8, |config| config.settings.connections_per_address_max = 2);
    let first = pair.connected();
    let address = pair.clients[first].address;
    let from_there = |pair: &mut Pair, port: u16| {
        let client = pair.connect();
        pair.clients[client].address.set_ip(address.ip());
        pair.clients[client].address.set_port(port);
        pair.run_until(|pair| pair.clients[client].connected || pair.clients[client].lost.is_some());
        client
    };
    let second = from_there(&mut pair, 1);
    assert!(pair.clients[second].connected);
    let third = from_there(&mut pair, 2);
    assert!(matches!(pair.clients[third].lost, Some(ConnectionError::ConnectionClosed(_))));
    assert_eq!(pair.server.outcomes()[Outcome::AddressFull.index()], 1);
    pair.connected();

    // One that moves to another network still counts where it came from, until it is over.
    pair.clients[second].address.set_ip([203, 0, 113, 9].into());
    pair.clients[second].react(&super::pattern(20, 0));
    pair.run_for(Duration::from_secs(1));
    let fourth = from_there(&mut pair, 3);
    assert!(pair.clients[fourth].lost.is_some());
    let now = pair.now;
    pair.clients[second].connection.close(now, VarInt::from_u32(0), bytes::Bytes::new());
    pair.run_until_event(is_closed);
    let fifth = from_there(&mut pair, 4);
    assert!(pair.clients[fifth].connected);
}
