//! Where the configuration comes from, so that it can be read again.

use super::{Config, ConfigError, Overrides};
use std::path::PathBuf;

/// A file, the environment and the flags of one start. The file may change; the others are as they were.
#[derive(Clone, Default, Debug)]
pub struct ConfigSource {
    path: Option<PathBuf>,
    environment: Vec<(String, String)>,
    overrides: Overrides,
}

impl ConfigSource {
    /// The file at `path` if there is one, variables by their names, and flags.
    pub fn new(
        path: Option<PathBuf>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Self {
        Self { path, environment: environment.collect(), overrides }
    }

    /// What they say now.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.path.as_deref(), self.environment.iter().cloned(), self.overrides.clone())
    }
}
