//! The configuration file: TOML, walked key by key so that every refusal names its line.

use super::error::{ConfigError, Origin};
use super::knob::{Form, KNOBS};
use super::{Config, Origins, RoomConfig};
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Only `[[rooms]]`: the other keys are walked one by one.
#[derive(Deserialize)]
struct Rooms {
    #[serde(default)]
    rooms: Vec<Spanned<RoomConfig>>,
}

/// One file being read.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl File<'_> {
    /// Puts everything that the file says into `config`, and where it says so into `origins`.
    pub(super) fn read_into(&self, config: &mut Config, origins: &mut Origins) -> Result<(), ConfigError> {
        let document = DeTable::parse(self.text).map_err(|error| self.malformed(&error))?;
        self.walk("", document.get_ref(), config, origins)?;
        let Rooms { rooms } = toml::from_str(self.text).map_err(|error| self.malformed(&error))?;
        // Counted from room to room: from the start each time, a file of 100,000 rooms would take hours.
        let (mut line, mut counted) = (1, 0);
        for room in rooms {
            line += self.newlines(counted..room.span().start);
            counted = room.span().start;
            origins.rooms.push(Origin::File { path: self.path.into(), line });
            config.rooms.push(room.into_inner());
        }
        Ok(())
    }

    fn walk(
        &self,
        parent: &str,
        table: &DeTable<'_>,
        config: &mut Config,
        origins: &mut Origins,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key =
                if parent.is_empty() { name.get_ref().to_string() } else { format!("{parent}.{}", name.get_ref()) };
            let is_table = KNOBS.iter().any(|knob| knob.key.split_once('.').is_some_and(|(table, _)| table == key));
            match value.get_ref() {
                _ if key == "rooms" => {}
                DeValue::Table(inner) if is_table => self.walk(&key, inner, config, origins)?,
                scalar => self.set(&key, scalar, value.span(), config, origins)?,
            }
        }
        Ok(())
    }

    fn set(
        &self,
        key: &str,
        value: &DeValue<'_>,
        span: Range<usize>,
        config: &mut Config,
        origins: &mut Origins,
    ) -> Result<(), ConfigError> {
        let origin = self.origin(span.clone());
        let Some(knob) = KNOBS.iter().find(|knob| knob.key == key) else {
            return Err(ConfigError::UnknownKey { origin, key: key.into() });
        };
        let set = match plain_text(value).filter(|_| knob.is_written_as(form(value))) {
            Some(text) => knob.set(config, &text),
            None => Err(knob.allowed()),
        };
        set.map_err(|allowed| {
            let value = self.text.get(span).unwrap_or_default().into();
            ConfigError::OutOfRange { origin: origin.clone(), key: key.into(), value, allowed }
        })?;
        origins.knobs.insert(knob.key, origin);
        Ok(())
    }

    fn malformed(&self, error: &toml::de::Error) -> ConfigError {
        let origin = self.origin(error.span().unwrap_or_default());
        ConfigError::Malformed { origin, message: error.message().into() }
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File { path: self.path.into(), line: 1 + self.newlines(0..span.start) }
    }

    fn newlines(&self, range: Range<usize>) -> usize {
        let bytes = self.text.as_bytes().get(range).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count()
    }
}

fn form(value: &DeValue<'_>) -> Form {
    match value {
        DeValue::Boolean(_) => Form::Switch,
        DeValue::Integer(_) => Form::Number,
        DeValue::Array(_) => Form::List,
        _ => Form::Text,
    }
}

/// A value as the environment would write it: lists of strings with commas.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}
