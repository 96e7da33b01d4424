//! What earlier readings are needed for: rates, what windows brought in the last seconds, and the trail of taps.
//!
//! Invariant: memory is bounded: one reading, [`WINDOWS_SPAN`] of two histograms and some counters, `TRAIL_MAX` points a way.
//! Not here: asking the server ([`super::scrape`]).

use super::figures::{FANOUT, Figures, Reading, WINDOW_CLOSE};
use super::rates::{Count, Quantiles, quantiles};
use super::samples::Bucket;
use std::collections::VecDeque;
use std::time::Duration;

/// How far back reaches what happens once a window, such as latencies: a few windows, so that there are some to tell of in
/// every reading.
pub const WINDOWS_SPAN: Duration = Duration::from_secs(10);
/// Points of a trail: as many as the widest terminal shows.
const TRAIL_MAX: usize = 512;

/// The ways in, in the order in which they are shown, by their label in the metrics.
pub const WAYS: [&str; 3] = ["udp", "http", "quic"];

/// Taps per second of one way in over the last readings, oldest first; none for a reading that failed.
pub type Trail = VecDeque<Option<u64>>;

/// Readings so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    last: Option<Reading>,
    windows: VecDeque<Windows>,
    trails: [Trail; WAYS.len()],
}

/// What one reading says of all windows until then.
#[derive(Clone, Debug)]
struct Windows {
    at: Duration,
    close: Vec<Bucket>,
    fanout: Vec<Bucket>,
    /// Of [`once_a_window`].
    totals: [Option<u64>; 4],
}

impl History {
    /// Takes a reading, and says what the server has done since the one before.
    pub fn handle_reading(&mut self, reading: Reading) -> Figures {
        let mut figures = Figures::of(self.last.as_ref(), &reading, [Quantiles::default(); 2]);
        if figures.restarted {
            self.windows.clear();
        }
        self.handle_windows(&reading, &mut figures);
        let rate = |way: &str| figures.taps.get(way).and_then(|count| count.per_second).map(|rate| rate.round() as u64);
        for (way, trail) in WAYS.into_iter().zip(&mut self.trails) {
            push(trail, rate(way));
        }
        self.last = Some(reading);
        figures
    }

    /// Takes note that the server could not be read.
    pub fn handle_silence(&mut self) {
        for trail in &mut self.trails {
            push(trail, None);
        }
    }

    /// Taps per second of each of [`WAYS`].
    pub fn trails(&self) -> &[Trail; WAYS.len()] {
        &self.trails
    }

    /// Latencies and rates since the oldest reading in [`WINDOWS_SPAN`]; the one just beyond it is the base.
    fn handle_windows(&mut self, reading: &Reading, figures: &mut Figures) {
        let now = Windows::of(reading, figures);
        while self.windows.get(1).is_some_and(|next| next.at + WINDOWS_SPAN <= now.at) {
            self.windows.pop_front();
        }
        let since = self.windows.front().unwrap_or(&now);
        figures.window_close_seconds = quantiles(&since.close, &now.close);
        figures.fanout_seconds = quantiles(&since.fanout, &now.fanout);
        let seconds = now.at.saturating_sub(since.at).as_secs_f64();
        for (count, before) in once_a_window(figures).into_iter().zip(since.totals) {
            if let (Some(total), Some(before)) = (count.total, before)
                && seconds > 0.0
            {
                count.per_second = Some(total.saturating_sub(before) as f64 / seconds);
            }
        }
        self.windows.push_back(now);
    }
}

/// Counters that grow once a window: from one reading to the next their rates would jump.
fn once_a_window(figures: &mut Figures) -> [&mut Count; 4] {
    [&mut figures.windows, &mut figures.late_deltas, &mut figures.frames_made, &mut figures.frames_sent]
}

impl Windows {
    fn of(reading: &Reading, figures: &mut Figures) -> Self {
        let buckets = |name| reading.node.buckets(name).map(<[Bucket]>::to_vec).unwrap_or_default();
        let totals = once_a_window(figures).map(|count| count.total);
        Self { at: reading.at, close: buckets(WINDOW_CLOSE), fanout: buckets(FANOUT), totals }
    }
}

fn push(trail: &mut Trail, rate: Option<u64>) {
    if trail.len() == TRAIL_MAX {
        trail.pop_front();
    }
    trail.push_back(rate);
}

#[cfg(test)]
mod tests {
    use super::super::figures::State;
    use super::super::samples::Samples;
    use super::*;

    /// A reading at `at_s` of a server that started at `start` and has made `fast` quick and `slow` slow frames.
    fn reading(at_s: u64, start: u64, udp: u64, [fast, slow]: [u64; 2]) -> Reading {
        let page = format!(
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {start}\n\
             # TYPE uproar_reactions_total counter\nuproar_reactions_total{{proto=\"udp\"}} {udp}\n\
             # TYPE {WINDOW_CLOSE} histogram\n{WINDOW_CLOSE}_bucket{{le=\"0.1\"}} {fast}\n\
             {WINDOW_CLOSE}_bucket{{le=\"1\"}} {all}\n{WINDOW_CLOSE}_bucket{{le=\"+Inf\"}} {all}\n\
             # TYPE uproar_frames_made_total counter\nuproar_frames_made_total {all}\n",
            all = fast + slow,
        );
        let [node, shards] = [Samples::parse(&page), Samples::default()];
        let at = Duration::from_secs(at_s);
        Reading { at, wall: Duration::from_secs(1000) + at, state: State::Ready, node, shards, rooms: None }
    }

    #[test]
    fn latencies_are_of_the_last_seconds() {
        let mut history = History::default();
        history.handle_reading(reading(0, 900, 0, [0, 0]));
        let slow = history.handle_reading(reading(1, 900, 0, [0, 10]));
        assert!(slow.window_close_seconds.p50.unwrap() > 0.1, "{slow:?}");
        // Nothing new, but what was slow is not long ago.
        assert_eq!(history.handle_reading(reading(5, 900, 0, [0, 10])).window_close_seconds, slow.window_close_seconds);
        history.handle_reading(reading(11, 900, 0, [10, 10]));
        let fast = history.handle_reading(reading(15, 900, 0, [20, 10]));
        assert!(fast.window_close_seconds.p99.unwrap() <= 0.1, "{fast:?}");
        let nothing = history.handle_reading(reading(60, 900, 0, [20, 10]));
        assert_eq!(nothing.window_close_seconds.p50, None, "a gap has nothing to tell of");
    }

    #[test]
    fn what_happens_once_a_window_has_a_steady_rate() {
        let mut history = History::default();
        let made = |history: &mut History, at, frames| {
            history.handle_reading(reading(at, 900, 0, [frames, 0])).frames_made.per_second
        };
        assert_eq!(made(&mut history, 0, 0), None);
        for at in 1..=10 {
            // A frame every two seconds, looked at every second.
            made(&mut history, at, at / 2);
        }
        let [even, odd] = [12, 13].map(|at| made(&mut history, at, at / 2).unwrap());
        assert!((0.4..=0.6).contains(&even) && (0.4..=0.6).contains(&odd), "{even} {odd}");
    }

    #[test]
    fn a_server_that_started_anew_is_counted_from_nothing() {
        let mut history = History::default();
        history.handle_reading(reading(0, 900, 1_000_000, [500, 0]));
        // It has counted more already than the one before it: only its start tells them apart.
        let anew = history.handle_reading(reading(4, 1002, 2_000_000, [0, 10]));
        assert!(anew.restarted);
        assert_eq!(anew.uptime_seconds, Some(2.0));
        assert_eq!(anew.taps_counted.per_second, Some(1_000_000.0), "over its two seconds");
        assert_eq!(anew.window_close_seconds.p50, None);
        assert!(!history.handle_reading(reading(5, 1002, 2_000_000, [0, 10])).restarted);
    }

    #[test]
    fn the_trail_has_holes_where_nothing_was_read() {
        let mut history = History::default();
        history.handle_reading(reading(0, 900, 0, [0, 0]));
        history.handle_reading(reading(1, 900, 70, [0, 0]));
        history.handle_silence();
        history.handle_reading(reading(3, 900, 90, [0, 0]));
        assert_eq!(history.trails()[0], [None, Some(70), None, Some(10)]);
        assert_eq!(history.trails()[1], [None; 4], "a way that the server does not name");
        for _ in 0..2 * TRAIL_MAX {
            history.handle_silence();
        }
        assert_eq!(history.trails()[0].len(), TRAIL_MAX);
    }
}
