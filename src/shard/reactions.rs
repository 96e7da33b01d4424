//! Reactions: datagrams become counts, several at a time.
//!
//! Invariant: a datagram is counted whole, or refused whole with one reason; nobody is answered. Each group of datagrams
//! is gone through three times: what each says, where its room counts, and only then the counting. A room that nobody
//! tapped lately lies in memory, not in the cache; this way the processor fetches the rooms of a whole group at once,
//! where one datagram after the other would wait for each.
//!
//! Not here: how datagrams arrive (edge), their layout (`uproar_wire::reaction`), the counters ([`crate::tally`]).

use super::Shard;
use crate::ingest::datagram::split_train;
use crate::metrics::{Proto, Reject};
use crate::tally::{CountError, RoomSlot};
use uproar_wire::EmojiId;
use uproar_wire::reaction::ReactionBatch;

/// Datagrams of a group: more than a core has fetches under way, few enough to stay in its first cache.
const GROUP: usize = 32;

/// One receive: a datagram, or a train of them that the kernel coalesced.
#[derive(Clone, Copy, Debug)]
pub struct Train<'a> {
    /// All bytes of the train.
    pub bytes: &'a [u8],
    /// Length of each datagram but the last; 0 when there is only one.
    pub segment_len: usize,
}

/// A datagram that names a room of this node.
#[derive(Clone, Copy)]
struct Placed<'a> {
    batch: ReactionBatch<'a>,
    slot: RoomSlot,
}

impl Shard {
    /// Reaction datagrams, as they were received.
    pub fn handle_reactions<'a>(&mut self, batch: impl Iterator<Item = Train<'a>>) {
        let mut datagrams = batch.flat_map(|train| split_train(train.bytes, train.segment_len));
        let mut group = [None; GROUP];
        loop {
            let mut len = 0;
            for (place, datagram) in group.iter_mut().zip(&mut datagrams) {
                *place =
                    self.place_datagram(datagram).map_err(|reason| self.metrics.count_reject(Proto::Udp, reason)).ok();
                len += 1;
            }
            self.metrics.datagrams += len as u64;
            let placed = group[..len].iter().flatten();
            placed.clone().for_each(|placed| self.tally.touch(placed.slot));
            for placed in placed {
                if let Err(reason) = self.count_placed(Proto::Udp, placed) {
                    self.metrics.count_reject(Proto::Udp, reason);
                }
            }
            if len < GROUP {
                return;
            }
        }
    }

    /// Counts one reaction datagram that came alone, or the reason why not.
    pub(super) fn count_datagram(&mut self, proto: Proto, datagram: &[u8]) {
        let placed = self.place_datagram(datagram);
        if let Err(reason) = placed.and_then(|placed| self.count_placed(proto, &placed)) {
            self.metrics.count_reject(proto, reason);
        }
    }

    /// Counts some records of one request; the reason why not is for the caller to count and to tell.
    pub(super) fn count_records(
        &mut self,
        proto: Proto,
        slot: RoomSlot,
        records: impl ExactSizeIterator<Item = (EmojiId, u16)> + Clone,
    ) -> Result<(), CountError> {
        let len = records.len() as u64;
        let taps = self.tally.count_in(slot, records)?;
        self.metrics.count_reaction(proto, len, taps);
        Ok(())
    }

    fn place_datagram<'a>(&self, datagram: &'a [u8]) -> Result<Placed<'a>, Reject> {
        self.place(ReactionBatch::parse(datagram)?)
    }

    fn place<'a>(&self, batch: ReactionBatch<'a>) -> Result<Placed<'a>, Reject> {
        if self.drain.is_closed_to_taps() {
            return Err(Reject::Draining);
        }
        let slot = self.tally.find(batch.room)?;
        Ok(Placed { batch, slot })
    }

    fn count_placed(&mut self, proto: Proto, placed: &Placed<'_>) -> Result<(), Reject> {
        let records = placed.batch.records().map(|record| (record.emoji, record.count));
        Ok(self.count_records(proto, placed.slot, records)?)
    }
}

impl From<CountError> for Reject {
    fn from(error: CountError) -> Self {
        match error {
            CountError::UnknownRoom => Self::UnknownRoom,
            CountError::UnknownEmoji => Self::UnknownEmoji,
            CountError::RecordTooLarge { .. } | CountError::RequestTooLarge { .. } => Self::TooManyTaps,
        }
    }
}
