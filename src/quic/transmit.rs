//! Packets on their way out: one arena of bytes that is filled, sent and used again.
//!
//! Invariant: the arena never grows beyond the capacity it was made with, so a full batch is a turn's end and not an
//! allocation. Sending is the edge's.

use crate::limits::QUIC_TRAIN_DATAGRAMS;
use quinn_proto::EcnCodepoint;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Bytes of the longest train: what must be free for a connection to be asked for output.
pub const TRAIN_BYTES_MAX: usize = QUIC_TRAIN_DATAGRAMS * 1500;

/// One send: a datagram, or a train of them to one destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub destination: SocketAddr,
    /// From which of the host's addresses, where that is known.
    pub src_ip: Option<IpAddr>,
    /// The congestion mark of the IP header.
    pub ecn: Option<EcnCodepoint>,
    /// Bytes of every datagram of a train but the last, which may be shorter; `None` for a single datagram.
    pub segment_len: Option<usize>,
    /// Where its bytes lie in [`TransmitBatch::bytes`].
    pub range: Range<usize>,
}

/// What one turn of the loop sends.
pub struct TransmitBatch {
    arena: Vec<u8>,
    transmits: Vec<Transmit>,
    capacity_bytes: usize,
}

impl TransmitBatch {
    /// Room for `capacity_bytes`, or for one train if that is more.
    pub fn new(capacity_bytes: usize) -> Self {
        let capacity_bytes = capacity_bytes.max(TRAIN_BYTES_MAX);
        Self { arena: Vec::with_capacity(capacity_bytes), transmits: Vec::new(), capacity_bytes }
    }

    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.transmits.clear();
    }

    /// Whether the next train might not fit.
    pub fn is_full(&self) -> bool {
        self.capacity_bytes - self.arena.len() < TRAIN_BYTES_MAX
    }

    /// The sends, in the order they were made.
    pub fn iter(&self) -> std::slice::Iter<'_, Transmit> {
        self.transmits.iter()
    }

    /// How many sends.
    pub fn len(&self) -> usize {
        self.transmits.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty()
    }

    /// The arena that the ranges of [`Transmit::range`] refer to.
    pub fn bytes(&self) -> &[u8] {
        &self.arena
    }

    /// The datagrams of one send, one by one.
    pub fn datagrams(&self, transmit: &Transmit) -> impl Iterator<Item = &[u8]> {
        let bytes = &self.arena[transmit.range.clone()];
        bytes.chunks(transmit.segment_len.unwrap_or(bytes.len()).max(1))
    }

    /// Copies what quinn wrote to `bytes`. The caller has seen that the batch is not full.
    pub(super) fn push(&mut self, transmit: &quinn_proto::Transmit, bytes: &[u8]) {
        let start = self.arena.len();
        self.arena.extend_from_slice(&bytes[..transmit.size]);
        self.transmits.push(Transmit {
            destination: transmit.destination,
            src_ip: transmit.src_ip,
            ecn: transmit.ecn,
            segment_len: transmit.segment_size,
            range: start..self.arena.len(),
        });
    }

    /// Moves the sends of `other` from `from` on, as many as fit; returns the first one that did not.
    pub(super) fn take_from(&mut self, other: &TransmitBatch, from: usize) -> usize {
        for (index, transmit) in other.transmits.iter().enumerate().skip(from) {
            if self.is_full() {
                return index;
            }
            let start = self.arena.len();
            self.arena.extend_from_slice(&other.arena[transmit.range.clone()]);
            self.transmits.push(Transmit { range: start..self.arena.len(), ..transmit.clone() });
        }
        other.transmits.len()
    }
}

impl<'a> IntoIterator for &'a TransmitBatch {
    type Item = &'a Transmit;
    type IntoIter = std::slice::Iter<'a, Transmit>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
