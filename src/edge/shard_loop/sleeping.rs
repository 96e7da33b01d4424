//! How a shard's loop sleeps when nothing is left to do: shortly in the ring, or at the doorbell until something rings.
//!
//! Invariant: nothing that has come before the sleep, and no deadline, is slept through. Not here: for how long it pays to
//! sleep ([`crate::edge::sleep`]).

use super::ShardLoop;
use crate::edge::clock;
use crate::edge::sleep::{DOZE, NAP, Sleep};
use crate::edge::token::Purpose;
use std::cmp::Reverse;
use std::io;
use std::time::{Duration, Instant};

impl ShardLoop {
    /// Sleeps until something happens that should not wait.
    pub(super) async fn sleep(&mut self, now: Instant) -> io::Result<()> {
        match self.sleeper.handle_sleep() {
            Sleep::Nap => {
                self.shard.metrics_mut().detail.naps += 1;
                self.wait_in_ring(now, NAP)?;
                self.ask_sockets_again();
            }
            Sleep::Doze { gathers_quic } => {
                self.shard.metrics_mut().detail.dozes += 1;
                self.poll_reactions()?;
                if gathers_quic {
                    self.wait_in_ring(now, DOZE)?;
                    self.quic.ask_again();
                } else {
                    self.quic.poll(&mut self.ring)?;
                    self.wait_in_ring(now, DOZE)?;
                }
            }
            Sleep::Park => {
                self.quic.poll(&mut self.ring)?;
                self.park(now).await?;
            }
        }
        Ok(())
    }

    /// Sockets that no poll watches are looked at in the next turn.
    pub(super) fn ask_sockets_again(&mut self) {
        self.quic.ask_again();
        if let Some(reactions) = &mut self.reactions {
            reactions.ask_again();
        }
    }

    fn wait_in_ring(&mut self, now: Instant, longest: Duration) -> io::Result<()> {
        let wait = self.next_deadline().map_or(longest, |next| next.saturating_duration_since(now).min(longest));
        self.shard.metrics_mut().detail.ring_enters += 1;
        self.attention.handle_sleep(clock::instant());
        self.ring.wait(wait, &mut self.completions)
    }

    /// Sleeps until a completion, a message or a deadline.
    async fn park(&mut self, now: Instant) -> io::Result<()> {
        self.poll_reactions()?;
        self.set_timeout(now)?;
        self.doorbell.arm(&mut self.ring);
        // Whatever completed before the doorbell was armed does not ring: look once more.
        let is_settled = self.ring.enter(&mut self.completions)?;
        if is_settled && self.completions.is_empty() && !self.ring.has_unsent() {
            self.shard.metrics_mut().detail.parks += 1;
            self.attention.handle_sleep(clock::instant());
            self.doorbell.wait(&mut self.ring).await;
        } else {
            self.ring.set_doorbell(false);
        }
        Ok(())
    }

    fn poll_reactions(&mut self) -> io::Result<()> {
        match &mut self.reactions {
            Some(reactions) => reactions.poll(&mut self.ring),
            None => Ok(()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines =
            [self.shard.poll_timeout(), self.tcp.poll_timeout(), self.quic.poll_timeout(), self.memory.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    /// Has the ring complete at the next deadline, unless it will complete earlier anyway.
    fn set_timeout(&mut self, now: Instant) -> io::Result<()> {
        let Some(next) = self.next_deadline() else { return Ok(()) };
        if self.timeouts.peek().is_none_or(|Reverse(earliest)| next < *earliest) {
            self.timeouts.push(Reverse(next));
            self.ring.timeout(next.saturating_duration_since(now), Purpose::Timeout.token())?;
        }
        Ok(())
    }
}
