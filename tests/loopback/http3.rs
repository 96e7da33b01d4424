//! What nobody should say in HTTP/3 and WebTransport: each ends with the code that the standards ask for, is counted, and
//! disturbs nobody else.
//!
//! Not here: the cases themselves, which are in [`cases`].

mod cases;

use crate::support::hostile::Identity;
use crate::support::http3::*;
use crate::support::random::junk;
use crate::support::web_session::WebViewer;
use crate::support::{DEADLINE, Server, eventually, missed};
use Deed::{Bi, BiEnded, BiUnheard, Datagram, More, Uni, UniEnded};
use Outcome::{Answered, Closed, Forgotten};
use cases::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use uproar_loadgen::fleet::{Fleet, FleetConfig};
use uproar_wire::RoomId;

const ROOM: RoomId = RoomId(1);
/// Streams and requests of one connection that are refused before it is closed.
const HTTP3_REFUSALS_MAX: u64 = uproar::limits::HTTP3_REFUSALS_MAX as u64;
/// How connections end that say what they should not.
const OUTCOMES: [&str; 5] = ["done", "bad_hello", "hello_timeout", "http3_error", "transport_error"];

fn of_outcome(outcome: &str) -> String {
    format!("uproar_connections_total{{proto=\"quic\",outcome=\"{outcome}\"}}")
}

/// With windows so long that nobody skips one on a machine that is busy with other tests.
fn server(identity: &Identity) -> Server {
    let [certificate, key] = identity.flags();
    Server::start(&["--shards", "2", "--window", "1s", &certificate, &key])
}

/// Natives and sessions that watch all the time, and miss nothing but what a busy machine has the server skip.
struct Bystanders {
    fleet: Fleet,
    sessions: Vec<tokio::task::JoinHandle<Vec<u64>>>,
}

impl Bystanders {
    fn of(server: &Server, peers: &Arc<Http3Peers>) -> Self {
        let fleet = Fleet::start(FleetConfig::new(server.quic(), vec![ROOM], 20)).unwrap();
        fleet.wait_subscribed(DEADLINE).unwrap();
        let session = |_| {
            let viewer = peers.within(peers.client().watch(server.quic(), ROOM)).unwrap();
            peers.spawn(windows_to_the_end(viewer))
        };
        Self { fleet, sessions: (0..4).map(session).collect() }
    }

    /// Ends the server. Everybody has seen every window from their first to the last one, but those that it skipped.
    fn assert_undisturbed(self, server: Server, peers: &Http3Peers) {
        // However soon all was said: two windows that everybody is due.
        (0..2).for_each(|_| _ = self.fleet.next_window(DEADLINE).expect("windows go on"));
        let totals = self.fleet.stop().unwrap();
        assert_eq!((totals.duplicates, totals.conflicting), (0, 0), "{totals:?}");
        let skipped = server.metric("uproar_frames_skipped_total");
        assert_eq!((totals.subscribers, totals.lost_connections()), (20, 0), "{totals:?}");
        let ended = server.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let sessions: Vec<_> = self.sessions.into_iter().map(|session| peers.within(session).unwrap()).collect();
        assert!(sessions.iter().all(|windows| windows.len() > 1), "{sessions:?}");
        let missed = sessions.iter().map(|windows| missed(windows)).sum::<u64>() + totals.gaps;
        assert!(missed <= skipped, "{missed} frames did not come, and {skipped} were skipped: {sessions:?}");
    }
}

async fn windows_to_the_end(mut viewer: WebViewer) -> Vec<u64> {
    let mut windows = Vec::new();
    while let Some(frame) = viewer.next_frame().await {
        windows.push(frame.window);
    }
    windows
}

/// Which statuses a peer was told whose deeds came to this: that of its last request is the outcome, if that is a status.
fn answers_of(deeds: &[Deed], outcome: &Outcome) -> Vec<u16> {
    let known =
        [(headers(&CONNECT), 200), (connect_but(":path", Some("/")), 404), (connect_but(":method", Some("POST")), 405)];
    let requests = deeds.iter().filter_map(|deed| match deed {
        Bi(bytes) | BiEnded(bytes) | BiUnheard(bytes) => Some(bytes),
        _ => None,
    });
    let mut answers: Vec<_> =
        requests.map(|bytes| known.iter().find(|(known, _)| known == bytes).map(|&(_, status)| status)).collect();
    if let (Answered(status), Some(last)) = (outcome, answers.last_mut()) {
        *last = Some(*status);
    }
    // Whose connection lives asks for what is nowhere.
    let asked_on = (!matches!(outcome, Closed(_))).then_some(404);
    answers.into_iter().flatten().chain(asked_on).collect()
}

/// Plays all cases, and says how many connections were closed for a fault and which statuses were answered.
fn play(peers: &Http3Peers, cases: &[Case]) -> (u64, BTreeMap<u16, u64>) {
    let (mut closed, mut answered, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for (name, deeds, expected) in cases {
        let outcome = peers.outcome_of(deeds);
        if !expected.contains(&outcome) {
            wrong.push(format!("{name}: {outcome:x?}, not {expected:x?}"));
        }
        closed += u64::from(matches!(outcome, Closed(code) if code != H3_NO_ERROR));
        for status in answers_of(deeds, &outcome) {
            *answered.entry(status).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    (closed, answered)
}

/// Plays cases beside bystanders.
fn assert_contained(cases: &[Case]) {
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Arc::new(Http3Peers::of(&server, &identity));
    let bystanders = Bystanders::of(&server, &peers);
    let (closed, mut answered) = play(&peers, cases);
    *answered.entry(200).or_default() += bystanders.sessions.len() as u64;
    server.await_metric("uproar_connections_total{proto=\"quic\",outcome=\"http3_error\"}", closed);
    for (status, count) in answered {
        server.await_metric(&format!("uproar_webtransport_requests_total{{code=\"{status}\"}}"), count);
    }
    bystanders.assert_undisturbed(server, &peers);
}

#[test]
fn settings_that_cannot_be_end_the_connection() {
    assert_contained(&settings_cases());
}

#[test]
fn what_has_no_place_on_the_control_stream_ends_the_connection() {
    assert_contained(&control_cases());
}

#[test]
fn fields_that_cannot_be_read_end_the_connection() {
    assert_contained(&qpack_cases());
}

#[test]
fn requests_that_cannot_be_granted_are_refused_for_their_reason() {
    assert_contained(&request_cases());
}

#[test]
fn what_no_session_may_say_ends_it() {
    assert_contained(&session_cases());
}

#[test]
fn what_a_later_version_may_say_is_passed_over() {
    assert_contained(&tolerated_cases());
}

#[test]
fn whoever_is_refused_without_end_is_sent_away() {
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Arc::new(Http3Peers::of(&server, &identity));
    let bystanders = Bystanders::of(&server, &peers);
    let unknown = (0..100).map(|n| UniEnded(uni(grease(n), b"x"))).collect();
    let unheard = (0..100).map(|n| BiUnheard(connect_but(":path", Some(if n % 2 == 0 { "/" } else { "" })))).collect();
    let cut_off = (0..100).map(|_| BiEnded(Vec::new())).collect();
    for deeds in [unknown, unheard, cut_off] {
        let deeds = [vec![Uni(control(&[])), Bi(headers(&CONNECT)), More(Vec::new())], deeds].concat();
        assert_eq!(peers.outcome_of(&deeds), Closed(EXCESSIVE_LOAD));
    }
    server.await_metric(&of_outcome("http3_error"), 3);
    let refused = |code: &str| server.metric(&format!("uproar_webtransport_refused_total{{code=\"{code}\"}}"));
    assert_eq!(refused("stream_creation_error"), HTTP3_REFUSALS_MAX);
    assert_eq!(refused("request_incomplete"), HTTP3_REFUSALS_MAX);
    bystanders.assert_undisturbed(server, &peers);
}

#[test]
fn random_bytes_on_every_kind_of_stream_harm_nobody_else() {
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Arc::new(Http3Peers::of(&server, &identity));
    let bystanders = Bystanders::of(&server, &peers);
    for (at, bytes) in junk(7, 300, 2000).into_iter().enumerate() {
        let session = vec![Uni(control(&[])), Bi(headers(&CONNECT)), More(Vec::new())];
        let deeds = match at % 8 {
            0 => vec![Uni(bytes)],
            1 => vec![Uni(uni(CONTROL, &bytes))],
            2 => vec![Uni(control(&bytes))],
            3 => after_settings(Uni(uni(if at % 16 < 8 { ENCODER } else { DECODER }, &bytes))),
            4 => after_settings(BiEnded(bytes)),
            5 => after_settings(Bi(section(&bytes))),
            6 => [session, vec![Bi([varint(OF_SESSION), varint(0), bytes].concat())]].concat(),
            _ => [session, vec![More(frame(DATA, &bytes)), Datagram(bytes[..bytes.len().min(1000)].to_vec())]].concat(),
        };
        peers.connect().act(&deeds[..]);
    }
    let ended = || OUTCOMES.map(|outcome| server.metric(&of_outcome(outcome))).iter().sum::<u64>();
    eventually(|| (ended() == 300).then_some(()), || format!("{} of 300 have ended", ended()));
    bystanders.assert_undisturbed(server, &peers);
}

#[test]
fn a_thousand_such_clients_leave_no_memory_behind() {
    /// What an allocator may keep for itself.
    const KIB_MAX: u64 = 4096;
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Http3Peers::of(&server, &identity);
    let cases = [settings_cases(), control_cases(), qpack_cases(), request_cases(), session_cases(), tolerated_cases()];
    let cases = cases.concat();
    let play = |clients: usize| {
        for (_, deeds, _) in cases.iter().cycle().take(clients) {
            peers.outcome_of(deeds);
        }
        // Those that were not closed are gone when their sides are.
        server.await_shards("uproar_subscribers{proto=\"webtransport\"}", |now| now == 0);
        server.resident_kib()
    };
    play(500);
    let before = play(500);
    let after = play(1000);
    assert!(after <= before + KIB_MAX, "{before} KiB before, {after} KiB after");
}

#[test]
fn who_holds_back_the_end_of_what_it_says_costs_little_and_is_sent_away() {
    const PEERS: u64 = 200;
    /// Those that are there before, and may be sent away as well.
    const FIRST: u64 = 20;
    /// A connection, and what it may have sent that nobody can read yet.
    const KIB_EACH: u64 = 64;
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Http3Peers::of(&server, &identity);
    let held_back = cut_frame(HEADERS, 1000, &[0; 999]);
    let request = || Bi(held_back.clone());
    let deeds = [Uni(control(&[])), Uni(cut_frame(grease(5), 1 << 20, &[0; 5000])), request(), request(), request()];
    let hold_back = || {
        let mut peer = peers.connect();
        peer.act(&deeds);
        peer
    };
    // The first of them have the server make room for any at all.
    drop((0..FIRST).map(|_| hold_back()).collect::<Vec<_>>());
    let before = server.resident_kib();
    let mut held: Vec<_> = (0..PEERS).map(|_| hold_back()).collect();
    let after = server.resident_kib();
    assert!(after <= before + PEERS * KIB_EACH, "{before} KiB before, {after} KiB after");
    // On a busy machine a close may be lost, and a peer hears later that the server knows nothing of it any more.
    held.iter_mut().for_each(|peer| assert!(matches!(peer.outcome(), Closed(H3_NO_ERROR) | Forgotten)));
    let sent_away = server.metric("uproar_connections_total{proto=\"quic\",outcome=\"hello_timeout\"}");
    assert!((PEERS..=PEERS + FIRST).contains(&sent_away), "{sent_away}");
}

/// Where each browser finds that a server speaks WebTransport:
///
/// - Chromium: quiche's `QuicSpdySession::OnSetting` takes draft 02's SETTINGS_ENABLE_WEBTRANSPORT, 0x2b603742, for 1 (and
///   draft 07's only behind a flag), with SETTINGS_H3_DATAGRAM, 0x33 (RFC 9297, 2.1.1), or draft 04's 0xffd277.
/// - Firefox: neqo-http3's `settings.rs` has looked for 0x2b603742, and since 2026 for draft 07's 0xc671706a, with
///   0x33 or 0xffd277, and SETTINGS_ENABLE_CONNECT_PROTOCOL, 0x8 (RFC 9220, 5).
/// - Safari 26.4 and later: draft 07's 0xc671706a, at least 1; more than 1 would ask for flow control of sessions as
///   well (hyperium/h3#347, aiortc/aioquic#633, quic-go/webtransport-go#355).
#[test]
fn the_servers_settings_are_what_browsers_look_for() {
    let identity = Identity::new();
    let server = server(&identity);
    let peers = Http3Peers::of(&server, &identity);
    let settings: BTreeMap<u64, u64> = peers.connect().settings().into_iter().collect();
    let [chromium, firefox, safari] =
        [&[0x2b60_3742, 0x33][..], &[0x2b60_3742, 0xc671_706a, 0x33, 0x8], &[0xc671_706a, 0x33, 0x8]];
    for id in [chromium, firefox, safari].concat() {
        assert_eq!(settings.get(&id), Some(&1), "setting {id:#x} of {settings:x?}");
    }
    // A dynamic table would have to be filled: QPACK's settings stay at their defaults of 0 (RFC 9204, 5).
    for id in [0x1, 0x7] {
        assert!(settings.get(&id).is_none_or(|&value| value == 0), "setting {id:#x} of {settings:x?}");
    }
    // And none that HTTP/3 forbids (RFC 9114, 7.2.4.1).
    assert!((0x2..=0x5).all(|id| !settings.contains_key(&id)), "{settings:x?}");
}
