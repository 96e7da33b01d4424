//! One picture of a run that goes on, and what two of them say about the time between.

use crate::server_watch::ServerNow;
use std::time::Duration;

/// What is not counted but known: how far the match has come, and who plays.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Moment {
    /// Time since the match began.
    pub at: Duration,
    /// How long it is.
    pub duration: Duration,
    /// What goes on in it now, as its scenario calls it; may be empty.
    pub phase: String,
    /// People of the crowd.
    pub people: u64,
    /// The server, where its admin port is known.
    pub server: Option<ServerNow>,
}

/// One picture. Counts are totals since the match began.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LiveSnapshot {
    /// When, and of what.
    pub moment: Moment,
    /// Taps that were to go until now.
    pub planned_taps: u64,
    /// Taps that went.
    pub sent_taps: u64,
    /// How late slices were since the picture before, in microseconds; `None` when none was due.
    pub lag_p99_us: Option<u64>,
    /// People who tapped at least once.
    pub people_acted: u64,
    /// Frames that subscribers received.
    pub frames: u64,
    /// Frames that they found missing.
    pub frames_missing: u64,
}

/// What happened in a second between two pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiveRates {
    /// Taps that were to go.
    pub planned_taps: u64,
    /// Taps that went.
    pub sent_taps: u64,
    /// Frames received.
    pub frames: u64,
}

impl LiveSnapshot {
    /// Rates since an earlier picture; the match began with nothing. All 0 when no time has passed.
    pub fn rates_since(&self, earlier: &Self) -> LiveRates {
        let elapsed_s = self.moment.at.saturating_sub(earlier.moment.at).as_secs_f64();
        let rate = |now: u64, then: u64| match elapsed_s {
            0.0 => 0,
            _ => (now.saturating_sub(then) as f64 / elapsed_s).round() as u64,
        };
        LiveRates {
            planned_taps: rate(self.planned_taps, earlier.planned_taps),
            sent_taps: rate(self.sent_taps, earlier.sent_taps),
            frames: rate(self.frames, earlier.frames),
        }
    }

    /// Hundredths of a percent of the planned taps that went, of the whole run; `None` before any was due. Rounded down,
    /// so that 100 % means all.
    pub fn achieved_basis_points(&self) -> Option<u64> {
        let points =
            u128::from(self.sent_taps) * 10_000 / u128::from(Some(self.planned_taps).filter(|&taps| taps > 0)?);
        Some(points.min(u64::MAX.into()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, taps: u64) -> LiveSnapshot {
        let moment = Moment { at: Duration::from_millis(ms), ..Moment::default() };
        LiveSnapshot { moment, planned_taps: 2 * taps, sent_taps: taps, frames: taps / 10, ..LiveSnapshot::default() }
    }

    #[test]
    fn rates_are_of_the_time_between_two_pictures() {
        let rates = at(2250, 1500).rates_since(&at(2000, 1000));
        assert_eq!(rates, LiveRates { planned_taps: 4000, sent_taps: 2000, frames: 200 });
        let first = at(500, 1000).rates_since(&LiveSnapshot::default());
        assert_eq!(first.sent_taps, 2000);
    }

    #[test]
    fn without_time_between_there_are_no_rates() {
        assert_eq!(at(500, 1000).rates_since(&at(500, 900)), LiveRates::default());
        assert_eq!(at(400, 1000).rates_since(&at(500, 900)), LiveRates::default());
    }

    #[test]
    fn only_all_taps_are_100_percent() {
        let achieved = |planned_taps, sent_taps| {
            LiveSnapshot { planned_taps, sent_taps, ..LiveSnapshot::default() }.achieved_basis_points()
        };
        assert_eq!(achieved(0, 0), None);
        assert_eq!(achieved(100_000, 99_999), Some(9999));
        assert_eq!(achieved(u64::MAX, u64::MAX), Some(10_000));
    }
}
