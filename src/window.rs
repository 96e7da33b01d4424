//! Windows: when they open and close. All shards cut time at the same wall-clock boundaries, without talking.
//!
//! Invariant: the numbers of the windows that one clock closes only ever grow, whatever the wall clock does. When it
//! steps back, the next window is numbered one higher and lasts one length; when it steps forward, numbers are skipped.

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
        self.open = WindowSeq(by_wall.max(closed.0 + 1));
        self.closes_at = if by_wall > closed.0 {
            boundary_after(self.window_ms, now)
        } else {
            now.instant + Duration::from_millis(self.window_ms)
        };
        Some(closed)
    }
}

fn boundary_after(window_ms: u64, now: Now) -> Instant {
    now.instant + Duration::from_millis(window_ms - now.unix_ms % window_ms)
}
