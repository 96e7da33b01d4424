//! The main thread while shards serve: it waits for what they say, reads the configuration again when asked to, and
//! tells the supervisor of the process how it is.
//!
//! Invariant: the end of any shard but the drain of all is an error, so that no half of the process serves on. One reload is under
//! way at a time; who asks meanwhile gets another one after it, which sees everything that was written before they asked.

use super::ServeError;
use super::reload::{InForce, Prepared};
use crate::edge::clock;
use crate::edge::control::{Command, Commander, ShardEvent};
use crate::edge::log::Log;
use crate::edge::notify::{self, Notifier};
use crate::edge::shard_loop::ShardEnd;
use crate::metrics::ShardMetrics;
use crate::shard::RoomsChanged;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// What a drain may take beyond its configured times: the last window and the ends of the threads.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// The main thread's part in a running server.
pub(super) struct Supervisor<'a> {
    shards: usize,
    happened: Receiver<ShardEvent>,
    commander: Commander,
    in_force: InForce,
    under_way: Option<Prepared>,
    /// A reload was asked for, and has not begun.
    is_reload_due: bool,
    log: &'a Log,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
}

/// When the shards are asked whether they turn. While some owe an answer they are not asked again, and the supervisor is
/// not told that all is well: it ends the process.
struct Watchdog {
    interval: Duration,
    next_at: Instant,
    /// How often the time to ask has come since an answer was owed.
    missed: Option<u32>,
}

/// What there is to do when it is time to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Ask,
    /// Somebody has owed the answer for a whole interval.
    Complain,
    Wait,
}

impl Watchdog {
    /// `longest` is the time after which the supervisor takes the process for stuck.
    fn new(longest: Duration, now: Instant) -> Self {
        Self { interval: longest / 2, next_at: now, missed: None }
    }

    fn handle_due(&mut self, now: Instant) -> Due {
        self.next_at = now + self.interval;
        self.missed = self.missed.map_or(Some(0), |missed| missed.checked_add(1));
        match self.missed {
            Some(0) => Due::Ask,
            Some(1) => Due::Complain,
            _ => Due::Wait,
        }
    }

    fn handle_answer(&mut self) {
        self.missed = None;
    }
}

impl<'a> Supervisor<'a> {
    /// Of `shards` shards whose events come by `happened`.
    pub(super) fn new(
        shards: usize,
        happened: Receiver<ShardEvent>,
        commander: Commander,
        in_force: InForce,
        log: &'a Log,
    ) -> Self {
        let watchdog = notify::watchdog().map(|longest| Watchdog::new(longest, clock::now().instant));
        let (under_way, is_reload_due, notifier) = (None, false, Notifier::from_environment());
        Self { shards, happened, commander, in_force, under_way, is_reload_due, log, notifier, watchdog }
    }

    /// Waits until every shard serves.
    pub(super) fn wait_for_start(&mut self) -> Result<(), ServeError> {
        let mut started = 0;
        while started < self.shards {
            match self.happened.recv() {
                Ok(ShardEvent::Started) => started += 1,
                // Shard 0 may hear signals before the last one has started.
                Ok(ShardEvent::ReloadAsked) => self.is_reload_due = true,
                Ok(ShardEvent::Draining) => self.handle_draining(),
                Ok(event) => return Err(ended_early(event)),
                Err(_) => return Err(ServeError::Stopped),
            }
        }
        Ok(())
    }

    /// Waits until every shard has drained; what they have counted.
    pub(super) fn run(mut self) -> Result<ShardMetrics, ServeError> {
        self.notifier.ready(&self.serving());
        let mut total = ShardMetrics::default();
        let mut drained = 0;
        while drained < self.shards {
            self.begin_reload_if_due();
            match self.next_event()? {
                None => self.beat(),
                Some(ShardEvent::ReloadAsked) => self.is_reload_due = true,
                Some(ShardEvent::Reloaded(changed)) => self.finish_reload(&changed),
                Some(ShardEvent::Beaten) => self.handle_beaten(),
                Some(ShardEvent::Draining) => self.handle_draining(),
                Some(ShardEvent::Ended(_, Ok(ShardEnd::Drained(metrics)))) => {
                    total.absorb(&metrics);
                    drained += 1;
                }
                Some(event) => return Err(ended_early(event)),
            }
        }
        Ok(total)
    }

    /// The next event; `None` when it is time to ask the shards whether they turn.
    fn next_event(&self) -> Result<Option<ShardEvent>, ServeError> {
        let Some(watchdog) = &self.watchdog else {
            return self.happened.recv().map(Some).map_err(|_| ServeError::Stopped);
        };
        let wait = watchdog.next_at.saturating_duration_since(clock::now().instant);
        match self.happened.recv_timeout(wait) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ServeError::Stopped),
        }
    }

    fn begin_reload_if_due(&mut self) {
        if self.under_way.is_some() || !std::mem::take(&mut self.is_reload_due) {
            return;
        }
        self.notifier.reloading();
        match self.in_force.prepare() {
            Ok(prepared) => {
                let (reload, rooms) = prepared.orders();
                self.under_way = Some(prepared);
                self.commander.send(Command::Reload(reload, rooms));
            }
            Err(error) => {
                tracing::warn!("the configuration in force stays, as the new one cannot be used: {error}");
                self.commander.send(Command::Refused);
                let status = format!("{}; the last reload was refused: {error}", self.serving());
                self.notifier.ready(&status);
            }
        }
    }

    fn finish_reload(&mut self, changed: &RoomsChanged) {
        let Some(prepared) = self.under_way.take() else { return };
        let level = self.in_force.adopt(prepared, changed);
        self.log.set_level(level);
        self.notifier.ready(&self.serving());
    }

    fn handle_draining(&mut self) {
        let drain = &self.in_force.config().drain;
        self.notifier.stopping(drain.duration + drain.timeout + STOP_MARGIN);
    }

    /// Asks whether every shard's loop turns.
    fn beat(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        match watchdog.handle_due(clock::now().instant) {
            Due::Ask => self.commander.send(Command::Beat),
            Due::Complain => {
                let interval = watchdog.interval;
                tracing::error!(
                    "not every shard has turned for {interval:?}; the supervisor ends the process if that goes on"
                );
            }
            Due::Wait => {}
        }
    }

    fn handle_beaten(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.handle_answer();
        }
        self.notifier.beat();
    }

    fn serving(&self) -> String {
        format!("serving on {} shard{}", self.shards, if self.shards == 1 { "" } else { "s" })
    }
}

fn ended_early(event: ShardEvent) -> ServeError {
    match event {
        ShardEvent::Ended(shard, Ok(ShardEnd::Drained(_))) => {
            ServeError::Shard { shard, reason: "it drained before all shards had started".into() }
        }
        ShardEvent::Ended(shard, Err(error)) => ServeError::Shard { shard, reason: error.to_string() },
        ShardEvent::Panicked(shard) => ServeError::Shard { shard, reason: "it panicked, see above".into() },
        _ => ServeError::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_asked_twice_in_the_longest_time_and_not_again_while_one_owes_an_answer() {
        let mut now = clock::now().instant;
        let mut watchdog = Watchdog::new(Duration::from_secs(10), now);
        let mut due = |watchdog: &mut Watchdog| {
            now = now.max(watchdog.next_at);
            (watchdog.handle_due(now), watchdog.next_at - now)
        };
        let half = Duration::from_secs(5);
        for _ in 0..3 {
            assert_eq!(due(&mut watchdog), (Due::Ask, half));
            watchdog.handle_answer();
        }
        let owed: Vec<_> = (0..5).map(|_| due(&mut watchdog).0).collect();
        assert_eq!(owed, [Due::Ask, Due::Complain, Due::Wait, Due::Wait, Due::Wait]);
        watchdog.handle_answer();
        assert_eq!(due(&mut watchdog), (Due::Ask, half), "whoever was slow is asked again");
    }
}
