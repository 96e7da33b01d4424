//! The load generator's ways in against a real server: what its ledgers say was sent is what the server counted and what
//! the frames say, and what its hostile part sent is refused for the reasons it says.

use crate::support::{Server, eventually};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use uproar_client::{Client, RoomEvent, Subscription, Trust};
use uproar_loadgen::audience::{auditors::QuicTarget, by_room};
use uproar_loadgen::crowd::{Crowd, Part};
use uproar_loadgen::drivers::Desk;
use uproar_loadgen::drivers::hostile::{self, HostileLedger, Hostility};
use uproar_loadgen::drivers::http::{self, Names};
use uproar_loadgen::drivers::quic::{self, Listener, QuicConnections, Sent};
use uproar_loadgen::interrupt::Interrupt;
use uproar_loadgen::ledger::{Acted, Grid, Ledger, Shape, Transport};
use uproar_loadgen::scenario::Scenario;
use uproar_loadgen::stage::Stage;
use uproar_wire::{EmojiId, RoomId};

const NAMES: [&str; 3] = ["fire", "six", "clap"];
const ROOMS: &str = r#"
    [[rooms]]
    id = 1
    name = "One"
    palette = [{ name = "fire", glyph = "f" }, { name = "six", glyph = "6" }, { name = "clap", glyph = "c" }]
    [[rooms]]
    id = 2
    name = "Two"
    palette = [{ name = "fire", glyph = "f" }, { name = "six", glyph = "6" }, { name = "clap", glyph = "c" }]
"#;
/// A second and a half of both ways in.
const CROWD: &str = "duration_s = 1.5\npeople = 10000\nsections = 8\nemoji = 3\ntaps_max = 3\n\
    reactions_per_second = 2000\nrooms.count = 2\n\
    [http]\nconnections = 12\nreactions_per_request = 4\nfrom = 3\n\
    [quic]\nconnections = 9\nendpoints = 3\nrecords_per_datagram = 5\nfrom = 3";
const HOSTILE: &str = "[hostile]\ndatagrams_per_second = 1000\nrequests_per_second = 200\n\
    quic_packets_per_second = 200\nfrom = 7";

/// Taps of each room and emoji in each window, from the frames of all seats.
#[derive(Default)]
struct Seen(Mutex<BTreeMap<(u32, u64), BTreeMap<u16, u64>>>);

impl Seen {
    fn handle_event(&self, event: RoomEvent) {
        if let RoomEvent::Frame(frame) = event {
            let top = frame.top.iter().map(|entry| (entry.emoji, entry.count)).collect();
            let before = self.0.lock().unwrap().insert((frame.room, frame.window), top);
            let same = self.0.lock().unwrap()[&(frame.room, frame.window)].clone();
            assert!(before.is_none_or(|before| before == same), "two seats saw different frames of a window");
        }
    }

    fn taps(&self, room: u32) -> Vec<u64> {
        let mut sums = vec![0; NAMES.len()];
        for ((_, _), top) in self.0.lock().unwrap().iter().filter(|((of, _), _)| *of == room) {
            top.iter().for_each(|(emoji, count)| sums[usize::from(*emoji)] += count);
        }
        sums
    }
}

struct Watcher(Arc<Seen>);

impl Listener for Watcher {
    async fn listen(self, mut subscription: Subscription) {
        while let Some(Ok(event)) = subscription.next().await {
            self.0.handle_event(event);
        }
    }
}

struct Played {
    http: Ledger,
    quic: Sent,
    hostile: HostileLedger,
    acted: u64,
    seen: Arc<Seen>,
    connections: QuicConnections,
}

/// The windows of a match that starts soon.
#[allow(clippy::disallowed_methods, reason = "a match is played by the machine's clock")]
fn grid() -> Grid {
    let start = Instant::now() + Duration::from_millis(500);
    Grid::new(start, 0, Duration::from_millis(100), Duration::from_millis(10))
}

fn stage(scenario: &str) -> Stage {
    let crowd = Crowd::new(Scenario::parse(scenario).unwrap());
    let shape = Shape { grid: grid(), rooms: 2, emoji: NAMES.len(), interval: Duration::from_secs(1) };
    let acted = Arc::new(Acted::new(crowd.scenario().people));
    Stage { crowd, part: Part::WHOLE, shape, acted, counters: Arc::default(), interrupt: Interrupt::default() }
}

/// Opens everything, plays it at once, and leaves the QUIC connections open.
async fn play(server: &Server, scenario: &str) -> Played {
    let mut stage = stage(scenario);
    let (of, seen) = (stage.crowd.scenario().clone(), Arc::new(Seen::default()));
    let target = QuicTarget { address: server.quic(), name: "localhost".into(), trust: Trust::DangerAnyCertificate };
    let mut opened = 0;
    let quic = of.quic.as_ref().unwrap();
    let rooms = by_room(&stage.crowd, quic.connections);
    let listener = || Watcher(Arc::clone(&seen));
    let (progress, never) = (|count| opened = count, Interrupt::default());
    let connections = quic::open(quic, Part::WHOLE, &rooms, &target, listener, progress, &never).await.unwrap();
    assert_eq!((opened, connections.handshake_us().len()), (quic.connections, u64::from(quic.connections)));
    let lines = http::open(of.http.as_ref().unwrap(), server.http(), |count| opened = count).await.unwrap();
    assert_eq!(opened, lines.len() as u32);
    let targets = hostile::Targets { reactions: server.reactions(), http: server.http(), quic: server.quic() };
    // First packets take a key exchange each: before the match, as nobody else is asked to wait for them.
    let hostility = Hostility::prepare(&of, Part::WHOLE, targets).unwrap();
    // However long all of this took.
    stage.shape.grid = grid();
    let hostile = async {
        match hostility {
            Some(hostility) => hostility.play(stage.shape.grid.start).await,
            None => HostileLedger::default(),
        }
    };
    let (http, quic) = (Desk::new(stage.clone(), Transport::Http), Desk::new(stage.clone(), Transport::Quic));
    let names = Arc::new(Names::new([NAMES, NAMES]));
    let (http, quic, hostile) =
        tokio::join!(http::play(&http, lines, "localhost", &names), connections.play(&quic), hostile);
    Played { http, quic, hostile, acted: stage.acted.count(), seen, connections }
}

/// Everything planned was sent, and the server counted it: in sums and in frames.
fn assert_counted(server: &Server, played: &Played) {
    let (http, quic) = (&played.http, &played.quic);
    for ledger in [http, &quic.ledger] {
        assert!(ledger.planned > 1000);
        assert_eq!((ledger.sent, ledger.planned_by_interval.iter().sum::<u64>()), (ledger.planned, ledger.planned));
    }
    assert_eq!((quic.datagrams, quic.ledger.left_behind), (quic.ledger.batches, 0));
    assert_eq!(http.confirmed_us.total().len(), http.batches);
    assert!(played.acted > 1000);
    server.await_metric("uproar_reactions_total{proto=\"http\"}", http.sent);
    server.await_metric("uproar_reactions_total{proto=\"quic\"}", quic.ledger.sent);
    for room in 0..2 {
        let sent = |ledger: &Ledger| ledger.sent_by_emoji(room);
        let expected: Vec<u64> = sent(http).iter().zip(sent(&quic.ledger)).map(|(http, quic)| http + quic).collect();
        let seen = || played.seen.taps(room as u32 + 1);
        eventually(|| (seen() == expected).then_some(()), || format!("sent {expected:?}, in frames {:?}", seen()));
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_crowd_by_http_and_quic_is_counted_tap_for_tap() {
    let server = Server::configured(ROOMS, &["--shards", "2", "--window", "100ms"]);
    let runtime = runtime();
    let played = runtime.block_on(play(&server, CROWD));
    assert_counted(&server, &played);
    assert_eq!(server.metric("uproar_subscribers"), 9);
    assert_eq!(server.metric("uproar_http_requests_total{code=\"202\"}"), played.http.batches);
    assert_eq!(server.metric("uproar_rejected_total"), 0);
    runtime.block_on(played.connections.close());
    server.await_shards("uproar_subscribers", |now| now == 0);
    let sent = played.http.sent + played.quic.ledger.sent;
    assert_eq!(server.terminate().drained, Some((sent, sent)));
}

#[test]
fn hostile_input_is_refused_for_its_reasons_and_taps_beside_it_are_counted() {
    let server = Server::configured(ROOMS, &["--shards", "2", "--window", "100ms"]);
    let runtime = runtime();
    let played = runtime.block_on(play(&server, &format!("{CROWD}\n{HOSTILE}")));
    assert_counted(&server, &played);
    let hostile = &played.hostile;
    assert_eq!(hostile.unexpected, 0, "{:#?}", hostile.unexpected_first);
    assert_eq!((hostile.unsent, hostile.failed.is_empty()), (0, true), "{:?}", hostile.failed);
    assert_eq!(server.metric("uproar_socket_drops_total{socket=\"reactions\"}"), 0);
    let sent = |way| hostile.rejects.iter().filter(|((of, _), _)| *of == way).map(|(_, count)| count).sum::<u64>();
    assert_eq!((sent(Transport::Udp), sent(Transport::Http)), (1500, 300));
    for ((way, reason), count) in &hostile.rejects {
        server.await_metric(&format!("uproar_rejected_total{{proto=\"{}\",reason=\"{reason}\"}}", way.label()), *count);
    }
    assert_eq!(server.metric("uproar_rejected_total"), hostile.rejects.values().sum::<u64>());
    for (status, count) in &hostile.statuses {
        server.await_metric(&format!("uproar_http_requests_total{{code=\"{status}\"}}"), *count);
    }
    // Each first packet begins a handshake, which nobody goes on with; the crowd's nine were completed.
    assert_eq!(hostile.packets.values().sum::<u64>(), 300);
    let begun = hostile.packets["initial"] + 9;
    let outcomes = ["accepted", "retried", "dropped", "refused", "address_full"];
    let counted = || {
        let metrics = server.metrics();
        let count =
            |outcome: &&str| metrics.sum(&format!("uproar_connections_total{{proto=\"quic\",outcome=\"{outcome}\"}}"));
        outcomes.iter().map(count).sum::<u64>()
    };
    eventually(|| (counted() == begun).then_some(()), || format!("{begun} begun, {} counted", counted()));
    runtime.block_on(played.connections.close());
}

#[test]
fn a_client_knows_when_its_reactions_have_left() {
    let server = Server::configured(ROOMS, &["--shards", "1", "--window", "100ms"]);
    runtime().block_on(async {
        let client = Client::connect(server.quic(), "localhost", Trust::DangerAnyCertificate).await.unwrap();
        let subscription = client.subscribe(&[RoomId(1)]).await.unwrap();
        for _ in 0..1000 {
            client.react(RoomId(1), &[(EmojiId(0), 1)]).await.unwrap();
        }
        assert!(client.flush().await);
        assert_eq!(client.stats().frame_tx.datagram, 1000);
        drop(subscription);
    });
    server.await_metric("uproar_reactions_total{proto=\"quic\"}", 1000);
}
