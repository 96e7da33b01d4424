//! Bad networks: whatever a path does to datagrams, every subscriber comes to the newest frame, and nobody is lost.

use crate::support::impairment::{Happened, ImpairedPath, Impairment};
use crate::support::{DEADLINE, Http, Server, eventually, http};
use std::time::Duration;
use uproar_loadgen::fleet::{Fleet, FleetConfig};
use uproar_wire::RoomId;

const ROOM: RoomId = RoomId(1);
const SUBSCRIBERS: usize = 20;
/// Windows over which a path does its worst.
const WINDOWS: u64 = 8;

/// The window of the newest frame there is; waits for the first.
fn newest(server: &Server) -> u64 {
    let mut http = Http::to(server.http());
    let ask = || {
        let reply = http.ask(&http::get("/v1/rooms/1/frame"));
        let frame: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        frame["window"].as_u64()
    };
    eventually(ask, || "the room has no frame".into())
}

/// Waits for a window whose frame every subscriber has, and that is not older than `window`.
fn await_everybody(fleet: &Fleet, window: u64) {
    loop {
        let next = fleet.next_window(DEADLINE).unwrap_or_else(|| panic!("no window: {:?}", fleet.totals()));
        if next.window.0 >= window && next.frames == SUBSCRIBERS as u64 {
            return;
        }
    }
}

/// Subscribes through the path, stays for some windows, and looks who has the newest frame: while the path is as it is,
/// and once it is a good one.
fn everybody_comes_through(impairment: Impairment, count: impl Fn(&Happened) -> u64) {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let path = ImpairedPath::to(server.quic(), impairment, 1);
    let fleet = Fleet::start(FleetConfig::new(path.address(), vec![ROOM], SUBSCRIBERS)).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    await_everybody(&fleet, newest(&server) + WINDOWS);
    assert!(count(path.happened()) > 0, "nothing happened on the way: {:?}", path.happened());
    path.lift();
    await_everybody(&fleet, newest(&server));
    assert_eq!(server.metric("uproar_subscribers"), SUBSCRIBERS as u64);
    let accepted = server.metric("uproar_connections_total{proto=\"quic\",outcome=\"accepted\"}");
    assert_eq!(accepted, SUBSCRIBERS as u64, "nobody had to come twice");
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.lost_connections(), totals.handshakes), (0, SUBSCRIBERS as u64), "{totals:?}");
    assert_eq!(totals.duplicates, 0, "windows only ever grow: {totals:?}");
    server.await_shards("uproar_subscribers", |now| now == 0);
}

#[test]
fn a_path_that_loses_a_few() {
    everybody_comes_through(Impairment { lost: 2, ..Impairment::default() }, Happened::lost);
}

#[test]
fn a_path_that_loses_a_third_of_the_handshakes() {
    everybody_comes_through(Impairment { handshakes_lost: 30, ..Impairment::default() }, Happened::lost);
}

#[test]
fn a_path_that_changes_the_order() {
    let jitter = Duration::from_millis(30);
    everybody_comes_through(Impairment { jitter, ..Impairment::default() }, Happened::overtaken);
}

#[test]
fn a_path_that_brings_many_twice() {
    let jitter = Duration::from_millis(5);
    everybody_comes_through(Impairment { doubled: 30, jitter, ..Impairment::default() }, Happened::doubled);
}

#[test]
fn a_path_that_corrupts_a_few() {
    everybody_comes_through(Impairment { corrupted: 5, ..Impairment::default() }, Happened::corrupted);
}

#[test]
fn a_path_that_does_it_all() {
    let jitter = Duration::from_millis(20);
    let all = Impairment { lost: 3, handshakes_lost: 5, doubled: 5, corrupted: 3, jitter, is_bleached: true };
    everybody_comes_through(all, Happened::lost);
}
