//! Reaction datagrams: what is taken is exactly what its sender encoded, and is within its bounds.

use uproar_wire::reaction::{self, DATAGRAM_MAX, RECORDS_MAX, ReactionBatch, Record};

/// Parses `bytes` as one datagram.
///
/// # Panics
/// When a datagram is taken that does not encode to the same bytes, or one is refused that does.
pub fn check(bytes: &[u8]) {
    let Ok(batch) = ReactionBatch::parse(bytes) else {
        assert!(!is_well_formed(bytes), "refused for nothing");
        return;
    };
    assert!(is_well_formed(bytes), "taken against the contract");
    assert!(bytes.len() <= DATAGRAM_MAX);
    let records: Vec<Record> = batch.records().collect();
    assert!((1..=RECORDS_MAX).contains(&records.len()));
    assert!(records.iter().all(|record| record.count > 0));
    let mut encoded = Vec::new();
    reaction::encode(batch.room, batch.client, &records, &mut encoded);
    assert_eq!(encoded, bytes);
}

/// The table of `docs/WIRE.md`, field by field.
fn is_well_formed(bytes: &[u8]) -> bool {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    bytes.len() >= 16
        && bytes[..2] == [1, 0]
        && (1..=296).contains(&u16_at(2))
        && bytes.len() == 16 + 4 * usize::from(u16_at(2))
        && (18..bytes.len()).step_by(4).all(|count| u16_at(count) > 0)
}
