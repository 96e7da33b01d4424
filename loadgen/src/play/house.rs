//! Everybody takes seats: rooms are made, auditors and watchers subscribe, connections open.
//!
//! Invariant: when the hall is prepared, each room has an auditor who has its palette, all palettes have the scenario's emoji,
//! and the length of a window is known.

use super::{Options, RunError};
use crate::audience::auditors::{Auditors, QuicTarget};
use crate::audience::by_room;
use crate::audience::watchers::Watchers;
use crate::audit::{Audit, Sitter};
use crate::crowd::Crowd;
use crate::drivers::hostile::{self, Hostility};
use crate::drivers::http::{self, Names};
use crate::drivers::quic::{self, QuicConnections};
use crate::exchange::{Connection, Tcp};
use crate::interrupt::Interrupt;
use crate::ledger::{Acted, Shape};
use crate::live::Live;
use crate::rooms::Made;
use crate::stage::Stage;
use crate::table::grouped;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use uproar_client::{RoomEvent, Trust};
use uproar_wire::RoomId;
use uproar_wire::frame::Palette;

/// How long palettes and the first frame may take to come.
pub const FIRST_WORD_MAX: Duration = Duration::from_secs(30);

/// Where the appliance is.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Reaction datagrams.
    pub reactions: SocketAddr,
    /// Public HTTP.
    pub http: SocketAddr,
    /// Admin HTTP.
    pub admin: SocketAddr,
    /// QUIC.
    pub quic: SocketAddr,
    /// The name its certificate is for.
    pub server_name: String,
    /// Whom to believe.
    pub trust: Trust,
}

impl Targets {
    fn quic_target(&self) -> QuicTarget {
        QuicTarget { address: self.quic, name: self.server_name.clone(), trust: self.trust.clone() }
    }

    fn hostile_targets(&self) -> hostile::Targets {
        hostile::Targets { reactions: self.reactions, http: self.http, quic: self.quic }
    }
}

/// Everything that is there before a match.
pub struct Hall {
    /// What frames are checked with.
    pub audit: Arc<Audit>,
    /// Length of a window.
    pub window: Duration,
    /// Of each room.
    pub palettes: Vec<Palette>,
    pub(super) names: Arc<Names>,
    pub(super) auditors: Auditors,
    pub(super) watchers: Option<Watchers>,
    pub(super) watcher_count: usize,
    pub(super) http: Vec<Connection<Tcp>>,
    pub(super) http_count: usize,
    pub(super) quic: Option<QuicConnections>,
    pub(super) hostility: Option<Hostility>,
}

impl Hall {
    /// Prepares everything for a part of the crowd. Whoever has a seat leaves it in order when somebody gets none.
    ///
    /// # Errors
    /// Whatever keeps somebody from taking a seat, and [`RunError::Interrupted`].
    pub async fn prepare(
        crowd: &Arc<Crowd>,
        targets: &Targets,
        options: &Options,
        live: &mut Live,
        events: Option<mpsc::Sender<RoomEvent>>,
    ) -> Result<Self, RunError> {
        let interrupt = &options.interrupt;
        let (scenario, rooms) = (crowd.scenario(), rooms(crowd));
        let audit = Audit::new(rooms[0], scenario.rooms.count);
        let step = live.begin("seating auditors", None);
        let auditors = Auditors::take_seats(&audit, &rooms, &targets.quic_target(), events, interrupt).await?;
        drop(step);
        let mut hall = Self {
            names: Arc::default(),
            audit,
            window: Duration::ZERO,
            palettes: Vec::new(),
            auditors,
            watchers: None,
            watcher_count: 0,
            http: Vec::new(),
            http_count: 0,
            quic: None,
            hostility: None,
        };
        match hall.fill(crowd, targets, options, live).await {
            Ok(()) => Ok(hall),
            Err(error) => {
                hall.close().await;
                Err(error)
            }
        }
    }

    /// Everything but auditors, who are there.
    async fn fill(
        &mut self,
        crowd: &Arc<Crowd>,
        targets: &Targets,
        options: &Options,
        live: &mut Live,
    ) -> Result<(), RunError> {
        let (scenario, part, interrupt) = (crowd.scenario(), options.part, &options.interrupt);
        self.palettes = in_time("palette", self.audit.palettes(), interrupt).await?;
        check(&rooms(crowd), &self.palettes, scenario.emoji)?;
        self.names = Arc::new(names(&self.palettes));
        self.quic = open_quic(crowd, targets, options, &self.audit, live).await?;
        self.http = tokio::select! {
            opened = open_http(crowd, targets, live) => opened?,
            () = interrupt.wait() => return Err(RunError::Interrupted),
        };
        self.http_count = self.http.len();
        self.watchers = seat_watchers(crowd, targets, options, live).await?;
        self.watcher_count = self.watchers.as_ref().map_or(0, Watchers::count);
        self.window = in_time("frame", self.audit.window(), interrupt).await?;
        let hostility = Hostility::prepare(scenario, part, targets.hostile_targets())?;
        self.hostility = hostility.map(|hostility| hostility.until(interrupt));
        Ok(())
    }

    /// How many connections also react over QUIC.
    pub(super) fn reacting(&self) -> usize {
        self.quic.as_ref().map_or(0, QuicConnections::count)
    }

    pub(super) fn stage(crowd: &Arc<Crowd>, options: &Options, shape: Shape) -> Stage {
        let acted = Arc::new(Acted::new(crowd.scenario().people));
        let (crowd, interrupt) = (Arc::clone(crowd), options.interrupt.clone());
        Stage { crowd, part: options.part, shape, acted, counters: Arc::default(), interrupt }
    }

    /// Everybody leaves.
    pub(super) async fn close(self) {
        if let Some(quic) = self.quic {
            quic.close().await;
        }
        self.auditors.close().await;
        if let Some(watchers) = self.watchers {
            // They were not needed, and are not asked what they saw.
            let _ = tokio::task::spawn_blocking(move || drop(watchers)).await;
        }
    }
}

/// Makes the rooms that are missing, if the scenario wants that.
pub(super) async fn make_rooms(
    crowd: &Crowd,
    targets: &Targets,
    options: &Options,
    live: &mut Live,
) -> Result<Made, RunError> {
    let scenario = crowd.scenario();
    let mut made = Made::none(targets.admin);
    if scenario.rooms.create {
        let rooms = rooms(crowd);
        let step = live.begin("making rooms", Some(rooms.len() as u64));
        if let Err(error) = made.make_missing(&rooms, scenario.emoji, || step.advance(1), &options.interrupt).await {
            // The error that is told is the first one.
            let _ = made.delete().await;
            return Err(error.into());
        }
    }
    Ok(made)
}

fn rooms(crowd: &Crowd) -> Vec<RoomId> {
    (0..crowd.scenario().rooms.count as usize).map(|place| crowd.room(place)).collect()
}

async fn open_http(crowd: &Crowd, targets: &Targets, live: &mut Live) -> Result<Vec<Connection<Tcp>>, RunError> {
    let Some(http) = &crowd.scenario().http else { return Ok(Vec::new()) };
    let count = u64::from(http.connections);
    let step = live.begin(&format!("opening {} HTTP connections", grouped(count)), Some(count));
    Ok(http::open(http, targets.http, |_| step.advance(1)).await?)
}

async fn open_quic(
    crowd: &Arc<Crowd>,
    targets: &Targets,
    options: &Options,
    audit: &Arc<Audit>,
    live: &mut Live,
) -> Result<Option<QuicConnections>, RunError> {
    let Some(config) = &crowd.scenario().quic else { return Ok(None) };
    let count = u64::from(config.connections);
    let step = live.begin(&format!("connecting {} who react over QUIC", grouped(count)), Some(count));
    let (rooms, target) = (by_room(crowd, config.connections), targets.quic_target());
    let (listener, progress) = (|| Sitter::new(audit), |_| step.advance(1));
    let opened = quic::open(config, options.part, &rooms, &target, listener, progress, &options.interrupt);
    Ok(Some(opened.await?))
}

async fn seat_watchers(
    crowd: &Arc<Crowd>,
    targets: &Targets,
    options: &Options,
    live: &mut Live,
) -> Result<Option<Watchers>, RunError> {
    let (part, interrupt) = (options.part, options.interrupt.clone());
    let count = u64::from(part.share(crowd.scenario().subscribers.count));
    if count == 0 {
        return Ok(None);
    }
    let step = live.begin(&format!("seating {} subscribers", grouped(count)), Some(count));
    let (crowd, target) = (Arc::clone(crowd), targets.quic_target());
    let seated = tokio::task::spawn_blocking(move || {
        let mut told = 0;
        let progress = |there: u64| {
            step.advance(there.saturating_sub(told));
            told = told.max(there);
        };
        Watchers::take_seats(&crowd, part, &target, progress, &interrupt)
    });
    Ok(seated.await.map_err(|error| RunError::Ended(error.to_string()))??)
}

fn check(rooms: &[RoomId], palettes: &[Palette], uses: u16) -> Result<(), RunError> {
    let has = palettes.iter().map(usable_emoji);
    let small = rooms.iter().zip(has).find(|&(_, has)| has < usize::from(uses));
    small.map_or(Ok(()), |(room, has)| Err(RunError::PaletteTooSmall { room: *room, has, uses }))
}

/// Emoji from id 0 that can be tapped, up to the first that is retired.
pub(crate) fn usable_emoji(palette: &Palette) -> usize {
    palette.emoji.iter().take_while(|emoji| !emoji.is_retired()).count()
}

fn names(palettes: &[Palette]) -> Names {
    Names::new(palettes.iter().map(|palette| palette.emoji.iter().map(|emoji| emoji.name.as_str())))
}

async fn in_time<T>(what: &'static str, word: impl Future<Output = T>, interrupt: &Interrupt) -> Result<T, RunError> {
    tokio::select! {
        word = tokio::time::timeout(FIRST_WORD_MAX, word) => word.map_err(|_| RunError::Silent(what)),
        () = interrupt.wait() => Err(RunError::Interrupted),
    }
}
