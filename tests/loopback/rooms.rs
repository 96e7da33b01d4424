//! Rooms while the server runs: made, replaced and deleted, on all shards at once.

use crate::support::http::Reply;
use crate::support::{Http, Server, Tapper, Viewer, eventually, http, taps};
use std::collections::BTreeMap;
use std::fmt::Write;
use uproar_wire::frame::PaletteEntry;
use uproar_wire::hello::CloseCode;

fn put(server: &Server, room: u32, emoji: &[&str]) -> Reply {
    let palette: Vec<_> = emoji.iter().map(|name| serde_json::json!({"name": name, "glyph": name})).collect();
    let spec = serde_json::json!({"name": format!("Room {room}"), "palette": palette}).to_string();
    server.ask_admin(&http::request("PUT", &format!("/v1/rooms/{room}"), "application/json", spec.as_bytes()))
}

fn delete(server: &Server, room: u32) -> Reply {
    server.ask_admin(&http::request("DELETE", &format!("/v1/rooms/{room}"), "", b""))
}

#[test]
fn a_fresh_room_counts_on_every_shard_from_its_answer_on() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    let tappers = Tapper::several(server.reactions());
    let mut connections: Vec<_> = (0..16).map(|_| Http::to(server.http())).collect();
    // Accepted by their shards before the room exists, so that nothing but the room can be missing.
    for connection in &mut connections {
        assert_eq!(connection.ask(&http::get("/livez")).status, 200);
    }
    let viewer = Viewer::connect(&server);
    for room in 100..110 {
        assert_eq!(put(&server, room, &["a", "b"]).status, 201);
        tappers.iter().for_each(|tapper| tapper.tap(room, 1, 1));
        viewer.tap(room, &[(0, 1)]);
        for connection in &mut connections {
            connection.send(&http::octets(room, &taps::datagram(room, &[(0, 1)])));
        }
        for connection in &mut connections {
            assert_eq!(connection.reply().status, 202);
        }
    }
    let total = 10 * (16 + 16 + 1);
    server.await_metric("uproar_reactions_total", total);
    assert_eq!(server.metric("uproar_rejected_total"), 0);
    assert_eq!(server.terminate().drained, Some((total, total)));
}

#[test]
fn rooms_are_listed_described_replaced_and_deleted() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let created = put(&server, 7, &["a", "b"]);
    assert_eq!((created.status, &created.json()["palette"][1]["id"]), (201, &serde_json::json!(1)));
    let replaced = put(&server, 7, &["a", "b", "c"]);
    assert_eq!((replaced.status, &replaced.json()["palette"][2]["name"]), (200, &serde_json::json!("c")));

    let listed = server.ask_admin(&http::get("/v1/rooms")).json();
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|room| room["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 7]);
    for _ in 0..8 {
        let room = Http::to(server.http()).ask(&http::get("/v1/rooms/7"));
        assert_eq!((room.status, room.json()), (200, replaced.json()), "the same on whichever shard");
    }

    let gone = delete(&server, 7);
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    assert_eq!(delete(&server, 7).code(), "unknown_room");
    for _ in 0..8 {
        let mut connection = Http::to(server.http());
        assert_eq!(connection.ask(&http::get("/v1/rooms/7")).status, 404);
        assert_eq!(connection.ask(&http::reactions(7, r#"{"emoji":"a"}"#)).status, 404);
    }
    for (path, body, code) in [
        ("/v1/rooms/7", r#"{"name":"x","palette":[]}"#, "bad_room"),
        ("/v1/rooms/7", r#"{"name":"x"}"#, "bad_room"),
        ("/v1/rooms/4294967296", r#"{"name":"x","palette":[{"name":"a","glyph":"a"}]}"#, "unknown_room"),
    ] {
        assert_eq!(server.ask_admin(&http::request("PUT", path, "application/json", body.as_bytes())).code(), code);
    }
}

#[test]
fn a_palette_changes_under_live_counts_and_every_tap_keeps_its_emoji() {
    // A long window, so that the taps are still in it when the palette is replaced.
    let server = Server::start(&["--shards", "2", "--window", "60s"]);
    assert_eq!(put(&server, 7, &["a", "b", "c"]).status, 201);
    let mut viewer = Viewer::watching(&server, &[7]);
    assert_eq!(viewer.next_palette().emoji.len(), 3);
    let mut connection = Http::to(server.http());
    let tapper = Tapper::to(server.reactions());
    assert_eq!(connection.ask(&http::reactions(7, r#"{"emoji":"c","count":9}"#)).status, 202);
    let changed = put(&server, 7, &["d", "a"]);
    assert_eq!(changed.status, 200);
    let palette = &changed.json()["palette"];
    let ids: Vec<_> =
        (0..4).map(|id| (palette[id]["glyph"].as_str().unwrap(), palette[id]["retired"] == true)).collect();
    assert_eq!(ids, [("a", false), ("b", true), ("c", true), ("d", false)]);
    assert_eq!(connection.ask(&http::reactions(7, r#"{"emoji":"c"}"#)).code(), "unknown_emoji");
    assert_eq!(connection.ask(&http::octets(7, &taps::datagram(7, &[(2, 1)]))).code(), "unknown_emoji");
    tapper.send(&taps::datagram(7, &[(2, 1)]));
    eventually(
        || (server.metric("uproar_rejected_total{proto=\"udp\",reason=\"unknown_emoji\"}") == 1).then_some(()),
        || "the datagram was not refused".into(),
    );
    let palette = viewer.next_palette();
    let retired: Vec<_> = palette.emoji.iter().map(PaletteEntry::is_retired).collect();
    assert_eq!(retired, [false, true, true, false]);
    assert_eq!(connection.ask(&http::reactions(7, r#"{"emoji":"d","count":2}"#)).status, 202);
    let watching = std::thread::spawn(|| viewer.watch_to_the_end().0);
    assert_eq!(server.terminate().drained, Some((11, 11)));
    let mut taps = BTreeMap::new();
    for top in watching.join().unwrap().iter().flat_map(|frame| &frame.top) {
        *taps.entry(top.emoji).or_insert(0) += top.count;
    }
    assert_eq!(taps.into_iter().collect::<Vec<_>>(), [(2, 9), (3, 2)]);
}

#[test]
fn a_deleted_room_takes_its_audience_with_it() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    assert_eq!(put(&server, 7, &["a"]).status, 201);
    let only = Viewer::watching(&server, &[7]);
    let mut both = Viewer::watching(&server, &[1, 7]);
    assert_eq!(delete(&server, 7).status, 204);
    assert_eq!(only.watch_to_the_end().1, Some(CloseCode::RoomDeleted));
    let tapper = Tapper::to(server.reactions());
    let frame = both.see_taps(1, |_| tapper.tap(1, 0, 3));
    assert_eq!(frame.total % 3, 0, "who watches another room stays");
    server.await_shards("uproar_subscribers", |now| now == 1);
}

#[test]
fn the_newest_frame_is_there_for_http() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    let taps = r#"[{"emoji":"fire","count":30},{"emoji":"wow","count":10}]"#;
    assert_eq!(connection.ask(&http::reactions(1, taps)).status, 202);
    let frame = eventually(
        || Some(connection.ask(&http::get("/v1/rooms/1/frame"))).filter(|reply| reply.status == 200),
        || "there is no frame".into(),
    );
    let frame = frame.json();
    assert_eq!((&frame["room"], &frame["total"], &frame["window_ms"]), (&1.into(), &40.into(), &100.into()));
    assert_eq!(frame["start_ms"].as_u64().unwrap(), frame["window"].as_u64().unwrap() * 100);
    let top = |place: usize| (frame["top"][place]["emoji"].as_str().unwrap(), frame["top"][place]["share"].as_u64());
    assert_eq!((top(0), top(1)), (("🔥", Some(7500)), ("😮", Some(2500))));
    assert_eq!(frame["top"].as_array().unwrap().len(), 2);
}

#[test]
fn a_hundred_thousand_rooms_are_served_from_a_file() {
    const ROOMS: u32 = 100_000;
    let mut toml = String::new();
    for id in 0..ROOMS {
        let palette = r#"[{ name = "fire", glyph = "🔥" }, { name = "goal", glyph = "⚽" }]"#;
        writeln!(toml, "[[rooms]]\nid = {id}\nname = \"Room {id}\"\npalette = {palette}").unwrap();
    }
    let server = Server::configured(&toml, &["--shards", "2", "--window", "300ms"]);
    assert_eq!(server.shard_metrics().sum("uproar_rooms{shard=\"1\"}"), u64::from(ROOMS));
    let watched = [0, 49_999, ROOMS - 1];
    let mut viewer = Viewer::watching(&server, &watched);

    let spread: Vec<u32> = (0..ROOMS).step_by(997).chain(watched).collect();
    let mut connection = Http::to(server.http());
    for room in &spread {
        connection.send(&http::octets(*room, &taps::datagram(*room, &[(1, 3)])));
        assert_eq!(connection.reply().status, 202);
    }
    assert_eq!(connection.ask(&http::octets(ROOMS, &taps::datagram(ROOMS, &[(0, 1)]))).status, 404);
    let mut tapped = spread.len() as u64;
    for room in watched {
        let frame = viewer.see_taps(room, |_| {
            assert_eq!(connection.ask(&http::octets(room, &taps::datagram(room, &[(1, 3)]))).status, 202);
            tapped += 1;
        });
        assert_eq!((frame.total % 3, frame.top[0].emoji, frame.top.len()), (0, 1, 1));
    }
    let total = 3 * tapped;
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((total, total))), "{}", ended.log);
}
