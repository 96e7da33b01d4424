//! Windows: when they open and close. All shards cut time at the same wall-clock boundaries, without talking.
//!
//! Invariant: the numbers of the windows that one clock closes only ever grow, whatever the wall clock does. When it
//! steps back, windows go on one by one as the other clock has it, still at the same instants on all shards; when it
//! steps forward, numbers are skipped.

use std::time::{Duration, Instant};
use uproar_wire::WindowSeq;

/// One reading of both clocks, taken once per turn of the loop and handed to everything in that turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For deadlines and durations.
    pub instant: Instant,
    /// For window numbers: unix time in milliseconds.
    pub unix_ms: u64,
}

impl Now {
    /// The same reading, `by` later on both clocks.
    pub fn after(self, by: Duration) -> Self {
        Self { instant: self.instant + by, unix_ms: self.unix_ms + by.as_millis() as u64 }
    }
}

/// The open window of one shard.
#[derive(Clone, Debug)]
pub struct WindowClock {
    window_ms: u64,
    open: WindowSeq,
    closes_at: Instant,
}

impl WindowClock {
    /// Opens the window that `now` lies in.
    pub fn new(window_ms: u64, now: Now) -> Self {
        let open = WindowSeq(now.unix_ms / window_ms);
        Self { window_ms, open, closes_at: boundary_after(window_ms, now) }
    }

    /// The window that reactions are counted into.
    pub fn open(&self) -> WindowSeq {
        self.open
    }

    /// Length of every window, in milliseconds.
    pub fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// When the open window ends.
    pub fn poll_timeout(&self) -> Instant {
        self.closes_at
    }

    /// Closes the open window if its end has come, and opens the next one.
    pub fn handle_timeout(&mut self, now: Now) -> Option<WindowSeq> {
        if now.instant < self.closes_at {
            return None;
        }
        let by_wall = now.unix_ms / self.window_ms;
        if by_wall == self.open.0 {
            // The wall clock lags a little behind the deadline that was computed from it: wait for the boundary.
            self.closes_at = boundary_after(self.window_ms, now);
            return None;
        }
        let closed = self.open;
        if by_wall > closed.0 {
            self.open = WindowSeq(by_wall);
            self.closes_at = boundary_after(self.window_ms, now);
        } else {
            // Counted from the window's end and not from `now`: a shard that comes late to it, or sleeps over others, would
            // drift away from the rest for as long as the wall clock is behind.
            let late_ms = now.instant.duration_since(self.closes_at).as_millis() as u64;
            let passed = 1 + late_ms / self.window_ms;
            self.open = WindowSeq(closed.0 + passed);
            self.closes_at += Duration::from_millis(passed * self.window_ms);
        }
        Some(closed)
    }
}

fn boundary_after(window_ms: u64, now: Now) -> Instant {
    now.instant + Duration::from_millis(window_ms - now.unix_ms % window_ms)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "some instant to begin with")]
mod tests {
    use super::*;

    const WINDOW_MS: u64 = 2000;
    const HOUR_MS: i64 = 3_600_000;

    /// Two clocks, of which the wall clock may be off.
    struct Clocks {
        began: Instant,
        off_ms: i64,
    }

    impl Clocks {
        fn at(&self, ms: u64) -> Now {
            let unix_ms = (1_000_000_000_000 + ms).checked_add_signed(self.off_ms).unwrap();
            Now { instant: self.began + Duration::from_millis(ms), unix_ms }
        }
    }

    #[test]
    fn windows_end_at_the_boundaries_of_the_wall_clock() {
        let clocks = Clocks { began: Instant::now(), off_ms: 0 };
        let mut window = WindowClock::new(WINDOW_MS, clocks.at(500));
        let first = window.open();
        assert_eq!(window.poll_timeout(), clocks.at(2000).instant);
        assert_eq!(window.handle_timeout(clocks.at(1999)), None);
        assert_eq!(window.handle_timeout(clocks.at(2003)), Some(first));
        assert_eq!((window.open(), window.poll_timeout()), (WindowSeq(first.0 + 1), clocks.at(4000).instant));
        // A shard that slept over two windows closes the one it has, and is in the one that all are in.
        assert_eq!(window.handle_timeout(clocks.at(8001)), Some(WindowSeq(first.0 + 1)));
        assert_eq!((window.open(), window.poll_timeout()), (WindowSeq(first.0 + 4), clocks.at(10_000).instant));
    }

    #[test]
    fn numbers_follow_a_clock_that_steps_ahead() {
        let mut clocks = Clocks { began: Instant::now(), off_ms: 0 };
        let mut window = WindowClock::new(WINDOW_MS, clocks.at(0));
        let first = window.open();
        clocks.off_ms = HOUR_MS;
        assert_eq!(window.handle_timeout(clocks.at(2000)), Some(first));
        assert_eq!(window.open(), WindowSeq(first.0 + 1 + HOUR_MS as u64 / WINDOW_MS));
        assert_eq!(window.poll_timeout(), clocks.at(4000).instant);
    }

    #[test]
    fn shards_stay_together_after_a_step_back_however_late_each_is() {
        let mut clocks = Clocks { began: Instant::now(), off_ms: 0 };
        let [mut punctual, mut late] = [0, 0].map(|at| WindowClock::new(WINDOW_MS, clocks.at(at)));
        let first = punctual.open().0;
        // One has closed its window just before the step, the other has not.
        assert!(punctual.handle_timeout(clocks.at(2000)).is_some());
        clocks.off_ms = -HOUR_MS;
        assert!(late.handle_timeout(clocks.at(2001)).is_some());
        for turn in 1..1000 {
            let ends_at = (turn + 1) * WINDOW_MS;
            assert_eq!(punctual.handle_timeout(clocks.at(ends_at)), Some(WindowSeq(first + turn)));
            assert_eq!(late.handle_timeout(clocks.at(ends_at + turn)), Some(WindowSeq(first + turn)));
            assert_eq!(punctual.poll_timeout(), late.poll_timeout());
        }
        // It stalls for three windows and a half: it is behind for those, and not for good.
        assert!(late.handle_timeout(clocks.at(1003 * WINDOW_MS + WINDOW_MS / 2)).is_some());
        for turn in 1000..1003 {
            assert_eq!(punctual.handle_timeout(clocks.at((turn + 1) * WINDOW_MS)), Some(WindowSeq(first + turn)));
        }
        assert_eq!((punctual.open(), punctual.poll_timeout()), (late.open(), late.poll_timeout()));
    }
}
