//! The audience: whether subscribers got each frame once and in time, kept their connections, and came back.

use super::{Blame, Judge};
use crate::ledger::Transport;
use crate::report::Act;
use crate::report::sums::ppm;
use crate::table::grouped;

impl Judge<'_> {
    pub(super) fn judge_subscribers(&mut self) {
        let seen = &self.report.subscribers;
        let expected = seen.frames_received + seen.frames_missing;
        let missing = ppm(seen.frames_missing, expected) as f64;
        let limit = self.limits.frames_missing_ppm_max;
        if !self.at_most("frames_missing_ppm_max", limit.into(), Some(missing), "ppm") {
            let text = format!(
                "subscribers missed {} of {} frames{}",
                grouped(seen.frames_missing),
                grouped(expected),
                self.missing_because()
            );
            self.find(Blame::Server, text);
        }
        if seen.lost > 0 {
            let reasons: Vec<String> =
                seen.lost_by_reason.iter().map(|(why, count)| format!("{}: {why}", grouped(*count))).collect();
            let text = format!("{} subscribers lost their connection ({})", grouped(seen.lost), reasons.join("; "));
            self.find(Blame::Server, text);
        }
        for (count, what) in [
            (seen.frames_twice, "frames came twice or after a newer one"),
            (seen.frames_conflicting, "frames contradict another one of their window"),
        ] {
            if count > 0 {
                self.find(Blame::Server, format!("{} {what}", grouped(count)));
            }
        }
    }

    fn missing_because(&self) -> String {
        let skipped = self.report.server.iter().flat_map(|server| &server.frames_skipped);
        let skipped = skipped.map(|(reason, count)| format!("the server skipped {} as {reason}", grouped(*count)));
        let drops = self.report.subscribers.socket_drops;
        let dropped = (drops > 0)
            .then(|| format!("this machine's own kernel dropped {} datagrams, see net.core.rmem_max", grouped(drops)));
        let because: Vec<String> = skipped.chain(dropped).collect();
        if because.is_empty() { String::new() } else { format!(": {}", because.join("; ")) }
    }

    pub(super) fn judge_latencies(&mut self) {
        let limits = self.limits;
        let watched = self.report.subscribers.count > 1;
        let requests = self.report.planned_by(Transport::Http) > 0;
        for (name, limit, latency, what, is_expected) in [
            (
                "tap_to_frame_p99_ms_max",
                limits.tap_to_frame_p99_ms_max,
                "tap_to_frame",
                "from a tap to its frame",
                true,
            ),
            ("http_p99_ms_max", limits.http_p99_ms_max, "tap_to_202", "from a request to its 202", requests),
            (
                "spread_p99_ms_max",
                limits.spread_p99_ms_max,
                "frame_spread",
                "from the first frame to each other",
                watched,
            ),
        ] {
            let measured = self.report.p99_ms(latency);
            if limit == 0 || (measured.is_none() && !is_expected) {
                continue;
            }
            if !self.at_most(name, limit.into(), measured, "ms") {
                let text = match measured {
                    Some(measured) => format!("{what}: p99 {measured:.1} ms, {limit} ms allowed"),
                    None => format!("{what}: nothing could be measured, {limit} ms are allowed"),
                };
                self.find(Blame::Server, text);
            }
        }
    }

    pub(super) fn judge_acts(&mut self) {
        let (acts, limit) = (&self.report.acts, self.limits.return_ms_max);
        // Subscribers that were reconnecting when the match was interrupted had no time to finish.
        let is_judged = |act: &&Act| act.is_missing() && self.report.interrupted.is_none();
        let missing: Vec<&Act> = acts.iter().filter(is_judged).collect();
        for act in &missing {
            let text = format!(
                "not all of {} subscribers were back after {} at {} s; if it is too close to the end, let the match last \
                 longer",
                grouped(act.subscribers),
                act.kind.label(),
                act.at_s
            );
            self.find(Blame::Server, text);
        }
        let slowest = acts.iter().filter_map(|act| act.back_after_ms).max();
        if limit == 0 || (slowest.is_none() && missing.is_empty()) {
            return;
        }
        let measured = slowest.filter(|_| missing.is_empty()).map(|ms| ms as f64);
        if !self.at_most("return_ms_max", limit.into(), measured, "ms") && missing.is_empty() {
            let slowest = slowest.unwrap_or(0);
            self.find(Blame::Server, format!("subscribers were back after {slowest} ms, {limit} ms allowed"));
        }
    }
}

impl Act {
    /// Whether somebody was to come back and did not.
    fn is_missing(&self) -> bool {
        self.kind.returns() && self.subscribers > 0 && self.back_after_ms.is_none()
    }
}
