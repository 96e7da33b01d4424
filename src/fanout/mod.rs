//! Fan-out: one room's newest frame to each of its subscribers on this shard, in slices.
//!
//! Delivery is "newest state wins": a frame is the state of a room, not a log entry. A new frame starts a *pass* over
//! the room's audience. Whoever has not drained the last frame when the next one comes gets the next one instead, and
//! whoever the last pass did not reach is first in the new one.
//!
//! 1. [`audience`]: who watches a room, and how far its pass has come.
//! 2. [`outbox`]: what one subscriber still has to get.
//! 3. [`pace`]: how fast a pass may go, when it shall not go as fast as it can. Whoever waits for an outbox is never paced.
//!
//! Invariants: a subscriber receives whole messages, one after the other, and the windows of its frames only grow. Each
//! frame offered to a subscriber that stays is either sent or skipped for a counted reason.
//!
//! Not here: connections and streams (a [`Link`] is opaque), encoding, clocks.

pub mod audience;
pub mod outbox;
pub mod pace;

pub use audience::{Link, SubscriptionId};
pub use outbox::{FrameMessage, Wrote};
pub use pace::{PACE_STEP, Pace};

#[cfg(test)]
mod tests;

use crate::limits::{PALETTE_SLICE, PREFETCH_AHEAD};
use crate::metrics::Skip;
use audience::{Audience, Member, State, Turn};
use bytes::Bytes;
use outbox::{Drained, Outbox};
use slab::Slab;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};
use uproar_wire::RoomId;

/// What fan-out writes to.
pub trait Links {
    /// This link will be written to soon: whatever that needs may be fetched.
    fn approach(&mut self, link: Link);
    /// The bytes that a frame is to this link. Links that are told of it in another form make that here, so only when one
    /// of them is about to be written to, within the slice.
    fn encode(&mut self, _link: Link, frame: &FrameMessage) -> Bytes {
        frame.bytes.clone()
    }
    /// Takes bytes from the front of `bytes`.
    fn write(&mut self, link: Link, bytes: &mut Bytes) -> Wrote;
    /// The last byte of a frame was taken.
    fn handle_delivered(&mut self, frame: &FrameMessage);
}

/// A subscription apart from what a pass touches.
#[derive(Debug)]
struct Subscription {
    seat: Option<Seat>,
    outbox: Outbox,
}

/// Where a subscription sits; none once its link is gone.
#[derive(Clone, Copy, Debug)]
struct Seat {
    audience: usize,
    place: usize,
}

/// All subscriptions of one shard.
///
/// The shard keeps the [`SubscriptionId`] beside each stream, passes it to [`Self::handle_writable`] when the stream
/// can take bytes again, and to [`Self::unsubscribe`] exactly once when the stream ends for whatever reason, unless
/// [`Self::poll_disbanded`] returned its link. An id is given out anew after that.
#[derive(Debug, Default)]
pub struct Fanout {
    rooms: HashMap<RoomId, usize, foldhash::fast::RandomState>,
    audiences: Slab<Audience>,
    subscriptions: Slab<Subscription>,
    /// Time over which a pass is spread.
    spread: Duration,
    /// Releases come at whole steps since then: when the first of the passes that are under way began.
    grid: Option<Instant>,
    /// Audiences whose pass may go on. An audience with an unfinished pass is here or in `paused`, once.
    passes: VecDeque<usize>,
    /// Audiences whose pass may go on later. The time may be that of the pass before, which is earlier.
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Subscriptions whose outbox may go on.
    resuming: VecDeque<SubscriptionId>,
    /// Audiences whose members are yet to be offered another palette. Their passes wait for that.
    palettes: VecDeque<usize>,
    /// Audiences of rooms that are gone.
    disbanding: VecDeque<usize>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    skipped: [u64; Skip::COUNT],
}

impl Counts {
    fn skip(&mut self, reason: Skip, frames: u64) {
        self.skipped[reason.index()] += frames;
    }
}

impl Fanout {
    /// Nobody watches anything. Each pass is spread evenly over `spread`; zero: it goes as fast as it can.
    pub fn new(spread: Duration) -> Self {
        Self { spread, ..Self::default() }
    }

    /// Spreads passes that begin from here on over `spread`. What is under way keeps its pace, unless nothing is spread any more.
    pub fn set_spread(&mut self, spread: Duration) {
        match spread.is_zero() {
            true => self.hurry(),
            false => self.spread = spread,
        }
    }

    /// Spreads nothing from here on, not even what is under way.
    pub fn hurry(&mut self) {
        self.spread = Duration::ZERO;
        self.passes.extend(self.paused.drain().map(|Reverse((_, key))| key));
    }

    /// Takes a subscriber into the room's audience. A pass that is under way does not include it: what it shall see at
    /// once comes by [`Self::offer_one`].
    pub fn subscribe(&mut self, room: RoomId, link: Link) -> SubscriptionId {
        let Self { rooms, audiences, .. } = self;
        let key = *rooms.entry(room).or_insert_with(|| audiences.insert(Audience::new(room)));
        let entry = self.subscriptions.vacant_entry();
        let id = SubscriptionId(entry.key() as u32);
        let place = self.audiences[key].join(link, id);
        entry.insert(Subscription { seat: Some(Seat { audience: key, place }), outbox: Outbox::default() });
        id
    }

    /// Ends a subscription, whatever it still had to get.
    pub fn unsubscribe(&mut self, id: SubscriptionId) {
        self.leave(id);
        self.subscriptions.try_remove(id.index());
    }

    /// Subscribers of a room on this shard.
    pub fn audience(&self, room: RoomId) -> usize {
        self.rooms.get(&room).map_or(0, |&key| self.audiences[key].members.len())
    }

    /// Forgets a room. Its subscriptions are dropped one after the other by [`Self::poll_disbanded`], and get nothing any more.
    pub fn remove_room(&mut self, room: RoomId) {
        if let Some(key) = self.rooms.remove(&room) {
            self.audiences[key].disband();
            self.disbanding.push_back(key);
        }
    }

    /// Drops one subscription of a room that was removed, and returns its link: its id is void. Those whose link is gone are
    /// not among them and are still to be unsubscribed.
    pub fn poll_disbanded(&mut self) -> Option<Link> {
        loop {
            let &key = self.disbanding.front()?;
            if let Some(member) = self.audiences[key].members.pop() {
                self.subscriptions.try_remove(member.id.index());
                return Some(member.link);
            }
            self.disbanding.pop_front();
            self.audiences[key].is_disbanding = false;
            self.drop_if_empty(key);
        }
    }

    /// Whether [`Self::poll_disbanded`] has something to drop.
    pub fn is_disbanding(&self) -> bool {
        !self.disbanding.is_empty()
    }

    /// Offers all subscribers of a room the palette that replaces theirs, before the frames that are offered from here on.
    pub fn offer_palette(&mut self, room: RoomId, palette: Bytes) {
        let Some(&key) = self.rooms.get(&room) else { return };
        let audience = &mut self.audiences[key];
        audience.palette_due = audience.members.len();
        if audience.palette.replace(palette).is_none() {
            self.palettes.push_back(key);
        }
    }

    /// Offers a frame to all subscribers of a room: starts a pass. Windows of a room's frames grow.
    pub fn offer(&mut self, now: Instant, room: RoomId, frame: FrameMessage) {
        let Some(&key) = self.rooms.get(&room) else { return };
        if self.passes.is_empty() && self.paused.is_empty() {
            self.grid = Some(now);
        }
        let audience = &mut self.audiences[key];
        let pace = (!self.spread.is_zero()).then(|| Pace::new(now, self.spread, audience.members.len(), room.0));
        let unreached = audience.begin_pass(frame, pace);
        self.counts.skip(Skip::Overrun, unreached as u64);
        if !std::mem::replace(&mut audience.queued, true) {
            self.passes.push_back(key);
        }
    }

    /// Queues a palette's message, which is never skipped, and after it a frame, for one subscriber: the palette and the
    /// newest frame for a late joiner; for a palette that was replaced, only the palette. A palette that has not begun
    /// when the next one comes gives way to it, as no frame lies between them.
    pub fn offer_one(&mut self, id: SubscriptionId, palette: Bytes, frame: Option<FrameMessage>) {
        let Some(subscription) = self.subscriptions.get_mut(id.index()) else { return };
        let Some(seat) = subscription.seat else { return };
        let audience = &mut self.audiences[seat.audience];
        subscription.outbox.push_palette(palette);
        if let Some(frame) = frame {
            let overtaken = audience.excuse(seat.place);
            self.counts.skip(Skip::Overrun, u64::from(overtaken));
            let replaced = subscription.outbox.push_frame(frame);
            self.counts.skip(Skip::SlowSubscriber, u64::from(replaced));
        }
        let state = &mut audience.members[seat.place].state;
        if *state == State::Ready {
            *state = State::Resuming;
            self.resuming.push_back(id);
        }
    }

    /// The subscription's stream can take bytes again. Ids that are not blocked are ignored.
    pub fn handle_writable(&mut self, id: SubscriptionId) {
        if let Some(member) = self.member_mut(id)
            && member.state == State::Blocked
        {
            member.state = State::Resuming;
            self.resuming.push_back(id);
        }
    }

    /// Looks after at most `slice` subscribers, and says whether more is due now; [`Self::poll_timeout`] says when more will
    /// be. Subscribers that can go on and passes share the slice, and passes take turns, so that neither a large room nor
    /// a crowd of slow readers holds up the others.
    pub fn serve(&mut self, now: Instant, slice: usize, links: &mut impl Links) -> bool {
        self.resume_passes(now);
        self.serve_palettes();
        let for_passes = if self.passes.is_empty() { 0 } else { slice / 2 };
        let mut left = slice;
        while left > for_passes
            && let Some(id) = self.resuming.pop_front()
        {
            left -= 1;
            self.resume(id, links);
        }
        let mut waiting = 0;
        while left > 0
            && waiting < self.passes.len()
            && let Some(key) = self.passes.pop_front()
        {
            if self.audiences[key].palette.is_some() {
                self.passes.push_back(key);
                waiting += 1;
                continue;
            }
            waiting = 0;
            let turns = self.turns_now(now, key).min(left);
            left -= turns - self.advance_pass(key, turns, links);
            self.queue_pass(now, key);
        }
        !self.passes.is_empty() || !self.resuming.is_empty() || !self.palettes.is_empty()
    }

    /// Offers palettes to at most [`PALETTE_SLICE`] subscribers, room by room.
    fn serve_palettes(&mut self) {
        let mut left = PALETTE_SLICE;
        while left > 0
            && let Some(&key) = self.palettes.front()
        {
            match (self.audiences[key].next_for_palette(), self.audiences[key].palette.clone()) {
                (Some(id), Some(palette)) => {
                    left -= 1;
                    self.offer_one(id, palette, None);
                }
                _ => {
                    self.palettes.pop_front();
                    self.audiences[key].palette = None;
                    self.drop_if_empty(key);
                }
            }
        }
    }

    /// When [`Self::serve`] may go on with passes that are spread.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.paused.peek().map(|&Reverse((at, _))| at)
    }

    /// Whether [`Self::serve`] has anything to do, now or later.
    pub fn has_work(&self) -> bool {
        !self.passes.is_empty() || !self.paused.is_empty() || !self.resuming.is_empty() || !self.palettes.is_empty()
    }

    /// Whether a subscription has been handed all that it was offered, or its link is gone.
    pub fn is_caught_up(&self, id: SubscriptionId) -> bool {
        let seat = self.subscriptions.get(id.index()).and_then(|subscription| subscription.seat);
        seat.is_none_or(|seat| self.audiences[seat.audience].is_caught_up(seat.place))
    }

    /// Whether the link of a subscription takes no more bytes until it says it is writable.
    pub fn is_blocked(&self, id: SubscriptionId) -> bool {
        let seat = self.subscriptions.get(id.index()).and_then(|subscription| subscription.seat);
        seat.is_some_and(|seat| self.audiences[seat.audience].members[seat.place].state == State::Blocked)
    }

    /// Frames of which the last byte was handed over.
    pub fn frames_sent(&self) -> u64 {
        self.counts.sent
    }

    /// Frames that a subscriber did not get.
    pub fn frames_skipped(&self, reason: Skip) -> u64 {
        self.counts.skipped[reason.index()]
    }

    fn member_mut(&mut self, id: SubscriptionId) -> Option<&mut Member> {
        let seat = self.subscriptions.get(id.index())?.seat?;
        Some(&mut self.audiences[seat.audience].members[seat.place])
    }

    fn resume(&mut self, id: SubscriptionId, links: &mut impl Links) {
        let Some(subscription) = self.subscriptions.get_mut(id.index()) else { return };
        let Some(seat) = subscription.seat else { return };
        let Audience { members, is_disbanding, .. } = &mut self.audiences[seat.audience];
        let member = &mut members[seat.place];
        // The id may have been given out anew since it was queued.
        if member.state != State::Resuming || *is_disbanding {
            return;
        }
        let link = member.link;
        match subscription.outbox.drain(link, links, &mut self.counts.sent) {
            Drained::Empty => member.state = State::Ready,
            Drained::Blocked => member.state = State::Blocked,
            Drained::Gone => self.leave(id),
        }
    }

    fn resume_passes(&mut self, now: Instant) {
        while let Some(&Reverse((at, key))) = self.paused.peek()
            && at <= now
        {
            self.paused.pop();
            self.passes.push_back(key);
        }
    }

    /// Turns that a pass may take now.
    fn turns_now(&self, now: Instant, key: usize) -> usize {
        let audience = &self.audiences[key];
        match audience.pace.filter(|_| !self.spread.is_zero()) {
            Some(pace) => pace.released(now).saturating_sub(audience.reached()),
            None => usize::MAX,
        }
    }

    /// Puts a pass where it goes on: at the end of the queue, or later, or nowhere as it is over.
    fn queue_pass(&mut self, now: Instant, key: usize) {
        let audience = &mut self.audiences[key];
        if audience.due == 0 {
            audience.queued = false;
            self.drop_if_empty(key);
            return;
        }
        match audience.pace.filter(|pace| !self.spread.is_zero() && pace.released(now) <= audience.reached()) {
            Some(pace) => {
                let next = pace.next_release(audience.reached(), self.grid.unwrap_or(now));
                self.paused.push(Reverse((next, key)));
            }
            None => self.passes.push_back(key),
        }
    }

    /// Takes the pass of one audience further by at most `left` members, and returns what is left of that.
    fn advance_pass(&mut self, key: usize, mut left: usize, links: &mut impl Links) -> usize {
        let Some(frame) = self.audiences[key].frame.clone() else { return left };
        let soon = PREFETCH_AHEAD.min(left).min(self.audiences[key].due);
        self.audiences[key].ahead(0..soon).for_each(|link| links.approach(link));
        while left > 0
            && let Some(turn) = self.audiences[key].next_turn()
        {
            left -= 1;
            if left.min(self.audiences[key].due) >= PREFETCH_AHEAD {
                self.audiences[key].ahead(PREFETCH_AHEAD - 1..PREFETCH_AHEAD).for_each(|link| links.approach(link));
            }
            let Turn::Due(place) = turn else { continue };
            let member = &mut self.audiences[key].members[place];
            if member.state != State::Ready {
                let replaced = self.subscriptions[member.id.index()].outbox.push_frame(frame.clone());
                self.counts.skip(Skip::SlowSubscriber, u64::from(replaced));
                continue;
            }
            let mut bytes = links.encode(member.link, &frame);
            let len = bytes.len();
            match links.write(member.link, &mut bytes) {
                Wrote::All => {
                    self.counts.sent += 1;
                    links.handle_delivered(&frame);
                }
                Wrote::Part => {
                    member.state = State::Blocked;
                    self.subscriptions[member.id.index()].outbox.keep_rest(frame.clone(), bytes, len);
                }
                Wrote::Gone => {
                    let id = member.id;
                    self.leave(id);
                }
            }
        }
        left
    }

    /// Takes a subscription out of its audience.
    fn leave(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(id.index()) else { return };
        let Some(seat) = subscription.seat.take() else { return };
        subscription.outbox = Outbox::default();
        if let Some(moved) = self.audiences[seat.audience].part(seat.place)
            && let Some(seat_of_moved) = self.subscriptions[moved.index()].seat.as_mut()
        {
            seat_of_moved.place = seat.place;
        }
        self.drop_if_empty(seat.audience);
    }

    /// Forgets an audience without members, unless its key is still queued: then [`Self::serve`] does, so that a key in
    /// the queue never means another room.
    fn drop_if_empty(&mut self, key: usize) {
        let Audience { room, members, queued, palette, is_disbanding, .. } = &self.audiences[key];
        if members.is_empty() && !queued && palette.is_none() && !is_disbanding {
            if self.rooms.get(room) == Some(&key) {
                self.rooms.remove(room);
            }
            self.audiences.remove(key);
        }
    }
}
