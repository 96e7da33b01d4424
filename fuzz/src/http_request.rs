//! The requests in the bytes of a connection: the same however the bytes are cut and however often the reader pauses,
//! the same as a second, plain reading of them, and held within the limits.

use super::cut::ways_to_cut;
use super::http_model::{self, Seen};
use uproar::ingest::http::{DecoderLimits, Flow, Refusal, RequestDecoder};
use uproar::limits::HTTP_HEAD_MAX;

/// Bytes of a body. Less than a server takes, so that short inputs reach the limit.
const BODY_BYTES_MAX: usize = 64;

/// Feeds `bytes` to connections that cut them in every way.
///
/// # Panics
/// When requests differ from the plain reading's, differ by how the bytes were cut, follow a refusal, or when more is
/// held than a head and a body.
pub fn check(bytes: &[u8]) {
    let whole = decode(&[bytes], Flow::Continue);
    assert_eq!(whole.requests, http_model::requests(bytes, BODY_BYTES_MAX));
    for pieces in ways_to_cut(bytes) {
        assert_eq!(decode(&pieces, Flow::Continue), whole);
        assert_eq!(decode(&pieces, Flow::Pause), whole);
    }
}

/// What came of a connection's bytes.
#[derive(PartialEq, Eq, Debug)]
struct Decoded {
    requests: Vec<Seen>,
    refusal: Option<Refusal>,
    is_mid_request: bool,
}

/// Goes on after each request, or pauses and is told to go on.
fn decode(pieces: &[&[u8]], after_request: Flow) -> Decoded {
    let mut decoder = RequestDecoder::new(DecoderLimits { body_bytes: BODY_BYTES_MAX });
    let mut decoded = Decoded { requests: Vec::new(), refusal: None, is_mid_request: false };
    for piece in pieces {
        let mut input = *piece;
        loop {
            let mut calls = 0;
            decoder.feed(input, |result| {
                calls += 1;
                assert_eq!(decoded.refusal, None, "nothing follows a refusal");
                match result {
                    Ok(request) => decoded.requests.push(request.into()),
                    Err(refusal) => decoded.refusal = Some(refusal),
                }
                after_request
            });
            input = &[];
            if after_request == Flow::Continue || calls == 0 {
                break;
            }
            assert_eq!(calls, 1, "a pause lets nothing through");
        }
        assert!(decoder.buffered_bytes() <= HTTP_HEAD_MAX + BODY_BYTES_MAX);
    }
    decoded.is_mid_request = decoder.is_mid_request();
    decoded
}
