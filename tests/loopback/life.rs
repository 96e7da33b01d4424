//! The life of a connection as the network sees it: it moves, it is marked, and it is told why it ends.
//!
//! Elsewhere: new ports and late joiners in `subscribers`, silence and resets in `vanished`, totals of a drain in `drain`.

use crate::support::hostile::{HostilePeer, Identity};
use crate::support::impairment::{ImpairedPath, Impairment, Way};
use crate::support::{Server, Viewer};
use quinn::ConnectionError;
use uproar_wire::RoomId;
use uproar_wire::hello::{CloseCode, Hello};

const ROOM: u32 = 1;

fn server() -> Server {
    Server::start(&["--shards", "2", "--window", "100ms"])
}

#[test]
fn a_viewer_that_moves_to_another_address_stays_subscribed() {
    let server = server();
    let mut viewer = Viewer::watching(&server, &[ROOM]);
    let mut last = viewer.next_frame();
    for host in 2..=5 {
        let address = viewer.move_to([127, 0, 0, host]);
        assert_eq!(address.ip().to_string(), format!("127.0.0.{host}"));
        let frame = viewer.see_taps(ROOM, |viewer| viewer.tap(ROOM, &[(u16::from(host), 1)]));
        assert!(frame.window > last.window, "{frame:?} after {last:?}");
        assert_eq!(frame.top[0].emoji, u16::from(host));
        last = frame;
    }
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"accepted\"}"), 1);
    assert_eq!(server.metric("uproar_subscribers"), 1);
}

#[test]
fn whoever_is_there_at_a_drain_reads_the_code_and_the_reason() {
    let identity = Identity::new();
    let [certificate, key] = identity.flags();
    let server = Server::start(&["--shards", "2", "--window", "100ms", &certificate, &key]);
    let peer = HostilePeer::connect(&server, &identity, b"uproar/1").unwrap();
    let mut hello = Vec::new();
    Hello { rooms: vec![RoomId(ROOM)], token: Vec::new() }.encode(&mut hello);
    let _control = peer.talk(&hello);
    let mut stream = peer.room_stream();
    assert!(peer.read(&mut stream).is_some());
    server.send_sigterm();
    // What is not read is not acknowledged as read: the frames that come meanwhile need no reader.
    let ConnectionError::ApplicationClosed(close) = peer.end() else { panic!("closed by the application") };
    assert_eq!(close.error_code.into_inner(), CloseCode::Draining as u64);
    assert_eq!(std::str::from_utf8(&close.reason).unwrap(), "the server is going away");
}

/// Unmarked and marked datagrams of either way.
fn marks(path: &ImpairedPath) -> [(u64, u64); 2] {
    [Way::ToServer, Way::ToClient].map(|way| path.happened().unmarked_and_marked(way))
}

fn watch_frames(viewer: &mut Viewer, frames: usize) {
    (0..frames).for_each(|_| drop(viewer.next_frame()));
}

#[test]
fn both_ends_mark_what_they_send_as_long_as_the_other_confirms_it() {
    let server = server();
    let path = ImpairedPath::to(server.quic(), Impairment::default(), 1);
    let mut viewer = Viewer::watching_through(&path, &[ROOM]);
    watch_frames(&mut viewer, 5);
    let before = marks(&path);
    watch_frames(&mut viewer, 5);
    // An end that is not told how many marks have arrived stops setting them: see below.
    for ((_, before), (unmarked, after)) in before.into_iter().zip(marks(&path)) {
        assert_eq!(unmarked, 0, "every datagram is marked");
        assert!(after > before, "{before} marked datagrams, then {after}");
    }
}

#[test]
fn a_path_that_clears_marks_carries_frames_without_them() {
    let server = server();
    let path = ImpairedPath::to(server.quic(), Impairment { is_bleached: true, ..Impairment::default() }, 1);
    let mut viewer = Viewer::watching_through(&path, &[ROOM]);
    watch_frames(&mut viewer, 5);
    let before = marks(&path);
    watch_frames(&mut viewer, 5);
    for ((unmarked_before, before), (unmarked, after)) in before.into_iter().zip(marks(&path)) {
        assert_eq!(before, after, "nobody marks in vain");
        assert!(unmarked > unmarked_before);
    }
    assert_eq!(server.metric("uproar_subscribers"), 1);
}
