//! The configuration file: TOML, walked key by key so that every refusal names its line.

use super::error::{ConfigError, Origin, absolute};
use super::knob::{Form, KNOBS};
use super::suggest::did_you_mean;
use super::{Config, Origins};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The only key that no knob has.
const ROOMS: &str = "rooms";

/// One file being read.
pub(super) struct File<'a> {
    path: &'a Path,
    text: &'a str,
    /// What relative paths in it are relative to.
    directory: PathBuf,
}

impl<'a> File<'a> {
    /// The file at `path`, which says `text`.
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        // A pipe has no directory: its paths are relative to the working directory.
        let directory = if path.is_file() { path.parent() } else { None };
        Self { path, text, directory: directory.map(absolute_directory).unwrap_or_default() }
    }

    /// Puts everything that the file says into `config`, and where it says so into `origins`.
    pub(super) fn read_into(&self, config: &mut Config, origins: &mut Origins) -> Result<(), ConfigError> {
        let document = DeTable::parse(self.text).map_err(|error| self.malformed(&error))?;
        origins.file = Some(self.path.into());
        self.walk("", document.get_ref(), config, origins)
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
                rooms if key == ROOMS => self.read_rooms(rooms, value.span(), config, origins)?,
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
            let meant = did_you_mean(key, KNOBS.iter().map(|knob| knob.key).chain([ROOMS]));
            return Err(ConfigError::UnknownKey { origin, key: key.into(), meant });
        };
        let set = match plain_text(value).filter(|_| knob.is_written_as(form(value))) {
            Some(text) => knob.set(config, &text),
            None => Err(knob.allowed()),
        };
        set.map_err(|allowed| self.out_of_range(key.into(), span, allowed))?;
        knob.resolve(config, &self.directory);
        origins.knobs.insert(knob.key, origin);
        Ok(())
    }

    fn malformed(&self, error: &toml::de::Error) -> ConfigError {
        let origin = self.origin(error.span().unwrap_or_default());
        ConfigError::Malformed { origin, message: error.message().into() }
    }

    /// The value at `span` is not what may stand there.
    pub(super) fn out_of_range(&self, key: String, span: Range<usize>, allowed: String) -> ConfigError {
        let value = shortened(self.text.get(span.clone()).unwrap_or_default());
        ConfigError::OutOfRange { origin: self.origin(span), key, value, allowed }
    }

    pub(super) fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File { path: self.path.into(), line: 1 + self.newlines(0..span.start) }
    }

    pub(super) fn newlines(&self, range: Range<usize>) -> usize {
        let bytes = self.text.as_bytes().get(range).unwrap_or_default();
        bytes.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// Bytes of a value that an error repeats.
const SHOWN_MAX: usize = 128;

/// A value on one line, which may have been a whole table.
fn shortened(value: &str) -> String {
    let line = value.lines().next().unwrap_or_default();
    match line.get(..line.floor_char_boundary(SHOWN_MAX)) {
        Some(start) if start.len() < value.len() => format!("{start}..."),
        _ => line.into(),
    }
}

fn absolute_directory(directory: &Path) -> PathBuf {
    // The directory of a bare name is empty.
    absolute(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })
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
