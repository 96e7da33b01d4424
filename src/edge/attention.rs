//! How much of its time a shard is awake, and how long its turns are.
//!
//! The clock that each turn reads anyway is enough for a shard that never sleeps; one reading more, before each sleep,
//! tells sleep from work. What the kernel does for a shard within the call that it sleeps in counts as sleep: the CPU time
//! of the shard's thread has it. Invariant: time awake and time asleep add up to the time since the start. Not here: how
//! a shard sleeps (`sleep`, `shard_loop`).

use crate::metrics::ShardMetrics;
use std::time::Instant;

/// Of one shard.
#[derive(Debug)]
pub struct Attention {
    turn_began_at: Instant,
    /// Since when the shard sleeps, if it does.
    asleep_since: Option<Instant>,
}

impl Attention {
    /// The first turn begins.
    pub fn new(now: Instant) -> Self {
        Self { turn_began_at: now, asleep_since: None }
    }

    /// The shard falls asleep, and wakes with its next turn.
    pub fn handle_sleep(&mut self, now: Instant) {
        self.asleep_since = Some(now);
    }

    /// Another turn begins: counts the one before, and the sleep after it.
    pub fn handle_turn(&mut self, now: Instant, metrics: &mut ShardMetrics) {
        let ended_at = self.asleep_since.take().unwrap_or(now);
        let turn = ended_at.saturating_duration_since(self.turn_began_at);
        metrics.loop_turn.record(turn);
        metrics.detail.busy += turn;
        metrics.detail.idle += now.saturating_duration_since(ended_at);
        self.turn_began_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any moment will do, and there is no other way to one")]
    fn a_shard_that_never_sleeps_is_busy_and_one_that_does_is_both() {
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        let mut metrics = ShardMetrics::default();
        let mut attention = Attention::new(start);
        attention.handle_turn(at(40), &mut metrics);
        assert_eq!((metrics.detail.busy, metrics.detail.idle), (Duration::from_micros(40), Duration::ZERO));

        attention.handle_sleep(at(50));
        attention.handle_turn(at(300), &mut metrics);
        attention.handle_turn(at(330), &mut metrics);
        assert_eq!(metrics.detail.busy, Duration::from_micros(40 + 10 + 30));
        assert_eq!(metrics.detail.idle, Duration::from_micros(250));
        assert_eq!(metrics.detail.busy + metrics.detail.idle, at(330) - start, "no time is lost");
        assert_eq!(metrics.loop_turn.count(), 3);
        assert!(metrics.loop_turn.quantile(1.0) < Duration::from_micros(45), "a sleep is no part of a turn");
    }
}
