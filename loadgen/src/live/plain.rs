//! The face for logs and pipes: whole lines, and few of them.

use crate::table::grouped;
use std::fmt::{self, Debug, Formatter};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Writes lines.
#[derive(Clone)]
pub(super) struct Plain {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    period: Duration,
}

impl Debug for Plain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("period", &self.period).finish_non_exhaustive()
    }
}

impl Plain {
    /// Lines about one thing come a period apart at least.
    pub(super) fn new(out: Box<dyn Write + Send>, period: Duration) -> Self {
        Self { out: Arc::new(Mutex::new(out)), period }
    }

    pub(super) fn say(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever closed the pipe does not want to know; the run goes on.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    pub(super) fn begin(&self, name: &str, goal: Option<u64>) -> PlainStep {
        self.say(name);
        let progress = Progress { done: 0, said: Instant::now() };
        PlainStep { plain: self.clone(), name: name.into(), goal, progress: Mutex::new(progress) }
    }
}

/// Something that is being done.
#[derive(Debug)]
pub(super) struct PlainStep {
    plain: Plain,
    name: String,
    goal: Option<u64>,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    done: u64,
    said: Instant,
}

impl PlainStep {
    pub(super) fn advance(&self, parts: u64) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.done += parts;
        // The next step, or the match, says that all is done.
        if self.goal.is_none_or(|goal| progress.done < goal) && progress.said.elapsed() >= self.plain.period {
            progress.said = Instant::now();
            self.plain.say(&format!("{}: {}", self.name, part(progress.done, self.goal)));
        }
    }
}

/// How much of something is done.
pub(super) fn part(done: u64, goal: Option<u64>) -> String {
    match goal {
        Some(goal) => format!("{} of {}", grouped(done), grouped(goal)),
        None => grouped(done),
    }
}
