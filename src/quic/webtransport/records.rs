//! Frames of HTTP/3 and capsules, as they come in pieces: a kind, a length, so many bytes.
//!
//! Invariant: nothing of a payload is kept, so one of any announced length takes no memory.

use web_transport_proto::VarInt;

/// Bytes of a whole number at most.
const VARINT_MAX: usize = VarInt::MAX_SIZE;

/// How far one record has come.
#[derive(Default, Debug)]
pub(super) struct Records {
    head: [u8; 2 * VARINT_MAX],
    head_len: usize,
    /// Bytes of the payload that have not come.
    left: u64,
}

/// What the next bytes are.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    /// A record begins.
    Head { kind: u64, len: u64 },
    /// Some of its payload.
    Payload(&'a [u8]),
}

impl Records {
    /// The next piece of what is at the front of `bytes`, which is taken from there; `None` once nothing is left.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        if self.left > 0 {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (payload, rest) = bytes.split_at(bytes.len().min(most));
            *bytes = rest;
            self.left -= payload.len() as u64;
            return (!payload.is_empty()).then_some(Piece::Payload(payload));
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            self.head[self.head_len] = byte;
            self.head_len += 1;
            *bytes = rest;
            if let Some((kind, len)) = decode_pair(&mut &self.head[..self.head_len]) {
                (self.head_len, self.left) = (0, len);
                return Some(Piece::Head { kind, len });
            }
        }
        None
    }

    /// Whether nothing is missing of the record that came last.
    pub(super) fn is_between(&self) -> bool {
        self.head_len == 0 && self.left == 0
    }

    /// How many bytes at most are certain to be of this record.
    pub(super) fn wants(&self) -> usize {
        if self.left > 0 {
            return usize::try_from(self.left).unwrap_or(usize::MAX);
        }
        let head = &self.head[..self.head_len];
        let first = head.first().map_or(1, |&byte| varint_len(byte));
        let second = head.get(first).map_or(1, |&byte| varint_len(byte));
        first + second - head.len()
    }
}

/// Bytes of the number that begins with `byte`.
pub(super) fn varint_len(byte: u8) -> usize {
    1 << (byte >> 6)
}

/// Two numbers at the front of `bytes`, which are taken from there.
pub(super) fn decode_pair(bytes: &mut &[u8]) -> Option<(u64, u64)> {
    let first = VarInt::decode(bytes).ok()?;
    let second = VarInt::decode(bytes).ok()?;
    Some((first.into_inner(), second.into_inner()))
}

/// Appends a number that is less than 2^62.
pub(super) fn encode_varint(number: u64, out: &mut Vec<u8>) {
    VarInt::from_u64(number).unwrap_or(VarInt::MAX).encode(out);
}

/// A number that comes in pieces.
#[derive(Default, Debug)]
pub(super) struct Number {
    bytes: [u8; VARINT_MAX],
    len: usize,
}

impl Number {
    /// Takes a byte; the number, if that was its last.
    pub(super) fn push(&mut self, byte: u8) -> Option<u64> {
        self.bytes[self.len] = byte;
        self.len += 1;
        (self.len == varint_len(self.bytes[0])).then(|| {
            let number = VarInt::decode(&mut &self.bytes[..self.len]).expect("it is whole");
            self.len = 0;
            number.into_inner()
        })
    }

    /// How many bytes are certain to be of this number.
    pub(super) fn wants(&self) -> usize {
        self.bytes[..self.len].first().map_or(1, |&byte| varint_len(byte) - self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_any_pieces() {
        let mut wire = Vec::new();
        for (kind, len) in [(0, 0_u64), (0x4123, 5), (1 << 40, 70)] {
            encode_varint(kind, &mut wire);
            encode_varint(len, &mut wire);
            wire.resize(wire.len() + len as usize, 7);
        }
        for piece in [1, 2, 3, 9, wire.len()] {
            let (mut records, mut heads, mut payload) = (Records::default(), Vec::new(), 0);
            for mut bytes in wire.chunks(piece) {
                while let Some(piece) = records.next(&mut bytes) {
                    match piece {
                        Piece::Head { kind, len } => heads.push((kind, len)),
                        Piece::Payload(bytes) => payload += bytes.len(),
                    }
                }
            }
            assert!(records.is_between());
            assert_eq!((heads, payload), (vec![(0, 0), (0x4123, 5), (1 << 40, 70)], 75), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_wanted_ends_with_the_record() {
        let mut wire = Vec::new();
        encode_varint(0x41, &mut wire);
        encode_varint(0x1_0000, &mut wire);
        let (mut records, mut at) = (Records::default(), 0);
        loop {
            let wanted = records.wants();
            assert!(at + wanted <= wire.len());
            at += wanted;
            if records.next(&mut &wire[at - wanted..at]).is_some() {
                break;
            }
        }
        assert_eq!(at, wire.len());
        assert_eq!(records.wants(), 0x1_0000);
    }
}
