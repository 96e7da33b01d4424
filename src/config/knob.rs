//! Every knob that takes one value: its key, its range, and one sentence about it.
//!
//! Invariant: this table is the only list of them. Parsing, the range in an error, the environment variable's name
//! and the documented default file all follow from a row, so they cannot disagree.

use super::suggest::did_you_mean;
use super::{Config, LogFormat};
use crate::limits::{QUIC_HANDSHAKE_RATE, QUIC_HANDSHAKES, REQUEST_TAPS_MAX, SHARDS_MAX, WINDOW_MS};
use crate::origins::Origins;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use uproar_wire::frame::TOP_MAX;
use uproar_wire::hello::ROOMS_MAX as ROOMS_PER_SUBSCRIBER_MAX;
use uproar_wire::http::WEBTRANSPORT_PATH;

/// One knob.
pub(super) struct Knob {
    /// Its table, if any, and its name: `http.idle_timeout`.
    pub(super) key: &'static str,
    /// What it does and when to turn it.
    pub(super) about: &'static str,
    field: Field,
}

/// The place of a knob in the configuration, its type, and its range.
enum Field {
    Address(fn(&mut Config) -> &mut SocketAddr),
    Number(fn(&mut Config) -> &mut usize, RangeInclusive<usize>),
    /// A number of bytes, with or without a unit.
    Bytes(fn(&mut Config) -> &mut usize, RangeInclusive<usize>),
    /// Whole milliseconds.
    Time(fn(&mut Config) -> &mut Duration, RangeInclusive<u64>),
    Shards,
    /// One that exists, with an example. A path in the configuration file is relative to that file's directory.
    File(fn(&mut Config) -> &mut Option<PathBuf>, &'static str),
    /// One that the server makes, with an example. A path is relative to the working directory.
    StateFile(fn(&mut Config) -> &mut Option<PathBuf>, &'static str),
    /// One at least.
    Names(fn(&mut Config) -> &mut Vec<String>),
    /// Names of machines, as a browser sends them.
    Hosts(fn(&mut Config) -> &mut Vec<String>),
    /// Of pages, as a browser sends them; or any.
    Origins(fn(&mut Config) -> &mut Vec<String>),
    /// None, or the whole address.
    WebTransportUrl(fn(&mut Config) -> &mut Option<String>),
    Switch(fn(&mut Config) -> &mut bool),
    Log,
    LogFormat,
}

/// How a value is written in TOML.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Text,
    Number,
    Switch,
    List,
}

const fn knob(key: &'static str, field: Field, about: &'static str) -> Knob {
    Knob { key, about, field }
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const SOCKET_BUFFER_BYTES: RangeInclusive<usize> = 65_536..=1 << 30;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;

/// All knobs, in the order of the default file: those without a table first.
pub(super) const KNOBS: [Knob; 43] = [
    knob("shards", Field::Shards, "Cores to use, one shard each."),
    knob("window", Field::Time(|c| &mut c.window, WINDOW_MS), "Length of a counting window: one frame a room each."),
    knob("top_k", Field::Number(|c| &mut c.top_k, 1..=TOP_MAX), "Emoji that a frame names, most tapped first."),
    knob("log", Field::Log, "How much is logged on standard error."),
    knob("log_format", Field::LogFormat, "How lines of the log are written: for people, or one JSON object a line."),
    knob(
        "announce",
        Field::Switch(|c| &mut c.announce),
        "Whether addresses, `ready` and `drained` are written on standard output, for programs that start the server. With \
         log_format = \"json\" they are left out where standard output is the journal, or leads to the same place as the log; \
         in a container, whose engine mixes both, set false.",
    ),
    knob(
        "strict",
        Field::Switch(|c| &mut c.strict),
        "Whether the node refuses to start on a machine, or with a certificate, that it would otherwise only warn of.",
    ),
    knob("listen.reactions", Field::Address(|c| &mut c.listen.reactions), "Reaction datagrams, UDP. Port 0: any free."),
    knob("listen.quic", Field::Address(|c| &mut c.listen.quic), "Subscribers and reactions by QUIC, UDP."),
    knob("listen.http", Field::Address(|c| &mut c.listen.http), "Public HTTP/1.1, TCP."),
    knob(
        "listen.admin",
        Field::Address(|c| &mut c.listen.admin),
        "Metrics, health and rooms, TCP. It asks nobody who they are: keep it off public networks.",
    ),
    knob(
        "listen.admin_names",
        Field::Hosts(|c| &mut c.listen.admin_names),
        "Names under which the admin port may be asked, besides localhost and any address; a name that begins with a dot \
         stands for all that end with it. Other names are refused, as a web page can make its own name lead here.",
    ),
    knob(
        "socket.receive_buffer_bytes",
        Field::Bytes(|c| &mut c.socket.receive_buffer_bytes, SOCKET_BUFFER_BYTES),
        "Kernel buffer of each UDP socket for arrivals; net.core.rmem_max caps it, except with CAP_NET_ADMIN.",
    ),
    knob(
        "socket.send_buffer_bytes",
        Field::Bytes(|c| &mut c.socket.send_buffer_bytes, SOCKET_BUFFER_BYTES),
        "Kernel buffer of each UDP socket for departures; net.core.wmem_max caps it, except with CAP_NET_ADMIN.",
    ),
    knob(
        "http.connections_max",
        Field::Number(|c| &mut c.http.connections_max, CONNECTIONS),
        "HTTP connections of one shard; more are refused. Each takes an open file.",
    ),
    knob(
        "http.connections_per_address_max",
        Field::Number(|c| &mut c.http.connections_per_address_max, 0..=1_000_000),
        "HTTP connections of one client on the node: an IPv4 address, or an IPv6 /64. 0: any number, as proxies and \
         carriers put thousands of people behind one address.",
    ),
    knob(
        "http.idle_timeout",
        Field::Time(|c| &mut c.http.idle_timeout, SECOND..=120 * MINUTE),
        "A connection without a request is closed after this long. Longer than proxies and balancers in front keep theirs, \
         or a request meets a connection that is closing.",
    ),
    knob(
        "http.send_timeout",
        Field::Time(|c| &mut c.http.send_timeout, SECOND..=60 * MINUTE),
        "A connection or an event stream that does not take what it is sent is closed after this long.",
    ),
    knob(
        "http.head_timeout",
        Field::Time(|c| &mut c.http.head_timeout, 100..=5 * MINUTE),
        "The head of a request must have come whole this long after its first byte.",
    ),
    knob(
        "http.request_timeout",
        Field::Time(|c| &mut c.http.request_timeout, 100..=5 * MINUTE),
        "A request must have come whole this long after its first byte.",
    ),
    knob(
        "http.body_rate_min_bytes",
        Field::Bytes(|c| &mut c.http.body_rate_min_bytes, 0..=1 << 20),
        "A body must come with this many bytes a second on average, after its first 5 seconds. 0: at any pace.",
    ),
    knob(
        "http.streams_max",
        Field::Number(|c| &mut c.http.streams_max, CONNECTIONS),
        "Event streams (Server-Sent Events) of one shard; more are refused. They are among its connections: keep it below \
         connections_max, which bounds them too, so that taps find one.",
    ),
    knob(
        "http.stream_heartbeat",
        Field::Time(|c| &mut c.http.stream_heartbeat, SECOND..=10 * MINUTE),
        "A stream on which nothing was sent for this long is sent a comment, so that proxies between keep it open.",
    ),
    knob(
        "quic.subscribers_max",
        Field::Number(|c| &mut c.quic.subscribers_max, CONNECTIONS),
        "QUIC connections of one shard; more are refused. Each takes tens of kilobytes.",
    ),
    knob(
        "quic.connections_per_address_max",
        Field::Number(|c| &mut c.quic.connections_per_address_max, 0..=1_000_000),
        "QUIC connections of one client on each shard: an IPv4 address, or an IPv6 /64. 0: any number, as carriers put \
         thousands of people behind one address.",
    ),
    knob(
        "quic.rooms_per_subscriber_max",
        Field::Number(|c| &mut c.quic.rooms_per_subscriber_max, 1..=ROOMS_PER_SUBSCRIBER_MAX),
        "Rooms that one QUIC connection may watch at a time.",
    ),
    knob(
        "quic.idle_timeout",
        Field::Time(|c| &mut c.quic.idle_timeout, SECOND..=10 * MINUTE),
        "A silent connection is forgotten after this long. Longer than a window, or subscribers are lost in pauses.",
    ),
    knob(
        "quic.handshakes_max",
        Field::Number(|c| &mut c.quic.handshakes_max, QUIC_HANDSHAKES),
        "Handshakes of one shard, under way and waiting; who comes then is dropped and tries again by itself.",
    ),
    knob(
        "quic.handshakes_per_second",
        Field::Number(|c| &mut c.quic.handshakes_per_second, QUIC_HANDSHAKE_RATE),
        "Handshakes that one shard begins in a second; more wait. 2500 take a quarter to a half of a core.",
    ),
    knob(
        "quic.retry_above",
        Field::Number(|c| &mut c.quic.retry_above, 0..=*QUIC_HANDSHAKES.end()),
        "With so many handshakes on a shard, newcomers first prove their address, a round trip more. 0: always.",
    ),
    knob(
        "quic.key_file",
        Field::StateFile(|c| &mut c.quic.key_file, "/var/lib/uproar/uproar.keys"),
        "Secret of tickets and resets, made if missing. With it sessions resume after a restart, and on nodes with copies, which can then reset one another's connections.",
    ),
    knob(
        "quic.certificate",
        Field::File(|c| &mut c.quic.certificate, "certificate.pem"),
        "TLS certificate chain, PEM. Without one a self-signed development certificate is made at each start.",
    ),
    knob(
        "quic.private_key",
        Field::File(|c| &mut c.quic.private_key, "key.pem"),
        "Private key of the certificate, PEM.",
    ),
    knob(
        "quic.server_names",
        Field::Names(|c| &mut c.quic.server_names),
        "Names and addresses in the development certificate.",
    ),
    knob(
        "limits.taps_per_record",
        Field::Number(|c| &mut c.limits.taps_per_record, 1..=u16::MAX as usize),
        "Taps that one record may count, by whatever way it comes: a person's. A datagram or request that passes this or the \
         next limit is refused whole. Raise both where gateways add up the taps of many people, and keep others away from \
         such a node.",
    ),
    knob(
        "limits.taps_per_request",
        Field::Number(|c| &mut c.limits.taps_per_request, 1..=REQUEST_TAPS_MAX),
        "Taps that all records of one datagram or request may count together.",
    ),
    knob(
        "fanout.spread",
        Field::Time(|c| &mut c.fanout.spread, 0..=*WINDOW_MS.end() / 2),
        "A window's frames leave evenly over this long, half a window at most: where links or machines downstream do not \
         stand the burst. 0s: as fast as the core can, about 0.7 s for 50,000 subscribers of a shard.",
    ),
    knob(
        "web.page",
        Field::Switch(|c| &mut c.web.page),
        "Whether the public HTTP port serves a page to watch and tap at /, with the SDK it uses, and the admin port one to \
         look at the node.",
    ),
    knob(
        "web.webtransport",
        Field::Switch(|c| &mut c.web.webtransport),
        "Whether the QUIC port also speaks WebTransport, for browsers.",
    ),
    knob(
        "web.webtransport_url",
        Field::WebTransportUrl(|c| &mut c.web.webtransport_url),
        "Where browsers are told to find WebTransport, when it is not at the host that they asked, on the port of QUIC: \
         behind a balancer, for example.",
    ),
    knob(
        "web.origins",
        Field::Origins(|c| &mut c.web.origins),
        "Origins whose pages may watch and react; \"*\": any. Requests that name another are refused. Whoever is no browser \
         names none, and may.",
    ),
    knob(
        "drain.duration",
        Field::Time(|c| &mut c.drain.duration, 0..=60 * MINUTE),
        "After the first SIGTERM, for this long readiness is denied and subscribers are sent away evenly, while taps are \
         counted and frames go out as before. 0s: all are sent away at once. Supervisors must wait for this and \
         drain.timeout together before they kill.",
    ),
    knob(
        "drain.timeout",
        Field::Time(|c| &mut c.drain.timeout, 0..=10 * MINUTE),
        "After drain.duration, subscribers that are behind and still acknowledge have this long to catch up, while taps are \
         counted. The last frames have 0.6 s of their own once taps are refused, or this if it is shorter.",
    ),
];

impl Knob {
    /// The environment variable: `UPROAR_HTTP_IDLE_TIMEOUT`.
    pub(super) fn variable(&self) -> String {
        format!("UPROAR_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// Puts `text` in its place; on failure nothing changes and what is allowed comes back.
    pub(super) fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        self.field.set(config, text).ok_or_else(|| self.allowed() + &did_you_mean(text, self.field.words()))
    }

    /// A relative path becomes one below `directory`, where the configuration file lies.
    pub(super) fn resolve(&self, config: &mut Config, directory: &Path) {
        if let Field::File(at, _) = &self.field
            && let Some(path) = at(config)
        {
            *path = directory.join(&*path);
        }
    }

    /// Whether TOML may write it so. Texts are for every knob, as in the environment.
    pub(super) fn is_written_as(&self, form: Form) -> bool {
        match form {
            Form::Text => true,
            Form::Number => matches!(self.field, Field::Number(..) | Field::Bytes(..) | Field::Shards),
            Form::Switch => matches!(self.field, Field::Switch(_)),
            Form::List => matches!(self.field, Field::Names(_) | Field::Hosts(_) | Field::Origins(_)),
        }
    }

    /// What may stand there.
    pub(super) fn allowed(&self) -> String {
        match &self.field {
            Field::Address(_) => "an address and a port, such as 0.0.0.0:7400 or [::]:7400".into(),
            Field::Number(_, range) => format!("{} to {}", range.start(), range.end()),
            Field::Bytes(_, range) => {
                format!("{} to {} bytes, also with a unit such as 64KiB or 8MiB", range.start(), range.end())
            }
            Field::Time(_, range) => {
                let [start, end] = [range.start(), range.end()].map(|ms| duration_text(Duration::from_millis(*ms)));
                format!("{start} to {end}, whole milliseconds, such as 2s or 500ms")
            }
            Field::Shards => format!("\"all\" or 1 to {SHARDS_MAX}"),
            Field::File(..) | Field::StateFile(..) => "the path of a file".into(),
            Field::Hosts(_) => {
                "names such as node1.example or .pods.example (no port, path or asterisk), separated by commas \
                                or as a list, or none"
                    .into()
            }
            Field::Origins(_) => {
                "\"*\", or origins such as https://www.example.com or http://localhost:3000, separated by commas or as a list".into()
            }
            Field::WebTransportUrl(_) => "an address such as https://taps.example.com:7443/v1/webtransport".into(),
            Field::Names(_) => "one or more names, separated by commas or as a list".into(),
            Field::Switch(_) => "true or false".into(),
            Field::Log => "off, error, warn, info, debug or trace".into(),
            Field::LogFormat => "text or json".into(),
        }
    }

    /// A value that could stand there, as TOML writes it; `None` where there always is one.
    pub(super) fn example(&self) -> Option<String> {
        match self.field {
            Field::File(_, example) | Field::StateFile(_, example) => Some(quoted(example)),
            Field::WebTransportUrl(_) => Some(quoted("https://taps.example.com:7443/v1/webtransport")),
            _ => None,
        }
    }

    /// Its value as TOML writes it; `None` where there is none.
    pub(super) fn toml(&self, config: &mut Config) -> Option<String> {
        Some(match &self.field {
            Field::Address(at) => quoted(&at(config).to_string()),
            Field::Number(at, _) | Field::Bytes(at, _) => at(config).to_string(),
            Field::Time(at, _) => quoted(&duration_text(*at(config))),
            Field::Shards => config.shards.map_or_else(|| quoted("all"), |shards| shards.to_string()),
            Field::File(at, _) | Field::StateFile(at, _) => quoted(&at(config).as_ref()?.to_string_lossy()),
            Field::WebTransportUrl(at) => quoted(at(config).as_ref()?),
            Field::Names(at) | Field::Hosts(at) | Field::Origins(at) => {
                let names: Vec<_> = at(config).iter().map(|name| quoted(name)).collect();
                format!("[{}]", names.join(", "))
            }
            Field::Switch(at) => at(config).to_string(),
            Field::Log => quoted(&config.log.to_string()),
            Field::LogFormat => quoted(config.log_format.name()),
        })
    }
}

impl Field {
    /// The words among which to choose; none where the choice is free.
    fn words(&self) -> impl Iterator<Item = &'static str> {
        let words: &[_] = match self {
            Self::Switch(_) => &["true", "false"],
            Self::Log => &["off", "error", "warn", "info", "debug", "trace"],
            Self::LogFormat => &["text", "json"],
            Self::Shards => &["all"],
            _ => &[],
        };
        words.iter().copied()
    }

    fn set(&self, config: &mut Config, text: &str) -> Option<()> {
        match self {
            Self::Address(at) => *at(config) = text.parse().ok()?,
            Self::Number(at, range) => *at(config) = number_in(text, range)?,
            Self::Bytes(at, range) => *at(config) = bytes_in(text, range)?,
            Self::Time(at, range) => *at(config) = time_in(text, range)?,
            Self::Shards if text.eq_ignore_ascii_case("all") => config.shards = None,
            Self::Shards => config.shards = Some(number_in(text, &(1..=SHARDS_MAX))?),
            Self::File(..) | Self::StateFile(..) if text.is_empty() || text.contains('\0') => return None,
            Self::File(at, _) | Self::StateFile(at, _) => *at(config) = Some(text.into()),
            Self::Names(at) => *at(config) = names_in(text)?,
            Self::Hosts(at) if text.trim().is_empty() => at(config).clear(),
            Self::Hosts(at) => *at(config) = names_in(text)?.iter().map(|name| host_in(name)).collect::<Option<_>>()?,
            Self::Origins(at) => {
                let origins = names_in(text)?;
                Origins::new(&origins)?;
                *at(config) = origins;
            }
            Self::WebTransportUrl(at) => {
                let is_url = text.strip_prefix("https://").is_some_and(|rest| rest.ends_with(WEBTRANSPORT_PATH));
                *at(config) = is_url.then(|| Some(text.to_owned()))?;
            }
            Self::Switch(at) => *at(config) = text.to_ascii_lowercase().parse().ok()?,
            // The parser of levels also takes numbers and the empty text; those say too little here.
            Self::Log if text.starts_with(|c: char| c.is_ascii_alphabetic()) => config.log = level_in(text)?,
            Self::Log => return None,
            Self::LogFormat => config.log_format = LogFormat::parse(text)?,
        }
        Some(())
    }
}

fn number_in(text: &str, range: &RangeInclusive<usize>) -> Option<usize> {
    text.parse().ok().filter(|number| range.contains(number))
}

/// `8MiB`, `8 mib` and `8M` are the same; `8MB` are powers of 1000.
fn bytes_in(text: &str, range: &RangeInclusive<usize>) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit).filter(|bytes| range.contains(bytes))
}

fn time_in(text: &str, range: &RangeInclusive<u64>) -> Option<Duration> {
    let time = humantime::parse_duration(text).ok()?;
    let ms = u64::try_from(time.as_millis()).ok().filter(|ms| range.contains(ms))?;
    (time == Duration::from_millis(ms)).then_some(time)
}

fn names_in(text: &str) -> Option<Vec<String>> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    names.iter().all(|name| !name.is_empty()).then_some(names)
}

/// A name that a request can come with, or a dot and the end of one. It may end with the dot of the root, which goes.
fn host_in(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_allowed)
    };
    name.strip_prefix('.').unwrap_or(name).split('.').all(is_label).then(|| name.to_owned())
}

fn level_in(text: &str) -> Option<LevelFilter> {
    text.parse().ok()
}

fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A TOML string: what JSON escapes, TOML escapes alike.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", c as u32),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
