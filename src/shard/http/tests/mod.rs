//! What a connection to the public port is answered, and what of it is counted.
//!
//! Here are the cases that have a name in a specification or in an attack; `fuzz/src/shard_http.rs` has the rules that
//! hold for any bytes.

mod pages;
mod probes;
mod refusals;
mod turns;

use crate::ids::ShardId;
use crate::limits;
use crate::metrics::{ProcessMetrics, Proto, ShardMetrics, ShardsPage};
use crate::quic::{HandshakeLimits, QuicConfig, QuicSettings, server_crypto};
use crate::room::demo_room;
use crate::shard::{HttpConn, HttpNext, HttpPort, MeshMessage, Shard, ShardConfig, ShardSettings, WebConfig};
use crate::tally::TapLimits;
use crate::window::Now;
use quinn_proto::StdSystemTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FIRE: &str = "POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{\"emoji\":\"fire\"}";

fn shard() -> Shard {
    Shard::new(config(1), now())
}

pub(crate) fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "no time passes in these tests")]
    let instant = Instant::now();
    Now { instant, unix_ms: 1_802_469_134_000 }
}

/// The first of `shards`.
pub(crate) fn config(shards: usize) -> ShardConfig {
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
    let quic = QuicConfig {
        shard: ShardId(0),
        shards,
        reset_key: [0; 64],
        token_key: [0; 64],
        clock: Arc::new(StdSystemTime),
        hello_timeout: Duration::from_secs(1),
        prefetch: |_, _| {},
        webtransport: None,
        settings: QuicSettings {
            tls: server_crypto(tls).unwrap(),
            max_connections: 1,
            connections_per_address_max: 0,
            idle_timeout: Duration::from_secs(1),
            handshakes: HandshakeLimits::default(),
        },
    };
    ShardConfig {
        id: ShardId(0),
        shards,
        window_ms: 2000,
        top_k: 8,
        settings: ShardSettings {
            subscribers_max: 1,
            rooms_per_subscriber_max: 1,
            streams_max: 1,
            tap_limits: TapLimits::NONE,
            fanout_spread: Duration::ZERO,
            drain_duration: Duration::ZERO,
            drain_timeout: Duration::from_secs(1),
            webtransport: None,
        },
        rooms: vec![Arc::new(demo_room())],
        admin_names: vec!["a".into()],
        web: WebConfig::default(),
        quic,
        read_process: Arc::new(ProcessMetrics::default),
        rng_seed: [0; 32],
    }
}

/// Statuses of the replies to `pieces`, whether the connection ends, and the taps that were counted.
fn talk(port: HttpPort, pieces: &[&str]) -> (Vec<u16>, bool, u64) {
    let (mut shard, mut replies) = (shard(), Vec::new());
    let conn = HttpConn { slot: 0, generation: 0 };
    shard.http_opened(conn, port);
    let mut next = HttpNext::Read;
    for piece in pieces {
        assert!(next == HttpNext::Read, "nothing is received once the connection is over");
        next = shard.handle_http(conn, piece.as_bytes(), &mut replies);
        next = go_on(&mut shard, conn, next, &mut replies);
    }
    let replies = String::from_utf8(replies).unwrap();
    // Details of problems speak of `HTTP/1.1` too, without a number behind it.
    let statuses = replies.split("HTTP/1.1 ").filter_map(|reply| reply.get(..3)?.parse().ok());
    (statuses.collect(), next == HttpNext::Close, shard.metrics().reactions[Proto::Http.index()])
}

/// Turns until the answer that a connection waits for has come, and its body.
fn go_on(shard: &mut Shard, conn: HttpConn, mut next: HttpNext, replies: &mut Vec<u8>) -> HttpNext {
    while next == HttpNext::Wait {
        while shard.poll_mesh(now()).is_some() || shard.serve(now()) {}
        while let Some(piece) = shard.take_http_body(conn) {
            replies.extend_from_slice(&piece);
        }
        // What there is has been sent.
        let mut more = Vec::new();
        next = shard.handle_http(conn, &[], &mut more);
        replies.extend_from_slice(&more);
    }
    next
}

fn ask(method: &str, target: &str, version: &str) -> String {
    format!("{method} {target} {version}\r\nHost: a\r\n\r\n")
}

fn statuses(port: HttpPort, request: &str) -> Vec<u16> {
    talk(port, &[request]).0
}

#[test]
fn a_room_has_one_name() {
    for room in ["+1", "01", "00001", "%31", "1%20", "-1", "1.0", "0x1", "", "4294967297", "one", "..", "1%2f"] {
        let (statuses, _, taps) = talk(HttpPort::Public, &[&FIRE.replace("/1/", &format!("/{room}/"))]);
        assert_eq!((statuses, taps), (vec![404], 0), "{room}");
        for method in ["PUT", "DELETE"] {
            let target = format!("/v1/rooms/{room}");
            assert_eq!(statuses_of_admin(method, &target), [404], "{method} {target}");
        }
    }
    assert_eq!(talk(HttpPort::Public, &[FIRE]), (vec![202], false, 1));
    assert_eq!(crate::shard::http::room_id("0"), Some(uproar_wire::RoomId(0)));
    assert_eq!(crate::shard::http::room_id("4294967295"), Some(uproar_wire::RoomId(u32::MAX)));
}

fn statuses_of_admin(method: &str, target: &str) -> Vec<u16> {
    statuses(HttpPort::Admin, &ask(method, target, "HTTP/1.1"))
}

#[test]
fn a_name_that_is_not_ours_gets_nothing_from_the_admin_port() {
    let room = "{\"name\":\"n\",\"palette\":[{\"name\":\"f\",\"glyph\":\"\u{1f525}\"}]}";
    let put = format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: evil.example:9100\r\nContent-Length: {}\r\n\r\n", room.len());
    // Also when the body comes later than the head.
    assert_eq!(talk(HttpPort::Admin, &[&format!("{put}{room}")]), (vec![403], false, 0));
    assert_eq!(talk(HttpPort::Admin, &[&put, &room[..20], &room[20..]]), (vec![403], false, 0));
    for target in ["/metrics", "/metrics/shards", "/v1/rooms", "/livez", "/readyz", "/nothing"] {
        let request = ask("GET", target, "HTTP/1.1").replace("Host: a", "Host: evil.example");
        assert_eq!(statuses(HttpPort::Admin, &request), [403], "{target}");
    }
    for host in ["Host: a:9100", "Host: 127.0.0.1:9100", "Host: [::1]", "Host: localhost", "Host:"] {
        let request = ask("GET", "/v1/rooms", "HTTP/1.1").replace("Host: a", host);
        assert_eq!(statuses(HttpPort::Admin, &request), [200], "{host}");
    }
    assert_eq!(statuses(HttpPort::Admin, "GET /v1/rooms HTTP/1.0\r\n\r\n"), [200], "no Host at all");
    // An address in the target counts instead of Host, and so cannot get around it.
    for (target, status) in [
        ("http://evil.example/v1/rooms", 403),
        ("http://evil.example:9100/v1/rooms", 403),
        ("http://localhost.evil.example/v1/rooms", 403),
        ("http://localhost:9100/v1/rooms", 200),
        ("http://a/v1/rooms", 200),
    ] {
        for request in [ask("GET", target, "HTTP/1.1"), format!("GET {target} HTTP/1.0\r\n\r\n")] {
            assert_eq!(statuses(HttpPort::Admin, &request), [status], "{request}");
        }
    }
    let public = ask("GET", "/v1/rooms/1", "HTTP/1.1").replace("Host: a", "Host: evil.example");
    assert_eq!(statuses(HttpPort::Public, &public), [200]);
}

#[test]
fn no_other_path_leads_to_a_room() {
    for path in
        ["//v1/rooms/1/", "/v1//rooms/1/", "/v1/./rooms/1/", "/x/../v1/rooms/1/", "/V1/rooms/1/", "/v1/rooms//1/"]
    {
        let (statuses, _, taps) = talk(HttpPort::Public, &[&FIRE.replace("/v1/rooms/1/", path)]);
        assert_eq!((statuses, taps), (vec![404], 0), "{path}");
    }
    for rest in ["reactions/", "reactions/x", "reaction", "Reactions", "reactions%20"] {
        assert_eq!(statuses(HttpPort::Public, &FIRE.replace("reactions", rest)), [404], "{rest}");
    }
    for target in ["/v1/rooms/1/reactions?", "/v1/rooms/1/reactions?a=%2f", "http://other/v1/rooms/1/reactions"] {
        let request = FIRE.replace("/v1/rooms/1/reactions", target);
        assert_eq!(talk(HttpPort::Public, &[&request]), (vec![202], false, 1), "{target}");
    }
}

#[test]
fn methods_that_a_path_does_not_have() {
    for method in ["TRACE", "PATCH", "DELETE", "get", "BREW"] {
        for target in ["/livez", "/v1/rooms/1", "/v1/rooms/1/reactions"] {
            assert_eq!(statuses(HttpPort::Public, &ask(method, target, "HTTP/1.1")), [405], "{method} {target}");
        }
    }
    assert_eq!(statuses(HttpPort::Public, &ask("PROPFIND", "/nothing", "HTTP/1.1")), [404]);
    // A page may not change rooms: what a browser asks first is denied.
    assert_eq!(statuses_of_admin("OPTIONS", "/v1/rooms/1"), [405]);
}

#[test]
fn what_follows_the_end_of_a_connection_is_not_counted() {
    let close = FIRE.replace("Host: a\r\n", "Host: a\r\nConnection: close\r\n");
    let http_1_0 = FIRE.replace("HTTP/1.1", "HTTP/1.0");
    for (first, status, taps) in [
        (close.as_str(), 202, 1),
        (http_1_0.as_str(), 202, 1),
        (&ask("CONNECT", "a:443", "HTTP/1.1"), 404, 0),
        (&ask("GET", "/livez", "HTTP/1.2"), 505, 0),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 0),
        ("\u{16}\u{3}\u{1}\u{2}", 400, 0),
        ("GET /livez\r\n\r\n", 400, 0),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0),
    ] {
        assert_eq!(talk(HttpPort::Public, &[&format!("{first}{FIRE}")]), (vec![status], true, taps), "{first}");
    }
    let kept = http_1_0.replace("Host: a\r\n", "Connection: keep-alive\r\n");
    assert_eq!(talk(HttpPort::Public, &[&format!("{kept}{FIRE}")]), (vec![202, 202], false, 2));
}

#[test]
fn a_request_that_is_not_whole_is_neither_counted_nor_answered() {
    for len in 0..FIRE.len() {
        assert_eq!(talk(HttpPort::Public, &[&FIRE[..len]]), (vec![], false, 0), "{len} bytes");
    }
}

#[test]
fn a_preflight_says_what_becomes_of_the_connection() {
    let preflight = ask("OPTIONS", "/v1/rooms/1/reactions", "HTTP/1.1");
    assert_eq!(talk(HttpPort::Public, &[&format!("{preflight}{FIRE}")]), (vec![204, 202], false, 1));
    let close = preflight.replace("Host: a\r\n", "Host: a\r\nConnection: close\r\n");
    assert_eq!(talk(HttpPort::Public, &[&format!("{close}{FIRE}")]), (vec![204], true, 0));
}

#[test]
fn continue_is_said_only_to_who_waits_for_it_and_will_be_read() {
    let expecting = FIRE.replace("Host: a\r\n", "Host: a\r\nExpect: 100-continue\r\n");
    let (head, body) = expecting.split_at(expecting.len() - 16);
    assert_eq!(talk(HttpPort::Public, &[head, body]), (vec![100, 202], false, 1));
    assert_eq!(talk(HttpPort::Public, &[&expecting]), (vec![202], false, 1));
    assert_eq!(talk(HttpPort::Public, &[&format!("{FIRE}{head}"), body]), (vec![202, 100, 202], false, 2));
    // A final status at once, without the 100 that would ask for the body.
    for (from, to, status) in
        [("100-continue", "200-ok", 417), ("th: 16", "th: 65537", 413), ("th: 16", "th: 16, 16", 400)]
    {
        assert_eq!(talk(HttpPort::Public, &[&head.replace(from, to)]), (vec![status], true, 0));
    }
}

#[test]
fn content_that_is_not_what_it_says_is_refused() {
    for (fields, status) in [
        ("Content-Type: Application/JSON;charset=utf-8\r\n", 202),
        ("Content-Type: text/plain\r\n", 202),
        ("Content-Type: text/html\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: multipart/form-data\r\n", 415),
        ("Content-Type:\r\n", 415),
        ("Content-Type: application/json\r\nContent-Type: application/json\r\n", 415),
        ("Content-Encoding: gzip\r\n", 415),
        ("Content-Encoding: identity\r\n", 202),
        ("Content-Encoding: identity\r\nContent-Encoding: zstd\r\n", 415),
        ("Content-Type: application/octet-stream\r\n", 400),
    ] {
        let request = FIRE.replace("Host: a\r\n", &format!("Host: a\r\n{fields}"));
        assert_eq!(talk(HttpPort::Public, &[&request]), (vec![status], false, u64::from(status == 202)), "{fields}");
    }
}

#[test]
fn a_page_of_many_shards_takes_several_turns_and_is_for_all_who_wait() {
    const SHARDS: usize = 32;
    let counted = |shard: usize| ShardMetrics { datagrams: shard as u64, ..ShardMetrics::default() };
    let mut whole = ShardsPage::new((0..SHARDS).map(counted).collect());
    let mut slices = 1;
    while whole.write_slice(limits::PAGE_SLICE_BYTES) {
        slices += 1;
    }
    let (mut shard, now) = (Shard::new(config(SHARDS), now()), now());
    let askers = [0, 1, 2].map(|slot| HttpConn { slot, generation: 0 });
    for conn in askers {
        shard.http_opened(conn, HttpPort::Admin);
        let request = ask("GET", "/metrics/shards", "HTTP/1.1");
        assert!(shard.handle_http(conn, request.as_bytes(), &mut Vec::new()) == HttpNext::Wait);
    }
    // Who asks while a page is under way waits for the next one.
    for askers in [&askers[..1], &askers[1..]] {
        while let Some((to, message)) = shard.poll_mesh(now) {
            let MeshMessage::Scrape(scrape) = message else { panic!("nothing else is asked") };
            shard.handle_mesh(now, to, MeshMessage::Scraped(scrape, Box::new(counted(to.index()))));
        }
        let mut turns = 1;
        while shard.serve(now) {
            assert!(shard.poll_mesh(now).is_none(), "nothing is asked before all have their page");
            turns += 1;
        }
        assert_eq!(turns, slices - 1 + askers.len());
        for conn in askers {
            assert_eq!(shard.poll_http_ready(), Some(*conn));
            // The first shard tells figures of its own.
            let of_others =
                |page: &str| page.lines().filter(|line| !line.contains("\"0\"")).collect::<Vec<_>>().join("\n");
            assert_eq!(of_others(&body(&mut shard, *conn)), of_others(whole.text()));
        }
    }
    assert_eq!(shard.poll_http_ready(), None);
}

fn body(shard: &mut Shard, conn: HttpConn) -> String {
    let mut reply = Vec::new();
    assert!(
        shard.handle_http(conn, &[], &mut reply) != HttpNext::Close,
        "the answer has come, and another may be asked"
    );
    String::from_utf8(reply).unwrap().split_once("\r\n\r\n").unwrap().1.into()
}
