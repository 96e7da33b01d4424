//! Metrics as Prometheus text, version 0.0.4.
//!
//! Invariant: every family stands once with HELP and TYPE, every series once, and series that can occur are there
//! from the start with 0, so that a rate over them is right from the first increment. What the kernel did not tell about
//! the process is left out.

use super::label::{HTTP_CODES, Outcome, Proto, Reject, Reload, Skip, Socket};
use super::latency::BUCKETS;
use super::{Latency, ProcessMetrics, ShardMetrics};
use std::fmt::{self, Write as _};
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
    let ProcessMetrics { cpu, resident_bytes, open_files, open_files_max, started } = process;
    let [cpu, started] = [cpu, started].map(|time| time.as_ref().map(Duration::as_secs_f64));
    text.figure("process_cpu_seconds_total", "User and system CPU time spent in seconds.", Kind::Counter, cpu);
    text.figure("process_resident_memory_bytes", "Resident memory size in bytes.", Kind::Gauge, *resident_bytes);
    text.figure("process_open_fds", "Number of open file descriptors.", Kind::Gauge, *open_files);
    text.figure("process_max_fds", "Maximum number of open file descriptors.", Kind::Gauge, *open_files_max);
    let started_help = "Start time of the process since unix epoch in seconds.";
    text.figure("process_start_time_seconds", started_help, Kind::Gauge, started);
}

/// Appends the metrics of each shard, labelled by its place, and how its loop runs.
pub fn render_shards(shards: &[ShardMetrics], out: &mut String) {
    let text = &mut Text { out };
    for family in FAMILIES.iter().chain(DETAIL) {
        text.head(family.name, family.help, family.kind);
        for (shard, metrics) in shards.iter().enumerate() {
            let shard = shard.to_string();
            (family.write)(&mut Writer { text, name: family.name, shard: Some(&shard) }, metrics);
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
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

/// Protocols that have connections and subscribers.
const CONNECTED: [Proto; 2] = [Proto::Http, Proto::Quic];

const FAMILIES: &[Family] = &[
    counter("uproar_reactions_total", "Taps counted.", |out, m| {
        out.each(&Proto::ALL, |p| ("proto", p.label()), |p| m.reactions[p.index()]);
    }),
    counter("uproar_reaction_records_total", "Records counted: one emoji of one reaction.", |out, m| {
        out.each(&Proto::ALL, |p| ("proto", p.label()), |p| m.reaction_records[p.index()]);
    }),
    counter(
        "uproar_datagrams_total",
        "Reaction datagrams received on their own port, also rejected ones.",
        |out, m| {
            out.one(m.datagrams);
        },
    ),
    counter("uproar_http_requests_total", "Replies on the public HTTP port by status code.", |out, m| {
        for (place, code) in HTTP_CODES.iter().enumerate() {
            out.series(&[("code", &code.to_string())], m.http_requests[place]);
        }
        out.series(&[("code", "other")], m.http_requests[HTTP_CODES.len()]);
    }),
    counter("uproar_rejected_total", "Datagrams and requests that were not counted.", |out, m| {
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
    histogram("uproar_window_close_seconds", "From a window's close to its frame encoded.", |out, m| {
        out.latency(&m.window_close);
    }),
    counter("uproar_window_late_deltas_total", "Deltas that came too late and joined the next window.", |out, m| {
        out.one(m.window_late_deltas);
    }),
    counter("uproar_frame_taps_total", "Sum of the totals of all frames made.", |out, m| out.one(m.frame_taps)),
    counter("uproar_frames_made_total", "Frames made.", |out, m| out.one(m.frames)),
    counter("uproar_frames_sent_total", "Frames handed to subscribers.", |out, m| out.one(m.frames_sent)),
    counter("uproar_frames_skipped_total", "Frames that a subscriber did not get.", |out, m| {
        out.each(&Skip::ALL, |s| ("reason", s.label()), |s| m.frames_skipped[s.index()]);
    }),
    histogram("uproar_fanout_seconds", "From a frame encoded to handed to the kernel, per subscriber.", |out, m| {
        out.latency(&m.fanout);
    }),
    gauge("uproar_subscribers", "Subscribers now.", |out, m| {
        out.each(&CONNECTED, |p| ("proto", p.label()), |p| m.subscribers[p.index()]);
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
];

const DETAIL: &[Family] = &[
    counter("uproar_loop_turns_total", "Turns of the shard's loop.", |out, m| out.one(m.detail.loop_turns)),
    counter("uproar_parks_total", "Times the loop had nothing to do and waited.", |out, m| out.one(m.detail.parks)),
    counter("uproar_naps_total", "Times the loop slept for a moment between batches of reactions.", |out, m| {
        out.one(m.detail.naps);
    }),
    counter("uproar_dozes_total", "Times the loop waited in the ring for what would come soon.", |out, m| {
        out.one(m.detail.dozes);
    }),
    counter("uproar_ring_enters_total", "Times the ring was entered.", |out, m| out.one(m.detail.ring_enters)),
    counter("uproar_completions_total", "Completions taken from the ring.", |out, m| out.one(m.detail.completions)),
    counter("uproar_buffer_exhaustion_total", "Times the ring ran out of provided buffers.", |out, m| {
        out.one(m.detail.buffer_exhaustion);
    }),
    counter("uproar_sends_failed_total", "Sends that the kernel refused.", |out, m| out.one(m.detail.sends_failed)),
    counter("uproar_mesh_sent_total", "Messages sent to other shards.", |out, m| out.one(m.detail.mesh_sent)),
    counter("uproar_mesh_received_total", "Messages received from other shards.", |out, m| {
        out.one(m.detail.mesh_received);
    }),
    counter("uproar_http_handed_over_total", "HTTP connections given to a shard that has fewer.", |out, m| {
        out.one(m.detail.http_handed_over);
    }),
    gauge("uproar_rooms", "Rooms the shard knows now.", |out, m| out.one(m.detail.rooms)),
    gauge("uproar_handshakes_under_way", "QUIC handshakes begun and not complete.", |out, m| {
        out.one(m.detail.handshakes_under_way);
    }),
    gauge("uproar_handshakes_waiting", "QUIC connections whose handshake waits for its turn.", |out, m| {
        out.one(m.detail.handshakes_waiting);
    }),
    gauge("uproar_http_connections", "HTTP connections open now.", |out, m| out.one(m.detail.http_connections)),
];

/// The series of one family and one shard, or of the node.
struct Writer<'a, 'o> {
    text: &'a mut Text<'o>,
    name: &'a str,
    shard: Option<&'a str>,
}

impl Writer<'_, '_> {
    fn one(&mut self, value: u64) {
        self.series(&[], value);
    }

    fn each<T: Copy>(
        &mut self,
        variants: &[T],
        label: impl Fn(T) -> (&'static str, &'static str),
        value: impl Fn(T) -> u64,
    ) {
        for &variant in variants {
            self.series(&[label(variant)], value(variant));
        }
    }

    fn series(&mut self, labels: &[(&str, &str)], value: u64) {
        let name = self.name;
        self.suffixed(name, labels, value);
    }

    fn latency(&mut self, latency: &Latency) {
        let name = self.name;
        let bucket = format!("{name}_bucket");
        for ((_, upper), count) in BUCKETS.iter().zip(latency.cumulative()) {
            self.suffixed(&bucket, &[("le", upper)], count);
        }
        self.suffixed(&bucket, &[("le", "+Inf")], latency.count());
        self.suffixed(&format!("{name}_sum"), &[], latency.sum_seconds());
        self.suffixed(&format!("{name}_count"), &[], latency.count());
    }

    fn suffixed(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        match self.shard {
            None => self.text.series(name, labels, value),
            Some(shard) => {
                let labels: Vec<_> = [("shard", shard)].into_iter().chain(labels.iter().copied()).collect();
                self.text.series(name, &labels, value);
            }
        }
    }
}

/// The lines. Label values here never need escaping: they are our own words and numbers.
struct Text<'o> {
    out: &'o mut String,
}

impl Text<'_> {
    fn head(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn figure(&mut self, name: &str, help: &str, kind: Kind, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.head(name, help, kind);
            self.series(name, &[], value);
        }
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.out.push_str(name);
        for (place, (key, text)) in labels.iter().enumerate() {
            self.line(format_args!("{}{key}=\"{text}\"", if place == 0 { '{' } else { ',' }));
        }
        self.line(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        let written = self.out.write_fmt(text);
        debug_assert!(written.is_ok(), "a String takes whatever is written");
    }
}

#[cfg(test)]
mod tests;
