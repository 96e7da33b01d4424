//! Hundreds of real subscribers of one thread: every frame reaches each of them, also those who come, go and stall.

use crate::support::{DEADLINE, Server};
use std::ops::Range;
use uproar_loadgen::fleet::{Fleet, FleetConfig, Pause, WindowArrivals};
use uproar_wire::RoomId;

const ROOM: RoomId = RoomId(1);

fn server() -> Server {
    Server::start(&["--shards", "2", "--window", "200ms"])
}

fn fleet(server: &Server, subscribers: usize, change: impl FnOnce(&mut FleetConfig)) -> Fleet {
    let mut config = FleetConfig::new(server.quic(), vec![ROOM], subscribers);
    change(&mut config);
    let fleet = Fleet::start(config).unwrap();
    fleet.wait_subscribed(DEADLINE).unwrap();
    fleet
}

/// The next window in which as many frames come as are due, none of them missing before.
fn window_of(fleet: &Fleet, frames: u64) -> WindowArrivals {
    loop {
        let window = fleet.next_window(DEADLINE).unwrap_or_else(|| panic!("no window: {:?}", fleet.totals()));
        assert_eq!(window.missing, 0, "{window:?}");
        if window.frames == frames {
            return window;
        }
    }
}

#[test]
fn every_subscriber_has_every_frame() {
    let server = server();
    let fleet = fleet(&server, 300, |_| {});
    assert_eq!(server.metric("uproar_subscribers"), 300);
    let mut last = window_of(&fleet, 300);
    for _ in 0..2 {
        let next = fleet.next_window(DEADLINE).unwrap();
        assert_eq!((next.window.0, next.frames, next.missing), (last.window.0 + 1, 300, 0));
        assert!(next.first_at.unix_us >= last.first_at.unix_us + 100_000, "{last:?}, {next:?}");
        assert!(next.lateness_us_p50 <= next.lateness_us_p99 && next.lateness_us_p99 <= next.lateness_us_max);
        last = next;
    }
    assert!(!fleet.cpu().unwrap().is_zero());
    let totals = fleet.stop().unwrap();
    assert!(totals.frames >= 900);
    assert_eq!((totals.subscribers, totals.handshakes, totals.lost_connections()), (300, 300, 0));
    assert_eq!((totals.gaps, totals.duplicates), (0, 0));
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
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.handshakes, totals.subscribers), (350, 290));
    assert_eq!((totals.gaps, totals.gaps_while_paused, totals.lost_connections()), (0, 0, 0), "{totals:?}");
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
    let totals = fleet.stop().unwrap();
    assert_eq!((totals.gaps, totals.duplicates, totals.lost_connections()), (0, 0, 0), "{totals:?}");
    totals.gaps_while_paused
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
