//! Replies are read back by a parser of replies that is not ours.

use crate::ingest::http::{Date, EntityTag, Manner, Readers, Refusal, reply};
use crate::metrics::HttpProblem;
use std::sync::LazyLock;
use uproar_wire::http::ProblemBody;

static DATE: LazyLock<Date> = LazyLock::new(|| Date::new(1_796_132_955_000));

/// Status, fields in lower case, and body of the one reply that `write` appends.
fn reply(write: impl Fn(&mut Vec<u8>)) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut out = b"before".to_vec();
    write(&mut out);
    let bytes = out.strip_prefix(b"before").expect("a reply is appended");
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_len) = parsed.parse(bytes).unwrap() else { unreachable!("a whole head") };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let fields = parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), text(h.value))).collect();
    let code = parsed.code.unwrap();
    assert!(code == 100 || bytes[..head_len].windows(4).filter(|field| field == b"\nDat").count() == 1, "Date once");
    assert_eq!(parsed.reason, Some(reply::reason(code)));
    (code, fields, bytes[head_len..].to_vec())
}

fn manner(keep_alive: bool) -> Manner<'static> {
    Manner { keep_alive, head_only: false, readers: Readers::Any, date: &DATE }
}

fn read_by(readers: Readers<'_>) -> Manner<'_> {
    Manner { keep_alive: true, head_only: false, readers, date: &DATE }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} once");
    value
}

#[test]
fn accepted_is_empty_and_readable_from_any_page() {
    for (keep_alive, connection) in [(true, "keep-alive"), (false, "close")] {
        let (status, fields, body) = reply(|out| reply::accepted(out, manner(keep_alive)));
        assert_eq!((status, body.len()), (202, 0));
        assert_eq!(field(&fields, "content-length"), Some("0"));
        assert_eq!(field(&fields, "connection"), Some(connection));
        assert_eq!(field(&fields, "access-control-allow-origin"), Some("*"));
    }
}

#[test]
fn no_content_has_no_length() {
    for (keep_alive, connection) in [(true, "keep-alive"), (false, "close")] {
        let (status, fields, _) = reply(|out| reply::no_content(out, manner(keep_alive)));
        assert_eq!((status, field(&fields, "content-length")), (204, None));
        assert_eq!(field(&fields, "connection"), Some(connection));
    }
}

#[test]
fn preflight_allows_what_a_page_needs() {
    for (keep_alive, connection) in [(true, "keep-alive"), (false, "close")] {
        let (status, fields, body) = reply(|out| reply::preflight(out, b"", manner(keep_alive)));
        assert_eq!((status, body.len()), (204, 0));
        assert_eq!(field(&fields, "connection"), Some(connection));
        assert_eq!(field(&fields, "access-control-allow-methods"), Some("GET, POST"));
        assert_eq!(field(&fields, "access-control-allow-headers"), Some("content-type, x-client-id, last-event-id"));
        assert_eq!(field(&fields, "access-control-allow-origin"), Some("*"));
    }
    let (_, fields, _) = reply(|out| reply::preflight(out, b"traceparent,tracestate", manner(true)));
    assert_eq!(field(&fields, "access-control-allow-headers"), Some("traceparent,tracestate"));
}

#[test]
fn every_reply_says_when_it_was_made() {
    let (_, fields, _) = reply(|out| reply::accepted(out, manner(true)));
    assert_eq!(field(&fields, "date"), Some("Tue, 01 Dec 2026 13:49:15 GMT"));
    // The reply that is kept whole says what the others do.
    let (_, mut closing, _) = reply(|out| reply::accepted(out, manner(false)));
    let mut kept = fields;
    kept.iter_mut().chain(&mut closing).filter(|(name, _)| name == "connection").for_each(|(_, value)| value.clear());
    let sorted = |mut fields: Vec<(String, String)>| {
        fields.sort();
        fields
    };
    assert_eq!(sorted(kept), sorted(closing));
}

#[test]
fn unavailable_says_when_to_come_again_also_to_pages() {
    for (readers, exposed) in [
        (Readers::Any, Some("Retry-After")),
        (Readers::Named(b"https://a.example"), Some("Retry-After")),
        (Readers::SameOrigin, None),
    ] {
        let write = |out: &mut Vec<u8>| reply::unavailable(out, HttpProblem::Full, 3, "Full.", read_by(readers));
        let (status, fields, _) = reply(write);
        assert_eq!((status, field(&fields, "retry-after")), (503, Some("3")));
        assert_eq!(field(&fields, "access-control-expose-headers"), exposed);
    }
}

#[test]
fn options_say_which_methods_there_are() {
    let (status, fields, body) = reply(|out| reply::options(out, "GET, HEAD, OPTIONS", manner(true)));
    assert_eq!((status, body.len(), field(&fields, "content-length")), (204, 0, None));
    assert_eq!(field(&fields, "allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn continue_is_a_head_alone() {
    let (status, fields, body) = reply(reply::continue_100);
    assert_eq!((status, fields.len(), body.len()), (100, 0, 0));
}

#[test]
fn json_and_text_are_framed_by_their_length() {
    let (status, fields, body) = reply(|out| reply::json(out, 200, b"{}", manner(true)));
    assert_eq!((status, &body[..]), (200, &b"{}"[..]));
    assert_eq!(field(&fields, "content-length"), Some("2"));
    assert_eq!(field(&fields, "content-type"), Some("application/json"));
    assert_eq!(field(&fields, "access-control-allow-origin"), Some("*"));

    let manner = Manner { readers: Readers::SameOrigin, ..manner(false) };
    let (status, fields, body) = reply(|out| reply::text(out, 503, "text/plain", b"draining\n", manner));
    assert_eq!((status, &body[..]), (503, &b"draining\n"[..]));
    assert_eq!(field(&fields, "content-length"), Some("9"));
    assert_eq!(field(&fields, "content-type"), Some("text/plain"));
    assert_eq!(field(&fields, "connection"), Some("close"));
    assert_eq!(field(&fields, "access-control-allow-origin"), None);
}

#[test]
fn head_only_keeps_the_length_and_leaves_the_body_out() {
    let problem = |out: &mut Vec<u8>, head_only| {
        let manner = Manner { head_only, ..manner(true) };
        reply::problem(out, 404, HttpProblem::UnknownRoom, "No such room.", manner);
    };
    let (_, whole, body) = reply(|out| problem(out, false));
    let (_, head, none) = reply(|out| problem(out, true));
    assert_eq!(head, whole);
    assert_eq!(field(&head, "content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(none, b"");
    let (_, head, none) = reply(|out| reply::json(out, 200, b"{}", Manner { head_only: true, ..manner(true) }));
    assert_eq!((field(&head, "content-length"), &none[..]), (Some("2"), &b""[..]));
}

#[test]
fn a_problem_escapes_what_it_says() {
    let (status, fields, body) =
        reply(|out| reply::problem(out, 409, HttpProblem::PaletteFull, "Room \"a\"\n.", manner(true)));
    assert_eq!(field(&fields, "content-type"), Some("application/problem+json"));
    let problem: ProblemBody<'_> = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, problem.status, &*problem.code, &*problem.detail), (409, 409, "palette_full", "Room \"a\"\n."));
}

#[test]
fn method_not_allowed_says_what_is() {
    let (status, fields, body) = reply(|out| reply::method_not_allowed(out, "GET, HEAD", manner(true)));
    assert_eq!((status, field(&fields, "allow")), (405, Some("GET, HEAD")));
    assert_eq!(field(&fields, "content-length"), Some(body.len().to_string().as_str()));
    let problem: ProblemBody<'_> = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.code, "method_not_allowed");
}

#[test]
fn a_refusal_is_answered_with_its_label_and_closes() {
    for refusal in Refusal::ALL {
        let write = |out: &mut Vec<u8>| reply::refusal(out, refusal, refusal.detail(), Readers::Any, &DATE);
        let (status, fields, body) = reply(write);
        let problem: ProblemBody<'_> = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &*problem.code), (refusal.status(), refusal.label()));
        assert_eq!(HttpProblem::from(refusal).label(), refusal.label(), "what is counted is what is said");
        assert_eq!(field(&fields, "connection"), Some("close"));
        assert_ne!(reply::reason(status), "");
    }
}

#[test]
fn every_reply_says_whose_pages_may_read_it() {
    type Write = fn(&mut Vec<u8>, Manner<'_>);
    let writes: [Write; 7] = [
        |out, manner| reply::accepted(out, manner),
        |out, manner| reply::preflight(out, b"", manner),
        |out, manner| reply::json(out, 200, b"{}", manner),
        |out, manner| reply::problem(out, 404, HttpProblem::UnknownRoom, "No such room.", manner),
        |out, manner| reply::method_not_allowed(out, "GET", manner),
        |out, manner| reply::not_modified(out, EntityTag(1), "", manner),
        |out, manner| reply::content(out, "text/css", b"", EntityTag(1), "", manner),
    ];
    for write in writes {
        for (readers, allowed, credentials, vary) in [
            (Readers::Any, Some("*"), None, None),
            (Readers::SameOrigin, None, None, None),
            (Readers::Named(b"https://a.example"), Some("https://a.example"), Some("true"), Some("Origin")),
            (Readers::Named(b""), None, None, Some("Origin")),
            (Readers::Refused, Some("*"), None, Some("Origin")),
        ] {
            let (status, fields, _) = reply(|out| write(out, read_by(readers)));
            let said = ["access-control-allow-origin", "access-control-allow-credentials", "vary"];
            assert_eq!(said.map(|name| field(&fields, name)), [allowed, credentials, vary], "{status} {readers:?}");
        }
    }
}

#[test]
fn content_is_named_by_its_tag_also_to_who_has_it() {
    let tag = EntityTag(0x0123_4567_89ab_cdef);
    let more = "Cache-Control: no-cache\r\n";
    let (status, fields, body) = reply(|out| reply::content(out, "text/css", b"a{}", tag, more, manner(true)));
    assert_eq!((status, &body[..]), (200, &b"a{}"[..]));
    assert_eq!(field(&fields, "etag"), Some("\"0123456789abcdef\""));
    assert_eq!((field(&fields, "content-length"), field(&fields, "cache-control")), (Some("3"), Some("no-cache")));
    let (status, fields, body) = reply(|out| reply::not_modified(out, tag, more, manner(true)));
    assert_eq!((status, body.len(), field(&fields, "content-length")), (304, 0, None));
    assert_eq!(field(&fields, "etag"), Some("\"0123456789abcdef\""));
    assert_eq!(field(&fields, "cache-control"), Some("no-cache"));
}
