//! Whether peers still answer, which a node that is going away has to know.
//!
//! Not here: how long an answer is waited for (`shard`).

use super::Quic;
use crate::quic::slots::Slot;
use std::time::Instant;
use uproar_wire::hello::CloseCode;

impl Quic {
    /// Asks `conn` for an acknowledgement, and returns how many it has sent so far. `None` when it is closed, or has no
    /// room stream whose end is awaited.
    pub fn ask(&mut self, conn: usize) -> Option<u64> {
        let slot = self.slots.slot_mut(conn).filter(|slot| !slot.closed && slot.open_streams > 0)?;
        slot.connection.ping();
        self.dirty.mark(conn);
        Some(acknowledgements(slot))
    }

    /// How many acknowledgements `conn` has sent; `None` when it is closed, or has no room stream whose end is awaited.
    pub fn acknowledgements(&mut self, conn: usize) -> Option<u64> {
        let slot = self.slots.slot_mut(conn).filter(|slot| !slot.closed && slot.open_streams > 0)?;
        Some(acknowledgements(slot))
    }

    /// Whether more connections wait to be asked for output than one turn serves.
    pub fn is_backlogged(&self) -> bool {
        self.dirty.len() > crate::limits::TRANSMIT_SLICE
    }

    /// Closes `conn`, whose peer does not answer: it is told why by the close alone, and nothing more is awaited.
    pub fn give_up(&mut self, now: Instant, conn: usize, code: CloseCode, reason: &'static str) {
        self.close(now, conn, code, reason);
        self.end_farewell(now, conn);
    }
}

fn acknowledgements(slot: &Slot) -> u64 {
    slot.connection.stats().frame_rx.acks
}
