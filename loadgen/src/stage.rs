//! What everybody who sends has in common: the crowd, the clock, who has tapped, and the counters that are shown meanwhile.
//!
//! Invariant: open loop. A batch's moment follows from the plan alone; it is never sent before, and when it is long over it
//! is written down as unsent.

use crate::crowd::{Crowd, Part, Section, Slice};
use crate::interrupt::Interrupt;
use crate::ledger::{Acted, Ledger, Shape, Transport};
use crate::live::LiveCounters;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after its moment a batch is still sent. Beyond, it is given up, and written down so.
pub const GIVE_UP: Duration = Duration::from_secs(5);

/// What all who send share.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The crowd and its match.
    pub crowd: Arc<Crowd>,
    /// The part of it that this machine plays.
    pub part: Part,
    /// Shape of their ledgers, and with its grid the clock: when the match starts.
    pub shape: Shape,
    /// Who has tapped.
    pub acted: Arc<Acted>,
    /// What is shown while they send; told once a slice, not for each tap.
    pub counters: Arc<LiveCounters>,
    /// Once it is raised nothing more is sent: what has not left is no part of the match.
    pub interrupt: Interrupt,
}

impl Stage {
    /// When something that is planned for `due` after the start is to leave.
    pub fn moment(&self, due: Duration) -> Instant {
        self.shape.grid.start + due
    }

    /// When a slice begins.
    pub fn begins(&self, slice: Slice) -> Instant {
        self.moment(slice.starts_at())
    }

    /// An empty ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.shape)
    }

    /// This part's sections of one way in.
    pub fn sections(&self, way: Transport) -> Vec<Section> {
        self.crowd.sections_of(self.part, way).cloned().collect()
    }
}
