//! What hostile input was sent, by what the server has to count it as.

use crate::ledger::Transport;
use std::collections::BTreeMap;

/// Unexpected answers that are kept in words; all are counted.
const UNEXPECTED_MAX: usize = 20;

/// What one way in, or all of them, sent that must be refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostileLedger {
    /// By way in and reason: how much `uproar_rejected_total{proto,reason}` must have grown by. What a full socket
    /// dropped of the datagrams is missing there, and in `uproar_socket_drops_total`.
    pub rejects: BTreeMap<(Transport, &'static str), u64>,
    /// Requests by the status that was expected of them, and came.
    pub statuses: BTreeMap<u16, u64>,
    /// Packets to the QUIC port, by kind.
    pub packets: BTreeMap<&'static str, u64>,
    /// What the kernel or the connection did not take, by way in. None of it reached the server, as far as is known.
    pub failed: BTreeMap<Transport, u64>,
    /// What was given up because its time was long over.
    pub unsent: u64,
    /// Answers other than the expected ones.
    pub unexpected: u64,
    /// The first of them, in words.
    pub unexpected_first: Vec<String>,
}

impl HostileLedger {
    /// Everything that was sent.
    pub fn sent(&self) -> u64 {
        self.rejects.values().sum::<u64>() + self.packets.values().sum::<u64>() + self.unexpected
    }

    /// What the server has to have refused: way in, reason and how often.
    pub fn refusals(&self) -> Vec<(String, String, u64)> {
        let refusals = self.rejects.iter();
        refusals.map(|((way, reason), count)| (way.label().to_owned(), (*reason).to_owned(), *count)).collect()
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        add_each(&mut self.rejects, other.rejects);
        add_each(&mut self.statuses, other.statuses);
        add_each(&mut self.packets, other.packets);
        add_each(&mut self.failed, other.failed);
        self.unsent += other.unsent;
        self.unexpected += other.unexpected;
        self.unexpected_first.extend(other.unexpected_first);
        self.unexpected_first.truncate(UNEXPECTED_MAX);
    }

    pub(super) fn handle_reject(&mut self, way: Transport, reason: &'static str) {
        *self.rejects.entry((way, reason)).or_default() += 1;
    }

    pub(super) fn handle_failure(&mut self, way: Transport) {
        *self.failed.entry(way).or_default() += 1;
    }

    pub(super) fn handle_unexpected(&mut self, what: impl FnOnce() -> String) {
        self.unexpected += 1;
        if self.unexpected_first.len() < UNEXPECTED_MAX {
            self.unexpected_first.push(what());
        }
    }
}

fn add_each<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    from.into_iter().for_each(|(key, count)| *to.entry(key).or_default() += count);
}
