//! What is wrong with a configuration, so that the operator knows what to change, and where.

use crate::input::InputError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}; name a TOML file that the server may read", absolute(path).display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What is wrong with it.
        error: InputError,
    },
    /// A variable of the environment is not text.
    #[error("{origin}: its value is not UTF-8 text; set it again, or unset it")]
    NotText {
        /// The variable.
        origin: Origin,
    },
    /// The file is not TOML.
    #[error("{origin}: {message}")]
    Malformed {
        /// The line.
        origin: Origin,
        /// What the parser expected.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key {key}{meant}; `uproar config default` lists all keys")]
    UnknownKey {
        /// The line.
        origin: Origin,
        /// The key with its tables: `http.idle_timout`.
        key: String,
        /// `; did you mean http.idle_timeout?`, or nothing.
        meant: String,
    },
    /// A value out of its range, or one that does not go with another.
    #[error("{origin}: {key} is {value}; allowed: {allowed}")]
    OutOfRange {
        /// Where the value was set.
        origin: Origin,
        /// The key with its tables: `http.idle_timeout`.
        key: String,
        /// The value as it was written.
        value: String,
        /// What may stand there.
        allowed: String,
    },
}

/// Where a relative path leads, so that whoever reads an error knows which directory it means.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        // Nothing at all would be shown.
        return "\"\"".into();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
