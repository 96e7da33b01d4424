//! What an operator may choose: a TOML file, over it environment variables, over them flags.
//!
//! Invariant: a [`Config`] that [`Config::load`] returned is whole and in range; whoever uses it checks nothing again.
//! Every refusal says the key, the value, what is allowed, and where the value was set.
//!
//! An environment variable is the key in capitals with underscores: `UPROAR_HTTP_IDLE_TIMEOUT`; an empty one is not set. A
//! path in the file is relative to the file's directory, and one of a variable or a flag to the working directory.
//!
//! Not here: bounds that are nobody's choice ([`crate::limits`]).

mod doubt;
mod environment;
mod error;
mod file;
mod knob;
mod reload;
mod rooms;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod together;

pub use doubt::Doubt;
pub use environment::CONFIG_VARIABLE;
#[cfg(feature = "edge")]
pub(crate) use error::absolute;
pub use error::{ConfigError, Origin};
pub use reload::{Change, Reloaded};
pub use source::{ConfigSource, Loaded};

use crate::origins;
use crate::room::{Room, demo_room};
use knob::{KNOBS, Knob, quoted};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use uproar_wire::http::EmojiSpec;
use uproar_wire::reaction::{RECORD_TAPS, REQUEST_TAPS};

/// Everything that can be chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Cores to use; `None` for all.
    pub shards: Option<usize>,
    /// Length of a counting window, in whole milliseconds.
    pub window: Duration,
    /// Emoji that a frame names.
    pub top_k: usize,
    /// How much is logged.
    pub log: LevelFilter,
    /// How its lines are written.
    pub log_format: LogFormat,
    /// Whether programs are told on standard output that the server is ready, and what it counted.
    pub announce: bool,
    /// Whether a gap that the start-up checks find ends the start.
    pub strict: bool,
    /// Addresses.
    pub listen: Listen,
    /// Kernel buffers of the UDP sockets.
    pub socket: Socket,
    /// The public HTTP port.
    pub http: Http,
    /// The QUIC port.
    pub quic: Quic,
    /// What a reaction may count.
    pub limits: Limits,
    /// Frames to subscribers.
    pub fanout: Fanout,
    /// What browsers are offered.
    pub web: Web,
    /// Shutting down.
    pub drain: Drain,
    /// Rooms that exist from the start.
    pub rooms: Vec<RoomConfig>,
}

/// How lines of the log are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl LogFormat {
    /// Its name as a value of the knob.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// Where the appliance listens; port 0 picks a free one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Reaction datagrams, UDP.
    pub reactions: SocketAddr,
    /// QUIC, UDP.
    pub quic: SocketAddr,
    /// Public HTTP, TCP.
    pub http: SocketAddr,
    /// Admin HTTP, TCP.
    pub admin: SocketAddr,
    /// Names under which the admin port may be asked.
    pub admin_names: Vec<String>,
}

/// What is asked of the kernel for each UDP socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    /// Bytes for arrivals.
    pub receive_buffer_bytes: usize,
    /// Bytes for departures.
    pub send_buffer_bytes: usize,
}

/// Limits of the public HTTP port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Http {
    /// Connections of one shard.
    pub connections_max: usize,
    /// Connections of one client address on the node; 0 for any number.
    pub connections_per_address_max: usize,
    /// A connection without a request is closed after this long.
    pub idle_timeout: Duration,
    /// A connection that does not take what it is sent is closed after this long.
    pub send_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// From the first byte of a request to its last.
    pub request_timeout: Duration,
    /// Bytes of a body per second at least; 0 for any pace.
    pub body_rate_min_bytes: usize,
    /// Streams of frames (Server-Sent Events) of one shard.
    pub streams_max: usize,
    /// A stream on which nothing was sent for this long is sent a comment, so that proxies keep it open.
    pub stream_heartbeat: Duration,
}

/// Limits and identity of the QUIC port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quic {
    /// Connections of one shard.
    pub subscribers_max: usize,
    /// Connections of one client address on one shard; 0 for any number.
    pub connections_per_address_max: usize,
    /// Rooms that one connection may watch.
    pub rooms_per_subscriber_max: usize,
    /// A silent connection is forgotten after this long.
    pub idle_timeout: Duration,
    /// Handshakes of one shard, under way and waiting.
    pub handshakes_max: usize,
    /// Handshakes that one shard begins in a second.
    pub handshakes_per_second: usize,
    /// With so many handshakes on a shard, who comes first shows that its address is its own; 0 for always.
    pub retry_above: usize,
    /// Holds the secret that tickets, tokens and resets come from; `None` for one of this process alone.
    pub key_file: Option<PathBuf>,
    /// Certificate chain, PEM; `None` makes a development certificate.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM; there exactly if `certificate` is.
    pub private_key: Option<PathBuf>,
    /// Names and addresses in the development certificate.
    pub server_names: Vec<String>,
}

/// What a reaction may count, by whatever way it comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Taps of one record.
    pub taps_per_record: usize,
    /// Taps of one datagram or one request.
    pub taps_per_request: usize,
}

/// Frames to subscribers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fanout {
    /// Time over which a window's frames are spread; half a window at most.
    pub spread: Duration,
}

/// What browsers are offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Web {
    /// Whether the public HTTP port serves the page, and the admin port its own.
    pub page: bool,
    /// Whether the QUIC port speaks WebTransport.
    pub webtransport: bool,
    /// Where browsers find WebTransport; `None`: at the host of the page, on the port of QUIC.
    pub webtransport_url: Option<String>,
    /// Origins whose pages may watch and react; `*` for any.
    pub origins: Vec<String>,
}

impl Web {
    /// Those of [`Self::origins`]. None at all when one of them is no origin, which no configuration that was loaded has.
    pub fn allowed_origins(&self) -> origins::Origins {
        origins::Origins::new(&self.origins).unwrap_or(origins::Origins::Only(Box::default()))
    }
}

/// Shutting down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drain {
    /// For how long the node goes on while subscribers are sent away, before the last window closes.
    pub duration: Duration,
    /// How long connections have to take the last frames.
    pub timeout: Duration,
}

/// A room of the configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomConfig {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its emoji; at a start, ids are given in this order from 0.
    pub palette: Vec<EmojiSpec>,
}

impl Default for Config {
    fn default() -> Self {
        let public = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            shards: None,
            window: Duration::from_secs(2),
            top_k: 8,
            log: LevelFilter::INFO,
            log_format: LogFormat::Text,
            announce: true,
            strict: false,
            listen: Listen {
                reactions: public(7400),
                quic: public(7443),
                http: public(8080),
                admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9100)),
                admin_names: Vec::new(),
            },
            socket: Socket { receive_buffer_bytes: 8 << 20, send_buffer_bytes: 8 << 20 },
            http: Http {
                connections_max: 10_000,
                connections_per_address_max: 0,
                // Above what balancers keep connections for: 60 s (AWS ALB), 350 s (NLB), 600 s (Google).
                idle_timeout: Duration::from_secs(620),
                send_timeout: Duration::from_secs(60),
                head_timeout: Duration::from_secs(5),
                request_timeout: Duration::from_secs(10),
                body_rate_min_bytes: 240,
                streams_max: 8_000,
                stream_heartbeat: Duration::from_secs(15),
            },
            quic: Quic {
                subscribers_max: 50_000,
                connections_per_address_max: 0,
                rooms_per_subscriber_max: uproar_wire::hello::ROOMS_MAX,
                idle_timeout: Duration::from_secs(30),
                handshakes_max: 4096,
                handshakes_per_second: 2500,
                retry_above: 256,
                key_file: None,
                certificate: None,
                private_key: None,
                server_names: ["localhost", "127.0.0.1", "::1"].map(String::from).into(),
            },
            limits: Limits { taps_per_record: RECORD_TAPS.into(), taps_per_request: REQUEST_TAPS as usize },
            fanout: Fanout { spread: Duration::ZERO },
            web: Web { page: true, webtransport: true, webtransport_url: None, origins: vec!["*".into()] },
            drain: Drain { duration: Duration::ZERO, timeout: Duration::from_secs(10) },
            rooms: Vec::new(),
        }
    }
}

/// What the flags of the command line say: the texts of knobs, by key.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    entries: Vec<(&'static str, &'static str, String)>,
}

impl Overrides {
    /// `flag` was given with `value`, if it was given; it sets the knob `key`.
    #[must_use]
    pub fn with(mut self, flag: &'static str, key: &'static str, value: Option<String>) -> Self {
        self.entries.extend(value.map(|value| (flag, key, value)));
        self
    }
}

/// Where each value was set, for refusals that only several values together cause.
#[derive(Default)]
struct Origins {
    knobs: BTreeMap<&'static str, Origin>,
    /// The file, when there is one.
    file: Option<PathBuf>,
    /// The line of each room in it.
    rooms: Vec<usize>,
}

impl Origins {
    fn of(&self, key: &str) -> Origin {
        self.knobs.get(key).cloned().unwrap_or(Origin::Default)
    }

    fn of_room(&self, place: usize) -> Origin {
        match (&self.file, self.rooms.get(place)) {
            (Some(path), Some(&line)) => Origin::File { path: path.clone(), line },
            _ => Origin::Default,
        }
    }
}

impl Config {
    /// Reads the file at `path` if there is one, then the environment, then the flags.
    ///
    /// # Errors
    /// As [`ConfigSource::load`].
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (OsString, OsString)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        ConfigSource::new(path.map(Path::to_owned), env, overrides).load().map(|loaded| loaded.config)
    }

    /// The configured rooms, or the demo room when there are none.
    ///
    /// # Errors
    /// More than [`crate::limits::ROOMS_MAX`] rooms, two of one id, or one whose specification is refused.
    pub fn rooms(&self) -> Result<Vec<Room>, ConfigError> {
        if self.rooms.is_empty() {
            return Ok(vec![demo_room()]);
        }
        self.make_rooms(&Origins::default())
    }

    /// A file that says what the defaults say, and explains every knob.
    pub fn default_toml() -> String {
        let mut config = Self::default();
        let mut text = String::from(HEAD);
        let mut table = "";
        for knob in &KNOBS {
            let (parent, name) = knob.key.split_once('.').unwrap_or(("", knob.key));
            if parent != table {
                text += &format!("\n[{parent}]\n");
                table = parent;
            }
            text += &format!("\n# {}\n# Allowed: {}. Environment: {}\n", knob.about, knob.allowed(), knob.variable());
            text += &match (knob.toml(&mut config), knob.example()) {
                (Some(value), _) => format!("{name} = {value}\n"),
                (None, example) => format!("# {name} = {}\n", example.unwrap_or_default()),
            };
        }
        text + ROOMS
    }

    fn set(&mut self, knob: &Knob, text: &str, origin: Origin, origins: &mut Origins) -> Result<(), ConfigError> {
        if let Err(allowed) = knob.set(self, text) {
            return Err(ConfigError::OutOfRange { origin, key: knob.key.into(), value: quoted(text), allowed });
        }
        origins.knobs.insert(knob.key, origin);
        Ok(())
    }
}

const HEAD: &str = "\
# Configuration of Uproar. Every value here is the default.
# Environment variables go over this file, and flags go over environment variables.
# A path in this file is relative to the directory of this file. That of key_file, which the server makes, is relative to the
# working directory of the server. An empty environment variable counts as not set.
# SIGHUP takes in what has changed of log, [http], [quic] (but key_file and server_names), [limits], [fanout], [drain] and the
# rooms; what has changed of anything else waits for a restart.
";

const ROOMS: &str = r#"
# Rooms that exist from the start, each with its palette; emoji get their ids in this order from 0. A palette has 1 to
# 1024 emoji; a name or a glyph has 1 to 256 bytes and means one emoji. Without rooms a demo room with id 1 is served.
# Add new emoji at the end, and leave the others in their order: a reload keeps the ids of emoji in any case, but a restart
# gives them anew, and senders may have kept them.
#
# [[rooms]]
# id = 1
# name = "Cricket final"
# palette = [
#     { name = "fire", glyph = "🔥" },
#     { name = "heart", glyph = "❤️" },
# ]
"#;
