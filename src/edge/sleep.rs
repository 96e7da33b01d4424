//! How a shard with nothing to do sleeps.
//!
//! | sleep | ends with | costs |
//! |---|---|---|
//! | nap | a completion, but not with reaction datagrams, or after [`NAP`] | one system call |
//! | doze | a completion, or after [`DOZE`] | one system call |
//! | park | anything: completions, messages of other shards, deadlines | a wake-up through the executor, ten times as much |
//!
//! Where something has come soon after the last sleep, something will come soon again: the shard waits for it in its own
//! ring. Nobody waits for the answer to a reaction datagram, so while such datagrams come, they do not end sleeps: the
//! shard finds a batch of them. Messages of other shards wait for the end of a nap or a doze, as they do while a shard is
//! busy. Not here: how sleeping is done (`shard_loop`).

use std::time::{Duration, Instant};

/// Length of a nap: far below a window, and short enough that at a million datagrams a second fewer gather than a default
/// receive buffer holds.
pub const NAP: Duration = Duration::from_micros(250);
/// Length of a doze: longer than the pauses of a stream of requests, far below the time that anybody may wait for a message.
pub const DOZE: Duration = Duration::from_millis(1);

/// A way to sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// In the ring, without regard to reaction datagrams.
    Nap,
    /// In the ring.
    Doze,
    /// In the executor.
    Park,
}

/// What happened since the shard last slept, and how long it slept.
#[derive(Debug, Default)]
pub struct Sleeper {
    fell_asleep_at: Option<Instant>,
    slept_shortly: bool,
    has_reactions: bool,
}

impl Sleeper {
    /// A turn of the loop begins.
    pub fn handle_turn(&mut self, now: Instant) {
        if let Some(fell_asleep_at) = self.fell_asleep_at.take() {
            self.slept_shortly = now.saturating_duration_since(fell_asleep_at) < DOZE;
            self.has_reactions = false;
        }
    }

    /// Reaction datagrams came.
    pub fn handle_reactions(&mut self) {
        self.has_reactions = true;
    }

    /// The shard falls asleep; says how it should.
    pub fn handle_sleep(&mut self, now: Instant) -> Sleep {
        self.fell_asleep_at = Some(now);
        match (self.slept_shortly, self.has_reactions) {
            (false, _) => Sleep::Park,
            (true, true) => Sleep::Nap,
            (true, false) => Sleep::Doze,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn now() -> Instant {
        Instant::now()
    }

    /// How the shard sleeps after a sleep of this length, and what came then.
    fn next(sleeper: &mut Sleeper, slept: Duration, reactions: bool) -> Sleep {
        let start = now();
        sleeper.handle_sleep(start);
        sleeper.handle_turn(start + slept);
        if reactions {
            sleeper.handle_reactions();
        }
        sleeper.handle_sleep(start + slept)
    }

    #[test]
    fn a_shard_waits_in_its_ring_while_things_come_soon() {
        let mut sleeper = Sleeper::default();
        assert_eq!(next(&mut sleeper, 10 * DOZE, true), Sleep::Park, "reactions are rare");
        assert_eq!(next(&mut sleeper, 10 * DOZE, false), Sleep::Park, "completions are rare");
        assert_eq!(next(&mut sleeper, DOZE / 2, false), Sleep::Doze);
        assert_eq!(next(&mut sleeper, DOZE / 2, true), Sleep::Nap);
        assert_eq!(next(&mut sleeper, NAP, true), Sleep::Nap, "a nap that found reactions is followed by another");
        assert_eq!(next(&mut sleeper, NAP, false), Sleep::Doze, "a nap that found none is not");
        assert_eq!(next(&mut sleeper, DOZE, false), Sleep::Park, "nothing came");
    }

    #[test]
    fn a_shard_that_has_not_slept_parks_first() {
        assert_eq!(Sleeper::default().handle_sleep(now()), Sleep::Park);
    }
}
