//! What must be taken, and how it is read.

use super::{ContentKind, Flow, Outcome, decode_however_cut, decoder};
use crate::ingest::http::EntityTag;

macro_rules! accepted {
    ($($name:ident: $bytes:expr => [$($outcome:expr),*];)+) => {
        $(#[test]
        fn $name() {
            let expected: Vec<Outcome> = vec![$($outcome),*];
            assert_eq!(decode_however_cut($bytes.as_ref()), expected);
        })+
    };
}

fn get(path: &str) -> Outcome {
    Outcome::plain(&format!("Get {path}"), b"")
}

fn post(body: &[u8]) -> Outcome {
    Outcome::plain("Post /r", body)
}

accepted! {
    a_request_without_body: "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" => [get("/livez")];
    every_method_has_its_word: "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nPUT /a HTTP/1.1\r\nHost: a\r\n\r\n\
        DELETE /a HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\nPATCH /a HTTP/1.1\r\nHost: a\r\n\r\n" => [
        Outcome::plain("Head /a", b""), Outcome::plain("Put /a", b""), Outcome::plain("Delete /a", b""),
        Outcome::plain("Options /a", b""), Outcome::plain("Other /a", b"")
    ];
    methods_are_case_sensitive: "get /a HTTP/1.1\r\nHost: a\r\n\r\n" => [Outcome::plain("Other /a", b"")];
    connect_is_another_method_and_ends_the_connection: "CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        => [Outcome::plain("Other a:80", b"").then_close()];
    trace_is_another_method: "TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n" => [Outcome::plain("Other /a", b"")];
    options_of_the_server: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" => [Outcome::plain("Options *", b"")];
    a_body_with_a_length: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" => [post(b"hello")];
    a_body_of_length_zero: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" => [post(b"")];
    lengths_between_spaces_and_tabs: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length:\t 2 \t\r\n\r\nhiPOST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tchunked\t \r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        => [post(b"hi"), post(b"hi")];
    a_length_among_trailers_means_nothing: "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        => [post(b""), get("/b")];
    a_body_that_nobody_asks_for: "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        => [Outcome::plain("Get /a", b"hi"), get("/b")];
    names_in_any_case: "POST /r HTTP/1.1\r\nhOST: a\r\ncONTENT-lENGTH: 2\r\nCONTENT-TYPE: application/json\r\nconnectioN: close\r\n\r\nhi"
        => [post(b"hi").with_content(ContentKind::Json).then_close()];
    obsolete_fields_mean_nothing: "GET /a HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\nKeep-Alive: timeout=1\r\nPragma: no-cache\r\nUpgrade: h2c\r\n\r\n"
        => [get("/a")];
    paths_are_left_as_they_are: "GET //a/../b/./%2e HTTP/1.1\r\nHost: a\r\n\r\n" => [get("//a/../b/./%2e")];
    an_empty_type_is_another: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type:\r\n\r\n" => [post(b"").with_content(ContentKind::Other)];
    a_length_with_leading_zeros: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello" => [post(b"hello")];
    a_body_that_looks_like_a_request: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        => [post(b"GET / HTTP/1.1\r\n\r\n")];
    a_chunked_body: "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0a\r\n, stadium!\r\n0\r\n\r\n"
        => [post(b"hello, stadium!")];
    chunk_sizes_in_either_case: "POST /r HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n00000001\r\n!\r\n0\r\n\r\n"
        => [post(b"0123456789!")];
    an_empty_chunked_body: "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => [post(b"")];
    trailers_are_discarded: "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Client-Id: 9\r\nEmpty:\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        => [post(b"hi"), get("/b")];
    chunk_data_may_hold_line_ends: "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\n0\r\n0\r\n\r\n"
        => [post(b"\r\n\n0")];
    the_query_is_apart: "GET /a?b=1?c HTTP/1.1\r\nHost: a\r\n\r\nGET /a? HTTP/1.1\r\nHost: a\r\n\r\n"
        => [get("/a").with_query("b=1?c"), get("/a").with_query("")];
    a_query_survives_a_cut_body: "POST /r?b=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
        => [post(b"hi").with_query("b=1")];
    percent_encoding_is_left: "GET /%61%2f HTTP/1.1\r\nHost: a\r\n\r\n" => [get("/%61%2f")];
    absolute_form: "GET http://u.example:80/a?b HTTP/1.1\r\nHost: u.example\r\n\r\n" => [get("/a").with_query("b")];
    absolute_form_without_path: "GET HTTPS://u.example HTTP/1.1\r\nHost: a\r\n\r\nGET http://u?q HTTP/1.1\r\nHost: a\r\n\r\n"
        => [get("/"), get("/").with_query("q")];
    up_to_two_empty_lines_before_a_request: "\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        => [get("/a"), get("/b")];
    a_client_id: "GET /a HTTP/1.1\r\nHost: a\r\nx-client-id: 18446744073709551615\r\n\r\n" => [get("/a").by_client(u64::MAX)];
    json_with_parameters: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: Application/JSON ; charset=utf-8\r\n\r\n"
        => [post(b"").with_content(ContentKind::Json)];
    octets: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n\r\n"
        => [post(b"").with_content(ContentKind::OctetStream)];
    another_type: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: application/jsonp\r\n\r\n" => [post(b"").with_content(ContentKind::Other)];
    two_types_are_another: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Type: application/json\r\n\r\n"
        => [post(b"").with_content(ContentKind::Other)];
    a_coded_body_is_of_another_type: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"
        => [post(b"").with_content(ContentKind::Other)];
    connection_close_in_a_list: "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, , Close\r\n\r\n" => [get("/a").then_close()];
    connection_close_wins: "GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n" => [get("/a").then_close()];
    http_1_0_closes: "GET /a HTTP/1.0\r\n\r\n" => [get("/a").then_close()];
    http_1_0_keeps_alive_when_asked: "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" => [get("/a")];
    host_with_port_and_empty_host: "GET /a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\nGET /b HTTP/1.1\r\nHost:\r\n\r\n" => [get("/a"), get("/b")];
    values_are_trimmed_and_may_be_opaque: b"GET /a HTTP/1.1\r\nHost: \t a \t\r\nX:\xff\t\xfe\r\nContent-Length:0\r\n\r\n" => [get("/a")];
    nothing: "" => [];
    half_a_request: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell" => [];
}

#[test]
fn host_origin_and_tag_are_the_same_however_cut() {
    let tagged = |tag: &str| {
        format!(
            "POST /r?a HTTP/1.1\r\nHost: h:1\r\norigin: https://a.example:8\r\nIf-None-Match: {tag}\r\nContent-Length: 2\r\n\r\nhi"
        )
    };
    for (tag, expected) in [
        ("\"00000000000000ff\"", Some(EntityTag(0xff))),
        ("W/\"00000000000000ff\"", Some(EntityTag(0xff))),
        ("\"ff\"", None),
        ("\"00000000000000FF\"", None),
        ("\"+0000000000000ff\"", None),
        ("00000000000000ff", None),
        ("\"00000000000000ff\", \"00000000000000fe\"", None),
        ("*", None),
        ("", None),
    ] {
        let bytes = tagged(tag);
        for at in 0..=bytes.len() {
            let (mut decoder, mut requests) = (decoder(), 0);
            let (first, second) = bytes.as_bytes().split_at(at);
            for piece in [first, second] {
                decoder.feed(piece, |request| {
                    let request = request.unwrap();
                    let seen = (request.path, request.query, request.host, request.origin, request.if_none_match);
                    assert_eq!(seen, ("/r", Some("a"), &b"h:1"[..], &b"https://a.example:8"[..], expected), "{at}");
                    requests += 1;
                    Flow::Continue
                });
            }
            assert_eq!(requests, 1);
        }
    }
    decoder().feed(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", |request| {
        let request = request.unwrap();
        assert_eq!((request.origin, request.if_none_match), (&b""[..], None));
        Flow::Continue
    });
}
