//! Which connections of a crew are due.
//!
//! An indexed heap, one entry a connection at most. A deadline that moves earlier moves its entry at once; one that moves
//! later, as every packet makes the idle time-out do, is only noted, and the entry finds out when it surfaces.
//! Invariant: an entry's place in the heap is never later than its deadline.

use std::time::Instant;

const ABSENT: u32 = u32::MAX;

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

/// The deadlines of one crew's connections.
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
            let armed = &mut self.armed[conn as usize];
            match armed.deadline {
                Some(later) if later > now => {
                    self.heap[0].at = later;
                    self.sift_down();
                }
                deadline => {
                    *armed = Armed { deadline: None, place: ABSENT };
                    self.heap.swap_remove(0);
                    if !self.heap.is_empty() {
                        self.sift_down();
                    }
                    if deadline.is_some() {
                        return Some(conn as usize);
                    }
                }
            }
        }
        None
    }

    fn sift_up(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 && self.heap[(place - 1) / 2].at > entry.at {
            self.put(place, self.heap[(place - 1) / 2]);
            place = (place - 1) / 2;
        }
        self.put(place, entry);
    }

    /// Moves the first entry to where it belongs.
    fn sift_down(&mut self) {
        let (entry, mut place) = (self.heap[0], 0);
        while let Some(left) = self.heap.get(2 * place + 1) {
            let right_is_earlier = self.heap.get(2 * place + 2).is_some_and(|right| right.at < left.at);
            let child = 2 * place + 1 + usize::from(right_is_earlier);
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
    use std::time::Duration;

    proptest! {
        #[test]
        fn each_comes_once_when_its_last_deadline_has_come(
            armings in prop::collection::vec((0..20usize, prop::option::of(0..50u64)), 0..200),
        ) {
            let start = Instant::now();
            let mut timers = Timers::default();
            let mut deadlines = [None; 20];
            for (conn, after_ms) in armings {
                deadlines[conn] = after_ms;
                timers.arm(conn, after_ms.map(|ms| start + Duration::from_millis(ms)));
            }
            for now_ms in 0..50 {
                let now = start + Duration::from_millis(now_ms);
                let mut due: Vec<usize> = std::iter::from_fn(|| timers.poll_due(now)).collect();
                due.sort_unstable();
                let expected: Vec<usize> = (0..20).filter(|&conn| deadlines[conn] == Some(now_ms)).collect();
                prop_assert_eq!(due, expected);
                prop_assert!(timers.poll_timeout().is_none_or(|at| at > now));
            }
            prop_assert_eq!(timers.poll_timeout(), None);
        }
    }
}
