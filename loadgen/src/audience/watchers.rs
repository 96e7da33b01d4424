//! The fleet during a match: one thread beside the fleet's own tells it what the scenario's acts are, and notes what each
//! window was like.
//!
//! Invariant: acts begin when they are planned, whatever came of those before. What is not back when the match is over is
//! said to be so.

use super::by_room;
use crate::audience::auditors::QuicTarget;
use crate::crowd::{Crowd, Part};
use crate::fleet::{self, Fleet, FleetConfig, FleetError, FleetMeasures, FleetTotals, Pause, WindowArrivals};
use crate::interrupt::Interrupt;
use crate::live::LiveCounters;
use crate::scenario::{ActKind, Subscribers};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use uproar_wire::RoomId;

/// How often the thread looks whether all are back; what return times are off by at most.
const LOOK: Duration = Duration::from_millis(20);
/// Windows that are kept for the report: a day of two seconds each.
const WINDOWS_MAX: usize = 43_200;

/// Why there are no watchers.
#[derive(Debug, thiserror::Error)]
pub enum WatcherError {
    /// The kernel does not give what they need.
    #[error("subscribers cannot start: {0}; many of them need many open files and much memory, see `ulimit -n`")]
    Start(#[from] io::Error),
    /// Not all arrived.
    #[error("subscribers: {0}")]
    Fleet(#[from] FleetError),
    /// The run was interrupted before all were there.
    #[error("interrupted")]
    Interrupted,
}

/// A seated fleet.
pub struct Watchers {
    fleet: Fleet,
    config: Subscribers,
    count: usize,
}

/// The same, during a match.
#[derive(Debug)]
pub struct Watching {
    end: Sender<()>,
    thread: JoinHandle<Result<Watched, FleetError>>,
}

/// What became of the watchers.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Sums; what counts frames does so from the match's start on.
    pub totals: FleetTotals,
    /// Frames that did not come to somebody who was there.
    pub missing: u64,
    /// The most that were subscribed at once.
    pub subscribers_max: u64,
    /// Latencies.
    pub measures: FleetMeasures,
    /// Windows, over all rooms.
    pub windows: Vec<WindowArrivals>,
    /// What they did.
    pub acts: Vec<ActDone>,
}

/// One act, done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActDone {
    /// What.
    pub kind: ActKind,
    /// When it was planned, in seconds after the start.
    pub at_s: f64,
    /// How many it was about.
    pub subscribers: usize,
    /// From the planned moment until all were back; nothing where nobody was to come back, or some did not.
    pub back_after: Option<Duration>,
}

impl Watchers {
    /// Seats this machine's part of a scenario's subscribers; `None` when it has none. Blocks until all who are to be present
    /// are subscribed; `progress` is told how many are. When `interrupt` is raised meanwhile, those there are leave.
    ///
    /// # Errors
    /// When the kernel refuses, or not all arrive, and [`WatcherError::Interrupted`].
    pub fn take_seats(
        crowd: &Crowd,
        part: Part,
        target: &QuicTarget,
        mut progress: impl FnMut(u64),
        interrupt: &Interrupt,
    ) -> Result<Option<Self>, WatcherError> {
        let config = &crowd.scenario().subscribers;
        let rooms: Vec<(RoomId, u32)> = by_room(crowd, part.share(config.count));
        let count: usize = rooms.iter().map(|(_, seats)| *seats as usize).sum();
        if count == 0 {
            return Ok(None);
        }
        let fleet = Fleet::start(FleetConfig {
            server_name: target.name.clone(),
            trust: target.trust.clone(),
            present: (count as f64 * config.present).round() as usize,
            connecting_max: config.connecting_max as usize,
            resume: config.resume,
            ..FleetConfig::one_each(target.address, rooms)
        })?;
        let start = Instant::now();
        let arrive_max = fleet::arrive_max(count);
        loop {
            let looked = fleet.wait_subscribed(LOOK);
            progress(fleet.totals()?.subscribers);
            match looked {
                _ if interrupt.is_raised() => {
                    return fleet.stop().map_err(Into::into).and(Err(WatcherError::Interrupted));
                }
                Err(FleetError::Timeout { .. }) if start.elapsed() < arrive_max => {}
                looked => break looked?,
            }
        }
        Ok(Some(Self { fleet, config: config.clone(), count }))
    }

    /// How many there are, present or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The match begins.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn play(self, start: Instant, counters: &Arc<LiveCounters>) -> io::Result<Watching> {
        let (end, ended) = mpsc::channel();
        let counters = Arc::clone(counters);
        let thread = std::thread::Builder::new().name("watchers".to_owned()).spawn(move || {
            let mut play = Play::new(self, start, counters)?;
            while matches!(ended.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
                play.turn(Instant::now())?;
            }
            play.finish()
        })?;
        Ok(Watching { end, thread })
    }
}

impl Watching {
    /// The match is over, and all its frames have come or never will. Blocks until the fleet has closed its connections.
    ///
    /// # Errors
    /// When the fleet ended before.
    pub fn finish(self) -> Result<Watched, FleetError> {
        // Should the thread have ended already, it says why.
        let _ = self.end.send(());
        self.thread.join().unwrap_or_else(|_| Err(FleetError::Ended("its thread panicked".to_owned())))
    }
}

/// What the thread keeps.
struct Play {
    fleet: Fleet,
    start: Instant,
    counters: Arc<LiveCounters>,
    /// What is to be done when, in order: acts, and the ends of pauses.
    agenda: VecDeque<(Duration, Step)>,
    windows: Vec<WindowArrivals>,
    acts: Vec<ActDone>,
    /// Places in `acts` of those whose people are on the way back, and how many had been lost before.
    returning: Vec<(usize, u64)>,
    /// Sums before the match.
    before: FleetTotals,
    /// Frames and missing frames that were shown.
    told: (u64, u64),
    subscribers_max: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Act(ActKind, Range<usize>),
    Resume(Range<usize>),
}

impl Play {
    fn new(watchers: Watchers, start: Instant, counters: Arc<LiveCounters>) -> Result<Self, FleetError> {
        let Watchers { fleet, config, count } = watchers;
        let (agenda, before) = (agenda(&config, count), fleet.totals()?);
        let (windows, acts, returning) = (Vec::new(), Vec::new(), Vec::new());
        let subscribers_max = before.subscribers;
        Ok(Self { fleet, start, counters, agenda, windows, acts, returning, before, told: (0, 0), subscribers_max })
    }

    fn turn(&mut self, now: Instant) -> Result<(), FleetError> {
        while let Some((at, _)) = self.agenda.front()
            && self.start + *at <= now
            && let Some((at, step)) = self.agenda.pop_front()
        {
            self.take(step, at)?;
        }
        self.take_windows();
        let totals = self.totals()?;
        self.subscribers_max = self.subscribers_max.max(totals.subscribers);
        let (frames, missing) = (totals.frames, self.missing(&totals));
        self.counters.add_frames(frames - self.told.0, missing.saturating_sub(self.told.1));
        self.told = (frames, self.told.1.max(missing));
        if !self.returning.is_empty() && self.fleet.is_settled()? {
            for (act, lost_before) in self.returning.drain(..) {
                let act = &mut self.acts[act];
                let planned = self.start + Duration::from_secs_f64(act.at_s);
                let is_everybody_back = totals.lost_connections() == lost_before;
                act.back_after = is_everybody_back.then(|| now.saturating_duration_since(planned));
            }
        }
        Ok(())
    }

    /// Sums, of frames since the match began.
    fn totals(&self) -> Result<FleetTotals, FleetError> {
        let mut totals = self.fleet.totals()?;
        totals.frames -= self.before.frames;
        totals.duplicates -= self.before.duplicates;
        totals.conflicting -= self.before.conflicting;
        totals.gaps -= self.before.gaps;
        Ok(totals)
    }

    /// Gaps are seen with the frame after them; so what is missing of the newest window is not among them yet.
    fn missing(&self, totals: &FleetTotals) -> u64 {
        totals.gaps + self.windows.last().map_or(0, |window| window.missing)
    }

    fn take(&mut self, step: Step, at: Duration) -> Result<(), FleetError> {
        let (kind, whom) = match step {
            Step::Resume(whom) => return self.fleet.resume_reading(whom),
            Step::Act(kind, whom) => (kind, whom),
        };
        let (at_s, lost_before) = (at.as_secs_f64(), self.fleet.totals()?.lost_connections());
        self.acts.push(ActDone { kind, at_s, subscribers: whom.len(), back_after: None });
        match kind {
            ActKind::Reconnect => self.fleet.churn_begin(whom)?,
            ActKind::Break => {
                self.fleet.vanish(whom.clone())?;
                self.fleet.join(whom)?;
            }
            ActKind::Join => self.fleet.join(whom)?,
            ActKind::Leave => return self.fleet.leave(whom),
            ActKind::PauseUnread => return self.fleet.pause(whom, Pause::Unread),
            ActKind::PauseDeaf => return self.fleet.pause(whom, Pause::Deaf),
        }
        self.returning.push((self.acts.len() - 1, lost_before));
        Ok(())
    }

    fn take_windows(&mut self) {
        while let Some(window) = self.fleet.next_window(Duration::ZERO) {
            let is_of_the_match = window.first_at.instant >= self.start;
            if is_of_the_match && self.windows.len() < WINDOWS_MAX {
                self.windows.push(window);
            }
        }
    }

    fn finish(mut self) -> Result<Watched, FleetError> {
        self.turn(Instant::now())?;
        let totals = self.totals()?;
        let missing = self.missing(&totals);
        let measures = self.fleet.measures()?;
        self.fleet.stop()?;
        let Self { windows, acts, subscribers_max, .. } = self;
        Ok(Watched { totals, missing, subscribers_max, measures, windows, acts })
    }
}

/// What `count` subscribers do when, in order.
fn agenda(config: &Subscribers, count: usize) -> VecDeque<(Duration, Step)> {
    let mut agenda = Vec::new();
    for act in &config.acts {
        let whom = 0..(count as f64 * act.share).round() as usize;
        agenda.push((Duration::from_secs_f64(act.at_s), Step::Act(act.kind, whom.clone())));
        if let Some(lasts_s) = act.lasts_s {
            agenda.push((Duration::from_secs_f64(act.at_s + lasts_s), Step::Resume(whom)));
        }
    }
    agenda.sort_by_key(|(at, _)| *at);
    agenda.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn acts_are_in_order_and_pauses_end() {
        let text = "[udp]\n[subscribers]\ncount = 10\nact = [\n\
            { at_s = 9, kind = 'reconnect', share = 1 },\n\
            { at_s = 2, kind = 'pause_deaf', share = 0.3, lasts_s = 4 },\n]";
        let agenda = agenda(&Scenario::parse(text).unwrap().subscribers, 10);
        let steps: Vec<(u64, Range<usize>, bool)> = agenda
            .into_iter()
            .map(|(at, step)| match step {
                Step::Act(_, whom) => (at.as_secs(), whom, false),
                Step::Resume(whom) => (at.as_secs(), whom, true),
            })
            .collect();
        assert_eq!(steps, [(2, 0..3, false), (6, 0..3, true), (9, 0..10, false)]);
    }
}
