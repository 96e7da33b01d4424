//! Requests that the server must not count, each with the answer it must have.
//!
//! Invariant: the kinds are all whose answer does not depend on limits that an operator may lower, and [`KINDS`] is the
//! one place that says what each is answered with and counted as.

use uproar_wire::RoomId;

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// `reason` of `uproar_rejected_total{proto="http"}`.
    pub(super) reason: &'static str,
    /// Status of the answer.
    pub(super) status: u16,
    /// `code` of its body.
    pub(super) code: &'static str,
    write: fn(&Place<'_>) -> Vec<u8>,
}

/// Where requests go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    /// A room that exists.
    pub(super) room: RoomId,
    /// One that does not.
    pub(super) no_room: RoomId,
}

/// Bytes that are more than any limit of the server for a line and a head.
const LONG: usize = 20_000;
/// Header fields that are more than the server takes.
const MANY: usize = 100;

/// All kinds, which come in turn.
pub(super) const KINDS: [Kind; 29] = [
    // The framing is broken or ambiguous; the connection closes.
    malformed("bad_request_line", |at| format!("POST /v1/rooms/{}/reactions\r\n\r\n", at.room).into()),
    malformed("bare_lf", |at| format!("POST /v1/rooms/{}/reactions HTTP/1.1\nHost: {}\n\n", at.room, at.host).into()),
    malformed("obs_fold", |at| at.post("X-Folded: a\r\n b\r\nContent-Length: 0\r\n", "")),
    malformed("bad_header_name", |at| at.post("X Spaced: a\r\nContent-Length: 0\r\n", "")),
    malformed("bad_header_value", |at| at.post("X-Control: \x01\r\nContent-Length: 0\r\n", "")),
    malformed("missing_host", |at| format!("POST /v1/rooms/{}/reactions HTTP/1.1\r\n\r\n", at.room).into()),
    malformed("repeated_host", |at| at.post("Host: other\r\nContent-Length: 0\r\n", "")),
    malformed("both_lengths", |at| at.post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
    malformed("repeated_content_length", |at| at.post("Content-Length: 2\r\nContent-Length: 2\r\n", "{}")),
    malformed("bad_content_length", |at| at.post("Content-Length: +2\r\n", "{}")),
    malformed("bad_transfer_encoding", |at| at.post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
    malformed("bad_chunk_size", |at| at.post("Transfer-Encoding: chunked\r\n", "x\r\n")),
    malformed("chunk_extension", |at| at.post("Transfer-Encoding: chunked\r\n", "2;a=b\r\n{}\r\n0\r\n\r\n")),
    Kind {
        reason: "bad_client_id",
        status: 400,
        code: "bad_client_id",
        write: |at| at.post("X-Client-Id: me\r\nContent-Length: 0\r\n", ""),
    },
    Kind {
        reason: "http_unsupported",
        status: 505,
        code: "bad_version",
        write: |at| format!("POST /v1/rooms/{}/reactions HTTP/2.0\r\n\r\n", at.room).into(),
    },
    Kind {
        reason: "http_unsupported",
        status: 417,
        code: "unknown_expectation",
        write: |at| at.post("Expect: the-worst\r\nContent-Length: 0\r\n", ""),
    },
    // Other protocols, likewise.
    Kind {
        reason: "tls_hello",
        status: 400,
        code: "tls_hello",
        write: |_| b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    },
    Kind {
        reason: "proxy_protocol",
        status: 400,
        code: "proxy_protocol",
        write: |_| b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\n".to_vec(),
    },
    // Too large, likewise.
    Kind {
        reason: "http_too_large",
        status: 414,
        code: "request_line_too_long",
        write: |_| format!("POST /{} HTTP/1.1\r\n", "x".repeat(LONG)).into(),
    },
    Kind {
        reason: "http_too_large",
        status: 431,
        code: "head_too_large",
        write: |at| at.post(&format!("X-Long: {}\r\n", "x".repeat(LONG)), ""),
    },
    Kind {
        reason: "http_too_large",
        status: 431,
        code: "too_many_headers",
        write: |at| at.post(&"X-Many: 1\r\n".repeat(MANY), ""),
    },
    // Well-formed HTTP that says nothing to be counted; the connection stays.
    Kind { reason: "bad_json", status: 400, code: "bad_json", write: |at| at.json(at.room, r#"{"emoji":"fire""#) },
    Kind {
        reason: "bad_count",
        status: 400,
        code: "bad_count",
        write: |at| at.json(at.room, r#"{"emoji":"fire","count":65536}"#),
    },
    Kind {
        reason: "unknown_emoji",
        status: 422,
        code: "unknown_emoji",
        write: |at| at.json(at.room, r#"{"emoji":"no such emoji"}"#),
    },
    Kind {
        reason: "unknown_room",
        status: 404,
        code: "unknown_room",
        write: |at| at.json(at.no_room, r#"{"emoji":"fire"}"#),
    },
    Kind {
        reason: "unsupported",
        status: 415,
        code: "unsupported",
        write: |at| at.post("Content-Type: text/html\r\nContent-Length: 4\r\n", "fire"),
    },
    Kind {
        reason: "content_coding",
        status: 415,
        code: "content_coding",
        write: |at| at.post("Content-Encoding: gzip\r\nContent-Length: 4\r\n", "fire"),
    },
    Kind {
        reason: "not_found",
        status: 404,
        code: "not_found",
        write: |at| format!("POST /v2/taps HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", at.host).into(),
    },
    Kind {
        reason: "too_short",
        status: 400,
        code: "too_short",
        write: |at| at.post("Content-Type: application/octet-stream\r\nContent-Length: 4\r\n", "fire"),
    },
];

const fn malformed(code: &'static str, write: fn(&Place<'_>) -> Vec<u8>) -> Kind {
    Kind { reason: "http_malformed", status: 400, code, write }
}

impl Kind {
    /// The bytes of the request.
    pub(super) fn request(&self, at: &Place<'_>) -> Vec<u8> {
        (self.write)(at)
    }

    /// Whether an answer is the one it must have.
    pub(super) fn is_answered_by(&self, status: u16, body: &[u8]) -> bool {
        #[derive(serde::Deserialize)]
        struct Problem {
            code: String,
        }
        status == self.status && serde_json::from_slice::<Problem>(body).is_ok_and(|problem| problem.code == self.code)
    }
}

impl Place<'_> {
    fn post(&self, fields: &str, body: &str) -> Vec<u8> {
        self.post_to(self.room, fields, body)
    }

    fn json(&self, room: RoomId, body: &str) -> Vec<u8> {
        let length = body.len();
        self.post_to(room, &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"), body)
    }

    fn post_to(&self, room: RoomId, fields: &str, body: &str) -> Vec<u8> {
        format!("POST /v1/rooms/{room}/reactions HTTP/1.1\r\nHost: {}\r\n{fields}\r\n{body}", self.host).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_status_and_code() {
        let kind = KINDS[7];
        assert!(kind.is_answered_by(400, br#"{"status":400,"code":"both_lengths","detail":"no"}"#));
        assert!(!kind.is_answered_by(400, br#"{"status":400,"code":"bare_lf","detail":"no"}"#));
        assert!(!kind.is_answered_by(202, br#"{"status":400,"code":"both_lengths","detail":"no"}"#));
        assert!(!kind.is_answered_by(400, b""));
    }
}
