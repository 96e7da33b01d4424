//! The end: what was accepted is delivered, and everybody is told.

use crate::support::{Audience, Http, Server, Tapper, Viewer, http};
use std::sync::atomic::{AtomicU64, Ordering};

const ROOM: u32 = 1;

#[test]
fn a_drain_in_the_middle_of_traffic_delivers_every_accepted_tap() {
    /// HTTP counts in thousands and UDP in ones, fewer than a thousand: one total tells both.
    const THOUSAND: u64 = 1000;
    const CONNECTIONS: u64 = 6;
    let server = Server::for_gateways(&["--shards", "2", "--window", "500ms"]);
    let audience = Audience::on_every_shard(&server, 2, ROOM);
    let port = server.http();
    let accepted = AtomicU64::new(0);
    let ended = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| tap_until_refused(port, &accepted));
        }
        let tappers = Tapper::several(server.reactions());
        scope.spawn(move || tappers.iter().cycle().take(900).for_each(|tapper| tapper.tap(ROOM, 2, 1)));
        while accepted.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
        server.terminate()
    });
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let (reactions, frame_taps) = ended.drained.expect("a drained line");
    assert_eq!(reactions, frame_taps);
    let counted = reactions / THOUSAND;
    let accepted = accepted.into_inner();
    // A reply that the end of the process overtook was counted without its sender knowing.
    assert!((accepted..=accepted + CONNECTIONS).contains(&counted), "{accepted} accepted, {counted} counted");
    let seen: u64 = audience.frames_to_the_end().values().map(|frame| frame.total).sum();
    assert_eq!(seen, frame_taps, "the last frame has arrived, too");
}

fn tap_until_refused(port: std::net::SocketAddr, accepted: &AtomicU64) {
    let request = http::reactions(ROOM, r#"{"emoji":"fire","count":1000}"#);
    let mut connection = Http::to(port);
    while let Ok(reply) = connection.try_ask(&request) {
        if reply.status != 202 {
            assert_eq!((reply.status, reply.code().as_str()), (503, "draining"));
            return;
        }
        accepted.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_idle_server_drains_without_being_woken() {
    // Without a window's end or a time limit that could wake a shard that sleeps over its drain.
    for shards in ["1", "2"] {
        let server = Server::start(&["--shards", shards, "--window", "60s", "--drain-timeout", "10m"]);
        let ended = server.terminate();
        assert_eq!((ended.code, ended.drained), (Some(0), Some((0, 0))), "{}", ended.log);
    }
}

#[test]
fn a_draining_server_says_that_it_is_not_ready() {
    let mut server = Server::start(&["--shards", "2", "--window", "100ms", "--drain-duration", "10m"]);
    let mut public = Http::to(server.http());
    for ready in [public.ask(&http::get("/readyz")), server.ask_admin(&http::get("/readyz"))] {
        assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    }
    server.send_sigterm();
    // The signal reaches one shard; the others hear of it from there.
    crate::support::eventually(
        || (server.ask_admin(&http::get("/readyz")).status == 503).then_some(()),
        || "the server is not draining".into(),
    );
    assert_eq!(public.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202, "taps are still taken");
    // Whoever asks whether to send traffic here connects anew each time.
    let mut admin = Http::to(server.admin());
    admin.send(&http::get("/readyz"));
    assert_eq!(admin.reply().status, 503);
    let mut admin = Http::to(server.admin());
    assert_eq!(admin.ask(&http::get("/livez")).status, 200);

    server.send_sigterm();
    assert_eq!(server.wait_for_end().code, Some(1));
}

#[test]
fn a_server_that_leaves_sends_its_subscribers_away_one_after_the_other() {
    let mut server = Server::for_gateways(&["--shards", "2", "--window", "100ms", "--drain-duration", "2s"]);
    let viewers: Vec<_> = (0..8).map(|_| Viewer::watching(&server, &[ROOM])).collect();
    server.send_sigterm();
    let accepted = AtomicU64::new(0);
    tap_until_refused(server.http(), &accepted);
    let ended = server.wait_for_end();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let (reactions, frame_taps) = ended.drained.expect("a drained line");
    assert_eq!(reactions, frame_taps);
    let accepted = accepted.into_inner();
    assert!((accepted..=accepted + 1).contains(&(reactions / 1000)), "{accepted} accepted, {reactions} counted");
    let last_windows = viewers.into_iter().map(|viewer| {
        let (frames, code) = viewer.watch_to_the_end();
        assert_eq!(code, Some(uproar_wire::hello::CloseCode::Draining));
        frames.last().map(|frame| frame.window)
    });
    let last_windows: Vec<_> = last_windows.collect();
    assert!(last_windows.iter().min() < last_windows.iter().max(), "frames go on meanwhile: {last_windows:?}");
}

#[test]
fn a_second_signal_stops_a_drain() {
    let mut server = Server::start(&["--shards", "2", "--drain-duration", "10m"]);
    server.send_sigterm();
    server.await_log("draining");
    let answer = Http::to(server.http()).ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#));
    assert_eq!(answer.status, 202, "taps are still taken");
    server.send_sigterm();
    let ended = server.wait_for_end();
    assert_eq!((ended.code, ended.drained), (Some(1), None), "{}", ended.log);
    assert!(ended.log.contains("error: stopped before the drain was over"), "{}", ended.log);
}

#[test]
fn a_drain_ends_without_those_who_do_not_answer() {
    // Also long before its time limit.
    for timeout in ["300ms", "10m"] {
        drain_without_those_who_do_not_answer(timeout);
    }
}

fn drain_without_those_who_do_not_answer(timeout: &str) {
    let server = Server::start(&["--shards", "2", "--window", "100ms", "--drain-timeout", timeout]);
    let here = Viewer::watching(&server, &[ROOM]);
    let mut gone = Viewer::watching(&server, &[ROOM]);
    gone.next_frame();
    gone.vanish();
    Tapper::to(server.reactions()).tap(ROOM, 0, 5);
    server.await_metric("uproar_reactions_total", 5);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((5, 5))), "{}", ended.log);
    let (frames, code) = here.watch_to_the_end();
    assert_eq!(frames.iter().map(|frame| frame.total).sum::<u64>(), 5);
    assert_eq!(code, Some(uproar_wire::hello::CloseCode::Draining));
}
