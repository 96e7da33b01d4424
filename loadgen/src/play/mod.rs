//! A run from start to end: everybody takes seats, the match is played, its last frames are awaited, and what happened is
//! written down.
//!
//! 1. [`house`]: rooms, auditors, watchers and connections, before the match. [`start`]: when it begins.
//! 2. This file: the match itself. 3. [`account`]: the report. [`cost`]: what it took.
//!
//! Invariant: nothing is sent before everybody who is to receive it is there, and the run ends when the frames show what was
//! sent or when no frame can show it any more. A run that is interrupted sends nothing more and ends in the same way; what
//! was sent is accounted for.

pub mod account;
pub mod cost;
pub mod house;
pub mod start;

pub use house::{Hall, Targets};

use crate::audience::auditors::AuditorError;
use crate::audience::watchers::{Watched, WatcherError, Watching};
use crate::crowd::{Crowd, Part};
use crate::drivers::hostile::{HostileError, HostileLedger};
use crate::drivers::quic::QuicError;
use crate::drivers::udp::{Playing, UdpError};
use crate::drivers::{Desk, http, udp};
use crate::exchange::ExchangeError;
use crate::fleet::FleetError;
use crate::interrupt::Interrupt;
use crate::ledger::{Ledger, Transport};
use crate::live::{Live, Moment};
use crate::metrics_scrape::{Scrape, ScrapeError};
use crate::report::{Interrupted, Report};
use crate::rooms::RoomsError;
use crate::scenario::Scenario;
use crate::server_watch::{ServerSeries, ServerWatch};
use crate::stage::Stage;
use cost::Cost;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uproar_client::RoomEvent;
use uproar_wire::{RoomId, WindowSeq};

/// Windows that frames are waited for after the last tap.
const WINDOWS_AFTER: u32 = 3;
/// And this much more, for the server's grace, the way here, and machines that are busy: only what is lost is waited for as
/// long.
const GRACE: Duration = Duration::from_secs(5);

/// What to play, beside the scenario.
#[derive(Clone, Debug)]
pub struct Options {
    /// The part of the crowd that this machine plays.
    pub part: Part,
    /// When the match starts, as Unix time in milliseconds, so that several machines start together; as soon as everybody is
    /// there when it is not said.
    pub start_unix_ms: Option<u64>,
    /// Whether others may tap too, on pages of the server: their taps are told apart, and are no finding. The scenario must
    /// then leave the ways in that pages have, HTTP and WebTransport, to them.
    pub visitors: bool,
    /// What ends the match before its end.
    pub interrupt: Interrupt,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its text")]
pub enum RunError {
    #[error(transparent)]
    Auditor(AuditorError),
    #[error(transparent)]
    Watcher(WatcherError),
    #[error(transparent)]
    Rooms(RoomsError),
    #[error("HTTP: {0}; see --http")]
    Http(#[from] ExchangeError),
    #[error(transparent)]
    Quic(QuicError),
    #[error(transparent)]
    Udp(#[from] UdpError),
    #[error(transparent)]
    Hostile(#[from] HostileError),
    #[error("subscribers: {0}")]
    Fleet(#[from] FleetError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "room {room} has {has} emoji from id 0 that are not retired and the scenario uses {uses}; lower `emoji`, give the room \
         more, or use another room"
    )]
    PaletteTooSmall { room: RoomId, has: usize, uses: u16 },
    #[error("no {0} came within {max} s; is the server draining, or its window longer?", max = house::FIRST_WORD_MAX.as_secs())]
    Silent(&'static str),
    #[error("the start, {late_ms} ms ago, is over; everybody needs time to take seats, so choose a later --start-at")]
    TooLate { late_ms: u64 },
    #[error("the part's threads ended early: {0}")]
    Ended(String),
    #[error("the start, in {hours} hours, is more than a day ahead; --start-at is Unix time in seconds")]
    TooEarly { hours: u64 },
    #[error("interrupted before anything was sent; there is no report")]
    Interrupted,
}

/// A runtime on half the cores: the other half is the appliance's, where both are on one machine.
///
/// # Errors
/// When the kernel gives no threads.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()
}

/// Plays a scenario, and shows how it goes on `live`. The first room's events also go to `events`.
///
/// # Errors
/// When not everybody takes a seat. What goes wrong later is in the report.
pub async fn play(
    scenario: Scenario,
    targets: &Targets,
    options: &Options,
    live: &mut Live,
    events: Option<mpsc::Sender<RoomEvent>>,
) -> Result<Report, RunError> {
    let crowd = Crowd::new(scenario);
    let made = house::make_rooms(&crowd, targets, options, live).await?;
    let played = play_in_rooms(&crowd, targets, options, live, events).await;
    // Other parts may still be in them.
    let is_whole = options.part == Part::WHOLE;
    if is_whole && let Err(error) = made.delete().await {
        live.say(&format!("rooms that were made stay: {error}"));
    }
    played
}

/// Everything that happened, for the account.
pub(crate) struct Played {
    pub(crate) stage: Stage,
    pub(crate) ledgers: Vec<(Transport, Ledger)>,
    pub(crate) hostile: Option<HostileLedger>,
    pub(crate) watched: Option<Watched>,
    /// Why the watchers ended before the match did.
    pub(crate) watchers_lost: Option<String>,
    pub(crate) before: Result<Scrape, ScrapeError>,
    pub(crate) after: Result<Scrape, ScrapeError>,
    pub(crate) series: Option<ServerSeries>,
    pub(crate) cost: Cost,
    pub(crate) udp_sockets: usize,
    /// Whether others may tap too.
    pub(crate) visitors: bool,
    pub(crate) interrupted: Option<Interrupted>,
}

async fn play_in_rooms(
    crowd: &Arc<Crowd>,
    targets: &Targets,
    options: &Options,
    live: &mut Live,
    events: Option<mpsc::Sender<RoomEvent>>,
) -> Result<Report, RunError> {
    let mut hall = Hall::prepare(crowd, targets, options, live, events).await?;
    let played = play_in_hall(crowd, &mut hall, targets, options, live).await;
    hall.close().await;
    played
}

async fn play_in_hall(
    crowd: &Arc<Crowd>,
    hall: &mut Hall,
    targets: &Targets,
    options: &Options,
    live: &mut Live,
) -> Result<Report, RunError> {
    // Without metrics a run still counts; only a loss cannot be located.
    let before = Scrape::read(targets.admin).await;
    let shape = start::shape(crowd, options.start_unix_ms, hall.window)?;
    hall.audit.begin(shape.grid.first_window());
    let stage = Hall::stage(crowd, options, shape);
    let watch = ServerWatch::start(targets.admin, shape.grid.start);
    let udp = udp::start(&stage, targets.reactions)?;
    let udp_sockets = udp.sockets();
    let watching = match hall.watchers.take() {
        Some(watchers) => Some(watchers.play(shape.grid.start, &stage.counters)?),
        None => None,
    };
    let cost = Cost::begin();
    let mut sending = Box::pin(send(&stage, hall, targets, udp));
    let mut shown = tokio::time::interval(live.period());
    let mut interrupted = None;
    let (ledgers, hostile) = loop {
        tokio::select! {
            sent = &mut sending => break sent?,
            () = stage.interrupt.wait(), if interrupted.is_none() => {
                interrupted = interruption(&stage);
                live.say("interrupted: nothing more is sent; once what was sent is accounted for, the report follows");
            }
            _ = shown.tick() => live.show(stage.counters.picture(picture_of(&stage, &watch))),
        }
    };
    drop(sending);
    if interrupted.is_some() && ledgers.iter().all(|(_, ledger)| ledger.planned == 0) {
        return Err(RunError::Interrupted);
    }
    let cost = cost.end();
    let is_alone = stage.part == Part::WHOLE && !options.visitors;
    let waiting = live.begin("waiting for the last frames", None);
    let mut settling = Box::pin(until_shown(&stage, hall, &ledgers, is_alone));
    tokio::select! {
        () = &mut settling => {}
        () = stage.interrupt.wait(), if interrupted.is_none() => {
            live.say("everything is sent, and the report follows soon; a second signal ends the run without one");
            settling.as_mut().await;
        }
    }
    drop((settling, waiting));
    let after = Scrape::read(targets.admin).await;
    let series = watch.finish().await;
    let series = (before.is_ok() || after.is_ok()).then_some(series);
    let (watched, watchers_lost) = match finish_watching(watching).await {
        Ok(watched) => (watched, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let visitors = options.visitors;
    let played = Played {
        stage,
        ledgers,
        hostile,
        watched,
        watchers_lost,
        before,
        after,
        series,
        cost,
        udp_sockets,
        visitors,
        interrupted,
    };
    Ok(account::report(&played, hall, targets))
}

/// What interrupted the match, and when; nothing when nothing has.
fn interruption(stage: &Stage) -> Option<Interrupted> {
    let after = Instant::now().saturating_duration_since(stage.shape.grid.start);
    stage.interrupt.by().map(|by| Interrupted { by: by.to_owned(), after_s: after.as_secs_f64() })
}

/// Being interrupted is one thing, whoever hears of it first.
macro_rules! interrupted_or {
    ($($source:ident => $variant:ident),*) => {$(
        impl From<$source> for RunError {
            fn from(error: $source) -> Self {
                match error {
                    $source::Interrupted => Self::Interrupted,
                    error => Self::$variant(error),
                }
            }
        }
    )*};
}

interrupted_or!(AuditorError => Auditor, WatcherError => Watcher, RoomsError => Rooms, QuicError => Quic);

fn picture_of(stage: &Stage, watch: &ServerWatch) -> Moment {
    let at = Instant::now().saturating_duration_since(stage.shape.grid.start);
    let moment = stage.crowd.timeline().moment(at.as_secs_f64());
    Moment {
        at,
        duration: Duration::from_secs_f64(stage.crowd.scenario().duration_s),
        phase: moment.map_or_else(String::new, |moment| moment.name.clone()),
        people: stage.crowd.people_of(stage.part),
        server: Some(watch.now()),
    }
}

/// Plays all ways in at once, and intruders beside them.
async fn send(
    stage: &Stage,
    hall: &mut Hall,
    targets: &Targets,
    udp: Playing,
) -> Result<(Vec<(Transport, Ledger)>, Option<HostileLedger>), RunError> {
    let by_udp = async {
        let ended = tokio::task::spawn_blocking(move || udp.end()).await;
        ended.map_err(|error| RunError::Ended(error.to_string()))
    };
    let by_http = async {
        let desk = Desk::new(stage.clone(), Transport::Http);
        http::play(&desk, std::mem::take(&mut hall.http), &targets.http.to_string(), &hall.names).await
    };
    let by_quic = async {
        let desk = Desk::new(stage.clone(), Transport::Quic);
        match &hall.quic {
            Some(quic) => quic.play(&desk).await.ledger,
            None => desk.take_ledger(),
        }
    };
    let intruders = async {
        match hall.hostility.take() {
            Some(hostility) => Some(hostility.play(stage.shape.grid.start).await),
            None => None,
        }
    };
    let (udp, http, quic, hostile) = tokio::join!(by_udp, by_http, by_quic, intruders);
    let ledgers = vec![(Transport::Udp, udp?), (Transport::Http, http), (Transport::Quic, quic)];
    Ok((ledgers, hostile))
}

/// Waits for the frames of everything sent, no longer than they can take.
async fn until_shown(stage: &Stage, hall: &Hall, ledgers: &[(Transport, Ledger)], is_alone: bool) {
    let (grid, last) = (stage.shape.grid, tokio::time::Instant::now());
    let last_window = WindowSeq(grid.first_window().0 + grid.place(last.into_std()).0 as u64);
    let deadline = last + hall.window * WINDOWS_AFTER + GRACE;
    let rooms = (0..stage.shape.rooms).map(|place| async move {
        let expected = ledgers.iter().map(|(_, ledger)| ledger.sent_to(place)).sum();
        let audit = &hall.audit;
        // Running into these deadlines is no error here: the sums say what is missing.
        let _ = tokio::time::timeout_at(deadline, audit.until_shown(place, grid.first_window(), expected)).await;
        // Others' taps and those of unknown fate are in the frames too, so that sums alone do not say that all is there.
        let window = WindowSeq(last_window.0 + if is_alone { 0 } else { 2 });
        let _ = tokio::time::timeout_at(deadline, audit.until_window(place, window)).await;
        let _ = tokio::time::timeout(hall.window + GRACE, audit.until_everyone_has_the_newest(place)).await;
    });
    futures_util::future::join_all(rooms).await;
}

async fn finish_watching(watching: Option<Watching>) -> Result<Option<Watched>, RunError> {
    let Some(watching) = watching else { return Ok(None) };
    let finished = tokio::task::spawn_blocking(move || watching.finish()).await;
    Ok(Some(finished.map_err(|error| RunError::Ended(error.to_string()))??))
}
