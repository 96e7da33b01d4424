//! Pairs of reports with one thing different each.

use super::*;
use crate::crowd::Part;
use crate::report::synthetic::Play;
use crate::report::{Latency, Threshold};

fn report() -> Report {
    Play::new(1).report(Part::WHOLE)
}

fn verdicts(comparison: &Comparison) -> Vec<(&str, Change)> {
    let changed = comparison.rows.iter().filter(|row| row.verdict != Change::Same);
    changed.map(|row| (row.measure.as_str(), row.verdict)).collect()
}

fn percent(percent: f64) -> Tolerance {
    Tolerance::new(percent).unwrap()
}

/// A report whose slowest taps took that much longer.
fn slower(percent: u64) -> Report {
    let mut report = report();
    let latency = report.latency.get_mut("tap_to_202").unwrap();
    let mut histogram = crate::ledger::histogram();
    let before = latency.histogram().unwrap();
    before.iter_recorded().for_each(|value| {
        let us = value.value_iterated_to() * (100 + percent) / 100;
        histogram.record_n(us, value.count_at_value()).unwrap();
    });
    *latency = Latency::of(&histogram);
    report
}

#[test]
fn a_report_is_the_same_as_itself() {
    let comparison = compare(&report(), &report(), Tolerance::USUAL);
    assert_eq!((verdicts(&comparison), comparison.worse), (vec![], false));
    assert_eq!(comparison.warnings, [""; 0]);
}

#[test]
fn latencies_have_a_tolerance() {
    let change = |a, b, tolerance| verdicts(&compare(a, b, percent(tolerance))).first().map(|(_, change)| *change);
    let (usual, slow) = (report(), slower(20));
    assert_eq!(change(&usual, &slow, 10.0), Some(Change::Worse));
    assert_eq!(change(&slow, &usual, 10.0), Some(Change::Better));
    assert_eq!(change(&usual, &slow, 30.0), None);
    assert!(compare(&usual, &slow, Tolerance::USUAL).worse && !compare(&slow, &usual, Tolerance::USUAL).worse);
}

#[test]
fn losses_have_none() {
    let mut play = Play::new(1);
    play.lose_before_fan_out(1);
    let worse = compare(&report(), &play.report(Part::WHOLE), percent(1000.0));
    assert_eq!(worse.rows[0].verdict, Change::Worse);
    assert!(worse.worse && worse.warnings[0].starts_with("A passed and B did not"));
}

#[test]
fn what_only_the_first_has_is_worse_and_what_only_the_second_has_is_not_compared() {
    let mut without = report();
    without.server = None;
    without.latency.remove("handshake");
    let without = without.judged();
    let gone = compare(&report(), &without, Tolerance::USUAL);
    let names = ["handshake p99", "server CPU a tap", "server memory"];
    assert_eq!(verdicts(&gone), names.map(|name| (name, Change::Missing)));
    assert!(gone.worse && gone.to_string().contains("MISSING"));
    assert!(gone.rows.iter().all(|row| row.measure != "frame staleness p99"), "neither has it");
    let new = compare(&without, &report(), Tolerance::USUAL);
    assert_eq!((verdicts(&new), new.worse), (names.map(|name| (name, Change::NotCompared)).into(), false));
}

#[test]
fn each_limit_has_a_verdict() {
    let with = |limit: u32| {
        let mut report = report();
        report.scenario.limits.http_p99_ms_max = limit;
        report.judged()
    };
    let of = |a: &Report, b: &Report| {
        let comparison = compare(a, b, Tolerance::USUAL);
        let http = comparison.limits.iter().find(|row| row.name == "http_p99_ms_max").map(|row| row.verdict);
        assert!(comparison.limits.iter().all(|row| row.name == "http_p99_ms_max" || row.verdict == Change::Same));
        (http, comparison.worse)
    };
    let (kept, exceeded, unlimited) = (with(50), with(1), with(0));
    assert_eq!(of(&kept, &kept), (Some(Change::Same), false));
    assert_eq!(of(&kept, &exceeded), (Some(Change::Worse), true));
    assert_eq!(of(&exceeded, &kept), (Some(Change::Better), false));
    assert_eq!(of(&exceeded, &exceeded), (Some(Change::Same), false));
    assert_eq!(of(&kept, &unlimited), (Some(Change::Missing), true));
    assert_eq!(of(&unlimited, &kept), (Some(Change::NotCompared), false));
    assert_eq!(of(&unlimited, &exceeded), (Some(Change::Worse), true));
    assert_eq!(of(&unlimited, &unlimited), (None, false));
    let text = compare(&kept, &exceeded, Tolerance::USUAL).to_string();
    let line = text.lines().find(|line| line.starts_with("http_p99_ms_max, ms")).unwrap();
    assert!(line.contains("<= 50 kept") && line.contains("<= 1 EXCEEDED") && line.ends_with("WORSE"), "{line}");
}

#[test]
fn a_limit_from_below_reads_so() {
    let threshold = |passed| Threshold {
        name: "achieved_ratio_min".into(),
        limit: 0.999,
        measured: None,
        unit: "ratio".into(),
        passed,
    };
    let of = |passed| Report { thresholds: vec![threshold(passed)], ..report() };
    let text = compare(&of(true), &of(false), Tolerance::USUAL).to_string();
    assert!(text.contains("- >= 0.9990 kept") && text.contains("- >= 0.9990 EXCEEDED"), "{text}");
}

#[test]
fn what_makes_it_doubtful_is_said() {
    let mut other = Play::new(1).report("1/2".parse().unwrap());
    other.scenario.seed = 9;
    other.scenario.duration_s = 6.0;
    other.environment.cores = 64;
    other.verdict = Verdict::Invalid;
    let warnings = compare(&report(), &other, Tolerance::USUAL).warnings.join("\n");
    for says in ["B is invalid", "parts 1/2", "seeds differ: 1 and 9", "differ in duration_s", "64 cores"] {
        assert!(warnings.contains(says), "{says}: {warnings}");
    }
}

#[test]
fn it_is_a_table_for_people_and_json_for_programs() {
    let comparison = compare(&report(), &slower(20), Tolerance::USUAL);
    let text = comparison.to_string();
    assert!(text.contains("tap to 202 p99, ms") && text.contains("WORSE"), "{text}");
    assert!(text.ends_with("B is worse than A\n"));
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["worse"], true);
    assert_eq!(json["rows"][0]["verdict"], "same");
}
