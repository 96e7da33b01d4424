//! Peers that are gone without a word: nothing of them stays.

use crate::support::{Http, Server, Viewer, http};

const ROOM: u32 = 1;
/// Short, so that what nobody uses any more is let go of while the test waits.
const SHORT: &str = r#"
[http]
idle_timeout = "1s"
request_timeout = "1s"

[quic]
idle_timeout = "1s"
"#;

/// Longer than a test waits: nothing is let go of because its time is up.
const LONG: &str = r#"
[http]
idle_timeout = "1h"
head_timeout = "5m"
request_timeout = "5m"
body_rate_min_bytes = 0
"#;

#[test]
fn connections_reset_in_the_middle_of_a_request_leave_nothing_behind() {
    let server = Server::configured(LONG, &["--shards", "2", "--window", "100ms"]);
    let whole = http::reactions(ROOM, r#"{"emoji":"fire","count":5}"#);
    let cuts = [0, 1, 20, whole.len() - 1];
    for cut in cuts.into_iter().cycle().take(200) {
        let mut connection = Http::to(server.http());
        connection.send(&whole[..cut]);
        connection.reset();
    }
    // One that has asked for something that takes a while, and does not wait for it.
    for _ in 0..10 {
        let mut connection = Http::to(server.admin());
        connection.send(&http::get("/metrics"));
        connection.reset();
    }
    // The one left is the one that asks.
    server.await_shards("uproar_http_connections", |open| open == 1);
    assert_eq!(server.metric("uproar_reactions_total"), 0, "a request is counted whole or not at all");
    let of = |outcome| server.metric(&format!("uproar_connections_total{{proto=\"http\",outcome=\"{outcome}\"}}"));
    let ended = crate::support::eventually(
        || Some(of("done") + of("reset")).filter(|&ended| ended >= 210),
        || "the ends of connections are not counted".into(),
    );
    assert!(of("accepted") > ended, "the one that asks has begun and not ended");
}

#[test]
fn idle_connections_and_slow_requests_are_closed() {
    let server = Server::configured(SHORT, &["--shards", "2", "--window", "100ms"]);
    let mut idle = Http::to(server.http());
    assert_eq!(idle.ask(&http::get("/livez")).status, 200);
    let mut silent = Http::to(server.http());
    let mut slow = Http::to(server.http());
    slow.send(b"POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{\"emoji\"");
    idle.expect_end();
    silent.expect_end();
    assert_eq!(slow.reply().status, 408);
    slow.expect_end();
    server.await_metric("uproar_rejected_total{proto=\"http\",reason=\"http_timeout\"}", 1);
    server.await_shards("uproar_http_connections", |open| open == 1);
}

#[test]
fn viewers_that_vanish_are_forgotten() {
    let server = Server::configured(SHORT, &["--shards", "2", "--window", "100ms"]);
    let mut viewers: Vec<_> = (0..6).map(|_| Viewer::watching(&server, &[ROOM])).collect();
    for viewer in &mut viewers {
        viewer.next_frame();
    }
    assert_eq!(server.metric("uproar_subscribers"), 6);
    // Some close, some are just gone.
    for (place, viewer) in viewers.into_iter().enumerate() {
        if place % 3 == 0 { viewer.leave() } else { viewer.vanish() }
    }
    server.await_shards("uproar_subscribers", |now| now == 0);
    let metrics = server.metrics();
    assert_eq!(metrics.sum("uproar_connections_total{proto=\"quic\",outcome=\"accepted\"}"), 6);
    assert_eq!(metrics.sum("uproar_connections_total{proto=\"quic\",outcome=\"done\"}"), 2);
    assert_eq!(metrics.sum("uproar_connections_total{proto=\"quic\",outcome=\"timed_out\"}"), 4);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((0, 0))), "{}", ended.log);
}
