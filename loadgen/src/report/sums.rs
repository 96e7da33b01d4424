//! What follows from a report's rows: totals, and what each window says.
//!
//! Invariant: the same rows give the same sums, whether one machine or many made them.

use super::agreement::Others;
use super::{Latency, Report, RoomRow, WindowRow};
use crate::ledger::Transport;
use std::collections::BTreeMap;

impl Report {
    /// Fills in everything that follows from transports, rooms, windows, latencies and the server's counters.
    #[must_use]
    pub fn summed(mut self) -> Self {
        self.sum_ways_in();
        self.sum_windows();
        self.sum_visitors();
        self.find_disagreements();
        if let Some(lag) = self.latency.get("generator_lag") {
            self.generator_lag_p99_us = lag.all.p99_us;
        }
        self
    }

    fn sum_ways_in(&mut self) {
        for row in &mut self.transports {
            row.taps_counted = self.server.as_ref().map(|server| server.counted_by(row.transport.label()));
        }
        let rows = &self.transports;
        self.taps_planned = rows.iter().map(|row| row.taps_planned).sum();
        self.taps_sent = rows.iter().map(|row| row.taps_sent).sum();
        self.taps_unconfirmed = rows.iter().map(|row| row.taps_unconfirmed).sum();
        self.taps_refused = rows.iter().flat_map(|row| row.taps_refused.values()).sum();
        self.taps_unsent = rows.iter().map(|row| row.taps_unsent).sum();
        self.achieved_ratio = ratio(self.taps_sent, self.taps_planned);
        let datagrams = self.real.udp_datagrams;
        let cpu_ns = self.generator.udp_cpu_s * 1e9;
        self.generator.udp_cpu_ns_per_datagram = (datagrams > 0).then(|| cpu_ns / datagrams as f64);
    }

    fn sum_windows(&mut self) {
        let mut framed: BTreeMap<u32, (u64, BTreeMap<u16, u64>)> = BTreeMap::new();
        for window in &self.windows {
            let (sum, by_emoji) = framed.entry(window.room).or_default();
            *sum += window.taps_framed.unwrap_or(0);
            window.top.iter().for_each(|(emoji, taps)| *by_emoji.entry(*emoji).or_default() += taps);
        }
        for room in &mut self.rooms {
            let (sum, by_emoji) = framed.remove(&room.room).unwrap_or_default();
            room.taps_framed = sum;
            room.emoji.iter_mut().for_each(|row| row.taps_framed = by_emoji.get(&row.id).copied().unwrap_or(0));
        }
        self.taps_framed = self.rooms.iter().map(|room| room.taps_framed).sum();
        self.taps_lost = self.rooms.iter().map(RoomRow::lost).sum();
    }

    fn find_disagreements(&mut self) {
        let is_whole = self.is_whole();
        let visitors: Vec<u64> = self.windows.iter().map(|window| self.visitors_in(window)).collect();
        let unconfirmed: BTreeMap<u32, u64> =
            self.rooms.iter().map(|room| (room.room, room.taps_unconfirmed)).collect();
        for (window, visitors) in self.windows.iter_mut().zip(visitors) {
            let unconfirmed = unconfirmed.get(&window.room).copied().unwrap_or(0);
            let others = match is_whole {
                true => Others::None { unconfirmed: unconfirmed + visitors },
                false => Others::Tap,
            };
            window.disagreement = window.find_disagreement(others);
        }
    }

    /// How long a window is, if two of one room tell: the shortest, in milliseconds.
    pub(super) fn window_ms(&self) -> Option<u64> {
        let pairs = self.windows.windows(2).filter(|pair| pair[0].room == pair[1].room);
        let lengths = pairs.filter_map(|pair| {
            let count = pair[1].window.checked_sub(pair[0].window).filter(|count| *count > 0)?;
            Some(pair[1].end_unix_ms.saturating_sub(pair[0].end_unix_ms) / count)
        });
        lengths.filter(|ms| *ms > 0).min()
    }

    /// What was sent by one way in.
    pub(super) fn planned_by(&self, way: Transport) -> u64 {
        self.transports.iter().filter(|row| row.transport == way).map(|row| row.taps_planned).sum()
    }

    /// 99th percentile of a latency in milliseconds, if it was measured.
    pub(super) fn p99_ms(&self, name: &str) -> Option<f64> {
        let latency: &Latency = self.latency.get(name)?;
        (latency.all.count > 0).then(|| latency.all.p99_us as f64 / 1000.0)
    }
}

impl RoomRow {
    /// Taps sent that are in no frame. Others' taps may hide some.
    pub fn lost(&self) -> u64 {
        self.taps_sent.saturating_sub(self.taps_framed)
    }

    /// Taps in frames that nobody here sent.
    pub fn surplus(&self) -> u64 {
        self.taps_framed.saturating_sub(self.taps_sent + self.taps_unconfirmed)
    }

    /// Taps sent that the frames show as another emoji, or not at all, beyond those that are lost.
    pub fn mistaken(&self) -> u64 {
        if !self.shows_all_emoji {
            return 0;
        }
        let short = self.emoji.iter().map(|row| row.taps_sent.saturating_sub(row.taps_framed));
        short.sum::<u64>().saturating_sub(self.lost())
    }
}

impl WindowRow {
    /// Whether something is wrong with it.
    pub fn is_off(&self) -> bool {
        self.conflicting || !self.disagreement.is_empty()
    }
}

/// A part of the whole; all of it where there is nothing to do.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// A part in a million of the whole, rounded up, so that something is never nothing.
pub(super) fn ppm(part: u64, whole: u64) -> u64 {
    u64::try_from((u128::from(part) * 1_000_000).div_ceil(u128::from(whole.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::Part;
    use crate::report::synthetic::Play;

    #[test]
    fn sums_follow_from_the_rows() {
        let report = Play::new(3).report(Part::WHOLE);
        let mut other = report.clone();
        (other.taps_sent, other.taps_lost, other.taps_framed, other.generator_lag_p99_us) = (1, 2, 3, 4);
        other.windows[0].disagreement = "stale".into();
        assert_eq!(other.summed(), report);
    }

    #[test]
    fn windows_tell_how_long_they_are() {
        let mut report = Play::new(3).report(Part::WHOLE);
        assert_eq!(report.window_ms(), Some(1000));
        report.windows.retain(|window| window.window % 3 == 0);
        assert_eq!(report.window_ms(), Some(1000), "two are not there between these");
        report.windows.retain(|window| window.window == 0);
        assert_eq!(report.window_ms(), None, "two rooms have one each");
    }

    #[test]
    fn something_is_never_nothing() {
        assert_eq!([ppm(0, 10), ppm(1, 3_000_000), ppm(1, 2), ppm(1, 0)], [0, 1, 500_000, 1_000_000]);
        assert_eq!((ratio(0, 0), ratio(1, 4)), (1.0, 0.25));
    }

    #[test]
    fn a_tap_shown_as_another_emoji_is_mistaken_and_not_lost() {
        let mut room = Play::new(3).report(Part::WHOLE).rooms[0].clone();
        assert_eq!((room.lost(), room.surplus(), room.mistaken()), (0, 0, 0));
        room.emoji[0].taps_framed -= 1;
        room.emoji[1].taps_framed += 1;
        assert_eq!((room.lost(), room.surplus(), room.mistaken()), (0, 0, 1));
        room.taps_framed -= 1;
        assert_eq!((room.lost(), room.mistaken()), (1, 0));
    }
}
