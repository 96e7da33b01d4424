//! The fleet's thread. One turn, in this order:
//!
//! 1. commands; 2. connect whoever may; 3. arrivals of every socket, in bounded batches, each connection answering at once;
//! 4. timers; 5. what found no room before; 6. records of windows that are over; 7. sleep.
//!
//! After arrivals it naps without looking at sockets, so that a burst of frames is taken in batches and not one by one;
//! with nothing to do it sleeps in the ring until a socket, a deadline or [`DOZE`], at which it looks for commands.

use super::arrivals::{Arrivals, Moment, WindowArrivals};
use super::crew::{Course, Crew, Ledger};
use super::viewer::Wishes;
use super::{FleetConfig, FleetTotals, Pause, transport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;
use uproar::edge::sys::datagram_receiver::{DatagramReceiver, Detail};
use uproar::edge::sys::datagram_sender::DatagramSender;
use uproar::edge::sys::ring::{Completion, Ring};
use uproar_wire::hello::Hello;

/// Subscribers of one socket: their frames, all at once, fit its receive buffer.
const CREW: usize = 4096;
/// Datagrams taken in one system call.
const RECEIVE_BATCH: usize = 64;
/// How long a command may wait.
const DOZE: Duration = Duration::from_millis(5);
/// Sleep between batches; what lateness is off by at most.
const NAP: Duration = Duration::from_micros(200);
/// Connections closed before the server gets time to take note.
const CLOSE_BATCH: usize = 256;
/// With this bit a token is of a socket that was full.
const WRITABLE: u64 = 1 << 32;

/// What the face asks for. Each is answered when it is done.
pub(super) enum Command {
    /// How many are lost, once nobody is on the way.
    AwaitSubscribed(SyncSender<usize>),
    Totals(SyncSender<FleetTotals>),
    Cpu(SyncSender<Duration>),
    Pause(Range<usize>, Pause, SyncSender<()>),
    Resume(Range<usize>, SyncSender<()>),
    Churn(Range<usize>, SyncSender<()>),
    Vanish(Range<usize>, SyncSender<()>),
}

/// Everything that the thread owns.
pub(super) struct Helm {
    course: Course,
    crews: Vec<Crew>,
    ledger: Ledger,
    receiver: DatagramReceiver,
    /// Who is to connect next.
    waiting: VecDeque<usize>,
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
        let (arrivals, records) = Arrivals::new();
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
        let mut hello = Vec::new();
        Hello { rooms: config.rooms.clone(), token: Vec::new() }.encode(&mut hello);
        let course = Course {
            server: config.server,
            server_name: config.server_name.clone(),
            client: transport::client(config).map_err(io::Error::other)?,
            wishes: Wishes { rooms: config.rooms.clone().into(), hello: hello.into() },
        };
        let numbers = |first| first..config.subscribers.min(first + CREW);
        let crews = (0..config.subscribers).step_by(CREW).map(|first| Crew::new(config.server, numbers(first)));
        Ok(Self {
            course,
            crews: crews.collect::<io::Result<_>>()?,
            ledger: Ledger {
                arrivals,
                sender: DatagramSender::default(),
                arriving: 0,
                subscribed: 0,
                handshakes: 0,
                lost: BTreeMap::new(),
            },
            receiver: DatagramReceiver::new(RECEIVE_BATCH, Detail::BytesOnly)?,
            waiting: (0..config.subscribers).collect(),
            connecting_max: config.connecting_max,
            commands,
            awaiting: Vec::new(),
        })
    }

    /// One turn but for commands and sleep; true when something has come.
    fn turn(&mut self) -> io::Result<bool> {
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

    fn connect(&mut self) {
        let at = Moment::now();
        while self.ledger.arriving < self.connecting_max
            && let Some(number) = self.waiting.pop_front()
        {
            let (crew, member) = place(number);
            self.crews[crew].connect(at.instant, member, &self.course, &mut self.ledger);
        }
    }

    fn answer_awaiting(&mut self) {
        if self.awaiting.is_empty() || self.ledger.arriving > 0 || !self.waiting.is_empty() {
            return;
        }
        let lost = self.crews.iter().map(Crew::lost).sum();
        for asked in self.awaiting.drain(..) {
            // Whoever has asked may have given up.
            let _ = asked.send(lost);
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
            Command::Totals(asked) => _ = asked.send(self.totals()),
            Command::Cpu(asked) => _ = asked.send(thread_cpu()),
            Command::Pause(numbers, how, done) => {
                self.for_each(numbers, |crew, member, _, ledger| crew.pause(member, how, ledger));
                let _ = done.send(());
            }
            Command::Resume(numbers, done) => {
                self.for_each(numbers, |crew, member, course, ledger| crew.resume(at, member, course, ledger));
                let _ = done.send(());
            }
            Command::Churn(numbers, done) => {
                let numbers = self.for_each(numbers, |crew, member, _, ledger| {
                    crew.close(at.instant, member, ledger);
                    crew.forget_loss(member);
                });
                let already: BTreeSet<usize> = self.waiting.iter().copied().collect();
                self.waiting.extend(numbers.filter(|number| !already.contains(number)));
                let _ = done.send(());
            }
            Command::Vanish(numbers, done) => {
                let numbers = self.for_each(numbers, |crew, member, _, ledger| crew.vanish(member, ledger));
                self.waiting.retain(|number| !numbers.contains(number));
                let _ = done.send(());
            }
        }
    }

    /// Calls `act` for each of these that there are.
    fn for_each(
        &mut self,
        numbers: Range<usize>,
        mut act: impl FnMut(&mut Crew, usize, &Course, &mut Ledger),
    ) -> Range<usize> {
        let end = self.crews.last().map_or(0, |crew| crew.numbers().end);
        let numbers = numbers.start.min(end)..numbers.end.min(end);
        for number in numbers.clone() {
            let (crew, member) = place(number);
            act(&mut self.crews[crew], member, &self.course, &mut self.ledger);
        }
        numbers
    }

    fn totals(&self) -> FleetTotals {
        let Ledger { arrivals, subscribed, handshakes, lost, .. } = &self.ledger;
        FleetTotals {
            subscribers: *subscribed as u64,
            frames: arrivals.frames,
            duplicates: arrivals.duplicates,
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
        for (place, crew) in self.crews.iter_mut().enumerate() {
            if let Some(socket) = crew.poll_writable() {
                ring.poll_writable(socket, place as u64 | WRITABLE)?;
            }
            if !has_received && let Some(socket) = crew.poll_readable() {
                ring.poll_readable(socket, place as u64)?;
            }
        }
        let now = Moment::now().instant;
        let deadline = self.crews.iter().filter_map(Crew::poll_timeout).min();
        let until = deadline.map_or(DOZE, |deadline| deadline.saturating_duration_since(now));
        ring.wait(until.min(if has_received { NAP } else { DOZE }), completions)?;
        for completion in completions.drain(..) {
            let Some(crew) = self.crews.get_mut((completion.token & !WRITABLE) as usize) else { continue };
            match completion.token & WRITABLE {
                0 => crew.handle_readable(),
                _ => crew.handle_writable(),
            }
        }
        if has_received {
            self.crews.iter_mut().for_each(Crew::ask_again);
        }
        Ok(())
    }

    fn close_all(&mut self, ring: &mut Ring, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.waiting.clear();
        let end = self.crews.last().map_or(0, |crew| crew.numbers().end);
        for first in (0..end).step_by(CLOSE_BATCH) {
            let now = Moment::now().instant;
            self.for_each(first..first + CLOSE_BATCH, |crew, member, _, ledger| crew.close(now, member, ledger));
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

fn thread_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}
