//! The table, for people and as JSON, and what must hold of it.

use crate::Effort;
use crate::kind::Seen;
use serde::Serialize;
use std::ops::RangeInclusive;
use uproar_loadgen::fleet::WindowArrivals;

/// Everything that was seen.
#[derive(Serialize)]
pub(crate) struct Report {
    kinds: Vec<KindReport>,
    /// Windows of which not everybody was told the same.
    disagreeing: u64,
    /// Sum of all windows' totals.
    taps: u64,
    cpu_us_frame: f64,
    rss_bytes: u64,
    pub(crate) has_held: bool,
}

/// The subscribers of one kind.
#[derive(Serialize)]
pub(crate) struct KindReport {
    kind: &'static str,
    subscribers: usize,
    expected: u64,
    received: u64,
    missing: u64,
    repeated: u64,
    /// From a window's end to its last subscriber of this kind.
    delay_ms_p50: f64,
    delay_ms_p99: f64,
}

/// Frames of one kind of subscribers.
struct Counts {
    received: u64,
    missing: u64,
    repeated: u64,
}

impl KindReport {
    /// Of what the fleet tells of its windows, and of frames that came a second time. A window that it does not tell of
    /// shows as less received than expected.
    pub(crate) fn of_fleet(
        windows: &[WindowArrivals],
        repeated: u64,
        effort: &Effort,
        range: RangeInclusive<u64>,
    ) -> Self {
        let expected = (range.end() - range.start() + 1) * effort.native as u64;
        let received = windows.iter().map(|window| window.frames).sum();
        let delays_ms = windows.iter().map(|window| window.lateness_us_max as f64 / 1e3).collect();
        let missing = windows.iter().map(|window| window.missing).sum();
        Self::new("native", effort.native, expected, Counts { received, missing, repeated }, delays_ms)
    }

    /// Of what others have seen.
    pub(crate) fn of_record(
        kind: &'static str,
        seen: &Seen,
        subscribers: usize,
        range: RangeInclusive<u64>,
        window_ms: u64,
    ) -> Self {
        let expected = (range.end() - range.start() + 1) * subscribers as u64;
        let windows: Vec<_> = seen.windows.range(range).collect();
        let received: u64 = windows.iter().map(|(_, seen)| seen.count as u64).sum();
        let repeated = windows.iter().map(|(_, seen)| seen.repeated as u64).sum();
        // Nobody is counted twice in a window.
        let counts = Counts { received, missing: expected.saturating_sub(received), repeated };
        let delay_ms = |(window, seen): &(&u64, &crate::kind::SeenWindow)| {
            let last_us = seen.at_unix_us.iter().max().copied().unwrap_or(0);
            last_us.saturating_sub((**window + 1) * window_ms * 1000) as f64 / 1e3
        };
        Self::new(kind, subscribers, expected, counts, windows.iter().map(delay_ms).collect())
    }

    fn new(
        kind: &'static str,
        subscribers: usize,
        expected: u64,
        Counts { received, missing, repeated }: Counts,
        mut delays_ms: Vec<f64>,
    ) -> Self {
        delays_ms.sort_by(f64::total_cmp);
        let at = |part: f64| delays_ms.get(((delays_ms.len().max(1) - 1) as f64 * part).round() as usize).copied();
        let [delay_ms_p50, delay_ms_p99] = [0.5, 0.99].map(|part| at(part).unwrap_or(f64::NAN));
        Self { kind, subscribers, expected, received, missing, repeated, delay_ms_p50, delay_ms_p99 }
    }
}

impl Report {
    /// Judges what was seen.
    pub(crate) fn new(kinds: Vec<KindReport>, disagreeing: u64, taps: u64, cpu_us_frame: f64, rss_bytes: u64) -> Self {
        let is_whole =
            kinds.iter().all(|kind| kind.received == kind.expected && kind.missing == 0 && kind.repeated == 0);
        let has_held = is_whole && disagreeing == 0 && taps > 0;
        Self { kinds, disagreeing, taps, cpu_us_frame, rss_bytes, has_held }
    }

    /// A line for each kind, and what must hold.
    pub(crate) fn print(&self) {
        println!("kind          subscribers  expected  received  missing  repeated  delay ms p50     p99");
        for kind in &self.kinds {
            let KindReport { kind, subscribers, expected, received, missing, repeated, delay_ms_p50, delay_ms_p99 } =
                kind;
            println!(
                "{kind:12}  {subscribers:11}  {expected:8}  {received:8}  {missing:7}  {repeated:8}  {delay_ms_p50:12.1}  {delay_ms_p99:6.1}"
            );
        }
        let mib = self.rss_bytes as f64 / f64::from(1 << 20);
        let Self { disagreeing, taps, cpu_us_frame, .. } = self;
        println!(
            "{taps} taps; {disagreeing} windows disagree; {cpu_us_frame:.2} us of server CPU a frame; memory {mib:.0} MiB"
        );
        let word = if self.has_held { "holds" } else { "does NOT hold" };
        println!("everybody gets every window's frame, the same for all: {word}");
    }
}
