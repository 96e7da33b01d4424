//! The emoji of a room, and which ids they have when the room is put again.
//!
//! Invariant: an emoji is its glyph, and its id is its place. Going on from other emoji moves none of them and drops none:
//! those that are no longer wanted are retired at their place.

use super::PaletteFull;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::Arc;
use uproar_wire::frame::PALETTE_MAX;
use uproar_wire::http::EmojiSpec;
use uproar_wire::label;

/// One emoji of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Emoji {
    /// What people call it; none when it is retired.
    pub(super) name: Option<Arc<str>>,
    /// The emoji itself, or the address of an image.
    pub(super) glyph: Arc<str>,
}

impl From<EmojiSpec> for Emoji {
    fn from(spec: EmojiSpec) -> Self {
        Self { name: Some(spec.name.into()), glyph: spec.glyph.into() }
    }
}

/// The emoji of a room that had `before` and shall have `wanted`.
pub(super) fn reconciled(before: &[Arc<str>], wanted: &[Emoji]) -> Result<Box<[Emoji]>, PaletteFull> {
    let mut all: Vec<_> = before.iter().map(|glyph| Emoji { name: None, glyph: glyph.clone() }).collect();
    // Only operators choose the keys, so nobody can aim at the hash.
    let mut places: HashMap<String, usize, FixedState> = HashMap::default();
    places.extend(before.iter().enumerate().map(|(place, glyph)| (label::folded(glyph).collect(), place)));
    for emoji in wanted.iter().filter(|emoji| emoji.name.is_some()) {
        match places.get(&label::folded(&emoji.glyph).collect::<String>()) {
            Some(&place) => all[place] = emoji.clone(),
            None => all.push(emoji.clone()),
        }
    }
    match all.len() {
        ..=PALETTE_MAX => Ok(all.into()),
        ids => Err(PaletteFull { ids }),
    }
}
