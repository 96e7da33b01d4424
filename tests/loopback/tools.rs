//! What tools, balancers and agents send to the two HTTP ports: a health check, another protocol, an operator's command.

use crate::support::{Http, Server, eventually, http};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

const ROOM: u32 = 1;

#[test]
fn health_checks_of_balancers_succeed_on_both_ports() {
    let server = Server::start(&["--shards", "1"]);
    for port in [server.http(), server.admin()] {
        for path in ["/", "/livez", "/readyz"] {
            // HAProxy's default: no host, and the connection ends.
            let mut balancer = Http::to(port);
            balancer.send(format!("OPTIONS {path} HTTP/1.0\r\n\r\n").as_bytes());
            let reply = balancer.reply();
            assert_eq!((reply.status, reply.field("allow")), (204, Some("GET, HEAD, OPTIONS")), "{path}");
            balancer.expect_end();
            let mut monitor = Http::to(port);
            monitor.send(&http::request("HEAD", path, "", b""));
            assert_eq!(monitor.reply_to_head().status, 200, "{path}");
            assert_eq!(monitor.ask(&http::get(path)).status, 200, "{path}");
        }
    }
}

#[test]
fn other_protocols_are_recognised_told_so_and_counted() {
    let server = Server::start(&["--shards", "2"]);
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\xc3\x50\x1f\x90";
    for port in [server.http(), server.admin()] {
        for (bytes, code) in [
            (&b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\n"[..], "proxy_protocol"),
            (binary, "proxy_protocol"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "tls_hello"),
        ] {
            let mut other = Http::to(port);
            other.send_into_the_dark(bytes);
            other.send_into_the_dark(&http::get("/livez"));
            let reply = other.reply();
            assert_eq!((reply.status, reply.code().as_str()), (400, code));
            other.expect_end();
        }
    }
    for (reason, count) in [("proxy_protocol", 4), ("tls_hello", 2)] {
        assert_eq!(server.metric(&format!("uproar_rejected_total{{proto=\"http\",reason=\"{reason}\"}}")), count);
        assert_eq!(server.metric(&format!("uproar_http_refused_total{{code=\"{reason}\"}}")), count);
    }
    server.await_log("proxy_protocol: ");
    server.await_log("send-proxy");
}

#[test]
fn the_log_says_who_changed_a_room() {
    const WITH_ROOM: &str = "[[rooms]]\nid = 3\nname = \"n\"\npalette = [{ name = \"f\", glyph = \"F\" }]\n";
    let server = Server::configured("", &["--shards", "2", "--window", "100ms"]);
    let mut operator = Http::to(server.admin());
    let by = format!("by {} via the admin port", operator.local_address());
    let room = br#"{"name":"n","palette":[{"name":"f","glyph":"F"}]}"#;
    for (request, status, said) in [
        (http::request("PUT", "/v1/rooms/9", "application/json", room), 201, "room_added: room 9 was added"),
        (http::request("PUT", "/v1/rooms/9", "application/json", room), 200, "room_replaced: room 9 was replaced"),
        (http::request("DELETE", "/v1/rooms/9", "", b""), 204, "room_deleted: room 9 was deleted"),
    ] {
        assert_eq!(operator.ask(&request).status, status);
        server.await_log(&format!("{said} {by}"));
    }
    // Nothing changes, and nothing is said.
    assert_eq!(operator.ask(&http::request("DELETE", "/v1/rooms/9", "", b"")).status, 404);
    server.rewrite(WITH_ROOM);
    server.reload("done");
    server.await_log("room_added: room 3 was added by a reload of the configuration");
    server.await_log("room_deleted: room 1 was deleted by a reload of the configuration");
    assert_eq!(server.log().matches("room_").count(), 5, "{}", server.log());
}

/// What `curl` prints; `None` where it is not installed.
fn curl(args: &[&str]) -> Option<String> {
    let output = Command::new("curl").args(["--silent", "--show-error", "--max-time", "60"]).args(args).output();
    match output {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "curl {args:?}: {error}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            eprintln!("skipped: curl is not installed");
            None
        }
    }
}

#[test]
fn a_client_of_everyday_reads_what_is_meant() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let [public, admin] = [server.http(), server.admin()].map(|port| format!("http://{port}"));
    let taps = format!("{public}/v1/rooms/{ROOM}/reactions");
    const STATUS: [&str; 4] = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let status = |args: &[&str]| curl(&[&STATUS[..], args].concat());
    let Some(said) = status(&[&public]) else { return };
    assert_eq!(said, "200");
    let fire = r#"{"emoji":"fire"}"#;
    for (args, expected) in [
        (&["--json", fire, &taps][..], "202"),
        (&["-H", "Content-Type: text/plain;charset=UTF-8", "--data", fire, &taps], "202"),
        (&["-H", "Content-Type: application/json", "--data-binary", "\u{feff}{\"emoji\":\"fire\"}", &taps], "202"),
        // What curl says by default.
        (&["--data", fire, &taps], "415"),
        (&["-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip", "--data", fire, &taps], "415"),
        (&["-X", "OPTIONS", "--http1.0", &public], "204"),
        (&["--head", &format!("{admin}/readyz")], "200"),
        (&["--haproxy-protocol", &public], "400"),
        (&["--request-target", "http://evil.example/metrics", &admin], "403"),
        (&["-H", "Host: evil.example", &format!("{admin}/metrics")], "403"),
        (&["-H", "Origin: https://evil.example", &format!("{admin}/metrics")], "403"),
        (&["-H", "Expect: 100-continue", "--json", fire, &taps], "202"),
        (&["--http2", "--json", fire, &taps], "202"),
    ] {
        assert_eq!(status(args).as_deref(), Some(expected), "{args:?}");
    }
    assert_eq!(server.metric("uproar_reactions_total{proto=\"http\"}"), 5);
    let preflight = curl(&[
        "--include",
        "-X",
        "OPTIONS",
        "-H",
        "Origin: https://other.example",
        "-H",
        "Access-Control-Request-Method: POST",
        "-H",
        "Access-Control-Request-Headers: baggage,content-type,sentry-trace,traceparent",
        &taps,
    ]);
    let preflight = preflight.unwrap();
    assert!(
        preflight.contains("Access-Control-Allow-Headers: baggage,content-type,sentry-trace,traceparent\r\n"),
        "{preflight}"
    );
    assert!(preflight.contains("\r\nDate: ") && preflight.contains(" GMT\r\n"), "{preflight}");
    // A tag that came from one reply makes the next one 304.
    let folder = tempfile::tempdir().unwrap();
    let tag = folder.path().join("tag").to_str().unwrap().to_owned();
    let page = format!("{public}/uproar.js");
    assert_eq!(status(&["--etag-save", &tag, &page]).as_deref(), Some("200"));
    assert_eq!(status(&["--etag-compare", &tag, &page]).as_deref(), Some("304"));
    // TLS, where there is none.
    let tls =
        Command::new("curl").args(["--silent", "--insecure", &format!("https://{}", server.http())]).output().unwrap();
    assert!(!tls.status.success());
    server.await_metric("uproar_http_refused_total{code=\"tls_hello\"}", 1);
}

/// What HAProxy says about a server: `UP` or `DOWN`, and what its check found.
fn haproxy_says(server: &Server, options: &str) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (public, admin, stats) = (server.http(), server.admin(), path("stats"));
    let config = format!(
        "global\n  stats socket {stats} mode 600\ndefaults\n  mode http\n  timeout connect 30s\n  timeout client 30s\n  \
         timeout server 30s\nbackend nodes\n  option httpchk\n  server public {public} check inter 100ms {options}\n  \
         server admin {admin} check inter 100ms {options}\n"
    );
    std::fs::write(path("config"), config).unwrap();
    let started = Command::new("haproxy").args(["-db", "-f", &path("config")]).stderr(Stdio::null()).spawn();
    let mut haproxy = match started {
        Ok(haproxy) => haproxy,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            eprintln!("skipped: HAProxy is not installed");
            return None;
        }
    };
    let checks = || {
        let mut socket = UnixStream::connect(&stats).ok()?;
        socket.write_all(b"show stat\n").ok()?;
        let mut page = String::new();
        socket.read_to_string(&mut page).ok()?;
        let mut rows = page.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let place = rows.next()?.iter().position(|name| *name == "check_status")?;
        let servers = rows.filter(|row| ["public", "admin"].contains(row.get(1).unwrap_or(&"")));
        let said: Vec<_> = servers.map(|row| row[place].to_owned()).collect();
        // Each has been checked.
        (said.len() == 2 && said.iter().all(|said| said.starts_with('L'))).then_some(said)
    };
    let said = eventually(checks, || "HAProxy has checked nothing".into());
    haproxy.kill().unwrap();
    haproxy.wait().unwrap();
    Some(said)
}

#[test]
fn haproxy_takes_a_node_for_healthy_without_being_told_how_to_ask() {
    let server = Server::start(&["--shards", "1"]);
    let Some(said) = haproxy_says(&server, "") else { return };
    assert_eq!(said, ["L7OK", "L7OK"]);
    // With a header that the node does not take, it is told so.
    assert_eq!(haproxy_says(&server, "send-proxy check-send-proxy").unwrap(), ["L7STS", "L7STS"]);
    assert!(server.metric("uproar_http_refused_total{code=\"proxy_protocol\"}") >= 2);
}
