//! The most tapped emoji of a room and window, and how loud they are against the room's recent peak.
//!
//! Invariant: the order is total, by count descending, then id ascending, so that every merger and every run names
//! the same emoji. Emoji that nobody tapped never appear.
//!
//! Not here: which rooms have a peak and since when ([`super::merge`]).

use uproar_wire::EmojiId;
use uproar_wire::frame::{TOP_MAX, TopEntry};

/// Basis points of the whole.
const SHARE_WHOLE: u64 = 10_000;
/// Intensity of a room that is as loud as its recent peak.
const INTENSITY_FULL: u64 = 255;
/// A peak loses this part of itself per window.
const PEAK_DECAY: u64 = 16;
/// Windows after which any peak has decayed to nothing: `(15/16)^661 * 2^64 < 16`, then one a window.
pub(super) const PEAK_WINDOWS_MAX: u64 = 1024;

/// Selects the top entries of one room after another, without allocating for the selection.
#[derive(Debug)]
pub struct TopK {
    k: usize,
    /// The best so far, in order.
    best: Vec<(EmojiId, u64)>,
}

impl TopK {
    /// Selects at most `k` entries, and never more than [`TOP_MAX`].
    pub fn new(k: usize) -> Self {
        let k = k.min(TOP_MAX);
        Self { k, best: Vec::with_capacity(k) }
    }

    /// The most tapped emoji of `counts`, which is indexed by emoji id. One pass; only a count that beats the worst of
    /// the best moves anything.
    pub fn select(&mut self, counts: &[u64]) -> &[(EmojiId, u64)] {
        self.best.clear();
        if self.k == 0 {
            return &self.best;
        }
        let mut worst = 0;
        for (id, &count) in counts.iter().enumerate() {
            // Not `>=`: among equals the lower id, which came first, stays.
            if count > worst {
                if self.best.len() == self.k {
                    self.best.pop();
                }
                let place = self.best.partition_point(|&(_, better)| better >= count);
                self.best.insert(place, (EmojiId(id as u16), count));
                if self.best.len() == self.k {
                    worst = self.best[self.k - 1].1;
                }
            }
        }
        &self.best
    }

    /// The top entries of a frame: `total` is the sum of `counts`, `peak` the room's recent peak and at least `total`.
    pub fn entries(&mut self, counts: &[u64], total: u64, peak: u64) -> Vec<TopEntry> {
        let best = self.select(counts).iter();
        best.map(|&(emoji, count)| TopEntry {
            count,
            emoji: emoji.0,
            share: part_of(SHARE_WHOLE, count, total) as u16,
            intensity: intensity(count, peak),
        })
        .collect()
    }
}

/// `taps` against `peak`, 0..=255, rounded down; 0 where nothing ever happened.
pub fn intensity(taps: u64, peak: u64) -> u8 {
    part_of(INTENSITY_FULL, taps, peak) as u8
}

/// What is left of a peak after `windows` windows: 15/16 of it a window, rounded down, so that it reaches 0.
pub fn decayed(mut peak: u64, windows: u64) -> u64 {
    for _ in 0..windows {
        if peak == 0 {
            break;
        }
        // ceil(peak / 16) less is floor(15/16 peak), without overflow.
        peak -= peak.div_ceil(PEAK_DECAY);
    }
    peak
}

/// `scale * part / whole`, rounded down, at most `scale`.
fn part_of(scale: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    match scale.checked_mul(part.min(whole)) {
        Some(product) => product / whole,
        None => (u128::from(scale) * u128::from(part.min(whole)) / u128::from(whole)) as u64,
    }
}
