//! What a shard counts about itself, and how Prometheus reads it.
//!
//! Invariant: a [`ShardMetrics`] belongs to one shard, which adds to its plain fields; nothing here is global, atomic
//! or locked. Whoever wants to know asks the shards for clones and adds them up.
//!
//! Not here: the admin port that asks and answers. In order: `label`, what labels can say;
//! `latency`, durations; `process`, what is known of the whole process; `render`, which families there are; `text`, their
//! lines.

mod label;
mod latency;
mod process;
mod render;
mod text;

pub use label::{
    HTTP_CODE_COUNT, HTTP_CODES, Http3Refusal, Http3Status, HttpProblem, Outcome, Proto, QuicRefusal, Reject, Reload,
    RoomRefusal, Skip, Socket, StreamRefusal, http_code_index,
};
pub use latency::Latency;
pub use process::ProcessMetrics;
pub use render::{BuildInfo, ShardsPage, render};

use std::time::Duration;

/// Everything that one shard counts. Tables are indexed by the `index()` of their label.
#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    /// Taps counted, by how they came.
    pub reactions: [u64; Proto::COUNT],
    /// Records (one emoji of one reaction) counted, by how they came.
    pub reaction_records: [u64; Proto::COUNT],
    /// Reaction datagrams received on their own port, also those rejected.
    pub datagrams: u64,
    /// Replies on both HTTP ports, by [`http_code_index`].
    pub http_requests: [u64; HTTP_CODE_COUNT],
    /// What was refused on both HTTP ports, by [`HttpProblem::index`].
    pub http_refused: HttpRefused,
    /// Answers to requests over HTTP/3, by [`Http3Status::index`].
    pub webtransport_requests: [u64; Http3Status::COUNT],
    /// Streams over HTTP/3 that were cut off, by [`Http3Refusal::index`].
    pub webtransport_refused: [u64; Http3Refusal::COUNT],
    /// Datagrams on the QUIC port that reached no connection, by [`QuicRefusal::index`].
    pub quic_refused: [u64; QuicRefusal::COUNT],
    /// Rooms that subscribers by QUIC asked for in vain, by [`RoomRefusal::index`].
    pub rooms_refused: [u64; RoomRefusal::COUNT],
    /// Datagrams and requests that were not counted, by how they came and why.
    pub rejected: [[u64; Reject::COUNT]; Proto::COUNT],
    /// Datagrams that the kernel dropped because a socket's buffer was full.
    pub socket_drops: [u64; Socket::COUNT],
    /// Windows closed.
    pub windows: u64,
    /// From a window's close to its frame encoded, on the merging shard.
    pub window_close: Latency,
    /// Deltas that came after the grace and joined the next window.
    pub window_late_deltas: u64,
    /// Sum of `total` over all frames made.
    pub frame_taps: u64,
    /// Frames made.
    pub frames: u64,
    /// Frames handed to subscribers.
    pub frames_sent: u64,
    /// Frames that a subscriber did not get, by why.
    pub frames_skipped: [u64; Skip::COUNT],
    /// From a frame encoded to handed to the kernel, per subscriber.
    pub fanout: Latency,
    /// Subscribers now, by how they watch.
    pub subscribers: [u64; Proto::COUNT],
    /// Event streams that were asked for and did not begin, by why.
    pub streams_refused: [u64; StreamRefusal::COUNT],
    /// Connections, by protocol and how they began or ended.
    pub connections: [[u64; Outcome::COUNT]; Proto::COUNT],
    /// Times that the configuration was read again, by what came of it.
    pub reloads: [u64; Reload::COUNT],
    /// When the configuration in force was taken in: unix time in seconds.
    pub configured_at_s: u64,
    /// From a QUIC client's first packet to its handshake complete: its wait in line, and the round trips.
    pub handshake: Latency,
    /// Shards that drain, or have drained.
    pub draining: u64,
    /// From a turn's begin to the next one's, without the sleep between them.
    pub loop_turn: Latency,
    /// How the loop runs, and what it meets.
    pub detail: ShardDetail,
}

/// What was refused on an HTTP port, by [`HttpProblem::index`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpRefused(pub [u64; HttpProblem::COUNT]);

impl Default for HttpRefused {
    fn default() -> Self {
        Self([0; HttpProblem::COUNT])
    }
}

/// How the loop of a shard runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardDetail {
    /// Turns of the loop.
    pub loop_turns: u64,
    /// Times the loop had nothing to do and waited.
    pub parks: u64,
    /// Times the loop slept for a moment between batches of reactions.
    pub naps: u64,
    /// Times the loop waited for completions in the ring itself.
    pub dozes: u64,
    /// Times the ring was entered.
    pub ring_enters: u64,
    /// Completions taken from the ring.
    pub completions: u64,
    /// Times the ring ran out of provided buffers.
    pub buffer_exhaustion: u64,
    /// Sends that the kernel refused.
    pub sends_failed: u64,
    /// Times that a connection could not be accepted for want of descriptors, or of memory in the kernel.
    pub accepts_failed: u64,
    /// Times that sending had to wait for room in the kernel, by what waited.
    pub sends_stalled: [u64; Proto::COUNT],
    /// Time awake.
    pub busy: Duration,
    /// Time asleep: in naps, dozes and parks.
    pub idle: Duration,
    /// CPU time of the shard's thread.
    pub cpu: Duration,
    /// Messages sent to other shards.
    pub mesh_sent: u64,
    /// Messages received from other shards.
    pub mesh_received: u64,
    /// Messages that this turn of the loop found waiting at its ends of the mesh: arrived and not handled, or sent and
    /// without room in their channel.
    pub mesh_depth: u64,
    /// Rooms this shard knows now.
    pub rooms: u64,
    /// QUIC handshakes that have begun and are not complete.
    pub handshakes_under_way: u64,
    /// QUIC connections whose handshake waits for its turn.
    pub handshakes_waiting: u64,
    /// HTTP connections open now.
    pub http_connections: u64,
    /// HTTP connections that may be open on the public port.
    pub http_connections_max: u64,
    /// Subscribers that may watch by QUIC.
    pub subscribers_max: u64,
    /// Streams of events that may be open.
    pub streams_max: u64,
    /// HTTP connections that were accepted here, or decided on, and given to another shard.
    pub http_handed_over: u64,
}

impl ShardMetrics {
    /// Counts a reaction that was counted: `records` of together `taps`.
    #[inline]
    pub fn count_reaction(&mut self, proto: Proto, records: u64, taps: u64) {
        self.reactions[proto.index()] += taps;
        self.reaction_records[proto.index()] += records;
    }

    /// Counts a datagram or a request that was not counted.
    #[inline]
    pub fn count_reject(&mut self, proto: Proto, reason: Reject) {
        self.rejected[proto.index()][reason.index()] += 1;
    }

    /// Counts an HTTP reply by its status code.
    #[inline]
    pub fn count_http_reply(&mut self, code: u16) {
        self.http_requests[http_code_index(code)] += 1;
    }

    /// Counts what was refused on an HTTP port.
    #[inline]
    pub fn count_http_refused(&mut self, problem: HttpProblem) {
        self.http_refused.0[problem.index()] += 1;
    }

    /// Counts how a connection began or ended.
    #[inline]
    pub fn count_connection(&mut self, proto: Proto, outcome: Outcome) {
        self.connections[proto.index()][outcome.index()] += 1;
    }

    /// Adds what another shard counted. Gauges add up too: the shards' subscribers are the node's.
    pub fn absorb(&mut self, other: &Self) {
        // Taken apart by name, so that a new field does not compile until it is added up.
        let Self {
            reactions,
            reaction_records,
            datagrams,
            http_requests,
            http_refused,
            webtransport_requests,
            webtransport_refused,
            quic_refused,
            rooms_refused,
            rejected,
            socket_drops,
            windows,
            window_close,
            window_late_deltas,
            frame_taps,
            frames,
            frames_sent,
            frames_skipped,
            fanout,
            subscribers,
            streams_refused,
            connections,
            reloads,
            configured_at_s,
            handshake,
            draining,
            loop_turn,
            detail,
        } = other;
        add(&mut self.reactions, reactions);
        add(&mut self.reaction_records, reaction_records);
        self.datagrams += datagrams;
        add(&mut self.http_requests, http_requests);
        add(&mut self.http_refused.0, &http_refused.0);
        add(&mut self.webtransport_requests, webtransport_requests);
        add(&mut self.webtransport_refused, webtransport_refused);
        add(&mut self.quic_refused, quic_refused);
        add(&mut self.rooms_refused, rooms_refused);
        add(self.rejected.as_flattened_mut(), rejected.as_flattened());
        add(&mut self.socket_drops, socket_drops);
        // All shards close the same windows.
        self.windows = self.windows.max(*windows);
        self.window_close.absorb(window_close);
        self.window_late_deltas += window_late_deltas;
        self.frame_taps += frame_taps;
        self.frames += frames;
        self.frames_sent += frames_sent;
        add(&mut self.frames_skipped, frames_skipped);
        self.fanout.absorb(fanout);
        add(&mut self.subscribers, subscribers);
        add(&mut self.streams_refused, streams_refused);
        add(self.connections.as_flattened_mut(), connections.as_flattened());
        add(&mut self.reloads, reloads);
        // All shards take in the same configuration.
        self.configured_at_s = self.configured_at_s.max(*configured_at_s);
        self.handshake.absorb(handshake);
        self.draining += draining;
        self.loop_turn.absorb(loop_turn);
        self.detail.absorb(detail);
    }
}

impl ShardDetail {
    fn absorb(&mut self, other: &Self) {
        let Self {
            loop_turns,
            parks,
            naps,
            dozes,
            ring_enters,
            completions,
            buffer_exhaustion,
            sends_failed,
            accepts_failed,
            sends_stalled,
            busy,
            idle,
            cpu,
            mesh_sent,
            mesh_received,
            mesh_depth,
            rooms,
            handshakes_under_way,
            handshakes_waiting,
            http_connections,
            http_connections_max,
            subscribers_max,
            streams_max,
            http_handed_over,
        } = other;
        self.loop_turns += loop_turns;
        self.parks += parks;
        self.naps += naps;
        self.dozes += dozes;
        self.ring_enters += ring_enters;
        self.completions += completions;
        self.buffer_exhaustion += buffer_exhaustion;
        self.sends_failed += sends_failed;
        self.accepts_failed += accepts_failed;
        add(&mut self.sends_stalled, sends_stalled);
        self.busy += *busy;
        self.idle += *idle;
        self.cpu += *cpu;
        self.mesh_sent += mesh_sent;
        self.mesh_received += mesh_received;
        self.mesh_depth += mesh_depth;
        // All shards know the same rooms.
        self.rooms = self.rooms.max(*rooms);
        self.handshakes_under_way += handshakes_under_way;
        self.handshakes_waiting += handshakes_waiting;
        self.http_connections += http_connections;
        self.http_connections_max += http_connections_max;
        self.subscribers_max += subscribers_max;
        self.streams_max += streams_max;
        self.http_handed_over += http_handed_over;
    }
}

fn add(totals: &mut [u64], counts: &[u64]) {
    for (total, count) in totals.iter_mut().zip(counts) {
        *total += count;
    }
}
