//! JSON bodies, good and bad.

use crate::ingest::http::{ReactionsError, parse_reactions, reactions};
use crate::limits::HTTP_REACTIONS_MAX;
use proptest::prelude::*;
use uproar_wire::EmojiId;

fn lookup(emoji: &str) -> Option<EmojiId> {
    match emoji {
        "🔥" | "fire" => Some(EmojiId(0)),
        "👏" | "clap" => Some(EmojiId(1)),
        "\"\\\n" => Some(EmojiId(2)),
        _ => None,
    }
}

fn parse(body: impl AsRef<[u8]>) -> Result<Vec<(u16, u16)>, ReactionsError> {
    let mut out = vec![(EmojiId(9), 9)];
    let parsed = parse_reactions(body.as_ref(), lookup, &mut out);
    assert!(parsed.is_ok() || out.is_empty(), "all or nothing");
    parsed.map(|()| out.iter().map(|&(emoji, count)| (emoji.0, count)).collect())
}

#[test]
fn one_reaction_or_an_array_by_glyph_or_name() {
    assert_eq!(parse(r#"{"emoji":"🔥","count":3}"#), Ok(vec![(0, 3)]));
    assert_eq!(parse(r#" [ {"count":2,"emoji":"clap"} , {"emoji":"fire"} ] "#), Ok(vec![(1, 2), (0, 1)]));
}

#[test]
fn a_count_is_one_when_absent() {
    assert_eq!(parse(r#"{"emoji":"👏"}"#), Ok(vec![(1, 1)]));
}

#[test]
fn labels_are_compared_byte_by_byte() {
    // A heart with and without its variation selector, and what would be equal after normalisation.
    let heart = |label: &str| (label == "\u{2764}\u{fe0f}" || label == "\u{e9}").then_some(EmojiId(5));
    let mut out = Vec::new();
    for (label, known) in [("\u{2764}\u{fe0f}", true), ("\u{2764}", false), ("\u{e9}", true), ("e\u{301}", false)] {
        let body = format!(r#"{{"emoji":"{label}"}}"#);
        assert_eq!(parse_reactions(body.as_bytes(), heart, &mut out).is_ok(), known, "{label}");
    }
}

#[test]
fn escapes_are_read() {
    assert_eq!(parse(r#"{"\u0065moji":"\ud83d\udd25","c\u006funt":3}"#), Ok(vec![(0, 3)]));
    assert_eq!(parse(r#"{"emoji":"\"\\\n"}"#), Ok(vec![(2, 1)]));
}

#[test]
fn counts_lie_between_1_and_65535() {
    let with = |count: &str| parse(format!(r#"{{"emoji":"fire","count":{count}}}"#));
    assert_eq!(with("1"), Ok(vec![(0, 1)]));
    assert_eq!(with("65535"), Ok(vec![(0, 65535)]));
    for count in [
        "0",
        "-0",
        "65536",
        "-1",
        "1.0",
        "0.5",
        "1e2",
        "18446744073709551615",
        "18446744073709551616",
        "-99999999999999999999",
    ] {
        assert_eq!(with(count), Err(ReactionsError::BadCount), "{count}");
    }
    for count in [r#""3""#, "null", "true", "[1]", "{}", "01", "+1", "1.", "1x", "NaN", "1e999", ""] {
        assert_eq!(with(count), Err(ReactionsError::BadJson), "{count}");
    }
}

#[test]
fn an_empty_array_counts_nothing() {
    assert_eq!(parse("[]"), Err(ReactionsError::BadCount));
}

#[test]
fn unknown_emoji_are_told_apart() {
    assert_eq!(parse(r#"{"emoji":"nope","count":1}"#), Err(ReactionsError::UnknownEmoji));
    assert_eq!(parse(r#"{"emoji":""}"#), Err(ReactionsError::UnknownEmoji));
    assert_eq!(parse(r#"[{"emoji":"fire"},{"emoji":"nope"}]"#), Err(ReactionsError::UnknownEmoji));
    assert_eq!(ReactionsError::UnknownEmoji.status(), 422);
}

#[test]
fn what_is_not_reactions_is_bad_json() {
    for body in [
        "",
        " ",
        "null",
        "1",
        r#""fire""#,
        "{}",
        "[{}]",
        "[1]",
        "[null]",
        r#"{"count":1}"#,
        r#"{"emoji":1}"#,
        r#"{"emoji":null}"#,
        r#"{"emoji":"fire""#,
        r#"[{"emoji":"fire"}"#,
        r#"{"emoji":"fire"}x"#,
        r#"{"emoji":"fire"}{"emoji":"fire"}"#,
        r#"[{"emoji":"fire"},]"#,
        r#"{"emoji":"fire",}"#,
        r#"{'emoji':'fire'}"#,
        r#"{emoji:"fire"}"#,
        r#"{"emoji":"\ud83d"}"#,
        r#"{"emoji":"\udd25\ud83d"}"#,
        "{\"emoji\":\"fire\"}\0",
        r#"[["fire",1]]"#,
        r#"[[{"emoji":"fire"}]]"#,
        r#"["fire"]"#,
        "\u{feff}{\"emoji\":\"fire\"}",
    ] {
        assert_eq!(parse(body), Err(ReactionsError::BadJson), "{body}");
    }
    assert_eq!(parse(b"{\"emoji\":\"\xff\"}"), Err(ReactionsError::BadJson));
    assert_eq!(parse("{\"emoji\":\"fi\nre\"}"), Err(ReactionsError::BadJson));
}

#[test]
fn unknown_fields_are_bad_json() {
    assert_eq!(parse(r#"{"emoji":"fire","counts":3}"#), Err(ReactionsError::BadJson));
    assert_eq!(parse(r#"{"emoji":"fire","room":{"id":1}}"#), Err(ReactionsError::BadJson));
}

#[test]
fn repeated_fields_are_bad_json() {
    assert_eq!(parse(r#"{"emoji":"fire","emoji":"fire"}"#), Err(ReactionsError::BadJson));
    assert_eq!(parse(r#"{"emoji":"fire","count":1,"count":1}"#), Err(ReactionsError::BadJson));
    assert_eq!(parse(r#"{"emoji":"fire","\u0065moji":"fire"}"#), Err(ReactionsError::BadJson));
}

#[test]
fn deep_nesting_is_bad_json() {
    assert_eq!(parse("[".repeat(60_000)), Err(ReactionsError::BadJson));
    assert_eq!(parse(r#"{"emoji":"#.repeat(6_000)), Err(ReactionsError::BadJson));
    assert_eq!(parse(format!(r#"{{"emoji":"fire","count":{}"#, "[".repeat(60_000))), Err(ReactionsError::BadJson));
}

#[test]
fn an_array_may_have_as_many_reactions_as_its_limit() {
    let array = |count: usize| format!("[{}]", vec![r#"{"emoji":"fire"}"#; count].join(","));
    assert_eq!(parse(array(HTTP_REACTIONS_MAX)).map(|out| out.len()), Ok(HTTP_REACTIONS_MAX));
    assert_eq!(parse(array(HTTP_REACTIONS_MAX + 1)), Err(ReactionsError::TooMany));
}

#[test]
fn a_warm_vector_is_not_grown() {
    let mut out = Vec::with_capacity(2);
    let place = out.as_ptr();
    parse_reactions(br#"[{"emoji":"fire"},{"emoji":"clap"}]"#, lookup, &mut out).unwrap();
    assert_eq!((out.as_ptr(), out.capacity()), (place, 2));
}

proptest! {
    #[test]
    fn what_serde_writes_is_read(counts in prop::collection::vec((0usize..2, 1u16..), 1..20)) {
        let names = ["🔥", "clap"];
        let bodies: Vec<_> = counts.iter()
            .map(|&(at, count)| uproar_wire::http::ReactionBody { emoji: names[at].into(), count })
            .collect();
        let expected: Vec<_> = counts.iter().map(|&(at, count)| (at as u16, count)).collect();
        prop_assert_eq!(parse(serde_json::to_vec(&bodies).unwrap()), Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_or_refused_like_serde_would(body in r#"[\[\]{}:, ]{0,3}("emoji"|"count"|"fire"|[0-9.e-]{1,3}|[\[\]{}:,]){0,12}"#) {
        let one = serde_json::from_str::<uproar_wire::http::ReactionBody<'_>>(&body).is_ok();
        let many = serde_json::from_str::<Vec<uproar_wire::http::ReactionBody<'_>>>(&body).is_ok();
        // Serde's derive also takes an array for an object; it knows no palette and no zero.
        if parse(&body).is_ok() {
            prop_assert!(one || many);
        }
    }
    #[test]
    fn the_short_way_reads_what_the_general_parser_reads(
        parts in prop::collection::vec(0usize..PARTS.len(), 0..14),
        cut in any::<prop::sample::Index>(),
        other in any::<u8>(),
    ) {
        let mut body: Vec<u8> = parts.iter().flat_map(|&part| PARTS[part].bytes()).collect();
        same_both_ways(&body)?;
        if !body.is_empty() {
            let at = cut.index(body.len());
            body[at] = other;
            same_both_ways(&body)?;
        }
    }
}

const PARTS: [&str; 16] = [
    r#"{"emoji":"fire","count":3}"#,
    r#"{"emoji":"🔥"}"#,
    "[",
    "]",
    ",",
    "{",
    "}",
    " ",
    "\n",
    r#""emoji""#,
    ":",
    r#""clap""#,
    r#","count": 65535"#,
    r#""count":"#,
    "07",
    "65536",
];

fn same_both_ways(body: &[u8]) -> Result<(), TestCaseError> {
    let (mut short, mut general) = (Vec::new(), Vec::new());
    let verdicts = (parse_reactions(body, lookup, &mut short), reactions::parse_any(body, lookup, &mut general));
    prop_assert_eq!(verdicts.0, verdicts.1);
    prop_assert_eq!(short, general);
    Ok(())
}
