//! Rooms that a subscriber joins and leaves while it is connected, and how many it, its address and a shard may have.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::{Server, Tapper, Viewer, http};
use std::collections::BTreeSet;
use uproar_client::{Error, RoomEvent};
use uproar_wire::RoomId;
use uproar_wire::control::{Change, RoomsRequest};
use uproar_wire::hello::{Hello, RoomStatus};
use uproar_wire::stream::{self, RoomMessage};

use RoomStatus::{AlreadySubscribed, NotSubscribed, Subscribed, TooManyRooms, UnknownRoom, Unsubscribed};

fn put(server: &Server, rooms: impl IntoIterator<Item = u32>) {
    for room in rooms {
        let spec = format!(r#"{{"name":"Room {room}","palette":[{{"name":"a","glyph":"a"}}]}}"#);
        let reply =
            server.ask_admin(&http::request("PUT", &format!("/v1/rooms/{room}"), "application/json", spec.as_bytes()));
        assert_eq!(reply.status, 201);
    }
}

fn hello(rooms: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello { rooms: rooms.iter().copied().map(RoomId).collect(), token: Vec::new() }.encode(&mut bytes);
    bytes
}

fn request(change: Change, rooms: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    RoomsRequest { change, rooms: rooms.iter().copied().map(RoomId).collect() }.encode(&mut bytes);
    bytes
}

#[test]
fn sixty_four_rooms_on_one_connection_all_have_their_frames() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    put(&server, 100..165);
    let rooms: Vec<u32> = (100..164).collect();
    let mut viewer = Viewer::watching(&server, &rooms[..32]);
    assert!(viewer.subscribe_more(&rooms[32..]).iter().all(|&(_, status)| status == Subscribed));
    assert_eq!(
        viewer.subscribe_more(&[164, 100, 999]),
        [(164, TooManyRooms), (100, AlreadySubscribed), (999, UnknownRoom)]
    );

    let tapper = Tapper::to(server.reactions());
    let (mut palettes, mut seen) = (BTreeSet::new(), BTreeSet::new());
    while seen.len() < rooms.len() {
        // Again and again, as a datagram may be lost.
        rooms.iter().filter(|room| !seen.contains(*room)).for_each(|&room| tapper.tap(room, 0, 1));
        for _ in 0..rooms.len() {
            match viewer.next_event() {
                RoomEvent::Palette(room, _) => assert!(palettes.insert(room.0), "once a room"),
                RoomEvent::Frame(frame) => {
                    assert!(palettes.contains(&frame.room), "the palette comes first");
                    seen.extend((frame.total > 0).then_some(frame.room));
                }
            }
        }
    }
    assert_eq!(server.metric("uproar_subscribers"), 1);
    assert_eq!(viewer.unsubscribe(&[100]), [(100, Unsubscribed)]);
    assert_eq!(viewer.subscribe_more(&[164]), [(164, Subscribed)], "there is room for another");
}

#[test]
fn a_room_joined_while_connected_shows_its_palette_and_newest_frame_at_once() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    put(&server, [7]);
    let mut other = Viewer::watching(&server, &[7]);
    let tapper = Tapper::to(server.reactions());
    let newest = other.see_taps(7, |_| tapper.tap(7, 0, 3));

    let mut viewer = Viewer::watching(&server, &[1]);
    assert_eq!(viewer.next_palette().room, 1);
    assert_eq!(viewer.subscribe_more(&[7]), [(7, Subscribed)]);
    assert_eq!(viewer.next_palette().room, 7);
    let first = std::iter::from_fn(|| Some(viewer.next_frame())).find(|frame| frame.room == 7).unwrap();
    assert!(first.window >= newest.window);
}

#[test]
fn a_room_that_was_left_sends_nothing_more_and_the_others_go_on() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    put(&server, [7]);
    let mut viewer = Viewer::watching(&server, &[1, 7]);
    assert_eq!(viewer.unsubscribe(&[7, 8]), [(7, Unsubscribed), (8, NotSubscribed)]);
    let tapper = Tapper::to(server.reactions());
    for _ in 0..5 {
        tapper.tap(7, 0, 1);
        tapper.tap(1, 0, 1);
        let frame = viewer.next_frame();
        assert!(frame.room == 1 || frame.total == 0, "taps after it left: {frame:?}");
    }
    // Without rooms it is no subscriber, but stays, reacts, and joins again.
    assert_eq!(viewer.unsubscribe(&[1]), [(1, Unsubscribed)]);
    assert_eq!(server.metric("uproar_subscribers"), 0);
    viewer.tap(1, &[(2, 1)]);
    assert_eq!(viewer.subscribe_more(&[7]), [(7, Subscribed)]);
    viewer.see_taps(7, |_| tapper.tap(7, 0, 1));
    assert_eq!(server.metric("uproar_subscribers"), 1);
}

#[test]
fn the_stream_of_a_room_that_was_left_ends_with_whole_messages() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "1", "--window", "100ms", &certificate, &key]);
    put(&server, [7]);
    let peer = HostilePeer::connect(&server, &identity, b"uproar/1").unwrap();
    let (mut control, _answers) = peer.talk(&hello(&[7, 1]));
    let (mut of_7, mut of_1) = (peer.room_stream(), peer.room_stream());
    let mut bytes = peer.read(&mut of_7).unwrap();
    let Ok(Some((RoomMessage::Palette(palette), _))) = stream::decode(&bytes) else { panic!("the palette is first") };
    if palette.room == 1 {
        std::mem::swap(&mut of_7, &mut of_1);
        bytes = peer.read(&mut of_7).unwrap();
    }
    peer.say_more(&mut control, &request(Change::Unsubscribe, &[7]));
    while let Some(more) = peer.read(&mut of_7) {
        bytes.extend(more);
    }
    let mut rest = &bytes[..];
    while let Some((_, taken)) = stream::decode(rest).unwrap() {
        rest = &rest[taken..];
    }
    assert!(rest.is_empty(), "half a message at the end");
    (0..3).for_each(|_| assert!(peer.read(&mut of_1).is_some(), "the other room goes on"));
    // The same room again, on a new stream.
    peer.say_more(&mut control, &request(Change::Subscribe, &[7]));
    let again = peer.read(&mut peer.room_stream()).unwrap();
    assert!(matches!(stream::decode(&again), Ok(Some((RoomMessage::Palette(palette), _))) if palette.room == 7));
}

#[test]
fn a_subscriber_watches_as_many_rooms_as_configured() {
    let server = Server::configured("[quic]\nrooms_per_subscriber_max = 2\n", &["--shards", "1", "--window", "100ms"]);
    put(&server, [7, 8]);
    let mut viewer = Viewer::connect(&server);
    assert_eq!(viewer.subscribe(&[7, 1, 8]).unwrap(), [(7, Subscribed), (1, Subscribed), (8, TooManyRooms)]);
    assert_eq!(viewer.subscribe_more(&[8]), [(8, TooManyRooms)]);
    assert_eq!(viewer.unsubscribe(&[7]), [(7, Unsubscribed)]);
    assert_eq!(viewer.subscribe_more(&[8]), [(8, Subscribed)]);
}

#[test]
fn who_left_every_room_of_a_full_shard_does_not_get_back_in() {
    let server = Server::configured("[quic]\nsubscribers_max = 1\n", &["--shards", "1", "--window", "100ms"]);
    let viewer = Viewer::watching(&server, &[1]);
    let refused = Viewer::connect(&server).subscribe(&[1]).unwrap_err();
    assert!(refused.to_string().contains("as many subscribers as it is configured for"), "{refused}");
    assert_eq!(viewer.unsubscribe(&[1]), [(1, Unsubscribed)]);
    let other = Viewer::watching(&server, &[1]);
    assert_eq!(viewer.subscribe_more(&[1]), [(1, RoomStatus::Full)]);
    other.leave();
    server.await_shards("uproar_subscribers", |now| now == 0);
    assert_eq!(viewer.subscribe_more(&[1]), [(1, Subscribed)]);
}

#[test]
fn an_address_has_as_many_connections_as_configured() {
    let config = "[quic]\nconnections_per_address_max = 2\n";
    let server = Server::configured(config, &["--shards", "1", "--window", "100ms"]);
    let [first, mut second] = [Viewer::watching(&server, &[1]), Viewer::watching(&server, &[1])];
    let Err(refused @ Error::Refused) = Viewer::try_connect(&server) else { panic!("a third is refused") };
    assert!(refused.to_string().contains("as many connections as it may have"), "{refused}");
    let refused = "uproar_connections_total{proto=\"quic\",outcome=\"address_full\"}";
    assert_eq!(server.metric(refused), 1);
    second.next_frame();
    first.leave();
    server.await_shards("uproar_subscribers", |now| now == 1);
    Viewer::watching(&server, &[1]).next_frame();
}

#[test]
fn peers_that_ask_without_reading_neither_grow_the_server_nor_hold_up_others() {
    /// Far below what they offer, far above what their connections take.
    const GROWTH_MAX_KIB: u64 = 24 * 1024;
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "1", "--window", "100ms", &certificate, &key]);
    put(&server, 100..164);
    let rooms: Vec<u32> = (100..164).collect();
    let requests = [request(Change::Unsubscribe, &rooms), request(Change::Subscribe, &rooms)].concat().repeat(50);
    let mut viewer = Viewer::watching(&server, &[1]);
    viewer.next_frame();
    let before = server.resident_kib();
    let peers: Vec<_> = (0..8).map(|_| HostilePeer::connect(&server, &identity, b"uproar/1").unwrap()).collect();
    peers.iter().for_each(|peer| peer.flood(hello(&rooms), requests.clone()));
    let tapper = Tapper::to(server.reactions());
    for _ in 0..10 {
        viewer.see_taps(1, |_| tapper.tap(1, 0, 1));
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "{grown} KiB");
}
