//! JSON bodies: what they look like, what is refused, and that they come back as they went.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Debug;
use uproar_wire::http::{EmojiBody, EmojiSpec, FrameBody, ProblemBody, ReactionBody, RoomBody, RoomSpec, TopBody};

fn check<'a, T: Serialize + Deserialize<'a> + PartialEq + Debug>(value: &T, json: &'a str) {
    assert_eq!(serde_json::to_string(value).expect("plain data"), json);
    assert_eq!(&serde_json::from_str::<T>(json).expect("what was written"), value);
}

fn reaction(json: &str) -> Option<ReactionBody<'_>> {
    serde_json::from_str(json).ok()
}

#[test]
fn reaction_body() {
    check(&ReactionBody { emoji: "🔥".into(), count: 3 }, r#"{"emoji":"🔥","count":3}"#);
    check(
        &vec![ReactionBody { emoji: "fire".into(), count: 1 }, ReactionBody { emoji: "goal".into(), count: 65_535 }],
        r#"[{"emoji":"fire","count":1},{"emoji":"goal","count":65535}]"#,
    );
}

#[test]
fn a_reaction_without_count_is_one_tap() {
    assert_eq!(reaction(r#"{"emoji":"fire"}"#), Some(ReactionBody { emoji: "fire".into(), count: 1 }));
}

#[test]
fn refused_reactions() {
    for json in [
        "{}",
        r#"{"count":3}"#,
        r#"{"emoji":"fire","count":65536}"#,
        r#"{"emoji":"fire","count":-1}"#,
        r#"{"emoji":"fire","count":1.5}"#,
        r#"{"emoji":"fire","count":"3"}"#,
        r#"{"emoji":"fire","count":null}"#,
        r#"{"emoji":2}"#,
        r#"{"emoji":"fire","room":7}"#,
        r#"{"emoji":"fire","emoji":"goal"}"#,
        r#"{"emoji":"fire"} {}"#,
        r#"{"emoji":"fire""#,
    ] {
        assert_eq!(reaction(json), None, "{json}");
    }
}

#[test]
fn a_plain_emoji_is_borrowed_and_an_escaped_one_is_not() {
    let plain = reaction(r#"{"emoji":"🔥"}"#).expect("valid");
    assert!(matches!(plain.emoji, Cow::Borrowed("🔥")));
    let escaped = reaction(r#"{"emoji":"\ud83d\udd25"}"#).expect("valid");
    assert!(matches!(&escaped.emoji, Cow::Owned(glyph) if glyph == "🔥"));
}

#[test]
fn room_body() {
    let fire = EmojiBody { id: 0, name: "fire".into(), glyph: "🔥".into(), retired: false };
    let goal = EmojiBody { id: 1, name: "".into(), glyph: "⚽".into(), retired: true };
    check(
        &RoomBody { id: 7, name: "Cup \"final\"".into(), palette: vec![fire, goal] },
        "{\"id\":7,\"name\":\"Cup \\\"final\\\"\",\"palette\":[{\"id\":0,\"name\":\"fire\",\"glyph\":\"🔥\"},\
         {\"id\":1,\"name\":\"\",\"glyph\":\"⚽\",\"retired\":true}]}",
    );
}

#[test]
fn room_spec_refuses_what_it_does_not_know() {
    let fire = EmojiSpec { name: "fire".to_owned(), glyph: "🔥".to_owned() };
    check(
        &RoomSpec { name: "Final".to_owned(), palette: vec![fire] },
        r#"{"name":"Final","palette":[{"name":"fire","glyph":"🔥"}]}"#,
    );
    for json in [
        r#"{"name":"Final"}"#,
        r#"{"palette":[]}"#,
        r#"{"name":"Final","palette":[],"id":7}"#,
        r#"{"name":"Final","palette":[{"name":"fire"}]}"#,
        r#"{"name":"Final","palette":[{"name":"fire","glyph":"🔥","id":0}]}"#,
    ] {
        assert!(serde_json::from_str::<RoomSpec>(json).is_err(), "{json}");
    }
}

#[test]
fn frame_body_keeps_every_digit() {
    let large = (1 << 53) + 1;
    let top = TopBody { emoji: "🔥".into(), id: 2, count: large, share: 4, intensity: 0 };
    check(
        &FrameBody {
            room: 7,
            window: 901_234_567,
            start_ms: 1_802_469_134_000,
            window_ms: 2000,
            total: u64::MAX,
            intensity: 255,
            top: vec![top],
        },
        concat!(
            r#"{"room":7,"window":901234567,"start_ms":1802469134000,"window_ms":2000,"total":18446744073709551615,"#,
            r#""intensity":255,"top":[{"emoji":"🔥","id":2,"count":9007199254740993,"share":4,"intensity":0}]}"#
        ),
    );
}

#[test]
fn problem_body() {
    check(
        &ProblemBody { status: 404, code: "unknown_room".into(), detail: "room 9 does not exist".into() },
        r#"{"status":404,"code":"unknown_room","detail":"room 9 does not exist"}"#,
    );
}
