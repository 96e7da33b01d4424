//! JSON becomes reactions: `{"emoji":"🔥","count":3}`, or an array of those.
//!
//! Invariant: all of a body's reactions or none, and only those of known emoji with a count of 1 to 65,535. Strings are
//! borrowed from the body and numbers go straight into the caller's vector, so that a warm vector makes the whole
//! allocation-free (but for strings with escapes, and for errors). Not here: binary bodies (`uproar_wire::reaction`).

use super::plain;
use crate::ingest::reason::answered_reasons;
use crate::limits::HTTP_REACTIONS_MAX;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;
use uproar_wire::EmojiId;

answered_reasons! {
    /// Why a JSON body was not taken.
    pub enum ReactionsError {
        BadJson => "bad_json", 400, "The body is not one `{\"emoji\":..,\"count\":..}` or an array of those.";
        BadCount => "bad_count", 400, "A count is not a whole number from 1 to 65535, or there are no reactions.";
        TooMany => "too_many", 400, "The array has more reactions than the limit.";
        UnknownEmoji => "unknown_emoji", 422, "An emoji is neither a glyph nor a name of the room's palette.";
    }
}

/// Reads the reactions of a JSON body into `out`, which is emptied first and stays empty on an error. `lookup` knows the
/// glyphs and names of the room. `count` is 1 when absent. The first fault in the body's order decides the error.
pub fn parse_reactions(
    body: &[u8],
    lookup: impl Fn(&str) -> Option<EmojiId>,
    out: &mut Vec<(EmojiId, u16)>,
) -> Result<(), ReactionsError> {
    out.clear();
    if plain::parse(body, &lookup, out).is_some() {
        return Ok(());
    }
    parse_any(body, lookup, out)
}

/// [`parse_reactions`] by a parser of all JSON.
pub(super) fn parse_any(
    body: &[u8],
    lookup: impl Fn(&str) -> Option<EmojiId>,
    out: &mut Vec<(EmojiId, u16)>,
) -> Result<(), ReactionsError> {
    out.clear();
    let fault = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = Body { lookup: &lookup, fault: &fault, out: &mut *out }.deserialize(&mut json);
    parsed.and_then(|()| json.end()).map_err(|_| {
        out.clear();
        fault.get().unwrap_or(ReactionsError::BadJson)
    })
}

/// Where a fault that is not one of JSON is kept, as serde's errors carry text only.
type Fault = Cell<Option<ReactionsError>>;

fn fail<T, E: Error>(fault: &Fault, error: ReactionsError) -> Result<T, E> {
    fault.set(Some(error));
    Err(E::custom(error.label()))
}

/// One reaction or an array.
struct Body<'s, L> {
    lookup: &'s L,
    fault: &'s Fault,
    out: &'s mut Vec<(EmojiId, u16)>,
}

impl<L> Body<'_, L> {
    fn reaction(&self) -> Reaction<'_, L> {
        Reaction { lookup: self.lookup, fault: self.fault }
    }
}

impl<'de, L: Fn(&str) -> Option<EmojiId>> DeserializeSeed<'de> for Body<'_, L> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, L: Fn(&str) -> Option<EmojiId>> Visitor<'de> for Body<'_, L> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reaction or an array of reactions")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let reaction = self.reaction().visit_map(map)?;
        self.out.push(reaction);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(reaction) = seq.next_element_seed(self.reaction())? {
            if self.out.len() == HTTP_REACTIONS_MAX {
                return fail(self.fault, ReactionsError::TooMany);
            }
            self.out.push(reaction);
        }
        if self.out.is_empty() { fail(self.fault, ReactionsError::BadCount) } else { Ok(()) }
    }
}

/// One object.
struct Reaction<'s, L> {
    lookup: &'s L,
    fault: &'s Fault,
}

impl<'de, L: Fn(&str) -> Option<EmojiId>> DeserializeSeed<'de> for Reaction<'_, L> {
    type Value = (EmojiId, u16);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, L: Fn(&str) -> Option<EmojiId>> Visitor<'de> for Reaction<'_, L> {
    type Value = (EmojiId, u16);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reaction")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut emoji, mut count) = (None, None);
        while let Some(key) = map.next_key_seed(Key)? {
            let is_repeated = match key {
                Field::Emoji => {
                    emoji.replace(map.next_value_seed(Emoji { lookup: self.lookup, fault: self.fault })?).is_some()
                }
                Field::Count => count.replace(map.next_value_seed(Count { fault: self.fault })?).is_some(),
            };
            if is_repeated {
                return Err(A::Error::custom("repeated field"));
            }
        }
        let emoji = emoji.ok_or_else(|| A::Error::missing_field("emoji"))?;
        Ok((emoji, count.unwrap_or(1)))
    }
}

/// The name of a field; no others are taken, so that a misspelt `count` is not 1.
struct Key;

enum Field {
    Emoji,
    Count,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`emoji` or `count`")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Field, E> {
        match key {
            "emoji" => Ok(Field::Emoji),
            "count" => Ok(Field::Count),
            _ => Err(E::unknown_field(key, &["emoji", "count"])),
        }
    }
}

/// A glyph or a name.
struct Emoji<'s, L> {
    lookup: &'s L,
    fault: &'s Fault,
}

impl<'de, L: Fn(&str) -> Option<EmojiId>> DeserializeSeed<'de> for Emoji<'_, L> {
    type Value = EmojiId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<EmojiId, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<L: Fn(&str) -> Option<EmojiId>> Visitor<'_> for Emoji<'_, L> {
    type Value = EmojiId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a glyph or a name")
    }

    fn visit_str<E: Error>(self, emoji: &str) -> Result<EmojiId, E> {
        (self.lookup)(emoji).map_or_else(|| fail(self.fault, ReactionsError::UnknownEmoji), Ok)
    }
}

/// How often it was tapped. A number of the wrong size or kind is a bad count; what is not a number is bad JSON.
struct Count<'s> {
    fault: &'s Fault,
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = u16;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u16, D::Error> {
        deserializer.deserialize_u64(self)
    }
}

impl Visitor<'_> for Count<'_> {
    type Value = u16;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 1 to 65535")
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<u16, E> {
        match u16::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => fail(self.fault, ReactionsError::BadCount),
        }
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<u16, E> {
        fail(self.fault, ReactionsError::BadCount)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<u16, E> {
        fail(self.fault, ReactionsError::BadCount)
    }
}
