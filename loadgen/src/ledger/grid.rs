//! Windows, as the sender sees them: which one a tap belongs to by the time at which it left.
//!
//! A tap that leaves near a window's border may be counted on either side of it. So each window has three zones, and only
//! what leaves in its body belongs to it for sure.
//!
//! Invariant: the match is on one clock. The wall clock is read once, at its start; if it steps later, windows of the
//! server and of this grid come apart, which the audit shows.

use std::time::{Duration, Instant};
use uproar_wire::WindowSeq;

/// Part of a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Zone {
    /// After the border with the window before.
    Head,
    /// The rest.
    Body,
    /// Before the border with the next window.
    Tail,
}

impl Zone {
    /// In the order of time.
    pub const ALL: [Self; 3] = [Self::Head, Self::Body, Self::Tail];
}

/// The windows of a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    /// When the match starts.
    pub start: Instant,
    /// The same as Unix time in microseconds.
    pub start_unix_us: u64,
    /// Length of a window in microseconds.
    pub window_us: u64,
    /// Length of head and tail, at most half a window.
    pub border_us: u64,
}

impl Grid {
    /// Windows of `window` with borders of `border`, around a match that starts then.
    pub fn new(start: Instant, start_unix_us: u64, window: Duration, border: Duration) -> Self {
        let window_us = (window.as_micros() as u64).max(1);
        Self { start, start_unix_us, window_us, border_us: (border.as_micros() as u64).min(window_us / 2) }
    }

    /// The window in which the match starts.
    pub fn first_window(&self) -> WindowSeq {
        WindowSeq(self.start_unix_us / self.window_us)
    }

    /// The number of a window, counted from [`Self::first_window`], and the zone of it, in which something leaves then.
    /// What leaves before the start counts as leaving at the start.
    pub fn place(&self, at: Instant) -> (usize, Zone) {
        let unix_us = self.start_unix_us + at.saturating_duration_since(self.start).as_micros() as u64;
        let into = unix_us % self.window_us;
        let zone = match into {
            into if into < self.border_us => Zone::Head,
            into if into >= self.window_us - self.border_us => Zone::Tail,
            _ => Zone::Body,
        };
        ((unix_us / self.window_us - self.first_window().0) as usize, zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        // 300 ms into window 5.
        Grid::new(Instant::now(), 5_300_000, Duration::from_secs(1), Duration::from_millis(100))
    }

    #[test]
    fn a_window_has_a_head_a_body_and_a_tail() {
        let grid = grid();
        assert_eq!(grid.first_window(), WindowSeq(5));
        let place = |ms| grid.place(grid.start + Duration::from_millis(ms));
        assert_eq!(place(0), (0, Zone::Body));
        assert_eq!(place(599), (0, Zone::Body));
        assert_eq!(place(600), (0, Zone::Tail));
        assert_eq!(place(700), (1, Zone::Head));
        assert_eq!(place(800), (1, Zone::Body));
        assert_eq!(grid.place(grid.start.checked_sub(Duration::from_millis(9)).unwrap()), (0, Zone::Body));
    }

    #[test]
    fn a_border_longer_than_the_window_leaves_no_body() {
        let grid = Grid::new(Instant::now(), 0, Duration::from_millis(100), Duration::from_secs(1));
        let zones: Vec<Zone> = (0..100).map(|ms| grid.place(grid.start + Duration::from_millis(ms)).1).collect();
        assert!(!zones.contains(&Zone::Body));
    }
}
