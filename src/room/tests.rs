//! Rooms: labels, ids, and the answers about them.

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
