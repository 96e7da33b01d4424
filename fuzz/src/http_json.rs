//! JSON bodies: taken exactly when serde's own reading of the published shape says so, with the same taps.

use serde_json::Value;
use uproar::ingest::http::parse_reactions;
use uproar::limits::HTTP_REACTIONS_MAX;
use uproar_wire::EmojiId;
use uproar_wire::http::ReactionBody;

/// Parses `bytes` as the body of a request to a room whose palette has three labels.
///
/// # Panics
/// When a body is taken or refused against the contract, counts other taps, or leaves taps of a refused body behind.
pub fn check(bytes: &[u8]) {
    // What a vector held before must not matter.
    let mut out = vec![(EmojiId(9), 9)];
    let parsed = parse_reactions(bytes, lookup, &mut out);
    assert!(parsed.is_ok() || out.is_empty(), "all or nothing");
    assert_eq!(parsed.ok().map(|()| out), model(bytes, lookup));
}

fn lookup(label: &str) -> Option<EmojiId> {
    match label {
        "🔥" | "fire" => Some(EmojiId(0)),
        "❤️" => Some(EmojiId(1)),
        "\"\\\n" => Some(EmojiId(2)),
        _ => None,
    }
}

/// The taps of `body`, if it is to be taken.
pub(crate) fn model(body: &[u8], lookup: impl Fn(&str) -> Option<EmojiId>) -> Option<Vec<(EmojiId, u16)>> {
    // Serde's derive takes an array for an object; the contract does not.
    let reactions: Vec<ReactionBody<'_>> = match serde_json::from_slice(body).ok()? {
        Value::Object(_) => vec![serde_json::from_slice(body).ok()?],
        Value::Array(entries) if entries.iter().all(Value::is_object) => serde_json::from_slice(body).ok()?,
        _ => return None,
    };
    let is_counted = |reaction: &ReactionBody<'_>| reaction.count > 0;
    if !(1..=HTTP_REACTIONS_MAX).contains(&reactions.len()) || !reactions.iter().all(is_counted) {
        return None;
    }
    reactions.iter().map(|reaction| Some((lookup(&reaction.emoji)?, reaction.count))).collect()
}
