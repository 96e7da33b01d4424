//! Too few open files.

use crate::support::metrics::Metrics;
use crate::support::{Http, Server, eventually, http};
use std::io;

/// What the server needs before it takes a single connection is somewhere in between.
const LIMITS: [usize; 12] = [10, 16, 22, 28, 34, 40, 46, 52, 58, 64, 80, 128];

fn launcher(open_files: usize) -> [String; 4] {
    let script = format!(r#"ulimit -n {open_files}; exec "$@""#);
    ["/bin/sh".into(), "-c".into(), script, "sh".into()]
}

#[test]
fn a_server_with_too_few_files_to_start_says_so_and_ends() {
    let mut have_come_up = 0;
    for open_files in LIMITS {
        let launcher = launcher(open_files);
        let args = ["--shards", "2", "--window", "100ms", "--log", "error"];
        let mut server = Server::begin_by(&launcher.each_ref().map(String::as_str), &args);
        if server.comes_up() {
            server.send_sigterm();
            assert_eq!(server.wait_for_end().code, Some(0), "{open_files} files");
            have_come_up += 1;
            continue;
        }
        assert_eq!(have_come_up, 0, "fewer files than {open_files} were enough");
        let ended = server.wait_for_end();
        assert_eq!(ended.code, Some(1), "{open_files} files: {}", ended.log);
        assert!(ended.log.lines().any(|line| line.starts_with("error: ")), "{open_files} files: {}", ended.log);
    }
    assert!((1..LIMITS.len()).contains(&have_come_up), "{have_come_up} of {LIMITS:?} files are enough");
}

#[test]
fn connections_beyond_the_limit_are_refused_and_counted_and_the_others_go_on() {
    let launcher = launcher(128);
    let server = Server::start_by(&launcher.each_ref().map(String::as_str), &["--shards", "2", "--window", "100ms"]);
    let mut first = Http::to(server.http());
    let tap = http::reactions(1, r#"{"emoji":"fire"}"#);
    assert_eq!(first.ask(&tap).status, 202);
    // The kernel completes connections, whether or not the server has files for them.
    let crowd: Vec<io::Result<Http>> = (0..300).map(|_| Http::try_to(server.http())).collect();
    let refused = "uproar_connections_total{proto=\"http\",outcome=\"no_files\"}";
    // The admin port answers all the while, on connections that are new.
    eventually(
        || {
            let page = Http::to(server.admin()).ask(&http::get("/metrics")).body;
            (Metrics::of(page).sum(refused) >= 200).then_some(())
        },
        || format!("too few are refused: {}", server.metrics().page()),
    );
    // What is read while it serves finds files, too.
    assert!(server.metrics().value("process_resident_memory_bytes") > 0.0);
    for _ in 0..20 {
        assert_eq!(first.ask(&tap).status, 202, "who is there is served");
    }
    drop(crowd);
    let answer = eventually(
        || Http::try_to(server.http()).ok()?.try_ask(&tap).ok(),
        || "nobody is let in though there are files again".into(),
    );
    assert_eq!(answer.status, 202);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((22, 22))), "{}", ended.log);
    assert!(ended.log.contains(" files_exhausted: "), "{}", ended.log);
}

#[test]
fn a_reload_finds_files_when_the_public_port_has_taken_all_that_it_may() {
    let launcher = launcher(128);
    let launcher = launcher.each_ref().map(String::as_str);
    let server = Server::configured_by(&launcher, "", &["--shards", "1", "--window", "100ms"]);
    let _crowd: Vec<io::Result<Http>> = (0..300).map(|_| Http::try_to(server.http())).collect();
    // The admin port itself has as many as it may have, too.
    let _operators: Vec<_> = (0..64).map(|_| Http::try_to(server.admin())).collect();
    server.rewrite("[http]\nconnections_max = 77\n");
    server.send_sighup();
    server.await_log(" reload: ");
}
