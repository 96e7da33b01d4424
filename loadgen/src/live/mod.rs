//! What is shown while a run goes on: a bar and a small table on a terminal, single lines now and then anywhere else.
//!
//! 1. `counters`: what drivers add to. `snapshot`: one picture of it. `text`: the words and numbers.
//! 2. `terminal` and `plain`: the two faces. This file picks one.
//!
//! Invariant: all of it goes to stderr, as stdout is for reports. Nothing here can fail a run: what cannot be shown is
//! not shown. Deliberately not here: anything that moves without news.

mod counters;
mod plain;
mod snapshot;
mod terminal;
mod text;

pub use counters::{LiveCounters, SliceDone};
pub use snapshot::{LiveRates, LiveSnapshot, Moment};

use self::terminal::{Terminal, TerminalStep};
use indicatif::ProgressDrawTarget;
use plain::{Plain, PlainStep};
use std::io::{self, Write};
use std::time::Duration;
use uproar::edge::terminal as environment;

/// Time between two pictures on a terminal.
const TERMINAL_PERIOD: Duration = Duration::from_millis(250);
/// Time between two lines where there is no terminal.
const PLAIN_PERIOD: Duration = Duration::from_secs(5);

/// The display of one run. Dropped, it leaves a terminal as it found it.
#[derive(Debug)]
pub struct Live {
    face: Face,
    before: LiveSnapshot,
}

#[derive(Debug)]
enum Face {
    Terminal(Terminal),
    Plain(Plain),
}

impl Live {
    /// On stderr: drawn if that is a terminal which can move its cursor, else in lines.
    pub fn on_stderr() -> Self {
        let target = ProgressDrawTarget::stderr();
        let is_drawable = !target.is_hidden() && environment::moves_cursor();
        if !is_drawable { Self::in_lines(Box::new(io::stderr())) } else { Self::drawn_on(target) }
    }

    /// In single lines.
    pub fn in_lines(out: Box<dyn Write + Send>) -> Self {
        Self { face: Face::Plain(Plain::new(out, PLAIN_PERIOD)), before: LiveSnapshot::default() }
    }

    fn drawn_on(target: ProgressDrawTarget) -> Self {
        Self { face: Face::Terminal(Terminal::new(target)), before: LiveSnapshot::default() }
    }

    /// How often [`Live::show`] wants to be called.
    pub fn period(&self) -> Duration {
        match self.face {
            Face::Terminal(_) => TERMINAL_PERIOD,
            Face::Plain(_) => PLAIN_PERIOD,
        }
    }

    /// Shows a picture; rates are of the time since the one before.
    pub fn show(&mut self, picture: LiveSnapshot) {
        let rates = picture.rates_since(&self.before);
        match &mut self.face {
            Face::Terminal(terminal) => terminal.show(&picture, &rates),
            Face::Plain(plain) => plain.say(&text::line(&picture, &rates)),
        }
        self.before = picture;
    }

    /// Shows that something other than the match has begun, such as "seating 2,000 subscribers", of which `goal` parts
    /// are to be done; `None` when it cannot be divided.
    pub fn begin(&mut self, name: &str, goal: Option<u64>) -> Step {
        Step(match &mut self.face {
            Face::Terminal(terminal) => StepFace::Terminal(terminal.begin(name, goal)),
            Face::Plain(plain) => StepFace::Plain(plain.begin(name, goal)),
        })
    }

    /// Says something once, which stays.
    pub fn say(&mut self, text: &str) {
        match &mut self.face {
            Face::Terminal(terminal) => terminal.say(text),
            Face::Plain(plain) => plain.say(text),
        }
    }
}

/// Something that is being done; over when dropped. Threads and tasks may share it.
#[derive(Debug)]
pub struct Step(StepFace);

#[derive(Debug)]
enum StepFace {
    Terminal(TerminalStep),
    Plain(PlainStep),
}

impl Step {
    /// More parts of it are done.
    pub fn advance(&self, parts: u64) {
        match &self.0 {
            StepFace::Terminal(step) => step.advance(parts),
            StepFace::Plain(step) => step.advance(parts),
        }
    }
}

#[cfg(test)]
mod tests;
