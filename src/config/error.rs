//! What is wrong with a configuration, so that the operator knows what to change, and where.

use std::fmt;
use std::path::PathBuf;

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
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not TOML, or a room in it does not have the shape of a room.
    #[error("{origin}: {message}")]
    Malformed {
        /// The line.
        origin: Origin,
        /// What the parser expected.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key {key}; `uproar config default` lists all keys")]
    UnknownKey {
        /// The line.
        origin: Origin,
        /// The key with its tables: `http.idle_timout`.
        key: String,
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
