//! HTTP through the real socket: how requests may be cut, what is refused, what becomes of the connection.

use crate::support::{Http, Server, http, taps};

const ROOM: u32 = 1;

#[test]
fn a_connection_serves_many_requests_in_their_order() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    for _ in 0..3 {
        let reply = connection.ask(&http::reactions(ROOM, r#"{"emoji":"fire"}"#));
        assert_eq!((reply.status, reply.field("connection")), (202, Some("keep-alive")));
    }
    let mut pipeline = Vec::new();
    for _ in 0..200 {
        pipeline.extend(http::reactions(ROOM, r#"{"emoji":"wow","count":2}"#));
        pipeline.extend(http::get("/livez"));
        pipeline.extend(http::get("/v1/rooms/1"));
    }
    connection.send(&pipeline);
    for _ in 0..200 {
        assert_eq!(connection.reply().status, 202);
        assert_eq!(connection.reply().body, "alive\n");
        assert_eq!(connection.reply().json()["name"], "Cricket final");
    }
    assert_eq!(server.metric("uproar_reactions_total"), 403);
    assert_eq!(server.metric("uproar_http_requests_total{code=\"202\"}"), 203);

    connection.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.reply().field("connection"), Some("close"));
    connection.expect_end();
}

#[test]
fn answers_that_take_a_while_keep_their_place() {
    let server = Server::start(&["--shards", "2", "--window", "100ms"]);
    let mut connection = Http::to(server.admin());
    let mut pipeline = Vec::new();
    for room in 50..60 {
        let spec = format!(r#"{{"name":"Room {room}","palette":[{{"name":"a","glyph":"A"}}]}}"#);
        pipeline.extend(http::request("PUT", &format!("/v1/rooms/{room}"), "application/json", spec.as_bytes()));
        pipeline.extend(http::get("/metrics/shards"));
        pipeline.extend(http::get("/livez"));
    }
    connection.send(&pipeline);
    for room in 50..60 {
        let created = connection.reply();
        assert_eq!((created.status, &created.json()["id"]), (201, &serde_json::json!(room)));
        assert!(connection.reply().body.contains("uproar_rooms"));
        assert_eq!(connection.reply().body, "alive\n");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    let requests = [
        http::reactions(ROOM, r#"{"emoji":"🔥","count":3}"#),
        http::octets(ROOM, &taps::datagram(ROOM, &[(1, 4)])),
        b"POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\n8\r\n{\"emoji\"\r\n8\r\n:\"fire\"}\r\n0\r\n\r\n"
            .to_vec(),
    ];
    for byte in requests.concat() {
        connection.send(&[byte]);
    }
    for _ in 0..3 {
        assert_eq!(connection.reply().status, 202);
    }
    assert_eq!(server.metric("uproar_reactions_total"), 8);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_comes() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    connection.send(b"POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n");
    let reply = connection.reply();
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    connection.expect_end();

    // One that sends all of it regardless still reads why.
    let mut connection = Http::to(server.http());
    connection.send_into_the_dark(&http::reactions(ROOM, &"x".repeat(1 << 20)));
    assert_eq!(connection.reply().status, 413);
    connection.expect_end();
    server.await_metric("uproar_rejected_total{proto=\"http\",reason=\"http_too_large\"}", 2);
}

#[test]
fn what_does_not_exist_or_is_not_allowed_is_a_problem_with_a_code() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut public = Http::to(server.http());
    for (request, status, code) in [
        (http::get("/nothing"), 404, "not_found"),
        (http::get("/metrics"), 404, "not_found"),
        (http::get("/v1/rooms"), 404, "not_found"),
        (http::get("/v1/rooms/1/nothing"), 404, "not_found"),
        (http::get("/v1/rooms/2"), 404, "unknown_room"),
        (http::get("/v1/rooms/one"), 404, "unknown_room"),
        (http::get("/v1/rooms/2/frame"), 404, "unknown_room"),
        (http::get("/v1/rooms/1/frame"), 404, "no_frame"),
        (http::get("/v1/rooms/1/reactions"), 405, "method_not_allowed"),
        (http::request("DELETE", "/v1/rooms/1", "", b""), 405, "method_not_allowed"),
        (http::request("POST", "/livez", "application/json", b"{}"), 405, "method_not_allowed"),
        (http::reactions(2, r#"{"emoji":"fire"}"#), 404, "unknown_room"),
        (http::reactions(ROOM, r#"{"emoji":"nope"}"#), 422, "unknown_emoji"),
        (http::reactions(ROOM, r#"{"emoji":"fire","count":0}"#), 400, "bad_count"),
        (http::reactions(ROOM, r#"{"emoji":"fire","cuont":2}"#), 400, "bad_json"),
        (http::reactions(ROOM, "not json"), 400, "bad_json"),
        (http::request("POST", "/v1/rooms/1/reactions", "text/html", b"fire"), 415, "unsupported"),
        (http::request("POST", "/v1/rooms/1/reactions", "text/plain", b"fire"), 400, "bad_json"),
        (http::octets(7, &taps::datagram(ROOM, &[(0, 1)])), 400, "room_mismatch"),
    ] {
        let reply = public.ask(&request);
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{}", String::from_utf8_lossy(&request));
    }
    let reply = public.ask(&http::get("/v1/rooms/1/reactions"));
    assert_eq!(reply.field("allow"), Some("POST, OPTIONS"));
    assert_eq!(server.metric("uproar_reactions_total"), 0);
    assert_eq!(server.metric("uproar_rejected_total{reason=\"bad_json\"}"), 3);
}

#[test]
fn head_tells_the_length_and_options_the_methods() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    let whole = connection.ask(&http::get("/v1/rooms/1"));
    connection.send(&http::request("HEAD", "/v1/rooms/1", "", b""));
    let head = connection.reply_to_head();
    assert_eq!((head.status, head.field("content-length")), (200, whole.field("content-length")));
    assert_eq!(connection.ask(&http::get("/livez")).status, 200, "the connection goes on behind HEAD");

    let preflight = connection.ask(&http::request("OPTIONS", "/v1/rooms/1/reactions", "", b""));
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.field("access-control-allow-origin"), Some("*"));
    assert_eq!(preflight.field("access-control-allow-methods"), Some("GET, POST"));

    // HEAD of the admin port's pages, which are answered later than they are asked for.
    let mut admin = Http::to(server.admin());
    admin.send(&http::request("HEAD", "/metrics", "", b""));
    assert_eq!(admin.reply_to_head().status, 200);
    assert_eq!(admin.ask(&http::get("/livez")).body, "alive\n");
}

#[test]
fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    for (fields, code) in [
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "both_lengths"),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "repeated_content_length"),
        ("Content-Length: +2\r\n", "bad_content_length"),
        ("Transfer-Encoding: gzip, chunked\r\n", "bad_transfer_encoding"),
        ("X-Folded: a\r\n b\r\n", "obs_fold"),
        ("X-Bare: a\n", "bare_lf"),
        ("X-Client-Id: -1\r\n", "bad_client_id"),
    ] {
        let mut connection = Http::to(server.http());
        let request = format!("POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: h\r\n{fields}\r\n{{}}");
        connection.send_into_the_dark(request.as_bytes());
        connection.send_into_the_dark(&http::reactions(ROOM, r#"{"emoji":"fire"}"#));
        let reply = connection.reply();
        assert_eq!((reply.status, reply.code().as_str()), (400, code));
        connection.expect_end();
    }
    assert_eq!(server.metric("uproar_reactions_total"), 0, "what follows a refusal is not a request");
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_replies() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    connection.send(&http::reactions(ROOM, r#"{"emoji":"fire"}"#));
    connection.end_sending();
    assert_eq!(connection.reply().status, 202);
    connection.expect_end();
}

#[test]
fn a_request_that_counts_too_much_is_told_which_limit_it_passes() {
    let server = Server::configured("", &["--shards", "2", "--window", "100ms"]);
    let mut connection = Http::to(server.http());
    let mut ask = |body: &str| connection.ask(&http::reactions(1, body));
    assert_eq!(ask(r#"{"emoji":"fire","count":600}"#).status, 202);
    let record = ask(r#"[{"emoji":"wow"},{"emoji":"fire","count":601}]"#);
    assert_eq!((record.status, record.code().as_str()), (422, "too_many_taps"));
    for part in ["601", "600", "limits.taps_per_record"] {
        assert!(record.body.contains(part), "{}", record.body);
    }
    let request = ask(&format!("[{}]", [r#"{"emoji":"fire","count":600}"#; 5].join(",")));
    assert_eq!((request.status, request.code().as_str()), (422, "too_many_taps"));
    for part in ["3000", "2400", "limits.taps_per_request"] {
        assert!(request.body.contains(part), "{}", request.body);
    }
    server.await_metric("uproar_rejected_total{proto=\"http\",reason=\"too_many_taps\"}", 2);
    server.rewrite("[limits]\ntaps_per_record = 700\n");
    server.reload("done");
    assert_eq!(ask(r#"{"emoji":"fire","count":700}"#).status, 202);
    assert_eq!(server.terminate().drained, Some((1300, 1300)));
}
