//! What a fleet has counted and how long things took, since its start.
//!
//! Invariant: measures of several fleets add up exactly; no percentile is ever averaged.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Durations beyond this, an hour, count as this.
const US_MAX: u64 = 3_600_000_000;

/// Sums of a fleet since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FleetTotals {
    /// Subscribers that are welcome and have their palettes, now.
    pub subscribers: u64,
    /// Those that are connecting or wait for their turn to, now.
    pub on_the_way: u64,
    /// Those that are subscribed, on the way or lost, now: all but those who have not joined or are gone.
    pub wanted: u64,
    /// Frames that came, of all kinds.
    pub frames: u64,
    /// Frames of a window that the subscriber had, or that was older.
    pub duplicates: u64,
    /// Frames whose bytes are not those that the first subscriber had of the same room and window. Told apart as long as
    /// they come within four windows.
    pub conflicting: u64,
    /// Windows skipped between two frames of one subscriber and room.
    pub gaps: u64,
    /// The same, where the subscriber was paused meanwhile.
    pub gaps_while_paused: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Connections lost, by reason. Whoever was told to go is not lost.
    pub lost: BTreeMap<String, u64>,
    /// Datagrams that the kernel dropped at the fleet's sockets, for which the server is not to blame.
    pub socket_drops: u64,
    /// Datagrams that the kernel refused to send.
    pub sends_refused: u64,
}

impl FleetTotals {
    /// Connections lost, for whatever reason.
    pub fn lost_connections(&self) -> u64 {
        self.lost.values().sum()
    }
}

/// How long things took, in microseconds, three digits, an hour at most. Frames count where the subscriber was due them:
/// neither the first that it ever has, nor the first after a pause.
#[derive(Clone, Debug)]
pub struct FleetMeasures {
    /// From a connection's first packet to the handshake's completion.
    pub handshake_us: Histogram<u64>,
    /// From a connection's first packet to the last of its rooms' palettes.
    pub subscribe_us: Histogram<u64>,
    /// From a window's end, by the wall clock, to the moment at which its frame was read.
    pub lateness_us: Histogram<u64>,
    /// From the first subscriber's frame of a room and window to each other's.
    pub spread_us: Histogram<u64>,
    /// How old the newest picture on a screen was when the next one replaced it: from its window's end to the arrival of
    /// the next frame.
    pub staleness_us: Histogram<u64>,
}

impl FleetMeasures {
    /// Adds what another fleet has measured.
    pub fn add(&mut self, other: &Self) {
        let Self { handshake_us, subscribe_us, lateness_us, spread_us, staleness_us } = self;
        let sums = [handshake_us, subscribe_us, lateness_us, spread_us, staleness_us];
        let Self { handshake_us, subscribe_us, lateness_us, spread_us, staleness_us } = other;
        for (sum, more) in sums.into_iter().zip([handshake_us, subscribe_us, lateness_us, spread_us, staleness_us]) {
            // Whoever made the other may have chosen wider bounds.
            sum.add(more).unwrap_or_else(|_| {
                more.iter_recorded()
                    .for_each(|at| sum.saturating_record_n(at.value_iterated_to(), at.count_at_value()));
            });
        }
    }
}

impl Default for FleetMeasures {
    fn default() -> Self {
        let of = histogram;
        Self { handshake_us: of(), subscribe_us: of(), lateness_us: of(), spread_us: of(), staleness_us: of() }
    }
}

/// An empty one of a measure.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, US_MAX, 3).unwrap_or_else(|_| unreachable!("the bounds are in order"))
}

/// Adds a duration.
pub(super) fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(duration.as_micros() as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_add_up_and_nothing_is_too_long() {
        let (mut sum, mut other) = (FleetMeasures::default(), FleetMeasures::default());
        record(&mut sum.spread_us, Duration::from_micros(7));
        record(&mut other.spread_us, Duration::from_secs(7200));
        record(&mut other.handshake_us, Duration::from_millis(3));
        sum.add(&other);
        assert_eq!((sum.spread_us.len(), sum.spread_us.min(), sum.spread_us.max() / 1_000_000), (2, 7, 3600));
        assert_eq!((sum.handshake_us.len(), sum.staleness_us.len()), (1, 0));
    }
}
