//! `merge` and `compare`: what can be done with reports that were written.

use super::run::Files;
use super::{Ended, Failure};
use crate::report::compare::{self, Tolerance};
use crate::report::{Report, merge};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Merge {
    /// Reports of different parts of one match, as `run --json` wrote them.
    #[arg(required = true)]
    reports: Vec<PathBuf>,
    #[command(flatten)]
    files: Files,
}

#[derive(Args)]
pub(super) struct Compare {
    /// The report to compare with.
    a: PathBuf,
    /// The report that is compared.
    b: PathBuf,
    /// By how many percent latencies and costs may be higher.
    #[arg(long, default_value_t = Tolerance::USUAL, allow_negative_numbers = true)]
    tolerance: Tolerance,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Merges; what the whole run was.
pub(super) fn merge(args: &Merge) -> Result<Ended, Failure> {
    args.files.check()?;
    let reports: Vec<Report> = args.reports.iter().map(|file| load(file)).collect::<Result<_, _>>()?;
    let merged = merge::merge(&reports).map_err(|error| Failure::Usage(error.to_string()))?;
    let written = args.files.write(&merged);
    let shown = super::show(&merged, Ended::of(&merged));
    written.and(shown)
}

/// Compares; passed when nothing is worse.
pub(super) fn compare(args: &Compare) -> Result<Ended, Failure> {
    let comparison = compare::compare(&load(&args.a)?, &load(&args.b)?, args.tolerance);
    let ended = if comparison.worse { Ended::Failed } else { Ended::Passed };
    match args.json {
        true => super::show(&format_args!("{:#}\n", serde_json::json!(comparison)), ended),
        false => super::show(&comparison, ended),
    }
}

fn load(file: &std::path::Path) -> Result<Report, Failure> {
    Report::load(file).map_err(|error| Failure::Usage(error.to_string()))
}
