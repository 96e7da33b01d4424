//! What a turn has changed is brought to the ring at its end, so that the ring is entered once for all of it.
//!
//! Sends do not wait, and say nothing when they have worked: what a socket had no room for comes back when the ring is
//! entered, and goes out when the socket is writable.
//!
//! Invariant: a connection has at most one send between two entries of the ring, so that nothing overtakes what comes back;
//! and a turn brings no more to the ring than [`HTTP_FLUSH_WORK`], and what exceeds it to the next turn, in the same order.

use super::budget::Budget;
use super::{State, Tcp, find};
use crate::edge::sys::ring::{Ring, Unsent};
use crate::edge::sys::socket_option::shut_down_write;
use crate::edge::token::Purpose;
use crate::limits::{HTTP_CLOSE_COST, HTTP_FLUSH_WORK, HTTP_REQUEST_COST, HTTP_SEND_BUFFER_BYTES};
use crate::metrics::{Outcome, Proto};
use crate::shard::{HttpConn, HttpPort, Shard};
use std::io;
use std::time::Instant;

impl Tcp {
    /// The ring was entered: the kernel has taken the replies of the turn before, but for those that it returns.
    pub(super) fn handle_flushed(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        while let Some(unsent) = ring.poll_unsent() {
            if let Purpose::Send(conn) = Purpose::of(unsent.token) {
                let is_stalled = unsent.taken.is_ok();
                shard.metrics_mut().detail.sends_stalled[Proto::Http.index()] += u64::from(is_stalled);
                self.handle_unsent(conn, unsent, ring, shard)?;
            }
        }
        let mut flushed = std::mem::take(&mut self.flushed);
        for conn in flushed.drain(..) {
            self.go_on(now, conn, shard);
        }
        self.flushed = flushed;
        Ok(())
    }

    /// The socket has room again.
    pub fn handle_writable(&mut self, conn: HttpConn) {
        if let Some(known) = find(&mut self.conns, conn) {
            known.is_full = false;
            self.note_change(conn);
        }
    }

    /// Brings what the turn has changed to the ring.
    pub fn flush(&mut self, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let mut budget = Budget::new(HTTP_FLUSH_WORK);
        for _ in 0..self.changed.len() {
            let Some(conn) = self.changed.pop_front() else { break };
            self.settle(conn, &mut budget, ring, shard)?;
        }
        #[cfg(test)]
        {
            self.work.flush = budget.spent;
        }
        Ok(())
    }

    fn handle_unsent(&mut self, conn: HttpConn, unsent: Unsent, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        match unsent.taken {
            Ok(taken_len) => {
                known.replies.put_back(unsent.bytes, taken_len);
                known.is_behind = true;
                known.is_full = true;
                if known.state == State::Streaming {
                    shard.handle_stream_stalled(conn);
                }
                ring.poll_writable(known.fd(), Purpose::Writable(conn).token())?;
            }
            Err(_) => known.kill(Outcome::Reset),
        }
        self.note_change(conn);
        Ok(())
    }

    /// What a connection sent was taken, unless its socket is full.
    fn go_on(&mut self, now: Instant, conn: HttpConn, shard: &mut Shard) {
        if find(&mut self.conns, conn).is_none_or(|known| known.is_full) {
            return;
        }
        self.note_change(conn);
        let Some(known) = find(&mut self.conns, conn) else { return };
        if known.is_behind {
            known.sent_at = now;
        }
        // The rest follows in this turn.
        if known.has_replies() {
            return;
        }
        let was_behind = std::mem::take(&mut known.is_behind);
        match known.state {
            State::Finishing => {
                shut_down_write(known.fd());
                known.state = State::Lingering;
                known.since = now;
            }
            State::Waiting => self.queue(conn),
            State::Streaming if was_behind => shard.handle_stream_writable(conn),
            State::Open | State::Streaming | State::Lingering | State::Dead => {}
        }
    }

    /// Brings the ring's operations in line with the connection's state, and forgets it when it is over.
    fn settle(&mut self, conn: HttpConn, budget: &mut Budget, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        let wants_work = known.state == State::Dead || (known.has_replies() && !known.is_full);
        if wants_work && budget.is_spent() {
            // It stays among the changed. A stream is handed nothing more meanwhile.
            if known.state == State::Streaming && !std::mem::replace(&mut known.is_behind, true) {
                shard.handle_stream_stalled(conn);
            }
            self.changed.push_back(conn);
            return Ok(());
        }
        known.is_changed = false;
        if !known.is_full {
            self.send_next(conn, budget, ring, shard)?;
        }
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        match known.state {
            State::Open | State::Streaming | State::Lingering if !known.is_receiving => known.receive(conn, ring)?,
            // For a dead one, too: while its peer goes on sending, a receive does not come to the end of what was sent.
            State::Waiting | State::Dead if known.is_receiving => {
                ring.cancel(Purpose::Receive(conn).token(), Purpose::Cancel.token())?;
            }
            State::Dead if !known.is_full => {
                budget.spend(HTTP_CLOSE_COST);
                shard.http_closed(conn, known.outcome);
                let closed = self.conns.remove(conn.slot as usize);
                self.closed += 1;
                match closed.port {
                    HttpPort::Public => self.admission.handle_closed(closed.client),
                    HttpPort::Admin => {
                        self.admin_conns -= 1;
                        self.admission.handle_admin_closed();
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends what is next on a connection whose socket has room.
    fn send_next(&mut self, conn: HttpConn, budget: &mut Budget, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        known.events = 0;
        if known.state == State::Dead {
            known.replies.clear(ring);
        }
        let len = known.replies.next_len();
        let next = known.replies.take_next(ring);
        let has_sent = next.is_some();
        if let Some((bytes, from)) = next {
            budget.spend(HTTP_REQUEST_COST + len.min(HTTP_SEND_BUFFER_BYTES));
            ring.send(known.fd(), Purpose::Send(conn).token(), bytes, from)?;
        }
        if known.has_replies() && !std::mem::replace(&mut known.is_behind, true) && known.state == State::Streaming {
            shard.handle_stream_stalled(conn);
        }
        let goes_on = known.is_behind || (has_sent && known.state == State::Waiting);
        if goes_on || known.state == State::Finishing {
            self.flushed.push(conn);
        }
        Ok(())
    }
}
