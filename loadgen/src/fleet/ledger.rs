//! What the crews of a fleet count together.
//!
//! Invariant: reasons of losses are bounded; what would be one too many is counted without its name.

use super::arrivals::Arrivals;
use super::measures::{self, FleetMeasures};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use uproar::edge::sys::datagram_sender::DatagramSender;

/// Different reasons of losses that are told apart.
const REASONS_MAX: usize = 32;

/// Counters, and the sender that all sockets have in common.
pub(super) struct Ledger {
    pub(super) arrivals: Arrivals,
    pub(super) sender: DatagramSender,
    /// Subscribers on their way: neither subscribed nor given up.
    pub(super) arriving: usize,
    pub(super) subscribed: usize,
    /// Those that lost their connection and were not told to come or go since.
    pub(super) lost_now: usize,
    pub(super) handshakes: u64,
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) handshake_us: Histogram<u64>,
    pub(super) subscribe_us: Histogram<u64>,
}

impl Ledger {
    /// Nobody is there.
    pub(super) fn new(arrivals: Arrivals) -> Self {
        Self {
            arrivals,
            sender: DatagramSender::default(),
            arriving: 0,
            subscribed: 0,
            lost_now: 0,
            handshakes: 0,
            lost: BTreeMap::new(),
            handshake_us: measures::histogram(),
            subscribe_us: measures::histogram(),
        }
    }

    /// A subscriber has lost its connection.
    pub(super) fn count_loss(&mut self, reason: String) {
        let is_known = self.lost.len() < REASONS_MAX || self.lost.contains_key(&reason);
        *self.lost.entry(if is_known { reason } else { "another reason".to_owned() }).or_default() += 1;
        self.lost_now += 1;
    }

    /// A copy of what was measured.
    pub(super) fn measures(&self) -> FleetMeasures {
        FleetMeasures {
            handshake_us: self.handshake_us.clone(),
            subscribe_us: self.subscribe_us.clone(),
            lateness_us: self.arrivals.delays.lateness_us.clone(),
            spread_us: self.arrivals.delays.spread_us.clone(),
            staleness_us: self.arrivals.delays.staleness_us.clone(),
        }
    }
}
