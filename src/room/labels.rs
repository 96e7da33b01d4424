//! Which emoji of a room a label means.
//!
//! A label is looked up as it was sent first. Only when that finds nothing, and it has characters beyond ASCII, is it folded
//! ([`uproar_wire::label`]) and looked up again, without memory of its own. So the table holds each label as the palette spells
//! it, and once more folded where that differs.
//!
//! Invariant: two labels that fold alike belong to one emoji.

use super::palette::Emoji;
use super::{RoomError, refused, shown};
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::Arc;
use uproar_wire::frame::LABEL_MAX;
use uproar_wire::{EmojiId, label};

/// Bytes of a label that is still folded: one of a palette, each of its characters taken apart or with a selector.
const FOLDABLE_MAX: usize = 4 * LABEL_MAX;

/// The labels of a room's active emoji.
#[derive(Debug)]
pub(super) struct Labels {
    /// Names and glyphs alike. Only operators choose the keys, so nobody can aim at the hash.
    emoji: HashMap<Arc<str>, EmojiId, FixedState>,
}

/// Where an emoji has its labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Name,
    Glyph,
}

impl Field {
    fn of(self, emoji: &Emoji) -> Option<&Arc<str>> {
        match self {
            Self::Name => emoji.name.as_ref(),
            Self::Glyph => Some(&emoji.glyph),
        }
    }

    fn key(self, place: usize) -> String {
        match self {
            Self::Name => format!("palette[{place}].name"),
            Self::Glyph => format!("palette[{place}].glyph"),
        }
    }
}

/// Two emoji share a label: the place of each, and which of its labels it is.
#[derive(Debug)]
pub(super) struct Clash {
    first: (usize, Field),
    second: (usize, Field),
}

impl Clash {
    /// The refusal of a palette; `emoji` are those that clash.
    pub(super) fn into_error(self, emoji: &[Emoji]) -> RoomError {
        let label_at = |(place, field): (usize, Field)| field.of(&emoji[place]).map_or("", |label| &**label);
        let ((first, first_field), (second, second_field)) = (self.first, self.second);
        let (before, label) = (label_at(self.first), label_at(self.second));
        let key = first_field.key(first);
        let is_spelled_alike = before == label;
        let allowed = match is_spelled_alike {
            true => format!("a label that no other emoji has; {key} is the same"),
            false => format!(
                "a label that no other emoji has; {key} is {}, which is the same but for variation selectors or \
                 composed characters",
                code_points(before)
            ),
        };
        let mut error = refused(&second_field.key(second), label, &allowed);
        if !is_spelled_alike {
            error.value = code_points(label);
        }
        error
    }
}

/// A label and the code points that tell it from one that looks the same.
fn code_points(label: &str) -> String {
    let points: Vec<String> =
        label.chars().take(super::SHOWN_MAX).map(|character| format!("U+{:04X}", u32::from(character))).collect();
    format!("{} ({})", shown(label), points.join(" "))
}

impl Labels {
    /// The labels of the active ones among `emoji`, whose ids are their places.
    pub(super) fn of(emoji: &[Emoji]) -> Result<Self, Clash> {
        let mut labels: HashMap<Arc<str>, EmojiId, FixedState> =
            HashMap::with_capacity_and_hasher(emoji.len() * 2, FixedState::default());
        for (place, active) in emoji.iter().enumerate().filter(|(_, emoji)| emoji.name.is_some()) {
            let id = EmojiId(place as u16);
            for field in [Field::Name, Field::Glyph] {
                let Some(label) = field.of(active) else { continue };
                let folded = folded(label);
                // A name may be the same as its own glyph.
                match labels.insert(folded.clone(), id) {
                    Some(other) if other != id => {
                        let before = &emoji[usize::from(other.0)];
                        let is_name = before.name.as_ref().is_some_and(|name| label::is_same(name, label));
                        let first = (usize::from(other.0), if is_name { Field::Name } else { Field::Glyph });
                        return Err(Clash { first, second: (place, field) });
                    }
                    _ if folded == *label => {}
                    // Nobody else has it: whoever had would fold alike.
                    _ => drop(labels.insert(label.clone(), id)),
                }
            }
        }
        labels.shrink_to_fit();
        Ok(Self { emoji: labels })
    }

    pub(super) fn find(&self, label: &str) -> Option<EmojiId> {
        self.emoji.get(label).copied().or_else(|| self.find_folded(label))
    }

    #[cold]
    fn find_folded(&self, label: &str) -> Option<EmojiId> {
        if label.is_ascii() || label.len() > FOLDABLE_MAX {
            return None;
        }
        self.emoji.get(label::fold_into(label, &mut [0; label::FOLDED_MAX])?).copied()
    }
}

fn folded(label: &Arc<str>) -> Arc<str> {
    if label::is_folded(label) { label.clone() } else { label::folded(label).collect::<String>().into() }
}
