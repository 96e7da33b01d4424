//! What an operator must know while a shard serves: its counters, looked at once a second, become lines of the log.
//!
//! Invariant: a shard says one kind once in [`INCIDENT_SAID_EVERY`] at most, with the sum since the last time, and is silent
//! as long as nothing grows. Looking needs no deadline: a loop that turns for other reasons, as it does at every window,
//! looks by the way, and costs an idle machine nothing. Not here: counting ([`crate::metrics`]).
//! Names and meanings are published in `docs/LOG.md`.

use crate::ids::ShardId;
use crate::limits::{INCIDENT_LOOK_EVERY, INCIDENT_SAID_EVERY};
use crate::metrics::{Outcome, Proto, Reject, ShardMetrics, Skip, Socket, StreamRefusal};
use std::time::Instant;

/// One kind: a counter, and what it means that it grows.
struct Kind {
    /// Its stable name: `event` in the log.
    name: &'static str,
    count: fn(&ShardMetrics) -> u64,
    /// What follows the number.
    what: &'static str,
    remedy: &'static str,
    /// Whether it is told of a node that drains, too: such a node turns everybody away.
    is_told_in_drain: bool,
}

const KINDS: [Kind; 13] = [
    Kind {
        name: "reactions_dropped",
        count: |m| m.socket_drops[Socket::Reactions.index()],
        what: "reaction datagrams were dropped by the kernel before the shard read them: their taps are lost",
        remedy: "raise socket.receive_buffer_bytes and net.core.rmem_max (`uproar tune check`), or give the node more shards",
        is_told_in_drain: true,
    },
    Kind {
        name: "quic_dropped",
        count: |m| m.socket_drops[Socket::Quic.index()],
        what: "QUIC datagrams were dropped by the kernel before the shard read them: taps in them are lost, the rest is sent again",
        remedy: "raise socket.receive_buffer_bytes and net.core.rmem_max (`uproar tune check`), or give the node more shards",
        is_told_in_drain: true,
    },
    Kind {
        name: "buffers_exhausted",
        count: |m| m.detail.buffer_exhaustion,
        what: "times the receive buffers of HTTP ran out: no request is lost, but clients wait",
        remedy: "give the node more shards, or fewer clients",
        is_told_in_drain: true,
    },
    Kind {
        name: "late_deltas",
        count: |m| m.window_late_deltas,
        what: "deltas of other shards came after the grace: their taps are in the next frame",
        remedy: "see that nothing else runs on the shards' cores, or lengthen window",
        is_told_in_drain: true,
    },
    Kind {
        name: "http_full",
        count: |m| m.connections[Proto::Http.index()][Outcome::Full.index()],
        what: "HTTP connections were turned away, as there are http.connections_max (or 256 of the admin port)",
        remedy: "raise http.connections_max and the limit of open files, or add nodes",
        is_told_in_drain: false,
    },
    Kind {
        name: "proxy_protocol",
        count: |m| m.rejected[Proto::Http.index()][Reject::ProxyProtocol.index()],
        what: "HTTP connections began with a header of the PROXY protocol, which is not taken: all that they ask is refused",
        remedy: "switch it off in the proxy or balancer in front (HAProxy: send-proxy; AWS: proxy protocol v2)",
        is_told_in_drain: true,
    },
    Kind {
        name: "tls_hello",
        count: |m| m.rejected[Proto::Http.index()][Reject::TlsHello.index()],
        what: "connections spoke TLS to an HTTP port, which speaks plain HTTP: all that they ask is refused",
        remedy: "send clients to a proxy that ends TLS, and have it speak plain HTTP to this port",
        is_told_in_drain: true,
    },
    Kind {
        name: "subscribers_full",
        count: |m| {
            let quic = m.connections[Proto::Quic.index()];
            quic[Outcome::Full.index()] + quic[Outcome::Refused.index()]
        },
        what: "subscribers were turned away, as there are quic.subscribers_max",
        remedy: "raise quic.subscribers_max if there is memory for them, or add nodes",
        is_told_in_drain: false,
    },
    Kind {
        name: "streams_full",
        count: |m| m.streams_refused[StreamRefusal::Full.index()],
        what: "event streams were refused, as there are http.streams_max",
        remedy: "raise http.streams_max, with http.connections_max and the limit of open files, or add nodes",
        is_told_in_drain: false,
    },
    Kind {
        name: "handshakes_dropped",
        count: |m| m.connections[Proto::Quic.index()][Outcome::Dropped.index()],
        what: "QUIC handshakes were dropped, as there are quic.handshakes_max under way; who came tries again",
        remedy: "wait if many come at once; otherwise raise quic.handshakes_per_second, or add shards or nodes",
        is_told_in_drain: true,
    },
    Kind {
        name: "sends_failed",
        count: |m| m.detail.sends_failed,
        what: "sends to subscribers were refused by the kernel",
        remedy: "see routes, firewall and conntrack of this machine (`dmesg`, `ip route get`, `nstat`)",
        is_told_in_drain: true,
    },
    Kind {
        name: "files_exhausted",
        count: |m| m.detail.accepts_failed + m.connections[Proto::Http.index()][Outcome::NoFiles.index()],
        what: "HTTP connections were turned away or could not be accepted for want of open files, or of memory in the kernel",
        remedy: "raise LimitNOFILE (`ulimit -n`) and, if the machine is out of them, fs.file-max, or lower http.connections_max",
        is_told_in_drain: true,
    },
    Kind {
        name: "frames_overrun",
        count: |m| m.frames_skipped[Skip::Overrun.index()],
        what: "frames were not sent, as the next window's came before the fan-out was through",
        remedy: "give the node more shards or fewer subscribers, shorten fanout.spread, or lengthen window",
        is_told_in_drain: true,
    },
];

/// What one shard has told, and has to tell.
pub struct Incidents {
    shard: ShardId,
    looked_at: Instant,
    told: [Told; KINDS.len()],
}

#[derive(Clone, Copy, Default)]
struct Told {
    /// The counter when it was last looked at.
    seen: u64,
    /// How much it has grown since it was last told.
    untold: u64,
    at: Option<Instant>,
}

/// Something to tell.
struct Incident {
    kind: &'static Kind,
    count: u64,
}

impl Incidents {
    /// Of a shard that has counted nothing yet.
    pub fn new(shard: ShardId, now: Instant) -> Self {
        Self { shard, looked_at: now, told: [Told::default(); KINDS.len()] }
    }

    /// Whether it is time for [`Self::handle_metrics`].
    #[inline]
    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked_at) >= INCIDENT_LOOK_EVERY
    }

    /// Logs what has to be told by now. `is_ready` is false on a node that drains.
    pub fn handle_metrics(&mut self, now: Instant, metrics: &ShardMetrics, is_ready: bool) {
        let shard = self.shard;
        self.look(now, metrics, is_ready, false).for_each(|incident| incident.log(shard));
    }

    /// Logs what has not been told, as the shard is at its end.
    pub fn handle_end(&mut self, now: Instant, metrics: &ShardMetrics) {
        let shard = self.shard;
        self.look(now, metrics, false, true).for_each(|incident| incident.log(shard));
    }

    fn look(
        &mut self,
        now: Instant,
        metrics: &ShardMetrics,
        is_ready: bool,
        is_end: bool,
    ) -> impl Iterator<Item = Incident> {
        self.looked_at = now;
        KINDS.iter().zip(&mut self.told).filter_map(move |(kind, told)| {
            let count = (kind.count)(metrics);
            let grown = count.saturating_sub(std::mem::replace(&mut told.seen, count));
            if is_ready || kind.is_told_in_drain {
                told.untold += grown;
            }
            let is_due = is_end || told.at.is_none_or(|at| now.saturating_duration_since(at) >= INCIDENT_SAID_EVERY);
            if told.untold == 0 || !is_due {
                return None;
            }
            told.at = Some(now);
            Some(Incident { kind, count: std::mem::take(&mut told.untold) })
        })
    }
}

impl Incident {
    fn log(&self, shard: ShardId) {
        let Self { kind: Kind { name, what, remedy, .. }, count } = self;
        tracing::warn!(event = name, shard = shard.index(), count, remedy, "{count} {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[expect(clippy::disallowed_methods, reason = "the one reading; from here on time is added up")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Names and counts of what is told.
    fn told(incidents: &mut Incidents, now: Instant, metrics: &ShardMetrics) -> Vec<(&'static str, u64)> {
        incidents.look(now, metrics, true, false).map(|incident| (incident.kind.name, incident.count)).collect()
    }

    fn dropped(reactions: u64) -> ShardMetrics {
        let mut metrics = ShardMetrics::default();
        metrics.socket_drops[Socket::Reactions.index()] = reactions;
        metrics
    }

    #[test]
    fn a_kind_is_told_at_once_and_then_its_sum_every_ten_seconds() {
        let start = start();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut incidents = Incidents::new(ShardId(0), start);
        assert!(!incidents.is_due(start + INCIDENT_LOOK_EVERY / 2));
        assert!(incidents.is_due(at(1)));
        assert_eq!(told(&mut incidents, at(1), &dropped(5)), [("reactions_dropped", 5)]);
        assert!(!incidents.is_due(at(1)), "it has just looked");
        assert_eq!(told(&mut incidents, at(2), &dropped(8)), []);
        assert_eq!(told(&mut incidents, at(9), &dropped(9)), []);
        assert_eq!(told(&mut incidents, at(11), &dropped(9)), [("reactions_dropped", 4)]);
        assert_eq!(told(&mut incidents, at(100), &dropped(9)), [], "nothing has grown");
        assert_eq!(told(&mut incidents, at(101), &dropped(10)), [("reactions_dropped", 1)]);
    }

    #[test]
    fn kinds_do_not_hold_up_one_another() {
        let start = start();
        let mut incidents = Incidents::new(ShardId(0), start);
        let mut metrics = dropped(1);
        assert_eq!(told(&mut incidents, start, &metrics).len(), 1);
        metrics.connections[Proto::Quic.index()][Outcome::Full.index()] = 2;
        metrics.connections[Proto::Quic.index()][Outcome::Refused.index()] = 1;
        metrics.detail.sends_failed = 1;
        assert_eq!(told(&mut incidents, start, &metrics), [("subscribers_full", 3), ("sends_failed", 1)]);
    }

    #[test]
    fn a_node_that_drains_turns_away_on_purpose() {
        let start = start();
        let mut incidents = Incidents::new(ShardId(0), start);
        let mut metrics = dropped(1);
        metrics.connections[Proto::Http.index()][Outcome::Full.index()] = 7;
        let told: Vec<_> = incidents.look(start, &metrics, false, false).map(|incident| incident.kind.name).collect();
        assert_eq!(told, ["reactions_dropped"]);
    }

    #[test]
    fn the_end_tells_what_waits_for_its_ten_seconds() {
        let start = start();
        let mut incidents = Incidents::new(ShardId(0), start);
        assert_eq!(told(&mut incidents, start, &dropped(1)).len(), 1);
        assert_eq!(told(&mut incidents, start, &dropped(3)), []);
        let last: Vec<_> = incidents.look(start, &dropped(4), false, true).map(|incident| incident.count).collect();
        assert_eq!(last, [3]);
    }

    #[test]
    fn what_is_said_of_the_admin_port_is_its_limit() {
        let full = KINDS.iter().find(|kind| kind.name == "http_full").unwrap();
        let limit = format!("(or {} of the admin port)", crate::limits::ADMIN_CONNECTIONS_MAX);
        assert!(full.what.contains(&limit), "{}", full.what);
    }

    #[test]
    fn every_name_is_published_once() {
        let published = include_str!("../../docs/LOG.md");
        for Kind { name, .. } in &KINDS {
            assert_eq!(published.matches(&format!("| `{name}` |")).count(), 1, "{name}");
        }
        assert_eq!(KINDS.map(|kind| kind.name).iter().collect::<std::collections::BTreeSet<_>>().len(), KINDS.len());
    }
}
