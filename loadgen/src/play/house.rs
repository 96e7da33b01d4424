//! Everybody takes seats: rooms are made, auditors and watchers subscribe, connections open.
//!
//! Invariant: when the hall is prepared, each room has an auditor who has its palette, all palettes have the scenario's emoji,
//! and the length of a window is known.

use super::RunError;
use crate::audience::auditors::{Auditors, QuicTarget};
use crate::audience::by_room;
use crate::audience::watchers::Watchers;
use crate::audit::{Audit, Sitter};
use crate::crowd::{Crowd, Part};
use crate::drivers::hostile::{self, Hostility};
use crate::drivers::http::{self, Names};
use crate::drivers::quic::{self, QuicConnections};
use crate::exchange::{Connection, Tcp};
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
    /// Prepares everything for a part of the crowd.
    ///
    /// # Errors
    /// Whatever keeps somebody from taking a seat.
    pub async fn prepare(
        crowd: &Arc<Crowd>,
        targets: &Targets,
        part: Part,
        live: &mut Live,
        events: Option<mpsc::Sender<RoomEvent>>,
    ) -> Result<Self, RunError> {
        let scenario = crowd.scenario();
        let rooms = rooms(crowd);
        let audit = Audit::new(rooms[0], scenario.rooms.count);
        let step = live.begin("seating auditors", None);
        let auditors = Auditors::take_seats(&audit, &rooms, &targets.quic_target(), events).await?;
        let palettes = in_time("palette", audit.palettes()).await?;
        check(&rooms, &palettes, scenario.emoji)?;
        drop(step);
        let quic = open_quic(crowd, targets, part, &audit, live).await?;
        let http = open_http(crowd, targets, live).await?;
        let watchers = seat_watchers(crowd, targets, part, live).await?;
        let window = in_time("frame", audit.window()).await?;
        Ok(Self {
            names: Arc::new(names(&palettes)),
            audit,
            window,
            palettes,
            auditors,
            watcher_count: watchers.as_ref().map_or(0, Watchers::count),
            watchers,
            http_count: http.len(),
            http,
            quic,
            hostility: Hostility::prepare(scenario, part, targets.hostile_targets())?,
        })
    }

    /// How many connections also react over QUIC.
    pub(super) fn reacting(&self) -> usize {
        self.quic.as_ref().map_or(0, QuicConnections::count)
    }

    pub(super) fn stage(&self, crowd: &Arc<Crowd>, part: Part, shape: Shape) -> Stage {
        let acted = Arc::new(Acted::new(crowd.scenario().people));
        Stage { crowd: Arc::clone(crowd), part, shape, acted, counters: Arc::default() }
    }

    /// Everybody leaves.
    pub(super) async fn close(self) {
        if let Some(quic) = self.quic {
            quic.close().await;
        }
        self.auditors.close().await;
    }
}

/// Makes the rooms that are missing, if the scenario wants that.
pub(super) async fn make_rooms(crowd: &Crowd, targets: &Targets, live: &mut Live) -> Result<Made, RunError> {
    let scenario = crowd.scenario();
    let mut made = Made::none(targets.admin);
    if scenario.rooms.create {
        let rooms = rooms(crowd);
        let step = live.begin("making rooms", Some(rooms.len() as u64));
        if let Err(error) = made.make_missing(&rooms, scenario.emoji, || step.advance(1)).await {
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
    part: Part,
    audit: &Arc<Audit>,
    live: &mut Live,
) -> Result<Option<QuicConnections>, RunError> {
    let Some(config) = &crowd.scenario().quic else { return Ok(None) };
    let count = u64::from(config.connections);
    let step = live.begin(&format!("connecting {} who react over QUIC", grouped(count)), Some(count));
    let (rooms, target) = (by_room(crowd, config.connections), targets.quic_target());
    let opened = quic::open(config, part, &rooms, &target, || Sitter::new(audit), |_| step.advance(1));
    Ok(Some(opened.await?))
}

async fn seat_watchers(
    crowd: &Arc<Crowd>,
    targets: &Targets,
    part: Part,
    live: &mut Live,
) -> Result<Option<Watchers>, RunError> {
    let count = u64::from(part.share(crowd.scenario().subscribers.count));
    if count == 0 {
        return Ok(None);
    }
    let step = live.begin(&format!("seating {} subscribers", grouped(count)), Some(count));
    let (crowd, target) = (Arc::clone(crowd), targets.quic_target());
    let seated = tokio::task::spawn_blocking(move || {
        let mut told = 0;
        Watchers::take_seats(&crowd, part, &target, |there| {
            step.advance(there.saturating_sub(told));
            told = told.max(there);
        })
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

async fn in_time<T>(what: &'static str, word: impl Future<Output = T>) -> Result<T, RunError> {
    tokio::time::timeout(FIRST_WORD_MAX, word).await.map_err(|_| RunError::Silent(what))
}
