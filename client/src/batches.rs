//! Taps as the records of datagrams that a node takes.
//!
//! Invariant: no tap is lost or added; no datagram has more records than its path carries, and none counts more than a node
//! takes unless it is configured otherwise ([`RECORD_TAPS`], [`REQUEST_TAPS`]), as that would be refused whole.

use uproar_wire::EmojiId;
use uproar_wire::reaction::{RECORD_TAPS, REQUEST_TAPS, Record};

/// The records of each datagram, `records_max` at most.
pub(crate) fn batches(taps: &[(EmojiId, u16)], records_max: usize) -> Vec<Vec<Record>> {
    let mut batches: Vec<Vec<Record>> = Vec::new();
    let mut room_for = 0;
    for &(emoji, mut left) in taps {
        while left > 0 {
            let is_full = batches.last().is_none_or(|batch| batch.len() == records_max) || room_for == 0;
            if is_full {
                batches.push(Vec::with_capacity(taps.len().min(records_max)));
                room_for = REQUEST_TAPS;
            }
            let count = left.min(RECORD_TAPS).min(room_for.try_into().unwrap_or(u16::MAX));
            (left, room_for) = (left - count, room_for - u32::from(count));
            batches.last_mut().unwrap_or_else(|| unreachable!("one was just made")).push(Record { emoji, count });
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn totals(taps: impl Iterator<Item = (EmojiId, u16)>) -> BTreeMap<EmojiId, u64> {
        taps.fold(BTreeMap::new(), |mut totals, (emoji, count)| {
            *totals.entry(emoji).or_insert(0) += u64::from(count);
            totals
        })
    }

    #[test]
    fn what_fits_one_datagram_is_one() {
        let taps: Vec<_> = (0..296).map(|id| (EmojiId(id), 1 + id % 7)).collect();
        assert_eq!(batches(&taps, 296).len(), 1);
        assert_eq!(batches(&taps, 295).len(), 2);
        assert_eq!(batches(&[(EmojiId(0), 600)], 1), [[Record { emoji: EmojiId(0), count: 600 }]]);
    }

    proptest! {
        #[test]
        fn every_datagram_is_within_the_limits_and_no_tap_is_lost(
            taps in prop::collection::vec((0..9u16, 1..=u16::MAX), 0..400),
            records_max in 1..=296usize,
        ) {
            let taps: Vec<_> = taps.into_iter().map(|(id, count)| (EmojiId(id), count)).collect();
            let batches = batches(&taps, records_max);
            for batch in &batches {
                prop_assert!((1..=records_max).contains(&batch.len()));
                prop_assert!(batch.iter().all(|record| (1..=RECORD_TAPS).contains(&record.count)));
                prop_assert!(batch.iter().map(|record| u32::from(record.count)).sum::<u32>() <= REQUEST_TAPS);
            }
            let sent = totals(batches.iter().flatten().map(|record| (record.emoji, record.count)));
            prop_assert_eq!(sent, totals(taps.into_iter()));
        }
    }
}
