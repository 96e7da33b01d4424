//! Which connections are due, without asking those that are not: a timer wheel.
//!
//! A deadline is rounded up to a tick, so that a crowd whose deadlines lie close together wakes the shard once a tick and
//! not once each. Every frame moves its connection's deadline twice (sent, acknowledged); a move takes it out of one list
//! and puts it into another, and no list keeps those that moved on. Ticks within the next second have a list each; those
//! after it share one a second, and are spread over ticks when their second begins.
//!
//! Invariant: nobody is due early, nor later than a tick after the deadline, but for the turns that it takes to spread a
//! second; an armed connection is in exactly one list.

use crate::limits::QUIC_TIMERS_SLICE;
use std::time::{Duration, Instant};

/// What deadlines are rounded up to. QUIC's are tens of milliseconds, and none of them is exact.
const TICK: Duration = Duration::from_millis(4);
/// Ticks that have a list each: about a second.
const NEAR: u64 = 256;
/// Lists of as many ticks each: more than two minutes. What lies beyond is looked at again then.
const FAR: u64 = 128;

const NONE: u32 = u32::MAX;

/// A connection's place: its tick, and its neighbours in a list.
#[derive(Clone, Copy)]
struct Armed {
    /// `u64::MAX` for none.
    tick: u64,
    next: u32,
    /// The one before it, or the list, by [`Timers::heads`], of which it is the first.
    previous: Previous,
}

#[derive(Clone, Copy)]
enum Previous {
    Head(u32),
    Conn(u32),
}

const UNARMED: Armed = Armed { tick: u64::MAX, next: NONE, previous: Previous::Head(NONE) };

/// The deadlines of a shard's connections.
pub(super) struct Timers {
    /// When tick 0 was: the first time that was seen.
    start: Option<Instant>,
    /// The tick that is dealt with next; all before are over.
    base: u64,
    /// The first of each list: [`NEAR`] of ticks, then [`FAR`] of seconds.
    heads: Box<[u32]>,
    /// Which lists have anybody.
    used: Used,
    armed: Vec<Armed>,
}

impl Default for Timers {
    fn default() -> Self {
        let heads = vec![NONE; (NEAR + FAR) as usize].into();
        Self { start: None, base: 0, heads, used: Used::default(), armed: Vec::new() }
    }
}

impl Timers {
    /// Sets or clears the deadline of `conn`.
    pub(super) fn arm(&mut self, now: Instant, conn: usize, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return self.disarm(conn) };
        let start = *self.start.get_or_insert(now);
        if conn >= self.armed.len() {
            self.armed.resize(conn + 1, UNARMED);
        }
        let tick = tick_after(start, deadline).max(self.base);
        if self.armed[conn].tick != tick {
            self.disarm(conn);
            self.link(conn, tick);
        }
    }

    /// Clears the deadline of `conn`.
    pub(super) fn disarm(&mut self, conn: usize) {
        if self.armed.get(conn).is_some_and(|armed| armed.tick != u64::MAX) {
            self.unlink(conn);
        }
    }

    /// A time at or before the earliest moment at which somebody is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let next = [self.next_near(), self.next_far()].into_iter().flatten().min()?;
        Some(self.start? + Duration::from_nanos(TICK.as_nanos() as u64 * next))
    }

    /// A connection that is due; its deadline is cleared. `None` when there is none, and when a second begins with many
    /// deadlines: then [`Self::poll_timeout`] names a time that is past, and the next call goes on.
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<usize> {
        let last = tick_before(*self.start.get_or_insert(now), now);
        loop {
            let (near, far) = (self.next_near(), self.next_far());
            match (near, far) {
                // A second begins before its ticks.
                (_, Some(far)) if far <= last && near.is_none_or(|near| far <= near) => {
                    self.base = self.base.max(far);
                    if !self.spread(far) {
                        return None;
                    }
                }
                (Some(near), _) if near <= last => {
                    self.base = near;
                    let conn = self.heads[near_list(near)] as usize;
                    self.unlink(conn);
                    return Some(conn);
                }
                _ => {
                    self.base = self.base.max(last + 1);
                    return None;
                }
            }
        }
    }

    /// The first tick from the base on that has somebody.
    fn next_near(&self) -> Option<u64> {
        let distance = self.used.next(0, NEAR, self.base % NEAR)?;
        Some(self.base + distance)
    }

    /// The first tick of the first second that has somebody.
    fn next_far(&self) -> Option<u64> {
        let second = self.base / NEAR;
        let distance = self.used.next(NEAR, FAR, second % FAR)?;
        Some((second + distance) * NEAR)
    }

    /// Puts those of the second that begins with `tick` where they belong now: a slice of them. Whether that was all.
    fn spread(&mut self, tick: u64) -> bool {
        let list = far_list(tick / NEAR);
        for _ in 0..QUIC_TIMERS_SLICE {
            let conn = self.heads[list];
            if conn == NONE {
                return true;
            }
            // None belongs to this list again: those beyond the last second go to the list before it.
            let tick = self.armed[conn as usize].tick;
            self.unlink(conn as usize);
            self.link(conn as usize, tick);
        }
        self.heads[list] == NONE
    }

    fn link(&mut self, conn: usize, tick: u64) {
        let second = (tick / NEAR).min(self.base / NEAR + FAR - 1);
        let list = if tick < self.base + NEAR { near_list(tick) } else { far_list(second) };
        let next = std::mem::replace(&mut self.heads[list], conn as u32);
        self.used.set(list);
        self.armed[conn] = Armed { tick, next, previous: Previous::Head(list as u32) };
        if next != NONE {
            self.armed[next as usize].previous = Previous::Conn(conn as u32);
        }
    }

    fn unlink(&mut self, conn: usize) {
        let Armed { next, previous, .. } = std::mem::replace(&mut self.armed[conn], UNARMED);
        if next != NONE {
            self.armed[next as usize].previous = previous;
        }
        match previous {
            Previous::Conn(previous) => self.armed[previous as usize].next = next,
            Previous::Head(list) => {
                self.heads[list as usize] = next;
                if next == NONE {
                    self.used.clear(list as usize);
                }
            }
        }
    }
}

/// The tick that begins at `deadline` or after.
fn tick_after(start: Instant, deadline: Instant) -> u64 {
    let since = deadline.saturating_duration_since(start).as_nanos();
    u64::try_from(since.div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX - 1)
}

/// The tick that has begun at `now`.
fn tick_before(start: Instant, now: Instant) -> u64 {
    (now.saturating_duration_since(start).as_nanos() / TICK.as_nanos()) as u64
}

fn near_list(tick: u64) -> usize {
    (tick % NEAR) as usize
}

fn far_list(second: u64) -> usize {
    (NEAR + second % FAR) as usize
}

/// A bit for every list.
#[derive(Default)]
struct Used([u64; ((NEAR + FAR) / 64) as usize]);

impl Used {
    fn set(&mut self, list: usize) {
        self.0[list / 64] |= 1 << (list % 64);
    }

    fn clear(&mut self, list: usize) {
        self.0[list / 64] &= !(1 << (list % 64));
    }

    /// How far from `from` the next used one is, in the circle of `count` lists that begins with list `first`.
    fn next(&self, first: u64, count: u64, from: u64) -> Option<u64> {
        let words = &self.0[(first / 64) as usize..((first + count) / 64) as usize];
        // The word of `from` is looked at twice: from that bit on, and at last for the bits before it.
        for step in 0..=words.len() as u64 {
            let at = (from / 64 + step) % words.len() as u64;
            let mut word = words[at as usize];
            if step == 0 {
                word &= u64::MAX << (from % 64);
            } else if step == words.len() as u64 {
                word &= !(u64::MAX << (from % 64));
            }
            if word != 0 {
                let found = at * 64 + u64::from(word.trailing_zeros());
                return Some((found + count - from) % count);
            }
        }
        None
    }
}

const _: () = assert!(NEAR.is_multiple_of(64) && FAR.is_multiple_of(64), "each circle has words of its own");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Whatever is armed, moved and cleared: nobody is due early, everybody is within a tick of the deadline, once,
        /// and the wheel never sleeps past a moment at which somebody is due.
        #[test]
        fn due_are_exactly_those_whose_tick_has_come(
            steps in proptest::collection::vec(
                (0usize..24, proptest::option::of(prop_oneof![0u64..200, 0u64..3000, 0u64..400_000]), 0u64..20_000), 1..300),
            is_slow: bool,
        ) {
            #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
            let tick_ms = TICK.as_millis() as u64;
            let mut timers = Timers::default();
            let mut model: BTreeMap<usize, u64> = BTreeMap::new();
            let mut now_ms = 0;
            for (conn, after_ms, pass_ms) in steps {
                let deadline_ms = after_ms.map(|after_ms| now_ms + after_ms);
                timers.arm(at(now_ms), conn, deadline_ms.map(at));
                match deadline_ms {
                    Some(deadline_ms) => model.insert(conn, deadline_ms),
                    None => model.remove(&conn),
                };
                // A deadline that is past when it is set belongs to the next tick.
                let due_ms = |deadline_ms: u64| deadline_ms.next_multiple_of(tick_ms);
                if let Some(first) = model.values().min() {
                    prop_assert!(timers.poll_timeout().is_some_and(|wake| wake <= at(due_ms(*first) + tick_ms)));
                } else {
                    prop_assert_eq!(timers.poll_timeout(), None);
                }
                now_ms += if is_slow { pass_ms % 20 } else { pass_ms };
                let due: Vec<_> = std::iter::from_fn(|| timers.poll_due(at(now_ms))).collect();
                for conn in &due {
                    let deadline_ms = model.remove(conn);
                    prop_assert!(deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms), "{conn} is due early");
                }
                for (conn, deadline_ms) in &model {
                    prop_assert!(due_ms(*deadline_ms) + tick_ms > now_ms, "{conn} is late");
                }
            }
        }
    }

    #[test]
    fn a_crowd_whose_deadlines_are_in_one_second_is_spread_in_slices() {
        const CROWD: usize = 5 * QUIC_TIMERS_SLICE;
        #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
        let start = Instant::now();
        let mut timers = Timers::default();
        for conn in 0..CROWD {
            timers.arm(start, conn, Some(start + Duration::from_secs(30)));
        }
        let now = start + Duration::from_secs(31);
        let in_seconds = |timers: &Timers| {
            let in_second = |head: u32| {
                let next = |&conn: &u32| Some(timers.armed[conn as usize].next).filter(|&next| next != NONE);
                std::iter::successors(Some(head).filter(|&head| head != NONE), next).count()
            };
            timers.heads[NEAR as usize..].iter().map(|&head| in_second(head)).sum::<usize>()
        };
        for left in (0..CROWD).step_by(QUIC_TIMERS_SLICE).rev().filter(|&left| left > 0) {
            assert_eq!((timers.poll_due(now), in_seconds(&timers)), (None, left));
            assert!(timers.poll_timeout().is_some_and(|at| at <= now), "it goes on at once");
        }
        assert_eq!(std::iter::from_fn(|| timers.poll_due(now)).count(), CROWD);
    }

    #[test]
    fn a_crowd_wakes_the_shard_once_a_tick() {
        #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
        let start = Instant::now();
        let mut timers = Timers::default();
        for conn in 0..1000 {
            timers.arm(start, conn, Some(start + Duration::from_micros(10_000 + conn as u64)));
        }
        // All of them are acknowledged: the earlier deadlines wake nobody any more.
        for conn in 0..1000 {
            timers.arm(start, conn, Some(start + Duration::from_secs(30)));
        }
        let wake = timers.poll_timeout().unwrap();
        assert!(wake > start + Duration::from_secs(28), "the second in which they are due begins");
        assert_eq!(timers.poll_due(wake), None);
        let wake = timers.poll_timeout().unwrap();
        assert!(wake >= start + Duration::from_secs(30));
        assert_eq!(std::iter::from_fn(|| timers.poll_due(wake)).count(), 1000);
    }
}
