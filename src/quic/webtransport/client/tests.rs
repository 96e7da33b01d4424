//! What follows from streams that no QUIC carries: who waits, who is turned away, and that nothing is read too early.

use super::*;
use crate::origins::Origins;

const RULES: Rules<'_> = Rules { origins: &Origins::Any, is_refusing: false };

const REQUEST: u64 = 0;
const CONTROL_STREAM: u64 = 2;

/// Hands over what the client takes of `bytes`; what follows last, and what is left.
fn say<'a>(client: &mut Client, stream: u64, mut bytes: &'a [u8]) -> (Step, &'a [u8]) {
    while let Some(most) = client.wants(stream).filter(|_| !bytes.is_empty()) {
        let (now, rest) = bytes.split_at(most.min(bytes.len()));
        bytes = rest;
        let step = client.handle_bytes(stream, now, RULES).unwrap();
        if step != Step::More {
            return (step, bytes);
        }
    }
    (Step::More, bytes)
}

fn settled() -> Client {
    let mut client = Client::default();
    client.handle_opened(CONTROL_STREAM, true);
    assert_eq!(say(&mut client, CONTROL_STREAM, &[0, 4, 0]), (Step::More, &[][..]));
    client
}

/// A request with names and values as they are.
fn request() -> Vec<u8> {
    let fields = [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", "uproar.test"),
        (":path", uproar_wire::http::WEBTRANSPORT_PATH),
        (":protocol", "webtransport"),
    ];
    let mut section = vec![0, 0];
    for (name, value) in fields {
        match name.len() {
            short @ ..7 => section.push(0x20 | short as u8),
            long => section.extend([0x27, (long - 7) as u8]),
        }
        section.extend_from_slice(name.as_bytes());
        section.push(value.len() as u8);
        section.extend_from_slice(value.as_bytes());
    }
    [&[1, 0x40, section.len() as u8][..], &section].concat()
}

#[test]
fn what_is_behind_a_header_is_left_to_the_session() {
    let mut client = settled();
    client.handle_opened(REQUEST, false);
    assert_eq!(say(&mut client, REQUEST, &request()).0, Step::Answer(Http3Status::Granted));
    client.handle_opened(4, false);
    assert_eq!(say(&mut client, 4, &[0x40, 0x41, 0x80, 0, 0, 0, 9, 9]), (Step::Handed, &[9, 9][..]));
    assert_eq!(client.wants(4), None);
    client.handle_opened(8, false);
    assert_eq!(say(&mut client, 8, &[0x40, 0x41, 0]).0, Step::Second);
}

#[test]
fn one_stream_waits_for_its_session() {
    let mut client = settled();
    for stream in [4, 8, REQUEST] {
        client.handle_opened(stream, false);
    }
    assert_eq!(say(&mut client, 4, &[0x40, 0x41, 0, 9]), (Step::More, &[9][..]));
    assert_eq!(client.poll_waiting(), None);
    assert_eq!(say(&mut client, 8, &[0x40, 0x41, 0]).0, Step::Refuse(Http3Refusal::BufferedStreamRejected));
    assert_eq!(say(&mut client, REQUEST, &request()).0, Step::Answer(Http3Status::Granted));
    assert_eq!((client.poll_waiting(), client.poll_waiting()), (Some((4, Step::Handed)), None));
}

#[test]
fn who_waits_for_another_session_is_turned_away() {
    let mut client = settled();
    client.handle_opened(4, false);
    client.handle_opened(REQUEST, false);
    say(&mut client, 4, &[0x40, 0x41, 8]);
    say(&mut client, REQUEST, &request());
    assert_eq!(client.poll_waiting(), Some((4, Step::Refuse(Http3Refusal::BufferedStreamRejected))));
}

#[test]
fn nothing_is_read_of_requests_before_the_settings() {
    let mut client = Client::default();
    client.handle_opened(REQUEST, false);
    assert_eq!((client.wants(REQUEST), client.requests()), (None, vec![REQUEST]));
    client.handle_opened(CONTROL_STREAM, true);
    say(&mut client, CONTROL_STREAM, &[0, 4, 0]);
    assert_eq!(client.wants(REQUEST), Some(2));
}

#[test]
fn a_request_that_ends_too_early_is_cut_off() {
    let mut client = settled();
    client.handle_opened(REQUEST, false);
    assert_eq!(client.handle_end(REQUEST), Ok(Step::Refuse(Http3Refusal::RequestIncomplete)));
    client.handle_opened(4, false);
    say(&mut client, 4, &request()[..9]);
    assert_eq!(client.handle_end(4).unwrap_err().code, Code::FrameError);
}

#[test]
fn a_request_that_needs_a_table_without_room_is_a_fault() {
    let mut client = settled();
    client.handle_opened(REQUEST, false);
    let mut request = request();
    // After type and length of the frame.
    request[3] = 2;
    let fault = client.handle_bytes(REQUEST, &request, RULES).unwrap_err();
    assert_eq!(fault.code, Code::QpackDecompressionFailed);
}

#[test]
fn whoever_is_refused_again_and_again_is_sent_away() {
    let mut client = settled();
    for stream in (0..HTTP3_REFUSALS_MAX as u64).map(|number| number * 4) {
        client.handle_opened(stream, false);
        let refusal = client.handle_end(stream);
        assert_eq!(refusal, Ok(Step::Refuse(Http3Refusal::RequestIncomplete)));
    }
    client.handle_opened(4 * HTTP3_REFUSALS_MAX as u64, false);
    assert_eq!(client.handle_end(4 * HTTP3_REFUSALS_MAX as u64).unwrap_err().code, Code::ExcessiveLoad);
}

#[test]
fn a_request_whose_answer_nobody_takes_is_none() {
    let mut client = settled();
    client.handle_opened(REQUEST, false);
    say(&mut client, REQUEST, &request()[..9]);
    assert_eq!(client.handle_stopped(REQUEST), Ok(Step::Refuse(Http3Refusal::RequestCancelled)));
    assert_eq!((client.wants(REQUEST), client.session()), (None, None));
}

#[test]
fn datagrams_in_capsules_are_counted_and_capsules_that_are_none_are_faults() {
    let mut client = settled();
    client.handle_opened(REQUEST, false);
    say(&mut client, REQUEST, &request());
    assert_eq!(say(&mut client, REQUEST, &[0, 7, 0, 2, 1, 1, 0, 0, 0x21]).0, Step::More);
    assert_eq!((client.take_datagrams(), client.take_datagrams()), (2, 0));
    assert_eq!(client.handle_end(REQUEST).unwrap_err().code, Code::MessageError);
}
