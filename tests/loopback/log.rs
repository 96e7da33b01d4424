//! The log of a real process: what its lines look like, and that nothing that happens to standard error harms the server.

use crate::support::{Ended, Http, Server, http};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;

const FAST: [&str; 4] = ["--shards", "1", "--window", "100ms"];
/// Bytes that a pipe holds (pipe(7)).
const PIPE_BYTES: usize = 65_536;

/// One connection may be open on the node.
const ONE_CONNECTION: &str = "window = \"100ms\"\nshards = 1\n[http]\nconnections_max = 1\n";

/// Turns somebody away, and waits until the server has told its operator.
fn provoke_an_incident(server: &Server) {
    let mut first = Http::to(server.http());
    assert_eq!(first.ask(&http::get("/livez")).status, 200);
    assert_eq!(Http::to(server.http()).reply().code(), "full");
    server.await_log("http_full");
}

#[test]
fn a_line_tells_a_person_when_where_what_and_what_to_do() {
    let server = Server::configured(ONE_CONNECTION, &[]);
    provoke_an_incident(&server);
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0));
    for line in ended.log.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(is_utc(time), "{line}");
        assert!(["INFO  ", "WARN  "].iter().any(|level| rest.starts_with(level)), "{line}");
    }
    let incident = line_with(&ended, "http_full");
    assert!(incident.contains("WARN  shard 0: http_full: 1 HTTP connections were turned away"), "{incident}");
    assert!(incident.contains("; raise http.connections_max"), "{incident}");
    for (kind, part) in [("start: ", "1 shard on core"), ("certificate: ", "development"), ("limits: ", " 1 HTTP conn")]
    {
        assert!(line_with(&ended, kind).contains(part), "{kind}: {}", ended.log);
    }
    assert!(line_with(&ended, " ready: ").contains("http 127.0.0.1:"), "{}", ended.log);
}

#[test]
fn a_program_reads_one_object_a_line() {
    let server = Server::configured(ONE_CONNECTION, &["--log-format", "json"]);
    provoke_an_incident(&server);
    let ended = server.terminate();
    let objects: Vec<Value> = ended.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for object in &objects {
        assert!(is_utc(object["time"].as_str().unwrap()), "{object}");
        assert!(object["level"].is_string() && object["message"].is_string(), "{object}");
        assert!(object["event"].is_string(), "a kind that alerts can name: {object}");
    }
    let incident = objects.iter().find(|object| object["event"] == "http_full").unwrap();
    assert_eq!((&incident["level"], &incident["shard"], &incident["count"]), (&"warn".into(), &0.into(), &1.into()));
    assert!(incident["remedy"].as_str().unwrap().contains("http.connections_max"), "{incident}");
}

#[test]
fn a_program_reads_what_the_process_ended_with_even_when_nothing_is_logged() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().to_string();
    let ended = Server::refused(&["--log", "off", "--log-format", "json", "--http", &port]);
    assert_eq!(ended.code, Some(1));
    let object: Value = serde_json::from_str(&ended.log).unwrap();
    assert_eq!(object["level"], "error");
    assert!(object["message"].as_str().unwrap().contains(&port), "{object}");
}

fn is_utc(time: &str) -> bool {
    time.len() == "2026-11-22T10:30:01.123Z".len() && time.ends_with('Z') && time.as_bytes()[10] == b'T'
}

fn line_with<'a>(ended: &'a Ended, part: &str) -> &'a str {
    ended.log.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in {}", ended.log))
}

/// A server that begins with what `stderr` makes of standard error serves, and ends as it should.
fn assert_serves_with(stderr: &str) {
    let script = format!(r#"PATH=/usr/bin:/bin; {stderr} && exec "$@""#);
    let server = Server::start_by(&["/bin/sh", "-c", &script, "sh"], &FAST);
    assert_eq!(Http::to(server.http()).ask(&http::reactions(1, r#"{"emoji":"fire"}"#)).status, 202);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((1, 1))), "{stderr}");
}

#[test]
fn a_full_disk_behind_standard_error_harms_nobody() {
    assert_serves_with("exec 2>/dev/full");
}

#[test]
fn a_closed_standard_error_harms_nobody() {
    assert_serves_with("exec 2>&-");
}

#[test]
fn a_pipe_whose_reader_has_gone_harms_nobody() {
    let directory = tempfile::tempdir().unwrap();
    // Opened for both, then for writing alone, it has no reader left.
    let fifo = directory.path().join("log");
    let fifo = fifo.display();
    assert_serves_with(&format!("mkfifo {fifo} && exec 3<>{fifo} 2>{fifo} 3>&-"));
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("log");
    let fifo = fifo.display();
    // The first line of the log already has no room.
    assert_serves_with(&format!("mkfifo {fifo} && exec 2<>{fifo} && head -c {PIPE_BYTES} /dev/zero >&2"));
}

#[test]
fn a_strict_node_names_every_gap_and_does_not_start() {
    // No machine has a certificate for everybody, nor room for so many connections.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"strict = true\n[http]\nconnections_max = 1000000\n").unwrap();
    let config = ["--config", file.path().to_str().unwrap(), "--quic", "0.0.0.0:0", "--shards", "128"];
    let ended = Server::refused(&config);
    // One of them is for the operator to change.
    assert_eq!((ended.code, ended.drained), (Some(2), None), "{}", ended.log);
    let (_, refused) = ended.log.split_once("error: the node is strict").unwrap();
    let gaps: Vec<_> = refused.lines().skip(1).collect();
    assert!(gaps.len() > 1 && gaps.iter().all(|gap| gap.starts_with("  ") && gap.contains("; ")), "{refused}");
    assert!(gaps.iter().any(|gap| gap.starts_with("  certificate: QUIC listens on 0.0.0.0 with")), "{refused}");
    // The same flags without the word only warn.
    let server = Server::start(&["--quic", "0.0.0.0:0", "--window", "100ms", "--shards", "1"]);
    let ended = server.terminate();
    assert!(line_with(&ended, "WARN  certificate: ").contains("set quic.certificate"), "{}", ended.log);
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_page_that_lets_its_name_lead_to_the_admin_port_gets_nothing() {
    let server = Server::configured("[listen]\nadmin_names = [\".pods.example\"]\n", &FAST);
    let ask = |host: &str, port: SocketAddr| {
        let request = format!("GET /v1/rooms HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Http::to(port).ask(request.as_bytes())
    };
    let refused = ask("evil.example:9100", server.admin());
    assert_eq!((refused.status, refused.code().as_str()), (403, "unknown_host"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("listen.admin_names"), "{refused:?}");
    for host in ["uproar-0.pods.example:9100", "localhost", &server.admin().to_string()] {
        assert_eq!(ask(host, server.admin()).status, 200, "{host}");
    }
    assert_eq!(server.terminate().code, Some(0));
}
