//! A shard that panics ends the process: it says why, it exits with 1, and nothing of it serves on.

use crate::fault::{Clock, Fault};
use crate::support::{Ended, Http, Server, Viewer, http};

const ROOM: u32 = 1;
const TWO_SHARDS: [&str; 4] = ["--shards", "2", "--window", "100ms"];

fn assert_says_which_shard(ended: &Ended, shard: u8) {
    assert_eq!((ended.code, ended.drained), (Some(1), None), "{}", ended.log);
    assert!(ended.log.contains(&format!("thread 'shard-{shard}-")), "{}", ended.log);
    assert!(ended.log.contains("panicked at"), "{}", ended.log);
    let error = format!("\nerror: shard {shard}: ");
    let Some((before, after)) = ended.log.split_once(&error) else { panic!("no {error:?} in\n{}", ended.log) };
    assert!(before.contains("panicked at"), "{}", ended.log);
    assert!(!before.contains(BACKTRACE), "it waited for the backtrace: {}", ended.log);
    let rest = after.lines().next().unwrap_or_default();
    assert!(rest.contains("the process ends so that no half of it serves on"), "{}", ended.log);
}

/// How the standard library begins a backtrace.
const BACKTRACE: &str = "stack backtrace:";

#[test]
fn a_backtrace_comes_after_the_lines_that_matter() {
    for (wanted, is_written) in [("full", true), ("1", true), ("0", false)] {
        let fault = Fault::none();
        let variable = format!("RUST_BACKTRACE={wanted}");
        let launcher = [&fault.launcher()[..], &["/usr/bin/env", &variable]].concat();
        let mut server = Server::start_by(&launcher, &TWO_SHARDS);
        fault.break_clock_once(1, Clock::Wall);
        let ended = server.wait_for_end();
        assert_says_which_shard(&ended, 1);
        assert_eq!(ended.log.contains(BACKTRACE), is_written, "RUST_BACKTRACE={wanted}: {}", ended.log);
    }
}

#[test]
fn a_backtrace_that_does_not_end_delays_neither_the_error_nor_the_end() {
    for shard in [1, 0] {
        let fault = Fault::none();
        fault.stop_backtraces();
        let mut server = fault.start(&TWO_SHARDS);
        fault.break_clock_once(shard, Clock::Wall);
        assert_says_which_shard(&server.wait_for_end(), shard);
    }
}

#[test]
fn a_panic_in_any_shard_ends_the_whole_process_and_says_which() {
    // The loop reads the wall clock; the other one the executor reads, too, between any two turns.
    for (shard, clock) in [(1, Clock::Wall), (0, Clock::Wall), (1, Clock::Monotonic), (0, Clock::Monotonic)] {
        let fault = Fault::none();
        let mut server = fault.start(&TWO_SHARDS);
        let mut viewer = Viewer::watching(&server, &[ROOM]);
        viewer.next_frame();
        let mut connections: Vec<_> = (0..8).map(|_| Http::to(server.http())).collect();
        for connection in &mut connections {
            assert_eq!(connection.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#)).status, 202);
        }
        fault.break_clock_once(shard, clock);
        assert_says_which_shard(&server.wait_for_end(), shard);
        connections.iter_mut().for_each(Http::expect_end);
        assert_can_be_replaced(&server);
    }
}

/// Another process takes its ports at once, and the kernel gives it everything that arrives.
fn assert_can_be_replaced(server: &Server) {
    let ports = [server.reactions(), server.quic(), server.http(), server.admin()].map(|port| port.to_string());
    let [reactions, quic, http, admin] = &ports;
    let flags = ["--reactions", reactions, "--quic", quic, "--http", http, "--admin", admin];
    let next = Server::start(&[&TWO_SHARDS[..], &flags].concat());
    for _ in 0..20 {
        assert_eq!(Http::to(next.http()).ask(&http::get("/livez")).status, 200);
    }
    assert_eq!(next.terminate().code, Some(0));
}

#[test]
fn a_panic_while_shards_start_is_a_refusal_to_start() {
    for (shard, clock) in [(1, Clock::Wall), (0, Clock::Wall), (1, Clock::Monotonic), (0, Clock::Monotonic)] {
        let fault = Fault::none();
        fault.break_clock_once(shard, clock);
        let mut server = Server::begin_by(&fault.launcher(), &TWO_SHARDS);
        assert!(!server.comes_up(), "shard {shard} is ready though it could not read its {clock:?} clock");
        assert_says_which_shard(&server.wait_for_end(), shard);
    }
}

#[test]
fn a_panic_while_shards_drain_ends_the_drain() {
    let fault = Fault::none();
    let mut server = fault.start(&[&TWO_SHARDS[..], &["--drain-duration", "10m"]].concat());
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    viewer.next_frame();
    server.send_sigterm();
    server.await_log("draining");
    fault.break_clock_once(1, Clock::Wall);
    assert_says_which_shard(&server.wait_for_end(), 1);
}

#[test]
fn a_panic_that_cannot_be_told_anybody_still_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    // A full pipe that nobody reads stops whoever writes.
    let stuck = format!("mkfifo {0}/log && exec 2<>{0}/log && head -c 65536 /dev/zero >&2", directory.path().display());
    for unread in ["exec 2>/dev/full", "exec 2>&-", &stuck] {
        let fault = Fault::none();
        let script = format!(r#"PATH=/usr/bin:/bin; {unread} && exec "$@""#);
        let launcher = ["/bin/sh", "-c", &script, "sh"];
        let mut server = Server::start_by(&[&launcher[..], &fault.launcher()].concat(), &TWO_SHARDS);
        fault.break_clock_once(1, Clock::Wall);
        assert_eq!(server.wait_for_end().code, Some(1), "{unread}");
    }
}

#[test]
fn a_panic_between_two_turns_of_the_loop_is_not_lost_with_them() {
    // Where the executor reads its clock is chance: in many ways at once.
    let servers: Vec<_> = (0..12)
        .map(|turn| {
            let fault = Fault::none();
            let server = fault.start(&TWO_SHARDS);
            fault.break_clock_once(turn % 2, Clock::Monotonic);
            (turn % 2, server, fault)
        })
        .collect();
    for (shard, mut server, _fault) in servers {
        assert_says_which_shard(&server.wait_for_end(), shard);
    }
}
