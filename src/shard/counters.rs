//! What a shard has counted, brought together from its parts.

use super::Shard;
use crate::metrics::{Latency, Outcome, Proto, ShardMetrics, Skip};

impl Shard {
    /// A copy of the counters, with the gauges as they are now.
    pub fn metrics(&mut self) -> ShardMetrics {
        let counters = self.counters();
        let [window_close, fanout, loop_turn] =
            [&counters.window_close, &counters.fanout, &counters.loop_turn].map(Latency::clone);
        let handshake = self.quic.handshake_times().clone();
        ShardMetrics { window_close, fanout, loop_turn, handshake, ..self.metrics }
    }

    /// The counters and gauges as they are now, without a copy. Only the handshake times are kept elsewhere.
    pub fn counters(&mut self) -> &ShardMetrics {
        let draining = u64::from(!self.is_ready());
        let metrics = &mut self.metrics;
        metrics.frames_sent = self.fanout.frames_sent() + self.event_streams.frames_sent();
        metrics.frames_skipped =
            Skip::ALL.map(|reason| self.fanout.frames_skipped(reason) + self.event_streams.frames_skipped(reason));
        metrics.window_late_deltas = self.merger.late_deltas();
        for proto in [Proto::Quic, Proto::WebTransport] {
            metrics.subscribers[proto.index()] = self.subscribers.counts()[proto.index()] as u64;
        }
        metrics.subscribers[Proto::Http.index()] = self.event_streams.len() as u64;
        metrics.webtransport_requests = *self.quic.webtransport_requests();
        metrics.webtransport_refused = *self.quic.webtransport_refused();
        metrics.quic_refused = *self.quic.refused();
        metrics.connections[Proto::Quic.index()] = *self.quic.outcomes();
        metrics.connections[Proto::Quic.index()][Outcome::Accepted.index()] = self.quic.accepted();
        metrics.draining = draining;
        metrics.detail.subscribers_max = self.subscribers.max() as u64;
        metrics.detail.streams_max = self.event_streams.max() as u64;
        metrics.detail.rooms = self.rooms.len() as u64;
        metrics.detail.handshakes_under_way = self.quic.handshakes_under_way() as u64;
        metrics.detail.handshakes_waiting = self.quic.handshakes_waiting() as u64;
        metrics.detail.http_connections = self.http.len() as u64;
        metrics
    }

    /// The counters that the edge keeps: loop turns, system calls, kernel drops.
    pub fn metrics_mut(&mut self) -> &mut ShardMetrics {
        &mut self.metrics
    }
}
