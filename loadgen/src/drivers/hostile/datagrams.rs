//! Reaction datagrams that the server must not count, of every kind it tells apart.

use crate::crowd::rng::{Rng, scaled};
use uproar_wire::reaction::{self, DATAGRAM_MAX, HEADER_LEN, RECORD_LEN, RECORDS_MAX, Record};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// What is wrong with a datagram, and the reason under which the server counts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// `reason` of `uproar_rejected_total{proto="udp"}`.
    pub(super) reason: &'static str,
    spoil: fn(&mut Vec<u8>, &mut Rng),
}

/// All faults, which come in turn.
pub(super) const FAULTS: [Fault; 12] = [
    Fault { reason: "too_short", spoil: |datagram, rng| datagram.truncate(below(rng, HEADER_LEN)) },
    Fault {
        reason: "too_short",
        spoil: |datagram, rng| datagram.truncate(HEADER_LEN + below(rng, datagram.len() - HEADER_LEN)),
    },
    Fault { reason: "too_short", spoil: |datagram, _| datagram.clear() },
    Fault { reason: "too_long", spoil: |datagram, rng| datagram.resize(datagram.len() + 1 + below(rng, 100), 1) },
    Fault {
        reason: "bad_version",
        spoil: |datagram, rng| datagram[0] = uproar_wire::VERSION + 1 + below(rng, 200) as u8,
    },
    Fault { reason: "bad_flags", spoil: |datagram, rng| datagram[1] = 1 << below(rng, 8) },
    Fault { reason: "bad_count", spoil: |datagram, _| datagram[2..4].fill(0) },
    Fault {
        reason: "bad_count",
        spoil: |datagram, _| datagram[2..4].copy_from_slice(&(RECORDS_MAX as u16 + 1).to_le_bytes()),
    },
    Fault { reason: "bad_count", spoil: |datagram, _| last_record(datagram)[2..].fill(0) },
    Fault { reason: "unknown_room", spoil: |datagram, _| datagram[4..8].copy_from_slice(&NO_ROOM.0.to_le_bytes()) },
    Fault {
        reason: "unknown_emoji",
        spoil: |datagram, _| datagram[HEADER_LEN..][..2].copy_from_slice(&NO_EMOJI.0.to_le_bytes()),
    },
    Fault {
        reason: "unknown_emoji",
        spoil: |datagram, _| last_record(datagram)[..2].copy_from_slice(&NO_EMOJI.0.to_le_bytes()),
    },
];

/// A room that no server has, short of four billion.
pub(super) const NO_ROOM: RoomId = RoomId(u32::MAX);
/// An emoji that no palette has.
const NO_EMOJI: EmojiId = EmojiId(u16::MAX);

const _: () = assert!(NO_EMOJI.0 as usize >= uproar_wire::frame::PALETTE_MAX);
/// Records of a datagram before it is spoiled, at most: with what is added it still fits every path.
const RECORDS_SENT_MAX: usize = 60;
const _: () = assert!(HEADER_LEN + RECORDS_SENT_MAX * RECORD_LEN + 100 < DATAGRAM_MAX);

fn last_record(datagram: &mut [u8]) -> &mut [u8] {
    let start = datagram.len() - RECORD_LEN;
    &mut datagram[start..]
}

/// Makes one number after the other.
#[derive(Debug)]
pub(super) struct Datagrams {
    rng: Rng,
    room: RoomId,
    made: usize,
    records: Vec<Record>,
}

impl Datagrams {
    /// From a seed; what is not wrong about them is about a room that exists.
    pub(super) fn new(seed: u64, room: RoomId) -> Self {
        Self { rng: Rng::of([seed, 0x0068_6f73_7469_6c65, 0]), room, made: 0, records: Vec::new() }
    }

    /// Puts the next one into `datagram`; the reason under which it is counted.
    pub(super) fn next(&mut self, datagram: &mut Vec<u8>) -> &'static str {
        let fault = FAULTS[self.made % FAULTS.len()];
        self.made += 1;
        self.records.clear();
        let count = 1 + below(&mut self.rng, RECORDS_SENT_MAX);
        self.records.resize(count, Record { emoji: EmojiId(0), count: 1 });
        datagram.clear();
        reaction::encode(self.room, ClientId(self.rng.next()), &self.records, datagram);
        (fault.spoil)(datagram, &mut self.rng);
        fault.reason
    }
}

fn below(rng: &mut Rng, n: usize) -> usize {
    scaled(rng.next() as u32, n as u32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use uproar_wire::reaction::{DatagramError, ReactionBatch};

    /// What the server's parser and its rooms make of a datagram.
    fn reason(datagram: &[u8]) -> &'static str {
        match ReactionBatch::parse(datagram) {
            Err(DatagramError::TooShort) => "too_short",
            Err(DatagramError::TooLong) => "too_long",
            Err(DatagramError::BadVersion) => "bad_version",
            Err(DatagramError::BadFlags) => "bad_flags",
            Err(DatagramError::BadCount) => "bad_count",
            Ok(batch) if batch.room == NO_ROOM => "unknown_room",
            Ok(batch) if batch.records().any(|record| record.emoji == NO_EMOJI) => "unknown_emoji",
            Ok(_) => "counted",
        }
    }

    #[test]
    fn every_datagram_is_refused_for_the_reason_it_is_made_for() {
        let (mut datagrams, mut datagram) = (Datagrams::new(7, RoomId(1)), Vec::new());
        for _ in 0..10_000 {
            let expected = datagrams.next(&mut datagram);
            assert_eq!(reason(&datagram), expected, "{datagram:?}");
            assert!(datagram.len() <= DATAGRAM_MAX);
        }
    }

    #[test]
    fn a_seed_makes_the_same_datagrams() {
        let made = |seed| {
            let (mut datagrams, mut datagram) = (Datagrams::new(seed, RoomId(1)), Vec::new());
            (0..100)
                .map(|_| {
                    datagrams.next(&mut datagram);
                    datagram.clone()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
