//! Which connections are due, without asking those that are not.
//!
//! An indexed heap with one entry a connection at most, so that its memory is bounded by the connections. A deadline
//! that moves earlier moves its entry at once; one that moves later (every acknowledgement does that) is only noted,
//! and the entry finds out when it surfaces. Invariant: an entry's place in the heap is never later than its deadline.

use std::time::Instant;

const ABSENT: u32 = u32::MAX;
/// Children of a node. Four put a node's children into one or two cache lines and halve the height.
const ARITY: usize = 4;

#[derive(Clone, Copy)]
struct Entry {
    at: Instant,
    conn: u32,
}

#[derive(Clone, Copy)]
struct Armed {
    deadline: Option<Instant>,
    place: u32,
}

/// The deadlines of a shard's connections.
#[derive(Default)]
pub(super) struct Timers {
    heap: Vec<Entry>,
    armed: Vec<Armed>,
}

impl Timers {
    /// Sets or clears the deadline of `conn`.
    pub(super) fn arm(&mut self, conn: usize, deadline: Option<Instant>) {
        if conn >= self.armed.len() {
            self.armed.resize(conn + 1, Armed { deadline: None, place: ABSENT });
        }
        self.armed[conn].deadline = deadline;
        let place = self.armed[conn].place;
        match deadline {
            Some(at) if place == ABSENT => {
                self.heap.push(Entry { at, conn: conn as u32 });
                self.sift_up(self.heap.len() - 1);
            }
            Some(at) if at < self.heap[place as usize].at => {
                self.heap[place as usize].at = at;
                self.sift_up(place as usize);
            }
            _ => {}
        }
    }

    /// A time at or before the earliest deadline.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.at)
    }

    /// A connection whose deadline has come; its deadline is cleared.
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Entry { at, conn }) = self.heap.first() {
            if at > now {
                return None;
            }
            match self.armed[conn as usize].deadline {
                Some(later) if later > now => {
                    self.heap[0].at = later;
                    self.sift_down(0);
                }
                deadline => {
                    self.remove_first();
                    self.armed[conn as usize].deadline = None;
                    if deadline.is_some() {
                        return Some(conn as usize);
                    }
                }
            }
        }
        None
    }

    fn remove_first(&mut self) {
        let removed = self.heap.swap_remove(0);
        self.armed[removed.conn as usize].place = ABSENT;
        if !self.heap.is_empty() {
            self.sift_down(0);
        }
    }

    fn sift_up(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].at <= entry.at {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sift_down(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let children = place * ARITY + 1..(place * ARITY + 1 + ARITY).min(self.heap.len());
            let Some(child) = children.min_by_key(|&child| self.heap[child].at) else { break };
            if self.heap[child].at >= entry.at {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.armed[entry.conn as usize].place = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    proptest! {
        /// Whatever is armed, moved and cleared: exactly those whose deadline has come are due, once, and the heap
        /// never sleeps past a deadline nor outgrows the connections.
        #[test]
        fn due_are_exactly_those_whose_deadline_has_come(
            steps in proptest::collection::vec((0usize..24, proptest::option::of(0u64..200), 0u64..20), 1..300)
        ) {
            #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
            let start = Instant::now();
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            let mut now_ms = 0;
            for (conn, deadline, pass_ms) in steps {
                let deadline = deadline.map(|ms| start + Duration::from_millis(now_ms + ms));
                timers.arm(conn, deadline);
                match deadline {
                    Some(at) => model.insert(conn, at),
                    None => model.remove(&conn),
                };
                prop_assert!(timers.heap.len() <= 24);
                if let Some(first) = model.values().min() {
                    prop_assert!(timers.poll_timeout().is_some_and(|at| at <= *first));
                }
                now_ms += pass_ms;
                let now = start + Duration::from_millis(now_ms);
                let mut due: Vec<_> = std::iter::from_fn(|| timers.poll_due(now)).collect();
                due.sort_unstable();
                let expected: Vec<_> = model.iter().filter(|(_, at)| **at <= now).map(|(conn, _)| *conn).collect();
                prop_assert_eq!(due, expected);
                model.retain(|_, at| *at > now);
            }
        }
    }
}
