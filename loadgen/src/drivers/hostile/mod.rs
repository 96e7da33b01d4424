//! Input that must be refused, from many source addresses: malformed datagrams and requests, and packets to the QUIC port
//! that begin no connection.
//!
//! | way | sent | the server counts it as |
//! |---|---|---|
//! | UDP | `datagrams` | `uproar_rejected_total{proto="udp",reason}`, one each, but for what a full socket drops |
//! | HTTP | `requests` | `uproar_rejected_total{proto="http",reason}`, one each, and answers as `requests` says |
//! | QUIC | `packets` | never `uproar_rejected_total{proto="quic"}`, which is for datagrams of connections; a first packet is in `uproar_connections_total` |
//!
//! Invariant: open loop, at the scenario's rates, in an order that follows from its seed. No kind is a tap.
//! [`HostileLedger`] says exactly what the server has to have counted. Deliberately not here: floods. What a port stands
//! is a question for benches.

mod datagrams;
mod ledger;
mod packets;
mod requests;

pub use ledger::HostileLedger;

use super::{SourceAddresses, later, now, until};
use crate::crowd::Part;
use crate::exchange::{Connection, ExchangeError, Tcp};
use crate::interrupt::Interrupt;
use crate::ledger::Transport;
use crate::scenario::{Hostile, Scenario};
use crate::stage::GIVE_UP;
use datagrams::Datagrams;
use packets::Packets;
use requests::{KINDS, Place};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uproar_wire::RoomId;

/// Sockets of one way in at most, however many addresses there are.
const SOCKETS_MAX: usize = 1024;
/// Connections that send requests at most.
const CONNECTIONS_MAX: usize = 16;
/// Datagrams between two chances for others, should their moments all be past.
const BURST: u64 = 64;

/// Where hostile input goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Targets {
    /// Reaction datagrams.
    pub reactions: SocketAddr,
    /// Public HTTP.
    pub http: SocketAddr,
    /// QUIC.
    pub quic: SocketAddr,
}

/// Why there is no hostile input.
#[derive(Debug, thiserror::Error)]
pub enum HostileError {
    /// A socket could not be opened.
    #[error("cannot open a socket for hostile input from {0}: {1}; see hostile.from")]
    Socket(SocketAddr, io::Error),
    /// First packets could not be made.
    #[error("cannot make first packets of QUIC: {0}")]
    Initials(String),
}

/// One machine's part of a scenario's hostile input, ready to be sent.
#[derive(Debug)]
pub struct Hostility {
    targets: Targets,
    /// A room that exists.
    room: RoomId,
    duration: Duration,
    datagrams: (Beat, Vec<UdpSocket>, Datagrams),
    packets: (Beat, Vec<UdpSocket>, Packets),
    requests: (Beat, Vec<Connection<Tcp>>),
    interrupt: Interrupt,
}

/// So many a second, evenly.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Beat {
    per_second: f64,
}

impl Beat {
    /// When number `number` is due, counted from the start.
    fn due(self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// How many are due within a duration.
    fn within(self, duration: Duration) -> u64 {
        (self.per_second * duration.as_secs_f64()).round() as u64
    }
}

impl Hostility {
    /// Opens sockets and makes first packets; `None` when the scenario has no hostile input.
    ///
    /// # Errors
    /// When an address is not to be had, or QUIC cannot be set up.
    pub fn prepare(scenario: &Scenario, part: Part, targets: Targets) -> Result<Option<Self>, HostileError> {
        let Some(hostile) = &scenario.hostile else { return Ok(None) };
        let beat = |per_second: f64| Beat { per_second: per_second / f64::from(part.of) };
        let duration = Duration::from_secs_f64(scenario.duration_s);
        let room = RoomId(scenario.rooms.first);
        let seed = scenario.seed ^ (u64::from(part.number) << 32);
        let packets = beat(hostile.quic_packets_per_second);
        let initials = packets.within(duration) as usize / packets::KINDS.len() + 1;
        let initials = packets::initials(targets.quic, initials, now().into_std()).map_err(HostileError::Initials)?;
        Ok(Some(Self {
            targets,
            room,
            duration,
            datagrams: (
                beat(hostile.datagrams_per_second),
                sockets(hostile, targets.reactions)?,
                Datagrams::new(seed, room),
            ),
            packets: (packets, sockets(hostile, targets.quic)?, Packets::new(seed, initials)),
            requests: (beat(hostile.requests_per_second), connections(hostile, targets.http)),
            interrupt: Interrupt::default(),
        }))
    }

    /// Sends nothing more once `interrupt` is raised.
    #[must_use]
    pub fn until(self, interrupt: &Interrupt) -> Self {
        Self { interrupt: interrupt.clone(), ..self }
    }

    /// Sends all of it from `start` on, and returns when the last answer has come. Ends early when dropped.
    ///
    /// # Panics
    /// When one of its tasks has.
    pub async fn play(self, start: Instant) -> HostileLedger {
        let (targets, room, duration, interrupt) = (self.targets, self.room, self.duration, self.interrupt);
        let pace = |beat: Beat| Pace { start, beat, count: beat.within(duration), interrupt: interrupt.clone() };
        let mut tasks = JoinSet::new();
        let (beat, sockets, datagrams) = self.datagrams;
        tasks.spawn(fire(pace(beat), targets.reactions, sockets, datagrams));
        let (beat, sockets, packets) = self.packets;
        tasks.spawn(fire(pace(beat), targets.quic, sockets, packets));
        let (beat, connections) = self.requests;
        let every = connections.len();
        for (first, connection) in connections.into_iter().enumerate() {
            tasks.spawn(ask(pace(beat), first as u64, every, connection, Asked { host: targets.http, room }));
        }
        tasks.join_all().await.into_iter().fold(HostileLedger::default(), |mut all, ledger| {
            all.add(ledger);
            all
        })
    }
}

fn sockets(hostile: &Hostile, server: SocketAddr) -> Result<Vec<UdpSocket>, HostileError> {
    let sources = SourceAddresses::hostile(&hostile.from, server);
    let open = |address| {
        let socket = UdpSocket::bind(address)?;
        // A full buffer is a failure to count, not a reason to stop everything else.
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    (0..sources.count().min(SOCKETS_MAX))
        .map(|number| sources.bind_address(number, server))
        .map(|address| open(address).map_err(|error| HostileError::Socket(address, error)))
        .collect()
}

fn connections(hostile: &Hostile, server: SocketAddr) -> Vec<Connection<Tcp>> {
    let sources = SourceAddresses::hostile(&hostile.from, server);
    let from = |number| sources.of(number).map(|ip| SocketAddr::new(ip, 0));
    (0..CONNECTIONS_MAX).map(|number| Connection::by(Tcp { server, from: from(number) })).collect()
}

/// When each of how many is due.
#[derive(Clone, Debug)]
struct Pace {
    start: Instant,
    beat: Beat,
    count: u64,
    interrupt: Interrupt,
}

impl Pace {
    /// Waits for the moment of a number; false when that is long over. None when nothing more is to be sent.
    async fn reach(&self, number: u64) -> Option<bool> {
        let moment = self.start + self.beat.due(number);
        tokio::select! {
            biased;
            () = self.interrupt.wait() => None,
            () = until(moment) => Some(now() <= later(moment, GIVE_UP)),
        }
    }
}

/// What is fired at a UDP port.
trait Ammunition: Send + 'static {
    /// Through which way in.
    const WAY: Transport;

    /// Puts the next one into `bytes`, and says what it is.
    fn load(&mut self, bytes: &mut Vec<u8>) -> &'static str;

    /// Writes down that one was sent.
    fn handle_sent(ledger: &mut HostileLedger, what: &'static str);
}

impl Ammunition for Datagrams {
    const WAY: Transport = Transport::Udp;

    fn load(&mut self, bytes: &mut Vec<u8>) -> &'static str {
        self.next(bytes)
    }

    fn handle_sent(ledger: &mut HostileLedger, reason: &'static str) {
        ledger.handle_reject(Self::WAY, reason);
    }
}

impl Ammunition for Packets {
    const WAY: Transport = Transport::Quic;

    fn load(&mut self, bytes: &mut Vec<u8>) -> &'static str {
        self.next(bytes)
    }

    fn handle_sent(ledger: &mut HostileLedger, kind: &'static str) {
        *ledger.packets.entry(kind).or_default() += 1;
    }
}

/// Answers to what is fired are not read; the kernel drops them when the sockets are full.
async fn fire<A: Ammunition>(pace: Pace, at: SocketAddr, from: Vec<UdpSocket>, mut what: A) -> HostileLedger {
    let (mut ledger, mut bytes) = (HostileLedger::default(), Vec::new());
    for (number, socket) in (0..pace.count).zip(from.iter().cycle()) {
        let Some(is_in_time) = pace.reach(number).await else { break };
        let label = what.load(&mut bytes);
        if !is_in_time {
            ledger.unsent += 1;
        } else if socket.send_to(&bytes, at).is_ok() {
            A::handle_sent(&mut ledger, label);
        } else {
            ledger.handle_failure(A::WAY);
        }
        if number % BURST == 0 {
            tokio::task::yield_now().await;
        }
    }
    ledger
}

/// Who is asked for what.
#[derive(Clone, Copy, Debug)]
struct Asked {
    host: SocketAddr,
    room: RoomId,
}

/// Sends every `every`-th request from `first` on over one connection, and checks the answers.
async fn ask(pace: Pace, first: u64, every: usize, mut connection: Connection<Tcp>, asked: Asked) -> HostileLedger {
    let mut ledger = HostileLedger::default();
    let host = asked.host.to_string();
    let place = Place { host: &host, room: asked.room, no_room: datagrams::NO_ROOM };
    for number in (first..pace.count).step_by(every) {
        let kind = &KINDS[number as usize % KINDS.len()];
        match pace.reach(number).await {
            Some(true) => {}
            Some(false) => {
                ledger.unsent += 1;
                continue;
            }
            None => break,
        }
        match connection.ask(&kind.request(&place)).await {
            Ok(answer) if kind.is_answered_by(answer.status, answer.body) => {
                ledger.handle_reject(Transport::Http, kind.reason);
                *ledger.statuses.entry(kind.status).or_default() += 1;
            }
            Ok(answer) => ledger.handle_unexpected(|| {
                let body = String::from_utf8_lossy(answer.body);
                format!("{} expected {}, got {} {body}", kind.code, kind.status, answer.status)
            }),
            Err(ExchangeError::Connect(_)) => ledger.handle_failure(Transport::Http),
            Err(error) => ledger.handle_unexpected(|| format!("{}: {error}", kind.code)),
        }
    }
    ledger
}
