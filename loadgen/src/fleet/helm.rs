//! The fleet's thread. One turn, in this order:
//!
//! 1. commands, and some of the orders;
//! 2. connect some of those who may;
//! 3. arrivals of every socket, in bounded batches, each connection answering at once;
//! 4. timers, and what found no room before;
//! 5. records of windows that are over;
//! 6. sleep.
//!
//! After arrivals it naps without looking at sockets, so that a burst of frames is taken in batches and not one by one;
//! with nothing to do it sleeps in the ring until a socket, a deadline or [`DOZE`], at which it looks for commands. While
//! there is somebody to connect it does not sleep.

use super::arrivals::{Arrivals, Moment, WindowArrivals};
use super::crew::{Course, Crew};
use super::ledger::Ledger;
use super::orders::{Deed, Orders};
use super::seating::Chart;
use super::{FleetConfig, FleetMeasures, FleetTotals, Pause, transport};
use crate::cpu;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;
use uproar::edge::sys::datagram_receiver::{DatagramReceiver, Detail};
use uproar::edge::sys::ring::{Completion, Ring};

/// Subscribers of one socket: their frames, all at once, fit its receive buffer.
const CREW: usize = 4096;
/// Datagrams taken in one system call.
const RECEIVE_BATCH: usize = 64;
/// How long a command may wait.
const DOZE: Duration = Duration::from_millis(5);
/// Sleep between batches; what lateness is off by at most.
const NAP: Duration = Duration::from_micros(200);
/// Subscribers that do as they are told before the server gets time to take note.
const ORDER_BATCH: usize = 256;
/// Connections begun before those on their way are listened to again: what a handshake takes is not to be the time for
/// which its answer lay unread.
const CONNECT_BATCH: usize = 8;
/// With this bit a token is of a socket that was full.
const WRITABLE: u64 = 1 << 32;

/// What the face asks for. Each is answered when it is done; orders have no answer.
pub(super) enum Command {
    /// How many are lost, once nobody is on the way.
    AwaitSubscribed(SyncSender<usize>),
    /// Whether nobody is on the way.
    IsSettled(SyncSender<bool>),
    Totals(SyncSender<FleetTotals>),
    Measures(SyncSender<FleetMeasures>),
    Cpu(SyncSender<Duration>),
    Pause(Range<usize>, Pause, SyncSender<()>),
    Resume(Range<usize>, SyncSender<()>),
    Order(Deed, Range<usize>),
}

/// Everything that the thread owns.
pub(super) struct Helm {
    course: Course,
    crews: Vec<Crew>,
    ledger: Ledger,
    receiver: DatagramReceiver,
    orders: Orders,
    /// Who is to connect, those with the lowest numbers first.
    waiting: BTreeSet<usize>,
    connecting_max: usize,
    commands: Receiver<Command>,
    awaiting: Vec<SyncSender<usize>>,
}

impl Helm {
    /// Opens everything, reports that, and runs until no command can come any more; then closes all connections.
    pub(super) fn take(
        config: &FleetConfig,
        commands: Receiver<Command>,
        started: &SyncSender<io::Result<Receiver<WindowArrivals>>>,
    ) -> io::Result<()> {
        if let Some(id) = config.core {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        let (arrivals, records) = Arrivals::new(config.seating.rooms().count());
        let opened = Self::new(config, commands, arrivals).and_then(|helm| Ok((helm, Ring::new()?)));
        let (mut helm, mut ring) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Whoever waits for it tells.
                let _ = started.send(Err(error));
                return Ok(());
            }
        };
        let _ = started.send(Ok(records));
        let mut completions = Vec::new();
        while helm.handle_commands(Moment::now()) {
            let has_received = helm.turn()?;
            helm.sleep(has_received, &mut ring, &mut completions)?;
        }
        helm.close_all(&mut ring, &mut completions)
    }

    fn new(config: &FleetConfig, commands: Receiver<Command>, arrivals: Arrivals) -> io::Result<Self> {
        config.check().map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
        let course = Course {
            server: config.server,
            server_name: config.server_name.clone(),
            client: transport::client(config).map_err(io::Error::other)?,
            chart: Chart::new(&config.seating),
        };
        let numbers = |first| first..config.subscribers.min(first + CREW);
        let crews = (0..config.subscribers).step_by(CREW).map(|first| Crew::new(config.server, numbers(first)));
        Ok(Self {
            course,
            crews: crews.collect::<io::Result<_>>()?,
            ledger: Ledger::new(arrivals),
            receiver: DatagramReceiver::new(RECEIVE_BATCH, Detail::BytesOnly)?,
            orders: Orders::default(),
            waiting: (0..config.present).collect(),
            connecting_max: config.connecting_max,
            commands,
            awaiting: Vec::new(),
        })
    }

    /// One turn but for commands and sleep; true when something has come.
    fn turn(&mut self) -> io::Result<bool> {
        self.handle_orders();
        self.connect();
        let Self { course, crews, ledger, receiver, .. } = self;
        let mut has_received = false;
        for crew in crews.iter_mut() {
            has_received |= crew.receive(receiver, course, ledger)?;
        }
        let at = Moment::now();
        for crew in crews {
            crew.handle_timeout(at, course, ledger);
            crew.transmit_queued(at.instant, ledger);
        }
        ledger.arrivals.settle();
        self.answer_awaiting();
        Ok(has_received)
    }

    /// Lets the next few do as they are told.
    fn handle_orders(&mut self) {
        let Some((deed, numbers)) = self.orders.take(ORDER_BATCH) else { return };
        let now = Moment::now().instant;
        let Self { crews, ledger, waiting, .. } = self;
        for number in numbers {
            let (crew, member) = place(number);
            let crew = &mut crews[crew];
            match deed {
                Deed::Vanish => crew.vanish(member, ledger),
                Deed::Leave | Deed::Churn => crew.close(now, member, ledger),
                Deed::Join => {}
            }
            crew.forget_loss(member, ledger);
            match deed {
                Deed::Join if !crew.is_out(member) => {}
                Deed::Join | Deed::Churn => _ = waiting.insert(number),
                Deed::Leave | Deed::Vanish => _ = waiting.remove(&number),
            }
        }
    }

    fn connect(&mut self) {
        for _ in 0..CONNECT_BATCH {
            if !self.can_connect() {
                break;
            }
            let Some(number) = self.waiting.pop_first() else { break };
            let (crew, member) = place(number);
            self.crews[crew].connect(Moment::now().instant, member, &self.course, &mut self.ledger);
        }
    }

    /// Whether somebody may connect at once.
    fn can_connect(&self) -> bool {
        self.ledger.arriving < self.connecting_max && !self.waiting.is_empty()
    }

    /// Whether nobody is on the way, nor will be by what was ordered.
    fn is_settled(&self) -> bool {
        self.ledger.arriving == 0 && self.waiting.is_empty() && self.orders.is_empty()
    }

    fn answer_awaiting(&mut self) {
        if self.awaiting.is_empty() || !self.is_settled() {
            return;
        }
        for asked in self.awaiting.drain(..) {
            // Whoever has asked may have given up.
            let _ = asked.send(self.ledger.lost_now);
        }
    }

    /// Does what was asked for; false when nobody can ask any more.
    fn handle_commands(&mut self, at: Moment) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.handle_command(at, command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn handle_command(&mut self, at: Moment, command: Command) {
        // Whoever has asked may have given up.
        match command {
            Command::AwaitSubscribed(asked) => self.awaiting.push(asked),
            Command::IsSettled(asked) => _ = asked.send(self.is_settled()),
            Command::Measures(asked) => _ = asked.send(self.ledger.measures()),
            Command::Totals(asked) => _ = asked.send(self.totals()),
            Command::Cpu(asked) => _ = asked.send(cpu::of_thread()),
            Command::Pause(numbers, how, done) => {
                self.for_each(numbers, |crew, member, _, ledger| crew.pause(member, how, ledger));
                let _ = done.send(());
            }
            Command::Resume(numbers, done) => {
                self.for_each(numbers, |crew, member, course, ledger| crew.resume(at, member, course, ledger));
                let _ = done.send(());
            }
            Command::Order(deed, numbers) => {
                let numbers = self.known(numbers);
                self.orders.push(deed, numbers);
            }
        }
    }

    /// Those of these numbers that somebody has.
    fn known(&self, numbers: Range<usize>) -> Range<usize> {
        let end = self.crews.last().map_or(0, |crew| crew.numbers().end);
        numbers.start.min(end)..numbers.end.min(end)
    }

    /// Calls `act` for each of these that there are.
    fn for_each(&mut self, numbers: Range<usize>, mut act: impl FnMut(&mut Crew, usize, &Course, &mut Ledger)) {
        for number in self.known(numbers) {
            let (crew, member) = place(number);
            act(&mut self.crews[crew], member, &self.course, &mut self.ledger);
        }
    }

    fn totals(&self) -> FleetTotals {
        let Ledger { arrivals, arriving, subscribed, lost_now, handshakes, lost, .. } = &self.ledger;
        let on_the_way = arriving + self.waiting.len();
        FleetTotals {
            subscribers: *subscribed as u64,
            on_the_way: on_the_way as u64,
            wanted: (subscribed + on_the_way + lost_now) as u64,
            frames: arrivals.frames,
            duplicates: arrivals.duplicates,
            conflicting: arrivals.conflicting(),
            gaps: arrivals.gaps,
            gaps_while_paused: arrivals.gaps_while_paused,
            handshakes: *handshakes,
            lost: lost.clone(),
            socket_drops: self.crews.iter().map(Crew::drops).sum(),
            sends_refused: self.crews.iter().map(Crew::refused).sum(),
        }
    }

    fn sleep(&mut self, has_received: bool, ring: &mut Ring, completions: &mut Vec<Completion>) -> io::Result<()> {
        if self.crews.iter().any(Crew::is_ready) {
            return Ok(());
        }
        // Sockets are asked again after the nap, as the ring is not to look at them for so short a time.
        let is_short = has_received || self.can_connect() || !self.orders.is_empty();
        for (place, crew) in self.crews.iter_mut().enumerate() {
            if let Some(socket) = crew.poll_writable() {
                ring.poll_writable(socket, place as u64 | WRITABLE)?;
            }
            if !is_short && let Some(socket) = crew.poll_readable() {
                ring.poll_readable(socket, place as u64)?;
            }
        }
        let now = Moment::now().instant;
        let deadline = self.crews.iter().filter_map(Crew::poll_timeout).min();
        let until = deadline.map_or(DOZE, |deadline| deadline.saturating_duration_since(now));
        let longest = match is_short {
            _ if self.can_connect() => Duration::ZERO,
            true => NAP,
            false => DOZE,
        };
        ring.wait(until.min(longest), completions)?;
        for completion in completions.drain(..) {
            let Some(crew) = self.crews.get_mut((completion.token & !WRITABLE) as usize) else { continue };
            match completion.token & WRITABLE {
                0 => crew.handle_readable(),
                _ => crew.handle_writable(),
            }
        }
        if is_short {
            self.crews.iter_mut().for_each(Crew::ask_again);
        }
        Ok(())
    }

    fn close_all(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.waiting.clear();
        let end = self.known(0..usize::MAX).end;
        for first in (0..end).step_by(ORDER_BATCH) {
            let now = Moment::now().instant;
            self.for_each(first..first + ORDER_BATCH, |crew, member, _, ledger| crew.close(now, member, ledger));
            self.crews.iter_mut().for_each(|crew| crew.transmit_queued(now, &mut self.ledger));
            ring.wait(NAP, completions)?;
            completions.clear();
        }
        Ok(())
    }
}

/// Crew and place in it of a subscriber.
fn place(number: usize) -> (usize, usize) {
    (number / CREW, number % CREW)
}
