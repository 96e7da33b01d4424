//! What a subscriber sees: palette first, the newest frame at once, one frame a window, and why it ends.

use crate::support::{Server, Tapper, Viewer, http};
use uproar_client::{Error, RoomEvent};
use uproar_wire::hello::{CloseCode, RoomStatus};

fn put(server: &Server, room: u32, name: &str, emoji: &[&str]) -> u16 {
    let palette: Vec<_> = emoji.iter().map(|name| serde_json::json!({"name": name, "glyph": name})).collect();
    let spec = serde_json::json!({"name": name, "palette": palette}).to_string();
    server.ask_admin(&http::request("PUT", &format!("/v1/rooms/{room}"), "application/json", spec.as_bytes())).status
}

#[test]
fn spread_frames_reach_everybody_in_the_end() {
    let server = Server::configured("window = \"200ms\"\n[fanout]\nspread = \"100ms\"\n", &["--shards", "2"]);
    let mut viewers: Vec<_> = (0..12).map(|_| Viewer::watching(&server, &[1])).collect();
    for viewer in &mut viewers {
        viewer.see_taps(1, |viewer| viewer.tap(1, &[(0, 1)]));
    }
    let ended = server.terminate();
    let (reactions, frame_taps) = ended.drained.expect("a drained line");
    assert_eq!((ended.code, reactions), (Some(0), frame_taps), "{}", ended.log);
}

#[test]
fn a_late_joiner_gets_the_palette_and_then_the_newest_frame() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let mut early = Viewer::watching(&server, &[1]);
    let tapper = Tapper::to(server.reactions());
    let newest = early.see_taps(1, |_| tapper.tap(1, 4, 77));
    early.leave();
    server.await_shards("uproar_subscribers", |now| now == 0);

    let mut late = Viewer::watching(&server, &[1]);
    let RoomEvent::Palette(room, palette) = late.next_event() else { panic!("the palette comes first") };
    assert_eq!((room.0, palette.emoji.len(), palette.emoji[4].name.as_str()), (1, 12, "wicket"));
    let first = late.next_frame();
    assert!(first.window >= newest.window, "{first:?} is older than {newest:?}");
}

#[test]
fn a_late_joiner_need_not_wait_for_the_window_to_close() {
    let server = Server::start(&["--shards", "2", "--window", "60s"]);
    // Its own frames would take a minute, more than the test waits; the drain's is the one that comes.
    let mut viewer = Viewer::watching(&server, &[1]);
    assert_eq!(viewer.next_palette().name, "Cricket final");
    Tapper::to(server.reactions()).tap(1, 0, 2);
    server.await_metric("uproar_reactions_total", 2);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((2, 2))), "{}", ended.log);
    let (frames, code) = viewer.watch_to_the_end();
    assert_eq!(frames.iter().map(|frame| frame.total).collect::<Vec<_>>(), [2]);
    assert_eq!(code, Some(CloseCode::Draining));
}

#[test]
fn a_watched_room_has_a_frame_every_window_also_without_taps() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut viewer = Viewer::watching(&server, &[1]);
    let mut last = viewer.next_frame();
    for _ in 0..5 {
        let next = viewer.next_frame();
        assert!(next.window > last.window);
        assert_eq!((next.total, next.top.len()), (0, 0));
        last = next;
    }
}

#[test]
fn a_replaced_palette_reaches_those_who_watch() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    assert_eq!(put(&server, 7, "Before", &["a", "b"]), 201);
    let mut viewers: Vec<_> = (0..6).map(|_| Viewer::watching(&server, &[7])).collect();
    for viewer in &mut viewers {
        assert_eq!(viewer.next_palette().name, "Before");
        viewer.next_frame();
    }
    assert_eq!(put(&server, 7, "After", &["a", "b", "c"]), 200);
    let tapper = Tapper::to(server.reactions());
    for viewer in &mut viewers {
        let palette = viewer.next_palette();
        assert_eq!((palette.name.as_str(), palette.emoji.len()), ("After", 3));
        let frame = viewer.see_taps(7, |_| tapper.tap(7, 2, 5));
        assert_eq!((frame.top[0].emoji, frame.total % 5), (2, 0));
    }
}

#[test]
fn a_room_that_does_not_exist_cannot_be_watched() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut viewer = Viewer::connect(&server);
    let Err(Error::NoRooms(rooms)) = viewer.subscribe(&[8, 9]) else { panic!("there are no such rooms") };
    assert_eq!(rooms.len(), 2);
    server.await_metric("uproar_connections_total{proto=\"quic\",outcome=\"no_rooms\"}", 1);
    assert_eq!(server.metric("uproar_subscribers"), 0);
}

#[test]
fn one_connection_watches_several_rooms() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    for room in [7, 8] {
        assert_eq!(put(&server, room, "Room", &["a", "b"]), 201);
    }
    let mut viewer = Viewer::connect(&server);
    let statuses = viewer.subscribe(&[8, 99, 1, 7]).unwrap();
    let [known, unknown] = [RoomStatus::Subscribed, RoomStatus::UnknownRoom];
    assert_eq!(statuses, [(8, known), (99, unknown), (1, known), (7, known)]);
    let tapper = Tapper::to(server.reactions());
    for (room, count) in [(1, 11), (7, 13), (8, 17)] {
        let frame = viewer.see_taps(room, |_| tapper.tap(room, 1, count));
        assert_eq!((frame.total % u64::from(count), frame.top[0].emoji), (0, 1));
    }
    assert_eq!(server.metric("uproar_subscribers"), 1, "one connection is one subscriber");
}

#[test]
fn a_viewer_that_changes_networks_stays_subscribed() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    let mut viewer = Viewer::watching(&server, &[1]);
    for round in 1..=4 {
        let last = viewer.next_frame();
        let (before, after) = viewer.rebind();
        assert_ne!(before, after);
        let frame = viewer.see_taps(1, |viewer| viewer.tap(1, &[(round, 1)]));
        assert!(frame.window > last.window);
        assert_eq!(frame.top[0].emoji, round);
    }
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"accepted\"}"), 1);
    assert_eq!(server.metric("uproar_subscribers"), 1);
}

#[test]
fn a_shard_takes_as_many_subscribers_as_configured() {
    let server = Server::configured("[quic]\nsubscribers_max = 2\n", &["--shards", "1", "--window", "100ms"]);
    let mut here = [Viewer::watching(&server, &[1]), Viewer::watching(&server, &[1])];
    let third = Viewer::connect(&server).subscribe(&[1]).unwrap_err();
    assert_eq!(third.close_code(), Some(CloseCode::Full), "a third is told why");
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"full\"}"), 1);
    here.iter_mut().for_each(|viewer| drop(viewer.next_frame()));
}
