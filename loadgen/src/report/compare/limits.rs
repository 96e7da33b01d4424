//! The limits of both reports, side by side by name: kept or exceeded.
//!
//! Invariant: a limit that the second report exceeds and the first does not is worse, whatever the tolerance. Limits
//! themselves are not compared; that the scenarios differ is a warning.

use super::Change;
use crate::report::text::figure;
use crate::report::{Report, Threshold};
use serde::Serialize;
use std::fmt::{self, Formatter};

/// A limit of both.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LimitRow {
    /// Its name in the scenario's `limits`.
    pub name: String,
    /// Unit of everything in it.
    pub unit: String,
    /// What became of it in the first report, if it has it.
    pub a: Option<Outcome>,
    /// What became of it in the second.
    pub b: Option<Outcome>,
    /// What that means.
    pub verdict: Change,
}

/// What became of a limit.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// The limit.
    pub limit: f64,
    /// What was measured, if there was something to measure.
    pub measured: Option<f64>,
    /// Whether it was kept.
    pub kept: bool,
}

/// Those of the first report in its order, then those that only the second has.
pub(super) fn rows(a: &Report, b: &Report) -> Vec<LimitRow> {
    let only_b = b.thresholds.iter().filter(|row| find(a, &row.name).is_none());
    a.thresholds.iter().chain(only_b).map(|row| LimitRow::of(row, a, b)).collect()
}

fn find<'a>(report: &'a Report, name: &str) -> Option<&'a Threshold> {
    report.thresholds.iter().find(|row| row.name == name)
}

impl LimitRow {
    fn of(row: &Threshold, a: &Report, b: &Report) -> Self {
        let [a, b] = [a, b].map(|report| find(report, &row.name).map(Outcome::of));
        let verdict = match (a.map(|a| a.kept), b.map(|b| b.kept)) {
            (Some(true) | None, Some(false)) => Change::Worse,
            (Some(_), None) => Change::Missing,
            (Some(false), Some(true)) => Change::Better,
            (None, _) => Change::NotCompared,
            _ => Change::Same,
        };
        Self { name: row.name.clone(), unit: row.unit.clone(), a, b, verdict }
    }
}

impl Outcome {
    fn of(row: &Threshold) -> Self {
        Self { limit: row.limit, measured: row.measured, kept: row.passed }
    }

    fn to_text(self, name: &str) -> String {
        let measured = self.measured.map_or("-".into(), figure);
        let sense = if name.ends_with("_min") { ">=" } else { "<=" };
        format!("{measured} {sense} {} {}", figure(self.limit), if self.kept { "kept" } else { "EXCEEDED" })
    }
}

/// The rows as a table, nothing where there are none.
pub(super) fn fmt(rows: &[LimitRow], f: &mut Formatter<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{:<30} {:>26} {:>26}  verdict", "limit", "A", "B")?;
    for row in rows {
        let shown = |outcome: Option<Outcome>| outcome.map_or("-".into(), |outcome| outcome.to_text(&row.name));
        let (name, a, b) = (format!("{}, {}", row.name, row.unit), shown(row.a), shown(row.b));
        writeln!(f, "{name:<30} {a:>26} {b:>26}  {}", row.verdict.label())?;
    }
    writeln!(f)
}
