//! Reaction datagrams: every refusal at its exact boundary, and arbitrary bytes.

use crate::samples;
use proptest::collection::vec;
use proptest::prelude::*;
use uproar_wire::reaction::{self, DATAGRAM_MAX, DatagramError, HEADER_LEN, RECORDS_MAX, ReactionBatch};
use uproar_wire::{ClientId, RoomId};

/// A datagram whose header claims `claimed` records and which carries `carried`.
fn datagram(claimed: u16, carried: usize) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    bytes.extend_from_slice(&claimed.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend([0, 0, 1, 0].repeat(carried));
    bytes
}

fn refusal(bytes: &[u8]) -> Option<DatagramError> {
    ReactionBatch::parse(bytes).err()
}

#[test]
fn shorter_than_its_header() {
    let whole = datagram(1, 1);
    for len in 0..HEADER_LEN {
        assert_eq!(refusal(&whole[..len]), Some(DatagramError::TooShort), "{len} bytes");
    }
}

#[test]
fn shorter_or_longer_than_its_count_says() {
    for count in [1, 2, RECORDS_MAX] {
        let mut bytes = datagram(count as u16, count);
        assert_eq!(refusal(&bytes), None);
        bytes.push(1);
        assert_eq!(refusal(&bytes), Some(DatagramError::TooLong));
        bytes.truncate(bytes.len() - 2);
        assert_eq!(refusal(&bytes), Some(DatagramError::TooShort));
        bytes.truncate(HEADER_LEN);
        assert_eq!(refusal(&bytes), Some(DatagramError::TooShort));
    }
}

#[test]
fn another_version_or_flag() {
    for byte in 0..=u8::MAX {
        let mut bytes = datagram(1, 1);
        bytes[0] = byte;
        assert_eq!(refusal(&bytes), (byte != 1).then_some(DatagramError::BadVersion));
        let mut bytes = datagram(1, 1);
        bytes[1] = byte;
        assert_eq!(refusal(&bytes), (byte != 0).then_some(DatagramError::BadFlags));
    }
}

#[test]
fn record_count_out_of_range() {
    assert_eq!(refusal(&datagram(0, 0)), Some(DatagramError::BadCount));
    assert_eq!(refusal(&datagram(297, 297)), Some(DatagramError::BadCount));
    assert_eq!(refusal(&datagram(u16::MAX, RECORDS_MAX)), Some(DatagramError::BadCount));
    let largest = datagram(296, 296);
    assert_eq!(largest.len(), DATAGRAM_MAX);
    assert_eq!(refusal(&largest), None);
}

#[test]
fn a_record_that_counts_nothing_refuses_the_whole_datagram() {
    for at in 0..RECORDS_MAX {
        let mut bytes = datagram(296, 296);
        bytes[HEADER_LEN + at * 4 + 2] = 0;
        assert_eq!(refusal(&bytes), Some(DatagramError::BadCount), "record {at}");
        // Only the high byte of the count set: 256 taps.
        bytes[HEADER_LEN + at * 4 + 3] = 1;
        assert_eq!(refusal(&bytes), None, "record {at}");
    }
}

#[test]
#[should_panic(expected = "not 0")]
fn nothing_is_not_encoded() {
    reaction::encode(RoomId(1), ClientId(1), &[], &mut Vec::new());
}

#[test]
#[should_panic(expected = "not 297")]
fn too_much_is_not_encoded() {
    let mut records = samples::full_records();
    records.push(records[0]);
    reaction::encode(RoomId(1), ClientId(1), &records, &mut Vec::new());
}

proptest! {
    #[test]
    fn round_trip(room: u32, client: u64, raw in vec((any::<u16>(), 1..=u16::MAX), 1..=RECORDS_MAX)) {
        let records: Vec<_> = raw.into_iter().map(|(emoji, count)| samples::record(emoji, count)).collect();
        let mut bytes = Vec::new();
        reaction::encode(RoomId(room), ClientId(client), &records, &mut bytes);
        let batch = ReactionBatch::parse(&bytes).expect("what was encoded");
        prop_assert_eq!((batch.room, batch.client), (RoomId(room), ClientId(client)));
        prop_assert_eq!(batch.records().len(), records.len());
        prop_assert_eq!(batch.records().collect::<Vec<_>>(), records);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_encode_back_to_themselves(bytes in vec(any::<u8>(), 0..1300), header: bool) {
        let mut bytes = bytes;
        if header && bytes.len() >= HEADER_LEN {
            // Past the first checks, so that the later ones are reached as well.
            let count = ((bytes.len() - HEADER_LEN) / 4) as u16;
            bytes.truncate(HEADER_LEN + usize::from(count) * 4);
            bytes[..2].copy_from_slice(&[1, 0]);
            bytes[2..4].copy_from_slice(&count.to_le_bytes());
        }
        if let Ok(batch) = ReactionBatch::parse(&bytes) {
            let records: Vec<_> = batch.records().collect();
            prop_assert!(records.iter().all(|record| record.count > 0));
            let mut again = Vec::new();
            reaction::encode(batch.room, batch.client, &records, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}
