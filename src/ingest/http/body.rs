//! Chunked framing, taken off as the bytes come, in any pieces.
//!
//! Invariant: a body never grows past its limit, framing never grows without bound (sizes have at most
//! [`SIZE_DIGITS_MAX`] digits, trailers at most [`HTTP_TRAILERS_MAX`] bytes), and every byte is looked at once. Trailers
//! are checked for their form and discarded. Not here: bodies with a length, which need no work.

use super::refusal::Refusal;
use super::scan::{is_token_byte, is_value_byte};
use crate::limits::HTTP_TRAILERS_MAX;

/// Digits of a chunk size: more than any body that is taken.
const SIZE_DIGITS_MAX: u8 = 8;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Size { digits: u8 },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Nothing,
}

/// One chunked body on its way in.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkedBody {
    next: Next,
    /// Bytes of the current chunk that have not come.
    chunk_len: usize,
    trailers_len: usize,
}

impl ChunkedBody {
    pub(super) fn new() -> Self {
        Self { next: Next::Size { digits: 0 }, chunk_len: 0, trailers_len: 0 }
    }

    /// Whether the body and its trailers have come.
    pub(super) fn is_complete(&self) -> bool {
        self.next == Next::Nothing
    }

    /// Takes bytes up to the end of the body, appends its data to `body`, and says how many bytes of `input` it took.
    pub(super) fn decode(&mut self, input: &[u8], body: &mut Vec<u8>, body_bytes_max: usize) -> Result<usize, Refusal> {
        let mut used = 0;
        while used < input.len() && !self.is_complete() {
            if self.next == Next::Data {
                let len = self.chunk_len.min(input.len() - used);
                super::decoder::append(body, &input[used..used + len], body_bytes_max);
                used += len;
                self.chunk_len -= len;
                if self.chunk_len == 0 {
                    self.next = Next::DataCr;
                }
            } else {
                self.next = self.handle_byte(input[used], body_bytes_max - body.len())?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// Takes one byte of framing; `body_bytes_left` is what the body may still grow by.
    fn handle_byte(&mut self, byte: u8, body_bytes_left: usize) -> Result<Next, Refusal> {
        match self.next {
            Next::Size { digits } => self.handle_size(byte, digits),
            Next::SizeLf => self.handle_size_end(byte, body_bytes_left),
            Next::DataCr => line_end_byte(byte, b'\r', Next::DataLf, Refusal::BadChunkEnd),
            Next::DataLf => line_end_byte(byte, b'\n', Next::Size { digits: 0 }, Refusal::BadChunkEnd),
            Next::TrailerStart | Next::TrailerName | Next::TrailerValue | Next::TrailerLf | Next::EndLf => {
                self.handle_trailer(byte)
            }
            Next::Data | Next::Nothing => Ok(self.next),
        }
    }

    fn handle_size(&mut self, byte: u8, digits: u8) -> Result<Next, Refusal> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if digits < SIZE_DIGITS_MAX => {
                self.chunk_len = self.chunk_len << 4 | digit as usize;
                Ok(Next::Size { digits: digits + 1 })
            }
            (b'\r', _) if digits > 0 => Ok(Next::SizeLf),
            (b'\n', _) => Err(Refusal::BareLf),
            (b';', _) => Err(Refusal::ChunkExtension),
            _ => Err(Refusal::BadChunkSize),
        }
    }

    fn handle_size_end(&self, byte: u8, body_bytes_left: usize) -> Result<Next, Refusal> {
        match byte {
            b'\n' if self.chunk_len > body_bytes_left => Err(Refusal::BodyTooLarge),
            b'\n' if self.chunk_len == 0 => Ok(Next::TrailerStart),
            b'\n' => Ok(Next::Data),
            _ => Err(Refusal::BadChunkSize),
        }
    }

    fn handle_trailer(&mut self, byte: u8) -> Result<Next, Refusal> {
        self.trailers_len += 1;
        if self.trailers_len > HTTP_TRAILERS_MAX {
            return Err(Refusal::TrailersTooLarge);
        }
        match (self.next, byte) {
            (Next::TrailerStart, b'\r') => Ok(Next::EndLf),
            (Next::TrailerStart, b' ' | b'\t') => Err(Refusal::ObsFold),
            (Next::TrailerValue, b'\r') => Ok(Next::TrailerLf),
            (Next::TrailerLf, b'\n') => Ok(Next::TrailerStart),
            (Next::EndLf, b'\n') => Ok(Next::Nothing),
            (_, b'\n') => Err(Refusal::BareLf),
            (Next::TrailerName, b':') => Ok(Next::TrailerValue),
            (Next::TrailerStart | Next::TrailerName, _) if is_token_byte(byte) => Ok(Next::TrailerName),
            (Next::TrailerValue, _) if is_value_byte(byte) => Ok(Next::TrailerValue),
            _ => Err(Refusal::BadTrailer),
        }
    }
}

fn line_end_byte(byte: u8, wanted: u8, next: Next, refusal: Refusal) -> Result<Next, Refusal> {
    match byte {
        _ if byte == wanted => Ok(next),
        b'\n' => Err(Refusal::BareLf),
        _ => Err(refusal),
    }
}
