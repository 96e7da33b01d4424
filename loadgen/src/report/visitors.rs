//! Taps of people who are no part of the crowd: they have the page of the demo's server open.
//!
//! Invariant: where nobody is invited, taps of others are findings. Where somebody is, the frames may show as many taps more
//! as the server counted beyond what the crowd sent by the ways that pages have, and by all other ways its counts stay exact.

use super::{Report, RoomRow, Server};

/// Ways in that a page has, as the server's metrics name them.
const WAYS: [&str; 2] = ["http", "webtransport"];

impl Report {
    /// Whether taps that came by `way` may be of visitors.
    pub(super) fn may_be_of_visitors(&self, way: &str) -> bool {
        self.visitors.is_some() && WAYS.contains(&way)
    }

    /// Taps that visitors made, as the server counted them; 0 where nobody is invited.
    pub(super) fn visitors_counted(&self) -> u64 {
        let Some(server) = self.server.as_ref().filter(|_| self.visitors.is_some()) else { return 0 };
        WAYS.iter().map(|way| server.counted_by(way).saturating_sub(self.sent_by(way))).sum()
    }

    /// Fills in how many of the taps in the frames are visitors'.
    pub(super) fn sum_visitors(&mut self) {
        let surplus = self.rooms.iter().map(RoomRow::surplus).sum();
        self.visitors = self.visitors.map(|_| surplus);
    }

    /// What the server refused of the crowd, though it was in order: way in, reason and how often. Of what pages may have sent
    /// it is not known whose it was; the crowd's own are counted where it was refused.
    pub(super) fn refused_by_mistake(&self, server: &Server) -> super::server::Refusals {
        let mistakes = server.rejected_by_mistake().into_iter();
        mistakes.filter(|(way, ..)| !self.may_be_of_visitors(way)).collect()
    }

    fn sent_by(&self, way: &str) -> u64 {
        self.transports.iter().filter(|row| row.transport.label() == way).map(|row| row.taps_sent).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::crowd::Part;
    use crate::report::Report;
    use crate::report::synthetic::Play;

    /// A match in which `framed` taps more than the crowd's are in a frame, and `counted` more were counted by `way`.
    fn with_visitors(is_invited: bool, way: &str, counted: u64, framed: u64) -> Report {
        let mut report = Play::new(1).report(Part::WHOLE);
        report.visitors = is_invited.then_some(0);
        let server = report.server.as_mut().unwrap();
        let counter = format!("uproar_reactions_total{{proto=\"{way}\"}}");
        *server.after.entry(counter).or_default() += counted as f64;
        let window = &mut report.windows[1];
        window.taps_framed = window.taps_framed.map(|taps| taps + framed);
        window.top[0].1 += framed;
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
        let mut play = Play::new(1);
        play.lose_before_server("udp", 5);
        let mut report = play.report(Part::WHOLE);
        report.visitors = Some(0);
        let server = report.server.as_mut().unwrap();
        *server.after.entry("uproar_reactions_total{proto=\"http\"}".into()).or_default() += 5.0;
        for room in [1, 2] {
            let window = report.windows.iter_mut().find(|window| window.room == room).unwrap();
            window.taps_framed = window.taps_framed.map(|taps| taps + 5);
            window.top[0].1 += 5;
        }
        assert!(!report.judged().passed);
    }
}
