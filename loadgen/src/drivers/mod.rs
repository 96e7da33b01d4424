//! The three ways in. A *lane* is one socket or connection with a plan and a ledger of its own.
//!
//! Invariant: a lane sends in the order of its plan, never before a batch's moment, and drops none: what it cannot send
//! in time it writes down as unsent. Deliberately not here: retries, which would count taps twice.

pub(crate) mod http;
mod http_reply;
pub(crate) mod quic;
pub(crate) mod udp;

pub(crate) use http_reply::{Reply, ReplyError};

use crate::ledger::{Acted, Ledger, Outcome, Transport, us_between};
use crate::schedule::{Batch, Match, Plan, Rng};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uproar_wire::ClientId;

/// How long after its moment a batch is still sent. Beyond, the run has failed and should end.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What all lanes of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    /// The match they play.
    pub(crate) of: Arc<Match>,
    /// When it starts.
    pub(crate) start: Instant,
    /// Who has tapped.
    pub(crate) acted: Arc<Acted>,
}

/// One socket's or connection's part of the match.
#[derive(Debug)]
pub(crate) struct Lane {
    stage: Stage,
    plan: Plan,
    ledger: Ledger,
    /// The id it sends under.
    pub(crate) client: ClientId,
}

impl Lane {
    /// Lane `number` of a transport that sends `reactions_per_second` over `lanes` lanes.
    pub(crate) fn new(stage: &Stage, transport: Transport, number: u32, per_lane: f64, records: u16) -> Self {
        let scenario = stage.of.scenario();
        let rng = Rng::for_lane(scenario.seed, transport as u64, number.into());
        Self {
            plan: Plan::new(&stage.of, rng, per_lane, records),
            ledger: Ledger::new(scenario.rooms.len(), scenario.emoji),
            client: Self::client_id(transport, number),
            stage: stage.clone(),
        }
    }

    /// The id that lane `number` of a transport sends under.
    pub(crate) fn client_id(transport: Transport, number: u32) -> ClientId {
        ClientId((transport as u64 + 1) << 32 | u64::from(number))
    }

    /// The match it plays.
    pub(crate) fn of(&self) -> &Match {
        &self.stage.of
    }

    /// Puts the next batch into `batch` and says when it is due; `None` when the match is over.
    pub(crate) fn poll_batch(&mut self, batch: &mut Batch) -> Option<Instant> {
        while self.plan.next_into(batch) {
            let due = self.stage.start + batch.at;
            if due + GIVE_UP > Instant::now() {
                return Some(due);
            }
            self.ledger.record(batch, Outcome::Unsent);
        }
        None
    }

    /// Writes down that a batch due then is handed over now.
    pub(crate) fn handle_departure(&mut self, due: Instant) {
        self.ledger.lag_us.saturating_record(us_between(due, Instant::now()));
    }

    /// Writes down that a batch due then has just been confirmed.
    pub(crate) fn handle_confirmation(&mut self, due: Instant) {
        self.ledger.confirmed_us.saturating_record(us_between(due, Instant::now()));
    }

    /// Writes down what became of a batch.
    pub(crate) fn handle_outcome(&mut self, batch: &Batch, outcome: Outcome) {
        if outcome == Outcome::Sent {
            batch.records.iter().for_each(|record| self.stage.acted.mark(record.person));
        }
        self.ledger.record(batch, outcome);
    }

    /// The ledger, when the lane has ended.
    pub(crate) fn into_ledger(self) -> Ledger {
        self.ledger
    }
}
