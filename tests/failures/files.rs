//! Too few open files.

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
fn connections_beyond_the_limit_wait_or_are_refused_and_the_others_go_on() {
    let launcher = launcher(128);
    let server = Server::start_by(&launcher.each_ref().map(String::as_str), &["--shards", "2", "--window", "100ms"]);
    let mut first = Http::to(server.http());
    let tap = http::reactions(1, r#"{"emoji":"fire"}"#);
    assert_eq!(first.ask(&tap).status, 202);
    // The kernel completes connections, whether or not the server has files for them.
    let crowd: Vec<io::Result<Http>> = (0..200).map(|_| Http::try_to(server.http())).collect();
    for _ in 0..20 {
        assert_eq!(first.ask(&tap).status, 202, "who is there is served");
    }
    drop(crowd);
    let answer = eventually(
        || Http::try_to(server.http()).ok()?.try_ask(&tap).ok(),
        || "nobody is let in though there are files again".into(),
    );
    assert_eq!(answer.status, 202);
    assert!(server.metric("uproar_accepts_failed_total") > 0);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((22, 22))), "{}", ended.log);
    assert!(ended.log.contains(" files_exhausted: "), "{}", ended.log);
}
