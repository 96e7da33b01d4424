//! The fleet: many thousand real QUIC subscribers in one thread, to prove a fan-out with.
//!
//! Each subscriber is a connection of its own with its own handshake, keys and acknowledgements, and on loopback its own
//! address. They differ from a phone only in what they leave out: sockets of their own, tasks, and the picture itself.
//! A frame is validated and measured, and then forgotten.
//!
//! 1. This file is the face: [`Fleet`] starts, asks and ends the thread.
//! 2. `helm` is the thread: what happens in one turn.
//! 3. `crew` is one socket and its connections; `outbox`, `timers` and `transport` are its parts.
//! 4. `viewer` is one subscriber's conversation; `arrivals` is what all their frames add up to.
//!
//! Invariant: who loses a connection is counted and does not come back, unless told to ([`Fleet::churn`]).

mod arrivals;
mod crew;
mod helm;
mod outbox;
mod timers;
mod transport;
mod viewer;

pub use arrivals::{Moment, WindowArrivals};

use helm::{Command, Helm};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;
use uproar_wire::RoomId;
use uproar_wire::hello::ROOMS_MAX;

/// Subscribers of one fleet at most: each has an address of 127.0.0.0/8.
pub const SUBSCRIBERS_MAX: usize = 16_000_000;
/// How long the thread may take to answer: it answers once a turn.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The fleet to start.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The appliance's QUIC port.
    pub server: SocketAddr,
    /// Name the server's certificate is asked for. Any certificate is believed.
    pub server_name: String,
    /// What each subscriber watches: 1 to [`ROOMS_MAX`] rooms, each once.
    pub rooms: Vec<RoomId>,
    /// How many there are, at most [`SUBSCRIBERS_MAX`].
    pub subscribers: usize,
    /// Subscribers on their way at a time, from first packet to palette.
    pub connecting_max: usize,
    /// The core that the thread stays on.
    pub core: Option<usize>,
    /// Whether handshakes resume earlier sessions.
    pub resume: bool,
    /// How long a silent server is believed to be there.
    pub idle_timeout: Duration,
    /// How often to speak when nothing is to be said. Frames are acknowledged, which is enough where there are any.
    pub keep_alive: Option<Duration>,
    /// Bytes that a room's stream may run ahead of its reader: how much a paused subscriber takes before it holds the
    /// server up.
    pub stream_window_bytes: u32,
}

impl FleetConfig {
    /// `subscribers` of `rooms`; 256 on their way at a time, no core, full handshakes, idle time-out 60 s, no keep-alive,
    /// windows of 64 KiB.
    pub fn new(server: SocketAddr, rooms: Vec<RoomId>, subscribers: usize) -> Self {
        Self {
            server,
            server_name: "localhost".to_owned(),
            rooms,
            subscribers,
            connecting_max: 256,
            core: None,
            resume: false,
            idle_timeout: Duration::from_secs(60),
            keep_alive: None,
            stream_window_bytes: 64 * 1024,
        }
    }

    /// Whether such a fleet can be.
    ///
    /// # Errors
    /// Says which value is out of range, and what the range is.
    pub fn check(&self) -> Result<(), String> {
        let rooms: BTreeSet<_> = self.rooms.iter().collect();
        if rooms.is_empty() || rooms.len() > ROOMS_MAX || rooms.len() != self.rooms.len() {
            return Err(format!("a fleet watches 1 to {ROOMS_MAX} rooms, each once"));
        }
        if !(1..=SUBSCRIBERS_MAX).contains(&self.subscribers) {
            return Err(format!("a fleet has 1 to {SUBSCRIBERS_MAX} subscribers, not {}", self.subscribers));
        }
        if self.connecting_max == 0 {
            return Err("nobody may connect: `connecting_max` is 0".to_owned());
        }
        Ok(())
    }
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

/// Sums of a fleet since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FleetTotals {
    /// Subscribers that are welcome and have their palettes, now.
    pub subscribers: u64,
    /// Frames that came, of all kinds.
    pub frames: u64,
    /// Frames of a window that the subscriber had, or that was older.
    pub duplicates: u64,
    /// Windows skipped between two frames of one subscriber and room.
    pub gaps: u64,
    /// The same, where the subscriber was paused meanwhile.
    pub gaps_while_paused: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Connections lost, by reason. Those of [`Fleet::churn`] and [`Fleet::vanish`] are not lost.
    pub lost: BTreeMap<String, u64>,
    /// Datagrams that the kernel dropped at the fleet's sockets, for which the server is not to blame.
    pub socket_drops: u64,
    /// Datagrams that the kernel refused to send.
    pub sends_refused: u64,
}

impl FleetTotals {
    /// Connections lost, for whatever reason.
    pub fn lost_connections(&self) -> u64 {
        self.lost.values().sum()
    }
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
        wanted: usize,
    },
    /// Connections are lost.
    #[error("{count} of {wanted} connections are lost: {reasons:?}")]
    Lost {
        /// How many.
        count: u64,
        /// Of how many.
        wanted: usize,
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
    wanted: usize,
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
        let wanted = config.subscribers;
        let thread = std::thread::Builder::new()
            .name("fleet".to_owned())
            // Sockets' buffers and the ring stay with the thread that made them.
            .spawn(move || Helm::take(&config, orders, &started))?;
        let records = has_started.recv().map_err(|_| io::Error::other("the thread of the fleet did not start"))??;
        Ok(Self { commands: Some(commands), records, thread: Some(thread), wanted })
    }

    /// Waits until nobody is on the way any more.
    ///
    /// # Errors
    /// [`FleetError::Timeout`], [`FleetError::Ended`], and [`FleetError::Lost`] when connections are lost, also earlier ones
    /// that did not connect again since.
    pub fn wait_subscribed(&self, timeout: Duration) -> Result<(), FleetError> {
        match self.ask_within(timeout, Command::AwaitSubscribed)? {
            Some(0) => Ok(()),
            Some(count) => {
                Err(FleetError::Lost { count: count as u64, wanted: self.wanted, reasons: self.totals()?.lost })
            }
            None => {
                let subscribed = self.totals()?.subscribers;
                Err(FleetError::Timeout { waited: timeout, subscribed, wanted: self.wanted })
            }
        }
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

    /// These close their connections and connect again, also those that have none; waits until they are subscribed.
    ///
    /// # Errors
    /// As [`Self::wait_subscribed`].
    pub fn churn(&self, subscribers: Range<usize>, timeout: Duration) -> Result<(), FleetError> {
        self.ask(|done| Command::Churn(subscribers, done))?;
        self.wait_subscribed(timeout)
    }

    /// These forget their connections and tell the server nothing.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn vanish(&self, subscribers: Range<usize>) -> Result<(), FleetError> {
        self.ask(|done| Command::Vanish(subscribers, done))
    }

    /// Tells the server that all leave, ends the thread and returns what has come.
    ///
    /// # Errors
    /// [`FleetError::Ended`].
    pub fn stop(mut self) -> Result<FleetTotals, FleetError> {
        let totals = self.totals()?;
        self.end().map(|()| totals)
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> Result<T, FleetError> {
        self.ask_within(ANSWER_MAX, command)?.ok_or_else(|| FleetError::Ended("it does not answer".to_owned()))
    }

    fn ask_within<T>(
        &self,
        timeout: Duration,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<Option<T>, FleetError> {
        let ended = || FleetError::Ended("its thread is gone".to_owned());
        let (answer, answered) = mpsc::sync_channel(1);
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        commands.send(command(answer)).map_err(|_| ended())?;
        match answered.recv_timeout(timeout) {
            Ok(answer) => Ok(Some(answer)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
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

impl Drop for Fleet {
    fn drop(&mut self) {
        // Whoever wants to know how it ended stops it.
        let _ = self.end();
    }
}
