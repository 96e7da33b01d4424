//! Every bound at its last good and its first bad byte; what a connection holds; what a byte costs.

use super::super::Progress;
use super::{DecoderLimits, Flow, Outcome, Refusal, RequestDecoder, decode, decoder};
use crate::limits::{
    HTTP_BODY_MAX, HTTP_HEAD_MAX, HTTP_HEADERS_MAX, HTTP_PAUSE_BYTES_MAX, HTTP_REQUEST_LINE_MAX, HTTP_TRAILERS_MAX,
    TCP_BUFFER,
};

/// The one refusal, or none when all were requests; the same whole, in buffers, and byte by byte.
fn refusal_of(bytes: &[u8]) -> Option<Refusal> {
    let whole = decode([bytes]);
    assert_eq!(decode(bytes.chunks(1)), whole);
    assert_eq!(decode(bytes.chunks(4096)), whole);
    assert_eq!(whole.len(), 1);
    match whole[0] {
        Outcome::Refused(refusal) => Some(refusal),
        Outcome::Request { .. } => None,
    }
}

fn line_of(len: usize) -> String {
    let path = "a".repeat(len - "GET / HTTP/1.1\r\n".len());
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_request_line_may_be_as_long_as_its_limit() {
    assert_eq!(refusal_of(line_of(HTTP_REQUEST_LINE_MAX).as_bytes()), None);
    assert_eq!(refusal_of(line_of(HTTP_REQUEST_LINE_MAX + 1).as_bytes()), Some(Refusal::RequestLineTooLong));
}

#[test]
fn a_head_may_be_as_large_as_its_limit() {
    let head_of = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "a".repeat(len - start.len() - 4))
    };
    assert_eq!(refusal_of(head_of(HTTP_HEAD_MAX).as_bytes()), None);
    assert_eq!(refusal_of(head_of(HTTP_HEAD_MAX + 1).as_bytes()), Some(Refusal::HeadTooLarge));
}

#[test]
fn a_head_may_have_as_many_fields_as_its_limit() {
    let with_fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(count - 1));
    assert_eq!(refusal_of(with_fields(HTTP_HEADERS_MAX).as_bytes()), None);
    assert_eq!(refusal_of(with_fields(HTTP_HEADERS_MAX + 1).as_bytes()), Some(Refusal::TooManyHeaders));
}

#[test]
fn a_body_may_be_as_large_as_its_limit() {
    let with_body = |len: usize| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; len]].concat()
    };
    assert_eq!(refusal_of(&with_body(HTTP_BODY_MAX)), None);
    assert_eq!(refusal_of(&with_body(HTTP_BODY_MAX + 1)), Some(Refusal::BodyTooLarge));
}

#[test]
fn chunks_may_add_up_to_the_limit_of_a_body() {
    let with_chunks = |last: usize| {
        let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for len in [HTTP_BODY_MAX / 2, last] {
            bytes.extend_from_slice(format!("{len:x}\r\n{}\r\n", "x".repeat(len)).as_bytes());
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    };
    assert_eq!(refusal_of(&with_chunks(HTTP_BODY_MAX / 2)), None);
    assert_eq!(refusal_of(&with_chunks(HTTP_BODY_MAX / 2 + 1)), Some(Refusal::BodyTooLarge));
}

#[test]
fn trailers_may_be_as_large_as_their_limit() {
    let with_trailers = |len: usize| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
        format!("{head}A: {}\r\n\r\n", "b".repeat(len - "A: \r\n\r\n".len()))
    };
    assert_eq!(refusal_of(with_trailers(HTTP_TRAILERS_MAX).as_bytes()), None);
    assert_eq!(refusal_of(with_trailers(HTTP_TRAILERS_MAX + 1).as_bytes()), Some(Refusal::TrailersTooLarge));
}

#[test]
fn the_limit_of_a_body_is_the_ports() {
    let mut decoder = RequestDecoder::new(DecoderLimits { body_bytes: 3 });
    let mut outcomes = Vec::new();
    for len in [3, 4] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\nabc");
        decoder.feed(bytes.as_bytes(), |result| {
            outcomes.push(Outcome::of(result));
            Flow::Continue
        });
    }
    assert_eq!(outcomes, [Outcome::plain("Post /", b"abc"), Outcome::Refused(Refusal::BodyTooLarge)]);
}

/// Feeds `bytes` in pieces of `piece_len`; gives the most heap that was held on the way.
fn most_heap(decoder: &mut RequestDecoder, bytes: &[u8], piece_len: usize) -> usize {
    let held = bytes.chunks(piece_len).map(|piece| {
        decoder.feed(piece, |_| Flow::Continue);
        assert!(decoder.buffered_bytes() <= decoder.heap_bytes());
        decoder.heap_bytes()
    });
    held.max().unwrap_or(0)
}

const POST: &[u8] = b"POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn requests_that_no_buffer_cuts_need_no_heap() {
    assert_eq!(most_heap(&mut decoder(), &POST.repeat(16), 16 * POST.len()), 0);
}

#[test]
fn a_body_in_one_piece_is_not_copied() {
    let mut decoder = decoder();
    let (head, body) = POST.split_at(POST.len() - 5);
    decoder.feed(head, |_| Flow::Continue);
    assert_eq!(decoder.heap_bytes(), 0);
    let mut place = None;
    decoder.feed(body, |result| {
        place = result.map(|request| request.body.as_ptr()).ok();
        Flow::Continue
    });
    assert_eq!(place, Some(body.as_ptr()));
}

#[test]
fn an_idle_connection_holds_no_heap() {
    let mut decoder = decoder();
    assert!(most_heap(&mut decoder, &POST.repeat(3), 1) > 0);
    assert_eq!((decoder.heap_bytes(), decoder.buffered_bytes()), (0, 0));
    assert!(!decoder.is_mid_request());
}

#[test]
fn a_connection_holds_no_more_than_its_limits() {
    let endless = b"GET / HTTP/1.1\r\nX: ".iter().copied().chain(std::iter::repeat_n(b'a', 2 * HTTP_HEAD_MAX));
    assert!(most_heap(&mut decoder(), &endless.collect::<Vec<_>>(), 100) <= HTTP_HEAD_MAX);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {HTTP_BODY_MAX}\r\n\r\n");
    let long = [head.as_bytes(), &vec![b'x'; HTTP_BODY_MAX]].concat();
    assert!(most_heap(&mut decoder(), &long, 100) <= HTTP_BODY_MAX);
}

#[test]
fn a_pause_holds_no_more_than_its_limit() {
    let mut decoder = decoder();
    let mut most = 0;
    while decoder.hold(&[b'x'; TCP_BUFFER]) {
        most = most.max(decoder.heap_bytes());
    }
    most = most.max(decoder.heap_bytes());
    assert!(most <= 2 * (HTTP_HEAD_MAX + HTTP_BODY_MAX + HTTP_PAUSE_BYTES_MAX), "{most}");
}

#[test]
fn progress_tells_how_far_a_request_has_come() {
    let mut decoder = decoder();
    let mut seen = vec![decoder.progress()];
    for byte in POST {
        decoder.feed(&[*byte], |_| Flow::Continue);
        seen.push(decoder.progress());
    }
    seen.dedup();
    let body = (0..5).map(|bytes| Progress::Body { bytes });
    let whole: Vec<_> = [Progress::Idle, Progress::Head].into_iter().chain(body).chain([Progress::Idle]).collect();
    assert_eq!(seen, whole);
}

#[test]
fn a_length_alone_reserves_nothing() {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {HTTP_BODY_MAX}\r\n\r\nx");
    let mut decoder = decoder();
    most_heap(&mut decoder, head.as_bytes(), head.len());
    assert!(decoder.is_mid_request());
    assert!(decoder.heap_bytes() < 64);
}

#[test]
fn a_byte_costs_the_same_however_the_bytes_are_cut() {
    let large_head = line_of(HTTP_REQUEST_LINE_MAX);
    let chunks = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "1\r\nx\r\n".repeat(10_000)
    );
    for bytes in [large_head.into_bytes(), chunks.into_bytes(), POST.repeat(100)] {
        for piece_len in [1, 7, 4096, bytes.len()] {
            let mut decoder = decoder();
            bytes.chunks(piece_len).for_each(|piece| decoder.feed(piece, |_| Flow::Continue));
            assert!(decoder.work_bytes >= bytes.len());
            assert!(decoder.work_bytes <= 4 * bytes.len(), "{} for {} bytes", decoder.work_bytes, bytes.len());
        }
    }
}
