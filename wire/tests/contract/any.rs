//! Any value that the contract can carry, for property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use uproar_wire::frame::{Frame, Palette, PaletteEntry, TOP_MAX, TopEntry};

fn any_top_entry() -> impl Strategy<Value = TopEntry> {
    (any::<u64>(), any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(count, emoji, share, intensity)| TopEntry {
        count,
        emoji,
        share,
        intensity,
    })
}

pub(crate) fn any_frame() -> impl Strategy<Value = Frame> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u8>());
    (numbers, vec(any_top_entry(), 0..=TOP_MAX)).prop_map(
        |((room, window_ms, window, start_ms, total, intensity), top)| Frame {
            room,
            window_ms,
            window,
            start_ms,
            total,
            intensity,
            top,
        },
    )
}

/// Text around the lengths at which its form in an archive changes: 8 and 63 bytes.
fn any_label() -> impl Strategy<Value = String> {
    let chars = prop_oneof![Just('a'), Just('é'), Just('⚽'), Just('🔥'), any::<char>()];
    prop_oneof![vec(chars.clone(), 0..=10), vec(chars, 0..=64)].prop_map(String::from_iter)
}

pub(crate) fn any_palette() -> impl Strategy<Value = Palette> {
    let entry = (any_label(), any_label()).prop_map(|(name, glyph)| PaletteEntry { name, glyph });
    (any::<u32>(), any_label(), vec(entry, 0..20)).prop_map(|(room, name, emoji)| Palette { room, name, emoji })
}
