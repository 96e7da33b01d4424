//! How late frames come, each of them: behind its window, behind the first subscriber's, behind the one it replaces.
//!
//! Invariant: a frame that was due is measured however late it comes, also when its window's record is told already.

use super::arrivals::Moment;
use super::measures;
use super::viewer::Picture;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Since the start, in microseconds; see [`FleetMeasures`](super::FleetMeasures).
pub(super) struct Delays {
    pub(super) lateness_us: Histogram<u64>,
    pub(super) spread_us: Histogram<u64>,
    pub(super) staleness_us: Histogram<u64>,
}

impl Delays {
    /// Nothing has come.
    pub(super) fn new() -> Self {
        Self {
            lateness_us: measures::histogram(),
            spread_us: measures::histogram(),
            staleness_us: measures::histogram(),
        }
    }

    /// A frame that was due came, so long after the first of its room and window, where the picture of `windows` ago had
    /// been shown until now.
    pub(super) fn handle_frame(&mut self, at: Moment, picture: &Picture, spread: Option<Duration>, windows: u64) {
        self.lateness_us.saturating_record(at.unix_us.saturating_sub(picture.end_unix_us));
        let shown_us = picture.window_us.saturating_mul(windows);
        let shown_end_us = picture.end_unix_us.saturating_sub(shown_us);
        self.staleness_us.saturating_record(at.unix_us.saturating_sub(shown_end_us));
        if let Some(spread) = spread {
            measures::record(&mut self.spread_us, spread);
        }
    }
}
