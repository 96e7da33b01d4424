//! QUIC subscribers of one shard: connections, hellos and streams, as a state machine over datagrams.
//!
//! Calling order, per turn of the shard's loop, with one `now`:
//!
//! 1. [`Quic::handle_datagrams`] for the datagrams that came, [`Quic::handle_timeout`] once the time that
//!    [`Quic::poll_timeout`] named has come.
//! 2. [`Quic::begin_handshakes`] once, after the turn's frames were written.
//! 3. [`Quic::poll_event`] until `None`; in answer [`Quic::welcome`], [`Quic::answer`], [`Quic::open_room_stream`],
//!    [`Quic::write`], [`Quic::finish`] and [`Quic::close`].
//! 4. [`Quic::poll_transmit`] until it returns `false`; only then is [`Quic::poll_timeout`] exact.
//!
//! Invariant: work is proportional to what happened. Only connections that got a datagram, a timer, a write or a close
//! are asked for output; there is no pass over all of them, save to close them all.
//!
//! Not here: sockets and clocks (`edge`), which rooms exist and who watches them (`shard`, `fanout`), what a reaction
//! means (`ingest`).

mod addresses;
mod closes;
mod connection_id;
mod crypto;
mod dirty;
mod endpoint;
mod handshakes;
mod keys;
mod outcome;
mod refusal;
mod session;
mod slots;
mod tickets;
mod timers;
mod transmit;
mod transport;
pub mod webtransport;

#[cfg(test)]
mod tests;

pub use connection_id::{CONNECTION_ID_LEN, shard_of_packet};
pub use crypto::ServerCrypto;
pub use endpoint::Quic;
pub use keys::{Keys, MASTER_SECRET_LEN, MasterSecret};
pub use quinn_proto::TimeSource;
pub use tickets::Tickets;
pub use transmit::{TRAIN_BYTES_MAX, Transmit, TransmitBatch};
pub use transport::{ALPN, ALPN_HTTP3, server_crypto, speak_http3, tls_config};

use crate::ids::ShardId;
use crate::metrics::{Outcome, Proto};
use crate::origins::Origins;
use bytes::Bytes;
use quinn_proto::EcnCodepoint;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::control::RoomsRequest;
use uproar_wire::hello::Hello;

/// Tells the processor that so many bytes from an address on are needed soon. A hint: nothing is read, and any address
/// may be named. Instructions for it are the edge's; without them it does nothing.
pub type Prefetch = fn(*const u8, usize);

/// What the QUIC part of a shard is made with.
pub struct QuicConfig {
    /// The shard that all issued connection ids name.
    pub shard: ShardId,
    /// Shards of the process.
    pub shards: usize,
    /// Key of stateless resets; the same on all shards.
    pub reset_key: [u8; 64],
    /// Key of address tokens; the same on all shards.
    pub token_key: [u8; 64],
    /// The wall clock, which judges the age of address tokens.
    pub clock: Arc<dyn TimeSource>,
    /// Time from the end of a connection's handshake to its hello.
    pub hello_timeout: Duration,
    /// How memory is made to come early.
    pub prefetch: Prefetch,
    /// Whose pages may have a session of WebTransport; `None`: it is not spoken. Whether clients are offered it is up to the
    /// TLS of [`QuicSettings`], see [`speak_http3`].
    pub webtransport: Option<Arc<Origins>>,
    /// What may change while it runs.
    pub settings: QuicSettings,
}

/// What may change while a shard runs; connections that are there keep what they began with.
#[derive(Clone)]
pub struct QuicSettings {
    /// From [`server_crypto`]; shared by all shards.
    pub tls: Arc<ServerCrypto>,
    /// Slots; who comes when all are in use is refused.
    pub max_connections: usize,
    /// Connections of one client address on this shard; 0 for any number.
    pub connections_per_address_max: usize,
    /// Silence after which a connection is given up.
    pub idle_timeout: Duration,
    /// How many handshakes there may be, and how fast they begin.
    pub handshakes: HandshakeLimits,
}

/// How many handshakes one shard has under way, and how fast they begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandshakeLimits {
    /// With so many under way or waiting, who comes first has to show that its address is its own. 0: always.
    pub retry_above: usize,
    /// Under way and waiting at most; who comes then is dropped, and tries again by itself.
    pub max: usize,
    /// Handshakes that begin in a second at most.
    pub per_second: u32,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { retry_above: 256, max: 4096, per_second: 2500 }
    }
}

/// One QUIC datagram (already split from a train that the kernel coalesced).
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// From whom.
    pub remote: SocketAddr,
    /// To which of the host's addresses, where that is known.
    pub local_ip: Option<IpAddr>,
    /// The congestion mark of its IP header.
    pub ecn: Option<EcnCodepoint>,
    /// The UDP payload.
    pub bytes: &'a [u8],
}

/// What happened on a connection. `conn` is its slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuicEvent {
    /// It said which rooms it wants to watch. Once per connection; answer with [`Quic::welcome`] or [`Quic::close`].
    Hello {
        /// Whose.
        conn: usize,
        /// What it said.
        hello: Hello,
        /// How it speaks.
        proto: Proto,
    },
    /// It wants to watch more rooms, or fewer; answer with [`Quic::answer`]. Nothing else that it asks for is read
    /// before the answer has left, so there is at most one of these of a connection.
    Request {
        /// Whose.
        conn: usize,
        /// What it wants.
        request: RoomsRequest,
    },
    /// It sent a reaction datagram, not looked at yet. May come before its hello.
    Reactions {
        /// Whose.
        conn: usize,
        /// The payload.
        datagram: Bytes,
        /// How it speaks.
        proto: Proto,
    },
    /// It sent datagrams that belong to no session of WebTransport, or came on a stream. May come after [`Self::Closed`], while
    /// the client of a session that is over has not heard of that.
    Stray {
        /// Whose.
        conn: usize,
        /// How many.
        count: u64,
    },
    /// A room stream whose write was [`WriteOutcome::Blocked`] takes bytes again.
    Writable {
        /// Whose.
        conn: usize,
        /// Which, as [`Quic::open_room_stream`] named it.
        stream: u64,
    },
    /// The peer stopped a room stream: every write to it is [`WriteOutcome::Gone`] from here on.
    Stopped {
        /// Whose.
        conn: usize,
        /// Which, as [`Quic::open_room_stream`] named it.
        stream: u64,
    },
    /// It is over: the last event of this connection but for [`Self::Stray`]. The slot is used again some time after.
    Closed {
        /// Whose.
        conn: usize,
        /// Why.
        outcome: Outcome,
    },
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// All bytes were taken.
    All,
    /// The rest was left in the chunk; [`QuicEvent::Writable`] follows.
    Blocked,
    /// The stream or the connection no longer exists, or the peer stopped the stream. Other streams may live on.
    Gone,
}
