//! Every tap that was taken is in exactly one frame, whichever way it came and whichever shard took it.

use crate::support::{Audience, Http, Server, Tapper, Viewer, http, taps};

const ROOM: u32 = 1;
/// Emoji of the demo room; a frame names them all, so that counts can be compared emoji by emoji.
const EMOJI: usize = 12;
const ROUNDS: u64 = 12;

#[test]
fn on_two_shards_the_frames_add_up_to_what_was_tapped() {
    the_frames_add_up_on(2);
}

#[test]
fn on_four_shards_the_frames_add_up_to_what_was_tapped() {
    the_frames_add_up_on(4);
}

fn the_frames_add_up_on(shards: usize) {
    // A frame is skipped only when a shard stalls for a window; then not all of the audience's shards do.
    let server = Server::for_gateways(&["--shards", &shards.to_string(), "--window", "500ms", "--top-k", "12"]);
    let audience = Audience::on_every_shard(&server, shards, ROOM);
    let watching = audience.len() as u64;
    assert_eq!(server.metric("uproar_subscribers{proto=\"quic\"}"), watching);

    let tapped = std::thread::scope(|scope| {
        let ways =
            [scope.spawn(|| by_udp(&server)), scope.spawn(|| by_http(&server)), scope.spawn(|| by_quic(&server))];
        ways.map(|way| way.join().unwrap())
    });
    let [udp, http, quic] = tapped.map(|emoji| emoji.iter().sum::<u64>());
    let total = udp + http + quic;
    let metrics = server.metrics();
    assert_eq!(metrics.sum("uproar_reactions_total{proto=\"udp\"}"), udp);
    assert_eq!(metrics.sum("uproar_reactions_total{proto=\"http\"}"), http);
    assert_eq!(metrics.sum("uproar_reactions_total{proto=\"quic\"}"), quic);
    assert_eq!(metrics.sum("uproar_rejected_total"), 0);
    assert_eq!(metrics.sum("uproar_socket_drops_total"), 0);

    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((total, total))), "{}", ended.log);

    let mut seen = [0; EMOJI];
    let mut seen_total = 0;
    for frame in audience.frames_to_the_end().into_values() {
        assert_eq!((frame.room, frame.window_ms, frame.start_ms), (ROOM, 500, frame.window * 500));
        seen_total += frame.total;
        for entry in &frame.top {
            seen[usize::from(entry.emoji)] += entry.count;
        }
    }
    assert_eq!(seen_total, total);
    let expected: [u64; EMOJI] = std::array::from_fn(|emoji| tapped.iter().map(|way| way[emoji]).sum());
    assert_eq!(seen, expected);
}

/// Datagrams of one and of two records, from many ports; a burst is counted before the next goes out, so that the
/// kernel has no reason to drop any.
fn by_udp(server: &Server) -> [u64; EMOJI] {
    let tappers = Tapper::several(server.reactions());
    let mut tapped = [0; EMOJI];
    for round in 0..ROUNDS {
        for (place, tapper) in tappers.iter().enumerate() {
            let (one, other) = (place % EMOJI, (place + 5) % EMOJI);
            tapper.tap(ROOM, one as u16, 1 + round as u16);
            tapper.send(&taps::datagram(ROOM, &[(one as u16, 2), (other as u16, 65_535)]));
            tapped[one] += 1 + round + 2;
            tapped[other] += 65_535;
        }
        server.await_metric("uproar_reactions_total{proto=\"udp\"}", tapped.iter().sum());
    }
    tapped
}

/// One object, an array by names and glyphs, and a datagram, over connections that pipeline all three.
fn by_http(server: &Server) -> [u64; EMOJI] {
    let mut connections: Vec<_> = (0..8).map(|_| Http::to(server.http())).collect();
    let mut requests = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
    requests.extend(http::reactions(ROOM, r#"[{"emoji":"❤️","count":3},{"emoji":"trophy","count":40000}]"#));
    requests.extend(http::octets(ROOM, &taps::datagram(ROOM, &[(5, 7), (0, 2)])));
    let mut tapped = [0; EMOJI];
    for _ in 0..ROUNDS {
        for connection in &mut connections {
            connection.send(&requests);
        }
        for connection in &mut connections {
            for _ in 0..3 {
                assert_eq!(connection.reply().status, 202);
            }
            for (emoji, count) in [(0, 1), (1, 3), (11, 40_000), (5, 7), (0, 2)] {
                tapped[emoji] += count;
            }
        }
    }
    tapped
}

/// Viewers that also tap.
fn by_quic(server: &Server) -> [u64; EMOJI] {
    let viewers: Vec<_> = (0..4).map(|_| Viewer::watching(server, &[ROOM])).collect();
    let mut tapped = [0; EMOJI];
    for round in 0..ROUNDS {
        for viewer in &viewers {
            let emoji = round as usize % EMOJI;
            viewer.tap(ROOM, &[(emoji as u16, 9), (3, 1)]);
            tapped[emoji] += 9;
            tapped[3] += 1;
        }
        server.await_metric("uproar_reactions_total{proto=\"quic\"}", tapped.iter().sum());
    }
    tapped
}
