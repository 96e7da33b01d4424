//! What does a JSON body of reactions cost beside touching its bytes?
//!
//! Every reaction is looked up in a room's palette, by glyph or by name. The floor XORs the body's bytes; `grammar_only`
//! lets the JSON parser check the same body and keep nothing, which tells its part from ours. A single reaction is a lone
//! object, more are an array. `cargo bench --bench json`; tests run each case once.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde::de::IgnoredAny;
use uproar::ingest::http::parse_reactions;
use uproar::limits::{HTTP_BODY_MAX, HTTP_REACTIONS_MAX};
use uproar::room::demo_room;

/// One tap, a phone's few seconds, a gateway's batch.
const REACTIONS: [usize; 3] = [1, 16, 1000];
const _: () = assert!(REACTIONS[2] <= HTTP_REACTIONS_MAX);

fn main() {
    divan::main();
}

#[divan::bench(args = REACTIONS)]
fn floor_xor(bencher: Bencher<'_, '_>, reactions: usize) {
    let body = body(reactions);
    bencher
        .counter(BytesCount::of_str(&body))
        .counter(ItemsCount::new(reactions))
        .bench_local(|| black_box(body.as_bytes()).iter().fold(0, |sum, byte| sum ^ byte));
}

#[divan::bench(args = REACTIONS)]
fn grammar_only(bencher: Bencher<'_, '_>, reactions: usize) {
    let body = body(reactions);
    bencher
        .counter(BytesCount::of_str(&body))
        .counter(ItemsCount::new(reactions))
        .bench_local(|| serde_json::from_slice::<IgnoredAny>(black_box(body.as_bytes())).expect("JSON"));
}

#[divan::bench(args = REACTIONS)]
fn parse(bencher: Bencher<'_, '_>, reactions: usize) {
    let room = demo_room();
    let body = body(reactions);
    let mut out = Vec::new();
    let mut parse = |body: &str| {
        parse_reactions(body.as_bytes(), |label| room.emoji_id(label), &mut out).expect("known emoji");
        out.len()
    };
    assert_eq!(parse(&body), reactions, "every reaction is read");
    bencher
        .counter(BytesCount::of_str(&body))
        .counter(ItemsCount::new(reactions))
        .bench_local(|| parse(black_box(&body)));
}

/// Reactions as clients write them: by glyph and by name, with and without a count.
fn body(reactions: usize) -> String {
    const FORMS: [&str; 4] = [
        "{\"emoji\":\"🔥\",\"count\":3}",
        "{\"emoji\":\"trophy\",\"count\":12}",
        "{\"emoji\":\"❤️\"}",
        "{\"count\":250,\"emoji\":\"🎉\"}",
    ];
    if reactions == 1 {
        return FORMS[0].to_owned();
    }
    let objects: Vec<&str> = FORMS.into_iter().cycle().take(reactions).collect();
    let array = format!("[{}]", objects.join(","));
    assert!(array.len() <= HTTP_BODY_MAX, "a body that the appliance would take");
    array
}
