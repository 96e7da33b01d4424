//! Cuts bytes into pieces as a network may.
//!
//! Invariant: the pieces of a way, joined, are the bytes, and the same bytes are always cut in the same ways.

/// Ways besides "whole" and "byte by byte".
const ODD_WAYS: u64 = 3;

/// Whole, byte by byte, and in pieces of lengths that the bytes themselves decide.
pub(crate) fn ways_to_cut(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let seed = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mut ways = vec![vec![bytes], bytes.chunks(1).collect()];
    ways.extend((1..=ODD_WAYS).map(|way| cut(bytes, seed ^ way)));
    ways
}

/// The multiplier of the hash FNV-1a, here of 64 bits.
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn cut(mut rest: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut state = seed | 1;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Short pieces are as likely as long ones: 1 to 2, to 4, ... to 256 bytes.
        let magnitude = 1 + (state >> 32) % 8;
        let length = 1 + (state % (1 << magnitude)) as usize;
        let (piece, others) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}
