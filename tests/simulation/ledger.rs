//! What the simulation knows on its own: which taps were accepted, and which frames were made of them.
//!
//! Invariant: nothing here is read from a shard's counters that the shard does not answer for at once: a tap counts as
//! accepted when the shard's total grew by exactly it, or when a 202 was read; frames are read where they travel.

use super::plain_frame::PlainFrame;
use std::collections::BTreeMap;
use uproar::shard::MeshMessage;

/// Taps of one emoji: room, emoji, count.
pub(crate) type Tap = (u32, u16, u16);

/// Taps by room and emoji.
pub(crate) type Counts = BTreeMap<(u32, u16), u64>;

#[derive(Default)]
pub(crate) struct Ledger {
    /// Taps whose acceptance is known one by one: those by UDP and HTTP.
    pub(crate) accepted: Counts,
    /// Every frame, in the order in which they were made.
    pub(crate) frames: Vec<PlainFrame>,
}

impl Ledger {
    pub(crate) fn accept(&mut self, taps: &[Tap]) {
        for &(room, emoji, count) in taps {
            *self.accepted.entry((room, emoji)).or_default() += u64::from(count);
        }
    }

    /// A message that each merger sends once.
    pub(crate) fn note(&mut self, message: &MeshMessage) {
        if let MeshMessage::Frames(frames) = message {
            self.frames.extend(frames.iter().map(|frame| PlainFrame::read(&frame.message)));
        }
    }

    /// Sum of all frames' totals.
    pub(crate) fn framed_taps(&self) -> u64 {
        self.frames.iter().map(|frame| frame.total).sum()
    }

    /// What all frames name together.
    pub(crate) fn framed(&self) -> Counts {
        let mut counts = Counts::new();
        for frame in &self.frames {
            for &(emoji, count) in &frame.top {
                *counts.entry((frame.room, emoji)).or_default() += count;
            }
        }
        counts
    }

    /// The newest frame of a room.
    pub(crate) fn newest(&self, room: u32) -> Option<&PlainFrame> {
        self.frames.iter().filter(|frame| frame.room == room).max_by_key(|frame| frame.window)
    }
}
