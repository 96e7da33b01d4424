//! What one thread does: it sleeps until the end of a step, sends what was due in it, plans a part of the next slice, and
//! so on until the match is over.
//!
//! Gathering a step's datagrams costs up to a step of lag, which the ledger shows like any other lag. It is what lets the
//! thread, and a server that would sleep otherwise, wake once for many datagrams.
//!
//! Invariant: each datagram has one outcome in the ledger; the kernel takes or refuses a train as one.
//! Its lag ends when the call that took it has returned.

use super::agenda::{Agenda, Departure, Itinerary, STEP_US, STEPS};
use super::post::Post;
use crate::crowd::{Batch, Planner, Slice};
use crate::interrupt::Interrupt;
use crate::ledger::{Ledger, Outcome, us_between};
use crate::live::SliceDone;
use crate::stage::{GIVE_UP, Stage};
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};
use uproar::edge::sys::datagram_sender::Sent;

/// How long datagrams are gathered at most, and so how late one may leave without anything being late.
pub const STEP: Duration = Duration::from_micros(STEP_US as u64);
/// How long a full socket is left alone.
const RETRY: Duration = Duration::from_micros(200);

/// Time, and waiting for it.
pub(super) trait Clock {
    /// The time.
    fn now(&mut self) -> Instant;
    /// Returns at `moment` or later; at once when it is over.
    fn sleep_until(&mut self, moment: Instant);
}

/// The machine's. Its sleep ends early when the match is interrupted.
pub(super) struct Monotonic(pub(super) Interrupt);

impl Clock for Monotonic {
    fn now(&mut self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&mut self, moment: Instant) {
        self.0.sleep_until(moment);
    }
}

/// Plays all slices of the match, or those before it is interrupted.
pub(super) fn play(stage: &Stage, itinerary: Itinerary, post: impl Post, clock: impl Clock) -> Ledger {
    let mut planning = Planning::new(stage, itinerary);
    let mut sending = Sending { stage, ledger: stage.ledger(), people_acted: 0, lag_us: None, post, clock };
    let mut slices = stage.crowd.slices();
    planning.begin(slices.next());
    while !stage.interrupt.is_raised() && planning.finish() {
        planning.begin(slices.next());
        let before = (sending.ledger.planned, sending.ledger.sent);
        for step in 0..STEPS {
            if planning.now.len(step) > 0 {
                sending.clock.sleep_until(stage.moment(planning.now.ends_at(step)));
                if stage.interrupt.is_raised() {
                    break;
                }
                sending.send(&planning.now, step, &planning.itinerary);
            }
            planning.advance(step);
        }
        sending.show(before);
    }
    sending.ledger
}

/// The slice that is sent, and the one after it, which is planned meanwhile.
struct Planning<'a> {
    stage: &'a Stage,
    itinerary: Itinerary,
    planner: Planner,
    now: Agenda,
    next: Agenda,
    /// Sections of the next slice that are not planned yet begin here.
    planned: usize,
    /// Whether there is a next slice.
    has_next: bool,
}

impl<'a> Planning<'a> {
    fn new(stage: &'a Stage, itinerary: Itinerary) -> Self {
        let planner = Planner::new(&stage.crowd);
        let [now, next] = [(); 2].map(|()| Agenda::new(&itinerary));
        Self { stage, itinerary, planner, now, next, planned: 0, has_next: false }
    }

    /// What was planned is the slice to send, and `slice` the one to plan.
    fn begin(&mut self, slice: Option<Slice>) {
        std::mem::swap(&mut self.now, &mut self.next);
        self.has_next = slice.is_some();
        self.planned = 0;
        if let Some(slice) = slice {
            self.planner.begin(slice);
            self.next.begin(slice);
        }
    }

    /// Plans the next slice's sections up to the part of them that steps take, so that no step has to wait for all.
    fn advance(&mut self, step: usize) {
        self.plan_until(self.itinerary.len() * (step + 1) / STEPS);
    }

    /// Plans what is left of the next slice; false when there is none.
    fn finish(&mut self) -> bool {
        self.plan_until(self.itinerary.len());
        self.has_next
    }

    fn plan_until(&mut self, section: usize) {
        if self.has_next && section > self.planned {
            let crowd = &self.stage.crowd;
            self.next.plan(self.planned..section, &self.itinerary, &self.planner, |room| crowd.room(room));
            self.planned = section;
        }
    }
}

/// Sends, and writes down what became of it.
struct Sending<'a, P, C> {
    stage: &'a Stage,
    ledger: Ledger,
    /// Of this slice, people who tapped for the first time.
    people_acted: u64,
    /// Of this slice, how late the latest was.
    lag_us: Option<u64>,
    post: P,
    clock: C,
}

impl<P: Post, C: Clock> Sending<'_, P, C> {
    /// Sends a step's datagrams, however long that takes; what is late for too long is given up.
    fn send(&mut self, agenda: &Agenda, step: usize, itinerary: &Itinerary) {
        let (mut at, mut bytes_at) = (0, 0);
        let mut now = self.clock.now();
        while at < agenda.len(step) {
            let run = agenda.run(step, at, bytes_at, itinerary);
            let is_over = now > self.stage.moment(agenda.batch(&run.departures[0]).due) + GIVE_UP;
            let sent =
                if is_over { None } else { Some(self.post.send(itinerary.socket(run.departures[0].section), run)) };
            now = self.clock.now();
            let done = match sent {
                Some(Sent::Some(count)) => {
                    run.departures[..count].iter().for_each(|it| self.record_sent(agenda, it, now, itinerary));
                    count
                }
                Some(Sent::Full | Sent::Congested) => {
                    self.clock.sleep_until(now + RETRY);
                    now = self.clock.now();
                    0
                }
                Some(Sent::Refused(errno)) => {
                    let train = self.post.first_train(run);
                    self.record_lost(agenda, &run.departures[..train], now, &refused(errno, train), itinerary)
                }
                None => self.record_lost(agenda, &run.departures[..1], now, &Outcome::Unsent, itinerary),
            };
            at += done;
            bytes_at += run.departures[..done].iter().map(Departure::len).sum::<usize>();
        }
    }

    /// Adds a slice to what is shown meanwhile; before it, so many taps were planned and sent.
    fn show(&mut self, (planned, sent): (u64, u64)) {
        self.stage.counters.add_slice(&SliceDone {
            planned_taps: self.ledger.planned - planned,
            sent_taps: self.ledger.sent - sent,
            people_acted: std::mem::take(&mut self.people_acted),
            lag_us: self.lag_us.take(),
        });
    }

    fn record_sent(&mut self, agenda: &Agenda, departure: &Departure, at: Instant, itinerary: &Itinerary) {
        let batch: Batch<'_> = agenda.batch(departure);
        let people = batch.taps.iter().map(|tap| tap.person);
        self.people_acted += self.stage.acted.mark_own(itinerary.people(departure.section), people);
        let lag_us = us_between(self.stage.moment(batch.due), at);
        self.lag_us = self.lag_us.max(Some(lag_us));
        self.ledger.lag_us.record(batch.due, lag_us);
        self.ledger.record(itinerary.room(departure.section), &batch, at, Outcome::Sent);
    }

    /// Datagrams that were not sent; how many.
    fn record_lost(
        &mut self,
        agenda: &Agenda,
        departures: &[Departure],
        at: Instant,
        outcome: &Outcome,
        itinerary: &Itinerary,
    ) -> usize {
        for departure in departures {
            self.ledger.record(itinerary.room(departure.section), &agenda.batch(departure), at, outcome.clone());
        }
        departures.len()
    }
}

/// Why the kernel refused a train of so many datagrams, or one.
fn refused(errno: i32, train: usize) -> Outcome {
    // A device that cannot compute checksums cannot send trains.
    let is_device = train > 1 && errno == Errno::IO.raw_os_error();
    let remedy = if is_device { "; this network device takes no trains: set udp.trains = false" } else { "" };
    Outcome::Refused(format!("udp send: {}{remedy}", io::Error::from_raw_os_error(errno)))
}
