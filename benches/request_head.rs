//! What does a request of a kept connection cost beside finding the blank line that ends its head?
//!
//! The decoder reads the head whole, checks every line of it, and hands the request over; its bodies have a length. The
//! floor searches the same bytes for the blank line, and first joins what a receive buffer's edge has cut, as anybody
//! must. What a body says is the bench `json`. `cargo bench --bench request_head`; tests run each case once.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use memchr::memmem::Finder;
use uproar::ingest::http::{DecoderLimits, Flow, RequestDecoder};
use uproar::limits::{HTTP_BODY_MAX, TCP_BUFFER};

const MINIMAL: &str = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
/// What a page sends for one tap.
const BROWSER: &str = "POST /v1/rooms/7/reactions HTTP/1.1\r\n\
    Host: uproar.example.com\r\n\
    Connection: keep-alive\r\n\
    Content-Length: LENGTH\r\n\
    sec-ch-ua-platform: \"Android\"\r\n\
    User-Agent: Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36\r\n\
    sec-ch-ua: \"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
    Content-Type: application/json\r\n\
    X-Client-Id: 1234567890123456789\r\n\
    Accept: */*\r\n\
    Origin: https://example.com\r\n\
    Referer: https://example.com/live/final\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    \r\n";
const BODY: &str = "{\"emoji\":\"🔥\",\"count\":3}";

/// What the connection receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    /// One header field.
    Minimal,
    /// Twelve header fields, no body.
    Browser,
    /// The same and a body, in one buffer.
    BrowserWithBody,
    /// The same, cut within the head.
    CutInHead,
    /// The same, cut between head and body.
    CutBeforeBody,
}

const CASES: [Case; 5] = [Case::Minimal, Case::Browser, Case::BrowserWithBody, Case::CutInHead, Case::CutBeforeBody];

fn main() {
    divan::main();
}

#[divan::bench(args = CASES)]
fn floor_blank_line(bencher: Bencher<'_, '_>, case: Case) {
    let pieces = case.pieces();
    let blank_line = Finder::new(b"\r\n\r\n");
    let mut joined = Vec::with_capacity(TCP_BUFFER);
    bencher.counter(case.bytes()).bench_local(|| match black_box(&pieces[..]) {
        [whole] => blank_line.find(whole),
        cut => {
            joined.clear();
            cut.iter().for_each(|piece| joined.extend_from_slice(piece));
            blank_line.find(&joined)
        }
    });
}

#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, case: Case) {
    let pieces = case.pieces();
    let mut decoder = RequestDecoder::new(DecoderLimits { body_bytes: HTTP_BODY_MAX });
    let mut feed = |pieces: &[Vec<u8>]| {
        let mut body_len = None;
        for piece in pieces {
            decoder.feed(piece, |request| {
                body_len = Some(request.expect("a request that is taken").body.len());
                Flow::Continue
            });
        }
        body_len
    };
    assert_eq!(feed(&pieces), Some(case.body().len()), "one request comes out, with its body");
    bencher.counter(case.bytes()).bench_local(|| feed(black_box(&pieces)));
}

impl Case {
    fn body(self) -> &'static str {
        if matches!(self, Self::Minimal | Self::Browser) { "" } else { BODY }
    }

    /// The request as it is received, one buffer after another.
    fn pieces(self) -> Vec<Vec<u8>> {
        let head = match self {
            Self::Minimal => MINIMAL.to_owned(),
            _ => BROWSER.replace("LENGTH", &self.body().len().to_string()),
        };
        let bytes = [head.as_bytes(), self.body().as_bytes()].concat();
        let cut = match self {
            Self::Minimal | Self::Browser | Self::BrowserWithBody => return vec![bytes],
            Self::CutInHead => head.len() / 2,
            Self::CutBeforeBody => head.len(),
        };
        let (first, second) = bytes.split_at(cut);
        vec![first.to_vec(), second.to_vec()]
    }

    fn bytes(self) -> BytesCount {
        BytesCount::new(self.pieces().iter().map(Vec::len).sum::<usize>())
    }
}
