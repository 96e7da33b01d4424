//! A report as text for people.
//!
//! Invariant: shows, judges nothing. What a run is worth is said in `judge`.

use super::{Act, Quantiles, Report, Threshold, TransportRow, Verdict};
use crate::table::grouped;
use std::fmt::{self, Display, Formatter};

/// Latencies in the order in which they are read, and what they are called.
pub(crate) const LATENCIES: [(&str, &str); 8] = [
    ("tap_to_frame", "tap to frame"),
    ("tap_to_202", "HTTP request to 202"),
    ("window_end_to_frame", "window's end to frame"),
    ("frame_spread", "first to each subscriber"),
    ("frame_staleness", "frame staleness"),
    ("handshake", "handshake"),
    ("subscribe", "subscribe to first frame"),
    ("generator_lag", "the generator's own lag"),
];

/// Windows and rooms are many; these are shown of those that are off.
const WINDOWS_SHOWN_MAX: usize = 5;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scenario = &self.scenario;
        let parts = if self.is_whole() { String::new() } else { format!(", parts {}", self.parts.join(", ")) };
        let (name, seed, duration_s) = (&scenario.name, scenario.seed, scenario.duration_s);
        let interrupted = self.interrupted.as_ref().map_or_else(String::new, |interrupted| {
            format!(", interrupted by {} after {:.1} s", interrupted.by, interrupted.after_s)
        });
        writeln!(f, "{}: {name}, {duration_s} s{interrupted}, seed {seed}{parts}\n", self.verdict.label())?;
        self.fmt_ways_in(f)?;
        self.fmt_people(f)?;
        self.fmt_frames(f)?;
        self.fmt_windows_off(f)?;
        self.fmt_latencies(f)?;
        self.fmt_acts(f)?;
        self.fmt_costs(f)?;
        self.fmt_thresholds(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{}: {finding}", self.verdict.label()))?;
        if self.passed {
            let exact = match (self.taps_lost, self.is_whole()) {
                (0, true) => "nothing was lost",
                (0, false) => "nothing was lost, as far as parts of the crowd can tell",
                _ => "no more was lost than allowed",
            };
            writeln!(f, "PASSED: {exact}")?;
        }
        Ok(())
    }
}

impl Report {
    fn fmt_ways_in(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>15} {:>15} {:>15} {:>12} {:>12} {:>12}",
            "way in", "taps planned", "taps sent", "counted there", "unconfirmed", "refused", "not sent"
        )?;
        self.transports.iter().filter(|row| row.taps_planned > 0).try_for_each(|row| row.fmt_row(f))?;
        let ratio = self.achieved_ratio * 100.0;
        writeln!(f, "{:<10} {:>15} {:>15}", "all", grouped(self.taps_planned), grouped(self.taps_sent))?;
        writeln!(f, "{:<10} {:>15}  {ratio:.3} % of what was planned", "achieved", "")
    }

    fn fmt_people(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (people, acted) = (grouped(self.people), grouped(self.people_acted));
        writeln!(f, "{:<10} {people:>15}  simulated; {acted} of them tapped at least once", "people")?;
        let real = &self.real;
        writeln!(
            f,
            "{:<10} {:>15}  UDP sockets on {} addresses, {} HTTP and {} QUIC connections ({} react), {} {}",
            "real",
            grouped(real.udp_sockets),
            grouped(real.udp_source_addresses),
            grouped(real.http_connections),
            grouped(real.quic_connections),
            grouped(real.quic_reacting),
            real.machines,
            if real.machines == 1 { "machine" } else { "machines" }
        )?;
        match &self.extrapolated[..] {
            [] => writeln!(f, "{:<10} {:>15}  was extrapolated", "", "nothing"),
            some => some.iter().try_for_each(|text| writeln!(f, "{:<10} {:>15}  {text}", "", "extrapolated:")),
        }
    }

    fn fmt_frames(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (framed, lost) = (grouped(self.taps_framed), grouped(self.taps_lost));
        let windows = grouped(self.windows.len() as u64);
        let off = self.windows.iter().filter(|window| window.is_off()).count() as u64;
        writeln!(f, "{:<10} {framed:>15}  taps, {lost} lost; {windows} windows, {} off", "in frames", grouped(off))?;
        if let Some(visitors) = self.visitors {
            writeln!(
                f,
                "{:<10} {:>15}  taps in them, of people who are no part of the crowd",
                "visitors",
                grouped(visitors)
            )?;
        }
        let seen = &self.subscribers;
        let [received, count, missing, twice, conflicting, lost] = [
            seen.frames_received,
            seen.count,
            seen.frames_missing,
            seen.frames_twice,
            seen.frames_conflicting,
            seen.lost,
        ]
        .map(grouped);
        writeln!(
            f,
            "{:<10} {received:>15}  by {count} subscribers; {missing} missing, {twice} twice, {conflicting} \
             conflicting; {lost} connections lost",
            "frames"
        )?;
        let Some(hostile) = &self.hostile else { return Ok(()) };
        let (inputs, unexpected) = (grouped(hostile.inputs), grouped(hostile.unexpected));
        let packets = grouped(hostile.quic_packets);
        writeln!(
            f,
            "{:<10} {inputs:>15}  malformed inputs, {unexpected} answered wrongly; {packets} QUIC packets of nobody",
            "hostile"
        )
    }

    fn fmt_windows_off(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut off = self.windows.iter().filter(|window| window.is_off());
        for window in off.by_ref().take(WINDOWS_SHOWN_MAX) {
            let conflict = if window.conflicting { "machines received different frames; " } else { "" };
            let text = format!("room {}: {conflict}{}", window.room, window.disagreement);
            writeln!(f, "{:<10} {:>15}  {text}", "window", window.window)?;
        }
        match off.count() {
            0 => Ok(()),
            more => writeln!(f, "{:<10} {:>15}  more are in the JSON report", "", grouped(more as u64)),
        }
    }

    fn fmt_latencies(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<25} {:>10} {:>10} {:>10} {:>10} {:>10}  ms", "latency", "p50", "p90", "p99", "p99.9", "max")?;
        let named = |key: &String| LATENCIES.iter().any(|(known, _)| known == key);
        let unnamed = self.latency.keys().filter(|key| !named(key)).map(|key| (key.as_str(), key.as_str()));
        for (key, name) in LATENCIES.into_iter().chain(unnamed) {
            if let Some(latency) = self.latency.get(key) {
                writeln!(f, "{name:<25} {}", latency.all)?;
            }
        }
        Ok(())
    }

    fn fmt_acts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.acts.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{:<25} {:>10} {:>12} {:>15}", "act", "at, s", "subscribers", "all back, ms")?;
        self.acts.iter().try_for_each(|act| writeln!(f, "{act}"))
    }

    fn fmt_costs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| grouped(bytes.div_ceil(1 << 20));
        let ns = |cost: Option<f64>| cost.map_or("?".into(), |ns| grouped(ns as u64));
        writeln!(f, "\n{:<25} {:>10} {:>17}", "cost", "CPU, s", "memory, MiB")?;
        let own = &self.generator;
        let each = ns(own.udp_cpu_ns_per_datagram);
        let (cpu_s, memory) = (own.cpu_s, mib(own.rss_bytes_max));
        writeln!(f, "{:<25} {cpu_s:>10.2} {memory:>17}  {each} ns a reaction datagram", "generator")?;
        if let Some(server) = &self.server {
            let cpu_s = server.cpu_s.map_or("?".into(), |cpu_s| format!("{cpu_s:.2}"));
            let (memory, each) = (server.rss_bytes_max.map_or("?".into(), mib), ns(server.cpu_ns_per_tap));
            writeln!(f, "{:<25} {cpu_s:>10} {memory:>17}  {each} ns a tap, everything that it did", "server")?;
        }
        Ok(())
    }

    fn fmt_thresholds(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<25} {:>15} {:>15}", "limit", "allowed", "measured")?;
        self.thresholds.iter().try_for_each(|threshold| writeln!(f, "{threshold}"))?;
        writeln!(f)
    }
}

impl TransportRow {
    fn fmt_row(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let refused = self.taps_refused.values().sum();
        let [planned, sent, unconfirmed, refused, unsent] =
            [self.taps_planned, self.taps_sent, self.taps_unconfirmed, refused, self.taps_unsent].map(grouped);
        let (way, counted) = (self.transport.label(), self.taps_counted.map_or("?".into(), grouped));
        writeln!(f, "{way:<10} {planned:>15} {sent:>15} {counted:>15} {unconfirmed:>12} {refused:>12} {unsent:>12}")
    }
}

impl Verdict {
    /// In capitals.
    pub fn label(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Invalid => "INVALID",
        }
    }
}

impl Display for Act {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let back = self.back_after_ms.map_or("-".into(), grouped);
        let subscribers = grouped(self.subscribers);
        write!(f, "{:<25} {:>10} {subscribers:>12} {back:>15}", self.kind.label(), self.at_s)
    }
}

impl Display for Threshold {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let measured = self.measured.map_or("-".into(), figure);
        let verdict = if self.passed { "kept" } else { "EXCEEDED" };
        write!(f, "{:<25} {:>15} {measured:>15} {:<8} {verdict}", self.name, figure(self.limit), self.unit)
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return write!(f, "{:>10}", "-");
        }
        let ms = |us: u64| us as f64 / 1000.0;
        let [p50, p90, p99, p999, max] = [self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us].map(ms);
        write!(f, "{p50:>10.2} {p90:>10.2} {p99:>10.2} {p999:>10.2} {max:>10.2}")
    }
}

/// A number that may have a fraction, with as much of it as matters; thousands are grouped.
pub(super) fn figure(value: f64) -> String {
    match value {
        whole if whole.fract() == 0.0 && whole >= 0.0 => grouped(whole as u64),
        small if small < 1.0 => format!("{small:.4}"),
        few if few < 10.0 => format!("{few:.2}"),
        many => {
            let tenths = (many * 10.0).round() as u64;
            format!("{}.{}", grouped(tenths / 10), tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    #[test]
    fn latencies_are_shown_in_milliseconds_or_not_at_all() {
        let quantiles =
            Quantiles { count: 2, min_us: 1, p50_us: 1500, p90_us: 2000, p99_us: 2000, p999_us: 2000, max_us: 20_004 };
        assert_eq!(quantiles.to_string(), "      1.50       2.00       2.00       2.00      20.00");
        assert_eq!(Quantiles::default().to_string(), "         -");
    }

    #[test]
    fn figures_have_as_many_digits_as_matter() {
        let figures = [0.0, 0.99949, 1.0, 8.855, 10.96, 125_093.75, 2_000_000.0].map(figure);
        assert_eq!(figures, ["0", "0.9995", "1", "8.86", "11.0", "125,093.8", "2,000,000"]);
    }

    #[test]
    fn a_run_that_passed_says_so_first_and_last() {
        let text = Play::new(1).report(Part::WHOLE).to_string();
        assert!(text.starts_with("PASSED: synthetic, 5 s, seed 1\n"), "{text}");
        assert!(text.ends_with("PASSED: nothing was lost\n"), "{text}");
        for says in ["4,000  taps, 0 lost; 10 windows, 0 off", "nothing  was extrapolated", "reconnect", "kept"] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.contains("EXCEEDED"), "{text}");
    }

    #[test]
    fn what_is_wrong_comes_last() {
        let mut play = Play::new(1);
        play.lose_before_fan_out(9);
        let report = play.report(Part::WHOLE);
        let text = report.to_string();
        assert!(text.starts_with("FAILED: "), "{text}");
        assert!(text.contains("shows ") && text.contains("EXCEEDED"), "{text}");
        assert!(text.ends_with(&format!("FAILED: {}\n", report.findings.last().unwrap())), "{text}");
    }

    #[test]
    fn a_part_and_unknown_latencies_are_shown_as_what_they_are() {
        let mut report = Play::new(1).report("1/2".parse().unwrap());
        let lag = report.latency["generator_lag"].clone();
        report.latency.insert("new_measure".into(), lag);
        let text = report.to_string();
        assert!(text.contains("seed 1, parts 1/2\n") && text.contains("\nnew_measure"), "{text}");
        assert!(text.ends_with("PASSED: nothing was lost, as far as parts of the crowd can tell\n"), "{text}");
    }
}
