//! What of what was sent must be, and may be, in one window of a room.
//!
//! A tap that left near a border may be in the window on either side of it. So what left in a window's body must be in its
//! frame, and what left in it or at the borders of its neighbours may be: each count has a least and a most, and the
//! windows together have exactly what was sent.
//!
//! Deliberately not here: what a frame says against it, which `report` finds also for several machines.

use crate::ledger::{Ledger, Zone};

/// Taps per emoji, at least and at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Taps that must be in the window.
    pub least: Vec<u64>,
    /// Taps that may be.
    pub most: Vec<u64>,
}

impl Bounds {
    /// Of the window that is the `window`-th of the ledger's grid.
    pub fn of(ledger: &Ledger, room: usize, window: usize) -> Self {
        let sum = |zones: &[(Option<usize>, Zone)]| {
            let mut sum = vec![0; ledger.shape().emoji];
            for (window, zone) in zones {
                let taps = window.map_or(&[][..], |window| ledger.sent_in(room, window, *zone));
                sum.iter_mut().zip(taps).for_each(|(sum, taps)| *sum += taps);
            }
            sum
        };
        let here = Some(window);
        let before = (window.checked_sub(1), Zone::Tail);
        let after = (Some(window + 1), Zone::Head);
        Self {
            least: sum(&[(here, Zone::Body)]),
            most: sum(&[before, (here, Zone::Head), (here, Zone::Body), (here, Zone::Tail), after]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::{Batch, Tap};
    use crate::ledger::{Grid, Outcome, Shape};
    use std::time::{Duration, Instant};
    use uproar_wire::EmojiId;

    #[test]
    fn a_window_must_have_its_body_and_may_have_its_borders() {
        let grid = Grid::new(Instant::now(), 0, Duration::from_secs(1), Duration::from_millis(100));
        let mut ledger = Ledger::new(Shape { grid, rooms: 1, emoji: 2, interval: Duration::from_secs(1) });
        // Window 0: its tail; window 1: head, body, tail; window 2: head and body.
        for (at_ms, count) in [(950, 1), (1050, 2), (1500, 4), (1950, 8), (2050, 16), (2500, 32)] {
            let (due, taps) = (Duration::from_millis(at_ms), [Tap { person: 0, emoji: EmojiId(1), count }]);
            ledger.record(0, &Batch { due, lot: 0, taps: &taps }, grid.start + due, Outcome::Sent);
        }
        let of = |window| Bounds::of(&ledger, 0, window);
        assert_eq!(of(1), Bounds { least: vec![0, 4], most: vec![0, 31] });
        assert_eq!(of(0), Bounds { least: vec![0, 0], most: vec![0, 3] });
        assert_eq!(of(2), Bounds { least: vec![0, 32], most: vec![0, 56] });
    }
}
