//! Every way to be refused on the two ports: it has a reply that says what to change, and a counter of its own.

use super::pages::{Browser, OURS, field, from, status, with};
use super::{FIRE, ask, now};
use crate::ids::ShardId;
use crate::limits::{
    HTTP_BODY_MAX, HTTP_HEAD_MAX, HTTP_HEADERS_MAX, HTTP_REACTIONS_MAX, HTTP_REQUEST_LINE_MAX, HTTP_TRAILERS_MAX,
};
use crate::metrics::{self, BuildInfo, HttpProblem, Outcome, ProcessMetrics, Proto};
use crate::origins::Origins;
use crate::shard::{HttpConn, HttpPort, MeshMessage};
use crate::tally::TapLimits;
use std::sync::Arc;
use uproar_wire::frame::PALETTE_MAX;
use uproar_wire::http::ProblemBody;

/// Problems that are not of one request. The last cannot be had in a test: it takes a million rooms.
const APART: [HttpProblem; 6] = [
    HttpProblem::HttpTimeout,
    HttpProblem::PaletteFull,
    HttpProblem::Full,
    HttpProblem::AddressFull,
    HttpProblem::Draining,
    HttpProblem::TooManyRooms,
];

fn get(fields: &str) -> String {
    format!("GET /livez HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

fn post(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn json(body: &str) -> Vec<u8> {
    post("application/json", body.as_bytes())
}

/// A reaction datagram of one record, changed in one place.
fn datagram(at: usize, byte: u8) -> Vec<u8> {
    let mut datagram = [&[1, 0, 1, 0, 1, 0, 0, 0][..], &[0; 8], &[0, 0, 1, 0]].concat();
    datagram[at] = byte;
    post("application/octet-stream", &datagram)
}

/// A request that was no request.
fn framing() -> Vec<(HttpProblem, Vec<u8>)> {
    use HttpProblem as P;
    let text: Vec<(P, String)> = vec![
        (P::BadRequestLine, "GET /\r\n\r\n".into()),
        (P::TlsHello, "\u{16}\u{3}\u{1}".into()),
        (P::ProxyProtocol, "PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\n".into()),
        (P::BadTarget, ask("GET", "a", "HTTP/1.1")),
        (P::BadVersion, ask("GET", "/livez", "HTTP/1.2")),
        (P::RequestLineTooLong, ask("GET", &"/".repeat(HTTP_REQUEST_LINE_MAX), "HTTP/1.1")),
        (P::HeadTooLarge, get(&format!("X: {}", "x".repeat(HTTP_HEAD_MAX)))),
        (P::TooManyHeaders, get(&vec!["X: x"; HTTP_HEADERS_MAX].join("\r\n"))),
        (P::BareLf, get("X: x\nY: y")),
        (P::ObsFold, get("X: x\r\n y")),
        (P::BadHeaderName, get("X : x")),
        (P::BadHeaderValue, get("X: \u{1}")),
        (P::MissingHost, "GET /livez HTTP/1.1\r\n\r\n".into()),
        (P::RepeatedHost, get("Host: a")),
        (P::BadHost, "GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n".into()),
        (P::RepeatedOrigin, get("Origin: http://a\r\nOrigin: http://a")),
        (P::BadOrigin, get("Origin:")),
        (P::BadContentLength, get("Content-Length: +1")),
        (P::RepeatedContentLength, get("Content-Length: 0\r\nContent-Length: 0")),
        (P::BothLengths, get("Content-Length: 0\r\nTransfer-Encoding: chunked")),
        (P::BadTransferEncoding, get("Transfer-Encoding: gzip, chunked")),
        (P::UnknownExpectation, get("Expect: 200-ok")),
        (P::BadClientId, get("X-Client-Id: -1")),
        (P::BodyTooLarge, get(&format!("Content-Length: {}", HTTP_BODY_MAX + 1))),
        (P::BadChunkSize, chunked("x\r\n")),
        (P::ChunkExtension, chunked("1;a=b\r\n")),
        (P::BadChunkEnd, chunked("1\r\nab\r\n")),
        (P::BadTrailer, chunked("0\r\na\r\n\r\n")),
        (P::TrailersTooLarge, chunked(&format!("0\r\na: {}", "x".repeat(HTTP_TRAILERS_MAX)))),
    ];
    text.into_iter().map(|(problem, request)| (problem, request.into_bytes())).collect()
}

/// A request that is whole and not granted.
fn requests() -> Vec<(HttpProblem, Vec<u8>)> {
    use HttpProblem as P;
    let many = vec!["{\"emoji\":\"fire\"}"; HTTP_REACTIONS_MAX + 1].join(",");
    let text: Vec<(P, String)> = vec![
        (P::OriginNotAllowed, from("https://other.example", FIRE)),
        (P::BadPreflight, with("Access-Control-Request-Headers: a b", &ask("OPTIONS", "/v1/rooms/1", "HTTP/1.1"))),
        (P::NotFound, ask("GET", "/nothing", "HTTP/1.1")),
        (P::MethodNotAllowed, ask("PUT", "/livez", "HTTP/1.1")),
        (P::UnknownRoom, ask("GET", "/v1/rooms/9/stream", "HTTP/1.1")),
        (P::NoFrame, ask("GET", "/v1/rooms/1/frame", "HTTP/1.1")),
        (P::ContentCoding, with("Content-Encoding: gzip", FIRE)),
    ];
    let bytes = vec![
        (P::Unsupported, post("text/html", b"")),
        (P::BadJson, json("{}")),
        (P::BadCount, json("{\"emoji\":\"fire\",\"count\":0}")),
        (P::HttpTooLarge, json(&format!("[{many}]"))),
        (P::UnknownEmoji, json("{\"emoji\":\"nope\"}")),
        (P::TooManyTaps, json("{\"emoji\":\"fire\",\"count\":65535}")),
        (P::BadVersion, datagram(0, 2)),
        (P::BadFlags, datagram(1, 1)),
        (P::BadCount, datagram(2, 0)),
        (P::TooShort, datagram(2, 2)),
        (P::TooLong, post("application/octet-stream", &[&[1, 0, 1, 0, 1][..], &[0; 16]].concat())),
        (P::RoomMismatch, datagram(4, 2)),
    ];
    text.into_iter().map(|(problem, request)| (problem, request.into_bytes())).chain(bytes).collect()
}

fn of_admin() -> Vec<(HttpProblem, Vec<u8>)> {
    use HttpProblem as P;
    let put =
        |body: &str| format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let text: Vec<(P, String)> = vec![
        (P::UnknownHost, ask("GET", "/metrics", "HTTP/1.1").replace("Host: a", "Host: evil.example")),
        (P::OriginNotAllowed, from("https://other.example", &ask("GET", "/metrics", "HTTP/1.1"))),
        (P::BadRoom, put("{}")),
        (P::UnknownRoom, ask("DELETE", "/v1/rooms/9", "HTTP/1.1")),
        (P::NotFound, ask("GET", "/nothing", "HTTP/1.1")),
        (P::MethodNotAllowed, ask("PUT", "/metrics", "HTTP/1.1")),
        (P::BodyTooLarge, put("").replace("Length: 0", "Length: 9999999")),
    ];
    text.into_iter().map(|(problem, request)| (problem, request.into_bytes())).collect()
}

/// What was refused, as the page of metrics has it.
fn counted(browser: &mut Browser) -> Vec<(String, u64)> {
    let mut page = String::new();
    metrics::render(&browser.shard.metrics(), &ProcessMetrics::default(), &BuildInfo::current(), &mut page);
    let series =
        page.lines().filter_map(|line| line.strip_prefix("uproar_http_refused_total{code=\"")?.split_once("\"} "));
    let counts = series.map(|(code, count)| (code.to_owned(), count.parse().unwrap()));
    counts.filter(|&(_, count)| count > 0).collect()
}

#[track_caller]
fn assert_told_and_counted(browser: &mut Browser, problem: HttpProblem, (head, body): &(String, String)) {
    let told: ProblemBody<'_> = serde_json::from_str(body).unwrap();
    assert_eq!((told.status, &*told.code), (status(head), problem.label()), "{head}{body}");
    assert!(told.detail.len() > 15, "{body}");
    assert_eq!(counted(browser), [(problem.label().to_owned(), 1)], "{body}");
    let metrics = browser.shard.metrics();
    assert_eq!(metrics.http_requests[metrics::http_code_index(told.status)], 1, "{body}");
    assert_ne!(
        metrics::http_code_index(told.status),
        metrics::HTTP_CODES.len(),
        "{} is counted by itself",
        told.status
    );
}

#[test]
fn every_refusal_is_told_and_counted() {
    let public = framing().into_iter().chain(requests()).map(|case| (HttpPort::Public, case));
    let admin = framing().into_iter().filter(|(problem, _)| *problem != HttpProblem::BodyTooLarge);
    let admin = admin.chain(of_admin()).map(|case| (HttpPort::Admin, case));
    let mut seen = APART.to_vec();
    for (port, (problem, request)) in public.chain(admin) {
        let mut browser = Browser::new(|config| {
            config.web.origins = Arc::new(Origins::new(&[OURS.into()]).unwrap());
            config.settings.tap_limits = TapLimits { per_record: 600, per_request: 2400 };
        });
        let reply = browser.ask_bytes(port, &request);
        assert_told_and_counted(&mut browser, problem, &reply);
        let readers = (port == HttpPort::Public).then_some(());
        let is_framing = framing().iter().any(|(framing, _)| *framing == problem);
        if is_framing && !matches!(problem, HttpProblem::BadVersion) {
            let of_http: u64 = browser.shard.metrics().rejected[Proto::Http.index()].iter().sum();
            assert_eq!(of_http, 1, "{problem:?}");
            assert_eq!(
                field(&reply.0, "Access-Control-Allow-Origin"),
                readers.map(|()| "*"),
                "{problem:?} {}",
                reply.0
            );
        }
        seen.push(problem);
    }
    for problem in HttpProblem::ALL {
        assert!(seen.contains(&problem), "{} has no test", problem.label());
    }
}

#[test]
fn a_request_that_comes_too_late_is_told_and_counted() {
    for port in [HttpPort::Public, HttpPort::Admin] {
        let (mut browser, mut reply) = (Browser::new(|_| {}), Vec::new());
        let conn = HttpConn { slot: 0, generation: 0 };
        browser.shard.http_opened(conn, port);
        browser.shard.refuse_late_http(conn, &mut reply);
        assert_told_and_counted(&mut browser, HttpProblem::HttpTimeout, &parted(reply));
    }
}

#[test]
fn a_connection_that_is_turned_away_is_told_and_counted() {
    for (port, outcome, problem) in [
        (HttpPort::Public, Outcome::Full, HttpProblem::Full),
        (HttpPort::Admin, Outcome::Full, HttpProblem::Full),
        (HttpPort::Public, Outcome::AddressFull, HttpProblem::AddressFull),
        (HttpPort::Public, Outcome::Draining, HttpProblem::Draining),
    ] {
        let (mut browser, mut reply) = (Browser::of_ours(), Vec::new());
        browser.shard.refuse_http_connection(port, outcome, &mut reply);
        let reply = parted(reply);
        assert_told_and_counted(&mut browser, problem, &reply);
        assert_eq!(field(&reply.0, "Connection"), Some("close"));
        assert_eq!(browser.shard.metrics().connections[Proto::Http.index()][outcome.index()], 1);
    }
}

#[test]
fn a_palette_that_has_no_ids_left_is_told_and_counted() {
    let mut browser = Browser::new(|_| {});
    let put = |range: std::ops::Range<usize>| {
        let emoji: Vec<_> = range.map(|at| format!("{{\"name\":\"n{at}\",\"glyph\":\"g{at}\"}}")).collect();
        let room = format!("{{\"name\":\"n\",\"palette\":[{}]}}", emoji.join(","));
        format!("PUT /v1/rooms/9 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{room}", room.len())
    };
    assert_eq!(status(&browser.ask(HttpPort::Admin, &put(0..PALETTE_MAX)).0), 201);
    let reply = browser.ask(HttpPort::Admin, &put(PALETTE_MAX..PALETTE_MAX + 1));
    assert_told_and_counted(&mut browser, HttpProblem::PaletteFull, &reply);
}

#[test]
fn what_is_not_to_be_had_now_says_when_to_come_again() {
    let draining = || {
        let mut browser = Browser::of_ours();
        browser.shard.handle_mesh(now(), ShardId(0), MeshMessage::Drain);
        browser
    };
    let closed = || {
        let mut browser = draining();
        browser.shard.begin_drain(now());
        browser
    };
    let full = || Browser::new(|config| config.settings.streams_max = 0);
    for (mut browser, problem, request) in [
        (full(), HttpProblem::Full, ask("GET", "/v1/rooms/1/stream", "HTTP/1.1")),
        (draining(), HttpProblem::Draining, ask("GET", "/v1/rooms/1/stream", "HTTP/1.1")),
        (draining(), HttpProblem::Draining, ask("GET", "/v1/webtransport", "HTTP/1.1")),
        (closed(), HttpProblem::Draining, FIRE.into()),
    ] {
        let reply = browser.ask(HttpPort::Public, &from(OURS, &request));
        assert_told_and_counted(&mut browser, problem, &reply);
        let seconds: u64 = field(&reply.0, "Retry-After").unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
        // A page of another site reads only the fields that it may.
        assert_eq!(field(&reply.0, "Access-Control-Expose-Headers"), Some("Retry-After"));
        assert_eq!((status(&reply.0), field(&reply.0, "Connection")), (503, Some("close")));
    }
}

#[test]
fn what_is_too_large_says_how_large_it_may_be() {
    for (problem, limit) in [
        (HttpProblem::RequestLineTooLong, HTTP_REQUEST_LINE_MAX),
        (HttpProblem::HeadTooLarge, HTTP_HEAD_MAX),
        (HttpProblem::TooManyHeaders, HTTP_HEADERS_MAX),
        (HttpProblem::BodyTooLarge, HTTP_BODY_MAX),
        (HttpProblem::TrailersTooLarge, HTTP_TRAILERS_MAX),
    ] {
        let (_, request) = framing().into_iter().find(|(other, _)| *other == problem).unwrap();
        let (_, body) = Browser::new(|_| {}).ask_bytes(HttpPort::Public, &request);
        assert!(body.replace(',', "").contains(&format!(" {limit} ")), "{limit}: {body}");
    }
    let (_, request) = of_admin().into_iter().find(|(problem, _)| *problem == HttpProblem::BodyTooLarge).unwrap();
    let (_, body) = Browser::new(|_| {}).ask_bytes(HttpPort::Admin, &request);
    assert!(body.contains("4,194,304 bytes"), "{body}");
}

fn parted(reply: Vec<u8>) -> (String, String) {
    let reply = String::from_utf8(reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (format!("{head}\r\n"), body.into())
}
