//! Pictures of a run as text: one line for a log, or a few for a terminal.
//!
//! Invariant: no colours and no control characters, so there is nothing for `NO_COLOR` to take away; lines of the table
//! are of one width where numbers change.

use super::snapshot::{LiveRates, LiveSnapshot};
use crate::server_watch::ServerNow;
use crate::table::grouped;
use std::time::Duration;

/// One line that says everything.
pub(super) fn line(picture: &LiveSnapshot, rates: &LiveRates) -> String {
    let [sent, planned, frames] = [rates.sent_taps, rates.planned_taps, rates.frames].map(grouped);
    let [acted, people, missing] = [picture.people_acted, picture.moment.people, picture.frames_missing].map(grouped);
    let achieved = achieved(picture).map_or(String::new(), |percent| format!(", {percent} so far"));
    let lag = lag(picture).map_or(String::new(), |lag| format!(", lag p99 {lag}"));
    let server = picture.moment.server.map_or(String::new(), |server| format!("; server: {}", server_line(&server)));
    format!(
        "{}: {sent} taps/s of {planned} planned{achieved}{lag}; {acted} of {people} people; \
         {frames} frames/s, {missing} missing{server}",
        place(picture, ", "),
    )
}

/// The lines below the bar.
pub(super) fn table(picture: &LiveSnapshot, rates: &LiveRates) -> String {
    let [sent, planned, frames] = [rates.sent_taps, rates.planned_taps, rates.frames].map(grouped);
    let [acted, people, missing] = [picture.people_acted, picture.moment.people, picture.frames_missing].map(grouped);
    let [achieved, lag] = [achieved(picture), lag(picture)].map(|text| text.unwrap_or_else(|| "-".into()));
    let mut lines = vec![
        format!("  taps/s  {planned:>13} planned {sent:>13} sent {achieved:>9} so far"),
        format!("  lag p99 {lag:>13}"),
        format!("  people  {acted:>13} of {people} have tapped"),
        format!("  frames  {frames:>13} a second {missing:>12} missing"),
    ];
    lines.extend(picture.moment.server.map(|server| format!("  server  {}", server_columns(&server))));
    lines.join("\n")
}

/// How far the match has come, and what goes on in it.
pub(super) fn place(picture: &LiveSnapshot, before_phase: &str) -> String {
    let moment = &picture.moment;
    let phase = if moment.phase.is_empty() { String::new() } else { format!("{before_phase}{}", moment.phase) };
    format!("{} of {}{phase}", clock(moment.at), clock(moment.duration))
}

fn server_line(server: &ServerNow) -> String {
    let ServerNow::Answers { cpu_percent, rss_bytes, socket_drops, refused } = server else {
        return "no answer".into();
    };
    let cpu = cpu_percent.map(|percent| format!("{percent:.0} % CPU, ")).unwrap_or_default();
    let memory = rss_bytes.map(|bytes| format!("{}, ", mebibytes(bytes))).unwrap_or_default();
    format!("{cpu}{memory}{} dropped, {} refused", grouped(*socket_drops), grouped(*refused))
}

fn server_columns(server: &ServerNow) -> String {
    let ServerNow::Answers { cpu_percent, rss_bytes, socket_drops, refused } = server else {
        return format!("{:>13}", "no answer");
    };
    let cpu = cpu_percent.map_or("-".into(), |percent| format!("{percent:.0} %"));
    let memory = rss_bytes.map_or("-".into(), mebibytes);
    let [drops, refused] = [*socket_drops, *refused].map(grouped);
    format!("{cpu:>13} CPU {memory:>13} {drops:>9} dropped {refused:>9} refused")
}

fn achieved(picture: &LiveSnapshot) -> Option<String> {
    let points = picture.achieved_basis_points()?;
    Some(format!("{}.{:02} %", points / 100, points % 100))
}

fn lag(picture: &LiveSnapshot) -> Option<String> {
    picture.lag_p99_us.map(|us| format!("{:.2} ms", us as f64 / 1000.0))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes >> 20))
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::snapshot::Moment;
    use super::*;

    pub(in super::super) fn picture() -> LiveSnapshot {
        let server = ServerNow::Answers {
            cpu_percent: Some(78.4),
            rss_bytes: Some(1_300_000_000),
            socket_drops: 0,
            refused: 1200,
        };
        let moment = Moment {
            at: Duration::from_millis(85_250),
            duration: Duration::from_secs(300),
            phase: "a six".into(),
            people: 50_000_000,
            server: Some(server),
        };
        LiveSnapshot {
            moment,
            planned_taps: 40_000_000,
            sent_taps: 39_999_999,
            lag_p99_us: Some(215),
            people_acted: 28_234_567,
            frames: 84_000,
            frames_missing: 3,
        }
    }

    pub(in super::super) const RATES: LiveRates = LiveRates { planned_taps: 512_000, sent_taps: 511_990, frames: 1000 };

    #[test]
    fn a_line_says_everything() {
        assert_eq!(
            line(&picture(), &RATES),
            "01:25 of 05:00, a six: 511,990 taps/s of 512,000 planned, 99.99 % so far, lag p99 0.21 ms; \
             28,234,567 of 50,000,000 people; 1,000 frames/s, 3 missing; \
             server: 78 % CPU, 1,239 MiB, 0 dropped, 1,200 refused"
        );
    }

    #[test]
    fn a_line_leaves_out_what_is_not_known() {
        let moment = Moment { duration: Duration::from_secs(7200), people: 10, ..Moment::default() };
        let mut picture = LiveSnapshot { moment, ..LiveSnapshot::default() };
        let start = "00:00 of 2:00:00: 0 taps/s of 0 planned; 0 of 10 people; 0 frames/s, 0 missing";
        assert_eq!(line(&picture, &LiveRates::default()), start);
        picture.moment.server = Some(ServerNow::Silent);
        assert_eq!(line(&picture, &LiveRates::default()), format!("{start}; server: no answer"));
        picture.moment.server =
            Some(ServerNow::Answers { cpu_percent: None, rss_bytes: None, socket_drops: 1, refused: 0 });
        assert_eq!(line(&picture, &LiveRates::default()), format!("{start}; server: 1 dropped, 0 refused"));
    }

    #[test]
    fn the_table_has_a_line_for_each_who_takes_part() {
        let expected = "  taps/s        512,000 planned       511,990 sent   99.99 % so far
  lag p99       0.21 ms
  people     28,234,567 of 50,000,000 have tapped
  frames          1,000 a second            3 missing
  server           78 % CPU     1,239 MiB         0 dropped     1,200 refused";
        assert_eq!(table(&picture(), &RATES), expected);
    }

    #[test]
    fn the_table_fits_a_narrow_terminal() {
        let mut picture = picture();
        picture.moment.server = Some(ServerNow::Silent);
        for line in table(&picture, &RATES).lines().chain(table(&self::picture(), &RATES).lines()) {
            assert!(line.len() < 80 && !line.chars().any(char::is_control), "{line}");
        }
        assert!(table(&picture, &RATES).ends_with("  server      no answer"));
    }
}
