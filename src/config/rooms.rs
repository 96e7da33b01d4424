//! `[[rooms]]` of the configuration file, walked key by key as the other keys are.
//!
//! Not here: what a room may be called and hold ([`crate::room`]).

use super::error::ConfigError;
use super::file::File;
use super::suggest::did_you_mean;
use super::{Config, Origins, RoomConfig};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};
use uproar_wire::http::EmojiSpec;

const SHAPE: &str = "tables [[rooms]] with id, name and palette";
const ROOM_KEYS: [&str; 3] = ["id", "name", "palette"];
const ID: &str = "a whole number from 0 to 4294967295";
const NAME: &str = "a text in quotes";
const PALETTE: &str = "a list of emoji such as [{ name = \"fire\", glyph = \"🔥\" }]";
const EMOJI_KEYS: [&str; 2] = ["name", "glyph"];
const EMOJI: &str = "an emoji such as { name = \"fire\", glyph = \"🔥\" }";

impl File<'_> {
    /// Adds the rooms that `value` lists to `config`.
    pub(super) fn read_rooms(
        &self,
        value: &DeValue<'_>,
        span: Range<usize>,
        config: &mut Config,
        origins: &mut Origins,
    ) -> Result<(), ConfigError> {
        let DeValue::Array(rooms) = value else {
            return Err(self.out_of_range("rooms".into(), span, SHAPE.into()));
        };
        // Counted from room to room: from the start each time, a file of 100,000 rooms would take hours.
        let (mut line, mut counted) = (1, 0);
        for (place, room) in rooms.iter().enumerate() {
            let start = room.span().start;
            line += self.newlines(counted..start);
            counted = counted.max(start);
            origins.rooms.push(line);
            config.rooms.push(self.room(Place { room: place, emoji: None }, room)?);
        }
        Ok(())
    }

    fn room(&self, place: Place, room: &Spanned<DeValue<'_>>) -> Result<RoomConfig, ConfigError> {
        let table = self.table(place, room, &ROOM_KEYS, SHAPE)?;
        let of = |name, allowed| self.member(place, room, table, name, allowed);
        let id = of("id", ID)?;
        let number = id.get_ref().as_integer().and_then(|id| u32::from_str_radix(id.as_str(), id.radix()).ok());
        let id = number.ok_or_else(|| self.out_of_range(place.key("id"), id.span(), ID.into()))?;
        let name = self.text_of(place, "name", of("name", NAME)?)?;
        let palette = of("palette", PALETTE)?;
        let DeValue::Array(emoji) = palette.get_ref() else {
            return Err(self.out_of_range(place.key("palette"), palette.span(), PALETTE.into()));
        };
        Ok(RoomConfig { id, name, palette: self.palette(place, emoji)? })
    }

    fn palette(&self, place: Place, emoji: &DeArray<'_>) -> Result<Vec<EmojiSpec>, ConfigError> {
        let one = |(at, emoji)| {
            let place = Place { emoji: Some(at), ..place };
            let table = self.table(place, emoji, &EMOJI_KEYS, EMOJI)?;
            let of = |name| self.text_of(place, name, self.member(place, emoji, table, name, NAME)?);
            Ok(EmojiSpec { name: of("name")?, glyph: of("glyph")? })
        };
        emoji.iter().enumerate().map(one).collect()
    }

    /// A table that has no other keys than these.
    fn table<'a, 'b>(
        &self,
        place: Place,
        value: &'a Spanned<DeValue<'b>>,
        keys: &[&'static str],
        allowed: &str,
    ) -> Result<&'a DeTable<'b>, ConfigError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.out_of_range(place.to_string(), value.span(), allowed.into()));
        };
        match table.keys().find(|name| !keys.contains(&name.get_ref().as_ref())) {
            None => Ok(table),
            Some(name) => Err(ConfigError::UnknownKey {
                origin: self.origin(name.span()),
                key: place.key(name.get_ref()),
                meant: did_you_mean(name.get_ref(), keys.iter().copied()),
            }),
        }
    }

    fn member<'a, 'b>(
        &self,
        place: Place,
        of: &Spanned<DeValue<'_>>,
        table: &'a DeTable<'b>,
        name: &str,
        allowed: &str,
    ) -> Result<&'a Spanned<DeValue<'b>>, ConfigError> {
        table.get(name).ok_or_else(|| ConfigError::OutOfRange {
            origin: self.origin(of.span()),
            key: place.key(name),
            value: "not set".into(),
            allowed: allowed.into(),
        })
    }

    fn text_of(&self, place: Place, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, ConfigError> {
        let text = value.get_ref().as_str().map(String::from);
        text.ok_or_else(|| self.out_of_range(place.key(name), value.span(), NAME.into()))
    }
}

/// A room of the file, or an emoji of its palette. Its key is text only in an error, as there may be very many.
#[derive(Clone, Copy)]
struct Place {
    room: usize,
    emoji: Option<usize>,
}

impl Place {
    /// The key of one of its values: `rooms[0].palette[3].glyph`.
    fn key(self, name: &str) -> String {
        format!("{self}.{name}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rooms[{}]", self.room)?;
        self.emoji.map_or(Ok(()), |emoji| write!(f, ".palette[{emoji}]"))
    }
}
