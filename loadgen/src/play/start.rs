//! When a match starts: soon, or when it was said, but always a quarter into a window.
//!
//! So the windows of a match are the same whatever small difference there is between this machine's clock and the server's,
//! and machines that were told the same time start at the same moment.

use super::RunError;
use crate::crowd::Crowd;
use crate::ledger::recorder::interval_of;
use crate::ledger::{Grid, Shape};
use std::time::{Duration, Instant, SystemTime};

/// From the last preparation to the first tap at least, so that all threads are there.
const LEAD: Duration = Duration::from_millis(500);
/// How far ahead a start may be said.
const AHEAD_MAX: Duration = Duration::from_secs(86_400);

/// The shape of the ledgers of a match that starts at a time, or soon.
///
/// # Errors
/// [`RunError::TooLate`], [`RunError::TooEarly`].
pub fn shape(crowd: &Crowd, start_unix_ms: Option<u64>, window: Duration) -> Result<Shape, RunError> {
    let scenario = crowd.scenario();
    let (now, now_unix_us) = (Instant::now(), unix_us());
    let earliest_us = now_unix_us + LEAD.as_micros() as u64;
    let wanted_us = start_unix_ms.map_or(earliest_us, |ms| ms.saturating_mul(1000));
    if wanted_us.saturating_sub(now_unix_us) > AHEAD_MAX.as_micros() as u64 {
        return Err(RunError::TooEarly { hours: (wanted_us - now_unix_us) / 3_600_000_000 });
    }
    let start_us = aligned(wanted_us, window.as_micros() as u64);
    if start_us < earliest_us {
        return Err(RunError::TooLate { late_ms: (earliest_us - start_us) / 1000 });
    }
    let start = now + Duration::from_micros(start_us - now_unix_us);
    Ok(Shape {
        grid: Grid::new(start, start_us, window, Duration::from_millis(scenario.limits.border_ms.into())),
        rooms: scenario.rooms.count as usize,
        emoji: scenario.emoji.into(),
        interval: interval_of(Duration::from_secs_f64(scenario.duration_s)),
    })
}

/// The next time from then on at which a quarter of a window is over.
fn aligned(wanted_us: u64, window_us: u64) -> u64 {
    let into = window_us / 4;
    wanted_us.saturating_sub(into).next_multiple_of(window_us) + into
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn a_match_starts_a_quarter_into_a_window() {
        for (wanted, start) in [(0, 25), (25, 25), (26, 125), (124, 125), (125, 125), (199, 225)] {
            assert_eq!(aligned(wanted, 100), start, "{wanted}");
        }
    }

    #[test]
    fn machines_that_are_told_the_same_start_together_and_not_in_the_past() {
        let crowd = Crowd::new(Scenario::parse("[udp]").unwrap());
        let told = unix_us() / 1000 + 60_000;
        let starts = [(); 2].map(|()| shape(&crowd, Some(told), Duration::from_secs(2)).unwrap().grid.start_unix_us);
        assert_eq!(starts[0], starts[1]);
        assert!((told * 1000..told * 1000 + 2_000_000).contains(&starts[0]));
        let late = shape(&crowd, Some(told - 70_000), Duration::from_secs(2));
        assert!(matches!(late, Err(RunError::TooLate { .. })));
        let far = shape(&crowd, Some(told * 1000), Duration::from_secs(2));
        assert!(matches!(far, Err(RunError::TooEarly { .. })), "milliseconds by mistake");
        assert!(shape(&crowd, Some(u64::MAX), Duration::from_secs(2)).is_err());
        assert!(shape(&crowd, None, Duration::from_secs(2)).is_ok());
    }
}
