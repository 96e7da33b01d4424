//! What the page shows, as plain words, numbers and series.
//!
//! Invariant: nothing here knows where a number comes from. Who fills it decides what is worth saying; the page decides
//! how it looks.

use super::chart::bars::Pair;
pub(crate) use super::chart::moments::Moment;

/// What a run is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything that was asked for held.
    Passed,
    /// The server did not hold what was asked for.
    Failed,
    /// The generator did not; the run says little about the server.
    Invalid,
}

/// A whole report.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// When, how long, from which seed.
    pub(crate) subtitle: String,
    pub(crate) verdict: Verdict,
    /// The verdict's reason in one sentence.
    pub(crate) summary: String,
    pub(crate) findings: Vec<String>,
    /// What a reader should know that is not wrong.
    pub(crate) notes: Vec<String>,
    pub(crate) headlines: Vec<Fact>,
    pub(crate) charts: Charts,
    pub(crate) thresholds: Vec<Threshold>,
    /// Where was seen last what is in no frame.
    pub(crate) losses: Vec<Loss>,
    pub(crate) tables: Vec<Table>,
    /// What was real: people, sockets, connections.
    pub(crate) real: Vec<Fact>,
    /// What was concluded instead of measured.
    pub(crate) extrapolated: Vec<String>,
    /// The scenario file as it was played.
    pub(crate) scenario_text: String,
    pub(crate) environment: Vec<Fact>,
}

/// A number and what it means.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
    /// More about it, in small letters; may be empty.
    pub(crate) note: String,
}

impl Fact {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>, note: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into(), note: note.into() }
    }
}

/// A limit of the scenario and what came out.
#[derive(Debug, Clone)]
pub(crate) struct Threshold {
    pub(crate) name: String,
    /// With its sense and unit: `at most 250 ms`.
    pub(crate) limit: String,
    pub(crate) measured: String,
    pub(crate) passed: bool,
}

/// Something that is in no frame, and where it was seen last.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    /// The generator, the server, and what is in between.
    pub(crate) place: String,
    pub(crate) reason: String,
    /// How much, and of what.
    pub(crate) count: String,
}

/// A table; the first column names the row, the others hold numbers.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) title: String,
    /// What the table says; may be empty.
    pub(crate) note: String,
    pub(crate) heads: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// One value for each interval; `None`: no sample.
pub(crate) type Series = Vec<Option<f64>>;

/// Series of all plots. Intervals of no length are those of a series without values.
#[derive(Debug, Clone)]
pub(crate) struct Charts {
    pub(crate) moments: Vec<Moment>,
    pub(crate) rates: RatesOverTime,
    pub(crate) tap_to_frame: LatencyOverTime,
    pub(crate) tap_to_202: LatencyOverTime,
    pub(crate) spectrum: Spectrum,
    /// Whose windows they are, in a sentence; may be empty.
    pub(crate) windows_note: String,
    pub(crate) windows: Vec<Arrivals>,
    /// Or why there are no samples.
    pub(crate) server: Result<ServerOverTime, String>,
    /// What the pairs leave out, in a sentence; may be empty.
    pub(crate) emoji_note: String,
    pub(crate) emoji: Vec<Pair>,
}

/// Taps a second.
#[derive(Debug, Clone, Default)]
pub(crate) struct RatesOverTime {
    pub(crate) interval_s: f64,
    pub(crate) planned: Series,
    pub(crate) sent: Series,
}

/// Percentiles of each interval's latencies, in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatencyOverTime {
    pub(crate) interval_s: f64,
    pub(crate) p50_us: Series,
    pub(crate) p90_us: Series,
    pub(crate) p99_us: Series,
    pub(crate) max_us: Series,
}

/// Latencies of the whole run at the same quantiles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spectrum {
    /// From 0 to below 1, rising.
    pub(crate) quantiles: Vec<f64>,
    pub(crate) measures: Vec<Measure>,
}

/// One line of the spectrum.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    pub(crate) name: String,
    /// For each quantile; `None` where there are too few samples for it.
    pub(crate) us: Series,
}

/// When subscribers had one window's frame, in microseconds after the window's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrivals {
    /// The window's end, in seconds since the first tap.
    pub(crate) end_s: f64,
    pub(crate) first_us: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) last_us: Option<f64>,
}

/// What the server used.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerOverTime {
    /// When, in seconds since the first tap.
    pub(crate) at_s: Vec<f64>,
    /// Busy cores.
    pub(crate) cores: Series,
    /// Resident memory.
    pub(crate) mib: Series,
}
