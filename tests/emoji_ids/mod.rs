//! An emoji id of a room means one emoji, whatever is put, deleted or reloaded, by every way in and out.

use crate::simulation::{ROOM, RandomPalettes, SHARDS, Simulation, WINDOW, Way, room_spec};
use std::time::Duration;
use uproar::metrics::Reject;
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
    assert!(problem.contains("\"palette_full\"") && problem.contains("1025") && problem.contains("new room id"), "{problem}");
    simulation.reload_rooms(&[], vec![(8, spec(&[("x", "x")])), (9, room_spec(1))]);
    let kept = simulation.run_until_rooms_changed();
    assert!(kept.len() == 1 && kept[0].0 == 8, "{kept:?}");
    assert_eq!(simulation.tap_label(2, &format!("n{}", PALETTE_MAX - 1), (8, 1023, 1)), Some(202));
    assert_eq!(simulation.fetch(1, "/v1/rooms/9").0, 200, "the rest is taken in");
    // Emoji that it has had are no new ones.
    assert_eq!(changed(&mut simulation, 0, PALETTE_MAX).0, 200);
}

#[test]
fn a_frame_waits_for_the_palette_that_names_its_emoji() {
    let mut overtaken = 0;
    for seed in 300..340 {
        let mut simulation = Simulation::new(seed);
        let viewers: Vec<_> = (0..SHARDS).map(|shard| simulation.watching(shard)).collect();
        let streams: Vec<_> = (0..SHARDS).map(|shard| simulation.stream(shard, ROOM)).collect();
        simulation.run_until_window_closes();
        // A put travels about as long as a window; taps of the new emoji are counted wherever it has come already.
        simulation.network.mesh_delay_max = Duration::from_millis(3000);
        simulation.ask_to_put_room(ROOM, 9);
        for _ in 0..40 {
            (0..SHARDS).for_each(|shard| simulation.tap(Way::Udp(shard), ROOM, 8, 1));
            simulation.run_for(Duration::from_millis(100));
        }
        simulation.network.mesh_delay_max = Duration::ZERO;
        simulation.run_for(4 * WINDOW);
        let (_, frame) = simulation.fetch(0, "/v1/rooms/7/frame");
        assert!(!frame.contains("\"emoji\":\"\""), "{frame}");
        simulation.drain();

        for &viewer in &viewers {
            let stream = simulation.stream_of(viewer);
            assert_eq!(stream.palettes.len(), 2);
            let early = stream.frames[..stream.palettes[1].0].iter().find(|frame| frame.top.iter().any(|top| top.0 == 8));
            assert_eq!(early, None, "a frame came before its palette");
            assert!(stream.frames.is_sorted_by(|one, next| one.window < next.window));
            let newest = simulation.ledger.newest(ROOM).map(|frame| frame.window);
            assert_eq!(stream.frames.last().map(|frame| frame.window), newest, "none is held back for good");
            let held = stream.frames[stream.palettes[1].0..].first();
            overtaken += usize::from(held.is_some_and(|frame| frame.window + 1 < stream.frames.last().unwrap().window));
        }
        for &stream in &streams {
            let events = simulation.data_of(stream);
            let top = events.iter().filter_map(|event| event["top"].as_array()).flatten();
            for entry in top {
                assert_eq!(entry["emoji"], format!("glyph {}", entry["id"]));
            }
        }
        let metrics = simulation.metrics();
        assert_eq!(metrics.reactions.iter().sum::<u64>(), simulation.ledger.framed_taps());
    }
    assert!(overtaken > 0, "no frame ever had to wait");
}
