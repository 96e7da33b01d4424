//! Which metrics there are: their names, their types, what they say and in which unit.
//!
//! Invariant: every family stands once with HELP and TYPE, every series once, and series that can occur are there
//! from the start with 0, so that a rate over them is right from the first increment. What the kernel did not tell about
//! the process is left out. Not here: how lines are written ([`super::text`]).

use super::label::{
    HTTP_CODES, Http3Refusal, Http3Status, HttpProblem, Outcome, Proto, QuicRefusal, Reject, Reload, RoomRefusal, Skip,
    Socket, StreamRefusal,
};
use super::text::{Kind, Text, Writer};
use super::{ProcessMetrics, ShardMetrics};
use std::time::Duration;

/// What this binary is; the labels of `uproar_build_info`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// `release` or `debug`.
    pub profile: &'static str,
    /// The processor it is built for.
    pub arch: &'static str,
}

impl BuildInfo {
    /// Of this build.
    pub const fn current() -> Self {
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        Self { version: env!("CARGO_PKG_VERSION"), profile, arch: std::env::consts::ARCH }
    }
}

/// Appends the metrics of the whole node.
pub fn render(total: &ShardMetrics, process: &ProcessMetrics, build: &BuildInfo, out: &mut String) {
    let BuildInfo { version, profile, arch } = build;
    let text = &mut Text { out };
    text.head("uproar_build_info", "What this binary is; always 1.", Kind::Gauge);
    text.series("uproar_build_info", &[("version", version), ("profile", profile), ("arch", arch)], 1);
    for family in FAMILIES {
        text.head(family.name, family.help, family.kind);
        (family.write)(&mut Writer { text, name: family.name, shard: None }, total);
    }
    render_process(process, text);
}

fn render_process(process: &ProcessMetrics, text: &mut Text<'_>) {
    let ProcessMetrics { cpu, resident_bytes, open_files, open_files_max, started, .. } = process;
    let ProcessMetrics { certificate_expires, log_lines_lost, .. } = process;
    let [cpu, started, expires] =
        [cpu, started, certificate_expires].map(|time| time.as_ref().map(Duration::as_secs_f64));
    let expires_help = "When the first certificate of the QUIC port's chain expires, in seconds since 1970.";
    text.figure("uproar_certificate_expiry_timestamp_seconds", expires_help, Kind::Gauge, expires);
    let lost_help = "Lines of the log that standard error did not take.";
    text.figure("uproar_log_lines_lost_total", lost_help, Kind::Counter, *log_lines_lost);
    text.figure("process_cpu_seconds_total", "User and system CPU time spent in seconds.", Kind::Counter, cpu);
    text.figure("process_resident_memory_bytes", "Resident memory size in bytes.", Kind::Gauge, *resident_bytes);
    text.figure("process_open_fds", "Number of open file descriptors.", Kind::Gauge, *open_files);
    text.figure("process_max_fds", "Maximum number of open file descriptors.", Kind::Gauge, *open_files_max);
    let started_help = "Start time of the process since unix epoch in seconds.";
    text.figure("process_start_time_seconds", started_help, Kind::Gauge, started);
}

/// The metrics of each shard, labelled by its place, and how its loop runs: a page that is as long as there are shards, so
/// it is written in slices.
#[derive(Debug)]
pub struct ShardsPage {
    shards: Vec<ShardMetrics>,
    /// The next family, and the shard in it.
    next: (usize, usize),
    text: String,
}

impl ShardsPage {
    /// Of these shards, in their order.
    pub fn new(shards: Vec<ShardMetrics>) -> Self {
        Self { shards, next: (0, 0), text: String::new() }
    }

    /// Writes `slice_bytes` more, and what belongs to the last series; true while more is to come.
    pub fn write_slice(&mut self, slice_bytes: usize) -> bool {
        let enough = self.text.len() + slice_bytes;
        let Self { shards, next: (family_at, shard_at), text: out } = self;
        while out.len() < enough {
            let Some(family) = FAMILIES.iter().chain(DETAIL).nth(*family_at) else { return false };
            let text = &mut Text { out };
            if *shard_at == 0 {
                text.head(family.name, family.help, family.kind);
            }
            if let Some(metrics) = shards.get(*shard_at) {
                let shard = shard_at.to_string();
                (family.write)(&mut Writer { text, name: family.name, shard: Some(&shard) }, metrics);
            }
            *shard_at += 1;
            if *shard_at >= shards.len() {
                (*family_at, *shard_at) = (*family_at + 1, 0);
            }
        }
        true
    }

    /// What has been written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// One name, and how its series follow from what a shard counted.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    write: fn(&mut Writer<'_, '_>, &ShardMetrics),
}

const fn counter(name: &'static str, help: &'static str, write: fn(&mut Writer<'_, '_>, &ShardMetrics)) -> Family {
    Family { name, kind: Kind::Counter, help, write }
}

const fn gauge(name: &'static str, help: &'static str, write: fn(&mut Writer<'_, '_>, &ShardMetrics)) -> Family {
    Family { name, kind: Kind::Gauge, help, write }
}

const fn histogram(name: &'static str, help: &'static str, write: fn(&mut Writer<'_, '_>, &ShardMetrics)) -> Family {
    Family { name, kind: Kind::Histogram, help, write }
}

/// Protocols that have connections.
const CONNECTED: [Proto; 2] = [Proto::Http, Proto::Quic];
/// Protocols that have subscribers.
const WATCHED: [Proto; 3] = [Proto::Http, Proto::Quic, Proto::WebTransport];

/// On both pages.
const FAMILIES: &[Family] = &[
    counter("uproar_reactions_total", "Taps counted, in taps.", |out, m| {
        out.each(&Proto::ALL, |p| ("proto", p.label()), |p| m.reactions[p.index()]);
    }),
    counter("uproar_reaction_records_total", "Records counted: one emoji of one reaction, in records.", |out, m| {
        out.each(&Proto::ALL, |p| ("proto", p.label()), |p| m.reaction_records[p.index()]);
    }),
    counter(
        "uproar_datagrams_total",
        "Reaction datagrams received on their own port, also rejected ones, in datagrams.",
        |out, m| {
            out.one(m.datagrams);
        },
    ),
    counter("uproar_http_requests_total", "Replies on both HTTP ports by status code, in replies.", |out, m| {
        for (place, code) in HTTP_CODES.iter().enumerate() {
            out.series(&[("code", &code.to_string())], m.http_requests[place]);
        }
        out.series(&[("code", "other")], m.http_requests[HTTP_CODES.len()]);
    }),
    counter(
        "uproar_http_refused_total",
        "Requests, and connections before their first, that were refused on both HTTP ports, by the code of the reply.",
        |out, m| {
            out.each(&HttpProblem::ALL, |p| ("code", p.label()), |p| m.http_refused.0[p.index()]);
        },
    ),
    counter(
        "uproar_webtransport_requests_total",
        "Answers to requests over HTTP/3 by status code, in answers.",
        |out, m| {
            out.each(&Http3Status::ALL, |s| ("code", s.label()), |s| m.webtransport_requests[s.index()]);
        },
    ),
    counter(
        "uproar_webtransport_refused_total",
        "Streams over HTTP/3 that were cut off while their connection lived, by the code.",
        |out, m| {
            out.each(&Http3Refusal::ALL, |r| ("code", r.label()), |r| m.webtransport_refused[r.index()]);
        },
    ),
    counter("uproar_quic_refused_total", "Datagrams on the QUIC port that reached no connection, by why.", |out, m| {
        out.each(&QuicRefusal::ALL, |r| ("reason", r.label()), |r| m.quic_refused[r.index()]);
    }),
    counter("uproar_rooms_refused_total", "Rooms that subscribers by QUIC asked for in vain, by why.", |out, m| {
        out.each(&RoomRefusal::ALL, |r| ("reason", r.label()), |r| m.rooms_refused[r.index()]);
    }),
    counter("uproar_rejected_total", "Datagrams and requests that were not counted, by why.", |out, m| {
        for proto in Proto::ALL {
            for reason in Reject::ALL {
                let count = m.rejected[proto.index()][reason.index()];
                out.series(&[("proto", proto.label()), ("reason", reason.label())], count);
            }
        }
    }),
    counter("uproar_socket_drops_total", "Datagrams that the kernel dropped at a full socket.", |out, m| {
        out.each(&Socket::ALL, |s| ("socket", s.label()), |s| m.socket_drops[s.index()]);
    }),
    counter("uproar_windows_total", "Windows closed.", |out, m| out.one(m.windows)),
    histogram("uproar_window_close_seconds", "From a window's close to its frame encoded, in seconds.", |out, m| {
        out.latency(&m.window_close);
    }),
    counter("uproar_window_late_deltas_total", "Deltas that came too late and joined the next window.", |out, m| {
        out.one(m.window_late_deltas);
    }),
    counter("uproar_frame_taps_total", "Sum of the totals of all frames made, in taps.", |out, m| {
        out.one(m.frame_taps);
    }),
    counter("uproar_frames_made_total", "Frames made.", |out, m| out.one(m.frames)),
    counter("uproar_frames_sent_total", "Frames handed to subscribers.", |out, m| out.one(m.frames_sent)),
    counter("uproar_frames_skipped_total", "Frames that a subscriber did not get, by why.", |out, m| {
        out.each(&Skip::ALL, |s| ("reason", s.label()), |s| m.frames_skipped[s.index()]);
    }),
    histogram(
        "uproar_fanout_seconds",
        "From a frame encoded to handed to the kernel, per subscriber, in seconds.",
        |out, m| {
            out.latency(&m.fanout);
        },
    ),
    gauge("uproar_subscribers", "Subscribers now.", |out, m| {
        out.each(&WATCHED, |p| ("proto", p.label()), |p| m.subscribers[p.index()]);
    }),
    gauge("uproar_subscribers_max", "Subscribers that may watch by QUIC, by quic.subscribers_max.", |out, m| {
        out.one(m.detail.subscribers_max);
    }),
    gauge("uproar_streams_max", "Subscribers that may watch by HTTP, by http.streams_max.", |out, m| {
        out.one(m.detail.streams_max);
    }),
    counter("uproar_streams_refused_total", "Event streams that did not begin, by why.", |out, m| {
        out.each(&StreamRefusal::ALL, |r| ("reason", r.label()), |r| m.streams_refused[r.index()]);
    }),
    counter("uproar_connections_total", "Connections by how they began or ended.", |out, m| {
        for proto in CONNECTED {
            for outcome in Outcome::ALL {
                let count = m.connections[proto.index()][outcome.index()];
                out.series(&[("proto", proto.label()), ("outcome", outcome.label())], count);
            }
        }
    }),
    counter("uproar_reloads_total", "Times the configuration was read again, by what came of it.", |out, m| {
        out.each(&Reload::ALL, |r| ("outcome", r.label()), |r| m.reloads[r.index()]);
    }),
    gauge(
        "uproar_config_last_reload_success_timestamp_seconds",
        "When the configuration in force was taken in, in seconds since 1970.",
        |out, m| out.one(m.configured_at_s),
    ),
    gauge("uproar_http_connections", "HTTP connections open now, on both ports.", |out, m| {
        out.one(m.detail.http_connections);
    }),
    gauge(
        "uproar_http_connections_max",
        "HTTP connections that may be open on the public port, by http.connections_max.",
        |out, m| {
            out.one(m.detail.http_connections_max);
        },
    ),
    histogram(
        "uproar_handshake_seconds",
        "From a QUIC client's first packet to its handshake complete, in seconds.",
        |out, m| {
            out.latency(&m.handshake);
        },
    ),
    gauge("uproar_handshakes_under_way", "QUIC handshakes begun and not complete.", |out, m| {
        out.one(m.detail.handshakes_under_way);
    }),
    gauge("uproar_handshakes_waiting", "QUIC connections whose handshake waits for its turn.", |out, m| {
        out.one(m.detail.handshakes_waiting);
    }),
    gauge("uproar_rooms", "Rooms known now.", |out, m| out.one(m.detail.rooms)),
    gauge("uproar_ready", "1 while taps and subscribers are taken, 0 while draining.", |out, m| {
        out.one(u64::from(m.draining == 0));
    }),
    counter("uproar_buffer_exhaustion_total", "Times that the ring ran out of provided buffers.", |out, m| {
        out.one(m.detail.buffer_exhaustion);
    }),
    counter(
        "uproar_sends_stalled_total",
        "Times that sending had to wait for room in the kernel: replies to an HTTP client, QUIC datagrams.",
        |out, m| {
            out.each(&CONNECTED, |p| ("proto", p.label()), |p| m.detail.sends_stalled[p.index()]);
        },
    ),
    counter("uproar_sends_failed_total", "Sends that the kernel refused.", |out, m| out.one(m.detail.sends_failed)),
    counter(
        "uproar_accepts_failed_total",
        "Times that a connection could not be accepted for want of open files, or of memory in the kernel.",
        |out, m| out.one(m.detail.accepts_failed),
    ),
];

/// On `/metrics/shards` only: how each loop runs.
const DETAIL: &[Family] = &[
    counter("uproar_loop_turns_total", "Turns of the shard's loop.", |out, m| out.one(m.detail.loop_turns)),
    histogram(
        "uproar_loop_turn_seconds",
        "Length of a turn of the shard's loop, without sleep, in seconds.",
        |out, m| {
            out.latency(&m.loop_turn);
        },
    ),
    counter("uproar_loop_busy_seconds_total", "Time that the shard's loop was awake, in seconds.", |out, m| {
        out.seconds(m.detail.busy);
    }),
    counter("uproar_loop_idle_seconds_total", "Time that the shard's loop slept, in seconds.", |out, m| {
        out.seconds(m.detail.idle);
    }),
    counter("uproar_shard_cpu_seconds_total", "CPU time of the shard's thread, in seconds.", |out, m| {
        out.seconds(m.detail.cpu);
    }),
    counter("uproar_parks_total", "Times the loop had nothing to do and waited.", |out, m| out.one(m.detail.parks)),
    counter("uproar_naps_total", "Times the loop slept for a moment between batches of reactions.", |out, m| {
        out.one(m.detail.naps);
    }),
    counter("uproar_dozes_total", "Times the loop waited in the ring for what would come soon.", |out, m| {
        out.one(m.detail.dozes);
    }),
    counter("uproar_ring_enters_total", "Times the ring was entered.", |out, m| out.one(m.detail.ring_enters)),
    counter("uproar_completions_total", "Completions taken from the ring.", |out, m| out.one(m.detail.completions)),
    counter("uproar_mesh_sent_total", "Messages sent to other shards.", |out, m| out.one(m.detail.mesh_sent)),
    counter("uproar_mesh_received_total", "Messages received from other shards.", |out, m| {
        out.one(m.detail.mesh_received);
    }),
    gauge(
        "uproar_mesh_depth",
        "Messages of the mesh that the last turn found waiting: not handled yet, or without room in their channel.",
        |out, m| {
            out.one(m.detail.mesh_depth);
        },
    ),
    counter("uproar_http_handed_over_total", "HTTP connections given to a shard that has fewer.", |out, m| {
        out.one(m.detail.http_handed_over);
    }),
];

#[cfg(test)]
mod tests;
