//! Where what was sent, what the server counted and what viewers were shown agree, and where not. JSON for programs; `table`
//! makes it text for people.
//!
//! Invariant: a run passes only if every finding is empty. A finding says how much, and where it was last seen.

use crate::audit::Audited;
use crate::ledger::{Ledger, Transport};
use crate::metrics_scrape::Scrape;
use crate::scenario::Limits;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything a run found out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Report {
    /// Whether there are no findings.
    pub(crate) passed: bool,
    /// What is wrong, a sentence each.
    pub(crate) findings: Vec<String>,
    /// The scenario's seed.
    pub(crate) seed: u64,
    /// Length of the match in seconds.
    pub(crate) seconds: f64,
    /// People in the crowd.
    pub(crate) people: u32,
    /// Of these, who tapped at least once.
    pub(crate) people_acted: u64,
    /// Taps the plan had.
    pub(crate) taps_planned: u64,
    /// Taps sent.
    pub(crate) taps_sent: u64,
    /// Taps sent by requests that were never answered: counted or not.
    pub(crate) taps_unconfirmed: u64,
    /// Taps in frames.
    pub(crate) taps_framed: u64,
    /// Taps sent that are in no frame.
    pub(crate) taps_lost: u64,
    /// `taps_sent` over `taps_planned`.
    pub(crate) achieved_ratio: f64,
    /// 99th percentile of how late the generator itself was, in microseconds.
    pub(crate) generator_lag_p99_us: u64,
    /// Sockets and connections that really existed.
    pub(crate) real: Real,
    /// Per way in.
    pub(crate) transports: Vec<TransportReport>,
    /// What the server refused or the kernel dropped before it, where its metrics could be read.
    pub(crate) server: Option<ServerReport>,
    /// Who watched.
    pub(crate) subscribers: SubscriberReport,
    /// Latencies; all but `window_close_to_frame` count from or to this machine's clock alone.
    pub(crate) latency: Latencies,
}

/// Sockets and connections that really existed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Real {
    /// Sockets that sent reaction datagrams.
    pub(crate) udp_sockets: u32,
    /// HTTP connections at the same time.
    pub(crate) http_connections: u32,
    /// QUIC connections: reacting, watching and auditing.
    pub(crate) quic_connections: u32,
}

/// One way in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct TransportReport {
    /// `udp`, `http` or `quic`.
    pub(crate) transport: &'static str,
    /// Taps sent.
    pub(crate) taps_sent: u64,
    /// Taps whose request was never answered.
    pub(crate) taps_unconfirmed: u64,
    /// Taps refused, by reason.
    pub(crate) taps_refused: BTreeMap<String, u64>,
    /// Taps given up, as the generator was too late.
    pub(crate) taps_unsent: u64,
    /// Taps the server says it counted meanwhile.
    pub(crate) taps_counted: Option<u64>,
}

/// What the server's metrics say about the time of the run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct ServerReport {
    /// Taps counted, all ways in.
    pub(crate) taps_counted: u64,
    /// Refused, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Datagrams the kernel dropped, by socket.
    pub(crate) socket_drops: BTreeMap<String, u64>,
    #[serde(skip)]
    counted_by: BTreeMap<String, u64>,
}

/// Who watched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct SubscriberReport {
    /// How many.
    pub(crate) count: u64,
    /// Of these, who lost the connection.
    pub(crate) lost: u64,
    /// Frames, all together.
    pub(crate) frames_received: u64,
    /// Frames that one did not get and another did.
    pub(crate) frames_missing: u64,
    /// Frames of windows seen before.
    pub(crate) duplicates: u64,
    /// Frames that contradict another one of their window.
    pub(crate) conflicting: u64,
    /// Windows counted.
    pub(crate) windows: u64,
}

/// Latencies in microseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Latencies {
    /// Planned moment of a tap to the first frame that showed it.
    pub(crate) tap_to_frame: Quantiles,
    /// Planned moment of an HTTP request to its 202.
    pub(crate) http_confirmed: Quantiles,
    /// End of a window on the server's clock to its frame at each subscriber: only as good as the clocks agree.
    pub(crate) window_close_to_frame: Quantiles,
    /// A window's first frame anywhere to its frame at each subscriber.
    pub(crate) spread: Quantiles,
    /// Planned moment to handed over: the generator's own.
    pub(crate) generator_lag: Quantiles,
}

/// A latency's distribution, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Quantiles {
    /// Measurements.
    pub(crate) count: u64,
    /// Half are below.
    pub(crate) p50_us: u64,
    /// Nine of ten are below.
    pub(crate) p90_us: u64,
    /// 99 of a hundred are below.
    pub(crate) p99_us: u64,
    /// 999 of a thousand are below.
    pub(crate) p999_us: u64,
    /// The largest.
    pub(crate) max_us: u64,
}

impl From<&Histogram<u64>> for Quantiles {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            p999_us: histogram.value_at_quantile(0.999),
            max_us: histogram.max(),
        }
    }
}

impl TransportReport {
    /// What one transport's lanes wrote down, and what the server says.
    pub(crate) fn new(transport: Transport, ledger: &Ledger, server: Option<&ServerReport>) -> Self {
        Self {
            transport: transport.label(),
            taps_sent: ledger.sent,
            taps_unconfirmed: ledger.unconfirmed,
            taps_refused: ledger.refused.clone(),
            taps_unsent: ledger.unsent,
            taps_counted: server.map(|server| server.counted_by.get(transport.label()).copied().unwrap_or(0)),
        }
    }
}

impl ServerReport {
    /// What happened between two readings.
    pub(crate) fn between(before: &Scrape, after: &Scrape) -> Self {
        let counted_by = after.growth(before, "uproar_reactions_total", "proto");
        Self {
            taps_counted: counted_by.values().sum(),
            rejected: nonzero(after.growth(before, "uproar_rejected_total", "reason")),
            socket_drops: nonzero(after.growth(before, "uproar_socket_drops_total", "socket")),
            counted_by,
        }
    }
}

fn nonzero(mut counts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    counts.retain(|_, count| *count > 0);
    counts
}

impl Report {
    /// Judges the run. `emoji_disagree`: some room's frames show other emoji than were sent.
    pub(crate) fn judge(mut self, limits: &Limits, audited: &Audited, emoji_disagree: bool) -> Self {
        let mut findings = self.losses(limits);
        for transport in &self.transports {
            for (reason, taps) in &transport.taps_refused {
                findings.push(format!("{}: {taps} taps refused: {reason}", transport.transport));
            }
            if transport.taps_unsent > 0 {
                findings.push(format!(
                    "{}: {} taps were not sent in time; lower the rate or give the generator more cores",
                    transport.transport, transport.taps_unsent
                ));
            }
        }
        if emoji_disagree && self.taps_lost == 0 {
            findings.push("the frames have the right sum, but not of the right emoji".into());
        }
        if self.generator_lag_p99_us > u64::from(limits.lag_p99_ms_max) * 1000 {
            findings.push(format!(
                "the generator itself was late: p99 {} ms, {} ms allowed; latencies of this run say little",
                self.generator_lag_p99_us / 1000,
                limits.lag_p99_ms_max
            ));
        }
        let seen = &self.subscribers;
        if seen.lost > 0 {
            let reason = audited.last_loss.as_deref().unwrap_or("unknown");
            findings.push(format!("{} subscribers lost their connection, the last one: {reason}", seen.lost));
        }
        let expected = seen.frames_received + seen.frames_missing;
        if ppm(seen.frames_missing, expected) > u64::from(limits.frames_missing_ppm_max) {
            findings.push(format!("subscribers missed {} of {expected} frames", seen.frames_missing));
        }
        if seen.duplicates > 0 || seen.conflicting > 0 {
            let (duplicates, conflicting) = (seen.duplicates, seen.conflicting);
            findings.push(format!("{duplicates} frames came twice or out of order, {conflicting} contradict another"));
        }
        self.passed = findings.is_empty();
        self.findings = findings;
        self
    }

    fn losses(&self, limits: &Limits) -> Vec<String> {
        let mut findings = Vec::new();
        let surplus = self.taps_framed.saturating_sub(self.taps_sent + self.taps_unconfirmed);
        if surplus > 0 {
            findings.push(format!("{surplus} taps more in the frames than were sent; is anybody else reacting?"));
        }
        if self.taps_lost > 0 && ppm(self.taps_lost, self.taps_sent) > u64::from(limits.lost_ppm_max) {
            findings.push(format!("{} of {} taps are in no frame: {}", self.taps_lost, self.taps_sent, self.locate()));
        }
        findings
    }

    /// Where lost taps were last seen.
    fn locate(&self) -> String {
        let Some(server) = &self.server else {
            return "the server's metrics could not be read, see --admin".into();
        };
        let mut places = Vec::new();
        for transport in &self.transports {
            let missing = transport.taps_sent.saturating_sub(transport.taps_counted.unwrap_or(0));
            if missing > 0 {
                places.push(format!("{missing} sent by {} were not counted", transport.transport));
            }
        }
        for (socket, datagrams) in &server.socket_drops {
            places.push(format!("the kernel dropped {datagrams} datagrams at the server's socket {socket}"));
        }
        for (reason, count) in &server.rejected {
            places.push(format!("the server refused {count} as {reason}"));
        }
        let unframed = server.taps_counted.saturating_sub(self.taps_framed);
        if unframed > 0 {
            places.push(format!("{unframed} were counted and came in no frame"));
        }
        if places.is_empty() { "the server counted and framed all of them".into() } else { places.join("; ") }
    }
}

/// A part in a million of the whole, rounded up, so that something is never nothing.
fn ppm(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1_000_000).div_ceil(u128::from(whole.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sent: u64, framed: u64, server: ServerReport) -> Report {
        let mut ledger = Ledger::new(1, 1);
        ledger.sent = sent;
        let lag = Quantiles { count: 1, ..Quantiles::default() };
        let counted = server.taps_counted;
        Report {
            passed: false,
            findings: Vec::new(),
            seed: 1,
            seconds: 20.0,
            people: 1000,
            people_acted: 10,
            taps_planned: sent,
            taps_sent: sent,
            taps_unconfirmed: 0,
            taps_framed: framed,
            taps_lost: sent.saturating_sub(framed),
            achieved_ratio: 1.0,
            generator_lag_p99_us: 500,
            real: Real { udp_sockets: 1, http_connections: 0, quic_connections: 1 },
            transports: vec![TransportReport {
                taps_counted: Some(counted),
                ..TransportReport::new(Transport::Udp, &ledger, Some(&server))
            }],
            server: Some(server),
            subscribers: SubscriberReport {
                count: 1,
                lost: 0,
                frames_received: 10,
                frames_missing: 0,
                duplicates: 0,
                conflicting: 0,
                windows: 10,
            },
            latency: Latencies {
                tap_to_frame: lag,
                http_confirmed: Quantiles::default(),
                window_close_to_frame: lag,
                spread: lag,
                generator_lag: lag,
            },
        }
    }

    fn counted(taps: u64, drops: u64) -> ServerReport {
        let socket_drops = nonzero([("reactions".to_owned(), drops)].into());
        ServerReport { taps_counted: taps, socket_drops, ..ServerReport::default() }
    }

    fn judged(report: Report) -> Report {
        report.judge(&Limits::default(), &Audited::default(), false)
    }

    #[test]
    fn a_run_that_adds_up_passes() {
        let report = judged(report(1000, 1000, counted(1000, 0)));
        assert!(report.passed, "{:?}", report.findings);
        assert!(report.to_string().ends_with("nothing was lost\n"));
    }

    #[test]
    fn a_loss_within_its_limit_passes_and_is_said() {
        let limits = Limits { lost_ppm_max: 1000, ..Limits::default() };
        let judge = |framed| report(1000, framed, counted(framed, 0)).judge(&limits, &Audited::default(), false);
        assert!(judge(999).passed && !judge(998).passed);
        assert!(judge(999).to_string().ends_with("no more was lost than allowed\n"));
    }

    #[test]
    fn a_loss_is_located() {
        let before = judged(report(1000, 900, counted(900, 2)));
        assert_eq!(
            before.findings,
            ["100 of 1000 taps are in no frame: 100 sent by udp were not counted; \
              the kernel dropped 2 datagrams at the server's socket reactions"]
        );
        let inside = judged(report(1000, 900, counted(1000, 0)));
        assert_eq!(inside.findings, ["100 of 1000 taps are in no frame: 100 were counted and came in no frame"]);
    }

    #[test]
    fn a_surplus_lag_and_missing_frames_fail_too() {
        let mut run = report(10, 11, counted(11, 0));
        run.generator_lag_p99_us = 100_001;
        run.subscribers.frames_missing = 5;
        run.subscribers.conflicting = 1;
        let findings = judged(run).findings;
        assert_eq!(findings.len(), 4, "{findings:?}");
    }

    #[test]
    fn the_json_has_the_agreed_shape() {
        let json = serde_json::to_value(judged(report(1000, 1000, counted(1000, 0)))).unwrap();
        for key in ["people", "people_acted", "taps_sent", "taps_framed", "achieved_ratio", "generator_lag_p99_us"] {
            assert!(json[key].is_number(), "{key}");
        }
        for path in [
            "/real/udp_sockets",
            "/real/http_connections",
            "/real/quic_connections",
            "/subscribers/count",
            "/subscribers/frames_received",
            "/subscribers/frames_missing",
            "/subscribers/duplicates",
            "/latency/tap_to_frame/p999_us",
            "/latency/generator_lag/max_us",
            "/transports/0/taps_counted",
        ] {
            assert!(json.pointer(path).is_some_and(serde_json::Value::is_number), "{path}");
        }
    }
}
