//! The configuration in force, and the way from reading it again to what shards take in.
//!
//! Reading may wait for files for as long as those take, so it happens on a thread of its own ([`begin`]).
//!
//! Invariant: whatever is wrong with the new configuration or certificate is found here, before any shard hears of it;
//! then nothing changes. Only a room can still be kept as it was, when the shards have no emoji ids left for it.

use super::{Event, ServeError, inputs};
use crate::config::{Config, ConfigSource};
use crate::edge::certificate::{Expiry, Validity};
use crate::edge::checks::{self, Gap};
use crate::edge::control::Reload;
use crate::edge::life;
use crate::edge::tls;
use crate::limits::ROOMS_MAX;
use crate::quic::{self, HandshakeLimits, QuicSettings, ServerCrypto, Tickets, TimeSource};
use crate::room::Room;
use crate::shard::{KeptRoom, RoomChanges, RoomsChanged, ShardSettings};
use crate::tally::TapLimits;
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use tracing::level_filters::LevelFilter;
use uproar_wire::RoomId;
use uproar_wire::http::WebTransportBody;

/// What certificates are put to use with; the same from the start to the end of the process.
#[derive(Clone)]
pub(super) struct TlsBase {
    pub(super) ticket_key: [u8; 32],
    pub(super) clock: Arc<dyn TimeSource>,
}

/// A certificate chain that is in use, or may be.
#[derive(Clone)]
pub(super) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    pub(super) tls: Arc<ServerCrypto>,
}

impl Certificate {
    /// What browsers are told about where WebTransport is, as JSON. A certificate that was made for development they take only
    /// by its hash.
    fn webtransport_body(&self, config: &Config, quic_port: u16) -> Option<Arc<[u8]>> {
        let is_for_development = config.quic.certificate.is_none();
        let body = WebTransportBody {
            url: config.web.webtransport_url.as_deref().map(Cow::Borrowed),
            port: quic_port,
            certificate_hashes: is_for_development.then(|| fingerprint(&self.chain).into()).into_iter().collect(),
        };
        let json = || serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("texts and a number are always JSON"));
        config.web.webtransport.then(|| json().into())
    }

    /// Until when it serves.
    pub(super) fn expiry(&self) -> Expiry {
        Expiry::of(&self.chain)
    }

    /// From when and until when all of it is valid.
    pub(super) fn validity(&self) -> Option<Validity> {
        Validity::of(&self.chain)
    }
}

impl TlsBase {
    /// What the configuration names, or one made for development.
    pub(super) fn certificate(&self, config: &Config) -> Result<Certificate, ServeError> {
        let identity = tls::identity(config)?;
        let tickets = Tickets::new(&self.ticket_key, self.clock.clone());
        let mut tls = quic::tls_config(identity.chain.clone(), identity.key, tickets)?;
        if config.web.webtransport {
            quic::speak_http3(&mut tls);
        }
        Ok(Certificate { chain: identity.chain, tls: quic::server_crypto(tls)? })
    }
}

/// What a running server goes by, since its start or the last reload.
pub(super) struct InForce {
    source: ConfigSource,
    config: Config,
    rooms: BTreeMap<RoomId, Arc<Room>>,
    certificate: Certificate,
    /// Read when somebody scrapes.
    expiry: Expiry,
    base: TlsBase,
    /// As bound.
    quic_port: u16,
}

/// A new configuration that can be used.
pub(super) struct Prepared {
    config: Config,
    reload: Arc<Reload>,
    rooms: BTreeMap<RoomId, Arc<Room>>,
    changes: RoomChanges,
    certificate: Certificate,
    /// What has changed, but for rooms.
    said: Vec<String>,
    waiting: Vec<&'static str>,
    /// What is warned of once it is in force.
    gaps: Vec<Gap>,
}

impl Prepared {
    /// What shards are told.
    pub(super) fn orders(&self) -> (Arc<Reload>, RoomChanges) {
        (self.reload.clone(), self.changes.clone())
    }
}

impl InForce {
    /// What the server was started with.
    pub(super) fn new(
        source: ConfigSource,
        config: Config,
        rooms: &[Arc<Room>],
        certificate: Certificate,
        expiry: Expiry,
        base: TlsBase,
        quic_port: u16,
    ) -> Self {
        Self { source, config, rooms: by_id(rooms.iter().cloned()), certificate, expiry, base, quic_port }
    }

    /// Reads everything again. May wait for files.
    fn prepare(&self) -> Result<Prepared, ServeError> {
        let loaded = self.source.load()?;
        let reloaded = self.config.reload(&loaded.config)?;
        let config = reloaded.config;
        let rooms = by_id(config.rooms()?.into_iter().map(Arc::new));
        // One made for development stays: whoever has pinned it would be lost.
        let certificate = match &config.quic.certificate {
            Some(_) => self.base.certificate(&config)?,
            None => self.certificate.clone(),
        };
        let gaps = inputs::gaps(&config, &loaded.doubts, &certificate);
        let gaps = checks::judge(Vec::new(), gaps, config.strict)?;
        let mut said: Vec<_> = reloaded.changes.iter().map(ToString::to_string).collect();
        if certificate.chain != self.certificate.chain {
            said.insert(0, format!("the certificate, now SHA-256 {}", fingerprint(&certificate.chain)));
        }
        let shard = shard_settings(&config, self.quic_port, &certificate);
        let quic = quic_settings(&config, &certificate);
        let reload = Arc::new(Reload { http: config.http.clone(), shard, quic });
        let changes = room_changes(&self.rooms, &rooms);
        Ok(Prepared { config, reload, rooms, changes, certificate, said, waiting: reloaded.waiting, gaps })
    }

    /// How much is logged.
    pub(super) fn log_level(&self) -> LevelFilter {
        self.config.log
    }

    /// Every shard has taken in what was prepared; says so, and what of it was not to be had. Returns what is in force now.
    pub(super) fn adopt(&self, mut prepared: Prepared, changed: &RoomsChanged) -> Self {
        let mut said = std::mem::take(&mut prepared.said);
        said.extend(rooms_said(&self.rooms, &prepared.changes, changed));
        for (room, kept) in &changed.kept {
            // So that the next reload finds the difference again.
            match self.rooms.get(room) {
                Some(before) => prepared.rooms.insert(*room, before.clone()),
                None => prepared.rooms.remove(room),
            };
            match kept {
                KeptRoom::PaletteFull(full) => tracing::warn!(
                    event = life::ROOM_KEPT,
                    remedy = "configure the new palette under a new room id, or restart the server",
                    "room {room} keeps its palette: with the new one {full}"
                ),
                KeptRoom::TooMany => tracing::warn!(
                    event = life::ROOM_KEPT,
                    remedy = "delete some, then reload again",
                    "room {room} is not added: a node holds at most {ROOMS_MAX} rooms"
                ),
            }
        }
        if !prepared.waiting.is_empty() {
            tracing::warn!(
                event = life::RESTART_NEEDED,
                remedy = "restart the server",
                "what has changed of {} is not in force",
                prepared.waiting.join(", ")
            );
        }
        prepared.gaps.iter().for_each(Gap::warn);
        match said.is_empty() {
            true if prepared.waiting.is_empty() => tracing::info!(event = life::RELOAD, "nothing has changed"),
            true => tracing::info!(event = life::RELOAD, "all that has changed waits for a restart"),
            false => tracing::info!(event = life::RELOAD, "{}", said.join("; ")),
        }
        let Prepared { config, rooms, certificate, .. } = prepared;
        let (source, expiry, base) = (self.source.clone(), self.expiry.clone(), self.base.clone());
        expiry.replace(&certificate.chain);
        Self { source, config, rooms, certificate, expiry, base, quic_port: self.quic_port }
    }
}

/// Has everything read again; `events` brings what came of it.
pub(super) fn begin(in_force: Arc<InForce>, events: &mpsc::Sender<Event>) {
    let to_main = events.clone();
    let read = move || {
        // One that panics has changed nothing, and the log has said so.
        let prepared = catch_unwind(AssertUnwindSafe(|| in_force.prepare()));
        let prepared = prepared.unwrap_or_else(|_| Err(failed(io::Error::other("it panicked"))));
        // When the main thread is gone, the process is ending anyway.
        let _ = to_main.send(Event::Read(prepared.map(Box::new)));
    };
    if let Err(error) = Builder::new().name("reload".into()).spawn(read) {
        let _ = events.send(Event::Read(Err(failed(error))));
    }
}

fn failed(source: io::Error) -> ServeError {
    ServeError::Kernel { what: "the thread that reads the configuration", source }
}

/// What may change of a shard, as the configuration has it.
pub(super) fn shard_settings(config: &Config, quic_port: u16, certificate: &Certificate) -> ShardSettings {
    ShardSettings {
        subscribers_max: config.quic.subscribers_max,
        rooms_per_subscriber_max: config.quic.rooms_per_subscriber_max,
        streams_max: config.http.streams_max.min(config.http.connections_max),
        tap_limits: TapLimits {
            per_record: config.limits.taps_per_record as u16,
            per_request: config.limits.taps_per_request as u32,
        },
        fanout_spread: config.fanout.spread,
        drain_duration: config.drain.duration,
        drain_timeout: config.drain.timeout,
        webtransport: certificate.webtransport_body(config, quic_port),
    }
}

/// Limits of QUIC, as the configuration has them.
pub(super) fn quic_settings(config: &Config, certificate: &Certificate) -> QuicSettings {
    QuicSettings {
        tls: certificate.tls.clone(),
        // Room beyond the subscribers, so that one too many is told why instead of being cut off.
        max_connections: config.quic.subscribers_max + config.quic.subscribers_max / 16 + 64,
        connections_per_address_max: config.quic.connections_per_address_max,
        idle_timeout: config.quic.idle_timeout,
        handshakes: HandshakeLimits {
            retry_above: config.quic.retry_above,
            max: config.quic.handshakes_max,
            per_second: config.quic.handshakes_per_second as u32,
        },
    }
}

fn by_id(rooms: impl Iterator<Item = Arc<Room>>) -> BTreeMap<RoomId, Arc<Room>> {
    rooms.map(|room| (room.id(), room)).collect()
}

/// Only what differs between the configurations: rooms that came or changed by the admin port stay as they are.
fn room_changes(before: &BTreeMap<RoomId, Arc<Room>>, after: &BTreeMap<RoomId, Arc<Room>>) -> RoomChanges {
    let gone = before.keys().filter(|room| !after.contains_key(room)).copied();
    // What a room is asked for says everything about it.
    let is_as_before = |room: &&Arc<Room>| before.get(&room.id()).is_some_and(|before| before.json() == room.json());
    let put = after.values().filter(|room| !is_as_before(room)).cloned();
    RoomChanges { gone: gone.collect(), put: put.collect() }
}

fn rooms_said(
    before: &BTreeMap<RoomId, Arc<Room>>,
    changes: &RoomChanges,
    changed: &RoomsChanged,
) -> impl Iterator<Item = String> {
    let is_kept = |room: RoomId| changed.kept.iter().any(|&(kept, _)| kept == room);
    let put = || changes.put.iter().map(|room| room.id()).filter(|&room| !is_kept(room));
    let replaced = put().filter(|room| before.contains_key(room)).count();
    let counts = [("added", put().count() - replaced), ("replaced", replaced), ("deleted", changes.gone.len())];
    let counts = counts.into_iter().filter(|&(_, rooms)| rooms > 0);
    counts.map(|(what, rooms)| format!("{rooms} {} {what}", if rooms == 1 { "room" } else { "rooms" }))
}

/// As `openssl x509 -fingerprint -sha256` has it, but for colons and capitals.
fn fingerprint(chain: &[CertificateDer<'_>]) -> String {
    let leaf = chain.first().map_or(&[][..], |leaf| leaf);
    digest::digest(&digest::SHA256, leaf).as_ref().iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a String takes whatever is written");
        text
    })
}
