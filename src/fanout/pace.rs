//! How a crowd that is due at one moment is spread over a time instead: one after the other, evenly, in steps.
//!
//! Invariant: at any time at most the share of the crowd has been released that the time since the beginning is of the
//! whole spread, rounded up; at its end everybody has.
//!
//! Not here: who is in the crowd, and in which order they come.

use std::time::{Duration, Instant};

/// Releases come at least this far apart, so that a spread wakes a shard so often at most, however large the crowd. A
/// step of 50,000 subscribers over a second is 100 of them: less than a millisecond of writing.
pub const PACE_STEP: Duration = Duration::from_millis(2);

/// The spread of one crowd.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    begin: Instant,
    spread: Duration,
    total: usize,
    /// How far before the end of its share of the time the first of the crowd is released.
    lead: Duration,
}

impl Pace {
    /// A crowd of `total`, from `begin` on. Crowds of one that begin together would all be released together, were it not
    /// for `place`: crowds of successive places are released at times of their own, as even as their number allows.
    pub fn new(begin: Instant, spread: Duration, total: usize, place: u32) -> Self {
        // Multiples of the golden ratio, fractions only: the most even of sequences that have no end.
        let fraction = u128::from(place.wrapping_mul(0x9E37_79B9));
        Self { begin, spread, total, lead: nanos((spread.as_nanos() * fraction) >> u32::BITS) }
    }

    /// How many of the crowd may have been released at `now`.
    pub fn released(&self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.begin);
        if elapsed >= self.spread {
            return self.total;
        }
        let [elapsed, spread, lead] = [elapsed, self.spread, self.lead].map(|time| time.as_nanos());
        ((elapsed * self.total as u128 + lead) / spread) as usize
    }

    /// When the next may be released after `released` of them were, on the grid of steps through `grid`.
    pub fn next_release(&self, released: usize, grid: Instant) -> Instant {
        let [spread, lead] = [self.spread, self.lead].map(|time| time.as_nanos());
        let missing = ((released as u128 + 1) * spread).saturating_sub(lead);
        let after = nanos(missing.div_ceil(self.total.max(1) as u128));
        step_not_before(self.begin + after.min(self.spread), grid).min(self.begin + self.spread)
    }
}

fn step_not_before(at: Instant, grid: Instant) -> Instant {
    let steps = at.saturating_duration_since(grid).as_nanos().div_ceil(PACE_STEP.as_nanos());
    grid + nanos(steps * PACE_STEP.as_nanos())
}

/// Spreads are minutes at most, and u64 holds centuries.
fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn begin() -> Instant {
        Instant::now()
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Follows a pace from wake-up to wake-up, and returns when how many had been released.
    fn follow(pace: Pace, grid: Instant) -> Vec<(Instant, usize)> {
        let mut releases = Vec::new();
        let mut released = 0;
        while released < pace.total {
            let at = pace.next_release(released, grid);
            released = pace.released(at);
            releases.push((at, released));
        }
        releases
    }

    #[test]
    fn a_large_crowd_comes_in_equal_steps() {
        let begin = begin();
        let releases = follow(Pace::new(begin, ms(500), 50_000, 0), begin);
        let expected: Vec<_> = (1..=250).map(|step| (begin + ms(2 * step), 200 * step as usize)).collect();
        assert_eq!(releases, expected);
    }

    #[test]
    fn a_small_crowd_wakes_nobody_in_between() {
        let begin = begin();
        let releases = follow(Pace::new(begin, ms(600), 3, 0), begin);
        assert_eq!(releases, [(begin + ms(200), 1), (begin + ms(400), 2), (begin + ms(600), 3)]);
    }

    #[test]
    fn many_crowds_of_one_are_spread_as_one_crowd_is() {
        let begin = begin();
        let mut at: Vec<_> = (0..1000).map(|place| follow(Pace::new(begin, ms(1000), 1, place), begin)[0].0).collect();
        at.sort_unstable();
        for (tenth, at) in at.chunks(100).enumerate() {
            let from = begin + ms(100 * tenth as u64);
            assert!(at[2] >= from && at[97] <= from + ms(102), "the tenth {tenth} is not a tenth of them");
        }
    }

    #[test]
    fn without_a_spread_all_come_at_once() {
        let begin = begin();
        let pace = Pace::new(begin, Duration::ZERO, 9, 3);
        assert_eq!((pace.released(begin), pace.next_release(0, begin)), (9, begin));
    }

    proptest! {
        #[test]
        fn never_more_than_the_time_allows_and_all_at_the_end(
            spread_us in 0..30_000_000u64, total in 1..2000usize, place: u32, late_us in 0..4000u64,
        ) {
            let grid = begin();
            let (begin, spread) = (grid + Duration::from_micros(late_us), Duration::from_micros(spread_us));
            let releases = follow(Pace::new(begin, spread, total, place), grid);
            let mut last = None;
            for &(at, released) in &releases {
                let elapsed = (at - begin).as_nanos();
                prop_assert!(elapsed >= spread.as_nanos() || released as u128
                    <= (elapsed * total as u128).div_ceil(spread.as_nanos()));
                prop_assert!(last.is_none_or(|(before, fewer)| before < at && fewer < released), "a wake-up for nothing");
                last = Some((at, released));
            }
            prop_assert_eq!(last.map(|(_, released)| released), Some(total));
            prop_assert!(last.is_some_and(|(at, _)| at <= begin + spread));
            prop_assert!(releases.len() as u128 <= spread.as_nanos() / PACE_STEP.as_nanos() + 2);
        }
    }
}
