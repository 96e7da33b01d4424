//! What one turn does with the requests of connections: a bounded amount, and no connection twice before the others had
//! their turn.
//!
//! A connection whose replies the kernel has taken, and one whose bytes came when the turn had no work left, is queued. A
//! queued connection goes on in the order of the queue, with one step: it gets at most [`limits::HTTP_REPLIES_MAX`] of
//! replies and the one that exceeds them. Half of a turn's work is kept for bytes that have just come, so that pipelines
//! do not hold up taps, nor taps pipelines.
//!
//! Invariant: what waits here holds none of the buffers that connections share: its bytes are in the connection's decoder,
//! which is bounded.

use super::budget::Budget;
use super::{State, Tcp, find};
use crate::edge::sys::ring::{Completion, Ring};
use crate::limits::{self, HTTP_TURN_WORK};
use crate::shard::{HttpConn, Shard};
use std::io;
use std::time::Instant;

/// What the last turn has done, in the units of its limits.
#[cfg(test)]
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct TurnWork {
    /// Against [`HTTP_TURN_WORK`].
    pub(super) requests: usize,
    /// Against [`limits::HTTP_FLUSH_WORK`].
    pub(super) flush: usize,
    /// Against [`limits::ACCEPTS_PER_TURN`].
    pub(super) accepts: usize,
    /// Against [`limits::HTTP_SWEEP_SLICE`].
    pub(super) swept: usize,
    /// Against [`limits::HTTP_SWEEP_ENDS`].
    pub(super) ended: usize,
}

impl Tcp {
    /// Begins a turn, when the ring has been entered: connections that the turn before left over go on.
    pub fn begin_turn(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        self.budget = Budget::new(HTTP_TURN_WORK);
        #[cfg(test)]
        {
            self.work = TurnWork::default();
        }
        self.handle_flushed(now, ring, shard)?;
        let for_arrivals = self.budget.reserve(HTTP_TURN_WORK / 2);
        self.serve_queued(now, ring, shard);
        self.budget.give(for_arrivals);
        Ok(())
    }

    /// Spends what the completions of a turn have left of its work, and accepts connections.
    pub fn end_arrivals(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        self.serve_queued(now, ring, shard);
        #[cfg(test)]
        {
            self.work.requests = self.budget.spent;
        }
        self.accept(now, ring, shard)
    }

    /// Whether another turn has something to do without anything having happened.
    pub fn has_work(&self) -> bool {
        !self.flushed.is_empty() || !self.queued.is_empty() || !self.changed.is_empty() || self.has_arrivals()
    }

    /// Has the connection go on in its turn.
    pub(super) fn queue(&mut self, conn: HttpConn) {
        if let Some(known) = find(&mut self.conns, conn)
            && !std::mem::replace(&mut known.is_queued, true)
        {
            self.queued.push_back(conn);
        }
    }

    /// Keeps received bytes until the connection has its turn. Nothing more is received while there are many.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        conn: HttpConn,
        completion: Option<&Completion>,
        ring: &Ring,
        shard: &mut Shard,
    ) {
        let bytes = completion.and_then(|completion| ring.received(completion)).map_or(&[][..], |(_, bytes)| bytes);
        let held_bytes = shard.hold_http(conn, bytes);
        let Some(known) = find(&mut self.conns, conn) else { return };
        known.since = now;
        // One that waits for something else than its turn is queued when that has come.
        let waits_for_its_turn = known.state == State::Open;
        match held_bytes {
            None => known.state = State::Finishing,
            Some(held_bytes) if held_bytes > limits::HTTP_HEAD_MAX => known.state = State::Waiting,
            Some(_) => {}
        }
        if waits_for_its_turn {
            self.queue(conn);
        }
    }

    /// Takes queued connections on by one step each, until the work is spent.
    fn serve_queued(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) {
        for _ in 0..self.queued.len() {
            if self.budget.is_spent() {
                return;
            }
            let Some(conn) = self.queued.pop_front() else { return };
            let Some(known) = find(&mut self.conns, conn) else { continue };
            known.is_queued = false;
            self.handle_bytes(now, conn, None, ring, shard);
            self.note_change(conn);
        }
    }
}
