//! Taps of people who are no part of the crowd: they have the page of the demo's server open.
//!
//! Invariant: where nobody is invited, taps of others are findings. Where somebody is, the crowd must leave the ways in that
//! pages have to them, so that each of the server's counters is of the crowd alone or of visitors alone, and exact. What
//! frames of a window may show beyond the crowd's taps is what visitors' counters grew by around it.
//!
//! Deliberately not here: taps that come after the server was read the last time, which only its own last word tells of.

use super::{Report, RoomRow, Server, Verdict, WindowRow};
use crate::server_watch::TapsByProto;
use crate::table::grouped;

/// Ways in that a page has, as the server's metrics name them.
const WAYS: [&str; 2] = ["http", "webtransport"];

impl Report {
    /// Whether taps that came by `way` are of visitors.
    pub(super) fn is_of_visitors(&self, way: &str) -> bool {
        self.visitors.is_some() && WAYS.contains(&way)
    }

    /// Taps that visitors made, as the server counted them; 0 where nobody is invited.
    pub fn visitors_counted(&self) -> u64 {
        let Some(server) = self.server.as_ref().filter(|_| self.visitors.is_some()) else { return 0 };
        WAYS.iter().map(|way| server.counted_by(way)).sum()
    }

    /// The most that visitors can have tapped in a window: what was counted between the last look before it and the first
    /// one that was begun after it.
    pub(super) fn visitors_in(&self, window: &WindowRow) -> u64 {
        let Some(server) = self.server.as_ref().filter(|_| self.visitors.is_some()) else { return 0 };
        let window_ms = self.window_ms().unwrap_or(window.end_unix_ms);
        let border_s = f64::from(self.scenario.limits.border_ms) / 1000.0;
        let since_start_s = |unix_ms: u64| (unix_ms as f64 - self.start_unix_ms as f64) / 1000.0;
        let begins_s = since_start_s(window.end_unix_ms.saturating_sub(window_ms)) - border_s;
        let ends_s = since_start_s(window.end_unix_ms) + border_s;
        let samples = self.server_series.iter().flat_map(|series| &series.samples);
        let looks = samples.filter_map(|sample| Some((sample.at_s, taps_of_visitors(&sample.reading.as_ref()?.taps))));
        let before = looks.clone().take_while(|(at_s, _)| *at_s <= begins_s).last();
        // Times are those of answers: whoever answered first after the end may have counted before it.
        let after = looks.filter(|(at_s, _)| *at_s >= ends_s).nth(1);
        let before = before.map_or_else(|| counted_at(&server.before), |(_, taps)| taps);
        let after = after.map_or_else(|| counted_at(&server.after), |(_, taps)| taps);
        after.saturating_sub(before)
    }

    /// What makes visitors' taps and the crowd's one: nothing that is lost could then be told.
    pub(super) fn mixed_with_visitors(&self) -> Option<String> {
        let mixed = |row: &&super::TransportRow| row.taps_planned > 0 && self.is_of_visitors(row.transport.label());
        let way = self.transports.iter().find(mixed)?.transport.label();
        Some(format!("the crowd taps by {way} as visitors do, so that nobody can tell whose taps are lost"))
    }

    /// Fills in how many of the taps in the frames are visitors'.
    pub(super) fn sum_visitors(&mut self) {
        let surplus = self.rooms.iter().map(RoomRow::surplus).sum();
        self.visitors = self.visitors.map(|_| surplus);
    }

    /// What the server refused of the crowd, though it was in order: way in, reason and how often. What pages send is
    /// theirs to get right.
    pub(super) fn refused_by_mistake(&self, server: &Server) -> super::server::Refusals {
        let mistakes = server.rejected_by_mistake().into_iter();
        mistakes.filter(|(way, ..)| !self.is_of_visitors(way)).collect()
    }

    /// The same match with what the server's last word says of it: `counted` taps from its start to its end, `framed` in
    /// the frames that it made, and `seen` in those that somebody received who was there all the time. All three must be
    /// the same, and be the crowd's taps and those of visitors.
    #[must_use]
    pub fn concluded(mut self, counted: u64, framed: u64, seen: u64) -> Self {
        let least = self.taps_sent + self.visitors_counted();
        let wrong = [
            (counted < least).then(|| {
                let (counted, least) = (grouped(counted), grouped(least));
                format!("the server counted {counted} taps to its end, at least {least} were made")
            }),
            (framed != counted).then(|| {
                format!("the server counted {} taps to its end, its frames had {}", grouped(counted), grouped(framed))
            }),
            (seen != framed).then(|| {
                let (seen, framed) = (grouped(seen), grouped(framed));
                format!("who watched from the first window to the last saw {seen} taps, its frames had {framed}")
            }),
        ];
        for finding in wrong.into_iter().flatten() {
            self.findings.push(finding);
            self.passed = false;
            if self.verdict == Verdict::Passed {
                self.verdict = Verdict::Failed;
            }
        }
        self
    }
}

fn taps_of_visitors(taps: &TapsByProto) -> u64 {
    taps.http + taps.webtransport
}

fn counted_at(look: &crate::metrics_scrape::Samples) -> u64 {
    let series = |way: &str| look.get(&format!("uproar_reactions_total{{proto=\"{way}\"}}")).copied();
    WAYS.iter().filter_map(|way| series(way)).sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use crate::crowd::Part;
    use crate::report::synthetic::Play;
    use crate::report::{Report, Verdict};
    use crate::server_watch::{ServerReading, ServerSample, ServerSeries, TapsByProto};

    /// A match of a crowd that leaves HTTP to visitors, who are invited or not.
    fn a_match(play: &mut Play, is_invited: bool) -> Report {
        play.leave_http();
        let mut report = play.report(Part::WHOLE);
        report.scenario.limits.http_p99_ms_max = 0;
        report.visitors = is_invited.then_some(0);
        report
    }

    fn count(report: &mut Report, way: &str, taps: u64) {
        let counter = format!("uproar_reactions_total{{proto=\"{way}\"}}");
        *report.server.as_mut().unwrap().after.entry(counter).or_default() += taps as f64;
    }

    fn frame(report: &mut Report, window: usize, taps: u64) {
        let window = &mut report.windows[window];
        window.taps_framed = window.taps_framed.map(|sum| sum + taps);
        window.top[0].1 += taps;
    }

    /// `framed` taps more than the crowd's are in a frame, and `counted` more were counted by `way`.
    fn with_visitors(is_invited: bool, way: &str, counted: u64, framed: u64) -> Report {
        let mut report = a_match(&mut Play::new(1), is_invited);
        count(&mut report, way, counted);
        frame(&mut report, 1, framed);
        report.judged()
    }

    #[test]
    fn visitors_who_are_invited_have_a_line_of_their_own() {
        for way in ["http", "webtransport"] {
            let report = with_visitors(true, way, 12, 12);
            assert_eq!((report.passed, report.visitors), (true, Some(12)), "{way}: {:?}", report.findings);
            assert!(report.to_string().contains("visitors                12  taps in them"), "{report}");
        }
        let none = with_visitors(true, "http", 0, 0);
        assert_eq!((none.passed, none.visitors), (true, Some(0)));
    }

    #[test]
    fn nobody_else_may_tap_in_a_run() {
        for way in ["http", "webtransport"] {
            let report = with_visitors(false, way, 12, 12);
            assert_eq!((report.passed, report.visitors), (false, None), "{way}");
            assert!(report.findings.iter().any(|finding| finding.starts_with("12 taps more are in the frames")));
        }
    }

    #[test]
    fn visitors_explain_no_more_than_was_counted_of_theirs() {
        let made_up = with_visitors(true, "http", 12, 13);
        assert!(made_up.findings.iter().any(|finding| finding.starts_with("13 taps more are in the frames")));
        let by_udp = with_visitors(true, "udp", 12, 12);
        assert!(by_udp.findings.iter().any(|finding| finding.contains("12 taps more by udp")), "{:?}", by_udp.findings);
    }

    #[test]
    fn visitors_do_not_make_up_for_what_is_lost() {
        for way in ["udp", "quic"] {
            let mut play = Play::new(1);
            play.leave_http();
            play.lose_before_server(way, 5);
            let mut report = a_match(&mut play, true);
            count(&mut report, "http", 500);
            (0..report.windows.len()).for_each(|window| frame(&mut report, window, 50));
            let findings = report.judged().findings;
            assert!(findings.iter().any(|finding| finding.contains(&format!("5 fewer by {way}"))), "{findings:?}");
        }
    }

    #[test]
    fn a_crowd_that_taps_as_visitors_do_proves_nothing() {
        let mut play = Play::new(1);
        play.lose_before_server("http", 5);
        let mut report = play.report(Part::WHOLE);
        report.visitors = Some(0);
        count(&mut report, "http", 5);
        frame(&mut report, 1, 5);
        let report = report.judged();
        assert_eq!(report.verdict, Verdict::Invalid);
        assert!(report.findings.iter().any(|finding| finding.contains("the crowd taps by http as visitors do")));
    }

    #[test]
    fn visitors_of_another_time_explain_nothing_in_a_window() {
        let with_taps_in = |window: usize| {
            let mut report = a_match(&mut Play::new(1), true);
            count(&mut report, "http", 400);
            // All in the first second of five.
            let look = |second: u32| {
                let http = if second > 0 { 500 } else { 100 };
                let taps = TapsByProto { udp: 0, http, quic: 0, webtransport: 0 };
                let reading = ServerReading { taps, ..ServerReading::default() };
                ServerSample { at_s: second.into(), reading: Some(reading) }
            };
            report.server_series = Some(ServerSeries { samples: (0..6).map(look).collect() });
            frame(&mut report, window, 400);
            report.judged()
        };
        assert!(with_taps_in(0).passed, "{:?}", with_taps_in(0).findings);
        let late = with_taps_in(4);
        assert!(late.findings.iter().any(|finding| finding.contains("windows differ")), "{:?}", late.findings);
    }

    #[test]
    fn the_last_word_must_be_what_was_made_and_what_was_seen() {
        let report = || with_visitors(true, "http", 12, 12);
        assert!(report().concluded(4012, 4012, 4012).passed);
        assert!(report().concluded(4015, 4015, 4015).passed, "three came after the last look");
        for (counted, framed, seen) in [(4011, 4011, 4011), (4012, 4011, 4011), (4012, 4012, 4011), (4012, 4012, 4013)]
        {
            let report = report().concluded(counted, framed, seen);
            assert_eq!((report.passed, report.verdict), (false, Verdict::Failed), "{counted} {framed} {seen}");
            assert!(!report.to_string().contains("PASSED"), "{report}");
        }
    }
}
