//! What a browser is given by the two HTTP ports, and which pages may ask for what.

use crate::support::hostile::Identity;
use crate::support::{Http, Server, eventually, http};
use serde_json::json;

const OURS: &str = "https://www.example.com";

const PUBLIC: [&str; 5] = ["/?room=1", "/page.css", "/page.js", "/theme.css", "/uproar.js"];
const ADMIN: [&str; 4] = ["/", "/admin.css", "/admin.js", "/theme.css"];

/// As a page of `origin` has a browser send it.
fn from(origin: &str, request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8(request.to_vec()).unwrap();
    request.replacen("\r\n", &format!("\r\nOrigin: {origin}\r\n"), 1).into_bytes()
}

fn with(field: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n").into_bytes()
}

#[test]
fn both_ports_have_a_page_that_is_fetched_once() {
    let server = Server::start(&["--shards", "2"]);
    for (port, paths) in [(server.http(), &PUBLIC[..]), (server.admin(), &ADMIN[..])] {
        let mut browser = Http::to(port);
        for path in paths {
            let whole = browser.ask(&http::get(path));
            assert_eq!(whole.status, 200, "{path}");
            assert!(whole.field("content-security-policy").unwrap().starts_with("default-src 'self'"), "{whole:?}");
            let tag = whole.field("etag").unwrap();
            let known = browser.ask(&with(&format!("If-None-Match: {tag}"), path));
            assert_eq!((known.status, known.body.as_str(), known.field("etag")), (304, "", Some(tag)), "{path}");
            browser.send(&http::request("HEAD", path, "", b""));
            let head = browser.reply_to_head();
            assert_eq!((head.status, head.field("content-length")), (200, Some(&*whole.body.len().to_string())));
        }
        assert!(browser.ask(&http::get(paths[0])).body.starts_with("<!doctype html>"));
        // The connection is as good as before.
        assert_eq!(browser.ask(&http::get("/livez")).status, 200);
    }
    // Every shard has the same tags, so that the browser may come to any of them.
    let tag = |_| Http::to(server.http()).ask(&http::get("/page.js")).field("etag").unwrap().to_owned();
    let tags: Vec<_> = (0..8).map(tag).collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    assert_eq!(server.metric("uproar_http_requests_total{code=\"304\"}"), 9);
}

#[test]
fn a_server_without_pages_still_serves_taps() {
    let server = Server::configured("[web]\npage = false\nwebtransport = false\n", &["--shards", "1"]);
    for (port, paths) in [(server.http(), &PUBLIC[..]), (server.admin(), &ADMIN[..])] {
        let mut browser = Http::to(port);
        for path in paths {
            assert_eq!(browser.ask(&http::get(path)).status, 404, "{path}");
        }
    }
    let mut browser = Http::to(server.http());
    assert_eq!(browser.ask(&http::get("/v1/webtransport")).status, 404);
    assert_eq!(browser.ask(&http::reactions(1, r#"{"emoji":"fire"}"#)).status, 202);
}

#[test]
fn pages_of_any_site_may_ask_the_public_port() {
    let server = Server::start(&["--shards", "1"]);
    let mut browser = Http::to(server.http());
    for (request, status) in [
        (http::reactions(1, r#"{"emoji":"fire"}"#), 202),
        (http::reactions(9, r#"{"emoji":"fire"}"#), 404),
        (http::get("/v1/rooms/1"), 200),
        (http::get("/v1/webtransport"), 200),
        (http::request("OPTIONS", "/v1/rooms/1/reactions", "", b""), 204),
    ] {
        for request in [request.clone(), from("https://other.example", &request)] {
            let reply = browser.ask(&request);
            let said = (reply.status, reply.field("access-control-allow-origin"), reply.field("vary"));
            assert_eq!(said, (status, Some("*"), None));
        }
    }
    let allowed = browser.ask(&http::request("OPTIONS", "/v1/rooms/1/reactions", "", b""));
    assert_eq!(allowed.field("access-control-allow-headers"), Some("content-type, x-client-id, last-event-id"));
    let twice = from("https://other.example", &from("https://other.example", &http::get("/v1/rooms/1")));
    assert_eq!(browser.ask(&twice).code(), "repeated_origin");
}

#[test]
fn pages_of_other_sites_are_refused_where_sites_are_named() {
    let toml = format!("[web]\norigins = [\"{OURS}\"]\n");
    let server = Server::configured(&toml, &["--shards", "1", "--window", "100ms"]);
    let mut browser = Http::to(server.http());
    let tap = http::reactions(1, r#"{"emoji":"fire"}"#);
    let preflight = http::request("OPTIONS", "/v1/rooms/1/reactions", "", b"");
    for (request, status) in [(&tap, 202), (&http::get("/v1/rooms/1"), 200), (&preflight, 204)] {
        let ours = browser.ask(&from(OURS, request));
        let said = (ours.status, ours.field("access-control-allow-origin"), ours.field("vary"));
        assert_eq!(said, (status, Some(OURS), Some("Origin")));
        let other = browser.ask(&from("https://other.example", request));
        assert_eq!((other.status, other.code().as_str()), (403, "origin_not_allowed"));
        // It may read why, and nothing else.
        assert_eq!((other.field("access-control-allow-origin"), other.field("vary")), (Some("*"), Some("Origin")));
        assert!(!other.head.contains("Allow-Credentials") && !other.head.contains("Allow-Headers"), "{other:?}");
        // Whoever is no browser.
        assert_eq!(browser.ask(request).status, status);
    }
    assert_eq!(server.metric("uproar_rejected_total{proto=\"http\",reason=\"origin\"}"), 3);
    assert_eq!(server.metric("uproar_reactions_total{proto=\"http\"}"), 2);
    let script = browser.ask(&from("https://other.example", &http::get("/uproar.js")));
    assert_eq!((script.status, script.field("access-control-allow-origin")), (200, Some("*")));
}

#[test]
fn the_admin_port_invites_no_page() {
    let server = Server::start(&["--shards", "2"]);
    let mut browser = Http::to(server.admin());
    let room = br#"{"name":"n","palette":[{"name":"f","glyph":"F"}]}"#;
    for (request, status) in [
        (http::request("OPTIONS", "/v1/rooms/9", "", b""), 405),
        (http::request("PUT", "/v1/rooms/9", "application/json", room), 201),
        (http::request("PUT", "/v1/rooms/9", "application/json", b"{}"), 400),
        (http::get("/v1/rooms"), 200),
        (http::get("/metrics"), 200),
        (http::get("/metrics/shards"), 200),
        (http::get("/readyz"), 200),
        (http::get("/nothing"), 404),
        (http::request("DELETE", "/v1/rooms/9", "", b""), 204),
        (http::request("DELETE", "/v1/rooms/9", "", b""), 404),
    ] {
        let refused = browser.ask(&from("https://other.example", &request));
        assert_eq!((refused.status, refused.code().as_str()), (403, "origin_not_allowed"));
        let own = format!("http://{}", server.admin());
        let request =
            String::from_utf8(request).unwrap().replace("Host: localhost", &format!("Host: {}", server.admin()));
        let reply = browser.ask(&from(&own, request.as_bytes()));
        assert_eq!(reply.status, status, "{reply:?}");
        for reply in [refused, reply] {
            assert!(!reply.head.to_ascii_lowercase().contains("access-control"), "{reply:?}");
        }
    }
}

#[test]
fn browsers_are_told_of_a_certificate_that_only_its_hash_makes_good() {
    let server = Server::configured("", &["--shards", "1"]);
    let mut browser = Http::to(server.http());
    let told = browser.ask(&http::get("/v1/webtransport")).json();
    let hash = told["certificate_hashes"][0].as_str().unwrap().to_owned();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{hash}");
    let expected = json!({ "url": null, "port": server.quic().port(), "certificate_hashes": [hash] });
    assert_eq!(told, expected);
    // One that browsers can check themselves needs no hash.
    let identity = Identity::new();
    let [certificate, key] = identity.flags().map(|flag| flag.split_once('=').unwrap().1.to_owned());
    server.rewrite(&format!("[quic]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n"));
    server.reload("done");
    let mut ask = || browser.ask(&http::get("/v1/webtransport")).json();
    let bare = json!({ "url": null, "port": server.quic().port(), "certificate_hashes": [] });
    eventually(|| (ask() == bare).then_some(()), || "the hash is still told".into());
}

#[test]
fn browsers_are_sent_to_where_the_operator_says() {
    let toml = "[web]\nwebtransport_url = \"https://taps.example.com/v1/webtransport\"\n";
    let server = Server::configured(toml, &["--shards", "1"]);
    let told = Http::to(server.http()).ask(&http::get("/v1/webtransport")).json();
    assert_eq!(told["url"], "https://taps.example.com/v1/webtransport");
}
