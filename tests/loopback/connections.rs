//! Where connections go, how many there may be, and how long they may take.

use crate::support::{Http, Server, eventually, http};

const ROOM: u32 = 1;

/// Connections of each shard.
fn spread(server: &Server) -> Vec<u64> {
    let metrics = server.shard_metrics();
    (0..4).map(|shard| metrics.sum(&format!("uproar_http_connections{{shard=\"{shard}\"}}"))).collect()
}

#[track_caller]
fn assert_even(spread: &[u64]) {
    let (least, most) = (spread.iter().min().unwrap(), spread.iter().max().unwrap());
    assert!(most - least <= 1 + least / 8, "{spread:?}");
}

/// A connection that has been served, so that it has its place before the next one comes.
fn served(server: &Server) -> Http {
    let mut connection = Http::to(server.http());
    assert_eq!(connection.ask(&http::get("/livez")).status, 200);
    connection
}

/// Connects, and is told why that is too much.
fn expect_refused(server: &Server, code: &str) {
    let mut refused = Http::to(server.http());
    let reply = refused.reply();
    assert_eq!((reply.status, reply.code().as_str()), (503, code));
    assert_eq!(reply.field("connection"), Some("close"));
    let seconds: u64 = reply.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds), "{reply:?}");
    refused.expect_end();
}

#[test]
fn few_connections_spread_evenly_over_the_shards() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    // The connection that asks comes first: it has no choice of its shard.
    assert_eq!(spread(&server), [1, 0, 0, 0]);
    let mut connections = Vec::new();
    for count in [3, 8, 40] {
        connections.resize_with(count, || served(&server));
        let spread = spread(&server);
        assert_eq!(spread.iter().sum::<u64>(), count as u64 + 1);
        assert_even(&spread);
    }
    for connection in &mut connections {
        assert_eq!(connection.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
    }
    assert_eq!(server.metric("uproar_reactions_total"), 40);
    assert!(
        server.shard_metrics().sum("uproar_http_handed_over_total") > 0,
        "the kernel alone does not spread them so"
    );
}

#[test]
fn a_shard_that_lost_its_connections_gets_the_next_ones() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    let mut before = spread(&server);
    let mut by_shard: [Vec<Http>; 4] = Default::default();
    for _ in 0..20 {
        let connection = served(&server);
        let after = spread(&server);
        let shard = (0..4).find(|&shard| after[shard] > before[shard]).unwrap();
        by_shard[shard].push(connection);
        before = after;
    }
    let lost = std::mem::take(&mut by_shard[2]).len();
    server.await_shards("uproar_http_connections{shard=\"2\"}", |open| open == 0);
    let _new: Vec<_> = (0..lost).map(|_| served(&server)).collect();
    assert_eq!(spread(&server).iter().sum::<u64>(), before.iter().sum::<u64>());
    assert_even(&spread(&server));
}

#[test]
fn a_full_shard_refuses_and_the_admin_port_still_answers() {
    let server = Server::configured("[http]\nconnections_max = 1\n", &["--shards", "2", "--window", "100ms"]);
    let _kept = [served(&server), served(&server)];
    for _ in 0..5 {
        expect_refused(&server, "full");
    }
    server.await_metric("uproar_connections_total{proto=\"http\",outcome=\"full\"}", 5);
    assert_eq!(Http::to(server.admin()).ask(&http::get("/readyz")).status, 200);
}

#[test]
fn a_drain_closes_connections_wherever_they_were_accepted() {
    let server = Server::start(&["--shards", "4", "--window", "100ms"]);
    let mut connections: Vec<_> = (0..12).map(|_| served(&server)).collect();
    for connection in &mut connections {
        assert_eq!(connection.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
    }
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((12, 12))), "{}", ended.log);
    connections.iter_mut().for_each(Http::expect_end);
}

#[test]
fn an_address_has_no_more_connections_on_the_node_than_it_may_have() {
    const MAX: usize = 6;
    let config = format!("[http]\nconnections_per_address_max = {MAX}\n");
    let server = Server::configured(&config, &["--shards", "4", "--window", "100ms"]);
    let mut kept: Vec<_> = (0..MAX).map(|_| served(&server)).collect();
    for _ in 0..4 {
        expect_refused(&server, "address_full");
    }
    assert_eq!(server.metric("uproar_http_refused_total{code=\"address_full\"}"), 4);
    server.await_metric("uproar_connections_total{proto=\"http\",outcome=\"address_full\"}", 4);
    assert_even(&spread(&server));

    let mut other = Http::from([127, 0, 0, 2], server.http());
    assert_eq!(other.ask(&http::get("/livez")).status, 200);
    for _ in 0..MAX {
        // What one lets go of, another gets, once the address's home has heard of it.
        drop(kept.pop());
        let ask = || Http::to(server.http()).try_ask(&http::get("/livez")).ok();
        let again = || ask().filter(|reply| reply.status != 503);
        assert_eq!(eventually(again, || "the address is still full".into()).status, 200);
    }
    assert_eq!(other.ask(&http::get("/livez")).status, 200);
}

#[test]
fn a_head_that_does_not_come_is_told_so() {
    let config = "[http]\nhead_timeout = \"100ms\"\nrequest_timeout = \"5m\"\n";
    let server = Server::configured(config, &["--shards", "2", "--window", "100ms"]);
    let mut slow = Http::to(server.http());
    assert_eq!(slow.ask(&http::get("/livez")).status, 200);
    slow.send(b"POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: loc");
    let reply = slow.reply();
    assert_eq!((reply.status, reply.code().as_str()), (408, "http_timeout"));
    assert_eq!(reply.field("connection"), Some("close"));
    slow.expect_end();
    server.await_metric("uproar_rejected_total{proto=\"http\",reason=\"http_timeout\"}", 1);
    server.await_metric("uproar_connections_total{proto=\"http\",outcome=\"timed_out\"}", 1);
    assert_eq!(server.metric("uproar_http_requests_total{code=\"408\"}"), 1);
}

#[test]
fn requests_that_end_where_the_next_has_begun_are_not_late() {
    const LATE: &str = "uproar_rejected_total{proto=\"http\",reason=\"http_timeout\"}";
    let config = "[http]\nhead_timeout = \"100ms\"\nrequest_timeout = \"5m\"\n";
    let server = Server::configured(config, &["--shards", "1", "--window", "100ms"]);
    let whole = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
    let (begin, end) = whole.split_at(20);
    let mut busy = Http::to(server.http());
    busy.send(begin);
    let mut late = Http::to(server.http());
    late.send(begin);
    while server.metric(LATE) == 0 {
        for _ in 0..100 {
            busy.send(&[end, begin].concat());
            assert_eq!(busy.reply().status, 202);
        }
    }
    busy.send(end);
    assert_eq!(busy.reply().status, 202);
    assert_eq!(late.reply().status, 408);
    assert_eq!(server.metric(LATE), 1);
}

#[test]
fn a_body_that_trickles_is_ended_and_a_slow_one_is_not() {
    let config = "[http]\nhead_timeout = \"5m\"\nrequest_timeout = \"5m\"\nbody_rate_min_bytes = 1000\n";
    let server = Server::configured(config, &["--shards", "2", "--window", "100ms"]);
    let padding = " ".repeat(60_000);
    let whole = http::reactions(ROOM, &format!(r#"{{"emoji":"fire"}}{padding}"#));
    let mut trickling = Http::to(server.http());
    trickling.send(&whole[..200]);
    let mut slow = Http::to(server.http());
    slow.send(&whole[..whole.len() - 1]);
    let reply = trickling.reply();
    assert_eq!((reply.status, reply.code().as_str()), (408, "http_timeout"));
    trickling.expect_end();
    slow.send(&whole[whole.len() - 1..]);
    assert_eq!(slow.reply().status, 202);
    assert_eq!(server.metric("uproar_rejected_total{proto=\"http\",reason=\"http_timeout\"}"), 1);
}

#[test]
fn a_client_that_does_not_take_its_replies_is_cut_off() {
    let config = "[http]\nsend_timeout = \"1s\"\n";
    let server = Server::configured(config, &["--shards", "1", "--window", "100ms"]);
    let palette: Vec<_> =
        (0..1000).map(|id| serde_json::json!({"name": format!("{id:0250}"), "glyph": id.to_string()})).collect();
    let room = serde_json::json!({"name": "Large", "palette": palette}).to_string();
    let put = http::request("PUT", "/v1/rooms/9", "application/json", room.as_bytes());
    assert_eq!(server.ask_admin(&put).status, 201);
    // More than the kernel holds for the two of them.
    let mut deaf = Http::to(server.http());
    deaf.send(&http::get("/v1/rooms/9").repeat(80));
    server.await_metric("uproar_connections_total{proto=\"http\",outcome=\"timed_out\"}", 1);
    assert_eq!(served(&server).ask(&http::get("/livez")).status, 200);
}

#[test]
fn a_client_that_goes_on_sending_reads_why_it_was_refused_and_is_cut_off() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut deaf = Http::to(server.http());
    deaf.send(b"nonsense\r\n\r\n");
    // Still sent when the refusal is on its way, and far less than is listened to.
    deaf.send(&[b'x'; 100_000]);
    assert_eq!(deaf.reply().status, 400);
    deaf.send_until_ended(&[b'x'; 10_000]);
    server.await_shards("uproar_http_connections", |open| open == 1);
    // It was cut off, unless it had lingered for long enough before it had sent too much.
    let ended = |outcome| server.metric(&format!("uproar_connections_total{{proto=\"http\",outcome=\"{outcome}\"}}"));
    assert_eq!(ended("overflow") + ended("done"), 1);
}
