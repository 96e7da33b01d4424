//! What must be refused, each with its own reason.

use super::super::ReactionsError;
use super::{Outcome, Refusal, decode_however_cut};
use crate::ingest::reason::assert_reasons;
use crate::limits::{HTTP_HEAD_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_MAX, HTTP_TRAILERS_MAX};

/// A table of refusals; each is a test, fed after a good request, and together they leave no refusal out.
macro_rules! refused {
    ($($name:ident: $bytes:expr => $refusal:ident;)+) => {
        $(#[test]
        fn $name() {
            let mut bytes = b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
            bytes.extend_from_slice($bytes.as_ref());
            bytes.extend_from_slice(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
            let expected = [Outcome::plain("Get /before", b""), Outcome::Refused(Refusal::$refusal)];
            assert_eq!(decode_however_cut(&bytes), expected);
        })+

        #[test]
        fn every_refusal_has_a_test() {
            let tested = [$(Refusal::$refusal),+];
            let large = [Refusal::RequestLineTooLong, Refusal::HeadTooLarge, Refusal::TrailersTooLarge, Refusal::TooManyHeaders];
            for refusal in Refusal::ALL {
                assert!(tested.contains(&refusal) || large.contains(&refusal), "{} has no test", refusal.label());
            }
        }
    };
}

fn with(fields: &str) -> String {
    format!("POST /r HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

refused! {
    a_tls_hello: b"\x16\x03\x01\x02\x00\x01" => TlsHello;
    what_only_begins_like_tls: b"\x16\x02\x01\x02\x00\x01" => BadRequestLine;
    a_proxy_header_in_text: "PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\n" => ProxyProtocol;
    a_proxy_header_for_ipv6: "PROXY TCP6 2001:db8::1 2001:db8::2 50000 8080\r\n" => ProxyProtocol;
    a_proxy_header_of_nobody: "PROXY UNKNOWN\r\n" => ProxyProtocol;
    a_proxy_header_in_binary: b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\xc3\x50\x1f\x90" => ProxyProtocol;
    nul_after_one_empty_line: b"\r\n\0\r\nQUIT\n" => BadRequestLine;
    an_absolute_target_with_a_user: "GET http://u@a/b HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_line_without_version: "GET /\r\n\r\n" => BadRequestLine;
    a_line_without_target: "GET  HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    two_spaces_in_the_line: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    a_tab_in_the_line: "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    a_space_after_the_version: "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" => BadRequestLine;
    a_space_before_the_method: " GET / HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    a_colon_in_the_method: "G:T / HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    nul_in_the_target: "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    cr_in_the_target: "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    cr_before_the_method: "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    three_empty_lines: "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    cr_alone_after_the_request_line: "GET / HTTP/1.1\rHost: a\r\n\r\n" => BadRequestLine;
    bytes_beyond_utf_8_in_the_target: b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n" => BadRequestLine;
    a_target_that_is_no_path: "GET a HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    authority_form: "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_query_alone: "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_target_beyond_ascii: "GET /\u{1F525} HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_target_with_a_fragment: "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_target_of_another_scheme: "GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_target_without_authority: "GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    a_star_that_is_not_asked_for_options: "GET * HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    half_a_percent_encoding: "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    no_hexadecimal_percent_encoding: "GET /%+1 HTTP/1.1\r\nHost: a\r\n\r\n" => BadTarget;
    http_2: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => BadVersion;
    http_1_2: "GET / HTTP/1.2\r\nHost: a\r\n\r\n" => BadVersion;
    http_in_lower_case: "GET / http/1.1\r\nHost: a\r\n\r\n" => BadVersion;
    a_space_in_the_target: "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" => BadVersion;
    bare_lf_before_the_request: "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" => BareLf;
    bare_lf_after_the_request_line: "GET / HTTP/1.1\nHost: a\r\n\r\n" => BareLf;
    bare_lf_after_a_field: "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n" => BareLf;
    bare_lf_ends_the_head: "GET / HTTP/1.1\r\nHost: a\r\n\n" => BareLf;
    bare_lf_after_a_chunk_size: chunked("2\nhi\r\n0\r\n\r\n") => BareLf;
    bare_lf_after_a_chunk: chunked("2\r\nhi\n0\r\n\r\n") => BareLf;
    bare_lf_after_a_trailer: chunked("0\r\nA: b\n\r\n") => BareLf;
    bare_lf_ends_the_trailers: chunked("0\r\n\n") => BareLf;
    a_folded_field: with("X: a\r\n b") => ObsFold;
    a_field_folded_with_a_tab: with("X: a\r\n\tb") => ObsFold;
    a_space_before_the_first_field: "GET / HTTP/1.1\r\n Host: a\r\n\r\n" => ObsFold;
    a_folded_trailer: chunked("0\r\nA: b\r\n c\r\n\r\n") => ObsFold;
    a_space_before_the_colon: with("X : a") => BadHeaderName;
    a_tab_before_the_colon: with("Content-Length\t: 0") => BadHeaderName;
    a_field_without_colon: with("X") => BadHeaderName;
    a_field_without_name: with(": a") => BadHeaderName;
    nul_in_a_name: with("X\0: a") => BadHeaderName;
    a_control_byte_in_a_name: with("X\x01: a") => BadHeaderName;
    a_name_beyond_ascii: with("H\u{f6}st: a") => BadHeaderName;
    nul_in_a_value: with("X: a\0b") => BadHeaderValue;
    a_control_byte_in_a_value: with("X: a\x1bb") => BadHeaderValue;
    delete_in_a_value: with("X: a\x7fb") => BadHeaderValue;
    cr_in_a_value: with("X: a\rb") => BadHeaderValue;
    two_crs_end_a_field: with("X: a\r") => BadHeaderValue;
    no_host: "GET / HTTP/1.1\r\n\r\n" => MissingHost;
    no_host_in_absolute_form: "GET http://a/ HTTP/1.1\r\n\r\n" => MissingHost;
    two_hosts: with("Host: b") => RepeatedHost;
    the_same_host_twice: with("host: a") => RepeatedHost;
    two_hosts_in_http_1_0: "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n" => RepeatedHost;
    a_list_of_hosts: "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" => BadHost;
    a_host_with_a_user: "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n" => BadHost;
    two_origins: with("Origin: https://a.example\r\nOrigin: https://a.example") => RepeatedOrigin;
    a_list_of_origins: with("Origin: https://a.example https://b.example") => BadOrigin;
    an_empty_origin: with("Origin:") => BadOrigin;
    an_origin_beyond_ascii: with("Origin: https://\u{e9}.example") => BadOrigin;
    a_signed_length: with("Content-Length: +5") => BadContentLength;
    a_negative_length: with("Content-Length: -5") => BadContentLength;
    a_hexadecimal_length: with("Content-Length: 0x5") => BadContentLength;
    an_empty_length: with("Content-Length:") => BadContentLength;
    a_list_of_lengths: with("Content-Length: 5, 5") => BadContentLength;
    a_length_with_a_fraction: with("Content-Length: 5.0") => BadContentLength;
    the_same_length_twice: with("Content-Length: 5\r\nContent-Length: 5") => RepeatedContentLength;
    two_lengths: with("Content-Length: 5\r\nContent-Length: 6") => RepeatedContentLength;
    a_length_and_chunks: with("Content-Length: 5\r\nTransfer-Encoding: chunked") => BothLengths;
    chunks_and_a_length: with("Transfer-Encoding: chunked\r\nContent-Length: 0") => BothLengths;
    another_coding: with("Transfer-Encoding: gzip") => BadTransferEncoding;
    a_list_of_codings: with("Transfer-Encoding: gzip, chunked") => BadTransferEncoding;
    a_list_of_chunked: with("Transfer-Encoding: chunked, chunked") => BadTransferEncoding;
    a_coding_that_ends_in_chunked: with("Transfer-Encoding: xchunked") => BadTransferEncoding;
    chunked_in_quotes: with("Transfer-Encoding: \"chunked\"") => BadTransferEncoding;
    no_coding_at_all: with("Transfer-Encoding: identity") => BadTransferEncoding;
    chunked_with_a_comma: with("Transfer-Encoding: chunked,") => BadTransferEncoding;
    chunked_with_a_parameter: with("Transfer-Encoding: chunked;a=b") => BadTransferEncoding;
    chunked_with_a_vertical_tab: with("Transfer-Encoding: \x0bchunked") => BadHeaderValue;
    chunked_twice: with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") => BadTransferEncoding;
    an_empty_coding: with("Transfer-Encoding:") => BadTransferEncoding;
    chunks_in_http_1_0: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" => BadTransferEncoding;
    an_expectation_among_others: with("Expect: 100-continue, 200-ok") => UnknownExpectation;
    another_expectation: with("Expect: 200-ok") => UnknownExpectation;
    a_client_id_in_words: with("X-Client-Id: me") => BadClientId;
    a_negative_client_id: with("X-Client-Id: -1") => BadClientId;
    a_client_id_too_great: with("X-Client-Id: 18446744073709551616") => BadClientId;
    an_empty_client_id: with("X-Client-Id:") => BadClientId;
    two_client_ids: with("X-Client-Id: 1\r\nX-Client-Id: 1") => BadClientId;
    a_length_beyond_the_limit: with("Content-Length: 65537") => BodyTooLarge;
    a_length_beyond_all_numbers: with("Content-Length: 99999999999999999999999999") => BodyTooLarge;
    a_chunk_beyond_the_limit: chunked("10001\r\n") => BodyTooLarge;
    chunks_beyond_the_limit_together: chunked("2\r\nhi\r\nFFFF\r\n") => BodyTooLarge;
    the_greatest_chunk_size: chunked("FFFFFFFF\r\n") => BodyTooLarge;
    a_chunk_size_of_nine_digits: chunked("000000001\r\n") => BadChunkSize;
    no_chunk_size: chunked("\r\nhi") => BadChunkSize;
    a_chunk_size_in_words: chunked("x\r\n") => BadChunkSize;
    a_negative_chunk_size: chunked("-1\r\n") => BadChunkSize;
    a_chunk_size_beyond_all_numbers: chunked("FFFFFFFFFFFFFFFFFF\r\n") => BadChunkSize;
    a_signed_chunk_size: chunked("+2\r\nhi\r\n0\r\n\r\n") => BadChunkSize;
    a_chunk_size_with_a_prefix: chunked("0x2\r\nhi\r\n") => BadChunkSize;
    a_space_before_a_chunk_size: chunked(" 2\r\nhi\r\n") => BadChunkSize;
    a_space_after_a_chunk_size: chunked("2 \r\nhi\r\n") => BadChunkSize;
    cr_alone_after_a_chunk_size: chunked("2\rhi\r\n") => BadChunkSize;
    a_chunk_extension: chunked("2;a=b\r\nhi\r\n") => ChunkExtension;
    an_extension_of_the_last_chunk: chunked("0;\r\n\r\n") => ChunkExtension;
    a_chunk_longer_than_its_size: chunked("2\r\nhip\r\n") => BadChunkEnd;
    cr_alone_after_a_chunk: chunked("2\r\nhi\r0\r\n\r\n") => BadChunkEnd;
    a_trailer_without_colon: chunked("0\r\nA\r\n\r\n") => BadTrailer;
    a_trailer_with_a_space_before_the_colon: chunked("0\r\nA : b\r\n\r\n") => BadTrailer;
    nul_in_a_trailer: chunked("0\r\nA: \0\r\n\r\n") => BadTrailer;
    cr_alone_ends_the_trailers: chunked("0\r\n\rG") => BadTrailer;
    cr_alone_in_a_trailer: chunked("0\r\nA: b\rc\r\n\r\n") => BadTrailer;
}

#[test]
fn labels_are_the_names_of_the_variants() {
    assert_reasons!(Refusal);
    assert_reasons!(ReactionsError);
}

#[test]
fn every_refusal_is_answered_as_an_error() {
    for refusal in Refusal::ALL {
        assert!((400..=505).contains(&refusal.status()), "{}", refusal.label());
        assert!(refusal.detail().ends_with('.'), "{}", refusal.label());
    }
}

/// The bounds and the bytes on either side of them are in `limits`; these are their reasons.
#[test]
fn what_is_too_large_has_its_own_status() {
    let too_large = [
        (format!("GET /{}", "a".repeat(HTTP_REQUEST_LINE_MAX)), Refusal::RequestLineTooLong, 414),
        (with(&format!("X: {}", "a".repeat(HTTP_HEAD_MAX))), Refusal::HeadTooLarge, 431),
        (with(&["X: a"; HTTP_HEADERS_MAX].join("\r\n")), Refusal::TooManyHeaders, 431),
        (chunked(&format!("0\r\nA: {}", "b".repeat(HTTP_TRAILERS_MAX))), Refusal::TrailersTooLarge, 431),
    ];
    for (bytes, refusal, status) in too_large {
        assert_eq!(super::decode([bytes.as_bytes()]), [Outcome::Refused(refusal)]);
        assert_eq!(super::decode(bytes.as_bytes().chunks(1)), [Outcome::Refused(refusal)]);
        assert_eq!(refusal.status(), status);
    }
}
