//! Peers that take all they can get, together: what others get meanwhile, and what is left of it afterwards.
//!
//! Invariant: no test here expects anything of time. What a tap takes under such an attack is measured when it is asked for,
//! on a quiet machine: `cargo test --release --test loopback what_a_tap_takes -- --ignored --nocapture`.

use crate::support::{Http, Server, Viewer, http};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROOM: u32 = 1;
/// How long memory may take to come back on a busy machine; on a quiet one it takes some seconds.
const MEMORY_DEADLINE: Duration = Duration::from_secs(60);

/// A connection with room for few bytes that were not read.
fn narrow(server: &Server) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&server.http().into()).unwrap();
    socket.into()
}

fn mute_pipelines(server: &Server, count: usize) -> Vec<TcpStream> {
    let requests = http::get("/uproar.js").repeat(200);
    let begin = |_| {
        let mut mute = narrow(server);
        mute.write_all(&requests).unwrap();
        mute
    };
    (0..count).map(begin).collect()
}

fn windows_of(events: &str) -> Vec<u64> {
    events.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

/// Pages of memory that the kernel holds for TCP.
fn kernel_pages() -> u64 {
    let stat = std::fs::read_to_string("/proc/net/sockstat").unwrap();
    let line = stat.lines().find(|line| line.starts_with("TCP:")).unwrap();
    line.rsplit_once("mem ").unwrap().1.parse().unwrap()
}

#[test]
fn those_who_pipeline_and_never_read_keep_no_frame_and_no_tap_from_others() {
    const MUTE: usize = 500;
    const ROUNDS: usize = 3;
    // Windows that outlast what the machine itself may stand still for, when it does other things, too.
    let server = Server::start(&["--shards", "1", "--window", "2s"]);
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    let mut stream = Http::to(server.http());
    stream.send(&http::get(&format!("/v1/rooms/{ROOM}/stream")));
    let first = viewer.next_frame().window;
    let mut tapper = Http::to(server.http());
    let tap = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
    let kernel_before = kernel_pages();
    let mut taps = 0;
    let mut attacks = Vec::new();
    for _ in 0..ROUNDS {
        attacks.push(mute_pipelines(&server, MUTE / ROUNDS));
        for _ in 0..20 {
            assert_eq!(tapper.ask(&tap).status, 202);
            taps += 1;
        }
    }
    let kernel_pages = kernel_pages().saturating_sub(kernel_before);
    let bound = (MUTE * uproar::limits::HTTP_KERNEL_BYTES_MAX / 4096) as u64;
    assert!(kernel_pages < bound, "{kernel_pages} pages of the kernel, and {bound} are the bound");
    // Every window up to one that closed after the attack, without a gap, by both ways.
    let mut windows = vec![first];
    let mut counted = 0;
    while counted < taps || windows.len() < 3 {
        let frame = viewer.next_frame();
        counted += frame.total;
        windows.push(frame.window);
    }
    assert_eq!(counted, taps);
    let last = *windows.last().unwrap();
    assert_eq!(windows, (first..=last).collect::<Vec<_>>(), "a subscriber misses no frame");
    stream.reply();
    let mut seen = Vec::new();
    while seen.last() < Some(&last) {
        seen.extend(windows_of(&stream.event().unwrap()));
    }
    let begin = *seen.first().unwrap();
    assert_eq!(seen, (begin..=*seen.last().unwrap()).collect::<Vec<_>>(), "nor does an event stream");
    let overrun = "uproar_frames_skipped_total";
    assert_eq!(server.metric(overrun), 0);
    drop(attacks);
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn what_a_tap_takes_while_1500_connections_pipeline_and_never_read() {
    const MUTE: usize = 1500;
    let server = Server::start(&["--shards", "1"]);
    let mut tapper = Http::to(server.http());
    let tap = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
    let is_over = AtomicBool::new(false);
    let mut kernel_pages_most = 0;
    let mut times = std::thread::scope(|scope| {
        let tapping = scope.spawn(|| {
            let mut times = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                assert_eq!(tapper.ask(&tap).status, 202);
                times.push(begin.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            times
        });
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(6) {
            let attack = mute_pipelines(&server, MUTE);
            kernel_pages_most = kernel_pages_most.max(kernel_pages());
            drop(attack);
        }
        is_over.store(true, Ordering::Relaxed);
        tapping.join().unwrap()
    });
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{} taps: {:?} at p50, {:?} at p99, {:?} at most; {kernel_pages_most} pages of the kernel for TCP",
        times.len(),
        percentile(50),
        percentile(99),
        percentile(100),
    );
}

/// The largest palette, with labels and glyphs that are nearly as long as they may be.
fn put_largest_room(server: &Server) {
    let emoji = |id| json!({"name": format!("{id:0250}"), "glyph": format!("{id:\u{1f525}>60}")});
    let room = json!({"name": "Large", "palette": (0..1024).map(emoji).collect::<Vec<_>>()}).to_string();
    let put = http::request("PUT", "/v1/rooms/9", "application/json", room.as_bytes());
    assert_eq!(server.ask_admin(&put).status, 201);
}

/// Waits until the process has given back what an attack took, and a fifth and 16 MiB are left of it at most.
fn await_memory(server: &Server, before_kib: u64, attack: &str) {
    let allowed_kib = before_kib + before_kib / 5 + 16 * 1024;
    let mut least_kib = u64::MAX;
    crate::support::eventually_within(
        MEMORY_DEADLINE,
        || {
            least_kib = server.resident_kib();
            (least_kib <= allowed_kib).then_some(())
        },
        || format!("{attack}: {before_kib} KiB before, {} after, {allowed_kib} allowed", server.resident_kib()),
    );
}

#[test]
fn memory_comes_back_after_an_attack() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    put_largest_room(&server);
    let before_kib = server.resident_kib();
    for round in 0..2 {
        let unread: Vec<_> = (0..1000)
            .map(|_| {
                let mut stream = narrow(&server);
                stream.write_all(&http::get("/v1/rooms/9/stream")).unwrap();
                stream
            })
            .collect();
        server.await_shards("uproar_subscribers", |subscribers| subscribers == 1000);
        drop(unread);
        server.await_shards("uproar_subscribers", |subscribers| subscribers == 0);
        await_memory(&server, before_kib, &format!("unread event streams, round {round}"));
    }
    let body = http::reactions(ROOM, &" ".repeat(60_000));
    let slow: Vec<_> = (0..1500)
        .map(|_| {
            let mut slow = narrow(&server);
            slow.write_all(&body[..40_000]).unwrap();
            slow
        })
        .collect();
    server.await_shards("uproar_http_connections", |open| open > 1500);
    drop(slow);
    await_memory(&server, before_kib, "slow bodies");
    let mute = mute_pipelines(&server, 500);
    server.await_shards("uproar_http_connections", |open| open > 500);
    drop(mute);
    await_memory(&server, before_kib, "mute pipelines");
}

#[test]
fn readers_of_a_large_reply_share_it() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    put_largest_room(&server);
    let before_kib = server.resident_kib();
    let unread: Vec<_> = (0..300)
        .map(|_| {
            let mut unread = narrow(&server);
            unread.write_all(&http::get("/v1/rooms/9")).unwrap();
            unread
        })
        .collect();
    server.await_shards("uproar_http_requests_total", |replies| replies >= 300);
    let grown_kib = server.resident_kib().saturating_sub(before_kib);
    let listed = server.ask_admin(&http::get("/v1/rooms")).body;
    let reply_kib = listed.len() as u64 / 1024;
    assert!(grown_kib < 300 * reply_kib / 4, "300 readers of {reply_kib} KiB take {grown_kib} KiB");
    // Whole, for one that reads.
    let mut reader = &unread[0];
    reader.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 65_536];
    while !text.ends_with(b"]}") {
        match reader.read(&mut buffer) {
            Ok(0) => panic!("it ends after {} bytes", text.len()),
            Ok(len) => text.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {} bytes", text.len()),
        }
    }
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(listed.contains(body), "it is the room as the admin port lists it");
}
