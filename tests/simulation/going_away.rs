//! How a node goes away whose audience is on real networks: some have vanished, some are far away, some do not read.

use super::{Habits, Impairment, ROOM, SHARDS, Simulation, Viewer, WINDOW, Way};
use std::time::Duration;
use uproar::limits::{DRAIN_DELIVERY, DRAIN_LOOK_EVERY, DRAIN_REPEAT_AFTER, DRAIN_SILENCE};
use uproar::metrics::RoomRefusal;

/// A turn of the loop and the mesh, with room to spare.
const MOMENT: Duration = Duration::from_millis(5);

/// A round trip of 300 ms, of which 20 are the network's own.
const FAR_AWAY: Impairment = Impairment {
    loss_percent: 2,
    duplicate_percent: 0,
    jitter: Duration::from_millis(10),
    distance: Duration::from_millis(135),
};

fn audience(simulation: &mut Simulation, size: usize) -> Vec<Viewer> {
    let viewers: Vec<_> = (0..size).map(|number| simulation.viewer(number % SHARDS)).collect();
    viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
    viewers
}

/// Taps every millisecond until a tap is refused; how many were accepted, and how long that took.
fn tap_until_refused(simulation: &mut Simulation) -> (u64, Duration) {
    let (began, before) = (simulation.elapsed(), accepted(simulation));
    for shard in (0..SHARDS).cycle() {
        let taps = accepted(simulation);
        simulation.tap(Way::Json(shard), ROOM, 0, 1);
        if accepted(simulation) == taps {
            break;
        }
        simulation.run_for(Duration::from_millis(1));
    }
    (accepted(simulation) - before, simulation.elapsed() - began)
}

fn accepted(simulation: &mut Simulation) -> u64 {
    simulation.metrics().reactions.iter().sum()
}

fn assert_all_framed(simulation: &mut Simulation) {
    let metrics = simulation.metrics();
    let counted = metrics.reactions.iter().sum::<u64>();
    assert_eq!((metrics.frame_taps, simulation.ledger.framed_taps()), (counted, counted));
}

#[test]
fn taps_are_accepted_while_vanished_subscribers_are_waited_for() {
    // Whether or not frames to them are on their way already.
    for windows in [0, 3] {
        let mut simulation = Simulation::new(70 + windows);
        let viewers = audience(&mut simulation, 40);
        simulation.run_through_window();
        let (gone, here) = viewers.split_at(4);
        gone.iter().for_each(|&viewer| simulation.vanish(viewer));
        (0..windows).for_each(|_| simulation.run_for(WINDOW));
        simulation.request_drain();
        let (taps, waited) = tap_until_refused(&mut simulation);
        assert!(waited >= DRAIN_SILENCE - MOMENT, "refused after {waited:?}");
        assert!(waited <= DRAIN_SILENCE + DRAIN_LOOK_EVERY + MOMENT, "accepted for {waited:?}");
        assert!(taps > 100, "{taps}");
        let refused_at = simulation.elapsed();
        simulation.run_until("the end", |simulation| here.iter().all(|&viewer| simulation.is_over(viewer)));
        let took = simulation.elapsed() - refused_at;
        assert!(took <= Duration::from_millis(100), "those who answer were waited for {took:?}");
        simulation.run_until_drained();
        assert_all_framed(&mut simulation);
        for &viewer in here {
            assert_eq!(simulation.close_code_of(viewer), Some(1));
            let seen: u64 = simulation.frames_of(viewer).iter().map(|frame| frame.total).sum();
            assert_eq!(seen, taps, "everybody who is here sees every tap");
        }
    }
}

#[test]
fn a_subscriber_that_vanishes_at_the_last_moment_is_not_waited_for_long() {
    let mut simulation = Simulation::new(75);
    let viewers = audience(&mut simulation, 8);
    simulation.request_drain();
    // All have answered.
    tap_until_refused(&mut simulation);
    simulation.vanish(viewers[0]);
    let refused_at = simulation.elapsed();
    simulation.run_until_ended();
    let took = simulation.elapsed() - refused_at;
    assert!(took <= DRAIN_DELIVERY + DRAIN_REPEAT_AFTER + 4 * MOMENT, "{took:?}");
    assert_all_framed(&mut simulation);
}

#[test]
fn a_subscriber_that_does_not_read_ends_neither_taps_nor_the_others() {
    let mut simulation = Simulation::new(76);
    let here = audience(&mut simulation, 8);
    let deaf = simulation.viewer_with(0, Habits { rooms: vec![ROOM], window_bytes: 300 });
    simulation.run_until_watching(deaf);
    simulation.set_reading(deaf, false);
    (0..10).for_each(|_| simulation.run_for(WINDOW));
    simulation.request_drain();
    let (taps, _) = tap_until_refused(&mut simulation);
    let refused_at = simulation.elapsed();
    simulation.run_until_ended();
    let took = simulation.elapsed() - refused_at;
    assert!(took <= Duration::from_millis(100), "{took:?}");
    simulation.run_for(Duration::from_secs(1));
    assert_all_framed(&mut simulation);
    for viewer in here {
        let seen: u64 = simulation.frames_of(viewer).iter().map(|frame| frame.total).sum();
        assert_eq!((seen, simulation.close_code_of(viewer)), (taps, Some(1)));
    }
}

#[test]
fn distant_subscribers_get_the_last_frame_and_the_code_though_packets_are_lost() {
    const SIZE: usize = 25;
    let (mut without_frame, mut without_code, mut all) = (0, 0, 0);
    for seed in 80..90 {
        let mut simulation = Simulation::new(seed);
        simulation.network.impairment = FAR_AWAY;
        let viewers = audience(&mut simulation, SIZE);
        simulation.run_through_window();
        simulation.request_drain();
        let last = simulation.window();
        let (taps, _) = tap_until_refused(&mut simulation);
        let refused_at = simulation.elapsed();
        simulation.run_until_ended();
        let took = simulation.elapsed() - refused_at;
        assert!(took <= DRAIN_DELIVERY + DRAIN_REPEAT_AFTER + 4 * MOMENT, "{took:?}");
        simulation.run_for(Duration::from_secs(1));
        assert_all_framed(&mut simulation);
        for &viewer in &viewers {
            let frames = simulation.frames_of(viewer);
            let newest = frames.last().map(|frame| frame.window);
            without_frame += usize::from(newest < Some(last));
            without_code += usize::from(simulation.close_code_of(viewer) != Some(1));
            let seen: u64 = frames.iter().filter(|frame| frame.window >= last).map(|frame| frame.total).sum();
            assert!(seen <= taps);
        }
        all += SIZE;
    }
    // Two packets in a row are lost to one of 2,500.
    assert!(without_frame <= all / 100, "{without_frame} of {all} did not get the last frame");
    assert!(without_code <= all / 100, "{without_code} of {all} were not told why");
}

#[test]
fn a_room_that_is_asked_for_in_a_drain_is_counted_as_refused() {
    let mut simulation = Simulation::new(77);
    simulation.network.impairment = Impairment { loss_percent: 0, ..FAR_AWAY };
    let viewer = audience(&mut simulation, 1)[0];
    simulation.request_drain();
    tap_until_refused(&mut simulation);
    simulation.ask_for(viewer, ROOM + 1);
    simulation.run_until_drained();
    let refused = simulation.metrics().rooms_refused;
    assert_eq!((refused[RoomRefusal::Draining.index()], refused.iter().sum::<u64>()), (1, 1));
}
