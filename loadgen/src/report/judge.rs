//! What a run is worth: every limit of the scenario beside what was measured, and a sentence for all that is wrong.
//!
//! 1. This file: what the generator did. 2. `taps`: what became of what it sent. 3. `audience`: what subscribers got.
//!
//! What the generator did not do makes a run invalid, as it then says little about the server; everything else that is
//! wrong is the server's.
//!
//! Invariant: passed means no finding. In a report of some parts of the crowd only that is judged which others' taps
//! cannot change; a note says what was not.

mod audience;
mod taps;

use super::{Interrupted, Loss, Place, Report, Threshold, TransportRow, Verdict};
use crate::scenario::Limits;
use crate::table::grouped;

/// Who is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blame {
    Generator,
    Server,
}

/// What was concluded so far.
struct Judge<'a> {
    report: &'a Report,
    limits: &'a Limits,
    is_whole: bool,
    losses: Vec<Loss>,
    thresholds: Vec<Threshold>,
    findings: Vec<(Blame, String)>,
    notes: Vec<String>,
}

impl Report {
    /// Fills in what follows from everything else: sums, losses, thresholds, findings, notes and the verdict.
    #[must_use]
    pub fn judged(self) -> Self {
        let report = self.summed();
        let mut judge = Judge::new(&report);
        judge.judge_interrupted();
        judge.judge_generator();
        judge.judge_people();
        judge.judge_losses();
        judge.judge_surplus();
        judge.judge_emoji();
        judge.judge_windows();
        judge.judge_counters();
        judge.judge_server_lost();
        judge.judge_refusals();
        judge.judge_answers();
        judge.judge_subscribers();
        judge.judge_latencies();
        judge.judge_acts();
        judge.note_circumstances();
        let Judge { losses, thresholds, findings, notes, .. } = judge;
        let verdict = match findings.iter().any(|(blame, _)| *blame == Blame::Generator) {
            true => Verdict::Invalid,
            false if findings.is_empty() => Verdict::Passed,
            false => Verdict::Failed,
        };
        let findings = findings.into_iter().map(|(_, text)| text).collect();
        Self { verdict, passed: verdict == Verdict::Passed, findings, notes, thresholds, losses, ..report }
    }
}

impl Report {
    /// Why the server's metrics are not there, or what to do about it.
    fn unread_because(&self) -> String {
        match (&self.server_error, self.environment.targets.get("admin")) {
            (Some(error), _) => format!(": {error}"),
            (None, Some(admin)) => {
                format!(": nobody serves them at {admin}; is it the admin address, as --admin says?")
            }
            (None, None) => "; give its admin address with --admin".into(),
        }
    }
}

impl<'a> Judge<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            report,
            limits: &report.scenario.limits,
            is_whole: report.is_whole(),
            losses: report.locate(),
            thresholds: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn find(&mut self, blame: Blame, finding: String) {
        self.findings.push((blame, finding));
    }

    fn at_most(&mut self, name: &str, limit: f64, measured: Option<f64>, unit: &str) -> bool {
        let passed = measured.is_some_and(|measured| measured <= limit);
        self.threshold(name, limit, measured, unit, passed)
    }

    fn threshold(&mut self, name: &str, limit: f64, measured: Option<f64>, unit: &str, passed: bool) -> bool {
        self.thresholds.push(Threshold { name: name.to_owned(), limit, measured, unit: unit.to_owned(), passed });
        passed
    }

    fn judge_interrupted(&mut self) {
        if let Some(Interrupted { by, after_s }) = &self.report.interrupted {
            let whole_s = self.report.scenario.duration_s;
            let text = format!(
                "interrupted by {by} after {after_s:.1} s of {whole_s} s; everything here is about what was sent until then"
            );
            self.find(Blame::Generator, text);
        }
    }

    fn judge_generator(&mut self) {
        self.judge_planned();
        self.judge_achieved();
        self.judge_lag();
    }

    fn judge_planned(&mut self) {
        if self.report.taps_planned == 0 && self.report.interrupted.is_none() {
            let text = "nothing was planned: no tap says anything about the server; name a way in (udp, http or quic), \
                        raise reactions_per_second or duration_s, or divide the crowd into fewer parts";
            self.find(Blame::Generator, text.into());
        }
    }

    /// A way in that carries little is late as well as one that carries much, so each is judged by itself.
    fn judge_lag(&mut self) {
        let worst = self.report.transports.iter().max_by_key(|row| row.lag_p99_us);
        let (lag_us, by) = worst.map_or((self.report.generator_lag_p99_us, String::new()), |row| {
            (row.lag_p99_us, format!(" by {}", row.transport.label()))
        });
        let (lag_ms, allowed) = (lag_us as f64 / 1000.0, self.limits.lag_p99_ms_max);
        if !self.at_most("lag_p99_ms_max", allowed.into(), Some(lag_ms), "ms") {
            self.find(
                Blame::Generator,
                format!(
                    "the generator itself was late{by}: p99 {lag_ms:.1} ms, {allowed} ms allowed; latencies of this run \
                     say little; lower the rate, or give the generator more cores or machines"
                ),
            );
        }
    }

    fn judge_achieved(&mut self) {
        let (report, least) = (self.report, self.limits.achieved_ratio_min);
        let ratio = report.achieved_ratio;
        let passed = ratio >= least;
        self.threshold("achieved_ratio_min", least, Some(ratio), "ratio", passed);
        let missing = report.taps_planned.saturating_sub(report.taps_sent);
        if missing == 0 {
            return;
        }
        let own: u64 = report.transports.iter().map(TransportRow::not_done_here).sum();
        let text = format!(
            "{} of {} planned taps were not sent: {}",
            grouped(missing),
            grouped(report.taps_planned),
            self.unsent_text()
        );
        let own_alone = report.taps_planned.saturating_sub(own) as f64 / report.taps_planned as f64;
        match passed {
            true => self.notes.push(text),
            false if own_alone < least => {
                let remedy = "; lower the rate, or give the generator more cores, sockets or machines";
                self.find(Blame::Generator, text + remedy);
            }
            false => self.find(Blame::Server, text),
        }
    }

    fn unsent_text(&self) -> String {
        let is_before = |loss: &&Loss| {
            loss.place == Place::Generator || (loss.place == Place::Server && loss.unit == "taps" && loss.by.is_some())
        };
        let mut reasons: Vec<String> = self.losses.iter().filter(is_before).map(Loss::to_text).collect();
        if self.report.taps_unconfirmed > 0 {
            reasons.push(format!("{} by requests without a reply", grouped(self.report.taps_unconfirmed)));
        }
        reasons.join("; ")
    }

    fn judge_people(&mut self) {
        let least = self.limits.people_acted_min;
        if least == 0 || !self.is_whole || self.report.interrupted.is_some() {
            return;
        }
        let acted = self.report.people_acted;
        let passed = acted >= u64::from(least);
        if !self.threshold("people_acted_min", least.into(), Some(acted as f64), "people", passed) {
            let (acted, least) = (grouped(acted), grouped(least.into()));
            let text =
                format!("{acted} people tapped at least once, {least} were to; the match is too short or too calm");
            self.find(Blame::Generator, text);
        }
    }

    fn note_circumstances(&mut self) {
        if !self.is_whole {
            self.notes.push(format!(
                "only the parts {} of the crowd are in it: totals can only be judged when all parts are merged, as \
                 others' taps are in the same frames and counters",
                self.report.parts.join(", ")
            ));
        }
        self.note_unchecked_emoji();
        self.note_unchecked_windows();
        if self.report.server.is_none() && !self.report.server_lost {
            self.notes.push(format!("the server's metrics were not read{}", self.report.unread_because()));
        }
    }

    fn note_unchecked_emoji(&mut self) {
        let rooms = &self.report.rooms;
        let hidden = rooms.iter().filter(|room| room.taps_sent > 0 && !room.shows_all_emoji).count() as u64;
        if hidden > 0 {
            self.notes.push(format!(
                "{} of {} rooms were not compared emoji by emoji over the whole match, as their frames do not show all \
                 emoji that were tapped",
                grouped(hidden),
                grouped(rooms.len() as u64)
            ));
        }
    }

    /// Where borders meet, every tap may be in the next window, and no window has a least.
    fn note_unchecked_windows(&mut self) {
        let border_ms = u64::from(self.limits.border_ms);
        let Some(window_ms) = self.report.window_ms().filter(|window_ms| border_ms * 2 >= *window_ms) else { return };
        self.notes.push(format!(
            "windows could not be checked one by one: limits.border_ms is {border_ms}, and of a window of {window_ms} ms \
             nothing is further than that from both borders; totals were checked"
        ));
    }
}

#[cfg(test)]
mod tests;
