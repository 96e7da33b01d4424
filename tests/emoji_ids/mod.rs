//! An emoji id of a room means one emoji, whatever is put, deleted or reloaded, by every way in and out.

use crate::simulation::{Habits, ROOM, RandomPalettes, SHARDS, Simulation, Stream, Viewer, WINDOW, Way, room_spec};
use std::time::Duration;
use uproar::ids::{ShardId, merger_of};
use uproar::metrics::Reject;
use uproar_wire::RoomId;
use uproar_wire::frame::PALETTE_MAX;
use uproar_wire::http::{EmojiSpec, RoomSpec};

fn spec(emoji: &[(&str, &str)]) -> RoomSpec {
    let palette = emoji.iter().map(|&(name, glyph)| EmojiSpec { name: name.into(), glyph: glyph.into() });
    RoomSpec { name: "final".into(), palette: palette.collect() }
}

/// Puts a room; status and answer.
fn put(simulation: &mut Simulation, room: u32, emoji: &[(&str, &str)]) -> (u16, serde_json::Value) {
    let request = simulation.ask_to_put(room, &spec(emoji));
    let (status, body) = simulation.answer(request);
    (status, serde_json::from_str(&body).unwrap())
}

/// Glyph of each id, and whether it is retired.
fn ids(room: &serde_json::Value) -> Vec<(&str, bool)> {
    let palette = room["palette"].as_array().unwrap().iter();
    palette.map(|emoji| (emoji["glyph"].as_str().unwrap(), emoji["retired"] == true)).collect()
}

#[test]
fn whatever_happens_to_palettes_every_tap_is_framed_as_its_sender_meant_it() {
    let taps: u64 = (0..60).map(|seed| RandomPalettes::play(seed, 120).drain_and_balance()).sum();
    assert!(taps > 10_000_000, "{taps} taps are no match");
}

#[test]
fn another_order_moves_no_tap() {
    let mut simulation = Simulation::new(201);
    put(&mut simulation, 8, &[("fire", "🔥"), ("goal", "⚽")]);
    assert_eq!(simulation.tap_label(1, "fire", (8, 0, 5)), Some(202));
    let (status, room) = put(&mut simulation, 8, &[("goal", "⚽"), ("fire", "🔥")]);
    assert_eq!((status, ids(&room)), (200, vec![("🔥", false), ("⚽", false)]));
    // A sender that has not heard of it, and one that has.
    simulation.tap(Way::Udp(2), 8, 0, 2);
    assert_eq!(simulation.tap_label(3, "⚽", (8, 1, 1)), Some(202));
    simulation.run_through_window();
    assert_eq!(simulation.ledger.newest(8).unwrap().top, [(0, 7), (1, 1)]);
    let (_, frame) = simulation.fetch(0, "/v1/rooms/8/frame");
    let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
    assert_eq!((&frame["top"][0]["emoji"], &frame["top"][0]["count"]), (&"🔥".into(), &7.into()));
}

#[test]
fn a_renamed_emoji_keeps_its_id_and_another_glyph_is_another_emoji() {
    let mut simulation = Simulation::new(202);
    put(&mut simulation, 8, &[("fire", "🔥"), ("goal", "⚽")]);
    simulation.tap(Way::Udp(0), 8, 0, 5);
    let (_, room) = put(&mut simulation, 8, &[("flame", "🔥"), ("goal", "🥅")]);
    assert_eq!(ids(&room), [("🔥", false), ("⚽", true), ("🥅", false)]);
    assert_eq!(room["palette"][0]["name"], "flame");
    assert_eq!(room["palette"][1]["name"], "");
    let statuses = ["fire", "flame", "⚽", "goal"].map(|label| simulation.tap_label(1, label, (8, 0, 1)));
    assert_eq!(statuses, [Some(422), Some(202), Some(422), Some(202)]);
    simulation.tap(Way::Udp(2), 8, 1, 1);
    assert_eq!(simulation.post_datagram(3, &[(8, 0, 1), (8, 1, 1)]), Some(422), "refused whole");
    simulation.run_through_window();
    assert_eq!(simulation.ledger.newest(8).unwrap().top, [(0, 6), (2, 1)]);
    assert_eq!(simulation.metrics().rejected[0][Reject::UnknownEmoji.index()], 1);

    // It comes back as it was, in another spelling.
    let (_, room) = put(&mut simulation, 8, &[("goal", "⚽\u{FE0F}")]);
    assert_eq!(ids(&room), [("🔥", true), ("⚽\u{FE0F}", false), ("🥅", true)]);
    simulation.tap(Way::Udp(2), 8, 1, 3);
    simulation.run_through_window();
    assert_eq!(simulation.ledger.newest(8).unwrap().top, [(1, 3)]);
}

#[test]
fn an_emoji_that_is_retired_in_a_window_is_in_its_frame() {
    let mut simulation = Simulation::new(203);
    let viewer = simulation.watching(3);
    let stream = simulation.stream(2, ROOM);
    for shard in 0..SHARDS {
        simulation.tap(Way::Udp(shard), ROOM, 5, 10);
    }
    assert_eq!(simulation.put_room(ROOM, 5), 200);
    for shard in 0..SHARDS {
        simulation.tap(Way::Udp(shard), ROOM, 5, 1);
    }
    simulation.run_through_window();
    let seen = simulation.stream_of(viewer);
    assert_eq!(seen.frames[0].top, [(5, 10 * SHARDS as u64)]);
    assert_eq!(seen.palettes, [(0, 6), (0, 6)]);
    let retired = &seen.emoji[1][5];
    assert_eq!((retired.name.as_str(), retired.glyph.as_str()), ("", "glyph 5"));
    let events = simulation.data_of(stream);
    assert_eq!(events[1]["palette"][5]["retired"], true);
    assert_eq!(events[2]["top"][0]["emoji"], "glyph 5");
    // Whoever comes now is told too.
    let joiner = simulation.watching(1);
    assert_eq!(simulation.stream_of(joiner).emoji[0], seen.emoji[1]);
}

#[test]
fn a_room_that_is_deleted_and_put_again_goes_on_with_its_ids() {
    let mut simulation = Simulation::new(204);
    put(&mut simulation, 8, &[("fire", "🔥"), ("goal", "⚽")]);
    for shard in 0..SHARDS {
        simulation.tap(Way::Udp(shard), 8, 0, 5);
    }
    let gone = simulation.admin("DELETE", "/v1/rooms/8", "");
    assert_eq!(simulation.answer(gone).0, 204);
    let (status, room) = put(&mut simulation, 8, &[("cup", "🏆"), ("goal", "⚽")]);
    assert_eq!((status, ids(&room)), (201, vec![("🔥", true), ("⚽", false), ("🏆", false)]));
    simulation.tap(Way::Udp(1), 8, 1, 3);
    simulation.tap(Way::Udp(1), 8, 2, 1);
    simulation.run_through_window();
    assert_eq!(simulation.ledger.newest(8).unwrap().top, [(0, 5 * SHARDS as u64), (1, 3), (2, 1)]);
    let (_, frame) = simulation.fetch(0, "/v1/rooms/8/frame");
    let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
    assert_eq!(frame["top"][0]["emoji"], "🔥", "also as JSON");
}

#[test]
fn ids_run_out_and_the_room_stays_as_it_was() {
    let mut simulation = Simulation::new(205);
    let changed = |simulation: &mut Simulation, from: usize, len: usize| {
        let emoji = (from..from + len).map(|id| (format!("n{id}"), format!("g{id}")));
        let palette = emoji.map(|(name, glyph)| EmojiSpec { name, glyph }).collect();
        let request = simulation.ask_to_put(8, &RoomSpec { name: "final".into(), palette });
        simulation.answer(request)
    };
    assert_eq!(changed(&mut simulation, 0, PALETTE_MAX - 1).0, 201);
    assert_eq!(changed(&mut simulation, PALETTE_MAX - 1, 1).0, 200);
    let (status, problem) = changed(&mut simulation, PALETTE_MAX, 1);
    assert_eq!(status, 409);
    assert!(
        problem.contains("\"palette_full\"") && problem.contains("1025") && problem.contains("new room id"),
        "{problem}"
    );
    simulation.reload_rooms(&[], vec![(8, spec(&[("x", "x")])), (9, room_spec(1))]);
    let kept = simulation.run_until_rooms_changed();
    assert!(kept.len() == 1 && kept[0].0 == 8, "{kept:?}");
    assert_eq!(simulation.tap_label(2, &format!("n{}", PALETTE_MAX - 1), (8, 1023, 1)), Some(202));
    assert_eq!(simulation.fetch(1, "/v1/rooms/9").0, 200, "the rest is taken in");
    // Emoji that it has had are no new ones.
    assert_eq!(changed(&mut simulation, 0, PALETTE_MAX).0, 200);
}

/// A room whose frames come from a shard that neither coordinates nor is `shard`.
fn room_merged_elsewhere(shard: ShardId) -> u32 {
    let is_elsewhere = |room: &u32| ![ShardId(0), shard].contains(&merger_of(RoomId(*room), SHARDS));
    (100..).find(is_elsewhere).unwrap()
}

/// A viewer and a stream of a room on shard 3, to which a put takes `delay`, and frames do not; the room's palette has just got
/// an emoji, which was tapped where it is known.
fn overtaken(seed: u64, delay: Duration) -> (Simulation, u32, Viewer, Stream) {
    let mut simulation = Simulation::new(seed);
    let room = room_merged_elsewhere(ShardId(3));
    assert_eq!(simulation.put_room(room, 2), 201);
    simulation.run_for(Duration::from_millis(100));
    let viewer = simulation.viewer_with(3, Habits { rooms: vec![room], window_bytes: 1 << 16 });
    simulation.run_until_watching(viewer);
    let stream = simulation.stream(3, room);
    simulation.run_through_window();
    simulation.network.mesh_delays.insert((ShardId(0), ShardId(3)), delay);
    simulation.ask_to_put_room(room, 3);
    simulation.run_for(Duration::from_millis(10));
    simulation.tap(Way::Udp(0), room, 2, 5);
    (simulation, room, viewer, stream)
}

#[test]
fn a_frame_waits_for_the_palette_that_names_its_emoji() {
    let (mut simulation, room, viewer, stream) = overtaken(206, Duration::from_secs(5));
    let before = simulation.stream_of(viewer).frames.len();
    simulation.run_through_window();
    simulation.tap(Way::Udp(0), room, 0, 1);
    simulation.run_through_window();
    assert_eq!(simulation.ledger.newest(room).unwrap().top, [(0, 1)], "frames have been made");
    assert_eq!(simulation.stream_of(viewer).frames.len(), before, "one waits, and the next does not overtake it");
    let joiner = simulation.viewer_with(3, Habits { rooms: vec![room], window_bytes: 1 << 16 });
    simulation.run_until_watching(joiner);
    assert!(simulation.stream_of(joiner).frames.iter().all(|frame| frame.top.is_empty()), "nor by joining");
    assert!(!simulation.fetch(3, &format!("/v1/rooms/{room}/frame")).1.contains("\"count\":5"));
    simulation.run_for(2 * WINDOW);

    for viewer in [viewer, joiner] {
        let seen = simulation.stream_of(viewer);
        let palettes: Vec<_> = seen.emoji.iter().map(Vec::len).collect();
        assert_eq!(palettes, [2, 3]);
        let behind = &seen.frames[seen.palettes[1].0..];
        let tops: Vec<_> = behind.iter().take(2).map(|frame| frame.top.clone()).collect();
        // Both were offered at once; who has not drained the first gets the second in its place.
        assert!([vec![vec![(2, 5)], vec![(0, 1)]], vec![vec![(0, 1)], vec![]]].contains(&tops), "{tops:?}");
    }
    let events = simulation.data_of(stream);
    let is_new = |event: &serde_json::Value| event["palette"].as_array().is_some_and(|palette| palette.len() == 3);
    let place = events.iter().position(is_new).unwrap();
    for event in &events[..place] {
        assert!(event["top"].as_array().is_none_or(Vec::is_empty), "{event}");
    }
    simulation.drain();
    assert_eq!(simulation.metrics().frame_taps, 6);
}

#[test]
fn a_frame_that_waits_for_its_palette_is_handed_out_before_a_drain_ends() {
    let (mut simulation, room, viewer, _) = overtaken(207, Duration::from_secs(3));
    simulation.drain();
    let seen = simulation.stream_of(viewer);
    assert_eq!(seen.emoji.last().unwrap().len(), 3);
    let newest = simulation.ledger.newest(room).map(|frame| frame.window);
    assert_eq!(seen.frames.last().map(|frame| frame.window), newest);
}

#[test]
fn frames_that_wait_go_with_their_room() {
    let (mut simulation, room, viewer, _) = overtaken(208, Duration::from_secs(3));
    simulation.run_through_window();
    let gone = simulation.admin("DELETE", &format!("/v1/rooms/{room}"), "");
    assert_eq!(simulation.answer(gone).0, 204);
    assert_eq!(simulation.close_code_of(viewer), None, "it is told a little later");
    assert_eq!(simulation.put_room(room, 1), 201);
    let viewer = simulation.viewer_with(3, Habits { rooms: vec![room], window_bytes: 1 << 16 });
    simulation.run_until_watching(viewer);
    simulation.tap(Way::Udp(3), room, 0, 1);
    simulation.run_through_window();
    let seen = simulation.stream_of(viewer);
    assert_eq!((seen.emoji[0].len(), seen.frames.last().map(|frame| frame.top.clone())), (3, Some(vec![(0, 1)])));
    simulation.drain();
    assert_eq!(simulation.ledger.framed().get(&(room, 2)), Some(&5));
}
