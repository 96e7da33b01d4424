//! How often one kind of event may be logged.
//!
//! Invariant: a kind's period begins with a line of it and lasts for [`LOG_KIND_PERIOD`]; in it, [`LOG_LINES_PER_KIND`] lines
//! pass, so at most twice as many in any stretch of that length. What is held back is counted, and said with the first line of
//! any kind after the period, or at the end; a log in which nothing is logged any more says it at the end only. A kind is the
//! `event` that a line names, of one shard if it names one, or else the place in the code that says it; peers cannot make
//! kinds, and at most [`LOG_KINDS_MAX`] are kept. Debugging is not limited: who turns it on wants all of it.

use super::line::Line;
use crate::limits::{LOG_KIND_PERIOD, LOG_KINDS_MAX, LOG_LINES_PER_KIND};
use std::collections::BTreeMap;
use std::time::Instant;
use tracing::Level;

/// The kinds whose period is not over.
#[derive(Default)]
pub(super) struct Limiter {
    kinds: BTreeMap<Name, Period>,
    /// No period ends before.
    next_end: Option<Instant>,
}

/// Lines of one kind that were not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HeldBack {
    pub(super) count: u64,
    /// Whose they were, if all were of one.
    pub(super) shard: Option<u64>,
    /// Of the worst.
    pub(super) level: Level,
    /// What the first of them said; none when they have no more in common than that the table had no room for them.
    pub(super) like: Option<String>,
}

struct Period {
    began: Instant,
    written: u32,
    held_back: Option<HeldBack>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Event {
        event: String,
        shard: Option<u64>,
    },
    Place(Option<(&'static str, u32)>),
    /// All for whom the table had no room.
    Others,
}

impl Limiter {
    /// Whether `line` may be written now; after [`Self::take_ended`] with the same time.
    pub(super) fn judge(&mut self, now: Instant, line: &Line) -> bool {
        if line.level > Level::INFO {
            return true;
        }
        let mut name = Name::of(line);
        // One place is for the others.
        if self.kinds.len() >= LOG_KINDS_MAX - 1 && !self.kinds.contains_key(&name) {
            name = Name::Others;
        }
        let is_alike = name != Name::Others;
        self.next_end.get_or_insert(now + LOG_KIND_PERIOD);
        let period = self.kinds.entry(name).or_insert(Period { began: now, written: 0, held_back: None });
        let passes = period.written < LOG_LINES_PER_KIND;
        match passes {
            true => period.written += 1,
            false => period.hold_back(line, is_alike),
        }
        passes
    }

    /// What was held back in periods that are over by `now`.
    pub(super) fn take_ended(&mut self, now: Instant) -> Vec<HeldBack> {
        if self.next_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        let ended =
            self.kinds.extract_if(.., |_, period| now.saturating_duration_since(period.began) >= LOG_KIND_PERIOD);
        let held_back = ended.filter_map(|(_, period)| period.held_back).collect();
        self.next_end = self.kinds.values().map(|period| period.began + LOG_KIND_PERIOD).min();
        held_back
    }

    /// All that was held back and not said yet.
    pub(super) fn take_all(&mut self) -> Vec<HeldBack> {
        self.next_end = None;
        std::mem::take(&mut self.kinds).into_values().filter_map(|period| period.held_back).collect()
    }
}

impl Period {
    fn hold_back(&mut self, line: &Line, is_alike: bool) {
        let held_back = self.held_back.get_or_insert_with(|| HeldBack {
            count: 0,
            shard: line.shard.filter(|_| is_alike),
            level: line.level,
            like: is_alike.then(|| line.message.clone()),
        });
        held_back.count += 1;
        // The worse, the less.
        held_back.level = held_back.level.min(line.level);
    }
}

impl Name {
    fn of(line: &Line) -> Self {
        match &line.kind {
            Some(event) => Self::Event { event: event.clone(), shard: line.shard },
            None => Self::Place(line.place),
        }
    }
}
