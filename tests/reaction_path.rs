//! The path of a reaction through four shards, from the bytes of a tap to the bytes of a frame: everything but the edge,
//! in virtual time. A run that fails prints its seed.

mod emoji_ids;
mod simulation;

use simulation::{
    Habits, Impairment, PALETTE_LEN, ROOM, RandomMatch, SHARDS, Simulation, WINDOW, WINDOW_MS, Way, assert_in_order,
    datagram,
};
use std::time::Duration;
use uproar::metrics::{Reject, Skip};
use uproar::tally::TapLimits;

/// `docs/WIRE.md`, reaction datagram: three taps of emoji 2 in room 7.
const THREE_TAPS: [u8; 20] = [1, 0, 1, 0, 7, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 2, 0, 3, 0];

#[test]
fn a_reaction_travels_from_the_socket_to_the_subscriber() {
    let mut simulation = Simulation::new(1);
    let viewer = simulation.watching(3);
    let window = simulation.window();
    simulation.receive_datagrams(1, &THREE_TAPS, 0, &[(ROOM, 2, 3)]);
    simulation.run_through_window();

    let frames = simulation.frames_of(viewer);
    let mut expected = vec![55, 0, 0, 0, 2];
    expected.extend([3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x10, 0x27, 255]);
    expected.extend([7, 0, 0, 0, 0xd0, 7, 0, 0]);
    for number in [window, window * WINDOW_MS, 3] {
        expected.extend(number.to_le_bytes());
    }
    expected.push(255);
    expected.extend((-46i32).to_le_bytes());
    expected.extend([1, 0, 0, 0]);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].bytes, expected);
    assert_eq!((frames[0].start_ms, frames[0].total, &frames[0].top[..]), (window * WINDOW_MS, 3, &[(2, 3)][..]));
}

#[test]
fn every_way_in_counts_the_same() {
    let mut simulation = Simulation::new(2);
    let viewer = simulation.watching(2);
    for way in [Way::Udp(0), Way::Json(1), Way::Binary(2), Way::Udp(3), Way::Quic(viewer)] {
        let before = simulation.frames_of(viewer).len();
        simulation.tap(way, ROOM, 4, 65_535);
        simulation.tap(way, ROOM, 1, 2);
        simulation.run_through_window();
        let frames = simulation.frames_of(viewer);
        assert_eq!(frames.len(), before + 1, "{way:?}");
        assert_eq!((frames[before].total, &frames[before].top[..]), (65_537, &[(4, 65_535), (1, 2)][..]), "{way:?}");
    }
    let before = simulation.frames_of(viewer).len();
    simulation.tap_train(1, &[[(ROOM, 4, 65_000), (ROOM, 1, 1)], [(ROOM, 4, 500), (ROOM, 1, 1)]], (ROOM, 4, 35));
    simulation.run_through_window();
    assert_eq!(simulation.frames_of(viewer)[before].top, [(4, 65_535), (1, 2)]);
    assert_eq!(simulation.metrics().reactions, [3 * 65_537, 2 * 65_537, 65_537, 0]);
}

#[test]
fn what_one_message_may_count_is_limited_whichever_way_it_comes() {
    let limits = TapLimits { per_record: 600, per_request: 2400 };
    let mut simulation = Simulation::with(62, |config| config.settings.tap_limits = limits);
    let viewer = simulation.watching(2);
    let offer = |simulation: &mut Simulation, taps: &[(u32, u16, u16)]| {
        let before: u64 = simulation.metrics().reactions.iter().sum();
        simulation.receive_datagrams(0, &datagram(taps), 0, taps);
        let binary = simulation.post_datagram(1, taps);
        let json = simulation.tap_labels(2, taps);
        simulation.react(viewer, &datagram(taps));
        simulation.run_for(Duration::from_millis(100));
        let sent: u64 = taps.iter().map(|&(_, _, count)| u64::from(count)).sum();
        let counted = simulation.metrics().reactions.iter().sum::<u64>() - before;
        (binary, json, counted as f64 / sent as f64)
    };
    let most = [(ROOM, 0, 600), (ROOM, 1, 600), (ROOM, 2, 600), (ROOM, 0, 600)];
    assert_eq!(offer(&mut simulation, &most), (Some(202), Some(202), 4.0));
    let too_many = [&most[..], &[(ROOM, 3, 1)]].concat();
    let beyond = [(ROOM, 0, 1), (ROOM, 1, 601)];
    for taps in [&too_many[..], &beyond, &[(ROOM, 0, u16::MAX); 200]] {
        assert_eq!(offer(&mut simulation, taps), (Some(422), Some(422), 0.0));
    }
    let rejected = simulation.metrics().rejected.map(|reasons| reasons[Reject::TooManyTaps.index()]);
    assert_eq!(rejected, [3, 6, 3, 0]);
    // An emoji that the room lacks is the reason that is told.
    simulation.receive_datagrams(0, &datagram(&[(ROOM, PALETTE_LEN, 700)]), 0, &[]);
    assert_eq!(simulation.metrics().rejected[0][Reject::UnknownEmoji.index()], 1);

    simulation.reconfigure(|config| config.settings.tap_limits = TapLimits { per_record: 601, ..limits });
    assert_eq!(offer(&mut simulation, &beyond), (Some(202), Some(202), 4.0));
    assert_eq!(offer(&mut simulation, &too_many), (Some(422), Some(422), 0.0));
    simulation.reconfigure(|config| config.settings.tap_limits = TapLimits::NONE);
    assert_eq!(offer(&mut simulation, &[(ROOM, 0, u16::MAX); 200]), (Some(202), Some(202), 4.0));
}

#[test]
fn a_datagram_is_dropped_whole_and_a_train_car_by_car() {
    let mut simulation = Simulation::new(3);
    let viewer = simulation.watching(0);
    simulation.receive_datagrams(1, &datagram(&[(ROOM, 0, 5), (ROOM, PALETTE_LEN, 1)]), 0, &[]);
    let cars = [datagram(&[(ROOM, 0, 1)]), datagram(&[(ROOM + 1, 0, 9)]), datagram(&[(ROOM, 1, 1)])].concat();
    simulation.receive_datagrams(2, &cars, 20, &[(ROOM, 0, 1), (ROOM, 1, 1)]);
    simulation.run_through_window();
    assert_eq!(simulation.frames_of(viewer)[0].top, [(0, 1), (1, 1)]);
}

#[test]
fn each_windows_frame_comes_once_and_in_order_to_every_shard() {
    let mut simulation = Simulation::new(4);
    let viewers: Vec<_> = (0..SHARDS).map(|shard| simulation.viewer(shard)).collect();
    viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
    let first = simulation.window();
    for round in 0..10 {
        simulation.tap(Way::Udp(round % SHARDS), ROOM, 0, round as u16 + 1);
        simulation.run_for(WINDOW);
    }
    simulation.run_through_window();
    let frames = simulation.frames_of(viewers[0]);
    assert_eq!(simulation.windows_of(viewers[0]), (first..=first + 10).collect::<Vec<_>>());
    assert_eq!(frames.iter().map(|frame| frame.total).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]);
    for (shard, &viewer) in viewers.iter().enumerate() {
        assert_eq!(simulation.frames_of(viewer), frames, "on shard {shard}");
        assert_eq!(simulation.metrics_of(shard).frames_sent, 11, "on shard {shard}");
    }
}

#[test]
fn random_matches_conserve_every_tap() {
    let (mut taps, mut viewers) = (0, 0);
    for seed in 0..50 {
        let balanced = RandomMatch::play(seed, 6, 60).drain_and_balance();
        taps += balanced.0;
        viewers += balanced.1;
    }
    assert!(taps > 1_000_000 && viewers > 50, "{taps} taps and {viewers} viewers are no match");
}

#[test]
fn a_match_before_a_thousand_viewers_conserves_every_tap() {
    let mut played = RandomMatch::play(1000, 1000, 40);
    assert!(played.simulation.metrics().subscribers.iter().sum::<u64>() > 100);
    played.drain_and_balance();
}

#[test]
fn late_deltas_join_a_later_window() {
    let mut simulation = Simulation::new(5);
    simulation.network.mesh_delay_max = Duration::from_millis(3000);
    let viewer = simulation.watching(1);
    for _ in 0..20 {
        for shard in 0..SHARDS {
            simulation.tap(Way::Udp(shard), ROOM, 0, 1);
        }
        simulation.run_for(WINDOW);
    }
    simulation.drain();
    assert!(simulation.metrics().window_late_deltas > 0);
    assert_eq!(simulation.ledger.framed_taps(), 20 * SHARDS as u64);
    assert_in_order(&simulation.frames_of(viewer));
}

#[test]
fn a_spread_frame_reaches_a_thousand_viewers_bit_by_bit_and_all_of_them() {
    const VIEWERS: usize = 1000;
    const SPREAD: Duration = Duration::from_millis(500);
    let mut simulation = Simulation::with(14, |config| config.settings.fanout_spread = SPREAD);
    let viewers: Vec<_> = (0..VIEWERS).map(|number| simulation.viewer(number % SHARDS)).collect();
    viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
    simulation.run_through_window();
    simulation.run_for(SPREAD);
    let window = simulation.window();
    let before = simulation.metrics().frames_sent;
    for _ in 0..3 {
        simulation.tap(Way::Udp(0), ROOM, 0, 1);
        simulation.run_for(WINDOW);
    }
    assert_eq!(simulation.metrics().frames_sent - before, 3 * VIEWERS as u64);
    assert_eq!(simulation.metrics().frames_skipped, [0, 0]);
    for &viewer in &viewers {
        let windows = simulation.windows_of(viewer);
        assert_eq!(windows[windows.len() - 3..], [window, window + 1, window + 2]);
    }
    simulation.run_until_window_closes();
    let mut sent = Vec::new();
    for _ in 0..6 {
        sent.push((simulation.metrics().frames_sent - before) as usize - 3 * VIEWERS);
        simulation.run_for(SPREAD / 5);
    }
    // The frame is there a little after the window has closed: deltas travel.
    for (fifth, &sent) in sent.iter().enumerate() {
        let allowed = VIEWERS * fifth / 5;
        assert!((allowed.saturating_sub(VIEWERS / 10)..=allowed).contains(&sent), "{sent} after {fifth} fifths");
    }
}

#[test]
fn a_slow_subscriber_gets_the_newest_frame_and_the_skipped_ones_are_counted() {
    let mut simulation = Simulation::new(6);
    let slow = simulation.viewer_with(0, Habits { rooms: vec![ROOM], window_bytes: 300 });
    simulation.run_until_watching(slow);
    simulation.set_reading(slow, false);
    let first = simulation.window();
    for _ in 0..20 {
        simulation.tap(Way::Udp(1), ROOM, 0, 1);
        simulation.run_for(WINDOW);
    }
    let made = simulation.ledger.frames.len() as u64;
    simulation.set_reading(slow, true);
    simulation.run_for(Duration::from_millis(200));

    let windows = simulation.windows_of(slow);
    assert_eq!(windows[0], first, "what had been sent before is still read");
    assert_eq!(windows.last(), Some(&(first + 19)), "the newest frame comes as soon as there is room");
    assert_in_order(&simulation.frames_of(slow));
    let metrics = simulation.metrics();
    assert_eq!(metrics.frames_sent, windows.len() as u64);
    assert_eq!(metrics.frames_skipped[Skip::SlowSubscriber.index()], made - windows.len() as u64);
    assert!(windows.len() < 10, "{windows:?}");
}

#[test]
fn a_late_joiner_gets_the_palette_and_the_newest_frame_at_once() {
    let mut simulation = Simulation::new(7);
    simulation.tap(Way::Udp(2), ROOM, 3, 9);
    simulation.run_through_window();
    let newest = simulation.window() - 1;
    let joiner = simulation.viewer(1);
    simulation.run_for(Duration::from_millis(100));
    assert_eq!(simulation.window(), newest + 1, "no window has closed since");
    let stream = simulation.stream_of(joiner);
    assert_eq!(stream.palettes, [(0, u32::from(PALETTE_LEN))]);
    assert_eq!(stream.frames.iter().map(|frame| (frame.window, frame.total)).collect::<Vec<_>>(), [(newest, 9)]);
}

#[test]
fn a_wall_clock_that_jumps_neither_repeats_a_window_nor_stalls_them() {
    const HOUR_MS: i64 = 3_600_000;
    for steps in [[HOUR_MS, -HOUR_MS], [-HOUR_MS, HOUR_MS]] {
        let mut simulation = Simulation::new(8);
        let viewer = simulation.watching(2);
        for step in steps.into_iter().chain([0]) {
            for _ in 0..5 {
                simulation.tap(Way::Udp(0), ROOM, 0, 1);
                simulation.run_for(WINDOW);
            }
            simulation.step_wall_clock(step);
        }
        simulation.run_for(2 * WINDOW);
        let frames = simulation.frames_of(viewer);
        assert_in_order(&frames);
        // A window that is cut short by a jump counts as one.
        assert!((16..=18).contains(&frames.len()), "{:?}", simulation.windows_of(viewer));
        assert_eq!(frames.iter().map(|frame| frame.total).sum::<u64>(), 15);
    }
}

#[test]
fn a_palette_grows_under_live_counts() {
    let mut simulation = Simulation::new(10);
    let viewer = simulation.watching(0);
    simulation.tap(Way::Json(1), ROOM, 0, 2);
    assert_eq!(simulation.put_room(ROOM, PALETTE_LEN + 1), 200);
    simulation.tap(Way::Json(1), ROOM, PALETTE_LEN, 1);
    simulation.tap(Way::Json(1), ROOM, 0, 1);
    simulation.run_through_window();
    assert_eq!(simulation.frames_of(viewer)[0].top, [(0, 3), (PALETTE_LEN, 1)]);
}

#[test]
fn a_room_is_deleted_while_taps_are_open() {
    let mut simulation = Simulation::new(11);
    let viewer = simulation.watching(2);
    for shard in 0..SHARDS {
        simulation.tap(Way::Udp(shard), ROOM, 1, 10);
    }
    let deleted = simulation.admin("DELETE", "/v1/rooms/7", "");
    assert_eq!(simulation.answer(deleted).0, 204);
    simulation.tap(Way::Udp(0), ROOM, 1, 1);
    simulation.run_through_window();
    assert_eq!(simulation.close_code_of(viewer), Some(6));
    assert_eq!(simulation.ledger.framed_taps(), 10 * SHARDS as u64, "what was accepted is still counted");
    assert_eq!(simulation.metrics().rejected[0][Reject::UnknownRoom.index()], 1);
    assert_eq!(simulation.fetch(3, "/v1/rooms/7/frame").0, 404);

    assert_eq!(simulation.put_room(ROOM, 2), 201);
    let viewer = simulation.watching(1);
    assert_eq!(simulation.frames_of(viewer), [], "the room before it is forgotten");
}

#[test]
fn a_drain_loses_nothing() {
    let mut simulation = Simulation::new(12);
    simulation.network.impairment = Impairment {
        loss_percent: 5,
        duplicate_percent: 5,
        jitter: Duration::from_millis(20),
        ..Impairment::default()
    };
    let viewers: Vec<_> = (0..8).map(|number| simulation.viewer(number % SHARDS)).collect();
    viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
    for shard in 0..SHARDS {
        simulation.tap(Way::Json(shard), ROOM, 0, 100);
    }
    simulation.drain();
    let metrics = simulation.metrics();
    assert_eq!((metrics.reactions.iter().sum::<u64>(), metrics.frame_taps), (400, 400));
    for &viewer in &viewers {
        assert_eq!(simulation.frames_of(viewer).iter().map(|frame| frame.total).sum::<u64>(), 400);
    }
}

#[test]
fn subscribers_are_sent_away_evenly_while_the_match_goes_on() {
    const VIEWERS: usize = 400;
    const DURATION: Duration = Duration::from_secs(10);
    let mut simulation = Simulation::with(15, |config| config.settings.drain_duration = DURATION);
    let viewers: Vec<_> = (0..VIEWERS).map(|number| simulation.viewer(number % SHARDS)).collect();
    viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
    simulation.run_through_window();
    let first = simulation.window();
    simulation.request_drain();
    let refused = simulation.viewer(0);
    // Before anybody is sent away, so that they are not sent back here.
    simulation.run_for(Duration::from_millis(5));
    for shard in 0..SHARDS {
        assert_eq!(simulation.fetch(shard, "/readyz").0, 503);
    }
    assert!(!viewers.iter().any(|&viewer| simulation.is_over(viewer)));
    for tenth in 1..=10 {
        simulation.tap(Way::Udp(tenth % SHARDS), ROOM, 0, 10);
        simulation.tap(Way::Json(tenth % SHARDS), ROOM, 0, 10);
        simulation.run_for(DURATION / 10);
        let over = viewers.iter().filter(|&&viewer| simulation.is_over(viewer)).count();
        let allowed = VIEWERS * tenth / 10;
        assert!((allowed - VIEWERS / 10..=allowed).contains(&over), "{over} after {tenth} tenths");
        if tenth < 10 {
            assert_eq!(simulation.fetch(tenth % SHARDS, "/readyz").0, 503);
        }
    }
    simulation.run_until_drained();
    let metrics = simulation.metrics();
    assert_eq!((metrics.reactions.iter().sum::<u64>(), metrics.frame_taps), (200, 200), "taps are taken to the end");
    assert!(simulation.is_over(refused) && simulation.stream_of(refused).palettes.is_empty());
    assert_eq!(metrics.frames_skipped, [0, 0]);
    let mut last_windows: Vec<_> =
        viewers.iter().map(|&viewer| *simulation.windows_of(viewer).last().unwrap()).collect();
    last_windows.sort_unstable();
    assert!(last_windows[0] < first && last_windows[VIEWERS - 1] >= first + 4, "frames go on meanwhile");
    for &viewer in &viewers {
        assert_eq!(simulation.close_code_of(viewer), Some(1));
        let windows = simulation.windows_of(viewer);
        assert!(windows.windows(2).all(|pair| pair[1] == pair[0] + 1), "whoever is there gets each frame: {windows:?}");
    }
}

#[test]
fn leaving_loses_nothing() {
    for seed in 20..30 {
        let mut simulation = Simulation::with(seed, |config| {
            config.settings.drain_duration = Duration::from_secs(5);
            config.settings.fanout_spread = Duration::from_millis(300);
        });
        let viewers: Vec<_> = (0..20).map(|number| simulation.viewer(number % SHARDS)).collect();
        viewers.iter().for_each(|&viewer| simulation.run_until_watching(viewer));
        simulation.network.mesh_delay_max = Duration::from_millis(700);
        simulation.network.impairment = Impairment {
            loss_percent: 5,
            duplicate_percent: 5,
            jitter: Duration::from_millis(20),
            ..Impairment::default()
        };
        simulation.request_drain();
        for turn in 0..60 {
            let way = if turn % 3 == 0 { Way::Quic(viewers[turn / 3]) } else { Way::Udp(turn % SHARDS) };
            simulation.tap(way, ROOM, (turn % 6) as u16, 1);
            simulation.run_for(Duration::from_millis(100));
        }
        simulation.run_until_drained();
        let metrics = simulation.metrics();
        let counted = metrics.reactions.iter().sum::<u64>();
        assert!(counted > 20, "{counted} were counted");
        assert_eq!((metrics.frame_taps, simulation.ledger.framed_taps()), (counted, counted));
        viewers.iter().for_each(|&viewer| assert_in_order(&simulation.frames_of(viewer)));
        // A close is sent once, and packets are lost.
        let told = viewers.iter().filter(|&&viewer| simulation.close_code_of(viewer) == Some(1)).count();
        assert!(told > viewers.len() / 2, "{told} were told");
    }
}

#[test]
fn whoever_does_not_read_is_left_to_the_drain() {
    let mut simulation = Simulation::with(16, |config| config.settings.drain_duration = Duration::from_secs(4));
    let slow = simulation.viewer_with(0, Habits { rooms: vec![ROOM], window_bytes: 300 });
    let other = simulation.watching(0);
    simulation.run_until_watching(slow);
    simulation.set_reading(slow, false);
    (0..10).for_each(|_| simulation.run_for(WINDOW));
    simulation.request_drain();
    simulation.run_for(Duration::from_millis(4300));
    assert!(simulation.is_over(other) && !simulation.is_over(slow));
    simulation.set_reading(slow, true);
    simulation.tap(Way::Udp(3), ROOM, 0, 1);
    simulation.run_until_drained();
    assert_eq!(simulation.close_code_of(slow), Some(1));
    assert_eq!(simulation.ledger.framed_taps(), simulation.metrics().reactions.iter().sum::<u64>());
}

#[test]
fn a_subscriber_that_is_behind_when_the_drain_begins_still_gets_the_newest_frame() {
    let mut simulation = Simulation::new(13);
    let slow = simulation.viewer_with(0, Habits { rooms: vec![ROOM], window_bytes: 300 });
    simulation.run_until_watching(slow);
    simulation.set_reading(slow, false);
    for _ in 0..10 {
        simulation.run_for(WINDOW);
    }
    simulation.set_reading(slow, true);
    simulation.tap(Way::Udp(3), ROOM, 0, 1);
    simulation.drain();
    assert_eq!(simulation.frames_of(slow).last().map(|frame| frame.total), Some(1));
}

#[test]
fn rooms_of_a_configuration_change_on_every_shard_and_no_tap_is_lost() {
    for seed in 40..50 {
        let mut simulation = Simulation::new(seed);
        simulation.change_rooms(&[], &[(8, 3), (9, 3)]);
        assert_eq!(simulation.run_until_rooms_changed(), []);
        simulation.network.mesh_delay_max = Duration::from_millis(400);
        let viewer = simulation.watching(1);
        for shard in 0..SHARDS {
            simulation.tap(Way::Udp(shard), 8, 2, 10);
            simulation.tap(Way::Json(shard), 9, 0, 1);
        }
        // Its palette loses the emoji that was tapped; 6 is not there and need not go.
        simulation.change_rooms(&[9, 6], &[(8, 2), (ROOM, PALETTE_LEN + 1), (10, 1)]);
        assert_eq!(simulation.run_until_rooms_changed(), []);
        simulation.network.mesh_delay_max = Duration::ZERO;
        for shard in 0..SHARDS {
            let statuses = [8, 9, 10].map(|room| simulation.fetch(shard, &format!("/v1/rooms/{room}")).0);
            assert_eq!(statuses, [200, 404, 200], "shard {shard}");
            simulation.tap(Way::Udp(shard), 8, 2, 10);
            simulation.tap(Way::Udp(shard), ROOM, PALETTE_LEN, 10);
        }
        assert_eq!(simulation.metrics().rejected[0][Reject::UnknownEmoji.index()], SHARDS as u64);
        simulation.run_for(2 * WINDOW);
        assert_eq!(simulation.stream_of(viewer).palettes.len(), 2);
        simulation.drain();
        let metrics = simulation.metrics();
        assert_eq!((metrics.reactions.iter().sum::<u64>(), metrics.frame_taps), (84, 84));
        assert_eq!(simulation.ledger.framed().get(&(8, 2)), Some(&40));
    }
}

#[test]
fn a_drain_that_begins_while_rooms_change_ends() {
    for seed in 50..60 {
        let mut simulation = Simulation::new(seed);
        simulation.network.mesh_delay_max = Duration::from_millis(400);
        simulation.tap(Way::Udp(1), ROOM, 2, 10);
        simulation.change_rooms(&[ROOM], &[(8, 3), (9, 3), (10, 3)]);
        simulation.run_for(Duration::from_millis(100 * (seed - 50)));
        simulation.drain();
        let metrics = simulation.metrics();
        assert_eq!((metrics.reactions.iter().sum::<u64>(), metrics.frame_taps), (10, 10));
    }
}

#[test]
fn other_settings_are_for_what_comes_and_leave_what_is_there() {
    let mut simulation = Simulation::with(61, |config| config.settings.subscribers_max = 2);
    let viewers = [simulation.watching(0), simulation.watching(0)];
    simulation.reconfigure(|config| {
        config.settings.subscribers_max = 1;
        config.quic.settings.max_connections = 3;
        config.settings.drain_duration = Duration::from_secs(6);
        config.settings.fanout_spread = Duration::from_millis(500);
    });
    let third = simulation.viewer(0);
    simulation.run_through_window();
    let refused = simulation.viewer(0);
    simulation.run_through_window();
    assert!(simulation.is_over(third) && simulation.is_over(refused));
    assert_eq!(simulation.metrics().subscribers.iter().sum::<u64>(), 2, "who was there stays");

    simulation.request_drain();
    simulation.run_for(Duration::from_millis(5900));
    // The last of two has just left, and the shards have not begun to drain.
    assert_eq!(simulation.fetch(0, "/readyz").0, 503);
    // What is under way keeps its times.
    simulation.reconfigure(|config| config.settings.drain_duration = Duration::from_secs(60));
    simulation.tap(Way::Udp(2), ROOM, 0, 5);
    simulation.run_until_drained();
    assert_eq!(simulation.metrics().frame_taps, 5);
    for viewer in viewers {
        let windows = simulation.windows_of(viewer);
        assert!(windows.len() >= 2 && windows.windows(2).all(|pair| pair[1] == pair[0] + 1), "{windows:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut played = RandomMatch::play(77, 20, 60);
        played.drain_and_balance();
        played.record()
    };
    let (one, other) = (run(), run());
    assert!(one.iter().map(|(_, stream)| stream.frames.len()).sum::<usize>() > 20);
    assert_eq!(one, other);
}

#[test]
fn streams_of_events_say_what_subscribers_by_quic_see() {
    let mut simulation = Simulation::new(31);
    let viewer = simulation.watching(0);
    let streams: Vec<_> = (0..40).map(|number| simulation.stream(number % SHARDS, ROOM)).collect();
    let slow = streams[5];
    for round in 1..=10 {
        simulation.tap(Way::Udp(round % SHARDS), ROOM, 0, round as u16);
        match round {
            3 => simulation.stop_reading(slow),
            8 => simulation.read_on(slow),
            9 => simulation.leave_stream(streams[6]),
            _ => {}
        }
        simulation.run_through_window();
    }
    let left = simulation.events_of(streams[6]).len();
    simulation.tap(Way::Udp(1), ROOM, 0, 11);
    simulation.drain();

    let seen: Vec<_> = simulation.frames_of(viewer).iter().map(|frame| (frame.window, frame.total)).collect();
    assert_eq!(seen.iter().map(|&(_, total)| total).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    for &stream in streams.iter().filter(|&&stream| stream != slow && stream != streams[6]) {
        assert_eq!(simulation.events_of(stream), seen);
        assert!(simulation.has_ended(stream));
    }
    assert_eq!((left, simulation.events_of(streams[6]).len()), (8, 8), "nothing is sent to who has left");
    let newest_only = [&seen[..2], &seen[6..]].concat();
    assert_eq!(simulation.events_of(slow), newest_only);
    let metrics = simulation.metrics();
    assert_eq!(metrics.frames_skipped.iter().sum::<u64>(), 4);
    assert_eq!(metrics.frames_sent, 39 * 11 + 8 + newest_only.len() as u64);
}
