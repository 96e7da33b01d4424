//! The main thread while shards serve: it waits for what they say, reads the configuration again when asked to, and
//! tells the supervisor of the process how it is.
//!
//! Invariant: the end of any shard but the drain of all is an error, so that no half of the process serves on. One reload is under
//! way at a time; who asks meanwhile gets another one after it, which sees everything that was written before they asked.

use super::ServeError;
use super::reload::{InForce, Prepared};
use crate::edge::clock;
use crate::edge::control::{Command, Commander, ShardEvent};
use crate::edge::log;
use crate::edge::notify::{self, Notifier};
use crate::edge::shard_loop::ShardEnd;
use crate::metrics::ShardMetrics;
use crate::shard::RoomsChanged;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// What a drain may take beyond its configured times: the last window and the ends of the threads.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// What an executor is made of is a ring and its memory.
const EXECUTOR_REMEDY: &str = "the kernel gave its executor no ring or no memory; raise LimitMEMLOCK= (ulimit -l) or the memory of the control group";

/// The main thread's part in a running server.
pub(super) struct Supervisor {
    shards: usize,
    happened: Receiver<ShardEvent>,
    commander: Commander,
    in_force: InForce,
    under_way: Option<Prepared>,
    /// A reload was asked for, and has not begun.
    is_reload_due: bool,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
}

/// When the shards are asked whether they turn.
struct Watchdog {
    interval: Duration,
    next_at: Instant,
    is_awaited: bool,
}

impl Supervisor {
    /// Of `shards` shards whose events come by `happened`.
    pub(super) fn new(shards: usize, happened: Receiver<ShardEvent>, commander: Commander, in_force: InForce) -> Self {
        let watchdog = notify::watchdog().map(|longest| Watchdog {
            // Twice in the time after which the process is taken for stuck.
            interval: longest / 2,
            next_at: clock::now().instant,
            is_awaited: false,
        });
        let (under_way, is_reload_due, notifier) = (None, false, Notifier::default());
        Self { shards, happened, commander, in_force, under_way, is_reload_due, notifier, watchdog }
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
        log::set_level(level);
        self.notifier.ready(&self.serving());
    }

    fn handle_draining(&mut self) {
        let drain = &self.in_force.config().drain;
        self.notifier.stopping(drain.duration + drain.timeout + STOP_MARGIN);
    }

    /// Asks whether every shard's loop turns, unless some still owe the last answer: then the supervisor is not told that
    /// all is well, and ends the process.
    fn beat(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        watchdog.next_at = clock::now().instant + watchdog.interval;
        if std::mem::replace(&mut watchdog.is_awaited, true) {
            tracing::error!(
                "not every shard has turned for {:?}; the supervisor will end the process",
                watchdog.interval
            );
        } else {
            self.commander.send(Command::Beat);
        }
    }

    fn handle_beaten(&mut self) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.is_awaited = false;
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
        ShardEvent::Lost(shard) => ServeError::Shard { shard, reason: EXECUTOR_REMEDY.into() },
        _ => ServeError::Stopped,
    }
}
