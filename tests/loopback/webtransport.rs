//! Browsers' way of watching, with an independent client against the real process: sessions, taps, refusals and ends.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::http3::Http3Peers;
use crate::support::web_session::{WebViewer, close_code, refused_status};
use crate::support::{DEADLINE, Server, Tapper, http, missed, taps};
use std::ops::ControlFlow;
use uproar_loadgen::fleet::{Fleet, FleetConfig};
use uproar_wire::RoomId;
use uproar_wire::hello::{CloseCode, Hello};
use uproar_wire::http::WEBTRANSPORT_PATH;
use uproar_wire::stream::RoomMessage;

const ROOM: RoomId = RoomId(1);

struct Scene {
    server: Server,
    peers: Http3Peers,
}

impl Scene {
    fn of(toml: &str, window: &str) -> Self {
        let identity = Identity::new();
        let [certificate, key] = identity.flags();
        let server = Server::configured(toml, &["--shards", "2", "--window", window, &certificate, &key]);
        let peers = Http3Peers::of(&server, &identity);
        Self { server, peers }
    }

    fn watch(&self, room: RoomId) -> WebViewer {
        self.peers.within(self.peers.client().watch(self.server.quic(), room)).unwrap()
    }

    /// The status with which a session is refused.
    fn refusal(&self, path: &str, origin: Option<&str>) -> Option<u16> {
        let opened = self.peers.within(self.peers.client().open(self.server.quic(), path, origin));
        opened.err().map(|error| refused_status(&error).unwrap_or_else(|| panic!("{error}")).as_u16())
    }

    /// Says this on a session's control stream; the code with which it is closed.
    fn closed_for(&self, control: &[u8]) -> u32 {
        self.peers.within(async {
            let client = self.peers.client();
            let session = client.open(self.server.quic(), WEBTRANSPORT_PATH, None).await.unwrap();
            let (mut stream, _answers) = session.open_bi().await.unwrap();
            stream.write_all(control).await.unwrap();
            let error = session.closed().await;
            close_code(&error).unwrap_or_else(|| panic!("closed otherwise: {error}")).0
        })
    }
}

/// A control message that carries a reaction datagram.
fn reactions_message(datagram: &[u8]) -> Vec<u8> {
    const REACTIONS: u8 = 6;
    [&(1 + datagram.len() as u16).to_le_bytes()[..], &[REACTIONS], datagram].concat()
}

#[test]
fn a_session_sees_the_palette_and_every_window_once() {
    let scene = Scene::of("", "500ms");
    let mut viewer = scene.watch(ROOM);
    let first = scene.peers.within(viewer.next());
    let Some(RoomMessage::Palette(palette)) = first else { panic!("no palette first: {first:?}") };
    assert_eq!((palette.room, palette.emoji.is_empty()), (ROOM.0, false));
    let windows: Vec<_> = (0..5).map(|_| scene.peers.within(viewer.next_frame()).unwrap().window).collect();
    scene.server.assert_skipped(missed(&windows));
    assert_eq!(scene.server.metric("uproar_subscribers{proto=\"webtransport\"}"), 1);
    assert_eq!(scene.server.metric("uproar_webtransport_requests_total{code=\"200\"}"), 1);
    scene.peers.within(async {
        viewer.session.close(0, b"enough");
        viewer.session.closed().await;
    });
    scene.server.await_shards("uproar_subscribers{proto=\"webtransport\"}", |now| now == 0);
}

#[test]
fn taps_by_datagram_and_by_stream_are_in_one_frame_each() {
    let scene = Scene::of("", "200ms");
    let mut viewer = scene.watch(ROOM);
    let counted = "uproar_reactions_total{proto=\"webtransport\"}";
    viewer.session.send_datagram(taps::datagram(ROOM.0, &[(3, 40)]).into()).unwrap();
    scene.server.await_metric(counted, 40);
    let message = reactions_message(&taps::datagram(ROOM.0, &[(2, 5), (4, 2)]));
    scene.peers.within(viewer.control.write_all(&message)).unwrap();
    scene.server.await_metric(counted, 47);
    let mut seen = std::collections::BTreeMap::new();
    let mut look = |seen: &mut std::collections::BTreeMap<u16, u64>| {
        let frame = scene.peers.within(viewer.next_frame()).unwrap();
        frame.top.iter().for_each(|entry| *seen.entry(entry.emoji).or_default() += entry.count);
        if seen.values().sum::<u64>() < 47 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    while look(&mut seen).is_continue() {}
    // None of them comes again.
    (0..3).for_each(|_| _ = look(&mut seen));
    assert_eq!(seen, [(2, 5), (3, 40), (4, 2)].into());
    let ended = scene.server.terminate();
    assert_eq!(ended.drained, Some((47, 47)), "{}", ended.log);
}

#[test]
fn taps_that_are_refused_are_counted_and_the_session_goes_on() {
    let scene = Scene::of("", "200ms");
    let mut viewer = scene.watch(ROOM);
    let refused = |reason: &str| format!("uproar_rejected_total{{proto=\"webtransport\",reason=\"{reason}\"}}");
    let (elsewhere, unknown) = (taps::datagram(99, &[(0, 1)]), taps::datagram(ROOM.0, &[(500, 1)]));
    scene.peers.within(viewer.control.write_all(&reactions_message(&elsewhere))).unwrap();
    viewer.session.send_datagram(unknown.into()).unwrap();
    let whole = taps::datagram(ROOM.0, &[(0, 1)]);
    scene.peers.within(viewer.control.write_all(&reactions_message(&whole[..whole.len() - 1]))).unwrap();
    for reason in ["unknown_room", "unknown_emoji", "too_short"] {
        scene.server.await_metric(&refused(reason), 1);
    }
    scene.peers.within(viewer.next_frame()).expect("the session goes on");
    assert_eq!(scene.server.metric("uproar_reactions_total"), 0);
}

#[test]
fn native_subscribers_may_tap_by_stream_too() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "1", "--window", "200ms", &certificate, &key]);
    let peer = HostilePeer::connect(&server, &identity, uproar_wire::ALPN).unwrap();
    let mut hello = Vec::new();
    Hello { rooms: vec![ROOM], token: Vec::new() }.encode(&mut hello);
    let (mut control, _answers) = peer.talk(&hello);
    peer.say_more(&mut control, &reactions_message(&taps::datagram(ROOM.0, &[(0, 9)])));
    server.await_metric("uproar_reactions_total{proto=\"quic\"}", 9);

    let early = HostilePeer::connect(&server, &identity, uproar_wire::ALPN).unwrap();
    early.say(&reactions_message(&taps::datagram(ROOM.0, &[(0, 1)])));
    assert_eq!(early.close_code(), CloseCode::BadHello as u64, "taps before the hello");
    assert_eq!(server.metric("uproar_reactions_total"), 9);
}

#[test]
fn sessions_and_native_subscribers_watch_side_by_side() {
    let scene = Scene::of("", "500ms");
    let fleet = Fleet::start(FleetConfig::new(scene.server.quic(), vec![ROOM], 100)).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    let mut sessions: Vec<_> = (0..20).map(|_| scene.watch(ROOM)).collect();
    assert_eq!(scene.server.metric("uproar_subscribers{proto=\"webtransport\"}"), 20);
    assert_eq!(scene.server.metric("uproar_subscribers{proto=\"quic\"}"), 100);
    let tapper = Tapper::to(scene.server.reactions());
    (0..60).for_each(|turn| tapper.tap(ROOM.0, turn % 12, 1 + turn));
    let (mut told, mut missed_by_sessions) = (std::collections::BTreeMap::new(), 0);
    for session in &mut sessions {
        let mut windows = Vec::new();
        for _ in 0..6 {
            let frame = scene.peers.within(session.next_frame()).unwrap();
            windows.push(frame.window);
            let first = told.entry(frame.window).or_insert_with(|| frame.clone());
            assert_eq!(*first, frame, "everybody is told the same");
        }
        missed_by_sessions += missed(&windows);
    }
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.conflicting, totals.lost_connections()), (0, 0), "{totals:?}");
    scene.server.assert_skipped(missed_by_sessions + totals.gaps);
    drop(sessions);
    scene.server.await_shards("uproar_subscribers{proto=\"webtransport\"}", |now| now == 0);
}

#[test]
fn only_pages_of_allowed_origins_have_sessions() {
    let scene = Scene::of("[web]\norigins = [\"https://www.example.com\"]\n", "200ms");
    assert_eq!(scene.refusal(WEBTRANSPORT_PATH, Some("https://evil.example")), Some(403));
    assert_eq!(scene.refusal(WEBTRANSPORT_PATH, Some("null")), Some(403));
    assert_eq!(scene.refusal(WEBTRANSPORT_PATH, Some("https://www.example.com")), None);
    assert_eq!(scene.refusal(WEBTRANSPORT_PATH, None), None, "who is no browser names none");
    assert_eq!(scene.refusal("/v1/rooms/1", Some("https://www.example.com")), Some(404));
    for (code, count) in [(403, 2), (200, 2), (404, 1)] {
        let selector = format!("uproar_webtransport_requests_total{{code=\"{code}\"}}");
        scene.server.await_metric(&selector, count);
    }
}

#[test]
fn without_webtransport_browsers_are_turned_away_in_the_handshake() {
    let scene = Scene::of("[web]\nwebtransport = false\n", "200ms");
    let refused = scene.peers.within(scene.peers.client().connect(scene.server.quic()));
    let error = refused.expect_err("HTTP/3 is not spoken").to_string();
    // TLS's no_application_protocol (RFC 7301, 3.2).
    assert!(error.contains("error 120"), "{error}");
    scene.server.await_metric("uproar_connections_total{proto=\"quic\",outcome=\"handshake_failed\"}", 1);
}

#[test]
fn a_hello_that_is_none_ends_the_session_for_its_reason() {
    let scene = Scene::of("", "200ms");
    assert_eq!(scene.closed_for(&[0, 0]), CloseCode::BadHello as u32);
    assert_eq!(scene.closed_for(b"GET / HTTP/1.1\r\n\r\n"), CloseCode::BadHello as u32);
    assert_eq!(scene.closed_for(&reactions_message(&taps::datagram(ROOM.0, &[(0, 1)]))), CloseCode::BadHello as u32);
    let mut unknown = Vec::new();
    Hello { rooms: vec![RoomId(99)], token: Vec::new() }.encode(&mut unknown);
    assert_eq!(scene.closed_for(&unknown), CloseCode::NoRooms as u32);
    assert_eq!(scene.server.metric("uproar_subscribers"), 0);
    assert_eq!(scene.server.metric("uproar_reactions_total"), 0);
}

#[test]
fn a_draining_server_tells_sessions_that_it_goes_and_takes_no_new_ones() {
    let scene = Scene::of("", "200ms");
    let mut viewers: Vec<_> = (0..4).map(|_| scene.watch(ROOM)).collect();
    let tapper = Tapper::to(scene.server.reactions());
    tapper.tap(ROOM.0, 0, 11);
    scene.server.await_metric("uproar_reactions_total", 11);
    let ended = scene.server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((11, 11))), "{}", ended.log);
    for viewer in &mut viewers {
        let total = scene.peers.within(async {
            let mut total = 0;
            while let Some(frame) = viewer.next_frame().await {
                total += frame.total;
            }
            total
        });
        assert_eq!(total, 11, "the last frame has arrived, too");
        let error = scene.peers.within(viewer.session.closed());
        let (code, reason) = close_code(&error).unwrap_or_else(|| panic!("closed otherwise: {error}"));
        assert_eq!(code, CloseCode::Draining as u32);
        assert!(!reason.is_empty());
    }
}

#[test]
fn who_watches_a_room_that_is_deleted_is_told_so() {
    let palette = "palette = [{ name = \"fire\", glyph = \"f\" }]";
    let scene = Scene::of(&format!("[[rooms]]\nid = 7\nname = \"Seven\"\n{palette}\n"), "200ms");
    let mut viewer = scene.watch(RoomId(7));
    scene.peers.within(viewer.next_frame()).expect("frames come");
    let deleted = scene.server.ask_admin(&http::request("DELETE", "/v1/rooms/7", "", b""));
    assert!((200..300).contains(&deleted.status), "{deleted:?}");
    scene.peers.within(async { while viewer.next().await.is_some() {} });
    let error = scene.peers.within(viewer.session.closed());
    assert_eq!(close_code(&error).map(|(code, _)| code), Some(CloseCode::RoomDeleted as u32), "{error}");
}
