//! The main thread while shards serve: it waits for what they say, has the configuration read again when asked to, and
//! tells the supervisor of the process how it is.
//!
//! Invariant: it waits for events only, never for a file. The end of any shard but the drain of all is an error, so that no
//! half of the process serves on. One reload is under way at a time; who asks meanwhile gets another one after it, which sees
//! everything that was written before they asked. Once a drain has begun no reload begins, and the supervisor of the process
//! hears nothing but that, and beats: it would take the server for one that serves on.

use super::reload::{self, InForce, Prepared};
use super::{Event, ServeError};
use crate::edge::clock;
use crate::edge::control::{Command, Commander, ShardEvent};
use crate::edge::life;
use crate::edge::log::Log;
use crate::edge::notify::{self, Notifier};
use crate::edge::shard_loop::ShardEnd;
use crate::limits::STOP_MARGIN;
use crate::metrics::{Reload as ReloadOutcome, ShardMetrics};
use crate::shard::RoomsChanged;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The main thread's part in a running server.
pub(super) struct Supervisor<'a> {
    shards: usize,
    /// For threads that the main thread starts.
    events: Sender<Event>,
    happened: Receiver<Event>,
    commander: Commander,
    in_force: Arc<InForce>,
    reload: Stage,
    /// A reload was asked for, and has not begun.
    is_reload_due: bool,
    is_draining: bool,
    log: &'a Log,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
}

/// How far the reload under way has come.
enum Stage {
    None,
    /// Files are read.
    Reading,
    /// Shards take it in.
    TakenIn(Box<Prepared>),
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

/// Beats in the time after which the supervisor takes the process for stuck: one may be lost, and one late.
const BEATS: u32 = 3;
/// Time between two beats at least, whatever is asked for: each wakes every shard.
const BEAT_MIN: Duration = Duration::from_micros(500);

impl Watchdog {
    /// `longest` is the time after which the supervisor takes the process for stuck.
    fn new(longest: Duration, now: Instant) -> Self {
        Self { interval: (longest / BEATS).max(BEAT_MIN), next_at: now, missed: None }
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
    /// Of `shards` shards whose events come by `events`, both ends of it.
    pub(super) fn new(
        shards: usize,
        (events, happened): (Sender<Event>, Receiver<Event>),
        commander: Commander,
        in_force: InForce,
        log: &'a Log,
    ) -> Self {
        Self {
            shards,
            events,
            happened,
            commander,
            in_force: Arc::new(in_force),
            reload: Stage::None,
            is_reload_due: false,
            is_draining: false,
            log,
            notifier: Notifier::from_environment(),
            watchdog: notify::watchdog().map(|longest| Watchdog::new(longest, clock::now().instant)),
        }
    }

    /// Waits until every shard serves.
    pub(super) fn wait_for_start(&mut self) -> Result<(), ServeError> {
        let mut started = 0;
        while started < self.shards {
            match self.happened.recv() {
                Ok(Event::Shard(ShardEvent::Started)) => started += 1,
                // Shard 0 may hear signals before the last one has started.
                Ok(Event::Shard(ShardEvent::ReloadAsked)) => self.is_reload_due = true,
                Ok(Event::Shard(ShardEvent::Draining(longest))) => self.handle_draining(longest),
                Ok(Event::Shard(event)) => return Err(ended_early(event)),
                // Nothing is read before all have started.
                Ok(Event::Read(_)) => {}
                Err(_) => return Err(ServeError::Stopped),
            }
        }
        Ok(())
    }

    /// Waits until every shard has drained; what they have counted.
    pub(super) fn run(mut self) -> Result<ShardMetrics, ServeError> {
        self.tell_ready(&self.serving());
        let mut total = ShardMetrics::default();
        let mut drained = 0;
        while drained < self.shards {
            self.begin_reload_if_due();
            match self.next_event()? {
                None => self.beat(),
                Some(Event::Read(read)) => self.handle_read(read),
                Some(Event::Shard(ShardEvent::ReloadAsked)) => self.handle_reload_asked(),
                Some(Event::Shard(ShardEvent::Reloaded(changed))) => self.finish_reload(&changed),
                Some(Event::Shard(ShardEvent::Beaten)) => self.handle_beaten(),
                Some(Event::Shard(ShardEvent::Draining(longest))) => self.handle_draining(longest),
                Some(Event::Shard(ShardEvent::Ended(_, Ok(ShardEnd::Drained(metrics))))) => {
                    total.absorb(&metrics);
                    drained += 1;
                }
                Some(Event::Shard(event)) => return Err(ended_early(event)),
            }
        }
        Ok(total)
    }

    /// The next event; `None` when it is time to ask the shards whether they turn.
    fn next_event(&self) -> Result<Option<Event>, ServeError> {
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

    fn handle_reload_asked(&mut self) {
        self.is_reload_due = true;
        if matches!(self.reload, Stage::Reading) {
            tracing::warn!(
                event = life::RELOAD_WAITS,
                remedy = "if that lasts, see to the disk of the configuration and the certificate; a file that is never read needs a restart",
                "the files of the last reload are still being read; this one follows"
            );
        }
    }

    fn begin_reload_if_due(&mut self) {
        if !self.is_reload_due || self.is_draining || !matches!(self.reload, Stage::None) {
            return;
        }
        self.is_reload_due = false;
        self.reload = Stage::Reading;
        self.notifier.reloading();
        reload::begin(self.in_force.clone(), &self.events);
    }

    /// The files have been read, or cannot be used.
    fn handle_read(&mut self, read: Result<Box<Prepared>, ServeError>) {
        self.reload = Stage::None;
        match read {
            // Shards go by what they drain with.
            _ if self.is_draining => life::warn_of_ignored("the new configuration"),
            Ok(prepared) => {
                let (reload, rooms) = prepared.orders();
                self.reload = Stage::TakenIn(prepared);
                self.commander.send(Command::Reload(reload, rooms));
            }
            Err(error) => {
                tracing::warn!(
                    event = life::RELOAD_REFUSED,
                    remedy = "mend what it names, then reload again",
                    "the configuration in force stays, as the new one cannot be used: {error}"
                );
                self.commander.send(Command::Count(ReloadOutcome::Refused));
                self.tell_ready(&format!("{}; the last reload was refused: {error}", self.serving()));
            }
        }
    }

    fn finish_reload(&mut self, changed: &RoomsChanged) {
        let Stage::TakenIn(prepared) = std::mem::replace(&mut self.reload, Stage::None) else { return };
        self.in_force = Arc::new(self.in_force.adopt(*prepared, changed));
        self.log.set_level(self.in_force.log_level());
        // Who sees it counted finds everything else done.
        self.commander.send(Command::Count(ReloadOutcome::Done));
        self.tell_ready(&self.serving());
    }

    fn handle_draining(&mut self, longest: Duration) {
        self.is_draining = true;
        if std::mem::take(&mut self.is_reload_due) {
            life::warn_of_ignored("a SIGHUP that waited for the reload before it");
        }
        self.notifier.stopping(longest + STOP_MARGIN);
    }

    /// Who drains is ready no more.
    fn tell_ready(&mut self, status: &str) {
        if !self.is_draining {
            self.notifier.ready(status);
        }
    }

    /// Asks whether every shard's loop turns.
    fn beat(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return };
        match watchdog.handle_due(clock::now().instant) {
            Due::Ask => self.commander.send(Command::Beat),
            Due::Complain => {
                let interval = watchdog.interval;
                tracing::error!(
                    event = life::STUCK,
                    remedy = "the supervisor ends the process if that goes on; report what the log says before",
                    "not every shard has turned for {interval:?}"
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
    use super::super::reload::TlsBase;
    use super::*;
    use crate::config::{Config, ConfigSource};
    use crate::edge::control;
    use crate::ids::ShardId;
    use std::fs::File;
    use std::os::unix::net::UnixDatagram;
    use std::sync::mpsc;

    /// What the supervisor at a socket of its own is told when `events` happen to a server of one shard.
    fn told(events: impl IntoIterator<Item = ShardEvent>) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (sender, happened) = mpsc::channel();
        events.into_iter().for_each(|event| sender.send(Event::Shard(event)).unwrap());
        let base = TlsBase { ticket_key: [1; 32], clock: Arc::new(clock::WallClock) };
        let config = Config::default();
        let certificate = base.certificate(&config).unwrap();
        let expiry = certificate.expiry();
        let in_force = InForce::new(ConfigSource::default(), config, &[], certificate, expiry, base, 0);
        let (commander, _control) = control::line(File::open("/dev/null").unwrap(), |_| {}).unwrap();
        let log = Log::default();
        let mut supervisor = Supervisor::new(1, (sender, happened), commander, in_force, &log);
        supervisor.notifier = Notifier::to(path.into());
        supervisor.wait_for_start().unwrap();
        supervisor.run().unwrap();
        let mut message = [0; 4096];
        let next = || socket.recv(&mut message).ok().map(|len| String::from_utf8_lossy(&message[..len]).into_owned());
        std::iter::from_fn(next).collect()
    }

    fn drained() -> ShardEvent {
        ShardEvent::Ended(ShardId(0), Ok(ShardEnd::Drained(Box::default())))
    }

    fn draining() -> ShardEvent {
        ShardEvent::Draining(Duration::from_secs(40))
    }

    #[test]
    fn who_is_told_to_end_while_it_starts_is_never_ready() {
        let told = told([ShardEvent::ReloadAsked, draining(), ShardEvent::Started, drained()]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("STOPPING=1\n"), "{told:?}");
    }

    #[test]
    fn a_drain_takes_the_times_that_shards_go_by() {
        let told = told([ShardEvent::Started, draining(), ShardEvent::ReloadAsked, drained()]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("READY=1\n"), "{told:?}");
        let longest_us = (Duration::from_secs(40) + STOP_MARGIN).as_micros();
        assert!(told[1].starts_with(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={longest_us}\n")), "{told:?}");
    }

    #[test]
    fn shards_are_asked_often_enough_for_a_beat_to_be_lost_and_not_again_while_one_owes_an_answer() {
        let mut now = clock::now().instant;
        let mut watchdog = Watchdog::new(Duration::from_secs(15), now);
        let mut due = |watchdog: &mut Watchdog| {
            now = now.max(watchdog.next_at);
            (watchdog.handle_due(now), watchdog.next_at - now)
        };
        let third = Duration::from_secs(5);
        for _ in 0..3 {
            assert_eq!(due(&mut watchdog), (Due::Ask, third));
            watchdog.handle_answer();
        }
        let owed: Vec<_> = (0..5).map(|_| due(&mut watchdog).0).collect();
        assert_eq!(owed, [Due::Ask, Due::Complain, Due::Wait, Due::Wait, Due::Wait]);
        watchdog.handle_answer();
        assert_eq!(due(&mut watchdog), (Due::Ask, third), "whoever was slow is asked again");
    }
}
