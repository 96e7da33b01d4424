//! What one event says, and how it is written.
//!
//! ```text
//! 2026-11-22T10:30:01.123Z WARN  shard 2: reactions_dropped: the kernel dropped 512 ...; raise ...
//! {"time":"2026-11-22T10:30:01.123Z","level":"warn","event":"reactions_dropped","shard":2,"message":"...","remedy":"...","count":512}
//! ```
//! Invariant: one event is one line, whatever its texts hold. Known fields have their place: `event` is the kind, a stable
//! word that alerts and runbooks can name, `shard` where it happened, `remedy` what to do, `count` how many (in text it is part of
//! the message). Other fields follow as `name=value`, or as members.

use crate::limits::LOG_MESSAGE_BYTES_MAX;
use serde_json::{Map, Value};
use std::fmt::{Debug, Write as _};
use std::time::{Duration, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    /// Which part said it, unless it is this program itself.
    source: Option<&'static str>,
    pub(super) kind: Option<String>,
    pub(super) shard: Option<u64>,
    pub(super) message: String,
    remedy: Option<String>,
    count: Option<u64>,
    /// Where in the code it was said, which tells apart kinds without a name.
    pub(super) place: Option<(&'static str, u32)>,
    fields: Map<String, Value>,
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// For people.
    Text {
        /// What reads along.
        reader: Reader,
    },
    /// For programs: one object a line.
    Json,
}

/// What stands between the text and the people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reader {
    /// A terminal shows levels in colour.
    Terminal,
    /// The journal takes the level from a prefix (sd-daemon(3)), so that `journalctl -p warning` finds what it should.
    Journal,
    /// Nothing that reads along.
    File,
}

impl Line {
    /// Says `message`, and no more.
    pub(super) fn new(level: Level, message: String) -> Self {
        let message = shortened(message);
        Self {
            level,
            source: None,
            kind: None,
            shard: None,
            message,
            remedy: None,
            count: None,
            place: None,
            fields: Map::new(),
        }
    }

    /// What an event of this or another crate says.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self::new(*metadata.level(), String::new());
        line.source = Some(metadata.target()).filter(|target| !is_own(target));
        line.place = metadata.file().zip(metadata.line());
        event.record(&mut line);
        line
    }

    pub(super) fn of_kind(self, kind: &str) -> Self {
        Self { kind: Some(kind.into()), ..self }
    }

    pub(super) fn counting(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    pub(super) fn with_remedy(self, remedy: &str) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    fn record_value(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", value) => self.message = text_of(value),
            ("event", value) => self.kind = Some(text_of(value)),
            ("remedy", value) => self.remedy = Some(text_of(value)),
            ("shard", Value::Number(shard)) => self.shard = shard.as_u64(),
            ("count", Value::Number(count)) => self.count = count.as_u64(),
            (name, value) => drop(self.fields.insert(name.into(), value)),
        }
    }
}

fn is_own(target: &str) -> bool {
    target.strip_prefix("uproar").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Texts may hold what a peer or a file said; the queue holds many lines.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LOG_MESSAGE_BYTES_MAX));
    text
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_value(field, Value::String(shortened(format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_value(field, Value::String(shortened(value.into())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_value(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_value(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record_value(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record_value(field, value.into());
    }
}

impl Style {
    /// The line, with its end.
    pub(super) fn render(self, line: &Line, unix_ms: u64) -> String {
        let time = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string();
        let mut text = match self {
            Self::Text { reader } => text_line(line, &time, reader),
            Self::Json => json_line(line, time),
        };
        text.push('\n');
        text
    }
}

fn text_line(line: &Line, time: &str, reader: Reader) -> String {
    // Padded, so that what happened begins in one column.
    let level = format!("{:<5}", line.level);
    let mut text = match (reader, colour(line.level)) {
        (Reader::Terminal, Some(colour)) => format!("{time} \x1b[{colour}m{level}\x1b[0m "),
        (Reader::Journal, _) => format!("<{}>{time} {level} ", syslog_priority(line.level)),
        _ => format!("{time} {level} "),
    };
    if let Some(shard) = line.shard {
        text += &format!("shard {shard}: ");
    }
    for before in [line.source, line.kind.as_deref()].into_iter().flatten() {
        push_plain(&mut text, before);
        text += ": ";
    }
    push_plain(&mut text, &line.message);
    for (name, value) in &line.fields {
        text += &format!(" {name}=");
        match value {
            Value::String(value) => push_plain(&mut text, value),
            value => text += &value.to_string(),
        }
    }
    if let Some(remedy) = &line.remedy {
        text += "; ";
        push_plain(&mut text, remedy);
    }
    text
}

fn json_line(line: &Line, time: String) -> String {
    let mut members = vec![("time", Value::from(time)), ("level", line.level.as_str().to_ascii_lowercase().into())];
    members.extend(line.source.map(|source| ("source", source.into())));
    members.extend(line.kind.clone().map(|kind| ("event", kind.into())));
    members.extend(line.shard.map(|shard| ("shard", shard.into())));
    members.push(("message", line.message.clone().into()));
    members.extend(line.remedy.clone().map(|remedy| ("remedy", remedy.into())));
    members.extend(line.count.map(|count| ("count", count.into())));
    // What a line has by itself is not said twice.
    let others = line.fields.iter().filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str()));
    members.extend(others.map(|(name, value)| (name.as_str(), value.clone())));
    // By hand, as a map would lose the order in which a person reads them.
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
    format!("{{{}}}", members.join(","))
}

const OWN_MEMBERS: [&str; 8] = ["time", "level", "source", "event", "shard", "message", "remedy", "count"];

fn colour(level: Level) -> Option<u8> {
    match level {
        Level::ERROR => Some(31),
        Level::WARN => Some(33),
        _ => None,
    }
}

/// As syslog(3) numbers them.
fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Nothing that ends the line, or that a terminal would obey.
fn push_plain(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
}
