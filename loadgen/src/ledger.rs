//! What was sent: per room and emoji, and when. Each lane keeps its own and they are added up at the end, so nothing
//! is shared while taps are sent but one bit a person.
//!
//! Invariant: `planned = sent + unconfirmed + refused + unsent`, in taps. Only what is `sent` must be in the frames;
//! `unconfirmed` may be (a request whose reply never came).

use crate::schedule::Batch;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Resolution of [`Ledger::curve`].
pub(crate) const CURVE_STEP: Duration = Duration::from_millis(10);

/// The three ways in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Transport {
    Udp,
    Http,
    Quic,
}

impl Transport {
    /// In the order they are reported.
    pub(crate) const ALL: [Self; 3] = [Self::Udp, Self::Http, Self::Quic];

    /// As in the server's metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Quic => "quic",
        }
    }
}

/// What became of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Handed to the kernel or the connection, or confirmed where the transport confirms.
    Sent,
    /// Sent, but no answer came.
    Unconfirmed,
    /// Refused or failed, with the reason.
    Refused(String),
    /// Not sent, because its time was long over.
    Unsent,
}

/// What one lane, or all of one transport, sent.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Taps planned.
    pub(crate) planned: u64,
    /// Taps sent.
    pub(crate) sent: u64,
    /// Taps whose fate is unknown.
    pub(crate) unconfirmed: u64,
    /// Taps refused, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Taps given up.
    pub(crate) unsent: u64,
    /// Taps sent, per room of the scenario and emoji.
    pub(crate) by_emoji: Vec<Vec<u64>>,
    /// Taps sent, per room and [`CURVE_STEP`] of planned time.
    pub(crate) curve: Vec<Vec<u64>>,
    /// From planned to handed over, in microseconds.
    pub(crate) lag_us: Histogram<u64>,
    /// From planned to confirmed, in microseconds; empty where nothing confirms.
    pub(crate) confirmed_us: Histogram<u64>,
}

impl Ledger {
    /// An empty ledger for so many rooms and emoji.
    pub(crate) fn new(rooms: usize, emoji: u16) -> Self {
        Self {
            planned: 0,
            sent: 0,
            unconfirmed: 0,
            refused: BTreeMap::new(),
            unsent: 0,
            by_emoji: vec![vec![0; usize::from(emoji)]; rooms],
            curve: vec![Vec::new(); rooms],
            lag_us: histogram(),
            confirmed_us: histogram(),
        }
    }

    /// Writes down what became of a batch.
    pub(crate) fn record(&mut self, batch: &Batch, outcome: Outcome) {
        let taps = batch.taps();
        self.planned += taps;
        match outcome {
            Outcome::Sent => self.record_sent(batch, taps),
            Outcome::Unconfirmed => self.unconfirmed += taps,
            Outcome::Refused(reason) => *self.refused.entry(reason).or_default() += taps,
            Outcome::Unsent => self.unsent += taps,
        }
    }

    fn record_sent(&mut self, batch: &Batch, taps: u64) {
        self.sent += taps;
        for record in &batch.records {
            self.by_emoji[batch.room][usize::from(record.emoji.0)] += u64::from(record.taps);
        }
        let step = (batch.at.as_millis() / CURVE_STEP.as_millis()) as usize;
        let curve = &mut self.curve[batch.room];
        if curve.len() <= step {
            curve.resize(step + 1, 0);
        }
        curve[step] += taps;
    }

    /// Adds another lane's ledger of the same match.
    pub(crate) fn add(&mut self, other: &Self) {
        self.planned += other.planned;
        self.sent += other.sent;
        self.unconfirmed += other.unconfirmed;
        self.unsent += other.unsent;
        for (reason, taps) in &other.refused {
            *self.refused.entry(reason.clone()).or_default() += taps;
        }
        add_tables(&mut self.by_emoji, &other.by_emoji);
        add_tables(&mut self.curve, &other.curve);
        merge(&mut self.lag_us, &other.lag_us);
        merge(&mut self.confirmed_us, &other.confirmed_us);
    }

    /// Taps sent to one room.
    pub(crate) fn sent_to(&self, room: usize) -> u64 {
        self.by_emoji[room].iter().sum()
    }
}

fn add_tables(to: &mut [Vec<u64>], from: &[Vec<u64>]) {
    for (to, from) in to.iter_mut().zip(from) {
        if to.len() < from.len() {
            to.resize(from.len(), 0);
        }
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    }
}

/// A histogram of microseconds up to an hour, with an error of 0.1 %.
pub(crate) fn histogram() -> Histogram<u64> {
    let hour_us = 3_600_000_000;
    Histogram::new_with_bounds(1, hour_us, 3).unwrap_or_else(|_| unreachable!("constant bounds are valid"))
}

/// Adds a histogram to another one made by [`histogram`].
pub(crate) fn merge(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).unwrap_or_else(|_| unreachable!("histograms of the same bounds add up"));
}

/// The time from one moment to another in microseconds, for a histogram; 0 when it is the other way round.
pub(crate) fn us_between(from: std::time::Instant, to: std::time::Instant) -> u64 {
    to.saturating_duration_since(from).as_micros() as u64
}

/// One bit a person: who has tapped.
#[derive(Debug)]
pub(crate) struct Acted(Vec<AtomicU64>);

impl Acted {
    /// Nobody of so many has.
    pub(crate) fn new(people: u32) -> Self {
        Self((0..people.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// This one has. Order against anything else does not matter: it is read when all lanes have ended.
    pub(crate) fn mark(&self, person: u32) {
        self.0[(person / 64) as usize].fetch_or(1 << (person % 64), Ordering::Relaxed);
    }

    /// How many have.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.load(Ordering::Relaxed).count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::PlannedRecord;
    use uproar_wire::EmojiId;

    fn batch(at_ms: u64, room: usize, taps: &[(u16, u16)]) -> Batch {
        let record = |&(emoji, taps)| PlannedRecord { person: 0, emoji: EmojiId(emoji), taps };
        Batch { at: Duration::from_millis(at_ms), room, records: taps.iter().map(record).collect() }
    }

    #[test]
    fn every_planned_tap_has_one_outcome() {
        let mut ledger = Ledger::new(2, 3);
        ledger.record(&batch(5, 0, &[(0, 2), (2, 3)]), Outcome::Sent);
        ledger.record(&batch(25, 1, &[(1, 7)]), Outcome::Sent);
        ledger.record(&batch(26, 1, &[(1, 4)]), Outcome::Unconfirmed);
        ledger.record(&batch(27, 1, &[(1, 1)]), Outcome::Refused("429".into()));
        ledger.record(&batch(28, 1, &[(1, 9)]), Outcome::Unsent);
        assert_eq!((ledger.planned, ledger.sent, ledger.unconfirmed, ledger.unsent), (26, 12, 4, 9));
        assert_eq!(ledger.refused["429"], 1);
        assert_eq!(ledger.by_emoji, [[2, 0, 3], [0, 7, 0]]);
        assert_eq!(ledger.curve, [vec![5], vec![0, 0, 7]]);
    }

    #[test]
    fn lanes_add_up_whatever_their_lengths() {
        let (mut one, mut other) = (Ledger::new(1, 1), Ledger::new(1, 1));
        one.record(&batch(0, 0, &[(0, 1)]), Outcome::Sent);
        other.record(&batch(30, 0, &[(0, 2)]), Outcome::Sent);
        other.record(&batch(30, 0, &[(0, 5)]), Outcome::Refused("503".into()));
        other.lag_us.record(10).unwrap();
        one.add(&other);
        assert_eq!((one.planned, one.sent, one.sent_to(0), one.refused["503"]), (8, 3, 3, 5));
        assert_eq!(one.curve, [[1, 0, 0, 2]]);
        assert_eq!(one.lag_us.len(), 1);
    }

    #[test]
    fn a_person_is_counted_once() {
        let acted = Acted::new(130);
        [0, 64, 129, 129].into_iter().for_each(|person| acted.mark(person));
        assert_eq!(acted.count(), 3);
    }
}
