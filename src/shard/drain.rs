//! Draining: how a shard stops without losing an accepted tap.
//!
//! 0. *Leaving*, if time is given to it: the shard goes on, but takes no new subscribers and sends away those it has
//!    ([`super::leave`]).
//! 1. *Settling*: the shard takes no new subscribers, and closes those that no longer answer ([`super::settle`]), so that no
//!    one is waited for in vain while taps are refused. When all shards have settled, the drain begins.
//! 2. *Requested*: the edge takes what the kernel already holds, then calls [`Shard::begin_drain`].
//! 3. *Delivering*: no tap is accepted any more. The open window closes early; every shard tells every merger that no
//!    delta follows, every merger tells every shard that no frame follows.
//! 4. *Closing*: the last frames are with the subscribers' connections, or wait in the outbox of those that are behind;
//!    each connection is closed once its peer has them. Peers have [`DRAIN_DELIVERY`] for that, from when all has been sent.
//! 5. *Parting*, if that time has passed: connections are closed whatever their peers have. Sessions of WebTransport are told
//!    why on a stream, and so are waited for a little longer.
//! 6. *Repeating*: closes are sent once more, as nobody acknowledges them.
//! 7. *Done*: every shard tells every shard, and all end together.
//!
//! Taps are refused from 3 on, and nobody can connect before the next process has started. So what is waited for after
//! 3 is bounded by constants, whatever peers do; `drain.timeout` bounds the shard's own work in 3, and 1.

use super::leave::Leave;
use super::settle::Settle;
use super::{MeshMessage, Shard};
use crate::fanout::{Link, SubscriptionId};
use crate::limits::{DRAIN_ASK_EVERY, DRAIN_DELIVERY, DRAIN_PARTING, DRAIN_REPEAT_AFTER, DRAIN_SLICE};
use crate::window::Now;
use std::time::{Duration, Instant};
use uproar_wire::hello::CloseCode;

/// How far a shard's drain has come.
pub(super) struct Drain {
    phase: Phase,
    /// How long the shard leaves before it drains.
    duration: Duration,
    leave: Option<Leave>,
    settle: Option<Settle>,
    timeout: Duration,
    deadline: Option<Instant>,
    shards_settled: usize,
    deltas_ended: usize,
    frames_ended: usize,
    shards_drained: usize,
    sent_frames_end: bool,
    /// Whether all that subscribers are to get has been sent.
    has_sent: bool,
    /// The next connection to ask again for an acknowledgement, and when that goes on.
    next_asked: usize,
    ask_at: Option<Instant>,
    /// Whether there were connections to close.
    has_closed: bool,
    /// Streams that are not finished, as their outbox is not empty.
    behind: Vec<(Link, SubscriptionId)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Leaving,
    Settling,
    Requested,
    Delivering,
    Closing,
    Parting,
    Repeating,
    Done,
}

impl Drain {
    pub(super) fn new(duration: Duration, timeout: Duration) -> Self {
        let phase = Phase::Serving;
        Self {
            phase,
            duration,
            leave: None,
            settle: None,
            timeout,
            deadline: None,
            shards_settled: 0,
            deltas_ended: 0,
            frames_ended: 0,
            shards_drained: 0,
            sent_frames_end: false,
            has_sent: false,
            next_asked: 0,
            ask_at: None,
            has_closed: false,
            behind: Vec::new(),
        }
    }

    /// How long a drain takes that is yet to be asked for.
    pub(super) fn set_times(&mut self, duration: Duration, timeout: Duration) {
        (self.duration, self.timeout) = (duration, timeout);
    }

    /// How long the shard leaves before it drains.
    pub(super) fn duration(&self) -> Duration {
        self.duration
    }

    /// The shard leaves; this is how far it has come.
    pub(super) fn handle_leave(&mut self, leave: Leave) {
        self.phase = self.phase.max(Phase::Leaving);
        self.leave = (self.phase == Phase::Leaving).then_some(leave);
    }

    /// How far leaving has come, for whoever moves it on.
    pub(super) fn take_leave(&mut self) -> Option<Leave> {
        self.leave.take()
    }

    /// How long the shard waits for subscribers that are behind.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The shard settles; this is how far it has come.
    pub(super) fn handle_settle(&mut self, settle: Settle) {
        self.phase = self.phase.max(Phase::Settling);
        self.leave = None;
        self.settle = (self.phase == Phase::Settling).then_some(settle);
    }

    /// How far settling has come, for whoever moves it on.
    pub(super) fn take_settle(&mut self) -> Option<Settle> {
        self.settle.take()
    }

    pub(super) fn handle_request(&mut self) {
        self.phase = self.phase.max(Phase::Requested);
        (self.leave, self.settle) = (None, None);
    }

    /// All output has been handed over: from the first time on, peers have a bounded time to acknowledge it.
    pub(super) fn handle_sent(&mut self, now: Instant) {
        if self.phase == Phase::Closing && !self.has_sent {
            self.has_sent = true;
            self.deadline = self.deadline.map(|deadline| deadline.min(now + DRAIN_DELIVERY));
            self.ask_at = Some(now + DRAIN_ASK_EVERY);
        }
    }

    pub(super) fn handle_frames_end(&mut self) {
        self.frames_ended += 1;
    }

    pub(super) fn handle_drained(&mut self) {
        self.shards_drained += 1;
    }

    pub(super) fn is_closed_to_taps(&self) -> bool {
        self.phase >= Phase::Delivering
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let leave = self.leave.as_ref().and_then(Leave::poll_timeout);
        let settle = self.settle.as_ref().and_then(Settle::poll_timeout);
        let ask = self.ask_at.filter(|_| self.phase == Phase::Closing);
        leave.into_iter().chain(settle).chain(ask).chain(self.deadline.filter(|_| self.phase < Phase::Done)).min()
    }
}

impl Shard {
    /// Asks all shards to drain, after they have left if time is given to that. Only the coordinating shard is asked to.
    pub fn request_drain(&mut self) {
        match self.drain.duration.is_zero() {
            true => self.broadcast(|| MeshMessage::Settle),
            false => self.broadcast(|| MeshMessage::Leave),
        }
    }

    /// How long a drain takes at most that begins now: leaving, then settling. The last window and the ends of connections
    /// come on top.
    pub fn drain_longest(&self) -> Duration {
        self.drain.duration + self.drain.timeout
    }

    /// Whether a drain was asked for and [`Self::begin_drain`] has not been called.
    pub fn is_drain_requested(&self) -> bool {
        self.drain.phase == Phase::Requested
    }

    /// Whether the shard takes taps and subscribers and means to go on doing so.
    pub fn is_ready(&self) -> bool {
        self.drain.phase == Phase::Serving
    }

    /// The edge has handed over everything that was received: closes the window and delivers.
    pub fn begin_drain(&mut self, now: Now) {
        self.drain.phase = Phase::Delivering;
        self.drain.deadline = Some(now.instant + self.drain.timeout);
        self.quic.refuse_new();
        self.fanout.hurry();
        self.event_streams.hurry();
        self.close_window(now, self.window.open());
        self.broadcast(|| MeshMessage::DeltasEnd);
    }

    /// Whether all shards have delivered everything and closed every connection, or the time limit has passed.
    pub fn is_drained(&self) -> bool {
        self.drain.shards_drained == self.shards
    }

    /// Drains once every shard has settled.
    pub(super) fn handle_settled(&mut self) {
        self.drain.shards_settled += 1;
        if self.drain.shards_settled == self.shards {
            self.broadcast(|| MeshMessage::Drain);
        }
    }

    pub(super) fn handle_deltas_end(&mut self) {
        self.drain.deltas_ended += 1;
        if self.drain.deltas_ended == self.shards {
            self.merger.flush();
        }
    }

    /// Moves the drain on; true when it wants another turn at once.
    pub(super) fn serve_drain(&mut self, now: Now) -> bool {
        match self.drain.phase {
            Phase::Delivering => {
                let merged = self.drain.deltas_ended == self.shards && self.merger.is_idle();
                if merged && !self.drain.sent_frames_end {
                    self.drain.sent_frames_end = true;
                    self.send_frames();
                    self.broadcast(|| MeshMessage::FramesEnd);
                    return true;
                }
                let is_handed_out = !self.fanout.has_work() && !self.event_streams.has_work();
                let delivered = self.drain.frames_ended == self.shards && is_handed_out;
                if delivered || self.is_overdue(now) {
                    self.drain.behind = self.subscribers.streams().collect();
                    self.drain.has_closed = self.quic.open() > 0;
                    self.finish_streams();
                    self.quic.drain(now.instant, CloseCode::Draining, "the server is going away");
                    self.drain.phase = Phase::Closing;
                    return true;
                }
                false
            }
            Phase::Closing => {
                self.finish_streams();
                let is_ending = self.end_event_streams();
                let is_closed = self.quic.open() == 0 && self.quic.farewells() == 0;
                let is_through = is_closed && self.event_streams.len() == 0 && self.page.is_none();
                if is_through || self.is_overdue(now) {
                    self.quic.close_all(now.instant, CloseCode::Draining, "the server is going away");
                    self.drain.phase = Phase::Parting;
                    self.drain.deadline = Some(now.instant + DRAIN_PARTING);
                    return true;
                }
                is_ending | self.ask_again(now)
            }
            Phase::Parting => {
                let is_over = self.quic.farewells() == 0 || self.is_overdue(now);
                if is_over {
                    self.quic.end_farewells(now.instant);
                    self.drain.phase = Phase::Repeating;
                    self.drain.deadline = Some(now.instant + DRAIN_REPEAT_AFTER);
                }
                is_over
            }
            Phase::Repeating => {
                let is_over = !self.drain.has_closed || self.is_overdue(now);
                if is_over {
                    self.quic.repeat_closes();
                    self.drain.phase = Phase::Done;
                    self.broadcast(|| MeshMessage::Drained);
                }
                is_over
            }
            Phase::Serving | Phase::Leaving | Phase::Settling | Phase::Requested | Phase::Done => false,
        }
    }

    /// Asks connections that have not acknowledged everything, so that QUIC learns sooner what is lost; true while there are
    /// more to ask now.
    fn ask_again(&mut self, now: Now) -> bool {
        if self.drain.ask_at.is_none_or(|ask_at| now.instant < ask_at) {
            return false;
        }
        for _ in 0..DRAIN_SLICE {
            let Some(conn) = self.quic.connection_from(self.drain.next_asked) else {
                (self.drain.next_asked, self.drain.ask_at) = (0, Some(now.instant + DRAIN_ASK_EVERY));
                return false;
            };
            self.drain.next_asked = conn + 1;
            self.quic.ask(conn);
        }
        true
    }

    /// Ends the streams of subscribers that have been handed their last frame. Their ids stay theirs, as nobody
    /// subscribes any more.
    fn finish_streams(&mut self) {
        let Self { drain, fanout, quic, .. } = self;
        drain.behind.retain(|&(link, subscription)| {
            let is_caught_up = fanout.is_caught_up(subscription);
            if is_caught_up {
                quic.finish(link.conn, link.stream);
            }
            !is_caught_up
        });
    }

    fn is_overdue(&self, now: Now) -> bool {
        self.drain.deadline.is_some_and(|deadline| deadline <= now.instant)
    }
}
