//! What a running server does, in figures: made from two readings of its metrics.
//!
//! Invariant: pure, from its inputs alone; what the server does not tell is `None` (in JSON `null`) or an empty map. The
//! fields are, under the same names, the keys of `uproar top --json`; `docs/TOP.md` describes them.
//! Not here: how figures are shown ([`super::words`], [`super::view`]).

use super::rates::{Before, Count, Growth, Quantiles};
use super::samples::Samples;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The histogram from a window's close to its frame.
pub const WINDOW_CLOSE: &str = "uproar_window_close_seconds";
/// The histogram from a frame to its subscribers.
pub const FANOUT: &str = "uproar_fanout_seconds";
/// How many rooms a shard knows.
pub const ROOMS: &str = "uproar_rooms";

/// What is read of `/metrics/shards`: a hundred shards tell much more.
pub const SHARD_FAMILIES: [&str; 12] = [
    "uproar_reactions_total",
    "uproar_loop_turns_total",
    BUSY,
    IDLE,
    "uproar_ring_enters_total",
    "uproar_completions_total",
    "uproar_subscribers",
    "uproar_http_connections",
    "uproar_mesh_depth",
    "uproar_buffer_exhaustion_total",
    "uproar_sends_stalled_total",
    ROOMS,
];

const BUSY: &str = "uproar_loop_busy_seconds_total";
const IDLE: &str = "uproar_loop_idle_seconds_total";
const START_TIME: &str = "process_start_time_seconds";
/// Starts that are further apart than this are of two processes. The kernel tells them to a hundredth of a second.
const SAME_START: f64 = 0.5;
/// Rates over less than this say nothing, and must not divide by 0.
const SECONDS_MIN: f64 = 0.001;

/// Everything that was read of a server at one time.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When, since `top` started.
    pub at: Duration,
    /// When, since 1970 in UTC, by the clock of the machine that `top` runs on.
    pub wall: Duration,
    /// Whether the server takes part, or drains.
    pub state: State,
    /// `/metrics`.
    pub node: Samples,
    /// [`SHARD_FAMILIES`] of `/metrics/shards`.
    pub shards: Samples,
    /// The rooms by id, if they were asked for.
    pub rooms: Option<Vec<Room>>,
}

/// What `/readyz` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taps and subscribers are welcome.
    Ready,
    /// The server is about to end.
    Draining,
}

/// A room as `/v1/rooms` lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Room {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// How many emoji its palette has that can be tapped.
    pub emoji: usize,
}

/// What a server does.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figures {
    /// Of the server.
    pub version: Option<String>,
    /// Whether it takes part.
    pub state: State,
    /// How long it has been running.
    pub uptime_seconds: Option<f64>,
    /// What the rates are over; none in the first reading.
    pub interval_seconds: Option<f64>,
    /// Whether it has started since the reading before.
    pub restarted: bool,
    /// Taps counted, by way in.
    pub taps: BTreeMap<String, Count>,
    /// Taps counted, all ways.
    pub taps_counted: Count,
    /// Taps in frames that were made.
    pub taps_in_frames: Count,
    /// Datagrams and requests that were not counted, by why.
    pub rejected: BTreeMap<String, Count>,
    /// Datagrams that the kernel dropped, by socket.
    pub dropped: BTreeMap<String, Count>,
    /// Windows closed.
    pub windows: Count,
    /// Deltas that came after their window was sealed.
    pub late_deltas: Count,
    /// From a window's close to its frame encoded.
    pub window_close_seconds: Quantiles,
    /// From a frame encoded to handed to the kernel.
    pub fanout_seconds: Quantiles,
    /// Frames made.
    pub frames_made: Count,
    /// Frames handed to subscribers.
    pub frames_sent: Count,
    /// Frames that subscribers did not get, by why.
    pub frames_skipped: BTreeMap<String, Count>,
    /// Subscribers now, by way out.
    pub subscribers: BTreeMap<String, u64>,
    /// Subscribers there may be.
    pub subscribers_max: Option<u64>,
    /// Connections, by protocol and how they began or ended.
    pub connections: BTreeMap<String, BTreeMap<String, Count>>,
    /// Rooms there are.
    pub rooms_count: Option<u64>,
    /// Those rooms by id; none on a node with too many to list, and when they could not be read.
    pub rooms: Option<Vec<Room>>,
    /// The server's process.
    pub process: Process,
    /// Its shards, in order.
    pub shards: Vec<Shard>,
}

/// What the kernel says of the server's process.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Process {
    /// CPU time a second, of all threads: 2 are two cores.
    pub cpu_cores: Option<f64>,
    /// Memory that is resident.
    pub resident_bytes: Option<u64>,
    /// Descriptors open.
    pub open_files: Option<u64>,
    /// Descriptors that may be open.
    pub open_files_max: Option<u64>,
}

/// One shard.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Shard {
    /// Its number.
    pub shard: u32,
    /// Taps counted by it.
    pub taps: Count,
    /// Turns of its loop.
    pub turns: Count,
    /// The part of the time for which its loop was awake, 0 to 1.
    pub busy: Option<f64>,
    /// Times it entered the ring.
    pub ring_enters: Count,
    /// Completions it took from the ring.
    pub completions: Count,
    /// Its subscribers now.
    pub subscribers: Option<u64>,
    /// Its HTTP connections now.
    pub http_connections: Option<u64>,
    /// Messages of the mesh that wait at their ends.
    pub mesh_depth: Option<u64>,
    /// Times its ring had no provided buffer left.
    pub buffer_exhaustion: Count,
    /// Times a peer took less than was sent.
    pub sends_stalled: Count,
}

impl Figures {
    /// What happened between two readings, the last of which is `now`. Latencies are given by who looks at more than
    /// two readings.
    pub fn of(before: Option<&Reading>, now: &Reading, latencies: [Quantiles; 2]) -> Self {
        let age = now.node.sum(START_TIME, &[]).map(|start| now.wall.as_secs_f64() - start);
        let restarted = before.is_some_and(|before| has_restarted(&before.node, &now.node));
        let passed = before.map(|before| now.at.saturating_sub(before.at).as_secs_f64());
        let interval_seconds = passed.map(|passed| {
            let passed = passed.max(SECONDS_MIN);
            // By clocks of two machines, which may differ: an age that cannot be is not gone by.
            age.filter(|age| restarted && (SECONDS_MIN..passed).contains(age)).unwrap_or(passed)
        });
        let growth = |page: fn(&Reading) -> &Samples| Growth {
            now: page(now),
            before: before
                .zip(interval_seconds)
                .map(|(before, seconds)| Before { samples: (!restarted).then_some(page(before)), seconds }),
        };
        let node = growth(|reading| &reading.node);
        let [window_close_seconds, fanout_seconds] = latencies;
        Self {
            version: now.node.values_of("uproar_build_info", "version").first().map(ToString::to_string),
            state: now.state,
            uptime_seconds: age.map(|age| age.max(0.0)),
            interval_seconds,
            restarted,
            taps: by_label(&node, "uproar_reactions_total", "proto"),
            taps_counted: node.count("uproar_reactions_total", &[]),
            taps_in_frames: node.count("uproar_frame_taps_total", &[]),
            rejected: by_label(&node, "uproar_rejected_total", "reason"),
            dropped: by_label(&node, "uproar_socket_drops_total", "socket"),
            windows: node.count("uproar_windows_total", &[]),
            late_deltas: node.count("uproar_window_late_deltas_total", &[]),
            window_close_seconds,
            fanout_seconds,
            frames_made: node.count("uproar_frames_made_total", &[]),
            frames_sent: node.count("uproar_frames_sent_total", &[]),
            frames_skipped: by_label(&node, "uproar_frames_skipped_total", "reason"),
            subscribers: gauges(&now.node, "uproar_subscribers", "proto"),
            subscribers_max: subscribers_max(&now.node),
            connections: connections(&node),
            rooms_count: rooms_count(&now.shards),
            rooms: now.rooms.clone(),
            process: Process::of(&node),
            shards: shards(&growth(|reading| &reading.shards)),
        }
    }

    /// Subscribers now, all ways out.
    pub fn subscribers_now(&self) -> Option<u64> {
        self.subscribers.values().copied().reduce(|sum, count| sum + count)
    }
}

/// Rooms that the shards of a page know. While a room comes or goes some know one more.
pub fn rooms_count(shards: &Samples) -> Option<u64> {
    let known =
        shards.values_of(ROOMS, "shard").into_iter().filter_map(|shard| gauge(shards, ROOMS, &[("shard", shard)]));
    known.max()
}

/// Another process answers. Without a start time (no `/proc`), windows tell: they never become fewer.
fn has_restarted(before: &Samples, now: &Samples) -> bool {
    match (before.sum(START_TIME, &[]), now.sum(START_TIME, &[])) {
        (Some(before), Some(now)) => (now - before).abs() > SAME_START,
        _ => {
            let windows = |page: &Samples| page.sum("uproar_windows_total", &[]);
            windows(before).zip(windows(now)).is_some_and(|(before, now)| now < before)
        }
    }
}

fn by_label(growth: &Growth<'_>, name: &str, key: &str) -> BTreeMap<String, Count> {
    let values = growth.now.values_of(name, key).into_iter();
    values.map(|value| (value.to_owned(), growth.count(name, &[(key, value)]))).collect()
}

fn gauges(samples: &Samples, name: &str, key: &str) -> BTreeMap<String, u64> {
    let values = samples.values_of(name, key).into_iter();
    values.filter_map(|value| Some((value.to_owned(), gauge(samples, name, &[(key, value)])?))).collect()
}

fn gauge(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    samples.sum(name, labels).map(|value| value.max(0.0) as u64)
}

/// By QUIC, and by HTTP where the server knows streams.
fn subscribers_max(samples: &Samples) -> Option<u64> {
    Some(gauge(samples, "uproar_subscribers_max", &[])? + gauge(samples, "uproar_streams_max", &[]).unwrap_or(0))
}

fn connections(growth: &Growth<'_>) -> BTreeMap<String, BTreeMap<String, Count>> {
    let name = "uproar_connections_total";
    let outcomes = growth.now.values_of(name, "outcome");
    let of_proto = |proto: &str| {
        let count = |outcome: &str| growth.count(name, &[("proto", proto), ("outcome", outcome)]);
        outcomes.iter().map(|&outcome| (outcome.to_owned(), count(outcome))).collect()
    };
    growth.now.values_of(name, "proto").into_iter().map(|proto| (proto.to_owned(), of_proto(proto))).collect()
}

impl Process {
    fn of(node: &Growth<'_>) -> Self {
        Self {
            cpu_cores: node.per_second("process_cpu_seconds_total", &[]),
            resident_bytes: gauge(node.now, "process_resident_memory_bytes", &[]),
            open_files: gauge(node.now, "process_open_fds", &[]),
            open_files_max: gauge(node.now, "process_max_fds", &[]),
        }
    }
}

fn shards(growth: &Growth<'_>) -> Vec<Shard> {
    let labels = growth.now.values_of("uproar_loop_turns_total", "shard");
    let mut shards: Vec<_> = labels.into_iter().filter_map(|label| Shard::of(growth, label)).collect();
    shards.sort_by_key(|shard| shard.shard);
    shards
}

impl Shard {
    fn of(growth: &Growth<'_>, label: &str) -> Option<Self> {
        let labels = &[("shard", label)];
        let count = |name| growth.count(name, labels);
        Some(Self {
            shard: label.parse().ok()?,
            taps: count("uproar_reactions_total"),
            turns: count("uproar_loop_turns_total"),
            busy: busy(growth, labels),
            ring_enters: count("uproar_ring_enters_total"),
            completions: count("uproar_completions_total"),
            subscribers: gauge(growth.now, "uproar_subscribers", labels),
            http_connections: gauge(growth.now, "uproar_http_connections", labels),
            mesh_depth: gauge(growth.now, "uproar_mesh_depth", labels),
            buffer_exhaustion: count("uproar_buffer_exhaustion_total"),
            sends_stalled: count("uproar_sends_stalled_total"),
        })
    }
}

/// A loop that sleeps through all of the time tells neither until it wakes; that is none, and not a division by 0.
fn busy(growth: &Growth<'_>, labels: &[(&str, &str)]) -> Option<f64> {
    let (busy, idle) = (growth.grown(BUSY, labels)?, growth.grown(IDLE, labels)?);
    let all = busy + idle;
    (all > 0.0).then(|| busy / all)
}

#[cfg(test)]
mod tests;
