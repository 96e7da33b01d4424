//! What balancers, monitors and tools send that is not as a browser would have it.

use super::pages::{Browser, field, status, with};
use super::{FIRE, ask, now};
use crate::ids::ShardId;
use crate::metrics::{Outcome, Proto};
use crate::shard::{ChangedRoom, HttpConn, HttpNext, HttpPort, MeshMessage, RoomChanger, RoomFate};
use uproar_wire::RoomId;

const PORTS: [HttpPort; 2] = [HttpPort::Public, HttpPort::Admin];

#[test]
fn health_checks_succeed_with_every_method_that_asks() {
    for port in PORTS {
        for path in ["/", "/livez", "/readyz"] {
            for (method, expected) in [("OPTIONS", 204), ("HEAD", 200), ("GET", 200)] {
                let mut browser = Browser::new(|_| {});
                let of_browsers = browser.ask(port, &ask(method, path, "HTTP/1.1")).0;
                // As HAProxy does by default: an older version, and nobody who is asked.
                let of_balancers = browser.ask(port, &format!("{method} {path} HTTP/1.0\r\n\r\n")).0;
                assert_eq!(
                    (status(&of_browsers), status(&of_balancers)),
                    (expected, expected),
                    "{port:?} {method} {path}"
                );
                assert!(!of_browsers.contains("Access-Control"), "probes are not for pages: {of_browsers}");
                let allow = (method == "OPTIONS").then_some("GET, HEAD, OPTIONS");
                assert_eq!(field(&of_browsers, "Allow"), allow);
            }
            let refused = Browser::new(|_| {}).ask(port, &ask("POST", path, "HTTP/1.1")).0;
            assert_eq!((status(&refused), field(&refused, "Allow")), (405, Some("GET, HEAD, OPTIONS")));
        }
        assert_eq!(status(&Browser::new(|_| {}).ask(port, &ask("OPTIONS", "*", "HTTP/1.1")).0), 204);
        let mut pageless = Browser::new(|config| config.web.page = false);
        assert_eq!(status(&pageless.ask(port, "OPTIONS / HTTP/1.0\r\n\r\n").0), 204, "a check needs no page");
    }
}

#[test]
fn a_node_that_goes_away_is_alive_and_not_ready() {
    for port in PORTS {
        let mut browser = Browser::new(|_| {});
        browser.shard.handle_mesh(now(), ShardId(0), MeshMessage::Drain);
        for method in ["OPTIONS", "HEAD", "GET"] {
            for (path, is_alive) in [("/readyz", false), ("/livez", true), ("/", true)] {
                let (head, _) = browser.ask(port, &ask(method, path, "HTTP/1.1"));
                assert_eq!(status(&head) < 300, is_alive, "{port:?} {method} {path}");
            }
        }
        assert_eq!(status(&browser.ask(port, &ask("PUT", "/readyz", "HTTP/1.1")).0), 405);
    }
}

#[test]
fn json_behind_a_byte_order_mark_is_json() {
    let mut browser = Browser::new(|_| {});
    let marked = FIRE.replace("h: 16", "h: 19").replace("{", "\u{feff}{");
    assert_eq!(status(&browser.ask(HttpPort::Public, &marked).0), 202);
    assert_eq!(browser.shard.metrics().reactions[Proto::Http.index()], 1);
    let twice = FIRE.replace("h: 16", "h: 22").replace("{", "\u{feff}\u{feff}{");
    assert_eq!(status(&browser.ask(HttpPort::Public, &twice).0), 400);
    let room = "\u{feff}{\"name\":\"n\",\"palette\":[{\"name\":\"f\",\"glyph\":\"F\"}]}";
    let put = format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{room}", room.len());
    assert_eq!(status(&browser.ask(HttpPort::Admin, &put).0), 201);
}

#[test]
fn a_coded_body_is_told_which_coding_it_has() {
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let mut browser = Browser::new(|_| {});
        let (head, body) = browser.ask(HttpPort::Public, &with(&format!("Content-Encoding: {coding}"), FIRE));
        assert_eq!((status(&head), field(&head, "Accept-Encoding")), (415, Some("identity")));
        assert!(body.contains("\"content_coding\"") && body.contains(&format!("coded with {coding};")), "{body}");
    }
}

#[test]
fn the_admin_port_answers_with_a_room_as_the_public_port_does() {
    let mut browser = Browser::new(|_| {});
    let bodies = PORTS.map(|port| browser.ask(port, &ask("GET", "/v1/rooms/1", "HTTP/1.1")).1);
    assert!(bodies[0].contains("\"palette\"") && bodies[0] == bodies[1], "{bodies:?}");
    let (head, none) = browser.ask(HttpPort::Admin, &ask("HEAD", "/v1/rooms/1", "HTTP/1.1"));
    assert_eq!((field(&head, "Content-Length"), none.as_str()), (Some(&*bodies[0].len().to_string()), ""));
    let refused = browser.ask(HttpPort::Admin, &ask("POST", "/v1/rooms/1", "HTTP/1.1")).0;
    assert_eq!((status(&refused), field(&refused, "Allow")), (405, Some("GET, HEAD, PUT, DELETE")));
}

#[test]
fn who_changed_a_room_is_known_also_when_it_did_not_wait() {
    let mut browser = Browser::new(|_| {});
    let shard = &mut browser.shard;
    let conn = HttpConn { slot: 3, generation: 1 };
    let peer = "192.0.2.1:50000".parse().unwrap();
    shard.http_opened(conn, HttpPort::Admin);
    shard.set_admin_peer(conn, peer);
    let room = "{\"name\":\"n\",\"palette\":[{\"name\":\"f\",\"glyph\":\"F\"}]}";
    let put = format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{room}", room.len());
    assert_eq!(shard.handle_http(conn, put.as_bytes(), &mut Vec::new()), HttpNext::Wait);
    shard.http_closed(conn, Outcome::Reset);
    while shard.poll_mesh(now()).is_some() || shard.serve(now()) {}
    let by = RoomChanger::Admin(Some(peer));
    assert_eq!(shard.poll_changed_room(), Some(ChangedRoom { room: RoomId(9), change: RoomFate::Added, by }));
    assert_eq!(shard.poll_changed_room(), None);
    // The slot's next owner is somebody else.
    let next = HttpConn { generation: 2, ..conn };
    shard.http_opened(next, HttpPort::Admin);
    assert_eq!(
        shard.handle_http(next, ask("DELETE", "/v1/rooms/9", "HTTP/1.1").as_bytes(), &mut Vec::new()),
        HttpNext::Wait
    );
    while shard.poll_mesh(now()).is_some() || shard.serve(now()) {}
    let by = RoomChanger::Admin(None);
    assert_eq!(shard.poll_changed_room(), Some(ChangedRoom { room: RoomId(9), change: RoomFate::Deleted, by }));
}
