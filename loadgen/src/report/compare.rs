//! Two reports side by side, measure by measure and limit by limit: what is better, what is the same, what is worse.
//!
//! 1. This file: measures. 2. `limits`: the scenario's limits, kept or exceeded. 3. [`Tolerance`]: what may rise by how much.
//!
//! Invariant: what the first report has and the second lacks is worse, as it can no longer be relied on; what only the
//! second has is not compared, unless it is a limit that is exceeded. Losses have no tolerance unless somebody sets one in
//! the scenario's limits; costs and latencies change by themselves, and have one.

mod limits;
mod tolerance;

pub use limits::{LimitRow, Outcome};
pub use tolerance::{Tolerance, ToleranceError};

use super::merge::differing_knobs;
use super::text::figure;
use super::{Report, Verdict};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// By how much the share of planned taps that were sent may fall: as much as scenarios allow unless they say otherwise.
const ACHIEVED_TOLERANCE_PERCENT: f64 = 0.1;

/// Two reports, compared.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// What makes the comparison doubtful, a sentence each.
    pub warnings: Vec<String>,
    /// By measure.
    pub rows: Vec<Row>,
    /// By limit of the scenarios.
    pub limits: Vec<LimitRow>,
    /// Whether something is worse or missing, or A passed and B did not.
    pub worse: bool,
}

/// One measure of both.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// What.
    pub measure: String,
    /// Unit of both.
    pub unit: String,
    /// The first report's.
    pub a: Option<f64>,
    /// The second report's.
    pub b: Option<f64>,
    /// From the first to the second, in percent; nothing where the first is 0 or one is missing.
    pub change_percent: Option<f64>,
    /// By how much it may change and count as the same.
    pub tolerance_percent: f64,
    /// What that means.
    pub verdict: Change,
}

/// What became of a measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is better by more than its tolerance.
    Better,
    /// It is the same, within its tolerance.
    Same,
    /// It is worse by more than its tolerance.
    Worse,
    /// The first report has it and the second does not.
    Missing,
    /// Only the second report has it.
    NotCompared,
}

/// How a measure is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Any more is worse.
    Loss,
    /// More is worse, beyond a tolerance.
    Cost,
    /// Less is worse.
    Share,
}

/// A measure of one report.
struct Measure {
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    of: fn(&Report) -> Option<f64>,
}

const fn measure(name: &'static str, unit: &'static str, kind: Kind, of: fn(&Report) -> Option<f64>) -> Measure {
    Measure { name, unit, kind, of }
}

const MEASURES: [Measure; 20] = [
    measure("taps lost", "ppm", Kind::Loss, |report| share_ppm(report.taps_lost, report.taps_sent)),
    measure("windows off", "", Kind::Loss, |report| {
        Some(report.windows.iter().filter(|window| window.is_off()).count() as f64)
    }),
    measure("frames missing", "ppm", Kind::Loss, |report| {
        let seen = &report.subscribers;
        share_ppm(seen.frames_missing, seen.frames_received + seen.frames_missing)
    }),
    measure("frames twice", "", Kind::Loss, |report| Some(report.subscribers.frames_twice as f64)),
    measure("frames conflicting", "", Kind::Loss, |report| Some(report.subscribers.frames_conflicting as f64)),
    measure("connections lost", "", Kind::Loss, |report| Some(report.subscribers.lost as f64)),
    measure("achieved of planned", "", Kind::Share, |report| Some(report.achieved_ratio)),
    measure("generator lag p99", "ms", Kind::Cost, |report| report.p99_ms("generator_lag")),
    measure("tap to frame p50", "ms", Kind::Cost, |report| {
        let latency = report.latency.get("tap_to_frame").filter(|latency| latency.all.count > 0)?;
        Some(latency.all.p50_us as f64 / 1000.0)
    }),
    measure("tap to frame p99", "ms", Kind::Cost, |report| report.p99_ms("tap_to_frame")),
    measure("tap to 202 p99", "ms", Kind::Cost, |report| report.p99_ms("tap_to_202")),
    measure("window's end to frame p99", "ms", Kind::Cost, |report| report.p99_ms("window_end_to_frame")),
    measure("frame spread p99", "ms", Kind::Cost, |report| report.p99_ms("frame_spread")),
    measure("frame staleness p99", "ms", Kind::Cost, |report| report.p99_ms("frame_staleness")),
    measure("handshake p99", "ms", Kind::Cost, |report| report.p99_ms("handshake")),
    measure("all back after acts", "ms", Kind::Cost, |report| {
        report.acts.iter().filter_map(|act| act.back_after_ms).max().map(|ms| ms as f64)
    }),
    measure("server CPU a tap", "ns", Kind::Cost, |report| report.server.as_ref()?.cpu_ns_per_tap),
    measure("server memory", "MiB", Kind::Cost, |report| report.server.as_ref()?.rss_bytes_max.map(mib)),
    measure("generator CPU a datagram", "ns", Kind::Cost, |report| report.generator.udp_cpu_ns_per_datagram),
    measure("generator memory", "MiB", Kind::Cost, |report| Some(mib(report.generator.rss_bytes_max))),
];

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn share_ppm(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 1e6 / whole as f64)
}

/// What changed from `a` to `b`. Latencies and costs may rise by the tolerance.
pub fn compare(a: &Report, b: &Report, tolerance: Tolerance) -> Comparison {
    let rows: Vec<Row> = MEASURES.iter().filter_map(|measure| measure.row(a, b, tolerance.percent())).collect();
    let limits = limits::rows(a, b);
    let mut verdicts = rows.iter().map(|row| row.verdict).chain(limits.iter().map(|row| row.verdict));
    let worse = (a.passed && !b.passed) || verdicts.any(Change::is_worse);
    Comparison { warnings: warnings(a, b), rows, limits, worse }
}

impl Measure {
    /// Nothing where neither report has it.
    fn row(&self, a: &Report, b: &Report, tolerance_percent: f64) -> Option<Row> {
        let (a, b) = ((self.of)(a), (self.of)(b));
        a.or(b)?;
        let tolerance_percent = match self.kind {
            Kind::Loss => 0.0,
            Kind::Cost => tolerance_percent,
            Kind::Share => ACHIEVED_TOLERANCE_PERCENT,
        };
        let change_percent = a.zip(b).filter(|(a, _)| *a > 0.0).map(|(a, b)| (b - a) / a * 100.0);
        Some(Row {
            measure: self.name.to_owned(),
            unit: self.unit.to_owned(),
            a,
            b,
            change_percent,
            tolerance_percent,
            verdict: match (a, b) {
                (Some(a), Some(b)) => self.change(a, b, tolerance_percent),
                (Some(_), None) => Change::Missing,
                (None, _) => Change::NotCompared,
            },
        })
    }

    fn change(&self, a: f64, b: f64, tolerance_percent: f64) -> Change {
        let rise = if self.kind == Kind::Share { a - b } else { b - a };
        let tolerance = a * tolerance_percent / 100.0;
        match rise {
            rise if rise > tolerance => Change::Worse,
            rise if rise < -tolerance => Change::Better,
            _ => Change::Same,
        }
    }
}

fn warnings(a: &Report, b: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, report) in [("A", a), ("B", b)] {
        if report.verdict == Verdict::Invalid {
            warnings
                .push(format!("{name} is invalid: its latencies say more about the generator than about the server"));
        }
        if !report.is_whole() {
            warnings.push(format!("{name} has only the parts {} of the crowd", report.parts.join(", ")));
        }
    }
    if a.scenario.seed != b.scenario.seed {
        warnings.push(format!("the seeds differ: {} and {}", a.scenario.seed, b.scenario.seed));
    }
    let knobs: Vec<String> =
        differing_knobs(&a.scenario, &b.scenario).into_iter().filter(|knob| knob != "seed").collect();
    if !knobs.is_empty() {
        warnings.push(format!("the scenarios differ in {}", knobs.join(", ")));
    }
    let (one, other) = (&a.environment, &b.environment);
    if (&one.cpu, &one.kernel, one.cores) != (&other.cpu, &other.kernel, other.cores) {
        let machine = |of: &super::Environment| format!("{} cores of {}, {}", of.cores, of.cpu, of.kernel);
        warnings.push(format!("the machines differ: {} and {}", machine(one), machine(other)));
    }
    if one.version != other.version {
        warnings.push(format!("the generator's versions differ: {} and {}", one.version, other.version));
    }
    if a.passed && !b.passed {
        warnings.push(format!("A passed and B did not: {}", b.findings.join("; ")));
    }
    warnings
}

impl Change {
    fn is_worse(self) -> bool {
        matches!(self, Self::Worse | Self::Missing)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "WORSE",
            Self::Missing => "MISSING",
            Self::NotCompared => "not compared",
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<30} {:>14} {:>14} {:>10} {:>10}  verdict", "measure", "A", "B", "change", "tolerance")?;
        for row in &self.rows {
            let name = if row.unit.is_empty() { row.measure.clone() } else { format!("{}, {}", row.measure, row.unit) };
            let shown = |value: Option<f64>| value.map_or("-".into(), figure);
            let change = row.change_percent.map_or("-".into(), |percent| format!("{percent:+.1} %"));
            let (a, b, tolerance) = (shown(row.a), shown(row.b), format!("{} %", row.tolerance_percent));
            let verdict = row.verdict.label();
            writeln!(f, "{name:<30} {a:>14} {b:>14} {change:>10} {tolerance:>10}  {verdict}")?;
        }
        limits::fmt(&self.limits, f)?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "note: {warning}"))?;
        let sum = if self.worse { "B is worse than A" } else { "B is no worse than A" };
        writeln!(f, "{sum}")
    }
}

#[cfg(test)]
mod tests;
