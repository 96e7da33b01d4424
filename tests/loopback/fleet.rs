//! Hundreds of real subscribers of one thread: every frame reaches each of them, also those who come, go and stall.

use crate::support::hostile::Identity;
use crate::support::{DEADLINE, Server, Tapper, eventually};
use std::ops::Range;
use std::time::Duration;
use uproar_client::Trust;
use uproar_loadgen::fleet::{Fleet, FleetConfig, FleetTotals, Pause, WindowArrivals};
use uproar_wire::RoomId;

const ROOM: RoomId = RoomId(1);
/// So long that a machine which is busy with compilers lets every window have a frame. That a frame is skipped is still no
/// failure, but whatever is missing must have been.
const WINDOW: &str = "500ms";
const WINDOW_MS: u64 = 500;

fn server() -> Server {
    Server::start(&["--shards", "2", "--window", WINDOW])
}

fn fleet(server: &Server, subscribers: usize, change: impl FnOnce(&mut FleetConfig)) -> Fleet {
    let mut config = FleetConfig::new(server.quic(), vec![ROOM], subscribers);
    change(&mut config);
    let fleet = Fleet::start(config).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    fleet
}

/// The next window in which as many frames come as are due.
fn window_of(fleet: &Fleet, frames: u64) -> WindowArrivals {
    loop {
        let window = fleet.next_window(DEADLINE).unwrap_or_else(|| panic!("no window: {:?}", fleet.totals()));
        if (window.frames, window.missing) == (frames, 0) {
            return window;
        }
    }
}

/// Ends the fleet. Nobody was lost, nobody saw anything twice or otherwise than the others, and whatever did not come was
/// skipped.
fn stop_undisturbed(server: &Server, fleet: Fleet) -> FleetTotals {
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.duplicates, totals.conflicting, totals.lost_connections()), (0, 0, 0), "{totals:?}");
    server.assert_skipped(totals.gaps + totals.gaps_while_paused);
    totals
}

#[test]
fn every_subscriber_has_every_frame() {
    let server = server();
    let fleet = fleet(&server, 300, |_| {});
    assert_eq!(server.metric("uproar_subscribers"), 300);
    for _ in 0..3 {
        let window = window_of(&fleet, 300);
        assert!(window.first_at.unix_us >= (window.window.0 + 1) * WINDOW_MS * 1000, "before its end: {window:?}");
        assert!(window.lateness_us_p50 <= window.lateness_us_p99 && window.lateness_us_p99 <= window.lateness_us_max);
    }
    assert!(!fleet.cpu().unwrap().is_zero());
    let totals = stop_undisturbed(&server, fleet);
    assert!(totals.frames >= 900);
    assert_eq!((totals.subscribers, totals.handshakes), (300, 300));
    // Told, not timed out.
    server.await_shards("uproar_subscribers", |now| now == 0);
    assert_eq!(server.metric("uproar_connections_total{proto=\"quic\",outcome=\"done\"}"), 300);
}

#[test]
fn who_leaves_and_comes_back_has_every_frame_again() {
    let server = server();
    let fleet = fleet(&server, 300, |config| config.resume = true);
    window_of(&fleet, 300);
    fleet.churn(100..150, DEADLINE).unwrap();
    window_of(&fleet, 300);
    // These are gone for the server only when their time is up.
    fleet.vanish(0..10).unwrap();
    window_of(&fleet, 290);
    let totals = stop_undisturbed(&server, fleet);
    assert_eq!((totals.handshakes, totals.subscribers), (350, 290));
}

/// Pauses these for several windows, and waits until they have every frame again. Returns the windows they skipped.
fn stall(pause: Pause, stalled: Range<usize>) -> u64 {
    let server = server();
    // A window of a few frames, and silence for longer than the test waits.
    let fleet = fleet(&server, 100, |config| config.stream_window_bytes = 1024);
    window_of(&fleet, 100);
    fleet.pause(stalled.clone(), pause).unwrap();
    let others = 100 - stalled.len() as u64;
    let until = window_of(&fleet, others).window.0 + 25;
    while window_of(&fleet, others).window.0 < until {}
    fleet.resume_reading(stalled).unwrap();
    window_of(&fleet, 100);
    stop_undisturbed(&server, fleet).gaps_while_paused
}

#[test]
fn who_does_not_read_finds_the_newest_frame() {
    let skipped = stall(Pause::Unread, 20..40);
    assert!(skipped > 0, "the server kept all frames for them");
}

#[test]
fn who_hears_nothing_for_a_while_goes_on_with_the_newest_frame() {
    stall(Pause::Deaf, 20..40);
}

#[test]
fn a_room_that_does_not_exist_is_a_loss_that_says_so() {
    let server = server();
    let fleet = Fleet::start(FleetConfig::new(server.quic(), vec![RoomId(99)], 3)).unwrap();
    let error = fleet.wait_subscribed(DEADLINE).unwrap_err().to_string();
    assert!(error.starts_with("3 of 3 connections are lost"), "{error}");
}

fn await_settled(fleet: &Fleet) {
    eventually(|| fleet.is_settled().unwrap().then_some(()), || format!("on the way: {:?}", fleet.totals()));
}

/// A server with rooms of these numbers.
fn server_of(rooms: &[u32]) -> Server {
    let palette = r#"[{ name = "fire", glyph = "f" }]"#;
    let room = |id| format!("[[rooms]]\nid = {id}\nname = \"Room {id}\"\npalette = {palette}\n");
    let toml: String = rooms.iter().map(room).collect();
    Server::configured(&toml, &["--shards", "2", "--window", WINDOW])
}

#[test]
fn each_watches_a_room_of_its_own() {
    let server = server_of(&[1, 2, 3]);
    let rooms = vec![(RoomId(3), 100), (RoomId(1), 0), (RoomId(2), 50)];
    let fleet = Fleet::start(FleetConfig::one_each(server.quic(), rooms)).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    let tapper = Tapper::to(server.reactions());
    window_of(&fleet, 150);
    (0..5).for_each(|count| tapper.tap(3, 0, count + 1));
    window_of(&fleet, 150);
    // All of one room, so that the other's are left.
    fleet.leave(0..100).unwrap();
    window_of(&fleet, 50);
    let totals = stop_undisturbed(&server, fleet);
    assert_eq!((totals.subscribers, totals.wanted), (50, 50), "{totals:?}");
}

#[test]
fn the_rooms_numbers_are_consecutive() {
    let server = server_of(&[1]);
    let rooms = vec![(RoomId(1), 3), (RoomId(99), 2)];
    let fleet = Fleet::start(FleetConfig::one_each(server.quic(), rooms)).unwrap();
    let error = fleet.wait_subscribed(DEADLINE).unwrap_err().to_string();
    assert!(error.starts_with("2 of 5 connections are lost") && error.contains("none of the rooms exists"), "{error}");
    window_of(&fleet, 3);
    // Whoever is told to go is not held against the server.
    fleet.leave(3..5).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    assert_eq!(fleet.stop().unwrap().wanted, 3);
}

#[test]
fn parts_of_the_fleet_come_and_go_while_nobody_waits() {
    let server = server();
    let fleet = fleet(&server, 300, |config| config.present = 100);
    window_of(&fleet, 100);
    fleet.join(50..300).unwrap();
    await_settled(&fleet);
    window_of(&fleet, 300);
    fleet.churn_begin(290..300).unwrap();
    fleet.leave(0..200).unwrap();
    fleet.join(10..20).unwrap();
    await_settled(&fleet);
    window_of(&fleet, 110);
    server.await_shards("uproar_subscribers", |now| now == 110);
    let totals = stop_undisturbed(&server, fleet);
    assert_eq!((totals.handshakes, totals.subscribers, totals.wanted, totals.on_the_way), (320, 110, 110, 0));
}

#[test]
fn whoever_leaves_on_the_way_is_neither_there_nor_lost() {
    let server = server();
    let fleet = Fleet::start(FleetConfig::new(server.quic(), vec![ROOM], 300)).unwrap();
    fleet.leave(0..300).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    let totals = fleet.totals().unwrap();
    assert_eq!((totals.subscribers, totals.wanted, totals.lost_connections()), (0, 0, 0), "{totals:?}");
    fleet.join(0..300).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    window_of(&fleet, 300);
}

#[test]
fn handshakes_and_frames_are_measured() {
    let server = server();
    let fleet = fleet(&server, 100, |_| {});
    (0..3).for_each(|_| _ = window_of(&fleet, 100));
    assert_eq!(fleet.measures().unwrap().handshake_us.len(), 100);
    let (totals, measures) = fleet.stop_measured().unwrap();
    assert_eq!((measures.handshake_us.len(), measures.subscribe_us.len()), (100, 100));
    assert!(measures.handshake_us.max() <= measures.subscribe_us.max());
    let due = measures.lateness_us.len();
    assert!((300..=totals.frames - 100).contains(&due), "{due} of {}", totals.frames);
    assert_eq!(measures.staleness_us.len(), due);
    // No more than the first of a window has nobody before it, and most have.
    assert!(measures.spread_us.len() < due && measures.spread_us.len() >= due / 2, "{due}");
    // A picture is replaced one window after its end at the earliest, but for three digits.
    let least_us = WINDOW_MS * 1000 - 1000;
    assert!(measures.staleness_us.min() >= least_us, "{}", measures.staleness_us.min());
}

/// Waits until so many are lost, all of them for this reason.
fn await_lost(fleet: &Fleet, reason: &str, count: u64) {
    let expected = [(reason.to_owned(), count)].into();
    let lost = || fleet.totals().unwrap().lost;
    eventually(|| (lost() == expected).then_some(()), || format!("lost: {:?}", lost()));
}

/// With keys that outlive the process.
fn start(key_file: &std::path::Path, quic: &str) -> Server {
    let toml = format!("[quic]\nkey_file = {:?}\n", key_file.display().to_string());
    Server::configured(&toml, &["--shards", "2", "--window", WINDOW, "--quic", quic])
}

#[test]
fn who_was_given_up_unheard_is_lost_when_it_listens_again() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("keys");
    let first = start(&key_file, "127.0.0.1:0");
    // Silence is believed in for longer than the test waits.
    let fleet = fleet(&first, 20, |config| config.idle_timeout = 10 * DEADLINE);
    window_of(&fleet, 20);
    fleet.pause(0..10, Pause::Deaf).unwrap();
    fleet.pause(10..20, Pause::Unread).unwrap();
    let quic = first.quic().to_string();
    first.kill();
    let second = start(&key_file, &quic);
    fleet.resume_reading(0..20).unwrap();
    await_lost(&fleet, "reset by peer", 20);
    // They do not come back by themselves.
    assert!(fleet.is_settled().unwrap());
    assert_eq!(second.metric("uproar_subscribers"), 0);
    fleet.join(0..20).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    window_of(&fleet, 20);
}

#[test]
fn who_hears_nothing_for_too_long_is_lost() {
    let server = server();
    let fleet = fleet(&server, 20, |config| config.idle_timeout = Duration::from_secs(5));
    window_of(&fleet, 20);
    fleet.pause(0..5, Pause::Deaf).unwrap();
    await_lost(&fleet, "timed out", 5);
    fleet.resume_reading(0..5).unwrap();
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.subscribers, totals.wanted, totals.lost_connections()), (15, 20, 5), "{totals:?}");
}

#[test]
fn only_a_server_that_is_trusted_gets_subscribers() {
    let (identity, stranger) = (Identity::new(), Identity::new());
    let flags = identity.flags();
    let args = ["--shards", "2", "--window", WINDOW, &flags[0], &flags[1]];
    let server = Server::start(&args);
    let trusting = |identity: &Identity| Trust::roots_from_der(vec![identity.certificate()]).unwrap();
    window_of(&fleet(&server, 5, |config| config.trust = trusting(&identity)), 5);
    let config = FleetConfig { trust: trusting(&stranger), ..FleetConfig::new(server.quic(), vec![ROOM], 5) };
    let error = Fleet::start(config).unwrap().wait_subscribed(DEADLINE).unwrap_err().to_string();
    assert!(error.starts_with("5 of 5 connections are lost") && error.contains("certificate"), "{error}");
}
