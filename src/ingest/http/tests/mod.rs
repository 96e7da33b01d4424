//! The decoder's tests speak of exchanges: bytes in, outcomes out, however the bytes are cut.

mod accepted;
mod flow;
mod limits;
mod reactions;
mod refusals;
mod reply;

use super::{ContentKind, DecoderLimits, Flow, Method, Refusal, Request, RequestDecoder};
use crate::limits::HTTP_BODY_MAX;

/// One request, owned, or the refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Request { line: String, query: Option<String>, client: u64, content: ContentKind, body: Vec<u8>, keep_alive: bool },
    Refused(Refusal),
}

impl Outcome {
    fn of(result: Result<Request<'_>, Refusal>) -> Self {
        match result {
            Ok(request) => {
                assert_eq!(request.head_only, request.method == Method::Head);
                Self::Request {
                    line: format!("{:?} {}", request.method, request.path),
                    query: request.query.map(str::to_owned),
                    client: request.client.0,
                    content: request.content,
                    body: request.body.to_vec(),
                    keep_alive: request.keep_alive,
                }
            }
            Err(refusal) => Self::Refused(refusal),
        }
    }

    /// A request without headers that mean something.
    fn plain(line: &str, body: &[u8]) -> Self {
        Self::Request {
            line: line.to_owned(),
            query: None,
            client: 0,
            content: ContentKind::None,
            body: body.to_vec(),
            keep_alive: true,
        }
    }

    fn with_query(mut self, text: &str) -> Self {
        let Self::Request { query, .. } = &mut self else { unreachable!("a refusal has no query") };
        *query = Some(text.to_owned());
        self
    }

    fn by_client(mut self, id: u64) -> Self {
        let Self::Request { client, .. } = &mut self else { unreachable!("a refusal has no client") };
        *client = id;
        self
    }

    fn with_content(mut self, kind: ContentKind) -> Self {
        let Self::Request { content, .. } = &mut self else { unreachable!("a refusal has no content") };
        *content = kind;
        self
    }

    fn then_close(mut self) -> Self {
        let Self::Request { keep_alive, .. } = &mut self else { unreachable!("a refusal always closes") };
        *keep_alive = false;
        self
    }
}

fn decoder() -> RequestDecoder {
    RequestDecoder::new(DecoderLimits { body_bytes: HTTP_BODY_MAX })
}

/// What comes out of a new connection that receives `pieces`.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Outcome> {
    let mut decoder = decoder();
    let mut outcomes = Vec::new();
    for piece in pieces {
        decoder.feed(piece, |result| {
            outcomes.push(Outcome::of(result));
            Flow::Continue
        });
    }
    outcomes
}

/// What comes out of `bytes`, which must be the same whole, in every two pieces, and byte by byte.
fn decode_however_cut(bytes: &[u8]) -> Vec<Outcome> {
    let whole = decode([bytes]);
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(decode([first, second]), whole, "cut at {at} of {:?}", bytes.escape_ascii().to_string());
    }
    assert_eq!(decode(bytes.chunks(1)), whole, "byte by byte: {:?}", bytes.escape_ascii().to_string());
    whole
}
