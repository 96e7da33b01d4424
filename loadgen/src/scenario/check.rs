//! The ranges of a scenario's knobs. Ranges are also in the knobs' sentences; here they are enforced.
//!
//! Deliberately not here: what only the server knows (palettes, rooms that exist), which a run finds out before it starts.

use super::{Act, ActKind, Attendance, Hostile, Limits, Moment, Mood, Rooms, Scenario, Sources, Subscribers};
use std::fmt::Display;
use std::ops::RangeInclusive;
use uproar::input::InputError;
use uproar_wire::reaction::RECORDS_MAX;

/// Bytes that the counts of what was sent, per room, window and emoji, may take.
const LEDGER_BYTES_MAX: f64 = (512 << 20) as f64;
/// Windows are this long where nobody has said so yet; only for the estimate above.
const WINDOW_S_ASSUMED: f64 = 2.0;

/// Why a file is not a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: InputError,
    },
    /// It is not TOML, or has keys that do not exist; the parser says where.
    #[error("{0}")]
    Malformed(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{key} = {value} is out of range; use {low} to {high}")]
    OutOfRange {
        /// The knob.
        key: String,
        /// What it was set to.
        value: String,
        /// The least that it can be.
        low: String,
        /// The most.
        high: String,
    },
    /// Values that contradict one another.
    #[error("{key}: {reason}")]
    Contradiction {
        /// The knob.
        key: String,
        /// Why it cannot be so, and what to change.
        reason: String,
    },
}

type Checked = Result<(), ScenarioError>;

impl Scenario {
    /// Whether all knobs are within their ranges.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Checked {
        in_range("seed", self.seed, 0..=i64::MAX as u64)?;
        in_range("duration_s", self.duration_s, 1.0..=86_400.0)?;
        in_range("people", self.people, 1..=1_000_000_000)?;
        in_range("sections", self.sections, 1..=10_000)?;
        in_range("eagerness_sigma", self.eagerness_sigma, 0.0..=3.0)?;
        in_range("loyalty", self.loyalty, 0.0..=1.0)?;
        in_range("emoji", self.emoji, 1..=1024)?;
        in_range("taps_max", self.taps_max, 1..=u16::MAX)?;
        in_range("reactions_per_second", self.reactions_per_second, 0.1..=100_000_000.0)?;
        self.rooms.check()?;
        self.check_ways_in()?;
        self.subscribers.check(self)?;
        self.moments.iter().enumerate().try_for_each(|(at, moment)| moment.check(at, self))?;
        self.moods.iter().enumerate().try_for_each(|(at, mood)| mood.check(at, self))?;
        self.attendance.iter().enumerate().try_for_each(|(at, change)| change.check(at, self))?;
        in_order("mood", self.moods.iter().map(|mood| mood.at_s))?;
        in_order("attendance", self.attendance.iter().map(|change| change.at_s))?;
        self.hostile.as_ref().map_or(Ok(()), Hostile::check)?;
        self.limits.check()?;
        if self.limits.people_acted_min > self.people {
            let reason = format!("more than the {} people there are; lower it, or raise `people`", self.people);
            return Err(contradiction("limits.people_acted_min", reason));
        }
        let times_max = self.moments.iter().map(|moment| moment.times).fold(1.0, f64::max);
        in_range("reactions_per_second x the largest moment.times", self.reactions_per_second * times_max, 0.1..=1e9)?;
        self.check_memory()
    }

    fn check_ways_in(&self) -> Checked {
        if let Some(udp) = &self.udp {
            in_range("udp.share", udp.share, 0.000_001..=1_000_000.0)?;
            in_range("udp.sockets", udp.sockets, 1..=10_000)?;
            in_range("udp.records_per_datagram", udp.records_per_datagram, 1..=RECORDS_MAX as u16)?;
            in_range("udp.threads", udp.threads, 1..=256)?;
            udp.from.check("udp.from")?;
        }
        if let Some(http) = &self.http {
            in_range("http.share", http.share, 0.000_001..=1_000_000.0)?;
            in_range("http.connections", http.connections, 1..=100_000)?;
            in_range("http.reactions_per_request", http.reactions_per_request, 1..=1024)?;
            http.from.check("http.from")?;
        }
        if let Some(quic) = &self.quic {
            in_range("quic.share", quic.share, 0.000_001..=1_000_000.0)?;
            in_range("quic.connections", quic.connections, 1..=10_000)?;
            in_range("quic.endpoints", quic.endpoints, 1..=256)?;
            in_range("quic.records_per_datagram", quic.records_per_datagram, 1..=200)?;
            quic.from.check("quic.from")?;
        }
        if self.udp.is_none() && self.http.is_none() && self.quic.is_none() {
            return Err(contradiction("udp, http, quic", "nobody taps; add at least one of these tables".to_owned()));
        }
        Ok(())
    }

    /// Three cells of 8 bytes a room, window and emoji, and a curve of 4 bytes a room and slice.
    fn check_memory(&self) -> Checked {
        let cells = self.duration_s / WINDOW_S_ASSUMED * f64::from(self.emoji) * 3.0 * 8.0;
        let curve = self.duration_s * 100.0 * 4.0;
        // One for each thread that sends datagrams, for each other way in, and for the sums.
        let ledgers = f64::from(self.udp.as_ref().map_or(0, |udp| udp.threads)) + 4.0;
        let bytes = f64::from(self.rooms.count) * (cells + curve) * ledgers;
        if bytes > LEDGER_BYTES_MAX {
            let (needs, has) = ((bytes / f64::from(1 << 20)).ceil(), LEDGER_BYTES_MAX / f64::from(1 << 20));
            return Err(contradiction(
                "duration_s, rooms.count, emoji",
                format!(
                    "what is sent could take {needs} MiB to write down, {has} are allowed; use less of one of these"
                ),
            ));
        }
        Ok(())
    }
}

impl Rooms {
    fn check(&self) -> Checked {
        in_range("rooms.first", self.first, 1..=4_000_000_000)?;
        in_range("rooms.count", self.count, 1..=10_000)?;
        in_range("rooms.zipf", self.zipf, 0.0..=3.0)
    }
}

impl Sources {
    fn check(&self, key: &str) -> Checked {
        match self {
            Self::Loopback(count) => in_range(key, *count, 1..=65_536),
            Self::Listed(addresses) => in_range(&format!("{key} (number of addresses)"), addresses.len(), 1..=65_536),
        }
    }
}

impl Subscribers {
    fn check(&self, scenario: &Scenario) -> Checked {
        in_range("subscribers.count", self.count, 0..=1_000_000)?;
        in_range("subscribers.present", self.present, 0.0..=1.0)?;
        in_range("subscribers.connecting_max", self.connecting_max, 1..=10_000)?;
        self.acts.iter().enumerate().try_for_each(|(at, act)| act.check(at, scenario))
    }
}

impl Act {
    fn check(&self, at: usize, scenario: &Scenario) -> Checked {
        let key = |name: &str| format!("subscribers.act[{at}].{name}");
        in_range(&key("at_s"), self.at_s, 0.0..=scenario.duration_s)?;
        in_range(&key("share"), self.share, 0.0..=1.0)?;
        let pauses = matches!(self.kind, ActKind::PauseDeaf | ActKind::PauseUnread);
        match self.lasts_s {
            Some(lasts_s) if pauses => in_range(&key("lasts_s"), lasts_s, 0.1..=86_400.0),
            None if !pauses => Ok(()),
            Some(_) => Err(contradiction(&key("lasts_s"), "only pauses last; leave it out".to_owned())),
            None => Err(contradiction(&key("lasts_s"), "a pause lasts; say how many seconds".to_owned())),
        }
    }
}

impl Moment {
    fn check(&self, at: usize, scenario: &Scenario) -> Checked {
        let key = |name: &str| format!("moment[{at}].{name}");
        in_range(&key("at_s"), self.at_s, 0.0..=scenario.duration_s)?;
        in_range(&key("times"), self.times, 0.0..=1000.0)?;
        in_range(&key("rise_s"), self.rise_s, 0.0..=3600.0)?;
        in_range(&key("hold_s"), self.hold_s, 0.0..=86_400.0)?;
        in_range(&key("decay_s"), self.decay_s, 0.0..=3600.0)?;
        in_range(&key("share"), self.share, 0.0..=1.0)?;
        self.emoji.map_or(Ok(()), |emoji| in_range(&key("emoji"), emoji, 0..=scenario.emoji - 1))
    }
}

impl Mood {
    fn check(&self, at: usize, scenario: &Scenario) -> Checked {
        let key = |name: &str| format!("mood[{at}].{name}");
        in_range(&key("at_s"), self.at_s, 0.0..=scenario.duration_s)?;
        in_range(&key("over_s"), self.over_s, 0.0..=86_400.0)?;
        in_range(&key("weights (number of them)"), self.weights.len(), 1..=usize::from(scenario.emoji))?;
        self.weights.iter().try_for_each(|weight| in_range(&key("weights"), *weight, 0.0..=1_000_000.0))?;
        if self.weights.iter().sum::<f64>() <= 0.0 {
            return Err(contradiction(&key("weights"), "all are 0; somebody must choose something".to_owned()));
        }
        Ok(())
    }
}

impl Attendance {
    fn check(&self, at: usize, scenario: &Scenario) -> Checked {
        let key = |name: &str| format!("attendance[{at}].{name}");
        in_range(&key("at_s"), self.at_s, 0.0..=scenario.duration_s)?;
        in_range(&key("over_s"), self.over_s, 0.0..=86_400.0)?;
        in_range(&key("present"), self.present, 0.0..=1.0)
    }
}

impl Hostile {
    fn check(&self) -> Checked {
        in_range("hostile.datagrams_per_second", self.datagrams_per_second, 0.0..=1_000_000.0)?;
        in_range("hostile.requests_per_second", self.requests_per_second, 0.0..=10_000.0)?;
        in_range("hostile.quic_packets_per_second", self.quic_packets_per_second, 0.0..=100_000.0)?;
        self.from.check("hostile.from")
    }
}

impl Limits {
    fn check(&self) -> Checked {
        in_range("limits.lost_ppm_max", self.lost_ppm_max, 0..=1_000_000)?;
        in_range("limits.achieved_ratio_min", self.achieved_ratio_min, 0.0..=1.0)?;
        in_range("limits.lag_p99_ms_max", self.lag_p99_ms_max, 1..=60_000)?;
        in_range("limits.frames_missing_ppm_max", self.frames_missing_ppm_max, 0..=1_000_000)?;
        in_range("limits.border_ms", self.border_ms, 1..=60_000)?;
        in_range("limits.windows_off_max", self.windows_off_max, 0..=1_000_000)?;
        in_range("limits.people_acted_min", self.people_acted_min, 0..=1_000_000_000)?;
        in_range("limits.tap_to_frame_p99_ms_max", self.tap_to_frame_p99_ms_max, 0..=600_000)?;
        in_range("limits.http_p99_ms_max", self.http_p99_ms_max, 0..=600_000)?;
        in_range("limits.spread_p99_ms_max", self.spread_p99_ms_max, 0..=600_000)?;
        in_range("limits.return_ms_max", self.return_ms_max, 0..=600_000)
    }
}

fn contradiction(key: &str, reason: String) -> ScenarioError {
    ScenarioError::Contradiction { key: key.to_owned(), reason }
}

fn in_order(key: &str, times_s: impl Iterator<Item = f64>) -> Checked {
    let times_s: Vec<f64> = times_s.collect();
    match times_s.windows(2).position(|pair| pair[1] <= pair[0]) {
        None => Ok(()),
        Some(at) => Err(contradiction(&format!("{key}[{}].at_s", at + 1), "not after the one before it".to_owned())),
    }
}

fn in_range<T: PartialOrd + Display + Copy>(key: &str, value: T, range: RangeInclusive<T>) -> Checked {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = (range.start().to_string(), range.end().to_string());
    Err(ScenarioError::OutOfRange { key: key.to_owned(), value: value.to_string(), low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Http, Quic, Udp};
    use std::collections::BTreeMap;

    fn refused(text: &str) -> String {
        Scenario::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_key_and_range() {
        assert_eq!(refused("[udp]\nsockets = 0"), "udp.sockets = 0 is out of range; use 1 to 10000");
        assert_eq!(
            refused("emoji = 4\n[udp]\n[[moment]]\nname = 'six'\nat_s = 1\ntimes = 2\nemoji = 4"),
            "moment[0].emoji = 4 is out of range; use 0 to 3"
        );
        assert!(refused("duration_s = nan\n[udp]").starts_with("duration_s = NaN is out of range"));
        assert!(refused("[udp]\nfrom = []").starts_with("udp.from (number of addresses) = 0"));
    }

    #[test]
    fn unknown_keys_and_contradictions_are_refused() {
        assert!(refused("[udp]\nsocket = 1").contains("unknown field `socket`"));
        assert!(refused("seed = 1").contains("nobody taps"));
        let act = |rest: &str| refused(&format!("[udp]\n[[subscribers.act]]\nat_s = 1\nshare = 0.5\n{rest}"));
        assert!(act("kind = 'pause_deaf'").contains("say how many seconds"));
        assert!(act("kind = 'reconnect'\nlasts_s = 3").contains("leave it out"));
        let moods = "[udp]\n[[mood]]\nname='a'\nat_s=3\nweights=[1]\n[[mood]]\nname='b'\nat_s=3\nweights=[1]";
        assert_eq!(refused(moods), "mood[1].at_s: not after the one before it");
        assert!(refused("duration_s = 7200\nrooms.count = 10000\n[udp]").contains("MiB"));
        assert!(refused("[udp]\n[limits]\npeople_acted_min = 1000001").contains("1000000 people there are"));
        let peak = "reactions_per_second = 1e8\nmoment = [{ name = 'x', at_s = 1, times = 11 }]\n[udp]";
        assert!(refused(peak).contains("the largest moment.times = 1100000000"));
    }

    /// Keys of all tables, as `a.b`; lists by their first table.
    fn keys(prefix: &str, value: &toml::Value, keys: &mut BTreeMap<String, toml::Value>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    self::keys(&key, value, keys);
                }
            }
            toml::Value::Array(list) if list.first().is_some_and(toml::Value::is_table) => {
                self::keys(prefix, &list[0], keys);
            }
            value => _ = keys.insert(prefix.to_owned(), value.clone()),
        }
    }

    #[test]
    fn the_reference_has_every_knob_with_its_default() {
        let text = include_str!("../../scenarios/reference.toml");
        let (mut written, mut known) = (BTreeMap::new(), BTreeMap::new());
        keys("", &text.parse::<toml::Table>().unwrap().into(), &mut written);
        // What its types know, once the tables that may be missing are there.
        let mut full = Scenario::parse(text).unwrap();
        keys("", &toml::Value::try_from(&full).unwrap(), &mut known);
        assert_eq!(written.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>());
        full.name = Scenario::default().name;
        full.moments.clear();
        full.moods.clear();
        full.attendance.clear();
        full.subscribers.acts.clear();
        let tables = (Some(Udp::default()), Some(Http::default()), Some(Quic::default()), Some(Hostile::default()));
        let (udp, http, quic, hostile) = tables;
        assert_eq!(full, Scenario { udp, http, quic, hostile, ..Scenario::default() });
    }

    #[test]
    fn what_is_no_file_is_no_scenario() {
        for (path, said) in [("/dev/zero", "it is a device"), ("/", "it is a directory"), ("/none", "no such file")] {
            let error = Scenario::load(std::path::Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_scenarios_that_come_along_are_valid() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap() {
            let path = file.unwrap().path();
            Scenario::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
