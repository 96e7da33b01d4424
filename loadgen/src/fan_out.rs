//! A fleet for a while: one line a window, totals at the end, and whether anybody missed anything.

use crate::fleet::{self, Fleet, FleetConfig, FleetError, FleetMeasures, FleetTotals, WindowArrivals};
use crate::interrupt::Interrupt;
use crate::report::file;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use uproar::edge::output::{self, Unwritten};

/// How often a fleet that waits looks whether it is interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its text")]
pub enum FanOutError {
    #[error("the fleet cannot start: {0}")]
    Start(io::Error),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("interrupted before all were subscribed; there is no result")]
    Interrupted,
}

/// Seats the fleet and watches for `watch`, or until it is interrupted; true when every subscriber had every frame. All
/// leave in order, however it ends.
pub fn run(
    config: FleetConfig,
    watch: Duration,
    json: Option<&Path>,
    interrupt: &Interrupt,
) -> Result<bool, FanOutError> {
    let subscribers = config.subscribers;
    let fleet = Fleet::start(config).map_err(FanOutError::Start)?;
    let start = Instant::now();
    seat(&fleet, fleet::arrive_max(subscribers), interrupt)?;
    let cpu_of_arrival = fleet.cpu()?;
    let (taken_s, cpu_s) = (start.elapsed().as_secs_f64(), cpu_of_arrival.as_secs_f64());
    let mut shown = output::print(&format_args!("{subscribers} subscribed in {taken_s:.1} s, {cpu_s:.1} s of CPU\n"));
    let frames_before = fleet.totals()?.frames;

    let mut windows = Vec::new();
    let end = Instant::now() + watch;
    // When nobody reads what is shown, it goes on for the file alone.
    while !interrupt.is_raised() && Instant::now() < end && (shown.is_ok() || json.is_some()) {
        let left = end.saturating_duration_since(Instant::now());
        let Some(window) = fleet.next_window(left.min(LOOK_EVERY)) else { continue };
        shown = shown.and_then(|()| output::print(&format_args!("{}\n", line(&window))));
        windows.push(window);
    }
    let cpu = fleet.cpu()? - cpu_of_arrival;
    let (totals, measures) = fleet.stop_measured()?;
    let cpu_us_per_frame = cpu.as_secs_f64() * 1e6 / (totals.frames - frames_before).max(1) as f64;
    let mut written = Ok(());
    if let Some(path) = json {
        let mut report = report(&windows, &totals, &measures, cpu_us_per_frame);
        report["interrupted"] = interrupt.by().into();
        written = file::write(path, format!("{report:#}\n").as_bytes())
            .map_err(|error| FanOutError::File(path.display().to_string(), error));
    }
    let interrupted = interrupt.by().map_or_else(String::new, |by| format!("interrupted by {by}\n"));
    let summary = format!("{interrupted}{}\n{}\n", summary(&totals, cpu_us_per_frame), durations(&measures));
    shown.and_then(|()| output::print(&summary))?;
    written?;
    Ok(has_everything(&windows, &totals))
}

/// Waits until all are subscribed.
fn seat(fleet: &Fleet, longest: Duration, interrupt: &Interrupt) -> Result<(), FanOutError> {
    let start = Instant::now();
    loop {
        match fleet.wait_subscribed(LOOK_EVERY) {
            _ if interrupt.is_raised() => return Err(FanOutError::Interrupted),
            Err(FleetError::Timeout { .. }) if start.elapsed() < longest => {}
            seated => return Ok(seated?),
        }
    }
}

/// Whether nobody missed a frame, and there was one to miss.
fn has_everything(windows: &[WindowArrivals], totals: &FleetTotals) -> bool {
    let missing: u64 = windows.iter().map(|window| window.missing).sum();
    !windows.is_empty()
        && missing + totals.gaps + totals.duplicates + totals.conflicting + totals.lost_connections() == 0
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

fn line(window: &WindowArrivals) -> String {
    format!(
        "window {}  frames {:>8}  missing {:>6}  late p50 {:>8.1} ms  p99 {:>8.1} ms  max {:>8.1} ms  spread {:>8.1} ms",
        window.window,
        window.frames,
        window.missing,
        ms(window.lateness_us_p50),
        ms(window.lateness_us_p99),
        ms(window.lateness_us_max),
        window.spread().as_secs_f64() * 1000.0,
    )
}

fn summary(totals: &FleetTotals, cpu_us_per_frame: f64) -> String {
    let FleetTotals { subscribers, frames, duplicates, conflicting, gaps, handshakes, socket_drops, .. } = totals;
    let mut text = format!(
        "{subscribers} subscribers, {frames} frames, {gaps} gaps, {duplicates} duplicates, {conflicting} conflicting, {handshakes} handshakes, \
         {} lost, {socket_drops} dropped at the fleet's sockets; {cpu_us_per_frame:.1} us of the fleet's CPU a frame",
        totals.lost_connections(),
    );
    for (reason, count) in &totals.lost {
        text.push_str(&format!("\nlost {count}: {reason}"));
    }
    text
}

/// The measures by what they are called, as text and JSON have them.
fn named(measures: &FleetMeasures) -> [(&'static str, &Histogram<u64>); 5] {
    let FleetMeasures { handshake_us, subscribe_us, lateness_us, spread_us, staleness_us } = measures;
    [
        ("handshake", handshake_us),
        ("subscribe", subscribe_us),
        ("lateness", lateness_us),
        ("spread", spread_us),
        ("staleness", staleness_us),
    ]
}

fn durations(measures: &FleetMeasures) -> String {
    let lines = named(measures).map(|(name, us)| {
        let [p50, p99] = [0.5, 0.99].map(|quantile| ms(us.value_at_quantile(quantile)));
        format!("{name:<9}  p50 {p50:>8.1} ms  p99 {p99:>8.1} ms  max {:>8.1} ms", ms(us.max()))
    });
    lines.join("\n")
}

fn report(windows: &[WindowArrivals], totals: &FleetTotals, measures: &FleetMeasures, cpu_us_per_frame: f64) -> Value {
    let windows: Vec<_> = windows
        .iter()
        .map(|window| {
            json!({
                "window": window.window.0,
                "frames": window.frames,
                "missing": window.missing,
                "first_unix_us": window.first_at.unix_us,
                "last_unix_us": window.last_at.unix_us,
                "lateness_us_p50": window.lateness_us_p50,
                "lateness_us_p99": window.lateness_us_p99,
                "lateness_us_max": window.lateness_us_max,
                "spread_us": window.spread().as_micros() as u64,
            })
        })
        .collect();
    let mut report = json!({ "windows": windows, "totals": totals, "cpu_us_per_frame": cpu_us_per_frame });
    for (name, us) in named(measures) {
        for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            report[format!("{name}_us_{suffix}")] = us.value_at_quantile(quantile).into();
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Moment;
    use uproar_wire::WindowSeq;

    fn window(missing: u64) -> WindowArrivals {
        let at = Moment { instant: Instant::now(), unix_us: 1 };
        WindowArrivals {
            window: WindowSeq(9),
            frames: 3,
            missing,
            first_at: at,
            last_at: at,
            lateness_us_p50: 1500,
            lateness_us_p99: 2000,
            lateness_us_max: 2500,
        }
    }

    #[test]
    fn whatever_is_missing_fails_the_run() {
        let nothing = FleetTotals::default();
        assert!(has_everything(&[window(0)], &nothing));
        assert!(!has_everything(&[], &nothing), "no window was seen");
        assert!(!has_everything(&[window(0), window(1)], &nothing));
        assert!(!has_everything(&[window(0)], &FleetTotals { gaps: 1, ..nothing.clone() }));
        assert!(!has_everything(&[window(0)], &FleetTotals { conflicting: 1, ..nothing.clone() }));
        let lost = [("timed out".to_owned(), 1)].into();
        assert!(!has_everything(&[window(0)], &FleetTotals { lost, ..nothing }));
    }

    #[test]
    fn a_window_is_a_line() {
        let line = line(&window(2));
        for part in ["window 9 ", "frames        3", "missing      2", "p50      1.5 ms", "max      2.5 ms"] {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
    }

    #[test]
    fn durations_are_in_text_and_report() {
        let mut measures = FleetMeasures::default();
        measures.handshake_us.record(1500).unwrap();
        measures.staleness_us.record_n(2_400_000, 3).unwrap();
        let text = durations(&measures);
        assert!(text.contains("handshake  p50      1.5 ms"), "{text}");
        assert!(text.lines().last().unwrap().starts_with("staleness  p50   240"), "{text}");
        let report = report(&[window(0)], &FleetTotals::default(), &measures, 1.0);
        assert_eq!((&report["handshake_us_p99"], &report["spread_us_max"]), (&json!(1500), &json!(0)));
        assert_eq!(report["windows"][0]["frames"], 3);
    }
}
