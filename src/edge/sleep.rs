//! How a shard with nothing to do sleeps.
//!
//! | sleep | ends with | costs |
//! |---|---|---|
//! | nap | a completion, but not with datagrams, or after [`NAP`] | one system call |
//! | doze | a completion, but not with QUIC datagrams if such came before, or after [`DOZE`] | one system call |
//! | park | anything: completions, messages of other shards, deadlines | a wake-up through the executor, ten times as much |
//!
//! After something came, something else will often come soon: the shard first waits for it in its own ring, and parks when
//! nothing does. Nobody waits for the answer to a reaction datagram, so after such datagrams they do not end the sleep: the
//! shard finds a batch of them. What comes by QUIC is acknowledgements of frames above all; they are left to gather in the
//! same way, for as long as a handshake can wait. Messages of other shards wait meanwhile, as they do while a shard is busy: until the
//! executor next runs, every few milliseconds. Not here: how sleeping is done (`shard_loop`).

use std::time::Duration;

/// Length of a nap: far below a window, and short enough that at a million datagrams a second fewer gather than a default
/// receive buffer holds.
pub const NAP: Duration = Duration::from_micros(250);
/// Length of a doze: a round trip more to a subscriber hardly shows it; longer than the pauses of a stream of requests, far below the time that anybody may wait for a message.
pub const DOZE: Duration = Duration::from_millis(1);

/// A way to sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// In the ring, without regard to datagrams.
    Nap,
    /// In the ring, without regard to QUIC datagrams if they came before.
    Doze {
        /// Whether they did.
        gathers_quic: bool,
    },
    /// In the executor.
    Park,
}

/// What has come since the shard last slept.
#[derive(Debug, Default)]
pub struct Sleeper {
    has_reactions: bool,
    has_quic: bool,
    has_arrivals: bool,
}

impl Sleeper {
    /// Reaction datagrams came.
    pub fn handle_reactions(&mut self) {
        self.has_reactions = true;
    }

    /// QUIC datagrams came.
    pub fn handle_quic(&mut self) {
        self.has_quic = true;
    }

    /// Something else came, that somebody may wait for.
    pub fn handle_arrival(&mut self) {
        self.has_arrivals = true;
    }

    /// The shard falls asleep; says how it should.
    pub fn handle_sleep(&mut self) -> Sleep {
        match std::mem::take(self) {
            Self { has_reactions: true, .. } => Sleep::Nap,
            Self { has_quic, has_arrivals, .. } if has_quic || has_arrivals => Sleep::Doze { gathers_quic: has_quic },
            Self { .. } => Sleep::Park,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_waits_in_its_ring_for_what_may_follow_and_then_parks() {
        let mut sleeper = Sleeper::default();
        assert_eq!(sleeper.handle_sleep(), Sleep::Park, "nothing has come");
        sleeper.handle_arrival();
        assert_eq!(sleeper.handle_sleep(), Sleep::Doze { gathers_quic: false });
        sleeper.handle_quic();
        assert_eq!(sleeper.handle_sleep(), Sleep::Doze { gathers_quic: true }, "acknowledgements gather");
        sleeper.handle_arrival();
        sleeper.handle_reactions();
        assert_eq!(sleeper.handle_sleep(), Sleep::Nap, "reactions can wait, and the nap ends with a completion");
        assert_eq!(sleeper.handle_sleep(), Sleep::Park, "nothing has followed");
    }
}
