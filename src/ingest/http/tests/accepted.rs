//! What must be taken, and how it is read.

use super::{ContentKind, Flow, Outcome, decode_however_cut, decoder};
use crate::ingest::http::{Coding, EntityTag, is_field_list};
use crate::limits::HTTP_ASKED_FIELDS_MAX;

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
    text: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\n" => [post(b"").with_content(ContentKind::Text)];
    a_coded_body: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: GZIP\r\n\r\n"
        => [post(b"").with_content(ContentKind::Coded(Coding::Gzip))];
    a_body_that_says_that_it_is_not_coded: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity\r\nContent-Type: application/json\r\n\r\n"
        => [post(b"").with_content(ContentKind::Json)];
    a_body_that_is_coded_twice: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity\r\nContent-Encoding: br\r\nContent-Encoding: gzip\r\n\r\n"
        => [post(b"").with_content(ContentKind::Coded(Coding::Brotli))];
    an_unknown_coding: "POST /r HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip, br\r\n\r\n"
        => [post(b"").with_content(ContentKind::Coded(Coding::Other))];
    a_method_that_begins_like_a_proxy_header: "PROXY /a HTTP/1.1\r\nHost: a\r\n\r\n" => [Outcome::plain("Other /a", b"")];
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
fn what_fields_say_is_the_same_however_cut() {
    let bytes = "POST /r?a HTTP/1.1\r\nHost: h:1\r\norigin: https://a.example:8\r\nIf-None-Match: *, \"b\"\r\n\
        Access-Control-Request-Headers: traceparent,tracestate\r\nContent-Length: 2\r\n\r\nhi";
    for at in 0..=bytes.len() {
        let (mut decoder, mut requests) = (decoder(), 0);
        let (first, second) = bytes.as_bytes().split_at(at);
        for piece in [first, second] {
            decoder.feed(piece, |request| {
                let request = request.unwrap();
                assert_eq!((request.path, request.query), ("/r", Some("a")), "{at}");
                assert_eq!((request.host, request.origin), (&b"h:1"[..], &b"https://a.example:8"[..]), "{at}");
                let lists = (request.if_none_match, request.asked_fields);
                assert_eq!(lists, (&b"*, \"b\""[..], &b"traceparent,tracestate"[..]), "{at}");
                requests += 1;
                Flow::Continue
            });
        }
        assert_eq!(requests, 1);
    }
    decoder().feed(b"GET /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: \xff\r\n\r\n", |request| {
        let request = request.unwrap();
        assert_eq!((request.origin, request.if_none_match, request.asked_fields), (&b""[..], &b""[..], &b""[..]));
        Flow::Continue
    });
}

#[test]
fn the_host_of_an_absolute_target_counts_and_not_that_of_the_field() {
    for (target, host) in
        [("/a", "h:1"), ("http://other:80/a", "other:80"), ("HTTPS://[::1]?q", "[::1]"), ("http://other", "other")]
    {
        let mut requests = 0;
        decoder().feed(format!("GET {target} HTTP/1.1\r\nHost: h:1\r\n\r\n").as_bytes(), |request| {
            assert_eq!(request.unwrap().host, host.as_bytes(), "{target}");
            requests += 1;
            Flow::Continue
        });
        assert_eq!(requests, 1);
    }
}

#[test]
fn a_tag_is_found_alone_in_a_list_and_by_an_asterisk() {
    let tag = EntityTag(0xff);
    for field in [
        "\"00000000000000ff\"",
        "W/\"00000000000000ff\"",
        "*",
        " * ",
        "\"other\", \"00000000000000ff\"",
        "\"a,b\",W/\"\" , W/\"00000000000000ff\" ",
        "\"00000000000000ff\", \"00000000000000fe\"",
        "\"00000000000000ff\" and more",
    ] {
        assert!(tag.is_among(field.as_bytes()), "{field}");
    }
    for field in [
        "",
        "\"ff\"",
        "\"00000000000000FF\"",
        "\"+0000000000000ff\"",
        "\"000000000000000ff\"",
        "00000000000000ff",
        "\"00000000000000ff",
        "w/\"00000000000000ff\"",
        "\"other\" \"00000000000000ff\"",
        "\"other\", *",
        "\"other\",",
        "\"\"00000000000000ff\"",
    ] {
        assert!(!tag.is_among(field.as_bytes()), "{field}");
    }
}

#[test]
fn fields_that_a_page_asks_for_are_a_bounded_list_of_names() {
    let longest = "x".repeat(HTTP_ASKED_FIELDS_MAX);
    for list in ["traceparent", "content-type,sentry-trace,baggage", "traceparent, tracestate", "x_y!#$", &longest] {
        assert!(is_field_list(list.as_bytes()), "{list}");
    }
    let too_long = longest + "x";
    for list in ["", ",", "a,", "a,,b", "a b", "a:b", "a\tb", "caf\u{e9}", "a;b", "(a)", &too_long] {
        assert!(!is_field_list(list.as_bytes()), "{list}");
    }
}
