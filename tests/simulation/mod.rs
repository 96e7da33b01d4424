//! Four shards, the mesh between them, and an audience, in virtual time: everything of the appliance but the edge.
//!
//! A test says what happens ([`Simulation::tap`], [`Simulation::viewer`]), lets time pass ([`Simulation::run_for`]) and
//! looks at what arrived ([`Simulation::frames_of`]). Invariant: the same seed and the same calls give the same run. The
//! seed of a run that panics is printed.

mod event_loop;
mod going_away;
mod ledger;
mod network;
mod plain_frame;
mod random_match;
mod random_palettes;
mod streams;
mod subscriber;
mod ways_in;

pub(crate) use network::Impairment;
pub(crate) use plain_frame::{PlainFrame, RoomStream};
pub(crate) use random_match::{RandomMatch, assert_in_order};
pub(crate) use random_palettes::RandomPalettes;
pub(crate) use streams::Stream;
pub(crate) use subscriber::{Habits, Trace};
pub(crate) use ways_in::{RequestId, Way, datagram};

use ledger::Ledger;
use network::Network;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::Streaming;
use subscriber::Subscriber;
use uproar::ids::ShardId;
use uproar::metrics::{ProcessMetrics, ShardMetrics};
use uproar::quic::{HandshakeLimits, QuicConfig, QuicSettings, TransmitBatch};
use uproar::room::Room;
use uproar::shard::{KeptRoom, RoomChanges, Shard, ShardConfig, ShardSettings, WebConfig};
use uproar::tally::TapLimits;
use uproar::window::Now;
use uproar_wire::RoomId;
use uproar_wire::http::{EmojiSpec, RoomSpec};
use ways_in::Exchange;

pub(crate) const SHARDS: usize = 4;
/// The room that exists from the start, with [`PALETTE_LEN`] emoji.
pub(crate) const ROOM: u32 = 7;
pub(crate) const PALETTE_LEN: u16 = 6;
pub(crate) const WINDOW_MS: u64 = 2000;
pub(crate) const WINDOW: Duration = Duration::from_millis(WINDOW_MS);
/// Unix time at which every simulation begins: a little after a window has.
const START_UNIX_MS: u64 = 1_802_469_134_300;
/// Virtual time after which what a test waits for is taken not to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// One subscriber of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Viewer(usize);

pub(crate) struct Simulation {
    seed: u64,
    started: Instant,
    now: Instant,
    /// What the wall clock is ahead of the other one.
    wall_step_ms: i64,
    shards: Vec<Shard>,
    /// When a shard wants its next turn, its deadlines aside.
    due: Vec<Option<Instant>>,
    /// Whose loop has ended.
    ended: Vec<bool>,
    subscribers: Vec<Subscriber>,
    /// Subscribers that may have output.
    touched: BTreeSet<usize>,
    deadlines: BTreeSet<(Instant, usize)>,
    exchanges: Vec<Exchange>,
    streaming: BTreeMap<usize, Streaming>,
    batch: TransmitBatch,
    pub(crate) network: Network,
    pub(crate) ledger: Ledger,
    pub(crate) rng: StdRng,
}

/// A palette of emoji `e0`, `e1` and so on.
pub(crate) fn room_spec(palette_len: u16) -> RoomSpec {
    let palette = (0..palette_len).map(|id| EmojiSpec { name: format!("e{id}"), glyph: format!("glyph {id}") });
    RoomSpec { name: "final".into(), palette: palette.collect() }
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, |_| {})
    }

    /// The same with shards that are told something else.
    pub(crate) fn with(seed: u64, tell: impl Fn(&mut ShardConfig)) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        #[expect(clippy::disallowed_methods, reason = "the one reading; from here on time is added up")]
        let started = Instant::now();
        let now = Now { instant: started, unix_ms: START_UNIX_MS };
        let room = Arc::new(Room::new(RoomId(ROOM), room_spec(PALETTE_LEN)).unwrap());
        let shards = ShardId::all(SHARDS).map(|id| {
            let mut config = shard_config(id, &room, rng.random());
            tell(&mut config);
            Shard::new(config, now)
        });
        let shards = shards.collect();
        Self {
            seed,
            started,
            now: started,
            wall_step_ms: 0,
            shards,
            due: vec![None; SHARDS],
            ended: vec![false; SHARDS],
            subscribers: Vec::new(),
            touched: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            exchanges: Vec::new(),
            streaming: BTreeMap::new(),
            batch: TransmitBatch::new(256 * 1024),
            network: Network::new(StdRng::seed_from_u64(seed ^ 0x6e65_7477_6f72_6b21)),
            ledger: Ledger::default(),
            rng,
        }
    }

    /// Somebody starts to connect to `shard`, to watch [`ROOM`].
    pub(crate) fn viewer(&mut self, shard: usize) -> Viewer {
        self.viewer_with(shard, Habits { rooms: vec![ROOM], window_bytes: 1 << 16 })
    }

    /// The same, with other habits.
    pub(crate) fn viewer_with(&mut self, shard: usize, habits: Habits) -> Viewer {
        let number = self.subscribers.len();
        let mut first_id: [u8; 8] = self.rng.random();
        // The steering rule: the first byte of the id, modulo the shards.
        first_id[0] = first_id[0] / SHARDS as u8 * SHARDS as u8 + shard as u8;
        let subscriber = Subscriber::new(self.now, habits, first_id, self.rng.random());
        self.subscribers.push(subscriber);
        self.touched.insert(number);
        Viewer(number)
    }

    /// A viewer that has been welcomed and has its palette.
    pub(crate) fn watching(&mut self, shard: usize) -> Viewer {
        let viewer = self.viewer(shard);
        self.run_until_watching(viewer);
        viewer
    }

    pub(crate) fn run_until_watching(&mut self, viewer: Viewer) {
        self.run_until("the palette", |simulation| !simulation.stream_of(viewer).palettes.is_empty());
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.run(until, |_| false);
        self.now = until;
    }

    /// Lets time pass until the window that is open now has closed and its frames have arrived.
    pub(crate) fn run_through_window(&mut self) {
        self.run_until_window_closes();
        self.run_for(Duration::from_millis(300));
    }

    /// Lets time pass until the window that is open now closes.
    pub(crate) fn run_until_window_closes(&mut self) {
        let rest_ms = WINDOW_MS - self.now().unix_ms % WINDOW_MS;
        self.run_for(Duration::from_millis(rest_ms));
    }

    /// Lets time pass until `done`.
    pub(crate) fn run_until(&mut self, what: &str, done: impl FnMut(&Self) -> bool) {
        let until = self.now + PATIENCE;
        assert!(self.run(until, done), "{what} never comes");
    }

    /// The wall clock jumps; the other clock does not.
    pub(crate) fn step_wall_clock(&mut self, by_ms: i64) {
        self.wall_step_ms += by_ms;
    }

    /// Asks all shards to drain and runs until they have.
    pub(crate) fn drain(&mut self) {
        self.request_drain();
        self.run_until_drained();
    }

    /// The first signal comes.
    pub(crate) fn request_drain(&mut self) {
        self.shards[0].request_drain();
        self.due[0] = Some(self.now);
    }

    /// Shard 0 is told what has changed of the configured rooms, as when the configuration is read again.
    pub(crate) fn change_rooms(&mut self, gone: &[u32], put: &[(u32, u16)]) {
        let put: Vec<_> = put.iter().map(|&(room, len)| (room, room_spec(len))).collect();
        self.reload_rooms(gone, put);
    }

    /// The same with whole palettes.
    pub(crate) fn reload_rooms(&mut self, gone: &[u32], put: Vec<(u32, RoomSpec)>) {
        let put = put.into_iter().map(|(room, spec)| Arc::new(Room::new(RoomId(room), spec).unwrap()));
        let changes = RoomChanges { gone: gone.iter().copied().map(RoomId).collect(), put: put.collect() };
        self.shards[0].change_rooms(changes);
        self.due[0] = Some(self.now);
    }

    /// Runs until the rooms have changed; those that are as they were, and why.
    pub(crate) fn run_until_rooms_changed(&mut self) -> Vec<(u32, KeptRoom)> {
        let give_up_at = self.now + PATIENCE;
        loop {
            if let Some(changed) = self.shards[0].poll_rooms_changed() {
                return changed.kept.into_iter().map(|(room, why)| (room.0, why)).collect();
            }
            assert!(self.now < give_up_at, "the rooms never change");
            self.run_for(Duration::from_millis(1));
        }
    }

    /// Every shard takes in other settings.
    pub(crate) fn reconfigure(&mut self, tell: impl Fn(&mut ShardConfig)) {
        let room = Arc::new(Room::new(RoomId(ROOM), room_spec(PALETTE_LEN)).unwrap());
        for (shard, id) in ShardId::all(SHARDS).enumerate() {
            let mut config = shard_config(id, &room, [0; 32]);
            tell(&mut config);
            let now = self.now();
            self.shards[shard].reconfigure(now, &config.settings, &config.quic.settings);
            self.due[shard] = Some(self.now);
        }
    }

    /// Runs until all shards have drained.
    pub(crate) fn run_until_drained(&mut self) {
        self.run_until_ended();
        // What is still on its way to subscribers arrives.
        self.run_for(Duration::from_secs(1));
    }

    /// Runs until the loops of all shards have ended.
    pub(crate) fn run_until_ended(&mut self) {
        self.run_until("the end of the drain", |simulation| simulation.ended.iter().all(|&ended| ended));
    }

    /// The number of the window that is open by the wall clock.
    pub(crate) fn window(&self) -> u64 {
        self.now().unix_ms / WINDOW_MS
    }

    /// What the viewer's only room stream has carried.
    pub(crate) fn stream_of(&self, viewer: Viewer) -> RoomStream {
        RoomStream::read(self.subscribers[viewer.0].streams().next().unwrap_or_default())
    }

    /// The frames of the viewer's only room stream.
    pub(crate) fn frames_of(&self, viewer: Viewer) -> Vec<PlainFrame> {
        self.stream_of(viewer).frames
    }

    /// The numbers of their windows.
    pub(crate) fn windows_of(&self, viewer: Viewer) -> Vec<u64> {
        self.frames_of(viewer).iter().map(|frame| frame.window).collect()
    }

    /// When how much of which stream the viewer read.
    pub(crate) fn trace_of(&self, viewer: Viewer) -> Trace {
        self.subscribers[viewer.0].trace().clone()
    }

    pub(crate) fn is_over(&self, viewer: Viewer) -> bool {
        self.subscribers[viewer.0].is_over()
    }

    pub(crate) fn close_code_of(&self, viewer: Viewer) -> Option<u64> {
        self.subscribers[viewer.0].close_code()
    }

    /// The viewer stops reading its room streams, or goes on.
    pub(crate) fn set_reading(&mut self, Viewer(viewer): Viewer, reads: bool) {
        self.subscribers[viewer].reads = reads;
        self.touched.insert(viewer);
    }

    /// The viewer is gone without a word.
    pub(crate) fn vanish(&mut self, Viewer(viewer): Viewer) {
        self.subscribers[viewer].has_vanished = true;
        self.touched.insert(viewer);
    }

    /// The viewer asks to watch another room.
    pub(crate) fn ask_for(&mut self, Viewer(viewer): Viewer, room: u32) {
        self.subscribers[viewer].ask_for(room);
        self.touched.insert(viewer);
    }

    /// How much time has passed since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.started
    }

    /// The counters of all shards, added up.
    pub(crate) fn metrics(&mut self) -> ShardMetrics {
        let mut total = ShardMetrics::default();
        for shard in &mut self.shards {
            total.absorb(&shard.metrics());
        }
        total
    }

    /// The counters of one shard.
    pub(crate) fn metrics_of(&mut self, shard: usize) -> ShardMetrics {
        self.shards[shard].metrics()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this happens in Simulation::new({})", self.seed);
        }
    }
}

fn shard_config(id: ShardId, room: &Arc<Room>, rng_seed: [u8; 32]) -> ShardConfig {
    ShardConfig {
        id,
        shards: SHARDS,
        window_ms: WINDOW_MS,
        top_k: 64,
        settings: ShardSettings {
            subscribers_max: 10_000,
            rooms_per_subscriber_max: 64,
            streams_max: 1000,
            tap_limits: TapLimits::NONE,
            fanout_spread: Duration::ZERO,
            drain_duration: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            webtransport: None,
        },
        rooms: vec![room.clone()],
        admin_names: Vec::new(),
        web: WebConfig::default(),
        quic: QuicConfig {
            shard: id,
            shards: SHARDS,
            reset_key: [7; 64],
            token_key: [8; 64],
            clock: Arc::new(subscriber::StoppedClock),
            hello_timeout: Duration::from_secs(5),
            prefetch: |_, _| {},
            webtransport: None,
            settings: QuicSettings {
                tls: subscriber::server_tls(),
                max_connections: 10_000,
                connections_per_address_max: 0,
                idle_timeout: Duration::from_secs(30),
                handshakes: HandshakeLimits::default(),
            },
        },
        read_process: Arc::new(ProcessMetrics::default),
        rng_seed,
    }
}
