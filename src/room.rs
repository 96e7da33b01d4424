//! A room as every shard sees it: its palette, checked once, and the answers about it, encoded once.
//!
//! Invariant: a [`Room`] never changes. Replacing a room makes a new one, which shards swap in as a whole; so it is
//! shared read-only, and no lookup needs a lock. A label (name or glyph) means exactly one emoji of its room.
//!
//! Not here: which rooms exist (the shard's table), and what is counted in them (the tally).

use bytes::Bytes;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use uproar_wire::frame::{LABEL_MAX, PALETTE_MAX, Palette, PaletteEntry};
use uproar_wire::http::{EmojiBody, EmojiSpec, RoomBody, RoomSpec};
use uproar_wire::{EmojiId, RoomId};

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

/// One audience and the emoji it may tap.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    name: Box<str>,
    glyphs: Box<[Box<str>]>,
    /// Names and glyphs alike. Only operators choose the keys, so nobody can aim at the hash.
    emoji_by_label: HashMap<Box<str>, EmojiId, FixedState>,
    palette_message: Bytes,
    json: Bytes,
}

impl Room {
    /// Checks `spec` and encodes every answer about it.
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
        let emoji_by_label = index_labels(&spec.palette)?;
        let json = Bytes::from(encode_json(id, &spec));
        let glyphs = spec.palette.iter().map(|emoji| emoji.glyph.as_str().into()).collect();
        let name = spec.name.as_str().into();
        let palette_message = Bytes::from(encode_palette(id, spec));
        Ok(Self { id, name, glyphs, emoji_by_label, palette_message, json })
    }

    /// Its id.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Emoji of the palette; every id below this exists.
    pub fn palette_len(&self) -> u16 {
        self.glyphs.len() as u16
    }

    /// The emoji with this glyph or this name.
    pub fn emoji_id(&self, glyph_or_name: &str) -> Option<EmojiId> {
        self.emoji_by_label.get(glyph_or_name).copied()
    }

    /// The glyph of an emoji.
    pub fn glyph(&self, emoji: EmojiId) -> Option<&str> {
        self.glyphs.get(usize::from(emoji.0)).map(|glyph| &**glyph)
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
    if (1..=LABEL_MAX).contains(&label.len()) && !label.contains(char::is_control) {
        return Ok(());
    }
    Err(refused(key, label, &format!("1 to {LABEL_MAX} bytes without control characters")))
}

fn index_labels(palette: &[EmojiSpec]) -> Result<HashMap<Box<str>, EmojiId, FixedState>, RoomError> {
    let mut index = HashMap::with_capacity_and_hasher(palette.len() * 2, FixedState::default());
    for (place, emoji) in palette.iter().enumerate() {
        for (field, label) in [("name", &emoji.name), ("glyph", &emoji.glyph)] {
            let key = format!("palette[{place}].{field}");
            check_label(&key, label)?;
            let id = EmojiId(place as u16);
            match index.insert(label.as_str().into(), id) {
                Some(other) if other != id => {
                    return Err(refused(&key, label, &format!("a label that palette[{other}] does not have")));
                }
                _ => {}
            }
        }
    }
    // A name may repeat within one emoji only as its own glyph, which the walk above lets pass.
    Ok(index)
}

fn refused(key: &str, label: &str, allowed: &str) -> RoomError {
    let shown: String = label.chars().take(SHOWN_MAX).collect();
    let rest = if shown.len() < label.len() { format!(" ({} bytes)", label.len()) } else { String::new() };
    RoomError { key: key.into(), value: format!("{shown:?}{rest}"), allowed: allowed.into() }
}

fn encode_json(id: RoomId, spec: &RoomSpec) -> Vec<u8> {
    let palette = spec.palette.iter().enumerate().map(|(place, emoji)| EmojiBody {
        id: place as u16,
        name: emoji.name.as_str().into(),
        glyph: emoji.glyph.as_str().into(),
    });
    let body = RoomBody { id: id.0, name: spec.name.as_str().into(), palette: palette.collect() };
    serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("numbers and strings always have a JSON form"))
}

fn encode_palette(id: RoomId, spec: RoomSpec) -> Vec<u8> {
    let emoji = spec.palette.into_iter().map(|emoji| PaletteEntry { name: emoji.name, glyph: emoji.glyph });
    let palette = Palette { room: id.0, name: spec.name, emoji: emoji.collect() };
    let mut message = Vec::new();
    uproar_wire::stream::encode_palette(&palette, &mut message);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use uproar_wire::stream::{self, RoomMessage};

    fn spec(emoji: &[(&str, &str)]) -> RoomSpec {
        let palette = emoji.iter().map(|&(name, glyph)| EmojiSpec { name: name.into(), glyph: glyph.into() });
        RoomSpec { name: "final".into(), palette: palette.collect() }
    }

    fn refusal(spec: RoomSpec) -> RoomError {
        Room::new(RoomId(7), spec).expect_err("this is not a room")
    }

    #[test]
    fn a_label_finds_its_emoji_and_nothing_else() {
        let room = demo_room();
        assert_eq!(room.emoji_id("fire"), Some(EmojiId(0)));
        assert_eq!(room.emoji_id("🔥"), Some(EmojiId(0)));
        assert_eq!(room.emoji_id("trophy"), Some(EmojiId(room.palette_len() - 1)));
        assert_eq!(room.emoji_id("Fire"), None);
        assert_eq!(room.glyph(EmojiId(1)), Some("❤️"));
        assert_eq!(room.glyph(EmojiId(room.palette_len())), None);
    }

    #[test]
    fn the_prebuilt_answers_say_what_was_specified() {
        let room = Room::new(RoomId(7), spec(&[("fire", "🔥"), ("GG", "GG")])).unwrap();
        let body: RoomBody<'_> = serde_json::from_slice(room.json()).unwrap();
        assert_eq!((body.id, &*body.name), (7, "final"));
        assert_eq!((body.palette[1].id, &*body.palette[1].name, &*body.palette[1].glyph), (1, "GG", "GG"));
        let (message, length) = stream::decode(room.palette_message()).unwrap().unwrap();
        assert_eq!(length, room.palette_message().len());
        let RoomMessage::Palette(palette) = message else { panic!("not a palette: {message:?}") };
        assert_eq!((palette.room, palette.name.as_str(), palette.emoji[0].glyph.as_str()), (7, "final", "🔥"));
    }

    #[test]
    fn a_palette_has_1_to_1024_emoji() {
        let error = refusal(spec(&[]));
        assert_eq!((error.key.as_str(), error.value.as_str()), ("palette", "0 emoji"));
        assert!(error.allowed.contains("1 to 1024"), "{error}");

        let many = |n: usize| {
            let palette = (0..n).map(|i| EmojiSpec { name: format!("n{i}"), glyph: format!("g{i}") });
            RoomSpec { name: "final".into(), palette: palette.collect() }
        };
        assert_eq!(Room::new(RoomId(7), many(1024)).unwrap().palette_len(), 1024);
        assert_eq!(refusal(many(1025)).value, "1025 emoji");
    }

    #[test]
    fn a_label_is_neither_empty_nor_long_nor_has_control_characters() {
        let long = "x".repeat(LABEL_MAX + 1);
        for bad in ["", &long, "tab\there", "\u{7f}"] {
            let error = refusal(RoomSpec { name: bad.into(), ..spec(&[("fire", "🔥")]) });
            assert_eq!(error.key, "name");
            assert!(error.allowed.contains("1 to 256 bytes"), "{error}");
            assert_eq!(refusal(spec(&[("a", "b"), (bad, "🔥")])).key, "palette[1].name");
            assert_eq!(refusal(spec(&[("a", "b"), ("fire", bad)])).key, "palette[1].glyph");
        }
        assert!(refusal(spec(&[(&long, "🔥")])).value.ends_with("(257 bytes)"));
        assert!(Room::new(RoomId(7), spec(&[(&"x".repeat(LABEL_MAX), "🔥")])).is_ok());
    }

    #[test]
    fn a_label_means_one_emoji() {
        for (second, key) in [(("a", "c"), "name"), (("c", "b"), "glyph"), (("b", "c"), "name"), (("c", "a"), "glyph")]
        {
            let error = refusal(spec(&[("a", "b"), second]));
            assert_eq!(error.key, format!("palette[1].{key}"));
            assert!(error.allowed.contains("palette[0]"), "{error}");
        }
    }
}
