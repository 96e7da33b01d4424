//! Palettes for a crowd, and rooms that go with one: over turns, a slice in each.

use super::*;

#[test]
fn who_leaves_a_removed_room_is_not_dropped_again_and_gets_nothing() {
    let mut streams = Streams::watching(3);
    streams.let_in(1, 0);
    streams.offer(ROOM, 1);
    streams.serve_all();
    streams.fanout.remove_room(ROOM);
    streams.let_in(1, usize::MAX);
    streams.serve_all();
    assert!(streams.messages(1).is_empty(), "it was behind when the room went");
    streams.unsubscribe(2);
    let links: Vec<_> = std::iter::from_fn(|| streams.fanout.poll_disbanded()).map(|link| link.stream).collect();
    assert_eq!(links, [1, 0]);
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.subscriptions.len()), (0, 0));
}

#[test]
fn members_that_leave_a_room_removed_during_a_pass_are_not_counted_as_due() {
    let mut streams = Streams::spread(Duration::from_millis(10)).watched_by(4);
    streams.offer(ROOM, 1);
    streams.serve_all();
    streams.fanout.remove_room(ROOM);
    (0..4).for_each(|stream| streams.unsubscribe(stream));
    assert!(streams.fanout.poll_disbanded().is_none());
    streams.now += Duration::from_millis(10);
    streams.serve_all();
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.has_work()), (0, false));

    // The same without a spread: the pass has stopped at the end of a slice.
    let mut streams = Streams::watching(4);
    streams.offer(ROOM, 1);
    streams.serve(1);
    streams.fanout.remove_room(ROOM);
    (0..4).for_each(|stream| streams.unsubscribe(stream));
    streams.serve_all();
    while streams.fanout.poll_disbanded().is_some() {}
    streams.serve_all();
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.has_work()), (0, false));
}

#[test]
fn a_palette_for_a_crowd_is_offered_over_turns_and_comes_before_the_next_frame() {
    const CROWD: u64 = 10 * PALETTE_SLICE as u64;
    let mut streams = Streams::watching(CROWD);
    streams.fanout.offer_palette(ROOM, message(b'p', 1));
    streams.offer(ROOM, 2);
    streams.serve(1);
    assert_eq!(streams.fanout.resuming.len(), PALETTE_SLICE - 1, "one turn offers a slice of them");
    // One comes and some go meanwhile.
    streams.subscribe(ROOM, CROWD);
    streams.late_join(CROWD, 1, None);
    (0..10).for_each(|stream| streams.unsubscribe(stream));
    streams.serve_all();
    for stream in 10..CROWD {
        let messages = streams.messages(stream);
        let palettes = messages.iter().filter(|message| **message == (b'p', 1)).count();
        assert!((1..=2).contains(&palettes), "{stream}: {messages:?}");
        assert_eq!((messages[0], *messages.last().unwrap()), ((b'p', 1), (b'f', 2)), "{stream}");
    }
    assert!(!streams.fanout.has_work());
}

#[test]
fn a_palette_that_is_replaced_before_it_was_offered_gives_way() {
    let mut streams = Streams::watching(2 * PALETTE_SLICE as u64);
    streams.fanout.offer_palette(ROOM, message(b'p', 1));
    streams.serve(1);
    streams.fanout.offer_palette(ROOM, message(b'p', 2));
    streams.serve_all();
    for stream in 0..2 * PALETTE_SLICE as u64 {
        assert_eq!(streams.messages(stream).last(), Some(&(b'p', 2)), "{stream}");
    }
    // Nobody is left to be offered the last one.
    streams.fanout.offer_palette(ROOM, message(b'p', 3));
    (0..2 * PALETTE_SLICE as u64).for_each(|stream| streams.unsubscribe(stream));
    streams.serve_all();
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.has_work()), (0, false));
}
