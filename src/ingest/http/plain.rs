//! The JSON that nearly every client sends, read in one pass: no escapes, `emoji` before `count`, whitespace anywhere.
//!
//! Invariant: what is read here the general parser would read alike, byte for byte of the grammar; anything else, and
//! every fault, is left to it. So this file knows no errors.

use crate::limits::HTTP_REACTIONS_MAX;
use uproar_wire::EmojiId;

/// Appends the reactions of `body` to `out`; `None` when the general parser has to look, whatever `out` then holds.
pub(super) fn parse(
    body: &[u8],
    lookup: impl Fn(&str) -> Option<EmojiId>,
    out: &mut Vec<(EmojiId, u16)>,
) -> Option<()> {
    let mut rest = Rest(body);
    if rest.take(b'[') {
        loop {
            if out.len() == HTTP_REACTIONS_MAX {
                return None;
            }
            out.push(rest.reaction(&lookup)?);
            if !rest.take(b',') {
                break;
            }
        }
        rest.expect(b']')?;
    } else {
        out.push(rest.reaction(&lookup)?);
    }
    rest.skip_whitespace();
    rest.0.is_empty().then_some(())
}

/// What has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn reaction(&mut self, lookup: impl Fn(&str) -> Option<EmojiId>) -> Option<(EmojiId, u16)> {
        self.expect(b'{')?;
        self.name(b"\"emoji\"")?;
        let emoji = lookup(self.text()?)?;
        let mut count = 1;
        if self.take(b',') {
            self.name(b"\"count\"")?;
            count = self.count()?;
        }
        self.expect(b'}')?;
        Some((emoji, count))
    }

    fn name(&mut self, quoted: &[u8]) -> Option<()> {
        self.skip_whitespace();
        self.0 = self.0.strip_prefix(quoted)?;
        self.expect(b':')
    }

    /// A string without escapes.
    fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let end = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// A whole number from 1 to 65,535; what follows its digits is for the caller to expect.
    fn count(&mut self) -> Option<u16> {
        self.skip_whitespace();
        let len = self.0.iter().take(5).take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(len);
        if digits.first() == Some(&b'0') {
            return None;
        }
        let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        self.0 = rest;
        u16::try_from(number).ok().filter(|&count| count > 0)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Whether `byte` comes next, after whitespace; it is then read.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_whitespace();
        match self.0.split_first() {
            Some((&first, rest)) if first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_whitespace(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.0.split_first() {
            self.0 = rest;
        }
    }
}
