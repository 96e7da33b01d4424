//! When memory that was freed goes back to the system: in two steps, once after anything large may have been freed. The first
//! marks what is unused, the second gives back what still is.
//!
//! Invariant: a shard from which nothing goes is never interrupted for this, and one that always loses somebody only every
//! other [`MEMORY_STEP`]. Not here: what is freed.

use crate::limits::MEMORY_STEP;
use std::time::Instant;

/// What to do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Note what is not used from now on.
    Mark,
    /// Give back what was not used since.
    GiveBack,
}

/// How far giving back has come.
pub(super) struct Memory {
    /// What had been let go when it last began.
    seen: u64,
    next: Option<(Instant, Step)>,
}

impl Memory {
    /// Nothing to give back.
    pub(super) fn new() -> Self {
        Self { seen: 0, next: None }
    }

    /// `let_go` counts what was let go so far.
    pub(super) fn poll_step(&mut self, now: Instant, let_go: u64) -> Option<Step> {
        match self.next {
            None if let_go == self.seen => None,
            None => {
                self.seen = let_go;
                self.next = Some((now + MEMORY_STEP, Step::Mark));
                None
            }
            Some((at, _)) if now < at => None,
            Some((_, Step::Mark)) => {
                self.next = Some((now + MEMORY_STEP, Step::GiveBack));
                // Everything up to now goes back in the next step.
                self.seen = let_go;
                Some(Step::Mark)
            }
            Some((_, Step::GiveBack)) => {
                self.next = None;
                Some(Step::GiveBack)
            }
        }
    }

    /// When [`Self::poll_step`] has something to say.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The steps of `seconds` in which `let_go` says what was let go by each millisecond.
    fn steps(seconds: u64, let_go: impl Fn(u64) -> u64) -> Vec<(u64, Step)> {
        #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
        let begin = Instant::now();
        let mut memory = Memory::new();
        let step = |ms: u64| memory.poll_step(begin + Duration::from_millis(ms), let_go(ms)).map(|step| (ms, step));
        (0..seconds * 1000).filter_map(step).collect()
    }

    #[test]
    fn nothing_is_done_while_nothing_goes() {
        assert_eq!(steps(60, |_| 0), []);
    }

    #[test]
    fn what_goes_at_once_is_given_back_once_a_moment_later() {
        let step = MEMORY_STEP.as_millis() as u64;
        let went_at = |at: u64| move |ms| u64::from(ms >= at) * 1000;
        assert_eq!(steps(60, went_at(7)), [(7 + step, Step::Mark), (7 + 2 * step, Step::GiveBack)]);
    }

    #[test]
    fn a_shard_that_always_loses_somebody_is_seldom_interrupted_and_gives_back_the_last() {
        let step = MEMORY_STEP.as_millis() as u64;
        let steps = steps(60, |ms| ms.min(30_000));
        assert!(steps.windows(2).all(|two| two[1].0 - two[0].0 >= step), "{steps:?}");
        assert!(
            matches!(steps.last(), Some((at, Step::GiveBack)) if (30_000..=30_000 + 4 * step).contains(at)),
            "{steps:?}"
        );
    }
}
