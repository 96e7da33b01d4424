//! Closes that leave twice: a connection's close is never acknowledged, so a peer that misses it waits for its idle time-out.
//!
//! Invariant: memory is bounded, and allocated only once a node is going away.

use super::transmit::TransmitBatch;
use crate::limits::QUIC_CLOSES_BYTES;

/// The closes of one shard.
#[derive(Default)]
pub(super) struct Closes {
    /// Set once they are kept.
    kept: Option<TransmitBatch>,
    /// How many have been handed out again; `None` until [`Self::repeat`].
    repeated: Option<usize>,
}

impl Closes {
    /// Keeps every close from now on.
    pub(super) fn begin(&mut self) {
        self.kept.get_or_insert_with(|| TransmitBatch::new(QUIC_CLOSES_BYTES));
    }

    /// Whether closes are kept.
    pub(super) fn is_keeping(&self) -> bool {
        self.kept.is_some()
    }

    /// Keeps one. Beyond the bound it leaves only once.
    pub(super) fn keep(&mut self, transmit: &quinn_proto::Transmit, bytes: &[u8]) {
        if let Some(kept) = self.kept.as_mut().filter(|kept| !kept.is_full()) {
            kept.push(transmit, bytes);
        }
    }

    /// Has all that were kept sent again.
    pub(super) fn repeat(&mut self) {
        self.repeated.get_or_insert(0);
    }

    /// Hands out as many copies as `batch` takes; true while there are more.
    pub(super) fn poll(&mut self, batch: &mut TransmitBatch) -> bool {
        let (Some(kept), Some(repeated)) = (&self.kept, &mut self.repeated) else { return false };
        *repeated = batch.take_from(kept, *repeated);
        *repeated < kept.len()
    }
}
