//! Reads HTTP/1.1 replies, as far as the appliance sends any: a head, and a body of a stated length.
//!
//! Deliberately not here: chunked bodies. A reply that has one, or no length, is an error and not a guess.

/// Header fields of a reply at most.
const HEADERS_MAX: usize = 32;
/// Bytes of a head at most.
const HEAD_MAX: usize = 16 * 1024;

/// A whole reply's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// Status code.
    pub(super) status: u16,
    /// Where the body begins.
    pub(super) head_len: usize,
    /// Bytes of the body.
    pub(super) body_len: usize,
    /// Whether the server closes the connection after it.
    pub(super) closes: bool,
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// It does not speak HTTP/1.1.
    #[error("not an HTTP/1.1 reply: {0}; is it an Uproar HTTP port?")]
    Malformed(#[from] httparse::Error),
    /// Its head does not end.
    #[error("a reply head of more than {HEAD_MAX} bytes")]
    HeadTooLong,
    /// Nobody knows how long its body is.
    #[error("a reply without one valid Content-Length")]
    NoLength,
}

impl Reply {
    /// The head at the start of `bytes`; `None` until it has come whole. The body may still be under way.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ReplyError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_len) = response.parse(bytes)? else {
            return if bytes.len() > HEAD_MAX { Err(ReplyError::HeadTooLong) } else { Ok(None) };
        };
        let status = response.code.unwrap_or_default();
        let named = |name: &'static str| {
            response.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|header| header.value)
        };
        let closes = named("connection").any(|value| value.eq_ignore_ascii_case(b"close"));
        let mut lengths = named("content-length").map(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
        let body_len = match (lengths.next(), lengths.next()) {
            (Some(Some(length)), None) => length,
            // These have no body, whatever is said (RFC 9110, 6.4.1).
            (None, None) if status == 204 || status == 304 => 0,
            _ => return Err(ReplyError::NoLength),
        };
        Ok(Some(Self { status, head_len, body_len, closes }))
    }

    /// Bytes of the whole reply.
    pub(super) fn len(&self) -> usize {
        self.head_len.saturating_add(self.body_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nokHTTP/1.1";

    proptest! {
        #[test]
        fn a_reply_is_complete_with_the_last_byte_of_its_head(cut in 0..ACCEPTED.len()) {
            let head_len = ACCEPTED.len() - 10;
            let expected = (cut >= head_len).then_some(Reply { status: 202, head_len, body_len: 2, closes: true });
            prop_assert_eq!(Reply::parse(&ACCEPTED[..cut]), Ok(expected));
        }
    }

    #[test]
    fn lengths_that_are_missing_repeated_or_wrong_are_refused() {
        for length in
            ["", "Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: x\r\n", "Content-Length: -1\r\n"]
        {
            let reply = format!("HTTP/1.1 200 OK\r\n{length}\r\n");
            assert_eq!(Reply::parse(reply.as_bytes()), Err(ReplyError::NoLength), "{length}");
        }
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(Reply::parse(empty).unwrap().unwrap().len(), empty.len());
    }

    #[test]
    fn an_endless_head_is_refused() {
        let reply = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(Reply::parse(reply.as_bytes()), Err(ReplyError::HeadTooLong));
        assert!(matches!(Reply::parse(b"SSH-2.0-OpenSSH\r\n"), Err(ReplyError::Malformed(_))));
    }
}
