//! Finds where a request head ends, in bytes that come in any pieces.
//!
//! Invariant: every byte is looked at once, and the verdict does not depend on how the bytes were split. For that, each
//! rule is tied to a position: a line's limits are judged before its end, and its first byte before both. What a line
//! says is not judged here but by `head`, when all lines are there.

use super::refusal::Refusal;
use crate::limits::{HTTP_HEAD_MAX, HTTP_REQUEST_LINE_MAX};

/// Empty lines tolerated before a request line: some clients send one after a body (RFC 9112, 2.2).
const BLANK_LINES_MAX: u8 = 2;

/// How a connection begins by which a proxy tells whose it is (PROXY protocol, version 1).
const PROXY_LINES: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNO"];
/// Bytes by which these are told from a request.
const START_LEN: usize = 11;
/// How a connection begins over which TLS is spoken: a record of the handshake, version 3.
const TLS_START: [u8; 2] = [0x16, 3];

/// What one piece of input did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scan {
    /// All of it belongs to a head that goes on.
    Partial,
    /// The empty line that ends the head was found: this many bytes of the piece belong to the head.
    End(usize),
    /// So many bytes of the piece end an empty line before the request line. What was kept of the line is void.
    BlankLine(usize),
}

/// Where in a head the bytes so far have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScanner {
    /// Bytes of complete lines, from the request line on.
    lines_len: usize,
    /// Bytes of the line that has not ended.
    line_len: usize,
    ends_with_cr: bool,
    blank_lines: u8,
    /// The first bytes of a request line that comes in pieces.
    start: [u8; START_LEN],
}

impl HeadScanner {
    /// Whether nothing has come.
    pub(super) fn is_at_start(&self) -> bool {
        self.lines_len == 0 && self.line_len == 0
    }

    /// Looks at the bytes that follow those of the last call.
    pub(super) fn scan(&mut self, input: &[u8]) -> Result<Scan, Refusal> {
        let mut line_start = 0;
        loop {
            let line = &input[line_start..];
            let end = memchr::memchr(b'\n', line).map(|at| at + 1);
            let seen = &line[..end.unwrap_or(line.len())];
            self.judge(seen)?;
            let Some(end) = end else { return Ok(Scan::Partial) };
            let is_empty = self.end_line()?;
            line_start += end;
            match (is_empty, self.lines_len) {
                (false, _) => {}
                // Only the empty line itself: there was no request line yet.
                (true, 2) => return self.skip_blank_line(line_start),
                (true, _) => return Ok(Scan::End(line_start)),
            }
        }
    }

    /// Takes more bytes of the open line, its LF included if that has come.
    fn judge(&mut self, seen: &[u8]) -> Result<(), Refusal> {
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Ok(()) };
        if self.line_len == 0 {
            self.judge_first_byte(*first)?;
        }
        if self.lines_len == 0 && self.line_len < START_LEN {
            self.judge_start(seen)?;
        }
        // A bare LF is judged by the byte before it, which may have come with an earlier piece.
        match seen {
            [.., before, b'\n'] => self.ends_with_cr = *before == b'\r',
            [b'\n'] => {}
            _ => self.ends_with_cr = *last == b'\r',
        }
        self.line_len += seen.len();
        if self.lines_len == 0 && self.line_len > HTTP_REQUEST_LINE_MAX {
            return Err(Refusal::RequestLineTooLong);
        }
        if self.lines_len + self.line_len > HTTP_HEAD_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(())
    }

    /// Stops at once what never was HTTP, and what continues the line before.
    fn judge_first_byte(&self, first: u8) -> Result<(), Refusal> {
        if self.lines_len == 0 {
            return match first {
                b'\r' | b'\n' => Ok(()),
                // The next byte decides.
                _ if is_token_byte(first) || first == TLS_START[0] => Ok(()),
                // The PROXY protocol, version 2, begins with two empty lines and this.
                0 if self.blank_lines == BLANK_LINES_MAX => Err(Refusal::ProxyProtocol),
                _ => Err(Refusal::BadRequestLine),
            };
        }
        if first == b' ' || first == b'\t' { Err(Refusal::ObsFold) } else { Ok(()) }
    }

    /// Stops other protocols by the first bytes of the request line, of which `seen` is the next piece.
    fn judge_start(&mut self, seen: &[u8]) -> Result<(), Refusal> {
        let start = if self.line_len == 0 && seen.len() >= START_LEN {
            &seen[..START_LEN]
        } else {
            let len = seen.len().min(START_LEN - self.line_len);
            self.start[self.line_len..][..len].copy_from_slice(&seen[..len]);
            &self.start[..self.line_len + len]
        };
        match start {
            [first, second, ..] if *first == TLS_START[0] => {
                Err(if *second == TLS_START[1] { Refusal::TlsHello } else { Refusal::BadRequestLine })
            }
            _ if PROXY_LINES.contains(&start) => Err(Refusal::ProxyProtocol),
            _ => Ok(()),
        }
    }

    /// Whether the line that ended was empty.
    fn end_line(&mut self) -> Result<bool, Refusal> {
        if !self.ends_with_cr {
            return Err(Refusal::BareLf);
        }
        let is_empty = self.line_len == 2;
        self.lines_len += self.line_len;
        self.line_len = 0;
        self.ends_with_cr = false;
        Ok(is_empty)
    }

    fn skip_blank_line(&mut self, used: usize) -> Result<Scan, Refusal> {
        if self.blank_lines == BLANK_LINES_MAX {
            return Err(Refusal::BadRequestLine);
        }
        *self = Self { blank_lines: self.blank_lines + 1, ..Self::default() };
        Ok(Scan::BlankLine(used))
    }
}

/// What methods and field names are made of (RFC 9110, 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What field values are made of: text, spaces and tabs, and bytes beyond ASCII, which are opaque.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
