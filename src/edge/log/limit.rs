//! How often one kind of event may be logged.
//!
//! Invariant: of one kind, at most [`LOG_LINES_PER_KIND`] lines come in one [`LOG_KIND_PERIOD`]; what is held back is counted,
//! and said before the next line of the kind, or at the end. A kind is the `event` that a line names, or else the place in the
//! code that says it. Debugging is not limited: who turns it on wants all of it.

use super::line::Line;
use crate::limits::{LOG_KIND_PERIOD, LOG_KINDS_MAX, LOG_LINES_PER_KIND};
use std::time::Instant;
use tracing::Level;

/// The kinds that were seen.
#[derive(Default)]
pub(super) struct Limiter {
    /// Few, and searched only when something is logged.
    kinds: Vec<Kind>,
}

struct Kind {
    name: Name,
    period_began: Instant,
    written: u32,
    held_back: u64,
    /// The last line that was held back.
    last: Option<Line>,
}

#[derive(PartialEq, Eq)]
enum Name {
    Event(String),
    Place(Option<(&'static str, u32)>),
    /// All for whom the table had no room.
    Others,
}

impl Limiter {
    /// Whether `line` may be written now, and then how many like it were not, since the last that was.
    pub(super) fn judge(&mut self, now: Instant, line: &Line) -> Option<u64> {
        if line.level > Level::INFO {
            return Some(0);
        }
        let kind = self.kind_of(now, line);
        if now.saturating_duration_since(kind.period_began) >= LOG_KIND_PERIOD {
            kind.period_began = now;
            kind.written = 0;
        }
        if kind.written == LOG_LINES_PER_KIND {
            kind.held_back += 1;
            kind.last = Some(line.clone());
            return None;
        }
        kind.written += 1;
        kind.last = None;
        Some(std::mem::take(&mut kind.held_back))
    }

    /// What was held back and not said yet: a line of each kind, and how many.
    pub(super) fn take_held_back(&mut self) -> Vec<(Line, u64)> {
        let rest = self.kinds.iter_mut();
        rest.filter_map(|kind| Some((kind.last.take()?, std::mem::take(&mut kind.held_back)))).collect()
    }

    fn kind_of(&mut self, now: Instant, line: &Line) -> &mut Kind {
        let name = match &line.kind {
            Some(event) => Name::Event(event.clone()),
            None => Name::Place(line.place),
        };
        let known = self.kinds.iter().position(|kind| kind.name == name);
        let (place, name) = match known {
            Some(place) => (place, name),
            None if self.kinds.len() < LOG_KINDS_MAX => (self.kinds.len(), name),
            None => (LOG_KINDS_MAX, Name::Others),
        };
        if place == self.kinds.len() {
            self.kinds.push(Kind { name, period_began: now, written: 0, held_back: 0, last: None });
        }
        &mut self.kinds[place]
    }
}
