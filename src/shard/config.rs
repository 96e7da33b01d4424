//! What a shard is told once. What may change while it runs is in [`super::reload`].

use super::ShardSettings;
use crate::ids::ShardId;
use crate::metrics::ProcessMetrics;
use crate::origins::Origins;
use crate::quic::QuicConfig;
use crate::room::Room;
use std::sync::Arc;

/// What a shard is told once.
pub struct ShardConfig {
    /// Which shard it is.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// Length of a window, in milliseconds.
    pub window_ms: u64,
    /// Entries of a frame at most.
    pub top_k: usize,
    /// What may change while it runs.
    pub settings: ShardSettings,
    /// Rooms that exist from the start.
    pub rooms: Vec<Arc<Room>>,
    /// Names under which the admin port may be asked, besides those that cannot be somebody else's.
    pub admin_names: Vec<String>,
    /// Pages, and whose may ask.
    pub web: WebConfig,
    /// QUIC: keys, certificate, limits.
    pub quic: QuicConfig,
    /// Reads what the kernel says about the process; called when a scrape is answered.
    pub read_process: ReadProcess,
    /// Seed of everything random on this shard.
    pub rng_seed: [u8; 32],
}

/// What the HTTP ports have for browsers.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Whether they serve pages of their own.
    pub page: bool,
    /// Whose pages may ask the public port.
    pub origins: Arc<Origins>,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self { page: true, origins: Arc::new(Origins::Any) }
    }
}

/// How a shard, which touches no kernel, learns the figures of its process.
pub type ReadProcess = Arc<dyn Fn() -> ProcessMetrics + Send + Sync>;
