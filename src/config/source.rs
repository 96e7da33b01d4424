//! Where the configuration comes from, so that it can be read again.

use super::doubt::{self, Doubt};
use super::environment::Environment;
use super::{Config, ConfigError, Origin, Origins, Overrides, file};
use crate::input::Input;
use crate::limits::{CONFIG_BYTES_MAX, PIPE_PATIENCE};
use std::ffi::OsString;
use std::path::PathBuf;

/// A file, the environment and the flags of one start. The file may change; the others are as they were.
#[derive(Clone, Default, Debug)]
pub struct ConfigSource {
    path: Option<PathBuf>,
    environment: Environment,
    overrides: Overrides,
}

/// A configuration, and what in it is valid but likely a mistake.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Whole and in range.
    pub config: Config,
    /// Each is a warning, or on a strict node an error.
    pub doubts: Vec<Doubt>,
}

/// The configuration file.
const CONFIG_FILE: Input = Input::file_or_pipe(CONFIG_BYTES_MAX, PIPE_PATIENCE);

impl ConfigSource {
    /// The file at `path` if there is one, variables by their names, and flags.
    pub fn new(
        path: Option<PathBuf>,
        environment: impl Iterator<Item = (OsString, OsString)>,
        overrides: Overrides,
    ) -> Self {
        Self { path, environment: Environment::of(environment), overrides }
    }

    /// What they say now.
    ///
    /// # Errors
    /// A file that cannot be read or is not TOML, a key that does not exist, a value out of its range or not text, values
    /// that do not go together.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let (mut config, mut origins) = (Config::default(), Origins::default());
        if let Some(path) = &self.path {
            let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
            let text = CONFIG_FILE.read_text(path).map_err(unreadable)?;
            file::File::new(path, &text).read_into(&mut config, &mut origins)?;
        }
        let mut doubts = self.environment.read_into(&mut config, &mut origins)?;
        self.overrides.read_into(&mut config, &mut origins)?;
        config.check_together(&origins)?;
        doubts.extend(doubt::of_values(&config, &origins));
        Ok(Loaded { config, doubts })
    }
}

impl Overrides {
    fn read_into(&self, config: &mut Config, origins: &mut Origins) -> Result<(), ConfigError> {
        for (flag, key, text) in &self.entries {
            let origin = Origin::Flag(flag);
            match super::KNOBS.iter().find(|knob| knob.key == *key) {
                Some(knob) => config.set(knob, text, origin, origins)?,
                None => return Err(ConfigError::UnknownKey { origin, key: (*key).into(), meant: String::new() }),
            }
        }
        Ok(())
    }
}
