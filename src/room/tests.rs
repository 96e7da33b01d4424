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
    for (id, spellings) in [(1, ["\u{2764}", "\u{2764}\u{FE0E}"]), (2, ["6\u{20E3}", "6\u{20E3}\u{FE0F}"])] {
        assert_eq!(spellings.map(|label| room.emoji_id(label)), [Some(EmojiId(id)); 2]);
    }
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
    for bad in ["", &long, "tab\there", "\u{7f}", "\u{FE0F}"] {
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
    for (second, key) in [(("a", "c"), "name"), (("c", "b"), "glyph"), (("b", "c"), "name"), (("c", "a"), "glyph")] {
        let error = refusal(spec(&[("a", "b"), second]));
        assert_eq!(error.key, format!("palette[1].{key}"));
        assert!(error.allowed.contains("palette[0]"), "{error}");
    }
}

#[test]
fn a_label_is_the_same_in_every_spelling() {
    let room = Room::new(RoomId(7), spec(&[("café", "\u{2764}"), ("\u{1F44D}\u{FE0F}", "\u{1F44D}")])).unwrap();
    for label in ["café", "cafe\u{301}", "\u{2764}", "\u{2764}\u{FE0F}"] {
        assert_eq!(room.emoji_id(label), Some(EmojiId(0)), "{label:?}");
    }
    assert_eq!(room.emoji_id("\u{1F44D}\u{FE0E}"), Some(EmojiId(1)));
    for unknown in ["", "\u{FE0F}", "cafe", "\u{1F44D}\u{1F3FD}", &"\u{FE0F}".repeat(2000)] {
        assert_eq!(room.emoji_id(unknown), None, "{unknown:?}");
    }
    // The longest label, with a selector behind each of its characters.
    let longest = "\u{2764}".repeat(LABEL_MAX / 3);
    let room = Room::new(RoomId(7), spec(&[("a", &longest)])).unwrap();
    assert_eq!(room.emoji_id(&longest.replace('\u{2764}', "\u{2764}\u{FE0F}")), Some(EmojiId(0)));
}

#[test]
fn labels_that_differ_in_spelling_alone_are_refused_and_shown() {
    for (first, second) in
        [("\u{2764}", "\u{2764}\u{FE0F}"), ("\u{2764}\u{FE0F}", "\u{2764}\u{FE0E}"), ("\u{E9}", "e\u{301}")]
    {
        for clash in [[("a", first), ("b", second)], [(first, "x"), (second, "y")], [("a", first), (second, "y")]] {
            let error = refusal(spec(&clash)).to_string();
            assert!(error.contains("palette[1].") && error.contains("palette[0]."), "{error}");
            for label in [first, second] {
                let points = format!("U+{:04X}", u32::from(label.chars().last().unwrap()));
                assert!(error.contains(&points), "{error} does not show {points}");
            }
        }
    }
    assert!(Room::new(RoomId(7), spec(&[("\u{2764}", "\u{2764}\u{FE0F}")])).is_ok(), "of one emoji");
}

/// Ids and names of a room, as JSON has them.
fn entries(room: &Room) -> Vec<(String, String, bool)> {
    let body: RoomBody<'_> = serde_json::from_slice(room.json()).unwrap();
    assert!((0..).zip(&body.palette).all(|(id, emoji)| emoji.id == id));
    body.palette.into_iter().map(|emoji| (emoji.name.into(), emoji.glyph.into(), emoji.retired)).collect()
}

#[test]
fn a_room_goes_on_with_the_ids_of_the_one_before() {
    let room = |emoji: &[(&str, &str)]| Room::new(RoomId(7), spec(emoji)).unwrap();
    let first = room(&[("fire", "🔥"), ("heart", "\u{2764}"), ("goal", "⚽")]);
    assert_eq!(first.retired().count(), 0);
    // Another order, another name, another spelling, one gone and one new.
    let second =
        room(&[("love", "\u{2764}\u{FE0F}"), ("fire", "🏆"), ("flame", "🔥")]).going_on_from(&first.glyphs()).unwrap();
    let entry = |name: &str, glyph: &str| (name.to_owned(), glyph.to_owned(), name.is_empty());
    assert_eq!(
        entries(&second),
        [entry("flame", "🔥"), entry("love", "\u{2764}\u{FE0F}"), entry("", "⚽"), entry("fire", "🏆")]
    );
    assert_eq!(second.retired().collect::<Vec<_>>(), [EmojiId(2)]);
    let ids = ["fire", "flame", "goal", "⚽", "heart", "\u{2764}"].map(|label| second.emoji_id(label).map(|id| id.0));
    assert_eq!(ids, [Some(3), Some(0), None, None, None, Some(1)]);
    assert_eq!(second.glyph(EmojiId(2)), Some("⚽"));
    let RoomMessage::Palette(palette) = stream::decode(second.palette_message()).unwrap().unwrap().0 else { panic!() };
    let retired: Vec<_> = palette.emoji.iter().map(PaletteEntry::is_retired).collect();
    assert_eq!(retired, [false, false, true, false]);
    assert_eq!(palette.active().map(|(id, _)| id.0).collect::<Vec<_>>(), [0, 1, 3]);
    // The label of a retired emoji is free, and its glyph brings it back.
    let third = room(&[("goal", "🥅"), ("ball", "⚽")]).going_on_from(&second.glyphs()).unwrap();
    assert_eq!(third.emoji_id("goal"), Some(EmojiId(4)));
    assert_eq!(third.emoji_id("⚽"), Some(EmojiId(2)));
    assert_eq!(third.retired().map(|id| id.0).collect::<Vec<_>>(), [0, 1, 3]);
}

#[test]
fn a_room_has_no_more_ids_than_a_palette() {
    let many = |from: usize, to: usize| {
        let palette = (from..to).map(|i| EmojiSpec { name: format!("n{i}"), glyph: format!("g{i}") });
        Room::new(RoomId(7), RoomSpec { name: "final".into(), palette: palette.collect() }).unwrap()
    };
    let first = many(0, 1000);
    let full = many(1000, 1024).going_on_from(&first.glyphs()).unwrap();
    assert_eq!((full.palette_len(), full.retired().count()), (1024, 1000));
    assert_eq!(many(1000, 1025).going_on_from(&first.glyphs()).unwrap_err(), PaletteFull { ids: 1025 });
    assert!(many(0, 1024).going_on_from(&full.glyphs()).is_ok(), "those that it has had need none");
}
