//! What a turn has changed is brought to the ring at its end, so that the ring is entered once for all of it.
//!
//! Sends do not wait, and say nothing when they have worked: what a socket had no room for comes back when the ring is
//! entered, and goes out when the socket is writable.
//!
//! Invariant: a connection has at most one send between two entries of the ring, so that nothing overtakes what comes back.

use super::{State, Tcp, find};
use crate::edge::sys::ring::{Ring, Unsent};
use crate::edge::sys::socket_option::shut_down_write;
use crate::edge::token::Purpose;
use crate::metrics::{Outcome, Proto};
use crate::shard::{HttpConn, HttpPort, Shard};
use std::io;
use std::time::Instant;

impl Tcp {
    /// The ring was entered: the kernel has taken the replies of the turn before, but for those that it returns.
    pub fn handle_flushed(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        while let Some(unsent) = ring.poll_unsent() {
            if let Purpose::Send(conn) = Purpose::of(unsent.token) {
                let is_stalled = unsent.taken.is_ok();
                shard.metrics_mut().detail.sends_stalled[Proto::Http.index()] += u64::from(is_stalled);
                self.handle_unsent(conn, unsent, ring, shard)?;
            }
        }
        let mut flushed = std::mem::take(&mut self.flushed);
        for conn in flushed.drain(..) {
            self.go_on(now, conn, ring, shard);
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

    /// Whether connections go on as soon as the ring has been entered.
    pub fn has_flushed(&self) -> bool {
        !self.flushed.is_empty()
    }

    /// Brings what the turn has changed to the ring.
    pub fn flush(&mut self, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let mut changed = std::mem::take(&mut self.changed);
        for conn in changed.drain(..) {
            self.settle(conn, ring, shard)?;
        }
        self.changed = changed;
        Ok(())
    }

    fn handle_unsent(&mut self, conn: HttpConn, unsent: Unsent, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        match unsent.taken {
            Ok(taken_len) => {
                // Nothing was appended meanwhile: what a turn sent is known before the next turn handles anything.
                known.replies = unsent.bytes;
                known.taken_len = taken_len;
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

    /// All replies of a connection were taken, unless its socket is full.
    fn go_on(&mut self, now: Instant, conn: HttpConn, ring: &mut Ring, shard: &mut Shard) {
        let Some(known) = find(&mut self.conns, conn).filter(|known| !known.is_full) else { return };
        let was_behind = std::mem::take(&mut known.is_behind);
        if was_behind {
            known.sent_at = now;
        }
        match known.state {
            State::Finishing => {
                shut_down_write(known.fd());
                known.state = State::Lingering;
                known.since = now;
            }
            State::Waiting => {
                self.lend_buffer(conn, ring);
                self.handle_bytes(now, conn, &[], shard);
            }
            State::Streaming if was_behind => shard.handle_stream_writable(conn),
            State::Open | State::Streaming | State::Lingering | State::Dead => {}
        }
        self.note_change(conn);
    }

    /// Brings the ring's operations in line with the connection's state, and forgets it when it is over.
    fn settle(&mut self, conn: HttpConn, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        let Some(known) = find(&mut self.conns, conn) else { return Ok(()) };
        known.is_changed = false;
        if !known.is_full {
            let replies = std::mem::take(&mut known.replies);
            known.events = 0;
            let has_replies = !replies.is_empty() && known.state != State::Dead;
            if has_replies {
                let taken_len = std::mem::take(&mut known.taken_len);
                ring.send(known.fd(), Purpose::Send(conn).token(), replies, taken_len)?;
            } else {
                ring.keep_spare(replies);
            }
            let goes_on = known.is_behind || (has_replies && known.state == State::Waiting);
            if goes_on || known.state == State::Finishing {
                self.flushed.push(conn);
            }
        }
        match known.state {
            State::Open | State::Streaming | State::Lingering if !known.is_receiving => known.receive(conn, ring)?,
            // For a dead one, too: while its peer goes on sending, a receive does not come to the end of what was sent.
            State::Waiting | State::Dead if known.is_receiving => {
                ring.cancel(Purpose::Receive(conn).token(), Purpose::Cancel.token())?;
            }
            State::Dead if !known.is_full => {
                shard.http_closed(conn, known.outcome);
                let closed = self.conns.remove(conn.slot as usize);
                self.admin_conns -= usize::from(closed.port == HttpPort::Admin);
                self.admission.handle_closed(closed.client);
            }
            _ => {}
        }
        Ok(())
    }
}
