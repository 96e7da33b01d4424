//! Who may begin a handshake, and when: what keeps a crowd that comes at once from delaying those who watch already.
//!
//! A handshake costs more than a hundred frames of one subscriber, and everybody on the internet can ask for one under
//! any address. So:
//!
//! - Whoever comes waits in line, and handshakes begin at a pace, oldest first, once a turn's frames are served.
//! - When many are under way or waiting, who has not proved an address is sent away with a Retry, which keeps nothing
//!   here, and waits in line on coming back. So an invented address takes none of the places that are left.
//! - When as many are under way or waiting as may be, the rest is dropped: QUIC sends its first packet again after 1, 3,
//!   7 and 15 s, so the crowd spreads by itself. A refusal would have all of them ask again at once.
//!
//! Invariant: nobody is put in line while [`HandshakeLimits::max`] are under way or waiting. Under way is a
//! handshake from its first packet until it is complete or its memory is free.
//!
//! Not here: packets and tokens (`endpoint`), how long a handshake may take (the hello's deadline).

use super::HandshakeLimits;
use crate::limits::QUIC_HANDSHAKES_PER_TURN;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What becomes of a first packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It waits for its turn.
    Wait,
    /// Its sender shows first that it hears what is sent to its address.
    Retry,
    /// There is no place; the sender tries again by itself.
    Drop,
}

/// The handshakes of one shard. `I` is what waits: an incoming connection.
pub(super) struct Handshakes<I> {
    limits: HandshakeLimits,
    under_way: usize,
    waiting: VecDeque<I>,
    pace: Pace,
}

impl<I> Handshakes<I> {
    pub(super) fn new(limits: HandshakeLimits) -> Self {
        Self { limits, under_way: 0, waiting: VecDeque::new(), pace: Pace::new(limits.per_second) }
    }

    /// Other limits from here on. Where more are under way or waiting than may be now, no more come in until they are fewer.
    pub(super) fn set_limits(&mut self, limits: HandshakeLimits) {
        self.limits = limits;
        self.pace.interval = Pace::interval(limits.per_second);
    }

    /// What to do with a first packet.
    pub(super) fn judge(&self, address_validated: bool) -> Verdict {
        let places = self.under_way + self.waiting.len();
        match () {
            () if places >= self.limits.retry_above && !address_validated => Verdict::Retry,
            () if places >= self.limits.max => Verdict::Drop,
            () => Verdict::Wait,
        }
    }

    /// Puts one in line that may wait.
    pub(super) fn handle_incoming(&mut self, incoming: I) {
        self.waiting.push_back(incoming);
    }

    /// The next one whose handshake may begin now.
    pub(super) fn poll_begin(&mut self, now: Instant) -> Option<I> {
        if self.waiting.is_empty() || !self.pace.take(now) {
            return None;
        }
        self.poll_waiting()
    }

    /// The next one in line, whatever the pace.
    pub(super) fn poll_waiting(&mut self) -> Option<I> {
        let next = self.waiting.pop_front();
        if self.waiting.is_empty() {
            // The line of a storm is not kept for the next one.
            self.waiting.shrink_to(QUIC_HANDSHAKES_PER_TURN);
        }
        next
    }

    /// One has begun, and a connection is kept for it.
    pub(super) fn handle_begun(&mut self) {
        self.under_way += 1;
    }

    /// One that had begun is complete, or its memory is free.
    pub(super) fn handle_ended(&mut self) {
        self.under_way -= 1;
    }

    /// When [`Self::poll_begin`] has the next one; nothing while nobody waits.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.pace.next).flatten()
    }

    /// Whether one that waits may begin.
    pub(super) fn has_due(&self, now: Instant) -> bool {
        !self.waiting.is_empty() && self.pace.next.is_none_or(|next| next <= now)
    }

    /// Whether more wait than may, as they may after the limits have changed: QUIC then takes no first packet.
    pub(super) fn is_saturated(&self) -> bool {
        self.waiting.len() > self.limits.max
    }

    /// Begun and not complete.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// In line.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// So many a second, and after a pause at most [`QUIC_HANDSHAKES_PER_TURN`] at once.
struct Pace {
    interval: Duration,
    /// When the next may be taken; nothing before the first.
    next: Option<Instant>,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { interval: Self::interval(per_second), next: None }
    }

    fn interval(per_second: u32) -> Duration {
        Duration::from_secs(1) / per_second.max(1)
    }

    fn take(&mut self, now: Instant) -> bool {
        // What a pause saved up reaches this far back.
        let saved = self.interval * (QUIC_HANDSHAKES_PER_TURN as u32 - 1);
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let next = self.next.map_or(earliest, |next| next.max(earliest));
        let is_due = next <= now;
        if is_due {
            self.next = Some(next + self.interval);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HandshakeLimits = HandshakeLimits { retry_above: 4, max: 10, per_second: 1000 };

    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn above_the_threshold_only_who_proved_an_address_waits_and_at_the_bound_nobody() {
        let mut handshakes = Handshakes::new(LIMITS);
        for place in 0..LIMITS.max {
            let unproved = if place < LIMITS.retry_above { Verdict::Wait } else { Verdict::Retry };
            assert_eq!((handshakes.judge(false), handshakes.judge(true)), (unproved, Verdict::Wait));
            handshakes.handle_incoming(place);
            if place % 2 == 0 && handshakes.poll_waiting().is_some() {
                handshakes.handle_begun();
            }
        }
        assert_eq!((handshakes.under_way(), handshakes.waiting()), (5, 5));
        assert_eq!((handshakes.judge(false), handshakes.judge(true)), (Verdict::Retry, Verdict::Drop));
        handshakes.handle_ended();
        assert_eq!(handshakes.judge(true), Verdict::Wait);
    }

    #[test]
    fn the_line_is_served_in_order_and_says_when_to_ask_again() {
        let (mut handshakes, now) = (Handshakes::new(LIMITS), start());
        (0..QUIC_HANDSHAKES_PER_TURN + 2).for_each(|number| handshakes.handle_incoming(number));
        let begun: Vec<_> = std::iter::from_fn(|| handshakes.poll_begin(now)).collect();
        assert_eq!(begun, (0..QUIC_HANDSHAKES_PER_TURN).collect::<Vec<_>>());
        assert!(!handshakes.has_due(now));
        for number in QUIC_HANDSHAKES_PER_TURN..QUIC_HANDSHAKES_PER_TURN + 2 {
            let due = handshakes.poll_timeout().unwrap();
            assert!(!handshakes.has_due(due - Duration::from_nanos(1)) && handshakes.has_due(due));
            assert_eq!(handshakes.poll_begin(due), Some(number));
        }
        assert_eq!((handshakes.poll_timeout(), handshakes.has_due(now + Duration::from_secs(1))), (None, false));
    }

    #[test]
    fn fewer_may_come_from_one_moment_on_and_those_in_line_stay() {
        let (mut handshakes, now) = (Handshakes::new(LIMITS), start());
        (0..6).for_each(|number| handshakes.handle_incoming(number));
        handshakes.set_limits(HandshakeLimits { retry_above: usize::MAX, max: 3, per_second: 10 });
        assert_eq!(handshakes.judge(true), Verdict::Drop);
        let mut begun = Vec::new();
        let mut at = now;
        while handshakes.waiting() > 0 {
            begun.extend(std::iter::from_fn(|| handshakes.poll_begin(at)));
            at += Duration::from_millis(100);
        }
        assert_eq!(begun, (0..6).collect::<Vec<_>>());
        assert_eq!(handshakes.judge(true), Verdict::Wait);
    }

    proptest! {
        /// Whenever it is asked: never more than the pace allows from any moment to any later one.
        #[test]
        fn no_stretch_of_time_begins_more_than_its_share(
            gaps_us in proptest::collection::vec(0u64..20_000, 1..200), per_second in 1u32..5000
        ) {
            let (begin, mut pace) = (start(), Pace::new(per_second));
            let mut taken = Vec::new();
            let mut at_us = 0;
            for gap_us in gaps_us {
                at_us += gap_us;
                let now = begin + Duration::from_micros(at_us);
                while pace.take(now) {
                    taken.push(at_us);
                }
            }
            prop_assert!(!taken.is_empty());
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    // The interval is cut to whole nanoseconds.
                    let share = (to - from) as f64 * f64::from(per_second) / 1e6 * 1.000_01;
                    prop_assert!((last - first) as f64 <= share + QUIC_HANDSHAKES_PER_TURN as f64 - 1.0 + 1e-6);
                }
            }
        }
    }
}
