//! The match to play: a TOML file, every knob with a default, a range and a sentence.
//!
//! `scenarios/reference.toml` shows all of them. [`Scenario`] has what is played when, [`Limits`] what counts as a failed
//! run; `check` knows the ranges.
//!
//! Invariant: a [`Scenario`] that was parsed is within its ranges. Errors name the key, the value and the range.

mod check;

pub use check::ScenarioError;

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::Path;
use uproar::input::Input;
use uproar::limits::PIPE_PATIENCE;

/// Bytes of a scenario: hundreds of times the reference, which has every knob with its sentence.
const SCENARIO_BYTES_MAX: u64 = 4 << 20;

/// One match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What the match is called in reports.
    pub name: String,
    /// The same seed plays the same taps at the same moments. Any number below 2^63.
    pub seed: u64,
    /// How long taps are sent, in seconds: 1 to 86,400.
    pub duration_s: f64,
    /// People in the crowd, each tap is one of theirs: 1 to 1,000,000,000.
    pub people: u32,
    /// Groups that the people are divided into, each with random numbers and a place among the sockets of its own: 1 to
    /// 10,000. A part of a run is whole groups. More rooms or ways in make more of them: each way in has at least ten, or
    /// as many as this.
    pub sections: u32,
    /// How unequally eager people are, as sigma of a log-normal distribution: 0 (all alike) to 3.
    pub eagerness_sigma: f64,
    /// The share of taps that are the person's own favourite whatever the mood: 0 to 1.
    pub loyalty: f64,
    /// Emoji they use, from id 0: 1 to 1,024, popular ones first. Every room's palette must have as many, none of them retired.
    pub emoji: u16,
    /// Taps of one reaction at most: 1 to 65,535; each reaction has 1 to this many. A server refuses more than its
    /// `limits.taps_per_record` and `limits.taps_per_request` allow: 600 in a reaction and 2,400 in a message unless it is
    /// configured otherwise.
    pub taps_max: u16,
    /// Reactions of the whole crowd a second while nothing happens: 0.1 to 100,000,000.
    pub reactions_per_second: f64,
    /// The rooms they are in.
    pub rooms: Rooms,
    /// Reactions by UDP datagram; none without this table.
    pub udp: Option<Udp>,
    /// Reactions by HTTP; none without this table.
    pub http: Option<Http>,
    /// Reactions by QUIC, from connections that also subscribe; none without this table.
    pub quic: Option<Quic>,
    /// People who only watch.
    pub subscribers: Subscribers,
    /// When everybody reacts at once, or hardly anybody.
    #[serde(rename = "moment")]
    pub moments: Vec<Moment>,
    /// What people choose from when, besides moments.
    #[serde(rename = "mood")]
    pub moods: Vec<Mood>,
    /// How much of the crowd is there when.
    #[serde(rename = "attendance")]
    pub attendance: Vec<Attendance>,
    /// Input that must be refused; none without this table.
    pub hostile: Option<Hostile>,
    /// What counts as a failed run.
    pub limits: Limits,
}

/// Where people are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rooms {
    /// Id of the first one; the others follow: 1 to 4,000,000,000.
    pub first: u32,
    /// How many: 1 to 10,000.
    pub count: u32,
    /// How unequally they are filled: the n-th has 1/n^zipf as many people as the first; 0 (evenly) to 3.
    pub zipf: f64,
    /// Whether rooms that do not exist are made before the match, over the admin port, and deleted after it, unless only a
    /// part of the crowd is played: others may still be in them.
    pub create: bool,
}

/// Reactions by UDP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Udp {
    /// People who use it, relative to the other ways in: 0.000001 to 1,000,000.
    pub share: f64,
    /// Sockets of this machine: 1 to 10,000. A section stays with one.
    pub sockets: u32,
    /// Source addresses of the sockets, in turn.
    pub from: Sources,
    /// Reactions in one datagram at most: 1 (a phone's) to 296 (a gateway's). A batch is what a section taps in 10 ms.
    pub records_per_datagram: u16,
    /// Whether datagrams that are due together go to the kernel as one train (GSO), as a gateway would send them. The
    /// server then receives trains, which is far cheaper than datagrams of many phones.
    pub trains: bool,
    /// Threads that plan and send: 1 to 256.
    pub threads: u32,
}

/// Reactions by HTTP, on keep-alive connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// People who use it, relative to the other ways in: 0.000001 to 1,000,000.
    pub share: f64,
    /// Connections of this machine: 1 to 100,000.
    pub connections: u32,
    /// Source addresses of the connections, in turn.
    pub from: Sources,
    /// Reactions in one request at most: 1 to 1,024.
    pub reactions_per_request: u16,
}

/// Reactions by QUIC DATAGRAM frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quic {
    /// People who use it, relative to the other ways in: 0.000001 to 1,000,000.
    pub share: f64,
    /// Connections of this machine, each also a subscriber of one room: 1 to 10,000.
    pub connections: u32,
    /// Sockets that they share: 1 to 256.
    pub endpoints: u32,
    /// Source addresses of the sockets, in turn.
    pub from: Sources,
    /// Reactions in one datagram at most: 1 to 200, which fits every path.
    pub records_per_datagram: u16,
}

/// Addresses to send from, so that ports do not run out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sources {
    /// So many of 127.0.0.0/8, where the server is on loopback; elsewhere 1, which is the kernel's choice: 1 to 65,536.
    Loopback(u32),
    /// These, which must be this machine's.
    Listed(Vec<IpAddr>),
}

/// People who only watch, over QUIC; one thread holds them all. Each watches one room, which it chooses as the crowd does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subscribers {
    /// How many, over all machines of a run: 0 to 1,000,000.
    pub count: u32,
    /// Of these, the share that is there before the match: 0 to 1. The others wait for an act that lets them join.
    pub present: f64,
    /// On their way at a time while they arrive: 1 to 10,000.
    pub connecting_max: u32,
    /// Whether handshakes after the first resume its TLS session.
    pub resume: bool,
    /// What they do beside watching.
    #[serde(rename = "act")]
    pub acts: Vec<Act>,
}

/// Something that many subscribers do at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When, in seconds: 0 to `duration_s`.
    pub at_s: f64,
    /// What.
    pub kind: ActKind,
    /// The share of all subscribers that it is about, from the first one on: 0 to 1.
    pub share: f64,
    /// How long it lasts, in seconds; for pauses only: 0.1 to 86,400.
    #[serde(default)]
    pub lasts_s: Option<f64>,
}

/// What subscribers can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// They close their connections and connect again, all at once.
    Reconnect,
    /// They vanish without a word, as when a network breaks, and connect again.
    Break,
    /// They close their connections and stay away.
    Leave,
    /// Those who are not there connect.
    Join,
    /// They acknowledge packets and read nothing, like an application that hangs.
    PauseUnread,
    /// They hear nothing and say nothing, like a phone in a tunnel.
    PauseDeaf,
}

impl ActKind {
    /// As in a scenario.
    pub fn label(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Break => "break",
            Self::Leave => "leave",
            Self::Join => "join",
            Self::PauseUnread => "pause_unread",
            Self::PauseDeaf => "pause_deaf",
        }
    }

    /// Whether those who do it are to be subscribed afterwards, and take time for it.
    pub fn returns(self) -> bool {
        matches!(self, Self::Reconnect | Self::Break | Self::Join)
    }
}

/// A stretch of the match with more taps, or fewer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// What happens, for people.
    pub name: String,
    /// When it begins, in seconds: 0 to `duration_s`.
    pub at_s: f64,
    /// How many times the usual rate at its height: 0 to 1,000. Where moments overlap, the one that is furthest from the
    /// usual rate holds.
    pub times: f64,
    /// From its beginning to its height, in seconds: 0 to 3,600; 0.2 unless said.
    #[serde(default = "rise_s")]
    pub rise_s: f64,
    /// How long it stays there, in seconds: 0 to 86,400; 1 unless said.
    #[serde(default = "hold_s")]
    pub hold_s: f64,
    /// How fast it is over: the time in which a third (1/e) is left, in seconds: 0 to 3,600; 2 unless said. After five
    /// of these it has ended.
    #[serde(default = "decay_s")]
    pub decay_s: f64,
    /// The emoji that many choose then, if any: below `emoji`.
    #[serde(default)]
    pub emoji: Option<u16>,
    /// How many of those who are not loyal do, at its height: 0 to 1; 0.6 unless said.
    #[serde(default = "moment_share")]
    pub share: f64,
}

/// What people choose from, from one time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mood {
    /// What the mood is, for people.
    pub name: String,
    /// From when on, in seconds: 0 to `duration_s`. Before the first mood the n-th emoji is chosen 1/n as often as the
    /// first.
    pub at_s: f64,
    /// How long the change takes, in seconds: 0 to 86,400; 2 unless said.
    #[serde(default = "mood_over_s")]
    pub over_s: f64,
    /// How often each emoji is chosen, relative to the others, from id 0: at most `emoji` numbers from 0 to 1,000,000, not
    /// all 0; those that are not named are not chosen.
    pub weights: Vec<f64>,
}

/// How much of the crowd is there, from one time on. Who is not there does not tap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attendance {
    /// When the change begins, in seconds: 0 to `duration_s`. Before the first one everybody is there.
    pub at_s: f64,
    /// How long it takes, in seconds: 0 to 86,400; 0 unless said.
    #[serde(default)]
    pub over_s: f64,
    /// The share of the crowd that is there then: 0 to 1.
    pub present: f64,
}

/// Input that must be refused, mixed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hostile {
    /// Malformed reaction datagrams a second, of all kinds in turn: 0 to 1,000,000.
    pub datagrams_per_second: f64,
    /// Malformed HTTP requests a second, of all kinds in turn: 0 to 10,000.
    pub requests_per_second: f64,
    /// Packets a second to the QUIC port that begin no connection: noise, and first packets of handshakes that are never
    /// finished: 0 to 100,000.
    pub quic_packets_per_second: f64,
    /// Source addresses that they claim, in turn.
    pub from: Sources,
}

/// What counts as a failed run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Taps sent but not in any frame, of a million: 0 to 1,000,000.
    pub lost_ppm_max: u32,
    /// Taps sent over taps planned, at least: 0 to 1.
    pub achieved_ratio_min: f64,
    /// How late the generator itself may be, 99th percentile, in milliseconds: 1 to 60,000. Beyond, the run is invalid: its
    /// latencies say more about the generator than about the server.
    pub lag_p99_ms_max: u32,
    /// Frames that subscribers did not get, of a million. The server may skip frames for slow readers: 0 to 1,000,000.
    pub frames_missing_ppm_max: u32,
    /// A tap that is sent so close to a window's border may be in either window, in milliseconds: 1 to 60,000.
    pub border_ms: u32,
    /// Windows of a room whose frame differs from what was sent by more than the border explains: 0 to 1,000,000.
    pub windows_off_max: u32,
    /// Different people who tap at least once: 0 (any number) to 1,000,000,000.
    pub people_acted_min: u32,
    /// From a tap's planned moment to the first frame that shows it, 99th percentile, in milliseconds: 0 (any) to 600,000.
    pub tap_to_frame_p99_ms_max: u32,
    /// From a request's planned moment to its 202, 99th percentile, in milliseconds: 0 (any) to 600,000.
    pub http_p99_ms_max: u32,
    /// From the first subscriber's frame of a window to each other's, 99th percentile, in milliseconds: 0 (any) to 600,000.
    pub spread_p99_ms_max: u32,
    /// Time until all subscribers are back after an act, in milliseconds: 0 (any) to 600,000.
    pub return_ms_max: u32,
}

fn rise_s() -> f64 {
    0.2
}

fn hold_s() -> f64 {
    1.0
}

fn decay_s() -> f64 {
    2.0
}

fn moment_share() -> f64 {
    0.6
}

fn mood_over_s() -> f64 {
    2.0
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "a match".to_owned(),
            seed: 1,
            duration_s: 20.0,
            people: 1_000_000,
            sections: 120,
            eagerness_sigma: 1.0,
            loyalty: 0.3,
            emoji: 8,
            taps_max: 1,
            reactions_per_second: 1000.0,
            rooms: Rooms::default(),
            udp: None,
            http: None,
            quic: None,
            subscribers: Subscribers::default(),
            moments: Vec::new(),
            moods: Vec::new(),
            attendance: Vec::new(),
            hostile: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self { first: 1, count: 1, zipf: 1.0, create: false }
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self { share: 1.0, sockets: 8, from: Sources::Loopback(8), records_per_datagram: 1, trains: false, threads: 1 }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { share: 1.0, connections: 8, from: Sources::Loopback(1), reactions_per_request: 1 }
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self { share: 1.0, connections: 8, endpoints: 1, from: Sources::Loopback(1), records_per_datagram: 1 }
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self::Loopback(1)
    }
}

impl Default for Subscribers {
    fn default() -> Self {
        Self { count: 0, present: 1.0, connecting_max: 256, resume: false, acts: Vec::new() }
    }
}

impl Default for Hostile {
    fn default() -> Self {
        Self {
            datagrams_per_second: 100.0,
            requests_per_second: 10.0,
            quic_packets_per_second: 100.0,
            from: Sources::Loopback(16),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lost_ppm_max: 0,
            achieved_ratio_min: 0.999,
            lag_p99_ms_max: 100,
            frames_missing_ppm_max: 10_000,
            border_ms: 250,
            windows_off_max: 0,
            people_acted_min: 0,
            tap_to_frame_p99_ms_max: 0,
            http_p99_ms_max: 0,
            spread_p99_ms_max: 0,
            return_ms_max: 0,
        }
    }
}

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Says which file, or which key, value and range.
    pub fn load(file: &Path) -> Result<Self, ScenarioError> {
        let text = Input::file_or_pipe(SCENARIO_BYTES_MAX, PIPE_PATIENCE)
            .read_text(file)
            .map_err(|source| ScenarioError::Unreadable { file: file.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Parses and checks a file's contents.
    ///
    /// # Errors
    /// Says which key, value and range.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }
}
