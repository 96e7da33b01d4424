//! Replies become bytes, appended whole to what waits for a connection.
//!
//! Invariant: a reply is framed by its own `Content-Length` and says what becomes of the connection, also to clients of
//! HTTP/1.0; it says which sites' pages a browser may let read it ([`Readers`]), and when it was made. Not here: which reply a
//! request gets.

use super::date::Date;
use super::refusal::Refusal;
use super::request::EntityTag;
use crate::metrics::HttpProblem;
use std::fmt;
use std::io::Write;
use uproar_wire::http::ProblemBody;

/// How a reply is given, whatever it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner<'a> {
    /// Whether the connection stays open after it.
    pub keep_alive: bool,
    /// The body is left out, and its length stays in.
    pub head_only: bool,
    /// Whose pages may read it.
    pub readers: Readers<'a>,
    /// When it is made.
    pub date: &'a Date,
}

/// Pages that a browser lets read a reply, besides those of the very port that gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readers<'a> {
    /// No others: the reply says nothing about it, which means the same.
    SameOrigin,
    /// Those of any site.
    Any,
    /// Those of the origin that was asked from; empty when it is none that may. Who asks from another is told otherwise,
    /// so caches keep such replies apart. The origin may also ask with credentials, of which the node has none itself.
    Named(&'a [u8]),
    /// Those of any site, although only some are named: the reply says nothing but why the request was refused, and a
    /// page that could not read it would take it for a broken network.
    Refused,
}

/// Of a reply that goes on with the date and [`push_readers`].
const ACCEPTED_START: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: keep-alive\r\n";
const ACCEPTED_START_CLOSE: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n";
// A day: browsers cap it as they see fit. One that keeps the answer for longer than its origin may ask gains nothing: the
// request itself is refused.
const PREFLIGHT: &str = "Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Max-Age: 86400\r\n";
/// Fields that a page may send, where its browser asks for none by name.
const PREFLIGHT_FIELDS: &[u8] = b"content-type, x-client-id, last-event-id";
const NO_STORE: &str = "Cache-Control: no-store\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// 202: the reactions are counted in memory.
pub fn accepted(out: &mut Vec<u8>, manner: Manner<'_>) {
    match manner {
        Manner { readers: Readers::Any, keep_alive: true, date, .. } => out.extend_from_slice(date.accepted()),
        Manner { readers: readers @ (Readers::Any | Readers::Named(_)), keep_alive, date, .. } => {
            out.extend_from_slice(if keep_alive { ACCEPTED_START } else { ACCEPTED_START_CLOSE });
            out.extend_from_slice(date.field());
            push_readers(out, readers);
        }
        _ => bare(out, 202, "Content-Length: 0\r\n", manner),
    }
}

/// 204: done, and nothing to say.
pub fn no_content(out: &mut Vec<u8>, manner: Manner<'_>) {
    bare(out, 204, "", manner);
}

/// 204: what a browser asks before it sends a page's request to another origin. `asked_fields` are those that it names, each
/// of them granted: a field that means nothing here does no harm, and agents that trace requests add their own.
pub fn preflight(out: &mut Vec<u8>, asked_fields: &[u8], manner: Manner<'_>) {
    push_fmt(out, format_args!("HTTP/1.1 204 {}\r\nAccess-Control-Allow-Headers: ", reason(204)));
    out.extend_from_slice(if asked_fields.is_empty() { PREFLIGHT_FIELDS } else { asked_fields });
    out.extend_from_slice(b"\r\n");
    push_end(out, PREFLIGHT, manner);
}

/// 204: the methods that a path has, such as `GET, HEAD`.
pub fn options(out: &mut Vec<u8>, allow: &str, manner: Manner<'_>) {
    push_fmt(out, format_args!("HTTP/1.1 204 {}\r\nAllow: {allow}\r\n", reason(204)));
    push_end(out, "", manner);
}

/// 304: the client has the content that `tag` stands for. `fields` as in [`content`].
pub fn not_modified(out: &mut Vec<u8>, tag: EntityTag, fields: &str, manner: Manner<'_>) {
    push_fmt(out, format_args!("HTTP/1.1 304 {}\r\nETag: {tag}\r\n", reason(304)));
    push_end(out, fields, manner);
}

/// 100: the client may send the body that it holds back.
pub fn continue_100(out: &mut Vec<u8>) {
    out.extend_from_slice(CONTINUE);
}

/// A reply with JSON, which is how something is now: nobody on the way may keep it for later.
pub fn json(out: &mut Vec<u8>, status: u16, body: &[u8], manner: Manner<'_>) {
    json_head(out, status, body.len(), manner);
    push_body(out, body, manner);
}

/// Writes the head of a JSON reply whose body has `body_len` bytes.
pub fn json_head(out: &mut Vec<u8>, status: u16, body_len: usize, manner: Manner<'_>) {
    push_start(out, &Head { status, content_type: "application/json", body_len });
    push_end(out, NO_STORE, manner);
}

/// The head of an event stream, and the beginning of its first event: after how many milliseconds its client shall come again
/// once it has ended. The end of the stream is that of the connection, so that only one of which nothing but the head was
/// asked for may stay open.
pub fn events(out: &mut Vec<u8>, retry_ms: u64, manner: Manner<'_>) {
    // What buffers on the way would hold events back.
    let fields = "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
    let keep_alive = manner.head_only && manner.keep_alive;
    bare(out, 200, fields, Manner { keep_alive, ..manner });
    if !manner.head_only {
        push_fmt(out, format_args!("retry: {retry_ms}\n"));
    }
}

/// A reply of any other type.
pub fn text(out: &mut Vec<u8>, status: u16, content_type: &str, body: &[u8], manner: Manner<'_>) {
    push_start(out, &Head { status, content_type, body_len: body.len() });
    push_end(out, "", manner);
    push_body(out, body, manner);
}

/// 200, with content that clients keep and ask about again by its tag. `fields` are more header fields, each with its line
/// end.
pub fn content(out: &mut Vec<u8>, content_type: &str, body: &[u8], tag: EntityTag, fields: &str, manner: Manner<'_>) {
    push_start(out, &Head { status: 200, content_type, body_len: body.len() });
    push_fmt(out, format_args!("ETag: {tag}\r\n"));
    push_end(out, fields, manner);
    push_body(out, body, manner);
}

/// An error as `application/problem+json`: `code` for programs, `detail` for people.
pub fn problem(out: &mut Vec<u8>, status: u16, code: HttpProblem, detail: &str, manner: Manner<'_>) {
    problem_with(out, status, code, detail, format_args!(""), manner);
}

/// [`problem`] with more header fields, each with its line end.
pub fn problem_with(
    out: &mut Vec<u8>,
    status: u16,
    code: HttpProblem,
    detail: &str,
    fields: fmt::Arguments<'_>,
    manner: Manner<'_>,
) {
    // The body is written twice, first only to learn its length, so that no second buffer is needed.
    let body = ProblemBody { status, code: code.label().into(), detail: detail.into() };
    let mut body_len = Length(0);
    push_json(&mut body_len, &body);
    push_start(out, &Head { status, content_type: "application/problem+json", body_len: body_len.0 });
    push_fmt(out, fields);
    push_end(out, "", manner);
    if !manner.head_only {
        push_json(out, &body);
    }
}

/// 405, with the methods that the path does have, such as `GET, HEAD`.
pub fn method_not_allowed(out: &mut Vec<u8>, allow: &str, manner: Manner<'_>) {
    let detail = "The path does not have this method; Allow says which it has.";
    problem_with(out, 405, HttpProblem::MethodNotAllowed, detail, format_args!("Allow: {allow}\r\n"), manner);
}

/// 503: another attempt may succeed after so many seconds.
pub fn unavailable(out: &mut Vec<u8>, code: HttpProblem, retry_s: u64, detail: &str, manner: Manner<'_>) {
    // Pages of other sites read this field only if they may.
    let expose = match manner.readers {
        Readers::SameOrigin => "",
        _ => "Access-Control-Expose-Headers: Retry-After\r\n",
    };
    problem_with(out, 503, code, detail, format_args!("Retry-After: {retry_s}\r\n{expose}"), manner);
}

/// The only reply to bytes that are not a request; the connection closes after it. `detail` says why.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal, detail: &str, readers: Readers<'_>, date: &Date) {
    let manner = Manner { keep_alive: false, head_only: false, readers, date };
    problem(out, refusal.status(), refusal.into(), detail, manner);
}

/// The phrase that HTTP gives a status; empty for one that is never sent.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

struct Head<'a> {
    status: u16,
    content_type: &'a str,
    body_len: usize,
}

/// A reply without content.
fn bare(out: &mut Vec<u8>, status: u16, fields: &str, manner: Manner<'_>) {
    push_fmt(out, format_args!("HTTP/1.1 {status} {}\r\n", reason(status)));
    push_end(out, fields, manner);
}

fn push_body(out: &mut Vec<u8>, body: &[u8], manner: Manner<'_>) {
    if !manner.head_only {
        out.extend_from_slice(body);
    }
}

fn push_start(out: &mut Vec<u8>, head: &Head<'_>) {
    let Head { status, content_type, body_len } = *head;
    push_fmt(
        out,
        format_args!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {body_len}\r\n",
            reason(status)
        ),
    );
}

/// The rest of a head: `fields`, and what all replies say.
fn push_end(out: &mut Vec<u8>, fields: &str, manner: Manner<'_>) {
    let connection = if manner.keep_alive { "keep-alive" } else { "close" };
    push_fmt(out, format_args!("Connection: {connection}\r\n{fields}"));
    out.extend_from_slice(manner.date.field());
    push_readers(out, manner.readers);
}

/// Whose pages may read it, and the end of the head.
fn push_readers(out: &mut Vec<u8>, readers: Readers<'_>) {
    out.extend_from_slice(match readers {
        Readers::SameOrigin => b"",
        Readers::Any => b"Access-Control-Allow-Origin: *\r\n",
        Readers::Named(_) => b"Vary: Origin\r\n",
        Readers::Refused => b"Vary: Origin\r\nAccess-Control-Allow-Origin: *\r\n",
    });
    if let Readers::Named(origin @ [_, ..]) = readers {
        out.extend_from_slice(b"Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Origin: ");
        out.extend_from_slice(origin);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn push_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a vector cannot fail");
}

fn push_json(out: &mut impl Write, body: &ProblemBody<'_>) {
    serde_json::to_writer(out, body).expect("a number and two strings are JSON, and the writers here cannot fail");
}

/// Counts what is written to it, in bytes.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
