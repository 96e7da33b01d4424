//! What the connections of one way in share: the plan, the clock, and one ledger.
//!
//! A `Lane` is one connection's view of it: its batches as they fall due, and its entries in the ledger.
//!
//! Invariant: every batch that was planned is entered once. The generator's lag is only what it is to blame for: it
//! counts from the plan, or from the moment at which the connection was free again, whichever is later. What the server
//! makes a batch wait for is in the latency, which always counts from the plan. So it is with what is given up: it is
//! unsent where the generator was late for that long, and refused where it waited for those before it.
//!
//! Deliberately not here: histograms of each connection, which ten thousand of them could not afford.

use super::{later, now};
use crate::crowd::{Batch, Tap};
use crate::ledger::{Ledger, Outcome, Transport, us_between};
use crate::live::SliceDone;
use crate::stage::{GIVE_UP, Stage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;

/// Batches that wait for one connection at most. They are due already: what does not fit is too late to be of use.
const LANE_BATCHES: usize = 4096;

/// A batch that is handed from the plan to a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Departure {
    /// The section whose people tap.
    pub(crate) section: u32,
    /// Place of its room in the scenario.
    pub(crate) room: usize,
    /// When, counted from the start.
    pub(crate) due: Duration,
    /// Chooses the connection.
    pub(crate) lot: u32,
    /// Who taps what; not empty.
    pub(crate) taps: Box<[Tap]>,
}

impl Departure {
    fn batch(&self) -> Batch<'_> {
        Batch { due: self.due, lot: self.lot, taps: &self.taps }
    }
}

/// What the connections of one way in share.
#[derive(Debug)]
pub struct Desk {
    stage: Stage,
    way: Transport,
    books: Mutex<Books>,
}

/// What is written down.
#[derive(Debug)]
struct Books {
    ledger: Ledger,
    /// What is to be shown of the slice under way.
    done: SliceDone,
}

impl Books {
    fn record(&mut self, departure: &Departure, at: Instant, outcome: Outcome) {
        let sent_before = self.ledger.sent;
        self.ledger.record(departure.room, &departure.batch(), at.into_std(), outcome);
        self.done.planned_taps += departure.batch().count();
        self.done.sent_taps += self.ledger.sent - sent_before;
    }
}

impl Desk {
    /// For a part's sections of one way in.
    pub fn new(stage: Stage, way: Transport) -> Arc<Self> {
        let books = Books { ledger: stage.ledger(), done: SliceDone::default() };
        Arc::new(Self { stage, way, books: Mutex::new(books) })
    }

    /// What all who send share.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The way in.
    pub fn way(&self) -> Transport {
        self.way
    }

    /// Takes the ledger, and leaves an empty one.
    pub fn take_ledger(&self) -> Ledger {
        self.show();
        std::mem::replace(&mut self.lock().ledger, self.stage.ledger())
    }

    /// Tells those who look on what was done since it was last told.
    pub(super) fn show(&self) {
        let done = std::mem::take(&mut self.lock().done);
        self.stage.counters.add_slice(&done);
    }

    /// Writes down that a batch has no connection to leave by.
    pub(super) fn handle_unsent(&self, departure: &Departure) {
        self.lock().record(departure, now(), Outcome::Unsent);
    }

    /// What became of a batch that is too late because those before it were not over.
    fn waited(&self) -> Outcome {
        let late = GIVE_UP.as_secs();
        let for_what = match self.way {
            Transport::Http => "replies to those before it",
            Transport::Udp | Transport::Quic => "the connection to take those before it",
        };
        Outcome::Refused(format!("{}: {late} s late, waiting for {for_what}", self.way.label()))
    }

    /// What became of a batch that finds too many others waiting for its connection.
    fn crowded_out(&self) -> Outcome {
        let way = self.way.label();
        Outcome::Refused(format!("{way}: {LANE_BATCHES} batches waiting for their connection already"))
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // Every entry is made whole or not at all.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the plan leaves what is for one connection.
#[derive(Debug)]
pub(super) struct Queue {
    desk: Arc<Desk>,
    due: mpsc::Sender<Departure>,
    is_busy: Arc<AtomicBool>,
}

impl Queue {
    /// Leaves a batch, or writes down that there is no room for it.
    pub(super) fn leave(&self, departure: Departure) {
        let (departure, outcome) = match self.due.try_send(departure) {
            Ok(()) => return,
            // The connection is busy with the server, or has not been looked after.
            Err(TrySendError::Full(departure)) if self.is_busy.load(Ordering::Relaxed) => {
                (departure, self.desk.crowded_out())
            }
            Err(error) => (error.into_inner(), Outcome::Unsent),
        };
        self.desk.lock().record(&departure, now(), outcome);
    }
}

/// One connection's batches and entries.
#[derive(Debug)]
pub(super) struct Lane {
    desk: Arc<Desk>,
    due: mpsc::Receiver<Departure>,
    /// When the connection had no more to do.
    free_at: Instant,
    /// Whether what is queued waits for a batch that the connection was given. Only a hint for who is to blame.
    is_busy: Arc<AtomicBool>,
}

impl Lane {
    /// A lane and its queue; it ends when the queue is dropped.
    pub(super) fn open(desk: &Arc<Desk>) -> (Queue, Self) {
        let (queue, due) = mpsc::channel(LANE_BATCHES);
        let is_busy = Arc::new(AtomicBool::new(false));
        // Should the match have begun before, the connection was not busy.
        let begun = Instant::from_std(desk.stage.shape.grid.start);
        let queue = Queue { desk: Arc::clone(desk), due: queue, is_busy: Arc::clone(&is_busy) };
        (queue, Self { desk: Arc::clone(desk), due, free_at: begun, is_busy })
    }

    /// The desk.
    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The next batch, once it is due; `None` when the match is over, or interrupted: what waits then is never sent, and is no
    /// part of the match. What is long over is given up.
    pub(super) async fn next(&mut self) -> Option<Departure> {
        loop {
            let departure = match self.due.try_recv() {
                Ok(departure) => departure,
                Err(_) => {
                    self.is_busy.store(false, Ordering::Relaxed);
                    self.due.recv().await?
                }
            };
            if self.desk.stage.interrupt.is_raised() {
                return None;
            }
            if now() <= self.too_late(&departure) {
                self.is_busy.store(true, Ordering::Relaxed);
                return Some(departure);
            }
            self.give_up(&departure);
        }
    }

    /// When a batch is long over.
    pub(super) fn too_late(&self, departure: &Departure) -> Instant {
        later(self.desk.stage.moment(departure.due), GIVE_UP)
    }

    /// Writes down that a batch was given up: for what it waited for, or for the generator that was late.
    fn give_up(&self, departure: &Departure) {
        let (due, ended) = (Instant::from_std(self.desk.stage.moment(departure.due)), now());
        let is_own = ended > due.max(self.free_at) + GIVE_UP;
        let mut books = self.desk.lock();
        books.record(departure, ended, if is_own { Outcome::Unsent } else { self.desk.waited() });
        if self.desk.way == Transport::Http {
            books.ledger.confirmed_us.record(departure.due, us_between(due.into_std(), ended.into_std()));
        }
    }

    /// Writes down what became of a batch that the connection was asked to send at `asked`, and that left at `left`, or
    /// would have. It is over now.
    pub(super) fn handle_outcome(&mut self, departure: &Departure, asked: Instant, left: Instant, outcome: Outcome) {
        let (stage, ended) = (&self.desk.stage, now());
        let due = Instant::from_std(stage.moment(departure.due));
        let could_leave = due.max(self.free_at);
        // A refusal has no latency, unless it took as long as giving up: a connection that cannot be made, for one.
        let was_awaited = !matches!(outcome, Outcome::Refused(_)) || ended > due + GIVE_UP;
        self.free_at = ended;
        let lag_us = us_between(could_leave.into_std(), asked.into_std());
        let first_time = match outcome {
            Outcome::Sent => departure.taps.iter().filter(|tap| stage.acted.mark(tap.person)).count(),
            _ => 0,
        };
        let mut books = self.desk.lock();
        books.record(departure, left, outcome);
        books.done.people_acted += first_time as u64;
        books.done.lag_us = books.done.lag_us.max(Some(lag_us));
        books.ledger.lag_us.record(departure.due, lag_us);
        if was_awaited && self.desk.way == Transport::Http {
            let confirmed_us = us_between(due.into_std(), ended.into_std());
            books.ledger.confirmed_us.record(departure.due, confirmed_us);
        }
    }
}
