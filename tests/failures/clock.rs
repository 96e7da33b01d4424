//! A wall clock that steps: windows go on, none has the number of another, and every tap is in a frame.

use crate::fault::Fault;
use crate::support::{Audience, Http, Tapper, Viewer, http};

const ROOM: u32 = 1;
const HOUR_S: i64 = 3600;
const WINDOW_MS: u64 = 300;
/// Frames that are waited for after each step.
const FRAMES: usize = 4;

#[test]
fn windows_go_on_when_the_clock_steps_an_hour_ahead_and_back() {
    let seen = play(&[HOUR_S, 0]);
    let hour = HOUR_S as u64 * 1000 / WINDOW_MS;
    assert!(seen[1][FRAMES - 1] >= seen[0][FRAMES - 1] + hour, "numbers follow the clock ahead: {seen:?}");
    assert!(seen[2][FRAMES - 1] < seen[1][FRAMES - 1] + hour, "and only go on when it steps back: {seen:?}");
}

#[test]
fn windows_go_on_when_the_clock_steps_an_hour_back_and_ahead() {
    let seen = play(&[-HOUR_S, 0]);
    let hour = HOUR_S as u64 * 1000 / WINDOW_MS;
    assert!(
        seen[2][FRAMES - 1] < seen[0][0] + hour / 2,
        "numbers are those of the clock that is right again: {seen:?}"
    );
}

#[test]
fn windows_go_on_under_a_clock_that_steps_all_the_time() {
    play(&[-1, 2, -HOUR_S, 1, -2 * HOUR_S, 5 * HOUR_S]);
}

/// Taps by all ways, on two shards, before and after each step of the clock; the windows of the frames that follow each.
fn play(ahead_s: &[i64]) -> Vec<Vec<u64>> {
    let fault = Fault::none();
    let window = format!("{WINDOW_MS}ms");
    let server = fault.start(&["--shards", "2", "--window", &window]);
    let audience = Audience::on_every_shard(&server, 2, ROOM);
    let mut watching = Viewer::watching(&server, &[ROOM]);
    let tappers = Tapper::several(server.reactions());
    let mut tapped = 0;
    let seen = std::iter::once(&0).chain(ahead_s).map(|&ahead_s| {
        fault.shift_wall_clock(ahead_s);
        let frames = (0..FRAMES).map(|_| {
            tappers.iter().for_each(|tapper| tapper.tap(ROOM, 0, 1));
            let reply = Http::to(server.http()).ask(&http::reactions(ROOM, r#"{"emoji":"fire","count":100}"#));
            assert_eq!(reply.status, 202);
            watching.tap(ROOM, &[(1, 500)]);
            tapped += tappers.len() as u64 + 100 + 500;
            server.await_metric("uproar_reactions_total", tapped);
            watching.next_frame().window
        });
        frames.collect()
    });
    let seen: Vec<Vec<u64>> = seen.collect();
    assert!(seen.concat().is_sorted_by(|one, next| one < next), "{seen:?}");

    // Handshakes read the clock as well.
    Viewer::watching(&server, &[ROOM]).next_frame();
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((tapped, tapped))), "{}", ended.log);
    // Whichever shard they are on, they saw the same picture under the same number, and no number twice.
    let shown: u64 = audience.frames_to_the_end().values().map(|frame| frame.total).sum();
    assert_eq!(shown, tapped);
    seen
}
