//! A process that dies at once, and one that stands still.
//!
//! SIGKILL is also what the kernel's killer of processes that take too much memory sends, and to everybody else it looks
//! as when the machine dies.

use crate::support::{Http, Server, Tapper, Viewer, eventually, http};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::SystemTime;

const ROOM: u32 = 1;
const WINDOW_MS: u64 = 1000;
/// One, so that no delta can be late when the machine is slow.
const ONE_SHARD: [&str; 4] = ["--shards", "1", "--window", "1s"];

#[allow(clippy::disallowed_methods, reason = "a test observes a process from outside, by the machine's clock")]
fn unix_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

#[test]
fn a_killed_process_loses_the_taps_of_windows_that_it_had_not_shown_and_no_others() {
    let server = Server::start(&ONE_SHARD);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    let taps = Taps::default();
    let (mut shown, mut last_window) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| taps.go_on(server.http()));
        for _ in 0..3 {
            let frame = viewer.see_taps(ROOM, |_| ());
            (shown, last_window) = (shown + frame.total, frame.window);
        }
        // In the middle of a window that has taps.
        let counted = server.metric("uproar_reactions_total");
        eventually(|| (server.metric("uproar_reactions_total") > counted).then_some(()), || "nobody taps".into());
        server.send_sigkill();
    });
    let accepted_at = taps.accepted_at.into_inner().unwrap();
    let shown_until = (last_window + 1) * WINDOW_MS;
    let safe = accepted_at.iter().filter(|&&at| at < shown_until).count() as u64;
    assert!(shown >= safe, "{safe} taps were accepted before the end of the last window shown, {shown} were shown");
    assert!(shown <= accepted_at.len() as u64 + 1, "a tap was shown twice: {shown} of {}", accepted_at.len());
    assert!(shown < accepted_at.len() as u64, "some were lost, or this test shows nothing");
}

/// Somebody who taps by HTTP until the server is gone, and remembers when each tap was accepted.
#[derive(Default)]
struct Taps {
    accepted_at: Mutex<Vec<u64>>,
}

impl Taps {
    fn go_on(&self, port: SocketAddr) {
        let tap = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
        let mut connection = Http::to(port);
        while let Ok(reply) = connection.try_ask(&tap) {
            assert_eq!(reply.status, 202);
            self.accepted_at.lock().unwrap().push(unix_ms());
        }
        // Who is in the middle of a request when the server dies sees the connection end.
    }
}

#[test]
fn the_next_process_starts_at_once_where_one_was_killed() {
    let server = Server::start(&ONE_SHARD);
    let mut connection = Http::to(server.http());
    assert_eq!(connection.ask(&http::reactions(ROOM, r#"{"emoji":"fire","count":7}"#)).status, 202);
    let room = br#"{"name":"put while serving","palette":[{"name":"a","glyph":"a"}]}"#;
    assert_eq!(server.ask_admin(&http::request("PUT", "/v1/rooms/7", "application/json", room)).status, 201);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    viewer.next_frame();
    let ports = [server.reactions(), server.quic(), server.http(), server.admin()].map(|port| port.to_string());
    assert_eq!(server.kill().code, None);
    connection.expect_end();

    let [reactions, quic, http, admin] = &ports;
    let flags = ["--reactions", reactions, "--quic", quic, "--http", http, "--admin", admin];
    let next = Server::start(&[&ONE_SHARD[..], &flags].concat());
    assert_eq!(next.metric("uproar_reactions_total"), 0, "counters begin anew");
    let status = |room| Http::to(next.http()).ask(&http::get(&format!("/v1/rooms/{room}"))).status;
    assert_eq!((status(ROOM), status(7)), (200, 404), "rooms are those of the configuration");
    let tapper = Tapper::to(next.reactions());
    Viewer::watching(&next, &[ROOM]).see_taps(ROOM, |_| tapper.tap(ROOM, 0, 1));
    assert_eq!(next.terminate().code, Some(0));
}

#[test]
fn a_process_that_stands_still_counts_what_waited_when_it_goes_on() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    viewer.next_frame();
    let tappers = Tapper::several(server.reactions());
    server.stop();
    let stopped = unix_ms() / 100;
    tappers.iter().for_each(|tapper| tapper.tap(ROOM, 0, 3));
    // Ten windows pass without it.
    let go_on_at = unix_ms() + 1000;
    eventually(|| (unix_ms() >= go_on_at).then_some(()), || "time stands still".into());
    let resumed = unix_ms() / 100;
    server.resume();
    let tapped = 3 * tappers.len() as u64;
    server.await_metric("uproar_reactions_total", tapped);
    server.await_metric("uproar_frame_taps_total", tapped);
    // What waited is of the window that was open all the time; those that passed are skipped and not made up for.
    let mut shown = 0;
    while shown < resumed {
        shown = viewer.next_frame().window;
        assert!(shown <= stopped || shown >= resumed, "{shown} passed between {stopped} and {resumed}");
    }
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((tapped, tapped))), "{}", ended.log);
}
