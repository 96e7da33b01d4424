//! A match that never happened, for tests: everything in its reports follows from a few thousand made-up taps.
//!
//! Invariant: reports of all parts together have exactly what the report of the whole has, as far as taps go.

use super::rows::{Act, EmojiRow, Environment, Generator, Rates, Real, RoomRow, Subscribers, TransportRow, WindowRow};
use super::{FORMAT, Latency, Report, Server, Verdict};
use crate::crowd::Part;
use crate::ledger::{Recorder, Transport};
use crate::scenario::{ActKind, Hostile, Http, Limits, Quic, Scenario, Udp};
use crate::server_watch::{ServerSample, ServerSeries};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PEOPLE: u32 = 900;
const ROOMS: u32 = 2;
const WINDOWS: u64 = 5;
const EMOJI: u16 = 4;
const TAPS: u64 = 4000;
const START_UNIX_MS: u64 = 1_800_000_000_000;
const WINDOW_MS: u64 = 1000;

/// One tap, and what became of it.
#[derive(Clone, Debug)]
struct Tap {
    person: u32,
    way: Transport,
    room: u32,
    window: u64,
    /// Whether it left near the window's end.
    border: bool,
    emoji: u16,
    lag_us: u64,
    delay_us: u64,
    counted: bool,
    framed: bool,
}

/// A match.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    taps: Vec<Tap>,
    drops: u64,
    rejected: BTreeMap<(String, String), u64>,
}

/// A window's row with nothing in it.
pub(crate) fn window(room: u32, window: u64) -> WindowRow {
    WindowRow {
        room,
        window,
        end_unix_ms: START_UNIX_MS + (window + 1) * WINDOW_MS,
        taps_sent_min: 0,
        taps_sent_max: 0,
        taps_framed: Some(0),
        top: Vec::new(),
        emoji_sent_min: Vec::new(),
        emoji_sent_max: Vec::new(),
        disagreement: String::new(),
        conflicting: false,
        first_us: Some(2000),
        p50_us: Some(3000),
        p99_us: Some(9000),
        last_us: Some(9500),
    }
}

/// Numbers that look random: splitmix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Play {
    /// A match in which nothing is lost.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        let taps = (0..TAPS).map(|_| Tap::any(&mut state)).collect();
        // Hostile input, all of it refused.
        let rejected = [(("udp".to_owned(), "malformed".to_owned()), u64::from(PEOPLE))].into();
        Self { taps, drops: 0, rejected }
    }

    /// Whoever taps by HTTP taps by UDP.
    pub(crate) fn leave_http(&mut self) {
        let by_http = self.taps.iter_mut().filter(|tap| tap.way == Transport::Http);
        by_http.for_each(|tap| tap.way = Transport::Udp);
    }

    /// So many taps of one way in are dropped at the server's socket, each in a datagram of its own.
    pub(crate) fn lose_before_server(&mut self, way: &str, count: u64) {
        let found = self.taps.iter_mut().filter(|tap| tap.way.label() == way && tap.counted && !tap.border);
        for tap in found.take(count as usize) {
            (tap.counted, tap.framed) = (false, false);
        }
        self.drops += count;
    }

    /// So many taps are counted and in the server's frames, and not in those that were received.
    pub(crate) fn lose_before_fan_out(&mut self, count: usize) {
        self.taps.iter_mut().filter(|tap| tap.framed && !tap.border).take(count).for_each(|tap| tap.framed = false);
    }

    /// The server refuses so many inputs that were in order.
    pub(crate) fn reject(&mut self, way: &str, reason: &str, count: u64) {
        *self.rejected.entry((way.to_owned(), reason.to_owned())).or_default() += count;
    }

    /// What the machine that plays a part reports.
    pub(crate) fn report(&self, part: Part) -> Report {
        let own: Vec<&Tap> = self.taps.iter().filter(|tap| part.plays(tap.person)).collect();
        let acted: BTreeSet<u32> = own.iter().map(|tap| tap.person).collect();
        let people = |room: u32| (0..PEOPLE).filter(|person| part.plays(*person) && person % ROOMS == room - 1).count();
        Report {
            format: FORMAT.to_owned(),
            verdict: Verdict::Invalid,
            passed: false,
            findings: Vec::new(),
            notes: Vec::new(),
            thresholds: Vec::new(),
            losses: Vec::new(),
            parts: vec![part.to_string()],
            visitors: None,
            interrupted: None,
            start_unix_ms: START_UNIX_MS,
            people: (1..=ROOMS).map(|room| people(room) as u64).sum(),
            people_acted: acted.len() as u64,
            taps_planned: 0,
            taps_sent: 0,
            taps_unconfirmed: 0,
            taps_refused: 0,
            taps_unsent: 0,
            taps_framed: 0,
            taps_lost: 0,
            achieved_ratio: 0.0,
            generator_lag_p99_us: 0,
            real: real(&own),
            extrapolated: Vec::new(),
            transports: Transport::ALL.map(|way| transport(&own, way)).into(),
            rooms: (1..=ROOMS).map(|number| room(&own, number, people(number) as u64)).collect(),
            windows: self.windows(&own),
            subscribers: subscribers(part),
            hostile: None,
            acts: vec![Act { kind: ActKind::Reconnect, at_s: 1.0, subscribers: 20, back_after_ms: Some(120) }],
            latency: latencies(&own),
            rates: rates(&own),
            server: Some(self.server(part)),
            server_error: None,
            server_lost: false,
            server_series: Some(series()),
            generator: Generator {
                cpu_s: 0.25 + own.len() as f64 / 1e6,
                udp_cpu_s: 0.1,
                udp_cpu_ns_per_datagram: None,
                rss_bytes_max: (90 << 20) + own.len() as u64,
            },
            environment: environment(),
            scenario: scenario(),
        }
        .judged()
    }

    fn windows(&self, own: &[&Tap]) -> Vec<WindowRow> {
        let cells = (1..=ROOMS).flat_map(|room| (0..WINDOWS).map(move |number| (room, number)));
        cells.map(|(room, number)| self.window(own, room, number)).collect()
    }

    fn window(&self, own: &[&Tap], room: u32, number: u64) -> WindowRow {
        let count = |taps: &[&Tap], is_in: &dyn Fn(&Tap) -> bool| {
            let of =
                |emoji| taps.iter().filter(|tap| tap.room == room && tap.emoji == emoji && is_in(tap)).count() as u64;
            (0..EMOJI).map(of).collect::<Vec<u64>>()
        };
        let least = count(own, &|tap| tap.window == number && !tap.border);
        let before = |tap: &Tap| tap.border && tap.window + 1 == number;
        let most = count(own, &|tap| tap.window == number || before(tap));
        let all: Vec<&Tap> = self.taps.iter().filter(|tap| tap.framed).collect();
        let framed = count(&all, &|tap| tap.window == number);
        let mut top: Vec<(u16, u64)> = (0..EMOJI).zip(framed).filter(|(_, taps)| *taps > 0).collect();
        top.sort_by_key(|(emoji, taps)| (u64::MAX - taps, *emoji));
        WindowRow {
            taps_sent_min: least.iter().sum(),
            taps_sent_max: most.iter().sum(),
            taps_framed: Some(top.iter().map(|(_, taps)| taps).sum()),
            top,
            emoji_sent_min: least,
            emoji_sent_max: most,
            ..window(room, number)
        }
    }

    fn server(&self, part: Part) -> Server {
        let counted = |way: Transport| self.taps.iter().filter(|tap| tap.counted && tap.way == way).count() as f64;
        let mut after: BTreeMap<String, f64> = Transport::ALL
            .map(|way| (format!("uproar_reactions_total{{proto=\"{}\"}}", way.label()), 100.0 + counted(way)))
            .into();
        let framed: f64 = Transport::ALL.map(counted).iter().sum();
        let mut before: BTreeMap<String, f64> = after.keys().map(|name| (name.clone(), 100.0)).collect();
        after.insert("uproar_frame_taps_total".into(), framed);
        after.insert("uproar_socket_drops_total{socket=\"reactions\"}".into(), self.drops as f64);
        for ((way, reason), count) in &self.rejected {
            after.insert(format!("uproar_rejected_total{{proto=\"{way}\",reason=\"{reason}\"}}"), *count as f64);
        }
        before.insert("process_cpu_seconds_total".into(), 1.5);
        after.insert("process_cpu_seconds_total".into(), 2.0);
        // Each machine sends a share of the hostile input.
        let purpose = (0..PEOPLE).filter(|person| part.plays(*person)).count() as u64;
        Server::between(before, after, vec![("udp".into(), "malformed".into(), purpose)], Some(30 << 20))
    }
}

impl Part {
    fn plays(self, person: u32) -> bool {
        person % self.of == self.number - 1
    }
}

impl Tap {
    fn any(state: &mut u64) -> Self {
        let person = (mix(state) % u64::from(PEOPLE)) as u32;
        Self {
            person,
            way: Transport::ALL[(person % 3) as usize],
            room: person % ROOMS + 1,
            window: mix(state) % WINDOWS,
            border: mix(state).is_multiple_of(10),
            emoji: (mix(state) % u64::from(EMOJI)).min(mix(state) % u64::from(EMOJI)) as u16,
            lag_us: 1 + mix(state) % 900,
            delay_us: 200_000 + mix(state) % 900_000,
            counted: true,
            framed: true,
        }
    }

    fn at(&self) -> Duration {
        Duration::from_millis(self.window * WINDOW_MS)
    }
}

fn of<'a>(own: &'a [&Tap], way: Transport) -> impl Iterator<Item = &'a Tap> {
    own.iter().copied().filter(move |tap| tap.way == way)
}

fn real(own: &[&Tap]) -> Real {
    Real {
        machines: 1,
        udp_sockets: 8,
        udp_source_addresses: 8,
        udp_datagrams: of(own, Transport::Udp).count() as u64,
        http_connections: 4,
        http_requests: of(own, Transport::Http).count() as u64,
        quic_connections: 22,
        quic_reacting: 2,
    }
}

fn transport(own: &[&Tap], way: Transport) -> TransportRow {
    let taps = of(own, way).count() as u64;
    TransportRow {
        datagrams_left_behind: 0,
        packets_lost: 0,
        transport: way,
        taps_planned: taps,
        taps_sent: taps,
        taps_counted: None,
        taps_unconfirmed: 0,
        taps_refused: BTreeMap::new(),
        taps_unsent: 0,
        batches: taps,
        lag_p99_us: recorder(of(own, way), |tap| tap.lag_us).total().value_at_quantile(0.99),
    }
}

fn room(own: &[&Tap], number: u32, people: u64) -> RoomRow {
    let taps: Vec<&&Tap> = own.iter().filter(|tap| tap.room == number).collect();
    let glyphs = ["🏏", "🎉", "❤️", "🔥"];
    let emoji = (0..EMOJI).map(|id| EmojiRow {
        id,
        glyph: glyphs[usize::from(id)].to_owned(),
        taps_sent: taps.iter().filter(|tap| tap.emoji == id).count() as u64,
        taps_framed: 0,
    });
    RoomRow {
        room: number,
        name: format!("room {number}"),
        people,
        taps_sent: taps.len() as u64,
        taps_unconfirmed: 0,
        taps_framed: 0,
        shows_all_emoji: true,
        emoji: emoji.collect(),
    }
}

fn subscribers(part: Part) -> Subscribers {
    let count = u64::from(part.share(40));
    Subscribers { count, frames_received: count * WINDOWS, handshakes: count, ..Subscribers::default() }
}

fn recorder<'a>(taps: impl Iterator<Item = &'a Tap>, us: impl Fn(&Tap) -> u64) -> Recorder {
    let mut recorder = Recorder::new(Duration::from_secs(1));
    taps.for_each(|tap| recorder.record(tap.at(), us(tap)));
    recorder
}

fn latencies(own: &[&Tap]) -> BTreeMap<String, Latency> {
    let all = || own.iter().copied();
    let spread = recorder(all().take(40), |tap| tap.lag_us * 10);
    [
        ("tap_to_frame", Latency::over_time(&recorder(all(), |tap| tap.delay_us))),
        ("tap_to_202", Latency::over_time(&recorder(of(own, Transport::Http), |tap| tap.delay_us / 100))),
        ("frame_spread", Latency::over_time(&spread)),
        ("window_end_to_frame", Latency::over_time(&spread)),
        ("handshake", Latency::of(&spread.total())),
        ("generator_lag", Latency::over_time(&recorder(all(), |tap| tap.lag_us))),
    ]
    .map(|(name, latency)| (name.to_owned(), latency))
    .into()
}

fn rates(own: &[&Tap]) -> Rates {
    let in_window = |number| own.iter().filter(|tap| tap.window == number).count() as u64;
    let planned: Vec<u64> = (0..WINDOWS).map(in_window).collect();
    Rates { interval_s: 1.0, sent: planned.clone(), planned, moments: vec![("six".into(), 2.0, 4.0)] }
}

fn series() -> ServerSeries {
    ServerSeries { samples: vec![ServerSample { at_s: 0.5, reading: None }] }
}

fn environment() -> Environment {
    Environment {
        version: "0.1.0".into(),
        kernel: "Linux 6.18".into(),
        cpu: "a processor".into(),
        cores: 2,
        targets: [("udp".to_owned(), "127.0.0.1:7000".to_owned())].into(),
    }
}

fn scenario() -> Scenario {
    Scenario {
        name: "synthetic".into(),
        duration_s: 5.0,
        people: PEOPLE,
        emoji: EMOJI,
        udp: Some(Udp::default()),
        http: Some(Http::default()),
        quic: Some(Quic::default()),
        hostile: Some(Hostile::default()),
        limits: Limits {
            people_acted_min: 500,
            tap_to_frame_p99_ms_max: 2000,
            http_p99_ms_max: 50,
            spread_p99_ms_max: 50,
            return_ms_max: 500,
            ..Limits::default()
        },
        ..Scenario::default()
    }
}
