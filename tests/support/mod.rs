//! The language of tests over a real server process: [`Server`], [`Viewer`], [`Audience`], [`Http`], [`Tapper`],
//! [`Supervisor`].
//!
//! Invariant: nothing here waits without a deadline, and no deadline is an expectation: it is far beyond what a slow
//! machine needs, and a test that meets it fails. Not here: what the server should do; that is each test's own.

#![allow(dead_code, unused_imports, reason = "several targets of tests speak this language, and none says everything")]

pub(crate) mod audience;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod http3;
pub(crate) mod impairment;
pub(crate) mod metrics;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod supervisor;
pub(crate) mod taps;
pub(crate) mod web_session;

pub(crate) use audience::{Audience, Viewer};
pub(crate) use http::Http;
pub(crate) use server::{Ended, Server};
pub(crate) use supervisor::Supervisor;
pub(crate) use taps::Tapper;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: several times what the slowest step takes while compilers run on every
/// core. Whoever needs a limit for waiting takes this one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// How often a condition is looked at that no event announces, such as a counter of the server.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many windows are not among those that somebody saw, from the first to the last.
///
/// # Panics
/// When they are not in order, or one is there twice.
pub(crate) fn missed(windows: &[u64]) -> u64 {
    assert!(windows.is_sorted_by(|one, next| one < next), "{windows:?}");
    windows.windows(2).map(|pair| pair[1] - pair[0] - 1).sum()
}

/// Looks until there is an answer. For conditions that no event announces.
///
/// # Panics
/// When there is none by the deadline; `describe` says what is there instead.
pub(crate) fn eventually<T>(look: impl FnMut() -> Option<T>, describe: impl FnOnce() -> String) -> T {
    eventually_within(DEADLINE, look, describe)
}

/// As [`eventually`], with another deadline.
#[allow(clippy::disallowed_methods, reason = "a test observes a process from outside, by the machine's clock")]
pub(crate) fn eventually_within<T>(
    deadline: Duration,
    mut look: impl FnMut() -> Option<T>,
    describe: impl FnOnce() -> String,
) -> T {
    let give_up_at = Instant::now() + deadline;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        if Instant::now() >= give_up_at {
            panic!("not within {deadline:?}: {}", describe());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
