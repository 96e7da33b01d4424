//! A run from start to end, step by step: seats, metrics, taps, and the wait until every tap was shown.
//!
//! Invariant: the audit is armed before the first tap, and ends when the frames show what was sent or when no frame can
//! show it any more.

use crate::audit::{Audited, RoomAudit};
use crate::drivers::http::{Connection, ExchangeError};
use crate::drivers::{Lane, Stage, http, quic, udp};
use crate::ledger::{Acted, Ledger, Transport, histogram, merge};
use crate::metrics_scrape::Scrape;
use crate::report::{Latencies, Quantiles, Real, Report, ServerReport, SubscriberReport, TransportReport};
use crate::scenario::Scenario;
use crate::schedule::Match;
use crate::subscribers::Entrance;
use futures_util::future::try_join_all;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use uproar_client::{RoomEvent, Trust};
use uproar_wire::frame::Palette;
use uproar_wire::{ClientId, RoomId};

/// From the last preparation to the first tap, so that all lanes are there.
const LEAD: Duration = Duration::from_millis(200);
/// Windows that frames are waited for after the last tap.
const WINDOWS_AFTER: u32 = 3;
/// And this much more, for the server's grace and the way here.
const GRACE: Duration = Duration::from_secs(1);
/// Length of a window assumed until a frame says so; the server's default.
const WINDOW_MS_ASSUMED: u32 = 2000;
/// How long a palette may take to come.
const PALETTE_MAX: Duration = Duration::from_secs(10);

/// Where the appliance is.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// Reaction datagrams.
    pub(crate) reactions: SocketAddr,
    /// Public HTTP.
    pub(crate) http: SocketAddr,
    /// Admin HTTP.
    pub(crate) admin: SocketAddr,
    /// QUIC.
    pub(crate) quic: SocketAddr,
    /// The name its certificate is for.
    pub(crate) server_name: String,
    /// Whom to believe.
    pub(crate) trust: Trust,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("no connection to {0}: {1}; is an appliance listening there? see --quic")]
    Connect(SocketAddr, uproar_client::Error),
    #[error("QUIC: {0}")]
    Quic(#[from] uproar_client::Error),
    #[error("HTTP: {0}")]
    Http(#[from] ExchangeError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("room {room} has {has} emoji and the scenario uses {uses}; lower `emoji` or give the room more")]
    PaletteTooSmall { room: RoomId, has: usize, uses: u16 },
    #[error("no palette of room {0} came within {max} s", max = PALETTE_MAX.as_secs())]
    NoPalette(RoomId),
    #[error("a lane ended early: {0}")]
    LaneLost(String),
}

/// Plays a scenario, prints the report, and writes it where asked; true when the run passed.
pub(crate) fn run(scenario: &Scenario, targets: &Targets, json: Option<&Path>) -> Result<bool, String> {
    let report =
        runtime().and_then(|runtime| runtime.block_on(play(scenario, targets, None))).map_err(|e| e.to_string())?;
    println!("{report}");
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("--json {}: {error}", path.display()))?;
    }
    Ok(report.passed)
}

/// A runtime on half the cores: the other half is the appliance's, where both are on one machine.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()?)
}

/// Plays a scenario. The first room's events also go to `live`.
pub(crate) async fn play(
    scenario: &Scenario,
    targets: &Targets,
    live: Option<mpsc::Sender<RoomEvent>>,
) -> Result<Report, RunError> {
    let house = House::open(scenario, targets, live).await?;
    let reacting = house.seat_reacting(scenario).await?;
    house.entrance.seat_all(scenario.subscribers.count, scenario.subscribers.arriving, &house.rooms).await?;
    let connections = connect_http(scenario, targets).await?;
    // Without metrics a run still counts; only a loss cannot be located.
    let before = Scrape::read(targets.admin).await.ok();
    house.rooms.iter().for_each(|(_, audit)| audit.arm());
    let stage = Stage {
        of: Match::new(scenario.clone()),
        start: Instant::now() + LEAD,
        acted: Arc::new(Acted::new(scenario.people)),
    };
    let ledgers = send_all(&stage, targets, connections, reacting, &house.palettes).await?;
    house.until_shown(&ledgers).await;
    let after = Scrape::read(targets.admin).await.ok();
    let server = before.zip(after).map(|(before, after)| ServerReport::between(&before, &after));
    let report = report(&stage, &house, &ledgers, server);
    house.entrance.close().await;
    Ok(report)
}

/// The rooms, who audits them, and where subscribers come in.
struct House {
    entrance: Entrance,
    rooms: Vec<(RoomId, Arc<RoomAudit>)>,
    palettes: Vec<Palette>,
}

impl House {
    /// Seats an auditor in every room, and checks that the rooms are as the scenario needs them.
    async fn open(
        scenario: &Scenario,
        targets: &Targets,
        mut live: Option<mpsc::Sender<RoomEvent>>,
    ) -> Result<Self, RunError> {
        let entrance = Entrance::open(targets, scenario.subscribers.endpoints)?;
        let (mut rooms, mut palettes) = (Vec::new(), Vec::new());
        for (place, &room) in scenario.rooms.iter().enumerate() {
            let (room, audit) = (RoomId(room), Arc::new(RoomAudit::new()));
            // The subscription keeps the connection open.
            drop(entrance.seat(place, ClientId(0), room, &audit, live.take()).await?);
            let palette = tokio::time::timeout(PALETTE_MAX, audit.palette()).await;
            let palette = palette.map_err(|_| RunError::NoPalette(room))?;
            if palette.emoji.len() < usize::from(scenario.emoji) {
                return Err(RunError::PaletteTooSmall { room, has: palette.emoji.len(), uses: scenario.emoji });
            }
            rooms.push((room, audit));
            palettes.push(palette);
        }
        Ok(Self { entrance, rooms, palettes })
    }

    /// Connects those who react over QUIC.
    async fn seat_reacting(&self, scenario: &Scenario) -> Result<Vec<uproar_client::Client>, RunError> {
        let count = scenario.quic.as_ref().map_or(0, |quic| quic.connections);
        let seats = (0..count).map(|number| {
            let (room, audit) = &self.rooms[number as usize % self.rooms.len()];
            self.entrance.seat(number as usize, Lane::client_id(Transport::Quic, number), *room, audit, None)
        });
        try_join_all(seats).await
    }

    /// Waits for the frames of everything sent, no longer than they can take.
    async fn until_shown(&self, ledgers: &[(Transport, Ledger)]) {
        let last_tap = tokio::time::Instant::now();
        let all = self.rooms.iter().enumerate().map(|(place, (_, audit))| async move {
            let expected = ledgers.iter().map(|(_, ledger)| ledger.sent_to(place)).sum();
            let window_ms = audit.window_ms().unwrap_or(WINDOW_MS_ASSUMED);
            let window = Duration::from_millis(window_ms.into());
            // Running into these deadlines is no error here: the sums say what is missing.
            let _ =
                tokio::time::timeout_at(last_tap + window * WINDOWS_AFTER + GRACE, audit.until_shown(expected)).await;
            let _ = tokio::time::timeout(window + GRACE, audit.until_everyone_has_the_newest()).await;
        });
        futures_util::future::join_all(all).await;
    }
}

/// Opens the HTTP connections, so that the first request does not pay for it.
async fn connect_http(scenario: &Scenario, targets: &Targets) -> Result<Vec<Connection>, RunError> {
    let mut connections = Vec::new();
    for _ in 0..scenario.http.as_ref().map_or(0, |http| http.connections) {
        let mut connection = Connection::new(targets.http);
        connection.open().await?;
        connections.push(connection);
    }
    Ok(connections)
}

/// Starts all lanes, and waits until they have ended.
async fn send_all(
    stage: &Stage,
    targets: &Targets,
    connections: Vec<Connection>,
    reacting: Vec<uproar_client::Client>,
    palettes: &[Palette],
) -> Result<Vec<(Transport, Ledger)>, RunError> {
    let scenario = stage.of.scenario();
    let mut threads: Vec<oneshot::Receiver<Ledger>> = Vec::new();
    // Dropping the set ends the tasks, should the run be interrupted.
    let mut tasks: JoinSet<(Transport, Ledger)> = JoinSet::new();
    if let Some(http) = &scenario.http {
        let names = |palette: &Palette| palette.emoji.iter().map(|emoji| emoji.name.clone()).collect();
        let names: Arc<Vec<Vec<String>>> = Arc::new(palettes.iter().map(names).collect());
        let per_lane = http.reactions_per_second / f64::from(http.connections);
        for (number, connection) in connections.into_iter().enumerate() {
            let lane = Lane::new(stage, Transport::Http, number as u32, per_lane, http.reactions_per_request);
            let names = Arc::clone(&names);
            tasks.spawn(async move { (Transport::Http, http::send_all(lane, connection, names).await) });
        }
    }
    if let Some(quic) = &scenario.quic {
        let per_lane = quic.reactions_per_second / f64::from(quic.connections);
        for (number, client) in reacting.into_iter().enumerate() {
            let lane = Lane::new(stage, Transport::Quic, number as u32, per_lane, quic.records_per_datagram);
            tasks.spawn(async move { (Transport::Quic, quic::send_all(lane, client).await) });
        }
    }
    if let Some(udp) = &scenario.udp {
        let per_lane = udp.reactions_per_second / f64::from(udp.sockets);
        for number in 0..udp.sockets {
            let lane = Lane::new(stage, Transport::Udp, number, per_lane, udp.records_per_datagram);
            threads.push(udp::start(lane, targets.reactions)?);
        }
    }
    let empty = || Ledger::new(scenario.rooms.len(), scenario.emoji);
    let mut ledgers: Vec<_> = Transport::ALL.into_iter().map(|transport| (transport, empty())).collect();
    while let Some(lane) = tasks.join_next().await {
        let (transport, ledger) = lane.map_err(|error| RunError::LaneLost(error.to_string()))?;
        ledgers[transport as usize].1.add(&ledger);
    }
    for thread in threads {
        let ledger = thread.await.map_err(|error| RunError::LaneLost(error.to_string()))?;
        ledgers[Transport::Udp as usize].1.add(&ledger);
    }
    Ok(ledgers)
}

fn report(stage: &Stage, house: &House, ledgers: &[(Transport, Ledger)], server: Option<ServerReport>) -> Report {
    let scenario = stage.of.scenario();
    let mut sent = Ledger::new(scenario.rooms.len(), scenario.emoji);
    ledgers.iter().for_each(|(_, ledger)| sent.add(ledger));
    let (mut all, mut tap_to_frame_us, mut emoji_disagree) = (Audited::default(), histogram(), false);
    // Room by room, so that one room's surplus does not hide another's loss.
    let mut lost = 0;
    for (place, (_, audit)) in house.rooms.iter().enumerate() {
        let audited = audit.audited();
        lost += sent.sent_to(place).saturating_sub(audited.taps);
        merge(&mut tap_to_frame_us, &audit.tap_to_frame_us(&sent.curve[place], stage.start));
        emoji_disagree |= audited.disagrees_with(&sent.by_emoji[place]) && sent.unconfirmed == 0;
        all.add(&audited);
    }
    let in_use = |transport: Transport| ledgers[transport as usize].1.planned > 0;
    let connections = |wanted: Option<u32>| wanted.unwrap_or(0);
    let report = Report {
        passed: false,
        findings: Vec::new(),
        seed: scenario.seed,
        seconds: scenario.duration_s,
        people: scenario.people,
        people_acted: stage.acted.count(),
        taps_planned: sent.planned,
        taps_sent: sent.sent,
        taps_unconfirmed: sent.unconfirmed,
        taps_framed: all.taps,
        taps_lost: lost,
        achieved_ratio: sent.sent as f64 / sent.planned.max(1) as f64,
        generator_lag_p99_us: sent.lag_us.value_at_quantile(0.99),
        real: Real {
            udp_sockets: connections(scenario.udp.as_ref().map(|udp| udp.sockets)),
            http_connections: connections(scenario.http.as_ref().map(|http| http.connections)),
            quic_connections: all.seats as u32,
        },
        transports: ledgers
            .iter()
            .filter(|(transport, _)| in_use(*transport))
            .map(|(transport, ledger)| TransportReport::new(*transport, ledger, server.as_ref()))
            .collect(),
        server,
        subscribers: SubscriberReport {
            count: all.seats,
            lost: all.seats_lost,
            frames_received: all.frames_received,
            frames_missing: all.frames_missing,
            duplicates: all.duplicates,
            conflicting: all.conflicting,
            windows: all.windows,
        },
        latency: Latencies {
            tap_to_frame: Quantiles::from(&tap_to_frame_us),
            http_confirmed: Quantiles::from(&sent.confirmed_us),
            window_close_to_frame: Quantiles::from(&all.close_to_frame_us),
            spread: Quantiles::from(&all.spread_us),
            generator_lag: Quantiles::from(&sent.lag_us),
        },
    };
    report.judge(&scenario.limits, &all, emoji_disagree)
}
