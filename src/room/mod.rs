//! A room as every shard sees it: its palette, checked once, and the answers about it, encoded once.
//!
//! Invariants: a [`Room`] never changes. Replacing a room makes a new one, which shards swap in as a whole; so it is
//! shared read-only, and no lookup needs a lock. A label (name or glyph) means exactly one active emoji of its room. An
//! emoji keeps its id in every room that goes on from another ([`Room::going_on_from`]).
//!
//! 1. `palette`: the emoji of a room, and which ids they have;
//! 2. `labels`: which emoji a label means;
//! 3. this file: the room itself.
//!
//! Not here: which rooms exist (the shard's table), and what is counted in them (the tally).

mod labels;
mod palette;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use labels::Labels;
use palette::Emoji;
use std::sync::Arc;
use uproar_wire::frame::{LABEL_MAX, PALETTE_MAX, Palette, PaletteEntry};
use uproar_wire::http::{EmojiBody, EmojiSpec, RoomBody, RoomSpec};
use uproar_wire::{EmojiId, RoomId, label};

/// Characters of a refused value that its error repeats.
const SHOWN_MAX: usize = 64;

/// Why a specification is not a room.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key} is {value}; allowed: {allowed}")]
pub struct RoomError {
    /// Where in the specification: `name`, `palette`, `palette[3].glyph`.
    pub key: String,
    /// What stands there, shortened.
    pub value: String,
    /// What may stand there.
    pub allowed: String,
}

/// A room would need more emoji ids than there are, as each emoji that it has ever had keeps its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it would have {ids} emoji ids, retired emoji included; allowed: up to {PALETTE_MAX}")]
pub struct PaletteFull {
    /// Ids that it would need.
    pub ids: usize,
}

/// The glyphs that a room has ever had, by id; what a deleted room leaves behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Glyphs(Box<[Arc<str>]>);

impl Glyphs {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that they take, once nobody else shares them.
    pub fn bytes(&self) -> usize {
        // A glyph stands behind two reference counts.
        let of_a_glyph = |glyph: &Arc<str>| size_of::<Arc<str>>() + 2 * size_of::<usize>() + glyph.len();
        self.0.iter().map(of_a_glyph).sum()
    }
}

/// One audience and the emoji it may tap.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    name: Box<str>,
    emoji: Box<[Emoji]>,
    labels: Labels,
    palette_message: Bytes,
    json: Bytes,
}

impl Room {
    /// Checks `spec` and encodes every answer about it. Ids are given in its order from 0.
    ///
    /// # Errors
    /// An empty or too long palette; a label that is empty, longer than [`LABEL_MAX`] bytes, has control characters,
    /// or means two emoji.
    pub fn new(id: RoomId, spec: RoomSpec) -> Result<Self, RoomError> {
        check_label("name", &spec.name)?;
        if !(1..=PALETTE_MAX).contains(&spec.palette.len()) {
            return Err(RoomError {
                key: "palette".into(),
                value: format!("{} emoji", spec.palette.len()),
                allowed: format!("1 to {PALETTE_MAX} emoji"),
            });
        }
        for (place, emoji) in spec.palette.iter().enumerate() {
            check_label(&format!("palette[{place}].name"), &emoji.name)?;
            check_label(&format!("palette[{place}].glyph"), &emoji.glyph)?;
        }
        let emoji: Box<[Emoji]> = spec.palette.into_iter().map(Emoji::from).collect();
        let labels = Labels::of(&emoji).map_err(|clash| clash.into_error(&emoji))?;
        Ok(Self::encoded(id, spec.name.into(), emoji, labels))
    }

    /// This room with the ids of another one that it follows, of which `before` are the glyphs: an emoji whose glyph is
    /// among them keeps its id, others get the next ones, and those of `before` that this room lacks are retired.
    ///
    /// # Errors
    /// When that are more than [`PALETTE_MAX`] ids.
    pub fn going_on_from(&self, before: &Glyphs) -> Result<Self, PaletteFull> {
        let emoji = palette::reconciled(&before.0, &self.emoji)?;
        let labels = Labels::of(&emoji).unwrap_or_else(|_| unreachable!("the same labels as before, at other places"));
        Ok(Self::encoded(self.id, self.name.clone(), emoji, labels))
    }

    fn encoded(id: RoomId, name: Box<str>, emoji: Box<[Emoji]>, labels: Labels) -> Self {
        let json = Bytes::from(encode_json(id, &name, &emoji));
        let palette_message = Bytes::from(encode_palette(id, &name, &emoji));
        Self { id, name, emoji, labels, palette_message, json }
    }

    /// Its id.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Emoji of the palette; every id below this exists, retired ones included.
    pub fn palette_len(&self) -> u16 {
        self.emoji.len() as u16
    }

    /// The active emoji with this glyph or this name, as [`uproar_wire::label`] compares them.
    pub fn emoji_id(&self, glyph_or_name: &str) -> Option<EmojiId> {
        self.labels.find(glyph_or_name)
    }

    /// The glyph of an emoji, which may be retired.
    pub fn glyph(&self, emoji: EmojiId) -> Option<&str> {
        self.emoji.get(usize::from(emoji.0)).map(|emoji| &*emoji.glyph)
    }

    /// The glyphs of all its emoji.
    pub fn glyphs(&self) -> Glyphs {
        Glyphs(self.emoji.iter().map(|emoji| emoji.glyph.clone()).collect())
    }

    /// The emoji that can no longer be tapped.
    pub fn retired(&self) -> impl Iterator<Item = EmojiId> {
        let ids = (0..).map(EmojiId);
        ids.zip(&self.emoji).filter(|(_, emoji)| emoji.name.is_none()).map(|(id, _)| id)
    }

    /// The palette's message on the room's stream, as [`uproar_wire::stream::encode_palette`] writes it.
    pub fn palette_message(&self) -> &Bytes {
        &self.palette_message
    }

    /// The body of `GET /v1/rooms/{room}`.
    pub fn json(&self) -> &Bytes {
        &self.json
    }
}

/// The room that an appliance without configured rooms serves: id 1, the final of a cricket cup.
pub fn demo_room() -> Room {
    const PALETTE: [(&str, &str); 12] = [
        ("fire", "🔥"),
        ("heart", "❤️"),
        ("six", "6️⃣"),
        ("four", "4️⃣"),
        ("wicket", "🏏"),
        ("clap", "👏"),
        ("wow", "😮"),
        ("laugh", "😂"),
        ("cry", "😭"),
        ("angry", "😡"),
        ("party", "🎉"),
        ("trophy", "🏆"),
    ];
    let palette = PALETTE.map(|(name, glyph)| EmojiSpec { name: name.into(), glyph: glyph.into() });
    let spec = RoomSpec { name: "Cricket final".into(), palette: palette.into() };
    Room::new(RoomId(1), spec).unwrap_or_else(|error| unreachable!("the demo room is a valid room: {error}"))
}

fn check_label(key: &str, label: &str) -> Result<(), RoomError> {
    if label.len() <= LABEL_MAX && !label::is_blank(label) && !label.contains(char::is_control) {
        return Ok(());
    }
    let allowed = format!("1 to {LABEL_MAX} bytes without control characters, and not variation selectors alone");
    Err(refused(key, label, &allowed))
}

fn refused(key: &str, label: &str, allowed: &str) -> RoomError {
    RoomError { key: key.into(), value: shown(label), allowed: allowed.into() }
}

/// A label as an error repeats it: what cannot be seen is escaped, and a long one is cut off.
fn shown(label: &str) -> String {
    let start: String = label.chars().take(SHOWN_MAX).collect();
    let rest = if start.len() < label.len() { format!(" ({} bytes)", label.len()) } else { String::new() };
    format!("{start:?}{rest}")
}

fn encode_json(id: RoomId, name: &str, emoji: &[Emoji]) -> Vec<u8> {
    let palette = emoji.iter().enumerate().map(|(place, emoji)| EmojiBody {
        id: place as u16,
        name: emoji.name.as_deref().unwrap_or_default().into(),
        glyph: (*emoji.glyph).into(),
        retired: emoji.name.is_none(),
    });
    let body = RoomBody { id: id.0, name: name.into(), palette: palette.collect() };
    serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("numbers and strings always have a JSON form"))
}

fn encode_palette(id: RoomId, name: &str, emoji: &[Emoji]) -> Vec<u8> {
    let emoji = emoji.iter().map(|emoji| PaletteEntry {
        name: emoji.name.as_deref().unwrap_or_default().into(),
        glyph: (*emoji.glyph).into(),
    });
    let palette = Palette { room: id.0, name: name.into(), emoji: emoji.collect() };
    let mut message = Vec::new();
    uproar_wire::stream::encode_palette(&palette, &mut message);
    message
}
