//! Settling: before a shard that is going away refuses taps, it closes the connections of subscribers that no longer answer,
//! so that the drain waits only for those that do. Taps are counted and frames go out as before.
//!
//! Every subscriber is asked for an acknowledgement. One that sends none for [`DRAIN_SILENCE`] is closed, and so is one
//! that takes no frame for as long. A subscriber that is behind and goes on acknowledging is waited for, up to
//! `drain.timeout`.
//!
//! Invariant: a turn looks at [`DRAIN_SLICE`] subscribers at most, and at all of them once in [`DRAIN_LOOK_EVERY`].

use super::{MeshMessage, Shard};
use crate::ids::ShardId;
use crate::limits::{DRAIN_ASK_EVERY, DRAIN_LOOK_EVERY, DRAIN_SILENCE, DRAIN_SLICE};
use crate::window::Now;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use uproar_wire::hello::CloseCode;

/// How far settling has come.
pub(super) struct Settle {
    /// When it ends, whoever is still awaited.
    deadline: Instant,
    /// The next connection to ask, and the next event stream to look at; `None` once there is no further one.
    next_conn: Option<usize>,
    next_stream: Option<usize>,
    awaited: VecDeque<Awaited>,
    /// How many of `awaited` this look has yet to come to.
    round: usize,
    /// When the next look begins.
    next_look: Instant,
}

/// A subscriber that has not answered, or is behind.
struct Awaited {
    subscriber: Subscriber,
    /// When it was first asked, or last acknowledged anything.
    since: Instant,
    /// When it is asked again.
    next_ask: Instant,
}

enum Subscriber {
    Quic { conn: usize, acknowledgements: u64, has_answered: bool },
    EventStream { place: usize },
}

impl Awaited {
    fn new(subscriber: Subscriber, now: Instant) -> Self {
        Self { subscriber, since: now, next_ask: now + DRAIN_ASK_EVERY }
    }
}

impl Settle {
    fn new(now: Instant, timeout: Duration) -> Self {
        Self {
            deadline: now + timeout,
            next_conn: Some(0),
            next_stream: Some(0),
            awaited: VecDeque::new(),
            round: 0,
            next_look: now,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_look.min(self.deadline))
    }

    fn is_over(&self, now: Instant) -> bool {
        let has_asked_all = self.next_conn.is_none() && self.next_stream.is_none();
        (has_asked_all && self.awaited.is_empty()) || self.deadline <= now
    }
}

impl Shard {
    /// Takes no new subscribers, and finds out which of those that are there still answer.
    pub(super) fn begin_settling(&mut self, now: Now) {
        self.quic.refuse_new();
        self.fanout.hurry();
        self.event_streams.hurry();
        self.drain.handle_settle(Settle::new(now.instant, self.drain.timeout()));
    }

    /// Asks and looks on; true when it wants another turn at once.
    pub(super) fn serve_settle(&mut self, now: Now) -> bool {
        let Some(mut settle) = self.drain.take_settle() else { return false };
        let has_more_to_ask = self.ask_subscribers(now.instant, &mut settle);
        let has_more_to_see = self.look_at_awaited(now, &mut settle);
        if settle.is_over(now.instant) {
            self.send(ShardId(0), MeshMessage::Settled);
            return true;
        }
        self.drain.handle_settle(settle);
        has_more_to_ask || has_more_to_see
    }

    fn ask_subscribers(&mut self, now: Instant, settle: &mut Settle) -> bool {
        for _ in 0..DRAIN_SLICE {
            // Those that were asked are to be sent the question before their time runs.
            let Some(conn) = settle.next_conn.filter(|_| !self.quic.is_backlogged()) else { break };
            let Some(conn) = self.quic.connection_from(conn) else {
                settle.next_conn = None;
                break;
            };
            settle.next_conn = Some(conn + 1);
            if let Some(acknowledgements) = self.quic.ask(conn) {
                let subscriber = Subscriber::Quic { conn, acknowledgements, has_answered: false };
                settle.awaited.push_back(Awaited::new(subscriber, now));
            }
        }
        for _ in 0..DRAIN_SLICE {
            let Some(place) = settle.next_stream else { break };
            settle.next_stream = self.event_streams.stream_from(place).map(|place| {
                if self.event_streams.is_stalled(place) {
                    let subscriber = Subscriber::EventStream { place };
                    settle.awaited.push_back(Awaited::new(subscriber, now));
                }
                place + 1
            });
        }
        settle.next_stream.is_some() || (settle.next_conn.is_some() && !self.quic.is_backlogged())
    }

    fn look_at_awaited(&mut self, now: Now, settle: &mut Settle) -> bool {
        if settle.round == 0 && settle.next_look <= now.instant {
            settle.round = settle.awaited.len();
            settle.next_look = now.instant + DRAIN_LOOK_EVERY;
        }
        for _ in 0..settle.round.min(DRAIN_SLICE) {
            settle.round -= 1;
            let Some(mut awaited) = settle.awaited.pop_front() else { break };
            if !self.has_settled(now, &mut awaited) {
                settle.awaited.push_back(awaited);
            }
        }
        settle.round > 0
    }

    /// Whether a subscriber is awaited no longer: it answers and is not behind, or has been given up.
    fn has_settled(&mut self, now: Now, awaited: &mut Awaited) -> bool {
        let Awaited { subscriber, since, next_ask } = awaited;
        match subscriber {
            Subscriber::Quic { conn, acknowledgements, has_answered } => {
                let Some(latest) = self.quic.acknowledgements(*conn) else { return true };
                if latest > *acknowledgements {
                    (*acknowledgements, *has_answered, *since) = (latest, true, now.instant);
                }
                if *has_answered && !self.is_blocked(*conn) {
                    return true;
                }
                // One that has answered is waited for to read, which its acknowledgements of questions do not show.
                if !*has_answered && *next_ask <= now.instant {
                    self.quic.ask(*conn);
                    *next_ask = now.instant + DRAIN_ASK_EVERY;
                }
                let is_silent = *since + DRAIN_SILENCE <= now.instant;
                if is_silent {
                    self.quic.give_up(now.instant, *conn, CloseCode::Draining, "the server is going away");
                    self.handle_quic_events(now);
                }
                is_silent
            }
            Subscriber::EventStream { place } => {
                if !self.event_streams.is_stalled(*place) {
                    return true;
                }
                let is_silent = *since + DRAIN_SILENCE <= now.instant;
                if is_silent {
                    self.end_event_stream(*place);
                }
                is_silent
            }
        }
    }
}
