//! What browsers are given, and which pages may ask for what.

use super::{FIRE, config, now};
use crate::metrics::{Proto, Reject};
use crate::origins::Origins;
use crate::shard::{HttpConn, HttpNext, HttpPort, Shard, ShardConfig};
use std::sync::Arc;

pub(super) const OURS: &str = "https://www.example.com";
const INFO: &[u8] = b"{\"url\":null,\"port\":7443,\"certificate_hashes\":[]}";

pub(super) struct Browser {
    pub(super) shard: Shard,
}

impl Browser {
    pub(super) fn new(change: impl FnOnce(&mut ShardConfig)) -> Self {
        let mut config = config(1);
        config.settings.webtransport = Some(INFO.into());
        change(&mut config);
        Self { shard: Shard::new(config, now()) }
    }

    /// Of a server that only pages of [`OURS`] may ask.
    pub(super) fn of_ours() -> Self {
        Self::new(|config| config.web.origins = Arc::new(Origins::new(&[OURS.into()]).unwrap()))
    }

    /// Head and body of the reply to a request that is the only one of its connection.
    pub(super) fn ask(&mut self, port: HttpPort, request: &str) -> (String, String) {
        self.ask_bytes(port, request.as_bytes())
    }

    pub(super) fn ask_bytes(&mut self, port: HttpPort, request: &[u8]) -> (String, String) {
        let (conn, mut reply) = (HttpConn { slot: 0, generation: 0 }, Vec::new());
        self.shard.http_opened(conn, port);
        let next = self.shard.handle_http(conn, request, &mut reply);
        if let Some(body) = self.shard.take_http_body(conn) {
            assert_eq!(next, HttpNext::Wait, "the next request waits for the body");
            reply.extend_from_slice(&body);
            // The body has been sent.
            let next = self.shard.handle_http(conn, b"", &mut Vec::new());
            assert!(matches!(next, HttpNext::Read | HttpNext::Close));
        } else if next == HttpNext::Wait {
            while self.shard.poll_mesh(now()).is_some() || self.shard.serve(now()) {}
            assert_eq!(self.shard.poll_http_ready(), Some(conn));
            self.shard.handle_http(conn, b"", &mut reply);
        }
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (format!("{head}\r\n"), body.into())
    }

    fn get(&mut self, port: HttpPort, target: &str, fields: &str) -> (String, String) {
        self.ask(port, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }
}

pub(super) fn status(head: &str) -> u16 {
    head["HTTP/1.1 ".len()..][..3].parse().unwrap()
}

pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut values = head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let value = values.next();
    assert_eq!(values.next(), None, "{name} once");
    value
}

pub(super) fn from(origin: &str, request: &str) -> String {
    request.replacen("Host: a\r\n", &format!("Host: a\r\nOrigin: {origin}\r\n"), 1)
}

const OF_OTHER_SITE: &str = "Sec-Fetch-Site: cross-site";

pub(super) fn with(field: &str, request: &str) -> String {
    request.replacen("Host: a\r\n", &format!("Host: a\r\n{field}\r\n"), 1)
}

const PUBLIC: [(&str, &str); 5] = [
    ("/", "text/html; charset=utf-8"),
    ("/page.css", "text/css; charset=utf-8"),
    ("/page.js", "text/javascript; charset=utf-8"),
    ("/theme.css", "text/css; charset=utf-8"),
    ("/uproar.js", "text/javascript; charset=utf-8"),
];
const ADMIN: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/admin.css", "text/css; charset=utf-8"),
    ("/admin.js", "text/javascript; charset=utf-8"),
    ("/theme.css", "text/css; charset=utf-8"),
];

fn assets() -> impl Iterator<Item = (HttpPort, &'static str, &'static str)> {
    let public = PUBLIC.map(|(path, content_type)| (HttpPort::Public, path, content_type));
    public.into_iter().chain(ADMIN.map(|(path, content_type)| (HttpPort::Admin, path, content_type)))
}

#[test]
fn pages_load_nothing_from_elsewhere() {
    let mut browser = Browser::new(|_| {});
    for (port, path, content_type) in assets() {
        let (head, body) = browser.get(port, path, "");
        assert_eq!(status(&head), 200, "{port:?} {path}");
        assert_eq!(field(&head, "Content-Type"), Some(content_type), "{port:?} {path}");
        assert_eq!(field(&head, "Content-Length"), Some(&*body.len().to_string()));
        assert_eq!(field(&head, "Cache-Control"), Some("no-cache"));
        assert_eq!(field(&head, "X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(field(&head, "Referrer-Policy"), Some("no-referrer"));
        let policy = field(&head, "Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(policy.contains("frame-ancestors 'none'"), port == HttpPort::Admin, "{policy}");
    }
    assert_eq!(status(&browser.get(HttpPort::Public, "/?room=7&transport=sse", "").0), 200);
    for (port, path) in [
        (HttpPort::Public, "/admin.js"),
        (HttpPort::Admin, "/page.js"),
        (HttpPort::Admin, "/uproar.js"),
        (HttpPort::Public, "/index.html"),
        (HttpPort::Public, "//"),
    ] {
        assert_eq!(status(&browser.get(port, path, "").0), 404, "{port:?} {path}");
    }
}

#[test]
fn who_has_a_page_is_only_told_so() {
    let mut browser = Browser::new(|_| {});
    for (port, path, _) in assets() {
        let (whole, body) = browser.get(port, path, "");
        let tag = field(&whole, "ETag").unwrap().to_owned();
        assert!(tag.starts_with('"'), "a strong one: {tag}");
        let (head, none) = browser.get(port, path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((status(&head), none.as_str(), field(&head, "ETag")), (304, "", Some(&*tag)), "{port:?} {path}");
        assert_eq!(field(&head, "Cache-Control"), Some("no-cache"), "it is asked about again all the same");
        for field in [format!("\"a\", W/{tag}"), "*".into()] {
            let (head, _) = browser.get(port, path, &format!("If-None-Match: {field}\r\n"));
            assert_eq!(status(&head), 304, "{port:?} {path} {field}");
        }
        let (head, again) = browser.get(port, path, "If-None-Match: \"0000000000000000\"\r\n");
        assert_eq!((status(&head), &again), (200, &body));
        let (head, none) = browser.ask(port, &format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((head, none.as_str()), (whole, ""));
        let (head, _) = browser.ask(port, &format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let allow = if path == "/" { "GET, HEAD, OPTIONS" } else { "GET, HEAD" };
        assert_eq!((status(&head), field(&head, "Allow")), (405, Some(allow)));
    }
}

#[test]
fn pages_can_be_switched_off() {
    let mut browser = Browser::new(|config| config.web.page = false);
    for (port, path, _) in assets() {
        assert_eq!(status(&browser.get(port, path, "").0), 404, "{port:?} {path}");
    }
    assert_eq!(status(&browser.get(HttpPort::Public, "/v1/rooms/1", "").0), 200);
}

#[test]
fn only_the_sdk_is_for_pages_of_other_sites() {
    let mut browser = Browser::of_ours();
    for (port, path, _) in assets() {
        let (head, _) = browser.get(port, path, "Origin: https://other.example\r\n");
        assert_eq!(status(&head), if port == HttpPort::Admin { 403 } else { 200 }, "{port:?} {path}");
        let any = (path == "/uproar.js").then_some("*");
        assert_eq!(field(&head, "Access-Control-Allow-Origin"), any, "{port:?} {path}");
    }
}

/// Requests to all that the public port has below `/v1/`, each with its status.
fn of_pages() -> Vec<(String, u16)> {
    let ask = |method: &str, target: &str| super::ask(method, target, "HTTP/1.1");
    vec![
        (FIRE.into(), 202),
        (FIRE.replace("fire", "nope"), 422),
        (ask("OPTIONS", "/v1/rooms/1/reactions"), 204),
        (ask("OPTIONS", "/v1/webtransport"), 204),
        (ask("GET", "/v1/rooms/1"), 200),
        (ask("GET", "/v1/rooms/9"), 404),
        (ask("GET", "/v1/rooms/1/frame"), 404),
        (ask("GET", "/v1/rooms/1/stream"), 200),
        (ask("HEAD", "/v1/rooms/1/stream"), 200),
        (ask("GET", "/v1/rooms/9/stream"), 404),
        (ask("OPTIONS", "/v1/rooms/1/stream"), 204),
        (ask("GET", "/v1/webtransport"), 200),
        (ask("PUT", "/v1/webtransport"), 405),
        (ask("GET", "/v1/nothing"), 404),
    ]
}

#[test]
fn pages_of_any_site_may_unless_sites_are_named() {
    for (request, expected) in of_pages() {
        for request in [&request, &from("https://other.example", &request), &from("null", &request)] {
            let (head, _) = Browser::new(|_| {}).ask(HttpPort::Public, request);
            assert_eq!(status(&head), expected, "{request}");
            assert_eq!(field(&head, "Access-Control-Allow-Origin"), Some("*"), "{request}");
            assert_eq!(field(&head, "Vary"), None);
        }
    }
}

#[test]
fn pages_of_sites_that_are_named_may_and_no_others() {
    for (request, expected) in of_pages() {
        for (request, expected, allowed) in [
            (request.clone(), expected, None),
            (from(OURS, &request), expected, Some(OURS)),
            (from("https://www.example.com.evil.example", &request), 403, None),
            (from("http://www.example.com", &request), 403, None),
            (from("null", &request), 403, None),
            // The page of the node itself.
            (from("http://a", &request), expected, None),
            (from("https://a", &request), expected, None),
            (from("http://a.evil.example", &request), 403, None),
            (from("http://a:8080", &request), 403, None),
            // What another page only has fetched.
            (with(OF_OTHER_SITE, &request), 403, None),
            (with("Sec-Fetch-Site: same-origin", &request), expected, None),
            (with("Sec-Fetch-Site: none", &request), expected, None),
        ] {
            let mut browser = Browser::of_ours();
            let (head, body) = browser.ask(HttpPort::Public, &request);
            assert_eq!(status(&head), expected, "{request}");
            // What is refused may be read by any page, and grants nothing.
            let readable = if expected == 403 { Some("*") } else { allowed };
            assert_eq!(field(&head, "Access-Control-Allow-Origin"), readable, "{request}");
            assert_eq!(field(&head, "Access-Control-Allow-Credentials"), allowed.map(|_| "true"), "{request}");
            let is_granted =
                head.contains("Access-Control-Allow-Methods") || head.contains("Access-Control-Allow-Headers");
            assert_eq!(is_granted, status(&head) == 204, "{head}");
            assert_eq!(field(&head, "Vary"), Some("Origin"));
            let is_told = expected == 403 && !request.starts_with("HEAD");
            assert_eq!(body.contains("\"origin_not_allowed\""), is_told, "{body}");
            let metrics = browser.shard.metrics();
            assert_eq!(metrics.reactions[Proto::Http.index()], u64::from(expected == 202), "{request}");
            let refused = metrics.rejected[Proto::Http.index()][Reject::Origin.index()];
            assert_eq!(refused, u64::from(expected == 403), "{request}");
        }
    }
}

#[test]
fn what_is_no_request_is_answered_for_the_same_pages() {
    let bad = "GET /v1/rooms/1 HTTP/1.1\r\n\r\n";
    for (mut browser, port, allowed, vary) in [
        (Browser::new(|_| {}), HttpPort::Public, Some("*"), None),
        (Browser::of_ours(), HttpPort::Public, Some("*"), Some("Origin")),
        (Browser::new(|_| {}), HttpPort::Admin, None, None),
    ] {
        let (head, _) = browser.ask(port, bad);
        assert_eq!(
            (status(&head), field(&head, "Access-Control-Allow-Origin"), field(&head, "Vary")),
            (400, allowed, vary)
        );
        let (conn, mut late) = (HttpConn { slot: 1, generation: 0 }, Vec::new());
        browser.shard.http_opened(conn, port);
        browser.shard.refuse_late_http(conn, &mut late);
        let late = String::from_utf8(late).unwrap();
        assert_eq!(
            (status(&late), field(&late, "Access-Control-Allow-Origin"), field(&late, "Vary")),
            (408, allowed, vary)
        );
    }
}

#[test]
fn the_admin_port_invites_no_page() {
    let room = "{\"name\":\"n\",\"palette\":[{\"name\":\"f\",\"glyph\":\"\u{1f525}\"}]}";
    let put = format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{room}", room.len());
    let ask = |method: &str, target: &str| super::ask(method, target, "HTTP/1.1");
    for (request, expected) in [
        (put.clone(), 201),
        (put.replace("palette", "pelatte"), 400),
        (ask("DELETE", "/v1/rooms/1"), 204),
        (ask("DELETE", "/v1/rooms/8"), 404),
        (ask("OPTIONS", "/v1/rooms/1"), 405),
        (ask("GET", "/v1/rooms/1"), 200),
        (ask("GET", "/v1/rooms/8"), 404),
        (ask("GET", "/v1/rooms"), 200),
        (ask("GET", "/metrics"), 200),
        (ask("GET", "/metrics/shards"), 200),
        (ask("GET", "/livez"), 200),
        (ask("GET", "/readyz"), 200),
        (ask("GET", "/nothing"), 404),
        (ask("GET", "/v1/rooms").replace("Host: a", "Host: evil.example"), 403),
    ] {
        for (origin, expected) in [
            (None, expected),
            // Its own page, also behind a proxy that is known by a name of the operator.
            (Some("http://a"), expected),
            (Some("https://a"), expected),
            (Some("https://a:8443"), expected),
            (Some("https://other.example"), 403),
            (Some("http://localhost:3000"), 403),
            (Some("http://a.evil.example"), 403),
            (Some("null"), 403),
        ] {
            let request = origin.map_or(request.clone(), |origin| with(&format!("Origin: {origin}"), &request));
            let mut browser = Browser::new(|_| {});
            let rooms = browser.shard.metrics().detail.rooms;
            let (head, _) = browser.ask(HttpPort::Admin, &request);
            assert_eq!(status(&head), expected, "{request}");
            assert!(!head.contains("Access-Control"), "{request}\n{head}");
            assert!(
                expected != 403 || browser.shard.metrics().detail.rooms == rooms,
                "what is refused has done nothing"
            );
        }
    }
    // Without a name of the operator, only where it was asked.
    for (host, origin, expected) in [
        ("127.0.0.1:9100", "http://127.0.0.1:9100", 200),
        ("127.0.0.1:9100", "http://127.0.0.1:3000", 403),
        ("localhost:9100", "http://127.0.0.1:9100", 403),
        ("localhost:9100", "http://localhost:9100", 200),
    ] {
        let request = format!("GET /v1/rooms HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
        assert_eq!(status(&Browser::new(|_| {}).ask(HttpPort::Admin, &request).0), expected, "{request}");
    }
}

#[test]
fn other_sites_may_link_to_the_admin_page_and_have_nothing_else_fetched() {
    let ask = |target: &str| super::ask("GET", target, "HTTP/1.1");
    for (target, mode, expected) in [
        ("/", "navigate", 200),
        ("/", "no-cors", 403),
        ("/metrics/shards", "no-cors", 403),
        ("/metrics", "navigate", 403),
        ("/v1/rooms", "cors", 403),
        ("/admin.js", "no-cors", 403),
    ] {
        let request = with(&format!("{OF_OTHER_SITE}\r\nSec-Fetch-Mode: {mode}"), &ask(target));
        let (head, _) = Browser::new(|_| {}).ask(HttpPort::Admin, &request);
        assert_eq!(status(&head), expected, "{target} {mode}");
        let own = request.replace("cross-site", "same-origin");
        assert_eq!(status(&Browser::new(|_| {}).ask(HttpPort::Admin, &own).0), 200, "{target} {mode}");
    }
}

#[test]
fn what_is_of_now_is_kept_by_nobody() {
    let mut browser = Browser::new(|_| {});
    for target in ["/v1/webtransport", "/v1/rooms/1"] {
        let (head, _) = browser.get(HttpPort::Public, target, "");
        assert_eq!((status(&head), field(&head, "Cache-Control")), (200, Some("no-store")), "{target}");
    }
}

#[test]
fn webtransport_is_where_the_last_reload_has_it() {
    let mut browser = Browser::new(|_| {});
    assert_eq!(browser.get(HttpPort::Public, "/v1/webtransport", "").1.as_bytes(), INFO);
    let mut reloaded = config(1);
    for (webtransport, status) in [(Some(&b"{}"[..]), 200), (None, 404)] {
        reloaded.settings.webtransport = webtransport.map(Into::into);
        browser.shard.reconfigure(now(), &reloaded.settings, &reloaded.quic.settings);
        let (head, body) = browser.get(HttpPort::Public, "/v1/webtransport", "");
        assert_eq!(self::status(&head), status);
        assert!(webtransport.is_none_or(|webtransport| body.as_bytes() == webtransport), "{body}");
    }
    assert_eq!(status(&browser.get(HttpPort::Admin, "/v1/webtransport", "").0), 404);
}

/// What a browser asks before a page sends a request with these fields.
fn preflight(fields: &str) -> String {
    with(
        &format!("Access-Control-Request-Headers: {fields}"),
        &super::ask("OPTIONS", "/v1/rooms/1/reactions", "HTTP/1.1"),
    )
}

#[test]
fn pages_may_send_the_fields_of_agents_that_trace_requests() {
    let own = "content-type, x-client-id, last-event-id";
    let agents = "baggage,content-type,sentry-trace,traceparent,tracestate,x-datadog-trace-id";
    for fields in [agents, "content-type, b3", "authorization"] {
        for (mut browser, allowed, credentials) in
            [(Browser::new(|_| {}), "*", None), (Browser::of_ours(), OURS, Some("true"))]
        {
            let (head, _) = browser.ask(HttpPort::Public, &from(OURS, &preflight(fields)));
            assert_eq!(status(&head), 204, "{head}");
            assert_eq!(field(&head, "Access-Control-Allow-Headers"), Some(fields));
            assert_eq!(field(&head, "Access-Control-Allow-Methods"), Some("GET, POST"));
            assert_eq!(field(&head, "Access-Control-Allow-Origin"), Some(allowed));
            // `*` and credentials exclude each other; only a site that is named may send them.
            assert_eq!(field(&head, "Access-Control-Allow-Credentials"), credentials);
            let (head, _) =
                browser.ask(HttpPort::Public, &from(OURS, &super::ask("OPTIONS", "/v1/webtransport", "HTTP/1.1")));
            assert_eq!(field(&head, "Access-Control-Allow-Headers"), Some(own));
        }
    }
    for fields in ["a b", "a\tb", "a,,b", "caf\u{e9}", &"x".repeat(2000)] {
        let (head, body) = Browser::new(|_| {}).ask(HttpPort::Public, &preflight(fields));
        assert_eq!(status(&head), 400, "{fields}");
        assert!(body.contains("\"bad_preflight\"") && !head.contains("Allow-Headers"), "{head}{body}");
    }
    let (head, _) = Browser::of_ours().ask(HttpPort::Public, &from("https://other.example", &preflight("traceparent")));
    assert_eq!((status(&head), field(&head, "Access-Control-Allow-Headers")), (403, None));
}

#[test]
fn a_beacon_of_text_is_counted_where_its_page_may_tap() {
    let text = with("Content-Type: text/plain;charset=UTF-8", FIRE);
    let mut any = Browser::new(|_| {});
    assert_eq!(status(&any.ask(HttpPort::Public, &from("https://other.example", &text)).0), 202);
    assert_eq!(status(&any.ask(HttpPort::Public, &text.replace("fire", "nope")).0), 422);
    assert_eq!(status(&any.ask(HttpPort::Public, &text.replace("{\"emoji\":\"fire\"}", "emoji=fire 12345")).0), 400);
    // It comes without a preflight, so the origin decides alone; a browser names it with every POST.
    let mut named = Browser::of_ours();
    for (request, expected) in [
        (from(OURS, &text), 202),
        (from("http://a", &text), 202),
        (from("https://other.example", &text), 403),
        (from("null", &text), 403),
        (text.clone(), 415),
        (with(OF_OTHER_SITE, &text), 403),
    ] {
        assert_eq!(status(&named.ask(HttpPort::Public, &request).0), expected, "{request}");
    }
    assert_eq!(named.shard.metrics().reactions[Proto::Http.index()], 2);
}

#[test]
fn replies_are_of_the_turn_in_which_they_are_made() {
    let mut browser = Browser::new(|_| {});
    let mut now = now();
    assert_eq!(field(&browser.get(HttpPort::Public, "/livez", "").0, "Date"), Some("Fri, 12 Feb 2027 21:52:14 GMT"));
    now.unix_ms += 1000;
    browser.shard.handle_turn(now);
    for (port, target) in [
        (HttpPort::Public, "/livez"),
        (HttpPort::Public, "/v1/rooms/1"),
        (HttpPort::Public, "/v1/rooms/1/stream"),
        (HttpPort::Public, "/nothing"),
        (HttpPort::Public, "/page.js"),
        (HttpPort::Admin, "/metrics"),
        (HttpPort::Admin, "/v1/rooms"),
    ] {
        let (head, _) = browser.get(port, target, "");
        assert_eq!(field(&head, "Date"), Some("Fri, 12 Feb 2027 21:52:15 GMT"), "{target}");
    }
    assert_eq!(field(&browser.ask(HttpPort::Public, FIRE).0, "Date"), Some("Fri, 12 Feb 2027 21:52:15 GMT"));
}
