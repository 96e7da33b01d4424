//! Pipelining, pausing, closing, `100 Continue`; and any bytes, cut in any way.

use super::{Flow, Outcome, Refusal, RequestDecoder, decode, decode_however_cut, decoder};
use proptest::prelude::*;

/// `count` requests of both framings, and what they are.
fn pipeline(count: usize) -> (Vec<u8>, Vec<Outcome>) {
    let mut bytes = Vec::new();
    let mut outcomes = Vec::new();
    for at in 0..count {
        let body = "x".repeat(at % 4);
        let text = match at % 3 {
            0 => format!("POST /{at} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            1 if !body.is_empty() => format!(
                "POST /{at} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
            _ => {
                bytes.extend_from_slice(format!("GET /{at} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
                outcomes.push(Outcome::plain(&format!("Get /{at}"), b""));
                continue;
            }
        };
        bytes.extend_from_slice(text.as_bytes());
        outcomes.push(Outcome::plain(&format!("Post /{at}"), body.as_bytes()));
    }
    (bytes, outcomes)
}

#[test]
fn pipelined_requests_come_in_order_at_every_cut() {
    for count in [1, 2, 3, 16] {
        let (bytes, outcomes) = pipeline(count);
        assert_eq!(decode_however_cut(&bytes), outcomes);
    }
}

#[test]
fn heads_that_repeat_say_the_same_whatever_stands_between_them() {
    let request = |body: &str| format!("POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{body}");
    let counted = |body: &str| Outcome::plain("Post /r", body.as_bytes());
    let bytes = [&request("abc"), &request("POS"), "\r\n", &request("\r\n\r"), "GET /r HTTP/1.1\r\nHost: a\r\n\r\n"];
    let bytes = bytes.concat() + &request("xyz") + "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc";
    let outcomes = decode_however_cut(bytes.as_bytes());
    assert_eq!(
        outcomes,
        [
            counted("abc"),
            counted("POS"),
            counted("\r\n\r"),
            Outcome::plain("Get /r", b""),
            counted("xyz"),
            Outcome::Refused(Refusal::BadContentLength)
        ]
    );
}

/// Feeds one piece and takes one request a call, by pausing after each, until nothing is left.
fn one_a_call(decoder: &mut RequestDecoder, piece: &[u8], outcomes: &mut Vec<Outcome>) {
    let mut input = piece;
    loop {
        let before = outcomes.len();
        decoder.feed(input, |result| {
            outcomes.push(Outcome::of(result));
            Flow::Pause
        });
        input = &[];
        match outcomes.len() - before {
            0 => return,
            taken => assert_eq!(taken, 1, "a pause lets no second request through"),
        }
    }
}

#[test]
fn a_pause_keeps_the_rest_for_the_next_feed() {
    let (bytes, outcomes) = pipeline(16);
    for piece_len in [1, 50, 300, bytes.len()] {
        let mut decoder = decoder();
        let mut taken = Vec::new();
        bytes.chunks(piece_len).for_each(|piece| one_a_call(&mut decoder, piece, &mut taken));
        assert_eq!(taken, outcomes);
        assert_eq!(decoder.heap_bytes(), 0);
    }
}

#[test]
fn bytes_fed_during_a_pause_come_after_those_kept() {
    let (bytes, outcomes) = pipeline(16);
    let mut decoder = decoder();
    let mut taken = Vec::new();
    let pause = |taken: &mut Vec<Outcome>, result| {
        taken.push(result);
        Flow::Pause
    };
    for piece in bytes.chunks(bytes.len() / 5) {
        decoder.feed(piece, |result| pause(&mut taken, Outcome::of(result)));
    }
    assert!(taken.len() < outcomes.len());
    assert!(decoder.buffered_bytes() > 0);
    one_a_call(&mut decoder, b"", &mut taken);
    assert_eq!(taken, outcomes);
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn what_a_pause_keeps_is_not_a_begun_request() {
    let (bytes, _) = pipeline(2);
    let mut decoder = decoder();
    decoder.feed(&bytes, |_| Flow::Pause);
    assert!(decoder.buffered_bytes() > 0);
    assert!(!decoder.is_mid_request());
}

#[test]
fn close_ignores_the_rest_and_all_that_comes() {
    let (bytes, outcomes) = pipeline(3);
    let mut decoder = decoder();
    let mut taken = Vec::new();
    for piece in [&bytes[..], &bytes[..], b""] {
        decoder.feed(piece, |result| {
            taken.push(Outcome::of(result));
            Flow::Close
        });
    }
    assert_eq!(taken, outcomes[..1]);
    assert_eq!((decoder.heap_bytes(), decoder.is_mid_request()), (0, false));
}

#[test]
fn close_after_a_pause_ignores_what_was_kept() {
    let (bytes, _) = pipeline(3);
    let mut decoder = decoder();
    decoder.feed(&bytes, |_| Flow::Pause);
    decoder.feed(b"", |_| Flow::Close);
    assert_eq!(decoder.buffered_bytes(), 0);
    decoder.feed(&bytes, |_| unreachable!("closed"));
}

#[test]
fn a_refusal_comes_once_and_closes_whatever_the_caller_says() {
    let mut decoder = decoder();
    let mut taken = Vec::new();
    for _ in 0..2 {
        decoder.feed(b"GET / HTTP/1.1\n\n", |result| {
            taken.push(Outcome::of(result));
            Flow::Continue
        });
    }
    assert_eq!(taken, [Outcome::Refused(Refusal::BareLf)]);
    assert_eq!(decoder.heap_bytes(), 0);
}

#[test]
fn a_request_is_under_way_from_its_first_byte_to_its_last() {
    let bytes = b"POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let mut decoder = decoder();
    assert!(!decoder.is_mid_request());
    for (at, byte) in bytes.iter().enumerate() {
        decoder.feed(&[*byte], |_| Flow::Continue);
        assert_eq!(decoder.is_mid_request(), at + 1 < bytes.len(), "after byte {at}");
    }
}

const EXPECTING: &[u8] = b"POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn continue_is_wanted_once_when_the_body_is_held_back() {
    let mut decoder = decoder();
    decoder.feed(EXPECTING, |_| unreachable!("the body has not come"));
    assert!(decoder.wants_continue());
    assert!(!decoder.wants_continue());
    let mut bodies = Vec::new();
    decoder.feed(b"hello", |result| {
        bodies.push(Outcome::of(result));
        Flow::Continue
    });
    assert_eq!(bodies, [Outcome::plain("Post /r", b"hello")]);
}

#[test]
fn continue_is_not_wanted_when_the_body_has_begun_to_come() {
    let mut together = decoder();
    together.feed(&[EXPECTING, b"h"].concat(), |_| Flow::Continue);
    assert!(!together.wants_continue());
    let mut late = decoder();
    late.feed(EXPECTING, |_| Flow::Continue);
    late.feed(b"h", |_| Flow::Continue);
    assert!(!late.wants_continue());
}

#[test]
fn continue_is_not_wanted_without_a_body_nor_in_http_1_0_nor_for_too_much() {
    for head in [
        "POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        "POST /r HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n",
    ] {
        let mut decoder = decoder();
        decoder.feed(head.as_bytes(), |_| Flow::Continue);
        assert!(!decoder.wants_continue(), "{head}");
    }
}

/// Bytes that get past the first rules more often than chance would.
fn nearly_http() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /r?q HTTP/1.1\r\n",
        "GET /a HTTP/1.0\r\n",
        "Host: a\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "X: y\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 12\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "abc",
        "A: b\r\n",
        "3;x\r\n",
        ":",
        "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]);
    let part = prop_oneof![
        9 => parts.prop_map(|part| part.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Cuts `bytes` after pieces of these lengths.
fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for &length in lengths {
        let (piece, others) = rest.split_at(length.min(rest.len()));
        pieces.push(piece.to_vec());
        rest = others;
    }
    pieces.push(rest.to_vec());
    pieces
}

proptest! {
    #[test]
    fn any_bytes_cut_in_any_way_come_out_the_same(
        bytes in prop_oneof![nearly_http(), prop::collection::vec(any::<u8>(), 0..200)],
        lengths in prop::collection::vec(0usize..30, 0..20),
    ) {
        let pieces = cut(&bytes, &lengths);
        let whole = decode([&bytes[..]]);
        prop_assert_eq!(&decode(pieces.iter().map(Vec::as_slice)), &whole);
        prop_assert_eq!(&decode(bytes.chunks(1)), &whole);

        let (mut decoder, mut paused) = (decoder(), Vec::new());
        pieces.iter().for_each(|piece| one_a_call(&mut decoder, piece, &mut paused));
        prop_assert_eq!(paused, whole);
    }
}
