//! The match to play: a TOML file, every knob with a default, a range and a sentence.
//!
//! Invariant: a [`Scenario`] that exists is within its ranges. Errors name the key, the value and the range.

use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use uproar_wire::reaction::RECORDS_MAX;

/// Why a file is not a scenario.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable { file: String, source: std::io::Error },
    /// It is not TOML, or has keys that do not exist; the parser says where.
    #[error("{0}")]
    Malformed(#[from] toml::de::Error),
    /// A value is out of its range.
    #[error("{key} = {value} is out of range; use {low} to {high}")]
    OutOfRange { key: String, value: String, low: String, high: String },
    /// Values that contradict one another.
    #[error("{key}: {reason}")]
    Contradiction { key: String, reason: String },
}

/// One match.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scenario {
    /// The same seed plays the same taps at the same moments. Any number.
    pub(crate) seed: u64,
    /// How long taps are sent, in seconds: 1 to 86,400.
    pub(crate) duration_s: f64,
    /// People in the crowd, each tap is one of theirs: 1 to 100,000,000.
    pub(crate) people: u32,
    /// Rooms they are in, evenly: 1 to 1,000, each once. They must exist on the server.
    pub(crate) rooms: Vec<u32>,
    /// Emoji they use, from id 0: 1 to 1,024, popular ones first. Every room's palette must have as many.
    pub(crate) emoji: u16,
    /// Taps of one reaction at most: 1 to 65,535; each reaction has 1 to this many.
    pub(crate) taps_max: u16,
    /// Reactions by UDP datagram; none without this table.
    pub(crate) udp: Option<Udp>,
    /// Reactions by HTTP; none without this table.
    pub(crate) http: Option<Http>,
    /// Reactions by QUIC, from connections that also subscribe; none without this table.
    pub(crate) quic: Option<Quic>,
    /// People who only watch.
    pub(crate) subscribers: Subscribers,
    /// When everybody reacts at once.
    #[serde(rename = "moment")]
    pub(crate) moments: Vec<Moment>,
    /// What counts as a failed run.
    pub(crate) limits: Limits,
}

/// Reactions by UDP, one thread a socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Udp {
    /// Over all sockets: 0.1 to 10,000,000.
    pub(crate) reactions_per_second: f64,
    /// Sockets, each a gateway that packs many people's reactions: 1 to 64.
    pub(crate) sockets: u32,
    /// Reactions in one datagram: 1 to 296.
    pub(crate) records_per_datagram: u16,
}

/// Reactions by HTTP, on keep-alive connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Over all connections: 0.1 to 1,000,000.
    pub(crate) reactions_per_second: f64,
    /// Connections: 1 to 10,000.
    pub(crate) connections: u32,
    /// Reactions in one request: 1 to 1,024.
    pub(crate) reactions_per_request: u16,
}

/// Reactions by QUIC DATAGRAM frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quic {
    /// Over all connections: 0.1 to 1,000,000.
    pub(crate) reactions_per_second: f64,
    /// Connections, each also a subscriber: 1 to 10,000.
    pub(crate) connections: u32,
    /// Reactions in one datagram: 1 to 200, which fits every path.
    pub(crate) records_per_datagram: u16,
}

/// People who only watch, over QUIC, spread evenly over the rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Subscribers {
    /// How many: 0 to 100,000. Each room has one more, who audits.
    pub(crate) count: u32,
    /// Sockets they share: 1 to 256.
    pub(crate) endpoints: u32,
    /// Handshakes under way at once while they arrive: 1 to 1,024.
    pub(crate) arriving: u32,
}

/// A stretch of the match with more taps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moment {
    /// What happens, for people.
    pub(crate) name: String,
    /// When it begins, in seconds: 0 to `duration_s`.
    pub(crate) at_s: f64,
    /// How long it lasts, in seconds: 0.01 to 86,400.
    pub(crate) lasts_s: f64,
    /// How many times the usual rate: 0.01 to 1,000. Where moments overlap, the largest holds.
    pub(crate) times: f64,
    /// The emoji that most people choose then, if any: below `emoji`.
    #[serde(default)]
    pub(crate) emoji: Option<u16>,
}

/// What counts as a failed run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Taps sent but not in any frame, of a million: 0 to 1,000,000.
    pub(crate) lost_ppm_max: u32,
    /// How late the generator itself may be, 99th percentile, in milliseconds: 1 to 60,000. Beyond, the latencies
    /// say more about the generator than about the server.
    pub(crate) lag_p99_ms_max: u32,
    /// Frames that subscribers did not get, of a million. The server may skip frames for slow readers: 0 to 1,000,000.
    pub(crate) frames_missing_ppm_max: u32,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            duration_s: 20.0,
            people: 1_000_000,
            rooms: vec![1],
            emoji: 8,
            taps_max: 1,
            udp: None,
            http: None,
            quic: None,
            subscribers: Subscribers::default(),
            moments: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self { reactions_per_second: 1000.0, sockets: 1, records_per_datagram: 32 }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { reactions_per_second: 100.0, connections: 8, reactions_per_request: 1 }
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self { reactions_per_second: 100.0, connections: 8, records_per_datagram: 1 }
    }
}

impl Default for Subscribers {
    fn default() -> Self {
        Self { count: 0, endpoints: 1, arriving: 64 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { lost_ppm_max: 0, lag_p99_ms_max: 100, frames_missing_ppm_max: 10_000 }
    }
}

impl Scenario {
    /// Reads and checks a file.
    pub(crate) fn load(file: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ScenarioError::Unreadable { file: file.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Parses and checks a file's contents.
    pub(crate) fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        in_range("duration_s", self.duration_s, 1.0..=86_400.0)?;
        in_range("people", self.people, 1..=100_000_000)?;
        in_range("rooms (number of them)", self.rooms.len(), 1..=1000)?;
        in_range("emoji", self.emoji, 1..=1024)?;
        in_range("taps_max", self.taps_max, 1..=u16::MAX)?;
        if let Some((at, room)) = self.rooms.iter().enumerate().find(|(at, room)| self.rooms[..*at].contains(room)) {
            return Err(contradiction("rooms", format!("room {room} is named twice, the second time at place {at}")));
        }
        if let Some(udp) = &self.udp {
            in_range("udp.reactions_per_second", udp.reactions_per_second, 0.1..=10_000_000.0)?;
            in_range("udp.sockets", udp.sockets, 1..=64)?;
            in_range("udp.records_per_datagram", udp.records_per_datagram, 1..=RECORDS_MAX as u16)?;
        }
        if let Some(http) = &self.http {
            in_range("http.reactions_per_second", http.reactions_per_second, 0.1..=1_000_000.0)?;
            in_range("http.connections", http.connections, 1..=10_000)?;
            in_range("http.reactions_per_request", http.reactions_per_request, 1..=1024)?;
        }
        if let Some(quic) = &self.quic {
            in_range("quic.reactions_per_second", quic.reactions_per_second, 0.1..=1_000_000.0)?;
            in_range("quic.connections", quic.connections, 1..=10_000)?;
            in_range("quic.records_per_datagram", quic.records_per_datagram, 1..=200)?;
        }
        in_range("subscribers.count", self.subscribers.count, 0..=100_000)?;
        in_range("subscribers.endpoints", self.subscribers.endpoints, 1..=256)?;
        in_range("subscribers.arriving", self.subscribers.arriving, 1..=1024)?;
        in_range("limits.lost_ppm_max", self.limits.lost_ppm_max, 0..=1_000_000)?;
        in_range("limits.lag_p99_ms_max", self.limits.lag_p99_ms_max, 1..=60_000)?;
        in_range("limits.frames_missing_ppm_max", self.limits.frames_missing_ppm_max, 0..=1_000_000)?;
        if self.udp.is_none() && self.http.is_none() && self.quic.is_none() {
            return Err(contradiction("udp, http, quic", "nobody taps; add at least one of these tables".into()));
        }
        for (at, moment) in self.moments.iter().enumerate() {
            moment.check(at, self)?;
        }
        Ok(())
    }
}

impl Moment {
    fn check(&self, at: usize, scenario: &Scenario) -> Result<(), ScenarioError> {
        in_range(&format!("moment[{at}].at_s"), self.at_s, 0.0..=scenario.duration_s)?;
        in_range(&format!("moment[{at}].lasts_s"), self.lasts_s, 0.01..=86_400.0)?;
        in_range(&format!("moment[{at}].times"), self.times, 0.01..=1000.0)?;
        match self.emoji {
            Some(emoji) => in_range(&format!("moment[{at}].emoji"), emoji, 0..=scenario.emoji - 1),
            None => Ok(()),
        }
    }
}

fn contradiction(key: &str, reason: String) -> ScenarioError {
    ScenarioError::Contradiction { key: key.into(), reason }
}

fn in_range<T: PartialOrd + Display + Copy>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ScenarioError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = (range.start().to_string(), range.end().to_string());
    Err(ScenarioError::OutOfRange { key: key.into(), value: value.to_string(), low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Scenario::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_key_and_range() {
        assert_eq!(refused("[udp]\nsockets = 65"), "udp.sockets = 65 is out of range; use 1 to 64");
        assert_eq!(
            refused("emoji = 4\n[udp]\n[[moment]]\nname = 'six'\nat_s = 1\nlasts_s = 1\ntimes = 2\nemoji = 4"),
            "moment[0].emoji = 4 is out of range; use 0 to 3"
        );
        assert!(refused("duration_s = nan\n[udp]").starts_with("duration_s = NaN is out of range"));
    }

    #[test]
    fn unknown_keys_and_contradictions_are_refused() {
        assert!(refused("[udp]\nsocket = 1").contains("unknown field `socket`"));
        assert_eq!(refused("rooms = [1, 1]\n[udp]"), "rooms: room 1 is named twice, the second time at place 1");
        assert!(refused("seed = 1").contains("nobody taps"));
    }

    #[test]
    fn the_scenarios_that_come_along_are_valid() {
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap() {
            let path = file.unwrap().path();
            Scenario::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
