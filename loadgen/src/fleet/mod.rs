//! The fleet: many thousand real QUIC subscribers in one thread, to prove a fan-out with.
//!
//! Each subscriber is a connection of its own with its own handshake, keys and acknowledgements, and on loopback its own
//! address. They differ from a phone only in what they leave out: sockets of their own, tasks, and the picture itself.
//! A frame is validated and measured, and then forgotten.
//!
//! 1. This file is the face: [`Fleet`] starts, asks and ends the thread; `config` and `seating` are what it is to be.
//! 2. `helm` is the thread: what happens in one turn; `orders` is who comes and goes in it.
//! 3. `crew` is one socket and its connections; `outbox`, `timers` and `transport` are its parts.
//! 4. `viewer` is one subscriber's conversation; `arrivals` is what all their frames add up to, `sightings` whether they
//!    are the same, `delays` how late they are; `ledger` and `measures` are what is told of it.
//!
//! Invariant: who loses a connection is counted and does not come back, unless told to ([`Fleet::join`], [`Fleet::churn`]).

mod arrivals;
mod config;
mod crew;
mod delays;
mod helm;
mod ledger;
mod measures;
mod orders;
mod outbox;
mod seating;
mod sightings;
mod timers;
mod transport;
mod viewer;

pub use arrivals::{Moment, WindowArrivals};
pub use config::{FleetConfig, SUBSCRIBERS_MAX};
pub use measures::{FleetMeasures, FleetTotals};
pub use seating::{ROOMS_ONE_EACH_MAX, Seating};

use helm::{Command, Helm};
use orders::Deed;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the thread may take to answer: it answers once a turn.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How long so many subscribers may take to arrive before whoever waits for them should give up.
pub fn arrive_max(subscribers: usize) -> Duration {
    Duration::from_secs(30) + Duration::from_millis(5) * subscribers as u32
}

/// How a subscriber stops reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// Its connection lives, and acknowledges what fits its window; the application does not read, so that no more is
    /// permitted to the server.
    Unread,
    /// Nothing reaches it and it acknowledges nothing, like a phone in a tunnel.
    Deaf,
}

/// Why a fleet does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The time was too short.
    #[error("after {waited:?}, {subscribed} of {wanted} are subscribed; wait longer, or look at the server's log")]
    Timeout {
        /// How long was waited.
        waited: Duration,
        /// How many are there.
        subscribed: u64,
        /// How many should be.
        wanted: u64,
    },
    /// Connections are lost.
    #[error("{count} of {wanted} connections are lost: {reasons:?}")]
    Lost {
        /// How many.
        count: u64,
        /// Of how many.
        wanted: u64,
        /// For which reasons, and how many each.
        reasons: BTreeMap<String, u64>,
    },
    /// The thread has ended: a system call failed.
    #[error("the fleet has ended: {0}")]
    Ended(String),
}

/// A running fleet. Dropped, it closes its connections and ends.
pub struct Fleet {
    commands: Option<Sender<Command>>,
    records: Receiver<WindowArrivals>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Fleet {
    /// Starts the thread, which begins to connect at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the configuration is out of range; whatever the kernel says when it gives no
    /// sockets, no ring or no thread.
    pub fn start(config: FleetConfig) -> io::Result<Self> {
        let (commands, orders) = mpsc::channel();
        let (started, has_started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("fleet".to_owned())
            // Sockets' buffers and the ring stay with the thread that made them.
            .spawn(move || Helm::take(&config, orders, &started))?;
        let records = has_started.recv().map_err(|_| io::Error::other("the thread of the fleet did not start"))??;
        Ok(Self { commands: Some(commands), records, thread: Some(thread) })
    }

    /// Waits until nobody is on the way any more, also nobody who was told to join or to churn.
    ///
    /// # Errors
    /// [`FleetError::Timeout`], [`FleetError::Ended`], and [`FleetError::Lost`] when connections are lost, also earlier ones
    /// that did not connect again since.
    pub fn wait_subscribed(&self, timeout: Duration) -> Result<(), FleetError> {
        let lost = self.ask_within(timeout, Command::AwaitSubscribed)?;
        if lost == Some(0) {
            return Ok(());
        }
        let FleetTotals { subscribers: subscribed, wanted, lost: reasons, .. } = self.totals()?;
        Err(match lost {
            Some(count) => FleetError::Lost { count: count as u64, wanted, reasons },
            None => FleetError::Timeout { waited: timeout, subscribed, wanted },
        })
    }

    /// Whether nobody is on the way: all that was ordered is done, and whoever is wanted is subscribed or lost.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn is_settled(&self) -> Result<bool, FleetError> {
        self.ask(Command::IsSettled)
    }

    /// The next window that all subscribers have, or that most are past. `None` when there is none in time, or the fleet
    /// has ended. Records that nobody takes are kept for a thousand windows.
    pub fn next_window(&self, timeout: Duration) -> Option<WindowArrivals> {
        self.records.recv_timeout(timeout).ok()
    }

    /// What has come so far.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn totals(&self) -> Result<FleetTotals, FleetError> {
        self.ask(Command::Totals)
    }

    /// How long things took so far.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn measures(&self) -> Result<FleetMeasures, FleetError> {
        self.ask(Command::Measures)
    }

    /// CPU time of the fleet's thread since its start, the kernel's part included.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn cpu(&self) -> Result<Duration, FleetError> {
        self.ask(Command::Cpu)
    }

    /// These subscribers stop reading; no frames are expected of them. Done when this returns.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn pause(&self, subscribers: Range<usize>, how: Pause) -> Result<(), FleetError> {
        self.ask(|done| Command::Pause(subscribers, how, done))
    }

    /// These read again.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn resume_reading(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.ask(|done| Command::Resume(subscribers, done))
    }

    /// These connect, unless they are there or on their way: who has not been present yet, has left, vanished or lost its
    /// connection.
    ///
    /// This and the other orders are carried out one after the other, some hundred subscribers a turn, while this returns
    /// at once; [`Self::is_settled`] says when all is done.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn join(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.order(Deed::Join, subscribers)
    }

    /// These close their connections, stay away, and are not lost. An order, as [`Self::join`].
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn leave(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.order(Deed::Leave, subscribers)
    }

    /// These forget their connections, tell the server nothing and stay away. An order, as [`Self::join`].
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn vanish(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.order(Deed::Vanish, subscribers)
    }

    /// These close their connections and connect again, also those that have none. An order, as [`Self::join`].
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn churn_begin(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.order(Deed::Churn, subscribers)
    }

    /// As [`Self::churn_begin`], and waits until they are subscribed.
    ///
    /// # Errors
    /// As [`Self::wait_subscribed`].
    pub fn churn(&self, subscribers: Range<usize>, timeout: Duration) -> Result<(), FleetError> {
        self.churn_begin(subscribers)?;
        self.wait_subscribed(timeout)
    }

    /// Tells the server that all leave, ends the thread and returns what has come.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn stop(self) -> Result<FleetTotals, FleetError> {
        self.stop_measured().map(|(totals, _)| totals)
    }

    /// As [`Self::stop`], and returns how long things took too.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn stop_measured(mut self) -> Result<(FleetTotals, FleetMeasures), FleetError> {
        let told = (self.totals()?, self.measures()?);
        self.end().map(|()| told)
    }

    fn order(&self, deed: Deed, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.send(Command::Order(deed, subscribers))
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Result<T, FleetError> {
        self.ask_within(ANSWER_MAX, command)?.ok_or_else(|| FleetError::Ended("it does not answer".to_owned()))
    }

    fn ask_within<T>(
        &self,
        timeout: Duration,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<Option<T>, FleetError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.send(command(answer))?;
        match answered.recv_timeout(timeout) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    fn send(&self, command: Command) -> Result<(), FleetError> {
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.send(command).map_err(|_| gone())
    }

    /// Without commands to come, the thread ends.
    fn end(&mut self) -> Result<(), FleetError> {
        self.commands = None;
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(FleetError::Ended(error.to_string())),
            Some(Err(_)) => Err(FleetError::Ended("it panicked".to_owned())),
        }
    }
}

fn gone() -> FleetError {
    FleetError::Ended("its thread is gone".to_owned())
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Whoever wants to know how it ended stops it.
        let _ = self.end();
    }
}
