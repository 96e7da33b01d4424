//! What the server said about itself, second by second.
//!
//! Invariant: of bounded length. A run that is longer than [`SAMPLES_MAX`] samples keeps every second one, then every
//! fourth, and so on; counters are totals, so nothing is lost but detail.

use crate::metrics_scrape::Scrape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Samples of a series at most, but for the last one: an hour of seconds.
const SAMPLES_MAX: usize = 3600;
/// Seconds over which CPU time is compared at least: it is told in ticks of 10 ms.
const CPU_SPAN_MIN_S: f64 = 0.25;

/// The server through a run. Times are of the run, which starts at 0.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerSeries {
    /// In the order of time.
    pub samples: Vec<ServerSample>,
}

/// One look at the server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServerSample {
    /// When the answer had come, or had not: seconds since the start of the run.
    pub at_s: f64,
    /// What it said; `None` where it did not answer in time, or not as an Uproar does.
    pub reading: Option<ServerReading>,
}

/// What the server had counted. All are totals since its own start, but memory and subscribers, which are of the moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ServerReading {
    /// CPU time of all its threads, in seconds; `None` where the server cannot tell.
    pub cpu_s: Option<f64>,
    /// Memory resident, in bytes; `None` where the server cannot tell.
    pub rss_bytes: Option<u64>,
    /// Taps counted.
    pub taps: TapsByProto,
    /// Reaction datagrams received.
    pub datagrams: u64,
    /// Datagrams and requests refused, for any reason.
    pub rejected: u64,
    /// Datagrams that its kernel dropped before it read them.
    pub socket_drops: u64,
    /// Frames handed to subscribers.
    pub frames_sent: u64,
    /// Frames that a subscriber did not get, as a newer one took their place.
    pub frames_skipped: u64,
    /// Subscribers now.
    pub subscribers: u64,
}

/// Taps by the way they came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct TapsByProto {
    /// By datagram.
    pub udp: u64,
    /// By request.
    pub http: u64,
    /// By connection of a subscriber.
    pub quic: u64,
    /// By WebTransport session, which a page has; 0 where the server knows none.
    #[serde(default)]
    pub webtransport: u64,
}

impl ServerReading {
    /// What a page of metrics says; `None` when a name is missing that every Uproar has.
    pub fn of(page: &Scrape) -> Option<Self> {
        let count = |name| page.total(name).map(|total| total as u64);
        let taps = page.totals("uproar_reactions_total", "proto");
        let by = |proto| taps.get(proto).copied();
        Some(Self {
            cpu_s: page.total("process_cpu_seconds_total"),
            rss_bytes: count("process_resident_memory_bytes"),
            taps: TapsByProto {
                udp: by("udp")?,
                http: by("http")?,
                quic: by("quic")?,
                webtransport: by("webtransport").unwrap_or(0),
            },
            datagrams: count("uproar_datagrams_total")?,
            rejected: count("uproar_rejected_total")?,
            socket_drops: count("uproar_socket_drops_total")?,
            frames_sent: count("uproar_frames_sent_total")?,
            frames_skipped: count("uproar_frames_skipped_total")?,
            subscribers: count("uproar_subscribers")?,
        })
    }
}

impl ServerSample {
    /// A sample taken that long after the run's start.
    pub fn new(at: Duration, reading: Option<ServerReading>) -> Self {
        Self { at_s: at.as_secs_f64(), reading }
    }

    /// CPU time a second since an earlier sample: 1.0 is one core kept busy. `None` across a hole or a restart, and
    /// when the two are too close for the kernel's clock.
    pub fn cores_since(&self, earlier: &Self) -> Option<f64> {
        let cpu_s = |sample: &Self| sample.reading.as_ref()?.cpu_s;
        let (spent, elapsed) = (cpu_s(self)? - cpu_s(earlier)?, self.at_s - earlier.at_s);
        (elapsed >= CPU_SPAN_MIN_S && spent >= 0.0).then(|| spent / elapsed)
    }
}

/// Makes a series that stays short.
#[derive(Debug)]
pub(super) struct Thinning {
    series: ServerSeries,
    samples_max: usize,
    /// Of so many samples, one is kept.
    stride: usize,
    seen: usize,
}

impl Thinning {
    pub(super) fn new() -> Self {
        Self { series: ServerSeries::default(), samples_max: SAMPLES_MAX, stride: 1, seen: 0 }
    }

    pub(super) fn push(&mut self, sample: ServerSample) {
        if self.seen.is_multiple_of(self.stride) {
            if self.series.samples.len() == self.samples_max {
                self.halve();
            }
            // The stride may just have doubled, past this one.
            if self.seen.is_multiple_of(self.stride) {
                self.series.samples.push(sample);
            }
        }
        self.seen += 1;
    }

    /// The series, which ends with `last` wherever the stride stands: totals of the run are read from it.
    pub(super) fn finish(mut self, last: ServerSample) -> ServerSeries {
        self.series.samples.push(last);
        self.series
    }

    fn halve(&mut self) {
        let mut place = 0;
        self.series.samples.retain(|_| {
            place += 1;
            place % 2 == 1
        });
        self.stride *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("testdata/metrics.txt");

    fn sample(at_s: f64, cpu_s: f64) -> ServerSample {
        let reading = ServerReading { cpu_s: Some(cpu_s), ..reading() };
        ServerSample { at_s, reading: Some(reading) }
    }

    fn reading() -> ServerReading {
        ServerReading::of(&Scrape::parse(PAGE)).expect("a page of the server")
    }

    #[test]
    fn a_page_is_summed_over_its_labels() {
        let expected = ServerReading {
            cpu_s: Some(38.07),
            rss_bytes: Some(25_436_160),
            taps: TapsByProto { udp: 857_000, http: 600, quic: 48, webtransport: 0 },
            datagrams: 85_710,
            rejected: 12,
            socket_drops: 4,
            frames_sent: 4000,
            frames_skipped: 7,
            subscribers: 2000,
        };
        assert_eq!(reading(), expected);
    }

    #[test]
    fn a_server_that_cannot_tell_its_cpu_time_is_still_read() {
        let page: String =
            PAGE.lines().filter(|line| !line.contains("process_")).fold(String::new(), |page, line| page + line + "\n");
        let expected = ServerReading { cpu_s: None, rss_bytes: None, ..reading() };
        assert_eq!(ServerReading::of(&Scrape::parse(&page)), Some(expected));
    }

    #[test]
    fn a_page_without_a_name_of_ours_is_no_reading() {
        for name in ["uproar_reactions_total", "uproar_rejected_total", "uproar_subscribers", "proto=\"quic\""] {
            assert_eq!(ServerReading::of(&Scrape::parse(&PAGE.replace(name, "other"))), None, "{name}");
        }
    }

    #[test]
    fn cpu_time_becomes_cores_unless_something_is_missing() {
        let (early, late) = (sample(1.0, 10.0), sample(3.0, 13.0));
        assert_eq!(late.cores_since(&early), Some(1.5));
        let hole = ServerSample { at_s: 2.0, reading: None };
        assert_eq!((late.cores_since(&hole), hole.cores_since(&early)), (None, None));
        assert_eq!(sample(4.0, 0.5).cores_since(&late), None, "the server was started again");
        assert_eq!(sample(3.1, 13.01).cores_since(&late), None, "one tick in 100 ms may have been any time");
    }

    #[test]
    fn a_long_run_keeps_samples_at_even_distances_and_its_end() {
        for (seconds, stride) in [(8, 1), (9, 2), (16, 2), (17, 4), (100, 16)] {
            let mut thinning = Thinning { samples_max: 8, ..Thinning::new() };
            (0..seconds).for_each(|at| thinning.push(ServerSample { at_s: f64::from(at), reading: None }));
            let kept: Vec<_> = thinning.finish(sample(1000.0, 0.0)).samples.iter().map(|kept| kept.at_s).collect();
            let expected = (0..seconds).step_by(stride).map(f64::from).chain([1000.0]);
            assert_eq!(kept, expected.collect::<Vec<_>>(), "{seconds} s");
            assert!(kept.len() <= 9, "{seconds} s");
        }
    }

    #[test]
    fn a_series_survives_its_report() {
        let series = ServerSeries { samples: vec![sample(0.0, 1.0), ServerSample { at_s: 1.0, reading: None }] };
        let json = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<ServerSeries>(&json).unwrap(), series);
    }
}
