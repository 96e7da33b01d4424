//! Naps: how a shard under a stream of reactions avoids being woken for each of them.
//!
//! Nobody waits for the answer to a reaction datagram. When such datagrams, and nothing else, end a shard's sleep sooner
//! than a nap would last, it naps instead: not woken by anything for a fixed moment, and then finding a batch. One
//! wake-up costs as much as reading dozens of datagrams. Anything that somebody waits for ends napping.

use std::time::{Duration, Instant};

/// Length of a nap: far below a window, far above a wake-up, and short enough that at a million datagrams a second fewer
/// gather than a default receive buffer holds.
pub const NAP: Duration = Duration::from_micros(250);

/// What happened since the shard last slept, and how it slept.
#[derive(Debug)]
pub struct Naps {
    fell_asleep_at: Option<Instant>,
    slept_shortly: bool,
    has_reactions: bool,
    has_others: bool,
}

impl Naps {
    /// Of a shard that has not slept.
    pub fn new() -> Self {
        Self { fell_asleep_at: None, slept_shortly: false, has_reactions: false, has_others: false }
    }

    /// A turn of the loop begins.
    pub fn handle_turn(&mut self, now: Instant) {
        if let Some(fell_asleep_at) = self.fell_asleep_at.take() {
            self.slept_shortly = now.saturating_duration_since(fell_asleep_at) < 2 * NAP;
            self.has_reactions = false;
            self.has_others = false;
        }
    }

    /// Reaction datagrams came.
    pub fn handle_reactions(&mut self) {
        self.has_reactions = true;
    }

    /// Something came that somebody may wait for.
    pub fn handle_others(&mut self) {
        self.has_others = true;
    }

    /// The shard falls asleep, for a nap or until something wakes it.
    pub fn handle_sleep(&mut self, now: Instant) {
        self.fell_asleep_at = Some(now);
    }

    /// Whether the next sleep should be a nap.
    pub fn is_due(&self) -> bool {
        self.slept_shortly && self.has_reactions && !self.has_others
    }
}

impl Default for Naps {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn slept(naps: &mut Naps, time: Duration) {
        let start = Instant::now();
        naps.handle_sleep(start);
        naps.handle_turn(start + time);
    }

    #[test]
    fn a_shard_naps_only_when_reactions_alone_woke_it_soon() {
        let mut naps = Naps::new();
        naps.handle_reactions();
        assert!(!naps.is_due(), "it has not slept");
        slept(&mut naps, 10 * NAP);
        naps.handle_reactions();
        assert!(!naps.is_due(), "reactions are rare");
        slept(&mut naps, NAP / 10);
        assert!(!naps.is_due(), "nothing came");
        naps.handle_reactions();
        assert!(naps.is_due());
        naps.handle_others();
        assert!(!naps.is_due(), "somebody waits");
        slept(&mut naps, NAP);
        naps.handle_reactions();
        assert!(naps.is_due(), "a nap that found reactions is followed by another");
    }
}
