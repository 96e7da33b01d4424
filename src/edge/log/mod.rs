//! The log: one line an event on standard error, written by a thread of its own.
//!
//! 1. this file: from an event to the queue; start, level, end;
//! 2. `line`: what an event says, as text or as JSON;
//! 3. `limit`: how often one kind of event may say it;
//! 4. `queue`: the way to standard error, which may be slow, full or closed.
//!
//! Invariant: who logs never waits for standard error. Lines that it does not take in time are dropped and counted, and
//! the next line says how many; at the end, and after a panic, the queue gets [`LOG_FLUSH_TIMEOUT`] to empty. Not here: what is
//! worth a line (`incidents`, `checks`, and whoever else has something to say).

mod limit;
mod line;
mod queue;

use super::clock;
use crate::config::LogFormat;
use crate::limits::LOG_FLUSH_TIMEOUT;
use limit::{HeldBack, Limiter};
use line::{Line, Reader, Style};
use queue::Queue;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, Thread};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

type LevelHandle = reload::Handle<LevelFilter, Registry>;

/// The log of this process; when it is dropped, what waits is written. Empty where another program logs.
#[derive(Default)]
pub struct Log(Option<(Arc<LogLines>, LevelHandle)>);

/// Starts to log on standard error. A program that embeds this one and already logs its own way goes on doing so.
pub fn start(level: LevelFilter, format: LogFormat) -> Log {
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Text => Style::Text { reader: reader() },
    };
    let lines = Arc::new(LogLines::new(style, std::io::stderr()));
    let (filter, handle) = reload::Layer::new(level);
    if tracing_subscriber::registry().with(filter).with(LogLayer(lines.clone())).try_init().is_err() {
        return Log(None);
    }
    log_panics(lines.clone());
    Log(Some((lines, handle)))
}

fn reader() -> Reader {
    match std::io::stderr().is_terminal() {
        true => Reader::Terminal,
        false if leads_to_the_journal() => Reader::Journal,
        false => Reader::File,
    }
}

/// Whether standard error is the stream that systemd says it is (JOURNAL_STREAM in systemd.exec(5)): device and inode.
fn leads_to_the_journal() -> bool {
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| is_journal((stderr.dev(), stderr.ino())))
}

/// Whether a device and an inode are those of the journal.
pub(super) fn is_journal((device, inode): (u64, u64)) -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{device}:{inode}"))
}

/// What the process ends with, as the last line of standard error, whatever the level: written at once, so after [`Log`]
/// is dropped.
pub fn say_failure(format: LogFormat, error: &dyn std::fmt::Display) {
    let line = match format {
        LogFormat::Text if reader() == Reader::Journal => format!("<3>error: {error}\n").replace("\n ", "\n<3> "),
        LogFormat::Text => format!("error: {error}\n"),
        LogFormat::Json => Style::Json.render(&Line::new(Level::ERROR, error.to_string()), clock::now().unix_ms),
    };
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

impl Log {
    /// Logs more, or less, from now on.
    pub fn set_level(&self, level: LevelFilter) {
        if let Some((_, handle)) = &self.0 {
            // Fails only when the subscriber is gone, and then nobody logs.
            let _ = handle.modify(|current| *current = level);
        }
    }

    /// Has `then` called in a thread that panics, between the line of the panic and its backtrace. The first call counts.
    /// Does nothing where another program logs.
    pub fn after_panic_line(&self, then: impl Fn() + Send + Sync + 'static) {
        if let Some((lines, _)) = &self.0 {
            let _ = lines.after_panic_line.set(Box::new(then));
        }
    }

    /// Tells how many lines have been lost since the start, if this process writes its own log.
    pub fn lost_lines(&self) -> impl Fn() -> Option<u64> + Send + Sync + 'static {
        let lines = self.0.as_ref().map(|(lines, _)| lines.clone());
        move || lines.as_ref().map(|lines| lines.queue.lost())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some((lines, _)) = &self.0 {
            lines.end();
        }
    }
}

/// A panic becomes a line like any other, and is written before the thread unwinds, as the process may abort in between. What
/// RUST_BACKTRACE asks for follows in many lines, after everything that must not wait for it.
fn log_panics(lines: Arc<LogLines>) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        // One that panics while it writes of a panic is the last.
        let is_written = thread.name() != Some(PANIC_WRITER) && write_panic(&lines, &thread, panic);
        if is_written && let Some(then) = lines.after_panic_line.get() {
            then();
        }
        if !is_written || backtraces_wanted() {
            default(panic);
        }
    }));
}

/// Whether RUST_BACKTRACE asks for backtraces of panics, as the standard library reads it.
pub fn backtraces_wanted() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0")
}

/// The name of the thread that writes of a panic.
const PANIC_WRITER: &str = "panic";

/// Has another thread write: whatever has failed on this one could fail again, and end the process without a word.
fn write_panic(lines: &Arc<LogLines>, thread: &Thread, panic: &PanicHookInfo<'_>) -> bool {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic.payload_as_str().unwrap_or("(no text)");
    let text = format!("thread '{}' panicked at {place}: {reason}", thread.name().unwrap_or("without a name"));
    let (lines, line) = (lines.clone(), Line::new(Level::ERROR, text).of_kind("panic"));
    let write = move || {
        lines.push(&line, clock::now().unix_ms);
        lines.queue.flush(LOG_FLUSH_TIMEOUT);
    };
    Builder::new().name(PANIC_WRITER.into()).spawn(write).is_ok_and(|thread| thread.join().is_ok())
}

/// Hands events of the process to its log.
struct LogLayer(Arc<LogLines>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.write(&Line::of(event));
    }
}

/// Lines on their way.
struct LogLines {
    style: Style,
    limiter: Mutex<Limiter>,
    queue: Queue,
    after_panic_line: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl LogLines {
    fn new(style: Style, to: impl Write + Send + 'static) -> Self {
        Self { style, limiter: Mutex::default(), queue: Queue::new(to), after_panic_line: OnceLock::new() }
    }

    fn write(&self, line: &Line) {
        let now = clock::now();
        let (ended, passes) = {
            // A panic while the table was held leaves counts that are at worst one off.
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            (limiter.take_ended(now.instant), limiter.judge(now.instant, line))
        };
        for held_back in &ended {
            self.push(&held_back_line(held_back), now.unix_ms);
        }
        if passes {
            self.push(line, now.unix_ms);
        }
        if let Some(lost) = self.queue.poll_lost() {
            self.push(&lost_line(lost), now.unix_ms);
        }
    }

    fn push(&self, line: &Line, unix_ms: u64) {
        self.queue.push(&self.style.render(line, unix_ms));
    }

    fn end(&self) {
        let unix_ms = clock::now().unix_ms;
        let rest = self.limiter.lock().unwrap_or_else(PoisonError::into_inner).take_all();
        for held_back in &rest {
            self.push(&held_back_line(held_back), unix_ms);
        }
        self.queue.flush(LOG_FLUSH_TIMEOUT);
    }
}

fn held_back_line(held_back: &HeldBack) -> Line {
    let HeldBack { count, shard, level, like } = held_back;
    let text = match like {
        Some(like) => format!("{count} lines were not written that are like: {like}"),
        None => format!("{count} lines of many kinds were not written"),
    };
    let mut line = Line::new(*level, text).of_kind("log_lines_held_back").counting(*count);
    line.shard = *shard;
    line
}

fn lost_line(lost: u64) -> Line {
    let text =
        format!("{lost} lines of the log have been lost so far, as standard error takes them too slowly or not at all");
    Line::new(Level::WARN, text)
        .of_kind("log_lines_lost")
        .counting(lost)
        .with_remedy("see who reads it, and that its disk is not full")
}

#[cfg(test)]
mod tests;
