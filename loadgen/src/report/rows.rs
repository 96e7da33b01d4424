//! The parts of a [`super::Report`].

use crate::ledger::Transport;
use crate::scenario::ActKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    #[default]
    Passed,
    /// Something of the server is wrong.
    Failed,
    /// The generator did not do what was planned: the run says little about the server.
    Invalid,
}

/// What ended a match before its end. Everything else in the report is about what was played until then.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Interrupted {
    /// The signal.
    pub by: String,
    /// When, in seconds after the start.
    pub after_s: f64,
}

/// A limit, and what was measured for it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// Its name in the scenario's `limits`.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// What was measured; nothing where there was nothing to measure.
    pub measured: Option<f64>,
    /// Unit of both.
    pub unit: String,
    /// Whether it is kept.
    pub passed: bool,
}

/// Something that did not get where it was meant to, and where it was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Where.
    pub place: Place,
    /// The way in, or the server's socket, that it is about; nothing where it is about all of them.
    pub by: Option<String>,
    /// Why, as far as known.
    pub reason: String,
    /// How much.
    pub count: u64,
    /// Of what: `taps`, `datagrams`, or `inputs`, which are datagrams and requests.
    pub unit: String,
}

/// A place on the way from a tap to the frame that shows it, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It never left the generator, or the generator's own kernel did not take it.
    Generator,
    /// It left and was not counted. What the kernel and the server say they dropped may explain it.
    WayIn,
    /// The server's kernel dropped it at a socket, before the server saw it.
    Kernel,
    /// The server had it.
    Server,
    /// It is in a frame that was made, and nobody here received that frame.
    WayOut,
}

/// What was real, of everything that was simulated.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Real {
    /// Machines that sent.
    pub machines: u32,
    /// UDP sockets for reaction datagrams.
    pub udp_sockets: u64,
    /// Addresses that these sent from.
    pub udp_source_addresses: u64,
    /// Reaction datagrams that the kernel took.
    pub udp_datagrams: u64,
    /// HTTP connections.
    pub http_connections: u64,
    /// HTTP requests that were answered with 202.
    pub http_requests: u64,
    /// QUIC connections: those that watch, those that also react, and those that audit.
    pub quic_connections: u64,
    /// Of these, those that also react.
    pub quic_reacting: u64,
}

/// One way in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TransportRow {
    /// Which.
    pub transport: Transport,
    /// Taps planned.
    pub taps_planned: u64,
    /// Taps sent.
    pub taps_sent: u64,
    /// Taps that the server's metrics count there, if they could be read.
    pub taps_counted: Option<u64>,
    /// Taps of requests without a reply.
    pub taps_unconfirmed: u64,
    /// Taps refused, by reason.
    pub taps_refused: BTreeMap<String, u64>,
    /// Taps given up.
    pub taps_unsent: u64,
    /// Datagrams or requests that carried what was sent.
    pub batches: u64,
    /// Of these, datagrams that a QUIC connection took and never sent: it ended, or its path did not carry them.
    #[serde(default)]
    pub datagrams_left_behind: u64,
    /// Packets, of any content, that QUIC connections hold for lost on the way to the server.
    #[serde(default)]
    pub packets_lost: u64,
    /// 99th percentile of how late they left, in microseconds; of several machines, the worst one's.
    pub lag_p99_us: u64,
}

/// One room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoomRow {
    /// Its id.
    pub room: u32,
    /// Its name.
    pub name: String,
    /// People whose room it is, of the parts in this report.
    pub people: u64,
    /// Taps sent to it.
    pub taps_sent: u64,
    /// Taps of unanswered requests to it.
    pub taps_unconfirmed: u64,
    /// Taps in its frames.
    pub taps_framed: u64,
    /// Whether its frames showed all their emoji, so that emoji could be compared.
    pub shows_all_emoji: bool,
    /// By emoji.
    pub emoji: Vec<EmojiRow>,
}

/// One emoji of a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EmojiRow {
    /// Its id.
    pub id: u16,
    /// Its glyph.
    pub glyph: String,
    /// Taps sent.
    pub taps_sent: u64,
    /// Taps that the frames show.
    pub taps_framed: u64,
}

/// One window of a room.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowRow {
    /// The room's id.
    pub room: u32,
    /// The window's number.
    pub window: u64,
    /// Its end on the server's clock, as Unix time in milliseconds.
    pub end_unix_ms: u64,
    /// Taps that were sent in it, away from its borders.
    pub taps_sent_min: u64,
    /// Taps that were sent in it, or near its borders on either side.
    pub taps_sent_max: u64,
    /// Taps that its frame shows, if a frame came.
    pub taps_framed: Option<u64>,
    /// Emoji that the frame shows: id and taps, most tapped first.
    pub top: Vec<(u16, u64)>,
    /// What was sent for sure in it, by emoji id, as far as there was anything.
    pub emoji_sent_min: Vec<u64>,
    /// What may be in it, by emoji id, as far as there was anything.
    pub emoji_sent_max: Vec<u64>,
    /// What the frame says that the sent taps cannot explain; empty when it agrees.
    pub disagreement: String,
    /// Whether machines received different frames for it; then the one with more taps is shown here.
    pub conflicting: bool,
    /// From the window's end to its first frame anywhere, in microseconds.
    pub first_us: Option<u64>,
    /// Median over all subscribers, as far as known; of several machines, the worst one's.
    pub p50_us: Option<u64>,
    /// 99th percentile over all subscribers, as far as known; of several machines, the worst one's.
    pub p99_us: Option<u64>,
    /// The last subscriber's, as far as known.
    pub last_us: Option<u64>,
}

/// Subscribers and what they got.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Subscribers {
    /// How many there were at most.
    pub count: u64,
    /// Connections lost without being meant to.
    pub lost: u64,
    /// Why, and how many each.
    pub lost_by_reason: BTreeMap<String, u64>,
    /// Frames over all subscribers.
    pub frames_received: u64,
    /// Frames that a subscriber did not get though it was there.
    pub frames_missing: u64,
    /// Frames of a window that the subscriber had seen already, or of an older one.
    pub frames_twice: u64,
    /// Frames that say something else about a window than others do.
    pub frames_conflicting: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Datagrams that the kernel dropped at this machine's own sockets, for which the server is not to blame.
    pub socket_drops: u64,
}

/// Something that subscribers did.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// What, as in the scenario.
    pub kind: ActKind,
    /// When it was meant to be, in seconds after the start.
    pub at_s: f64,
    /// How many it was about.
    pub subscribers: u64,
    /// Time until all were back, in milliseconds; nothing where nobody was to come back, or did not.
    pub back_after_ms: Option<u64>,
}

/// Input that was sent to be refused.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Hostile {
    /// Datagrams and requests; the server's `rejected_on_purpose` has them by reason.
    pub inputs: u64,
    /// Packets to the QUIC port that begin no connection.
    pub quic_packets: u64,
    /// Requests that were answered otherwise than they should be.
    pub unexpected: u64,
    /// What the first of these were, a sentence each.
    pub unexpected_first: Vec<String>,
    /// What this machine's kernel, or a connection, did not take.
    pub failed: u64,
    /// What was given up, as its moment was long over.
    pub unsent: u64,
}

/// Rates over the match, per interval.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Length of an interval in seconds.
    pub interval_s: f64,
    /// Taps planned in each.
    pub planned: Vec<u64>,
    /// Taps that left in each.
    pub sent: Vec<u64>,
    /// Moments: name, and when they begin and end in seconds.
    pub moments: Vec<(String, f64, f64)>,
}

/// What the server's metrics say, from before the first tap to after the last frame.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// All samples before the match, by name and labels as they are scraped: `uproar_windows_total` or
    /// `uproar_reactions_total{proto="udp"}`. Of several machines, the least.
    pub before: BTreeMap<String, f64>,
    /// The same after it; of several machines, the most.
    pub after: BTreeMap<String, f64>,
    /// Taps counted.
    pub taps_counted: u64,
    /// Taps in frames made.
    pub taps_framed: u64,
    /// Input refused: way in, reason and how often.
    pub rejected: Vec<(String, String, u64)>,
    /// Input that was sent to be refused: way in, reason and how often.
    pub rejected_on_purpose: Vec<(String, String, u64)>,
    /// Datagrams that the kernel dropped at its sockets, by socket.
    pub socket_drops: BTreeMap<String, u64>,
    /// Frames skipped for slow readers, by reason.
    pub frames_skipped: BTreeMap<String, u64>,
    /// CPU seconds of the process.
    pub cpu_s: Option<f64>,
    /// The same for each tap counted, in nanoseconds; everything that the server did is in it.
    pub cpu_ns_per_tap: Option<f64>,
    /// Largest resident memory that was seen, in bytes.
    pub rss_bytes_max: Option<u64>,
}

/// What it cost to generate.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// CPU seconds of this process, from the first tap to the last.
    pub cpu_s: f64,
    /// CPU seconds of the threads that send reaction datagrams.
    pub udp_cpu_s: f64,
    /// The same for each datagram, in nanoseconds.
    pub udp_cpu_ns_per_datagram: Option<f64>,
    /// Largest resident memory of this process, in bytes.
    pub rss_bytes_max: u64,
}

/// Where it ran. Of several machines, everything that they say, with `; ` between.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Version of this program.
    pub version: String,
    /// The kernel, by `uname`.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use; of several machines, all of them.
    pub cores: u64,
    /// Addresses that it sent to: what, and where.
    pub targets: BTreeMap<String, String>,
}
