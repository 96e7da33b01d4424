//! Connection ids that say which shard they belong to, so that the kernel can steer packets without a table.
//!
//! Invariant: `id[0] mod shards` is the shard that issued the id; everything else of it is random. The kernel's
//! steering program applies the same rule as [`shard_of_packet`], which is why a subscriber keeps its shard when its
//! address changes.

use super::transport::Seed;
use crate::ids::ShardId;
use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::time::Duration;

/// Bytes of every connection id that the server issues. Eight are enough not to be guessed, and the fewest that a
/// client may send in its first packet, so both kinds look alike.
pub const CONNECTION_ID_LEN: usize = 8;

/// The shard that a UDP payload is for, by the steering rule: `DCID[0] mod shards`. The destination id's first byte is
/// byte 6 of a packet with a long header (after flags, version and length) and byte 1 of one with a short header.
/// `None` when the payload ends before that byte, or when its destination id is empty.
///
/// A client's first packets carry an id of its own choosing: they reach an arbitrary shard, always the same one, and
/// the ids which that shard issues keep the connection there.
pub fn shard_of_packet(payload: &[u8], shards: usize) -> Option<usize> {
    let long_header = payload.first()? & 0x80 != 0;
    let first_id_byte = match long_header {
        true if *payload.get(5)? == 0 => return None,
        true => payload.get(6)?,
        false => payload.get(1)?,
    };
    Some(usize::from(*first_id_byte) % shards)
}

/// Issues the ids of one shard.
pub(super) struct ShardConnectionIds {
    shard: u8,
    shards: usize,
    rng: StdRng,
}

impl ShardConnectionIds {
    /// # Panics
    /// When `shard` is not one of `shards`, or there are more of those than a byte tells apart.
    pub(super) fn new(shard: ShardId, shards: usize, seed: Seed) -> Self {
        assert!(shard.index() < shards && shards <= crate::limits::SHARDS_MAX, "shard {shard} of {shards}");
        Self { shard: shard.0, shards, rng: StdRng::from_seed(seed) }
    }
}

impl ConnectionIdGenerator for ShardConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_LEN];
        self.rng.fill_bytes(&mut id);
        let residues = (256 - usize::from(self.shard)).div_ceil(self.shards);
        id[0] = self.shard + (self.rng.random_range(0..residues) * self.shards) as u8;
        ConnectionId::new(&id)
    }

    /// Every shard holds the same reset key: were a stray packet of another shard's connection answered with a
    /// stateless reset, that reset would be genuine and end a healthy connection.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        match id.first() {
            Some(&first) if usize::from(first) % self.shards == usize::from(self.shard) => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_names_its_shard_and_uses_all_values_it_may() {
        for shards in [1, 2, 3, 7, 128] {
            for shard in ShardId::all(shards) {
                let mut ids = ShardConnectionIds::new(shard, shards, [shard.0; 32]);
                let mut seen = std::collections::BTreeSet::new();
                for _ in 0..4096 {
                    let id = ids.generate_cid();
                    assert_eq!(usize::from(id[0]) % shards, shard.index());
                    assert!(ids.validate(&id).is_ok());
                    seen.insert(id[0]);
                }
                let may = (0..=255u8).filter(|first| usize::from(*first) % shards == shard.index()).count();
                assert_eq!(seen.len(), may, "{shard} of {shards}");
            }
        }
    }

    #[test]
    fn an_id_of_another_shard_is_refused() {
        let mut other = ShardConnectionIds::new(ShardId(1), 4, [1; 32]);
        let ours = ShardConnectionIds::new(ShardId(2), 4, [1; 32]);
        assert!(ours.validate(&other.generate_cid()).is_err());
    }

    #[test]
    fn the_rule_reads_byte_6_of_long_and_byte_1_of_short_headers() {
        assert_eq!(shard_of_packet(&[0xC3, 0, 0, 0, 1, 8, 11, 99], 4), Some(3));
        assert_eq!(shard_of_packet(&[0x41, 11, 99], 4), Some(3));
        assert_eq!(shard_of_packet(&[0xC3, 0, 0, 0, 1, 0, 11], 4), None);
        assert_eq!(shard_of_packet(&[0xC3, 0, 0, 0, 1, 8], 4), None);
        assert_eq!(shard_of_packet(&[0x41], 4), None);
        assert_eq!(shard_of_packet(&[], 4), None);
    }
}
