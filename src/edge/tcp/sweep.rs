//! When a connection's time is up. All connections are looked over once a second, a slice of them in a turn, so a limit may
//! pass by as much.
//!
//! 1. A request that does not come is answered with 408, unless a reply is still under way, and its connection closed.
//! 2. An idle connection, and one whose peer does not take its replies, is cut off; one that lingered long enough, too.
//! 3. A stream on which nothing was sent for long gets a heartbeat. Only not taking what is sent ends it.
//! 4. A connection that has just fallen silent is asked whether it is over. A kernel that arms a multishot receive when
//!    data and a reset are both there already reports the data and never the reset.
//!
//! Nothing here costs a request anything: what is needed follows from two moments that are noted anyway, and from what
//! the decoder holds.

use super::super::sys::ring::Ring;
use super::super::sys::socket_option::{HUNG_UP_BATCH, find_hung_up};
use super::{Conn, State, Tcp, find};
use crate::config::Http;
use crate::ingest::http::Progress;
use crate::limits::{BODY_RATE_GRACE, HTTP_LINGER, HTTP_SWEEP_ENDS, HTTP_SWEEP_EVERY, HTTP_SWEEP_SLICE, HTTP_UNUSED};
use crate::metrics::Outcome;
use crate::shard::{HttpConn, Shard};
use std::io;
use std::time::{Duration, Instant};

/// The operator's limits.
pub(super) struct TimeLimits {
    idle: Duration,
    pub(super) send: Duration,
    heartbeat: Duration,
    head: Duration,
    request: Duration,
    body_rate_bytes: usize,
}

/// What a look at one connection says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Fine,
    /// Its stream wants a heartbeat.
    Quiet,
    /// Its request does not come.
    Late,
    Over(Outcome),
}

/// How far the look over all connections has come.
pub(super) struct Sweep {
    began_at: Instant,
    /// The one before.
    before_began_at: Instant,
    /// Where the one that is under way goes on.
    next_slot: Option<usize>,
}

impl Sweep {
    pub(super) fn new(now: Instant) -> Self {
        Self { began_at: now, before_began_at: now, next_slot: None }
    }
}

impl Tcp {
    /// When [`Self::handle_timeout`] has something to look over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.sweep.next_slot.is_some() || !self.silent.is_empty() || !self.quiet.is_empty() {
            return Some(self.sweep.began_at);
        }
        let is_due = !self.conns.is_empty() || self.is_wanting();
        is_due.then(|| self.sweep.began_at + HTTP_SWEEP_EVERY)
    }

    /// Ends connections whose time is up.
    pub fn handle_timeout(&mut self, now: Instant, ring: &mut Ring, shard: &mut Shard) -> io::Result<()> {
        if self.sweep.next_slot.is_none() && now >= self.sweep.began_at + HTTP_SWEEP_EVERY {
            self.sweep.before_began_at = std::mem::replace(&mut self.sweep.began_at, now);
            self.sweep.next_slot = Some(0);
            self.retry_accepting();
        }
        if let Some(first) = self.sweep.next_slot {
            self.sweep.next_slot = self.sweep_slice(now, first, ring, shard);
        }
        self.send_heartbeats(now, ring);
        self.end_hung_up()
    }

    /// Looks over a slice of the connections from slot `first` on, and says where to go on.
    fn sweep_slice(&mut self, now: Instant, first: usize, ring: &mut Ring, shard: &mut Shard) -> Option<usize> {
        // Those that have fallen silent before this sweep began, and not before the one before it.
        let fell_silent = self.sweep.before_began_at..self.sweep.began_at;
        let mut ended = 0;
        for slot in first..first + HTTP_SWEEP_SLICE {
            if slot >= self.conns.capacity() {
                return None;
            }
            if ended == HTTP_SWEEP_ENDS {
                return Some(slot);
            }
            #[cfg(test)]
            {
                self.work.swept += 1;
            }
            let Some(known) = self.conns.get_mut(slot) else { continue };
            let conn = HttpConn { slot: slot as u32, generation: known.generation };
            let verdict = self.time_limits.judge(known, now, || shard.http_progress(conn));
            match verdict {
                // A stream's end is met when something is sent on it.
                Verdict::Fine if known.state == State::Streaming => {}
                Verdict::Quiet => self.quiet.push(conn),
                Verdict::Fine if known.is_receiving && fell_silent.contains(&known.heard_at()) => {
                    self.silent.push(conn);
                }
                Verdict::Fine => {}
                Verdict::Late | Verdict::Over(_) => {
                    ended += 1;
                    #[cfg(test)]
                    {
                        self.work.ended += 1;
                    }
                    self.carry_out(now, conn, verdict, ring, shard);
                    self.note_change(conn);
                }
            }
        }
        Some(first + HTTP_SWEEP_SLICE)
    }

    fn carry_out(&mut self, now: Instant, conn: HttpConn, verdict: Verdict, ring: &mut Ring, shard: &mut Shard) {
        let known = &mut self.conns[conn.slot as usize];
        match verdict {
            Verdict::Fine | Verdict::Quiet => {}
            Verdict::Late if !known.has_replies() => {
                shard.refuse_late_http(conn, known.replies.own(ring));
                known.state = State::Finishing;
                known.outcome = Outcome::TimedOut;
                known.since = now;
                known.is_mid_request = false;
            }
            Verdict::Late => {
                shard.count_http_timeout();
                known.kill(Outcome::TimedOut);
            }
            Verdict::Over(outcome) => known.kill(outcome),
        }
    }

    /// A slice of those that have fallen silent; the next turn goes on.
    fn end_hung_up(&mut self) -> io::Result<()> {
        let slice = self.silent.len().saturating_sub(HUNG_UP_BATCH);
        let silent: Vec<_> = self.silent.drain(slice..).filter(|&conn| find(&mut self.conns, conn).is_some()).collect();
        let sockets: Vec<_> = silent.iter().map(|conn| self.conns[conn.slot as usize].fd()).collect();
        let mut hung_up = Vec::new();
        find_hung_up(&sockets, |place| hung_up.push(silent[place]))?;
        for conn in hung_up {
            self.conns[conn.slot as usize].kill(Outcome::Reset);
            self.note_change(conn);
        }
        Ok(())
    }
}

impl Conn {
    /// When something last came from the peer or was taken by it; in the middle of a request, when that began.
    fn heard_at(&self) -> Instant {
        self.since.max(self.sent_at)
    }

    /// Whether the kernel has been behind for `limit`, however much it took meanwhile.
    fn has_stalled(&mut self, now: Instant, limit: Duration) -> bool {
        if !self.is_behind {
            self.stalled_at = None;
            return false;
        }
        match self.stalled_at {
            Some(at) if at >= self.sent_at => now.saturating_duration_since(at) >= limit,
            _ => {
                self.stalled_at = Some(now);
                false
            }
        }
    }
}

impl TimeLimits {
    pub(super) fn of(config: &Http) -> Self {
        Self {
            idle: config.idle_timeout,
            send: config.send_timeout,
            heartbeat: config.stream_heartbeat,
            head: config.head_timeout.min(config.request_timeout),
            request: config.request_timeout,
            body_rate_bytes: config.body_rate_min_bytes,
        }
    }

    fn judge(&self, known: &mut Conn, now: Instant, progress: impl FnOnce() -> Progress) -> Verdict {
        let silent_for = now.saturating_duration_since(known.heard_at());
        let has_stalled = known.has_stalled(now, self.send);
        let is_over = |is_over, outcome| if is_over { Verdict::Over(outcome) } else { Verdict::Fine };
        match known.state {
            State::Dead => Verdict::Fine,
            State::Lingering => is_over(silent_for >= HTTP_LINGER, Outcome::Done),
            State::Open if known.is_mid_request => {
                let is_late = self.is_late(progress(), now.saturating_duration_since(known.since));
                if is_late { Verdict::Late } else { is_over(has_stalled, Outcome::TimedOut) }
            }
            State::Streaming if self.wants_heartbeat(known, now) => Verdict::Quiet,
            State::Streaming => is_over(has_stalled, Outcome::TimedOut),
            State::Open | State::Waiting => {
                let is_idle = silent_for >= self.idle_for(known.has_asked);
                is_over(has_stalled || is_idle, Outcome::TimedOut)
            }
            State::Finishing => is_over(has_stalled || silent_for >= self.send, Outcome::TimedOut),
        }
    }

    /// Whether nothing was sent on a stream for long. Whoever is behind has something to read.
    pub(super) fn wants_heartbeat(&self, stream: &Conn, now: Instant) -> bool {
        !stream.is_behind && now.saturating_duration_since(stream.since) >= self.heartbeat
    }

    /// How long a connection may be without a request.
    fn idle_for(&self, has_asked: bool) -> Duration {
        if has_asked { self.idle } else { self.idle.min(HTTP_UNUSED) }
    }

    /// Whether a request that began `age` ago should have come further.
    fn is_late(&self, progress: Progress, age: Duration) -> bool {
        match progress {
            Progress::Idle | Progress::Head => age >= self.head,
            Progress::Body { bytes } => age >= self.request || (bytes as u64) < self.body_bytes_due(age),
        }
    }

    fn body_bytes_due(&self, age: Duration) -> u64 {
        let ms = age.saturating_sub(BODY_RATE_GRACE).as_millis() as u64;
        self.body_rate_bytes as u64 * ms / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TimeLimits = TimeLimits {
        idle: Duration::from_secs(620),
        send: Duration::from_secs(60),
        heartbeat: Duration::from_secs(15),
        head: Duration::from_secs(5),
        request: Duration::from_secs(100),
        body_rate_bytes: 240,
    };

    fn seconds(age: u64) -> Duration {
        Duration::from_secs(age)
    }

    #[test]
    fn a_head_has_a_total_time() {
        assert!(!LIMITS.is_late(Progress::Head, Duration::from_millis(4999)));
        assert!(LIMITS.is_late(Progress::Head, seconds(5)));
        let short = TimeLimits::of(&Http { request_timeout: seconds(1), ..crate::config::Config::default().http });
        assert!(short.is_late(Progress::Head, seconds(1)), "the time of the request is the head's, too");
    }

    #[test]
    fn a_connection_that_has_asked_nothing_is_not_kept_for_long() {
        assert_eq!((LIMITS.idle_for(true), LIMITS.idle_for(false)), (seconds(620), HTTP_UNUSED));
        let short = TimeLimits { idle: seconds(5), ..LIMITS };
        assert_eq!((short.idle_for(true), short.idle_for(false)), (seconds(5), seconds(5)));
    }

    #[test]
    fn a_body_has_a_pace_after_a_grace_and_a_total_time() {
        let body = |bytes| Progress::Body { bytes };
        assert!(!LIMITS.is_late(body(0), BODY_RATE_GRACE));
        assert!(LIMITS.is_late(body(239), BODY_RATE_GRACE + seconds(1)));
        assert!(!LIMITS.is_late(body(240), BODY_RATE_GRACE + seconds(1)));
        assert!(LIMITS.is_late(body(2399), BODY_RATE_GRACE + seconds(10)), "the pace is an average");
        assert!(!LIMITS.is_late(body(1 << 20), seconds(99)));
        assert!(LIMITS.is_late(body(1 << 20), seconds(100)));
        let patient = TimeLimits { body_rate_bytes: 0, ..LIMITS };
        assert!(!patient.is_late(body(0), seconds(99)));
    }
}
