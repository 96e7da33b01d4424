//! Replies become bytes, appended whole to what waits for a connection.
//!
//! Invariant: a reply is framed by its own `Content-Length` and says what becomes of the connection, also to clients of
//! HTTP/1.0. `keep_alive` tells what becomes of it; `head_only` leaves the body out and its length in. There is no
//! `Date`: an origin without a clock of its own need not send one (RFC 9110, 6.6.1).
//!
//! Browsers on any page may send reactions and read rooms, frames and problems, so those replies say
//! `Access-Control-Allow-Origin: *`. [`text`] does not: metrics and probes are not for pages. Not here: which reply a
//! request gets.

use super::refusal::Refusal;
use std::io::Write;
use uproar_wire::http::ProblemBody;

const ANY_ORIGIN: &str = "Access-Control-Allow-Origin: *\r\n";

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n\
    Connection: keep-alive\r\n\r\n";
const ACCEPTED_CLOSE: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n\
    Connection: close\r\n\r\n";
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n";
const NO_CONTENT_CLOSE: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
// A day: browsers cap it as they see fit, and the answer never changes.
const PREFLIGHT: &str = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, POST\r\n\
    Access-Control-Allow-Headers: content-type, x-client-id\r\nAccess-Control-Max-Age: 86400\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// 202: the reactions are counted in memory.
pub fn accepted(out: &mut Vec<u8>, keep_alive: bool) {
    out.extend_from_slice(if keep_alive { ACCEPTED } else { ACCEPTED_CLOSE });
}

/// 204: done, and nothing to say.
pub fn no_content(out: &mut Vec<u8>, keep_alive: bool) {
    out.extend_from_slice(if keep_alive { NO_CONTENT } else { NO_CONTENT_CLOSE });
}

/// 204: what a browser asks before it sends reactions from another origin.
pub fn preflight(out: &mut Vec<u8>, keep_alive: bool) {
    no_content(out, keep_alive);
    // Into the head that was just closed by an empty line.
    out.truncate(out.len() - b"\r\n".len());
    out.extend_from_slice(PREFLIGHT.as_bytes());
}

/// 100: the client may send the body that it holds back.
pub fn continue_100(out: &mut Vec<u8>) {
    out.extend_from_slice(CONTINUE);
}

/// A reply with JSON.
pub fn json(out: &mut Vec<u8>, status: u16, body: &[u8], keep_alive: bool, head_only: bool) {
    let head = Head { status, content_type: "application/json", body_len: body.len(), keep_alive, fields: ANY_ORIGIN };
    whole(out, &head, body, head_only);
}

/// A reply of any other type, not readable by other origins' pages.
pub fn text(out: &mut Vec<u8>, status: u16, content_type: &str, body: &[u8], keep_alive: bool, head_only: bool) {
    let head = Head { status, content_type, body_len: body.len(), keep_alive, fields: "" };
    whole(out, &head, body, head_only);
}

/// An error as `application/problem+json`: `code` for programs, `detail` for people.
pub fn problem(out: &mut Vec<u8>, status: u16, code: &str, detail: &str, keep_alive: bool, head_only: bool) {
    problem_with(out, &ProblemBody { status, code: code.into(), detail: detail.into() }, "", keep_alive, head_only);
}

/// 405, with the methods that the path does have, such as `GET, HEAD`.
pub fn method_not_allowed(out: &mut Vec<u8>, allow: &str, keep_alive: bool, head_only: bool) {
    let detail = "The path does not have this method; Allow says which it has.";
    let body = ProblemBody { status: 405, code: "method_not_allowed".into(), detail: detail.into() };
    problem_with(out, &body, allow, keep_alive, head_only);
}

/// The only reply to bytes that are not a request; the connection closes after it.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal) {
    problem(out, refusal.status(), refusal.label(), refusal.detail(), false, false);
}

/// The phrase that HTTP gives a status; empty for one that is never sent.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
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
    keep_alive: bool,
    /// More header fields, each with its line end.
    fields: &'a str,
}

fn whole(out: &mut Vec<u8>, head: &Head<'_>, body: &[u8], head_only: bool) {
    push_head(out, head);
    if !head_only {
        out.extend_from_slice(body);
    }
}

fn push_head(out: &mut Vec<u8>, head: &Head<'_>) {
    let Head { status, content_type, body_len, keep_alive, fields } = *head;
    let connection = if keep_alive { "keep-alive" } else { "close" };
    push_fmt(
        out,
        format_args!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {body_len}\r\n\
             Connection: {connection}\r\n{fields}\r\n",
            reason(status)
        ),
    );
}

fn push_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a vector cannot fail");
}

/// Writes the body twice, first only to learn its length, so that no second buffer is needed.
fn problem_with(out: &mut Vec<u8>, body: &ProblemBody<'_>, allow: &str, keep_alive: bool, head_only: bool) {
    let mut body_len = Length(0);
    push_json(&mut body_len, body);
    let content_type = "application/problem+json";
    push_head(out, &Head { status: body.status, content_type, body_len: body_len.0, keep_alive, fields: ANY_ORIGIN });
    if !allow.is_empty() {
        // Into the head that was just closed by an empty line.
        out.truncate(out.len() - b"\r\n".len());
        push_fmt(out, format_args!("Allow: {allow}\r\n\r\n"));
    }
    if !head_only {
        push_json(out, body);
    }
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
