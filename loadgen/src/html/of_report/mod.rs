//! What of a report is worth showing, and in which words.
//!
//! 1. This file: the verdict, the big numbers, what was real. 2. [`charts`]: series. 3. [`tables`]: rows.
//!
//! Invariant: numbers are taken over as they are; a ratio is never rounded up to a whole that was not reached.

mod charts;
mod tables;

use super::chart::unit::Unit;
use super::view::{Fact, Loss, Page, Threshold, Verdict};
use crate::report::{self, Place, Report};
use crate::table::grouped;
use std::time::{Duration, UNIX_EPOCH};

/// Stands for a number that was not measured.
const UNKNOWN: &str = "–";

impl From<&Report> for Page {
    fn from(report: &Report) -> Self {
        Self {
            title: report.scenario.name.clone(),
            subtitle: subtitle(report),
            verdict: match report.verdict {
                report::Verdict::Passed => Verdict::Passed,
                report::Verdict::Failed => Verdict::Failed,
                report::Verdict::Invalid => Verdict::Invalid,
            },
            summary: summary(report),
            findings: report.findings.clone(),
            notes: report.notes.clone(),
            headlines: headlines(report),
            charts: charts::charts(report),
            thresholds: report.thresholds.iter().map(threshold).collect(),
            losses: report.losses.iter().map(loss).collect(),
            tables: tables::tables(report),
            real: real(report),
            extrapolated: report.extrapolated.clone(),
            scenario_text: toml::to_string_pretty(&report.scenario).unwrap_or_else(|error| error.to_string()),
            environment: environment(report),
        }
    }
}

fn subtitle(report: &Report) -> String {
    let start = UNIX_EPOCH.checked_add(Duration::from_millis(report.start_unix_ms)).unwrap_or(UNIX_EPOCH);
    // Beyond the year 9999 there is no such text; a report of then is damaged.
    let start = match report.start_unix_ms {
        0..253_402_300_800_000 => humantime::format_rfc3339_seconds(start).to_string(),
        _ => UNKNOWN.into(),
    };
    let parts = if report.is_whole() { String::new() } else { format!(", parts {} only", report.parts.join(", ")) };
    let (length, seed) = (Unit::Clock.label(report.scenario.duration_s), report.scenario.seed);
    format!("{length} of match from {start}, seed {seed}{parts}")
}

fn summary(report: &Report) -> String {
    match (report.verdict, report.taps_lost) {
        (report::Verdict::Passed, 0) if !report.is_whole() => {
            "Nothing was lost, as far as parts of the crowd can tell: the others' taps are in the same frames.".into()
        }
        (report::Verdict::Passed, 0) => "Every tap that was sent is in a frame, and every limit was kept.".into(),
        (report::Verdict::Passed, lost) => {
            format!("Every limit was kept; {} taps, which is no more than allowed, are in no frame.", grouped(lost))
        }
        (report::Verdict::Failed, _) => "The server did not do what the scenario asks for.".into(),
        (report::Verdict::Invalid, _) => {
            "The generator did not do what was planned, so this run says little about the server.".into()
        }
    }
}

fn headlines(report: &Report) -> Vec<Fact> {
    let frame = report.latency.get("tap_to_frame").map(|latency| latency.all).filter(|all| all.count > 0);
    let quantile = |us: fn(report::Quantiles) -> u64| frame.map_or_else(|| UNKNOWN.into(), |all| us_label(us(all)));
    let rooms = match report.rooms.len() {
        1 => "in one room".into(),
        rooms => format!("in {} rooms", grouped(rooms as u64)),
    };
    let acted = format!("{} at least once", percent(ratio(report.people_acted, report.people)));
    let planned = format!("{} taps planned", grouped(report.taps_planned));
    let below = quantile(|all| all.p999_us);
    vec![
        Fact::new("People simulated", grouped(report.people), rooms),
        Fact::new("People who acted", grouped(report.people_acted), acted),
        taps(report),
        Fact::new("Achieved of planned", percent(report.achieved_ratio), planned),
        Fact::new("Tap to frame, p50", quantile(|all| all.p50_us), "counted from the plan"),
        Fact::new("Tap to frame, p99", quantile(|all| all.p99_us), format!("p99.9 {below}")),
        cpu(report),
        lag(report),
    ]
}

/// Sent and framed as one number when they are one.
fn taps(report: &Report) -> Fact {
    let [sent, framed, lost] = [report.taps_sent, report.taps_framed, report.taps_lost].map(grouped);
    if !report.is_whole() {
        return Fact::new("Taps sent", sent, format!("{framed} in frames, which others' taps are in as well"));
    }
    if report.taps_sent == report.taps_framed && report.taps_lost == 0 {
        return Fact::new("Taps sent = taps in frames", sent, "nothing lost, nothing twice");
    }
    Fact::new("Taps in frames", framed, format!("of {sent} sent; {lost} lost"))
}

fn cpu(report: &Report) -> Fact {
    let server = report.server.as_ref();
    let each = server.and_then(|server| server.cpu_ns_per_tap).map(|ns| Unit::Us.label(ns / 1000.0));
    let all = server.and_then(|server| server.cpu_s).map(|cpu_s| format!("{cpu_s:.1} s of CPU, fan-out included"));
    Fact::new(
        "Server CPU a tap",
        each.unwrap_or_else(|| UNKNOWN.into()),
        all.unwrap_or_else(|| "the server did not say".into()),
    )
}

fn lag(report: &Report) -> Fact {
    let bound = report.scenario.limits.lag_p99_ms_max;
    Fact::new(
        "Generator's lag, p99",
        us_label(report.generator_lag_p99_us),
        format!("a run is valid up to {bound} ms by each way in"),
    )
}

fn real(report: &Report) -> Vec<Fact> {
    let real = &report.real;
    let machines = if real.machines == 1 { "one machine".into() } else { format!("{} machines", real.machines) };
    let quic = format!("{} of them also react", grouped(real.quic_reacting));
    vec![
        Fact::new("People simulated", grouped(report.people), format!("from {machines}; numbers, not processes")),
        Fact::new("People who acted", grouped(report.people_acted), "tapped at least once"),
        Fact::new("Subscribers", grouped(report.subscribers.count), "each a real connection"),
        Fact::new("UDP sockets", grouped(real.udp_sockets), format!("{} datagrams", grouped(real.udp_datagrams))),
        Fact::new("Source addresses", grouped(real.udp_source_addresses), "of the UDP sockets"),
        Fact::new(
            "HTTP connections",
            grouped(real.http_connections),
            format!("{} requests", grouped(real.http_requests)),
        ),
        Fact::new("QUIC connections", grouped(real.quic_connections), quic),
    ]
}

fn environment(report: &Report) -> Vec<Fact> {
    let environment = &report.environment;
    let mut facts = vec![
        Fact::new("Processor", environment.cpu.clone(), format!("{} cores", environment.cores)),
        Fact::new("Kernel", environment.kernel.clone(), ""),
        Fact::new("uproar-loadgen", environment.version.clone(), format!("parts {}", report.parts.join(", "))),
    ];
    facts.extend(environment.targets.iter().map(|(what, at)| Fact::new(format!("Sent to, {what}"), at.clone(), "")));
    facts
}

fn threshold(threshold: &report::Threshold) -> Threshold {
    let (number, unit) = (|value: f64| amount(value, &threshold.unit), &threshold.name);
    let sense = if unit.ends_with("_min") { "at least" } else { "at most" };
    Threshold {
        name: threshold.name.clone(),
        limit: format!("{sense} {}", number(threshold.limit)),
        measured: threshold.measured.map_or_else(|| UNKNOWN.into(), number),
        passed: threshold.passed,
    }
}

fn loss(loss: &report::Loss) -> Loss {
    let place = match loss.place {
        Place::Generator => "generator",
        Place::WayIn => "way in",
        Place::Kernel => "server's kernel",
        Place::Server => "server",
        Place::WayOut => "way out",
    };
    let place = loss.by.as_ref().map_or_else(|| place.into(), |by| format!("{place}, {by}"));
    Loss { place, reason: loss.reason.clone(), count: format!("{} {}", grouped(loss.count), loss.unit) }
}

fn us_label(us: u64) -> String {
    Unit::Us.label(us as f64)
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Cut, not rounded: 100 % is everything.
fn percent(ratio: f64) -> String {
    let hundredths = (ratio * 1e4 + 1e-9).floor();
    format!("{} %", hundredths / 100.0)
}

fn amount(value: f64, unit: &str) -> String {
    let number = match value {
        whole if whole.fract() == 0.0 && whole >= 0.0 => grouped(whole as u64),
        other if unit == "ratio" => format!("{:.5}", (other * 1e5).floor() / 1e5),
        other => format!("{other:.2}"),
    };
    if unit == "ratio" { number } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    #[test]
    fn nothing_is_rounded_up_to_everything() {
        assert_eq!(
            [percent(1.0), percent(0.999_99), percent(0.999), percent(0.0)],
            ["100 %", "99.99 %", "99.9 %", "0 %"]
        );
        assert_eq!(
            [amount(0.999_999, "ratio"), amount(10.0, "ms"), amount(1234.0, "people")],
            ["0.99999", "10 ms", "1,234 people"]
        );
    }

    #[test]
    fn a_good_run_says_that_sent_is_shown() {
        let page = Page::from(&Play::new(1).report(Part::WHOLE));
        assert_eq!((page.verdict, page.findings.len()), (Verdict::Passed, 0));
        assert!(page.summary.starts_with("Every tap"), "{}", page.summary);
        let taps = &page.headlines[2];
        assert_eq!((taps.name.as_str(), taps.value.as_str()), ("Taps sent = taps in frames", "4,000"));
        assert!(page.losses.is_empty() && page.extrapolated.is_empty() && page.thresholds.iter().all(|one| one.passed));
        assert!(page.scenario_text.contains("seed = 1") && page.subtitle.contains("2027-01-15T08:00:00Z"));
        assert_eq!(page.charts.rates.sent.iter().flatten().sum::<f64>(), 4000.0);
    }

    #[test]
    fn a_part_does_not_say_that_everything_arrived() {
        let part = Play::new(1).report("1/2".parse().unwrap());
        let page = Page::from(&part);
        assert_eq!(page.verdict, Verdict::Passed);
        assert!(page.summary.contains("as far as parts of the crowd can tell"), "{}", page.summary);
        let taps = &page.headlines[2];
        assert_eq!((taps.name.as_str(), &taps.value), ("Taps sent", &grouped(part.taps_sent)));
    }

    #[test]
    fn a_bad_run_says_where_it_went_wrong() {
        let mut play = Play::new(1);
        play.lose_before_server("udp", 9);
        let page = Page::from(&play.report(Part::WHOLE));
        assert_eq!(page.verdict, Verdict::Failed);
        assert!(!page.findings.is_empty() && page.losses.iter().any(|loss| loss.place.starts_with("server's kernel")));
        assert_eq!(
            (page.headlines[2].value.as_str(), page.headlines[2].note.as_str()),
            ("3,991", "of 4,000 sent; 9 lost")
        );
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut report = Play::new(1).report("1/2".parse().unwrap());
        (report.server, report.server_series) = (None, None);
        report.latency.clear();
        report.start_unix_ms = u64::MAX;
        let page = Page::from(&report);
        assert!(page.subtitle.contains("parts 1/2 only") && page.charts.server.is_err());
        assert!(page.headlines[4..7].iter().all(|fact| fact.value == UNKNOWN || fact.name.is_empty()));
    }
}
