//! Browsers against one shard's QUIC: the whole of a session, every refusal with its code, and how sessions end.

use super::pair::{HELLO_TIMEOUT, Pair, hello_bytes, read_stream, welcome};
use super::{is_closed, pattern};
use crate::limits::{HTTP3_REFUSALS_MAX, WEBTRANSPORT_FAREWELL, WEBTRANSPORT_LINGER};
use crate::metrics::{Http3Refusal, Http3Status, Outcome, Proto};
use crate::origins::Origins;
use crate::quic::{QuicEvent, WriteOutcome};
use bytes::Bytes;
use quinn_proto::{Dir, ReadError, StreamId, VarInt};
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::RoomId;
use uproar_wire::control::{Change, RoomsRequest, encode_reactions};
use uproar_wire::hello::{CloseCode, Hello, Welcome};
use uproar_wire::http::WEBTRANSPORT_PATH;
use web_transport_proto::{Capsule, ConnectError, ConnectResponse};

/// A control stream with settings that say nothing.
const SETTINGS: [u8; 3] = [0, 4, 0];
/// A stream of the session that stream 0 asked for: bidirectional, and the server's.
const OF_SESSION: [u8; 3] = [0x40, 0x41, 0];
const ROOM: [u8; 3] = [0x40, 0x54, 0];

fn pair(seed: u64) -> Pair {
    let only = Origins::new(&["https://allowed.test".to_owned()]).unwrap();
    let mut pair = Pair::with(seed, |config| config.webtransport = Some(Arc::new(only)));
    pair.speak_http3();
    pair
}

/// A HEADERS frame with these fields, none of them from a table.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        // What does not fit the three bits, or the seven, follows.
        match name.len() {
            short @ ..7 => section.push(0x20 | short as u8),
            long => section.extend([0x27, (long - 7) as u8]),
        }
        section.extend_from_slice(name.as_bytes());
        section.push(value.len() as u8);
        section.extend_from_slice(value.as_bytes());
    }
    [&[1, 0x40 | (section.len() >> 8) as u8, section.len() as u8], &section[..]].concat()
}

const CONNECT: [(&str, &str); 4] =
    [(":method", "CONNECT"), (":scheme", "https"), (":authority", "uproar.test"), (":protocol", "webtransport")];

fn request(path: &str, origin: Option<&str>) -> Vec<u8> {
    let own = [(":path", path)].into_iter().chain(origin.map(|origin| ("origin", origin)));
    headers(&CONNECT.into_iter().chain(own).collect::<Vec<_>>())
}

/// Opens a stream and sends `bytes` on it.
fn open(pair: &mut Pair, client: usize, dir: Dir, bytes: &[u8]) -> StreamId {
    let connection = &mut pair.clients[client].connection;
    let stream = connection.streams().open(dir).expect("the server permits it");
    assert_eq!(connection.send_stream(stream).write(bytes).unwrap(), bytes.len());
    stream
}

fn send(pair: &mut Pair, client: usize, stream: StreamId, bytes: &[u8]) {
    assert_eq!(pair.clients[client].connection.send_stream(stream).write(bytes).unwrap(), bytes.len());
}

/// Runs until a request is answered; with which status.
fn status(pair: &mut Pair, client: usize, stream: StreamId) -> u16 {
    let (mut bytes, mut status) = (Vec::new(), None);
    pair.run_until(|pair| {
        read_stream(&mut pair.clients[client].connection, stream, &mut bytes);
        status = match ConnectResponse::decode(&mut bytes.as_slice()) {
            Ok(response) => Some(response.status.as_u16()),
            Err(ConnectError::WrongStatus(Some(status))) => Some(status.as_u16()),
            Err(_) => None,
        };
        status.is_some()
    });
    status.unwrap()
}

/// A client with a session, and the stream of its request.
fn session(pair: &mut Pair) -> (usize, StreamId) {
    let client = pair.connected();
    open(pair, client, Dir::Uni, &SETTINGS);
    let connect = open(pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, Some("https://allowed.test")));
    assert_eq!(status(pair, client, connect), 200);
    (client, connect)
}

/// Has a client with a session say hello on its control stream, and welcomes it.
fn subscribe(pair: &mut Pair, client: usize) -> (usize, u64) {
    let control = open(pair, client, Dir::Bi, &[&OF_SESSION[..], &hello_bytes(1)].concat());
    pair.clients[client].control = Some(control);
    let (conn, hello) = hello(pair);
    pair.server.welcome(pair.now, conn, &welcome(&hello));
    (conn, pair.server.open_room_stream(conn).unwrap())
}

fn hello(pair: &mut Pair) -> (usize, Hello) {
    pair.run_until_event(|event| match event {
        QuicEvent::Hello { conn, hello, proto: Proto::WebTransport } => Some((*conn, hello.clone())),
        _ => None,
    })
}

/// Runs until the client is told that its session is over; with which code and why. The connection lasts so long that a
/// browser, which acknowledges first and acts then, does not take its end for a loss.
fn closed(pair: &mut Pair, client: usize, connect: StreamId) -> (u32, String) {
    let mut bytes = Vec::new();
    let mut has_ended = |pair: &mut Pair| {
        read_stream(&mut pair.clients[client].connection, connect, &mut bytes);
        // A DATA frame, with a capsule that is shorter than 64 bytes in it.
        bytes.first() == Some(&0) && bytes.get(1).is_some_and(|&len| bytes.len() == 2 + usize::from(len))
    };
    pair.run_until(&mut has_ended);
    pair.run_for(WEBTRANSPORT_LINGER - Duration::from_millis(1));
    assert_eq!(pair.clients[client].lost, None, "it is closed before a browser has acted on the end of its session");
    pair.run_until(|pair| pair.clients[client].lost.is_some());
    let (code, words) = pair.clients[client].close_reason().unwrap();
    assert_eq!((code, words.starts_with("0: ")), (0x100, true), "it ends without an error: {words}");
    match Capsule::decode(&mut &bytes[2..]).unwrap() {
        Capsule::CloseWebTransportSession { code, reason } => (code, reason),
        other => panic!("not its end: {other:?}"),
    }
}

/// Runs until the server has given up the connection; with which outcome, and the code that the client was told.
fn broken(pair: &mut Pair, client: usize) -> (Outcome, u64) {
    let outcome = pair.run_until_event(is_closed);
    pair.run_until(|pair| pair.clients[client].lost.is_some());
    (outcome, pair.clients[client].close_code().unwrap().into_inner())
}

/// What comes of a client that begins its control stream with `control`, and a request stream with `request`.
fn broken_by(streams: &[(Dir, &[u8])]) -> u64 {
    let mut pair = pair(30);
    let client = pair.connected();
    for (dir, bytes) in streams {
        open(&mut pair, client, *dir, bytes);
    }
    let (outcome, code) = broken(&mut pair, client);
    assert_eq!(outcome, Outcome::Http3Error, "{streams:x?}");
    code
}

#[test]
fn a_session_carries_the_same_conversation() {
    let mut pair = pair(1);
    let (client, _) = session(&mut pair);
    let (conn, room) = subscribe(&mut pair, client);
    let message = pattern(300, 1);
    assert_eq!(pair.server.write(conn, room, &mut message.clone()), WriteOutcome::All);
    let whole = [&ROOM[..], &message].concat();
    pair.run_until(|pair| pair.clients[client].received.get(&room).is_some_and(|got| *got == whole));
    let (welcome, _) = Welcome::decode(&pair.clients[client].control_received).unwrap().unwrap();
    assert_eq!(welcome.rooms.len(), 1);

    let mut request = Vec::new();
    RoomsRequest { change: Change::Subscribe, rooms: vec![RoomId(9)] }.encode(&mut request);
    pair.say(client, &request);
    pair.run_until_event(|event| matches!(event, QuicEvent::Request { .. }).then_some(()));
    let requests = pair.server.webtransport_requests();
    assert_eq!((requests[Http3Status::Granted.index()], requests.iter().sum::<u64>()), (1, 1));
}

#[test]
fn streams_come_in_any_order_and_byte_by_byte() {
    let mut pair = pair(2);
    let client = pair.connected();
    // The session's stream before its request, the request before the settings.
    let connect = open(&mut pair, client, Dir::Bi, &[]);
    let control = open(&mut pair, client, Dir::Bi, &[]);
    let hello_message = [&OF_SESSION[..], &hello_bytes(1)].concat();
    let mut settings = None;
    for (stream, bytes) in [(control, hello_message), (connect, request(WEBTRANSPORT_PATH, None))] {
        for byte in bytes {
            send(&mut pair, client, stream, &[byte]);
            pair.run_for(Duration::from_millis(5));
        }
    }
    assert!(pair.events.is_empty(), "no session without settings: {:?}", pair.events);
    for byte in SETTINGS {
        match settings {
            None => settings = Some(open(&mut pair, client, Dir::Uni, &[byte])),
            Some(stream) => send(&mut pair, client, stream, &[byte]),
        }
        pair.run_for(Duration::from_millis(5));
    }
    assert_eq!(status(&mut pair, client, connect), 200);
    assert_eq!(hello(&mut pair).1.rooms.len(), 1);
}

#[test]
fn reactions_come_in_datagrams_of_the_session_and_on_its_control_stream() {
    let mut pair = pair(3);
    let client = pair.connected();
    pair.clients[client].react(&[0, 1, 2]);
    pair.run_until_event(|event| matches!(event, QuicEvent::Stray { .. }).then_some(()));
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    let connect = open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(status(&mut pair, client, connect), 200);
    subscribe(&mut pair, client);
    let reactions = |event: &QuicEvent| match event {
        QuicEvent::Reactions { datagram, proto: Proto::WebTransport, .. } => Some(datagram.clone()),
        _ => None,
    };
    pair.clients[client].react(&[0, 1, 2]);
    assert_eq!(pair.run_until_event(reactions), Bytes::from_static(&[1, 2]));
    pair.clients[client].react(&[1, 1, 2]);
    pair.run_until_event(|event| matches!(event, QuicEvent::Stray { .. }).then_some(()));
    let mut messages = Vec::new();
    encode_reactions(&[5; 16], &mut messages);
    encode_reactions(&[6; 20], &mut messages);
    pair.say(client, &messages);
    assert_eq!(pair.run_until_event(reactions), Bytes::from_static(&[5; 16]));
    assert_eq!(pair.run_until_event(reactions), Bytes::from_static(&[6; 20]));
    pair.clients[client].react(&[0x40]);
    assert_eq!(broken(&mut pair, client), (Outcome::Http3Error, 0x33));
}

#[test]
fn reactions_on_the_control_stream_are_of_uproar_1_too_after_the_hello() {
    let mut pair = Pair::new(4);
    let client = pair.connected();
    pair.subscribe(client, 1);
    let mut message = Vec::new();
    encode_reactions(&[3; 16], &mut message);
    pair.say(client, &message);
    let (datagram, proto) = pair.run_until_event(|event| match event {
        QuicEvent::Reactions { datagram, proto, .. } => Some((datagram.clone(), *proto)),
        _ => None,
    });
    assert_eq!((&datagram[..], proto), (&[3; 16][..], Proto::Quic));
    let mut short = Vec::new();
    encode_reactions(&[3; 15], &mut short);
    pair.say(client, &short);
    assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello, "less than a datagram's head");

    let hasty = pair.connected();
    pair.say(hasty, &message);
    assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
}

#[test]
fn without_http3_a_unidirectional_stream_is_still_one_too_many() {
    let mut pair = Pair::new(17);
    let client = pair.connected();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    assert_eq!(broken(&mut pair, client), (Outcome::BadHello, 2));
}

#[test]
fn who_speaks_http3_to_a_server_without_webtransport_has_said_no_hello() {
    let mut pair = Pair::new(18);
    pair.speak_http3();
    let client = pair.connected();
    open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(broken(&mut pair, client), (Outcome::BadHello, 2));
}

#[test]
fn who_may_not_have_a_session_is_told_why_and_may_ask_again() {
    let mut pair = pair(5);
    let client = pair.connected();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    let without = |left_out: &str, instead: &[(&str, &str)]| {
        let kept = CONNECT.into_iter().filter(|(name, _)| *name != left_out);
        headers(&kept.chain([(":path", WEBTRANSPORT_PATH)]).chain(instead.iter().copied()).collect::<Vec<_>>())
    };
    let large = [&[1, 0x80, 0, 0x10, 0][..], &[0; 64]].concat();
    let refusals = [
        (request("/v1/other", None), 404),
        (request(WEBTRANSPORT_PATH, Some("https://other.test")), 403),
        (without(":method", &[(":method", "GET")]), 405),
        (without(":protocol", &[(":protocol", "connect-udp")]), 501),
        (without(":scheme", &[(":scheme", "http")]), 400),
        (large, 431),
    ];
    for (bytes, expected) in refusals {
        let stream = open(&mut pair, client, Dir::Bi, &bytes);
        pair.clients[client].connection.send_stream(stream).finish().unwrap();
        assert_eq!(status(&mut pair, client, stream), expected);
        pair.run_for(Duration::from_millis(100));
    }
    let connect = open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(status(&mut pair, client, connect), 200);
    let second = open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(status(&mut pair, client, second), 429);
    let requests = pair.server.webtransport_requests();
    assert_eq!(requests.iter().sum::<u64>(), 8);
    assert_eq!(pair.clients[client].lost, None);
}

#[test]
fn a_request_that_is_none_is_cut_off_and_the_connection_lives() {
    let mut pair = pair(6);
    let client = pair.connected();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    let cut_off = open(&mut pair, client, Dir::Bi, &headers(&CONNECT));
    pair.run_for(Duration::from_millis(100));
    assert_eq!((pair.clients[client].lost.is_none(), pair.events.len()), (true, 0));
    let mut receiver = pair.clients[client].connection.recv_stream(cut_off);
    let read = receiver.read(true).unwrap().next(1).map(|_| ());
    assert_eq!(read, Err(ReadError::Reset(VarInt::from_u32(0x10e))));
    assert_eq!(pair.server.webtransport_refused()[Http3Refusal::MessageError.index()], 1);
    let connect = open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(status(&mut pair, client, connect), 200);
}

#[test]
fn who_comes_while_the_server_goes_is_sent_elsewhere() {
    let mut pair = pair(7);
    let client = pair.connected();
    pair.server.refuse_new();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    let connect = open(&mut pair, client, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    assert_eq!(status(&mut pair, client, connect), 503);
}

#[test]
fn what_breaks_the_rules_ends_the_connection_with_its_code() {
    let settings: (Dir, &[u8]) = (Dir::Uni, &SETTINGS);
    assert_eq!(broken_by(&[(Dir::Uni, &[0, 0x21, 0])]), 0x10a, "no settings");
    assert_eq!(broken_by(&[(Dir::Uni, &[0, 4, 2, 2, 0])]), 0x109, "a setting of HTTP/2");
    assert_eq!(broken_by(&[(Dir::Uni, &[0, 4, 0, 4, 0])]), 0x105, "settings twice");
    assert_eq!(broken_by(&[(Dir::Uni, &[0, 4, 0x80, 1, 0, 0])]), 0x107, "settings without end");
    assert_eq!(broken_by(&[settings, settings]), 0x103, "a second control stream");
    assert_eq!(broken_by(&[(Dir::Uni, &[1, 0])]), 0x103, "a push");
    assert_eq!(broken_by(&[(Dir::Uni, &[2, 0x3f, 0x01])]), 0x201, "an entry of a table");
    assert_eq!(broken_by(&[(Dir::Uni, &[3, 0x80])]), 0x202, "an acknowledgement of nothing");
    assert_eq!(broken_by(&[settings, (Dir::Bi, &[0, 0])]), 0x105, "a body before its request");
    assert_eq!(broken_by(&[settings, (Dir::Bi, &[4, 0])]), 0x105, "settings of a request");
    assert_eq!(broken_by(&[settings, (Dir::Bi, &[1, 3, 0, 0, 0x80])]), 0x200, "a name that no table has");
    assert_eq!(broken_by(&[settings, (Dir::Bi, &[0x40, 0x41, 1])]), 0x108, "a session that cannot be");
    assert_eq!(broken_by(&[settings, (Dir::Bi, &[0x21, 0, 0x40, 0x41, 0])]), 0x106, "a stream begins too late");
}

#[test]
fn a_stream_that_must_last_may_not_end() {
    for is_reset in [false, true] {
        let mut pair = pair(8);
        let client = pair.connected();
        let control = open(&mut pair, client, Dir::Uni, &SETTINGS);
        pair.run_for(Duration::from_millis(100));
        let mut stream = pair.clients[client].connection.send_stream(control);
        match is_reset {
            true => stream.reset(VarInt::from_u32(0)).unwrap(),
            false => stream.finish().unwrap(),
        }
        assert_eq!(broken(&mut pair, client), (Outcome::Http3Error, 0x104));
    }
}

#[test]
fn streams_that_nobody_reads_are_few() {
    let mut pair = pair(9);
    let (client, _) = session(&mut pair);
    subscribe(&mut pair, client);
    for number in 0..HTTP3_REFUSALS_MAX {
        let kind = [&[0x40, 0x54, 0, 1, 2, 3][..], &[0x21, 1]][number % 2];
        let stream = open(&mut pair, client, Dir::Uni, kind);
        pair.run_for(Duration::from_millis(50));
        let _ = pair.clients[client].connection.send_stream(stream).reset(VarInt::from_u32(0));
        pair.run_for(Duration::from_millis(50));
    }
    assert_eq!(pair.clients[client].lost, None);
    let half = HTTP3_REFUSALS_MAX as u64 / 2;
    let refused = pair.server.webtransport_refused();
    for refusal in [Http3Refusal::BufferedStreamRejected, Http3Refusal::StreamCreationError] {
        assert_eq!(refused[refusal.index()], half);
    }
    open(&mut pair, client, Dir::Uni, &[0x21, 1]);
    assert_eq!(broken(&mut pair, client), (Outcome::Http3Error, 0x107));
    assert_eq!(pair.server.webtransport_refused().iter().sum::<u64>(), 2 * half);
}

#[test]
fn what_was_answered_before_a_fault_counts() {
    let mut pair = pair(19);
    let client = pair.connected();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    pair.run_for(Duration::from_millis(100));
    open(&mut pair, client, Dir::Bi, &request("/v1/other", None));
    open(&mut pair, client, Dir::Bi, &[0, 0]);
    assert_eq!(broken(&mut pair, client), (Outcome::Http3Error, 0x105));
    assert_eq!(pair.server.webtransport_requests()[Http3Status::NotFound.index()], 1);
}

#[test]
fn whoever_takes_no_answer_has_no_session() {
    let mut pair = pair(20);
    let client = pair.connected();
    open(&mut pair, client, Dir::Uni, &SETTINGS);
    let bytes = request(WEBTRANSPORT_PATH, None);
    let connect = open(&mut pair, client, Dir::Bi, &bytes[..9]);
    pair.clients[client].connection.recv_stream(connect).stop(VarInt::from_u32(0)).unwrap();
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server.webtransport_refused()[Http3Refusal::RequestCancelled.index()], 1);
    let _ = pair.clients[client].connection.send_stream(connect).write(&bytes[9..]);
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.server.webtransport_requests().iter().sum::<u64>(), 0);
    let connect = open(&mut pair, client, Dir::Bi, &bytes);
    assert_eq!(status(&mut pair, client, connect), 200);
}

#[test]
fn a_session_ends_before_what_its_rooms_have_to_say() {
    let mut pair = pair(21);
    let (client, connect) = session(&mut pair);
    let (conn, room) = subscribe(&mut pair, client);
    assert_eq!(pair.server.write(conn, room, &mut pattern(200_000, 3)), WriteOutcome::Blocked);
    pair.server.close(pair.now, conn, CloseCode::RoomDeleted, "the room was deleted");
    pair.server.finish(conn, room);
    assert_eq!(closed(&mut pair, client, connect), (6, "the room was deleted".to_owned()));
}

#[test]
fn a_room_is_joined_behind_a_full_window() {
    let mut pair = pair(22);
    let (client, _) = session(&mut pair);
    let (conn, room) = subscribe(&mut pair, client);
    assert_eq!(pair.server.write(conn, room, &mut pattern(200_000, 4)), WriteOutcome::Blocked);
    let second = pair.server.open_room_stream(conn).expect("as without HTTP/3");
    let message = pattern(300, 5);
    let mut rest = message.clone();
    assert_eq!(pair.server.write(conn, second, &mut rest), WriteOutcome::Blocked);
    assert_eq!(rest, message, "nothing goes before the beginning of the stream");
    while pair.server.write(conn, second, &mut rest) == WriteOutcome::Blocked {
        let is_writable = |event: &QuicEvent| matches!(event, QuicEvent::Writable { stream, .. } if *stream == second);
        pair.run_until_event(|event| is_writable(event).then_some(()));
    }
    let whole = [&ROOM[..], &message].concat();
    pair.run_until(|pair| pair.clients[client].received.get(&second).is_some_and(|got| *got == whole));
}

#[test]
fn a_second_stream_ends_the_session_as_without_http3() {
    let mut pair = pair(10);
    let (client, connect) = session(&mut pair);
    subscribe(&mut pair, client);
    open(&mut pair, client, Dir::Bi, &OF_SESSION);
    assert_eq!(pair.run_until_event(is_closed), Outcome::BadHello);
    assert_eq!(closed(&mut pair, client, connect), (2, "a second bidirectional stream".to_owned()));
    pair.run_until(|pair| pair.server.connections() == 0);
}

#[test]
fn a_client_ends_its_session_in_one_of_four_ways() {
    let mut capsule = Vec::new();
    Capsule::CloseWebTransportSession { code: 7, reason: "bye".to_owned() }.encode(&mut capsule);
    type End<'a> = &'a dyn Fn(&mut Pair, usize, StreamId);
    let ends: [End<'_>; 4] = [
        &|pair, client, connect| {
            // A capsule that nobody knows goes before, in another frame than its bytes.
            send(pair, client, connect, &[0, 3, 0x40, 0x77, 2, 0x21, 1, 9, 0, 2, 1, 1]);
            send(pair, client, connect, &[&[0, capsule.len() as u8][..], &capsule].concat());
        },
        &|pair, client, connect| pair.clients[client].connection.send_stream(connect).finish().unwrap(),
        &|pair, client, connect| {
            pair.clients[client].connection.send_stream(connect).reset(VarInt::from_u32(0)).unwrap();
        },
        &|pair, client, connect| {
            pair.clients[client].connection.recv_stream(connect).stop(VarInt::from_u32(0)).unwrap();
        },
    ];
    for end in ends {
        let mut pair = pair(11);
        let (client, connect) = session(&mut pair);
        subscribe(&mut pair, client);
        end(&mut pair, client, connect);
        assert_eq!(pair.run_until_event(is_closed), Outcome::Done);
        pair.run_for(WEBTRANSPORT_LINGER - Duration::from_millis(1));
        assert_eq!(pair.clients[client].lost, None, "it acts on the end of its session first");
        pair.run_until(|pair| pair.clients[client].lost.is_some());
        let (code, words) = pair.clients[client].close_reason().unwrap();
        assert_eq!((code, words.starts_with("0: ")), (0x100, true), "{words}");
        pair.run_until(|pair| pair.server.connections() == 0);
        assert_eq!(pair.server.farewells(), 0);
    }
}

#[test]
fn frames_that_no_session_has_break_the_connection() {
    for (bytes, code) in [(&[1, 0][..], 0x105), (&[4, 0], 0x105), (&[0x40, 0x41, 0], 0x105)] {
        let mut pair = pair(12);
        let (client, connect) = session(&mut pair);
        send(&mut pair, client, connect, bytes);
        assert_eq!(broken(&mut pair, client), (Outcome::Http3Error, code));
    }
}

#[test]
fn without_settings_a_request_or_a_hello_time_runs_out() {
    let mut pair = pair(13);
    let silent = pair.connected();
    let unsettled = pair.connected();
    open(&mut pair, unsettled, Dir::Bi, &request(WEBTRANSPORT_PATH, None));
    let (wordless, connect) = session(&mut pair);
    assert_eq!(closed(&mut pair, wordless, connect), (3, "no hello in time".to_owned()));
    for client in [silent, unsettled] {
        assert_eq!(pair.clients[client].close_code(), Some(VarInt::from_u32(0x100)));
    }
    assert_eq!(pair.server.outcomes()[Outcome::HelloTimeout.index()], 3);
    pair.run_for(HELLO_TIMEOUT);
    assert_eq!(pair.server.connections(), 0);
}

#[test]
fn a_drain_waits_for_the_rooms_and_then_tells_why() {
    let mut pair = pair(14);
    let (client, connect) = session(&mut pair);
    let (conn, room) = subscribe(&mut pair, client);
    let message = pattern(30_000, 2);
    assert_eq!(pair.server.write(conn, room, &mut message.clone()), WriteOutcome::All);
    pair.server.finish(conn, room);
    pair.server.drain(pair.now, CloseCode::Draining, "the server is going away");
    assert!(pair.server.is_parting(conn));
    assert_eq!(closed(&mut pair, client, connect), (1, "the server is going away".to_owned()));
    assert_eq!(pair.clients[client].received[&room], [&ROOM[..], &message].concat(), "nothing is cut off");
    assert_eq!(pair.run_until_event(is_closed), Outcome::Draining);
}

#[test]
fn a_client_that_is_gone_is_not_waited_for_longer_than_a_farewell_takes() {
    let mut pair = pair(15);
    let (client, _) = session(&mut pair);
    let (conn, _) = subscribe(&mut pair, client);
    pair.impairment.loss_percent = 100;
    pair.server.close(pair.now, conn, CloseCode::RoomDeleted, "the room was deleted");
    assert_eq!(pair.run_until_event(is_closed), Outcome::RoomDeleted);
    pair.run_for(Duration::from_secs(4));
    assert_eq!(pair.server.connections(), 0);
}

#[test]
fn closing_all_tells_sessions_why_and_waits_no_longer_than_a_farewell() {
    let mut pair = pair(16);
    let sessions: Vec<_> = (0..3).map(|_| session(&mut pair)).collect();
    for &(client, _) in &sessions {
        subscribe(&mut pair, client);
    }
    pair.server.close_all(pair.now, CloseCode::Draining, "the server is going away");
    assert_eq!(pair.server.farewells(), 3);
    assert_eq!(closed(&mut pair, sessions[0].0, sessions[0].1), (1, "the server is going away".to_owned()));
    assert_eq!(pair.server.outcomes()[Outcome::Draining.index()], 3);

    let (silent, _) = session(&mut pair);
    subscribe(&mut pair, silent);
    pair.impairment.loss_percent = 100;
    pair.server.close_all(pair.now, CloseCode::Draining, "the server is going away");
    pair.run_for(WEBTRANSPORT_FAREWELL / 2);
    assert_eq!(pair.server.farewells(), 1);
    pair.server.end_farewells(pair.now);
    assert_eq!(pair.server.farewells(), 0);
}

#[test]
fn a_session_survives_a_bad_link() {
    let mut told = 0;
    for seed in 0..8 {
        let mut pair = pair(100 + seed);
        pair.impairment =
            super::Impairment { loss_percent: 10, duplicate_percent: 5, jitter: Duration::from_millis(30) };
        let (client, connect) = session(&mut pair);
        let (conn, room) = subscribe(&mut pair, client);
        let message = pattern(5_000, seed);
        assert_eq!(pair.server.write(conn, room, &mut message.clone()), WriteOutcome::All);
        let whole = [&ROOM[..], &message].concat();
        pair.run_until(|pair| pair.clients[client].received.get(&room).is_some_and(|got| *got == whole));
        pair.server.close(pair.now, conn, CloseCode::RoomDeleted, "the room was deleted");
        // The farewell may be lost more often than it is waited for; then only the end of the connection comes.
        let mut bytes = Vec::new();
        pair.run_until(|pair| {
            read_stream(&mut pair.clients[client].connection, connect, &mut bytes);
            pair.clients[client].lost.is_some()
        });
        let capsule = bytes.get(2..).and_then(|mut bytes| Capsule::decode(&mut bytes).ok());
        told += u32::from(matches!(capsule, Some(Capsule::CloseWebTransportSession { code: 6, .. })));
        assert_eq!(pair.run_until_event(is_closed), Outcome::RoomDeleted);
    }
    assert!(told >= 6, "{told} of 8 know that the room was deleted");
}
