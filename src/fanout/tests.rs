//! Subscribers whose streams take as many bytes as the test lets them; what each received is read back whole.

mod crowds;

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use uproar_wire::WindowSeq;

const ROOM: RoomId = RoomId(1);
/// Bytes of a message of these tests: kind, window, and padding that makes it long enough to be cut anywhere.
const MESSAGE: usize = 12;

/// Fan-out, and one stream per subscriber: what it received, and how many bytes it still takes.
struct Streams {
    fanout: Fanout,
    received: BTreeMap<u64, Vec<u8>>,
    room_for: BTreeMap<u64, usize>,
    gone: Vec<u64>,
    ids: BTreeMap<u64, SubscriptionId>,
    delivered: u64,
    begin: Instant,
    now: Instant,
}

/// The streams' other ends, for one call.
struct Readers<'a> {
    received: &'a mut BTreeMap<u64, Vec<u8>>,
    room_for: &'a mut BTreeMap<u64, usize>,
    gone: &'a [u64],
    delivered: &'a mut u64,
    writes: usize,
    approached: usize,
}

impl Links for Readers<'_> {
    fn approach(&mut self, link: Link) {
        assert!(self.room_for.contains_key(&link.stream));
        self.approached += 1;
    }

    fn write(&mut self, link: Link, bytes: &mut Bytes) -> Wrote {
        self.writes += 1;
        if self.gone.contains(&link.stream) {
            return Wrote::Gone;
        }
        let Some(room) = self.room_for.get_mut(&link.stream) else { return Wrote::Gone };
        let taken = bytes.split_to(bytes.len().min(*room));
        *room -= if *room == usize::MAX { 0 } else { taken.len() };
        self.received.entry(link.stream).or_default().extend_from_slice(&taken);
        if bytes.is_empty() { Wrote::All } else { Wrote::Part }
    }

    fn handle_delivered(&mut self, _: &FrameMessage) {
        *self.delivered += 1;
    }
}

impl Streams {
    fn new() -> Self {
        Self::spread(Duration::ZERO)
    }

    #[allow(clippy::disallowed_methods, reason = "an arbitrary beginning of time")]
    fn spread(spread: Duration) -> Self {
        let begin = Instant::now();
        Self {
            fanout: Fanout::new(spread),
            received: BTreeMap::new(),
            room_for: BTreeMap::new(),
            gone: Vec::new(),
            ids: BTreeMap::new(),
            delivered: 0,
            begin,
            now: begin,
        }
    }

    /// Some subscribers of one room, each with a stream that takes everything.
    fn watching(subscribers: u64) -> Self {
        Self::new().watched_by(subscribers)
    }

    fn watched_by(mut self, subscribers: u64) -> Self {
        (0..subscribers).for_each(|stream| self.subscribe(ROOM, stream));
        self
    }

    fn has(&self, stream: u64, window: u64) -> bool {
        self.messages(stream).contains(&(b'f', window))
    }

    /// How many of the first so many streams have the window's frame.
    fn served(&self, streams: u64, window: u64) -> usize {
        (0..streams).filter(|&stream| self.has(stream, window)).count()
    }

    /// Sleeps until fan-out wants to be asked again.
    fn wake(&mut self) {
        self.now = self.fanout.poll_timeout().expect("nothing is to be waited for");
    }

    fn subscribe(&mut self, room: RoomId, stream: u64) {
        let id = self.fanout.subscribe(room, Link { conn: 0, stream });
        self.ids.insert(stream, id);
        self.room_for.insert(stream, usize::MAX);
        self.received.insert(stream, Vec::new());
    }

    fn unsubscribe(&mut self, stream: u64) {
        if let Some(id) = self.ids.remove(&stream) {
            self.fanout.unsubscribe(id);
        }
    }

    fn frame(&self, window: u64) -> FrameMessage {
        FrameMessage { window: WindowSeq(window), bytes: message(b'f', window), encoded_at: Some(self.begin) }
    }

    fn offer(&mut self, room: RoomId, window: u64) {
        let frame = self.frame(window);
        self.fanout.offer(self.now, room, frame);
    }

    fn late_join(&mut self, stream: u64, palette: u64, frame: Option<u64>) {
        let frame = frame.map(|window| self.frame(window));
        self.fanout.offer_one(self.ids[&stream], message(b'p', palette), frame);
    }

    /// The stream takes so many bytes more, and says so.
    fn let_in(&mut self, stream: u64, bytes: usize) {
        self.room_for.insert(stream, bytes);
        if let Some(&id) = self.ids.get(&stream) {
            self.fanout.handle_writable(id);
        }
    }

    fn serve(&mut self, slice: usize) -> bool {
        let Self { fanout, received, room_for, gone, delivered, now, .. } = self;
        let mut readers = Readers { received, room_for, gone, delivered, writes: 0, approached: 0 };
        let more = fanout.serve(*now, slice, &mut readers);
        // One subscriber's outbox holds at most three messages.
        assert!(readers.writes <= 3 * slice);
        assert!(readers.approached <= slice, "nobody is fetched whose turn does not come");
        more
    }

    fn serve_all(&mut self) {
        while self.serve(4) {}
    }

    fn messages(&self, stream: u64) -> Vec<(u8, u64)> {
        whole_messages(&self.received[&stream])
    }

    fn skipped(&self) -> [u64; 2] {
        Skip::ALL.map(|reason| self.fanout.frames_skipped(reason))
    }
}

fn message(kind: u8, window: u64) -> Bytes {
    let mut bytes = vec![kind; MESSAGE];
    bytes[1..9].copy_from_slice(&window.to_le_bytes());
    Bytes::from(bytes)
}

fn whole_messages(bytes: &[u8]) -> Vec<(u8, u64)> {
    let (messages, rest) = bytes.as_chunks::<MESSAGE>();
    assert!(rest.is_empty(), "a message was cut off");
    let read = messages.iter().map(|message| {
        let (kind, window) = (message[0], u64::from_le_bytes(message[1..9].try_into().unwrap()));
        assert_eq!(message[9..], [kind; MESSAGE - 9], "two messages ran into each other");
        (kind, window)
    });
    read.collect()
}

#[test]
fn a_frame_reaches_the_whole_audience_in_slices() {
    let mut streams = Streams::watching(10);
    streams.offer(ROOM, 1);
    assert_eq!([streams.serve(4), streams.serve(4), streams.serve(4)], [true, true, false]);
    assert!((0..10).all(|stream| streams.messages(stream) == [(b'f', 1)]));
    assert_eq!((streams.fanout.frames_sent(), streams.delivered, streams.skipped()), (10, 10, [0, 0]));
}

#[test]
fn the_newest_frame_replaces_what_a_slow_subscriber_has_not_begun() {
    let mut streams = Streams::watching(2);
    streams.let_in(0, 5);
    for window in 1..=4 {
        streams.offer(ROOM, window);
        streams.serve_all();
    }
    streams.let_in(0, usize::MAX);
    streams.serve_all();
    assert_eq!(streams.messages(0), [(b'f', 1), (b'f', 4)]);
    assert_eq!(streams.messages(1).len(), 4);
    assert_eq!((streams.fanout.frames_sent(), streams.skipped()), (6, [2, 0]));
}

#[test]
fn a_frame_of_which_nothing_was_taken_can_be_replaced() {
    let mut streams = Streams::watching(1);
    streams.let_in(0, 0);
    streams.offer(ROOM, 1);
    streams.serve_all();
    streams.let_in(0, 0);
    streams.serve_all();
    streams.offer(ROOM, 2);
    streams.serve_all();
    streams.let_in(0, usize::MAX);
    streams.serve_all();
    assert_eq!(streams.messages(0), [(b'f', 2)]);
    assert_eq!(streams.skipped(), [1, 0]);
}

#[test]
fn a_new_pass_begins_where_the_last_one_stopped() {
    let mut streams = Streams::watching(6);
    for window in 1..=3 {
        streams.offer(ROOM, window);
        streams.serve(2);
    }
    let served: Vec<_> = (0..6).map(|stream| streams.messages(stream)).collect();
    assert!(served.iter().all(|messages| messages.len() == 1), "nobody starves: {served:?}");
    assert_eq!(streams.skipped(), [0, 8]);
}

#[test]
fn passes_of_rooms_take_turns() {
    let mut streams = Streams::new();
    (0..100).for_each(|stream| streams.subscribe(ROOM, stream));
    streams.subscribe(RoomId(2), 100);
    streams.offer(ROOM, 1);
    streams.offer(RoomId(2), 1);
    streams.serve(4);
    streams.serve(4);
    assert_eq!(streams.messages(100), [(b'f', 1)]);
}

#[test]
fn a_late_joiner_gets_the_palette_then_the_newest_frame_then_what_follows() {
    let mut streams = Streams::watching(1);
    streams.offer(ROOM, 7);
    streams.subscribe(ROOM, 1);
    streams.late_join(1, 0, Some(7));
    streams.serve_all();
    streams.offer(ROOM, 8);
    streams.serve_all();
    assert_eq!(streams.messages(1), [(b'p', 0), (b'f', 7), (b'f', 8)]);
    assert_eq!(streams.messages(0), [(b'f', 7), (b'f', 8)]);
}

#[test]
fn a_palette_waits_for_the_message_that_has_begun_and_is_never_skipped() {
    let mut streams = Streams::watching(1);
    streams.let_in(0, 3);
    streams.offer(ROOM, 1);
    streams.serve_all();
    streams.late_join(0, 5, None);
    streams.offer(ROOM, 2);
    streams.offer(ROOM, 3);
    for _ in 0..8 {
        streams.serve_all();
        streams.let_in(0, 5);
    }
    streams.serve_all();
    assert_eq!(streams.messages(0), [(b'f', 1), (b'p', 5), (b'f', 3)]);
}

#[test]
fn whoever_leaves_during_a_pass_costs_the_others_nothing() {
    let mut streams = Streams::watching(200);
    streams.offer(ROOM, 1);
    streams.serve(150);
    (0..100).for_each(|stream| streams.unsubscribe(stream));
    assert_eq!(streams.fanout.audience(ROOM), 100);
    streams.serve_all();
    assert!((100..200).all(|stream| streams.messages(stream) == [(b'f', 1)]));
    assert_eq!(streams.fanout.frames_sent(), 200);
    (100..200).for_each(|stream| streams.unsubscribe(stream));
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.subscriptions.len()), (0, 0));
}

#[test]
fn a_link_that_is_gone_leaves_the_audience_and_waits_to_be_unsubscribed() {
    let mut streams = Streams::watching(3);
    streams.gone.push(1);
    streams.offer(ROOM, 1);
    streams.serve_all();
    assert_eq!((streams.fanout.audience(ROOM), streams.fanout.frames_sent()), (2, 2));
    streams.let_in(1, 1);
    streams.late_join(1, 0, None);
    assert!(!streams.fanout.has_work());
    streams.unsubscribe(1);
    assert_eq!(streams.fanout.subscriptions.len(), 2);
}

#[test]
fn a_removed_room_hands_back_its_links_and_can_come_again() {
    let mut streams = Streams::watching(3);
    streams.offer(ROOM, 1);
    streams.serve(1);
    streams.fanout.remove_room(ROOM);
    assert_eq!(streams.fanout.audience(ROOM), 0);
    streams.serve_all();
    assert_eq!(streams.served(3, 1), 1, "the pass has ended with the room");
    streams.subscribe(ROOM, 9);
    streams.serve_all();
    assert!(streams.messages(9).is_empty(), "frames of the room that was removed are not for the new one");
    streams.offer(ROOM, 2);
    streams.serve_all();
    assert_eq!(streams.messages(9), [(b'f', 2)]);
    assert!(streams.fanout.is_disbanding());
    let mut links: Vec<_> = std::iter::from_fn(|| streams.fanout.poll_disbanded()).map(|link| link.stream).collect();
    links.sort_unstable();
    assert_eq!((links, streams.fanout.is_disbanding()), (vec![0, 1, 2], false));
    streams.fanout.remove_room(RoomId(5));
    assert_eq!((streams.fanout.poll_disbanded(), streams.fanout.audience(ROOM)), (None, 1));
}

#[test]
fn a_spread_pass_releases_its_audience_evenly() {
    const STEPS: u64 = 50;
    let mut streams = Streams::spread(PACE_STEP * STEPS as u32).watched_by(100);
    streams.offer(ROOM, 1);
    assert!(!streams.serve(64), "nobody is due yet");
    for step in 1..=STEPS {
        streams.wake();
        assert_eq!(streams.now, streams.begin + PACE_STEP * step as u32);
        streams.serve_all();
        assert!((2 * step - 1..=2 * step).contains(&(streams.served(100, 1) as u64)), "step {step}");
    }
    assert_eq!((streams.served(100, 1), streams.fanout.has_work(), streams.fanout.poll_timeout()), (100, false, None));
}

#[test]
fn whom_a_spread_pass_has_not_reached_comes_first_in_the_next() {
    let mut streams = Streams::spread(Duration::from_millis(100)).watched_by(10);
    streams.offer(ROOM, 1);
    streams.now += Duration::from_millis(50);
    streams.serve_all();
    let reached: Vec<_> = (0..10).filter(|&stream| streams.has(stream, 1)).collect();
    streams.offer(ROOM, 2);
    streams.now += Duration::from_millis(50);
    streams.serve_all();
    assert_eq!(reached.len(), 5);
    assert!((0..10).all(|stream| streams.messages(stream).len() == 1), "each has one of the two");
    assert_eq!(streams.skipped(), [0, 5]);
    streams.now += Duration::from_millis(50);
    streams.serve_all();
    assert_eq!(streams.served(10, 2), 10);
}

#[test]
fn a_late_joiner_does_not_wait_for_a_spread_pass() {
    let mut streams = Streams::spread(Duration::from_secs(1)).watched_by(2);
    streams.offer(ROOM, 1);
    streams.subscribe(ROOM, 2);
    streams.late_join(2, 0, Some(1));
    streams.late_join(1, 0, None);
    streams.serve_all();
    assert_eq!(streams.messages(2), [(b'p', 0), (b'f', 1)]);
    assert_eq!((streams.messages(1), streams.served(2, 1)), (vec![(b'p', 0)], 0));
}

#[test]
fn in_a_hurry_nothing_is_spread() {
    let mut streams = Streams::spread(Duration::from_secs(1)).watched_by(10);
    streams.offer(ROOM, 1);
    streams.serve_all();
    assert_eq!(streams.served(10, 1), 0);
    streams.fanout.hurry();
    streams.serve_all();
    assert_eq!((streams.served(10, 1), streams.fanout.has_work()), (10, false));
    streams.offer(ROOM, 2);
    streams.serve_all();
    assert_eq!(streams.served(10, 2), 10);
}

#[test]
fn another_spread_is_for_the_next_pass_unless_nothing_is_spread_any_more() {
    let mut streams = Streams::new().watched_by(10);
    streams.fanout.set_spread(Duration::from_secs(1));
    streams.offer(ROOM, 1);
    streams.serve_all();
    assert_eq!(streams.served(10, 1), 0);
    streams.fanout.set_spread(Duration::from_millis(100));
    let begun = streams.now;
    while streams.fanout.has_work() {
        streams.wake();
        streams.serve_all();
    }
    assert_eq!((streams.served(10, 1), streams.now > begun + Duration::from_millis(500)), (10, true));

    let begun = streams.now;
    streams.offer(ROOM, 2);
    streams.serve_all();
    streams.wake();
    streams.serve_all();
    assert!(streams.now <= begun + Duration::from_millis(10) && streams.served(10, 2) == 1);
    streams.fanout.set_spread(Duration::ZERO);
    streams.serve_all();
    assert_eq!((streams.served(10, 2), streams.fanout.has_work()), (10, false));
}

#[test]
fn a_room_that_is_removed_or_left_during_a_spread_pass_is_forgotten_with_it() {
    let mut streams = Streams::spread(Duration::from_millis(10)).watched_by(4);
    streams.subscribe(RoomId(2), 9);
    streams.offer(ROOM, 1);
    streams.offer(RoomId(2), 1);
    streams.serve_all();
    streams.fanout.remove_room(ROOM);
    assert_eq!(std::iter::from_fn(|| streams.fanout.poll_disbanded()).count(), 4);
    streams.unsubscribe(9);
    streams.now += Duration::from_millis(10);
    streams.serve_all();
    assert_eq!((streams.fanout.audiences.len(), streams.fanout.has_work()), (0, false));
}

#[test]
fn reasons_have_the_labels_of_the_metric() {
    assert_eq!(Skip::ALL.map(Skip::label), ["slow_subscriber", "overrun"]);
}

#[derive(Clone, Debug)]
enum Step {
    Offer { room: u32 },
    Serve { slice: usize },
    LetIn { stream: u64, bytes: usize },
    Palette { stream: u64 },
    Join { room: u32 },
    Leave { stream: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2u32).prop_map(|room| Step::Offer { room }),
        8 => (1..6usize).prop_map(|slice| Step::Serve { slice }),
        8 => (0..12u64, 0..30usize).prop_map(|(stream, bytes)| Step::LetIn { stream, bytes }),
        1 => (0..12u64).prop_map(|stream| Step::Palette { stream }),
        1 => (0..2u32).prop_map(|room| Step::Join { room }),
        1 => (6..12u64).prop_map(|stream| Step::Leave { stream }),
    ]
}

/// What the model knows of one subscriber: its room, and the frames and palettes it was offered.
struct Expected {
    room: u32,
    offered: u64,
    newest: Option<u64>,
    palettes: Vec<u64>,
}

proptest! {
    /// Nobody leaves: every frame offered is sent or skipped, and everybody ends with the newest one.
    #[test]
    fn whole_messages_growing_windows_and_no_frame_unaccounted(steps in prop::collection::vec(step(), 0..120)) {
        replay(&steps, false)?;
    }

    #[test]
    fn leaving_disturbs_nobody_else(steps in prop::collection::vec(step(), 0..120)) {
        replay(&steps, true)?;
    }
}

proptest! {
    /// Frames come and time passes; members come and go.
    #[test]
    fn a_spread_pass_is_never_ahead_of_time_and_reaches_all_in_time(
        spread_ms in 1..200u64,
        members in 1..120u64,
        slice in 1..20usize,
        steps in prop::collection::vec((1..40_000u64, 0..120u64, any::<bool>()), 0..60),
    ) {
        let spread = Duration::from_millis(spread_ms);
        let mut streams = Streams::spread(spread).watched_by(members);
        streams.offer(ROOM, 1);
        let mut begun = streams.now;
        let mut window = 1;
        for (micros, stream, leaves) in steps {
            if leaves {
                streams.unsubscribe(stream);
            } else if stream == 0 && streams.fanout.audience(ROOM) as u64 == members {
                window += 1;
                streams.offer(ROOM, window);
                begun = streams.now;
            }
            streams.now += Duration::from_micros(micros);
            while streams.serve(slice) {}
            let elapsed = (streams.now - begun).as_nanos();
            let allowed = (elapsed * u128::from(members)).div_ceil(spread.as_nanos());
            prop_assert!(streams.served(members, window) as u128 <= allowed);
        }
        streams.serve_all();
        let mut wakes = 0;
        while streams.fanout.poll_timeout().is_some() {
            streams.wake();
            prop_assert!(streams.now <= begun + spread, "all is over by then");
            while streams.serve(slice) {}
            wakes += 1;
        }
        prop_assert!(wakes <= spread.as_nanos() / PACE_STEP.as_nanos() + 2);
        prop_assert!(streams.ids.keys().all(|&stream| streams.has(stream, window)), "all that stayed have the newest");
        prop_assert!(!streams.fanout.has_work());
    }
}

fn replay(steps: &[Step], with_leaving: bool) -> Result<(), TestCaseError> {
    let mut streams = Streams::new();
    let mut expected: BTreeMap<u64, Expected> = BTreeMap::new();
    let (mut window, mut newest, mut palette, mut joined) = (0, [None; 2], 0, 0);
    let mut join = |streams: &mut Streams, expected: &mut BTreeMap<u64, Expected>, room: u32, newest: Option<u64>| {
        streams.subscribe(RoomId(room), joined);
        streams.late_join(joined, 0, newest);
        let offered = u64::from(newest.is_some());
        expected.insert(joined, Expected { room, offered, newest, palettes: vec![0] });
        joined += 1;
    };
    (0..8).for_each(|n| join(&mut streams, &mut expected, n % 2, None));
    for step in steps {
        match *step {
            Step::Offer { room } => {
                window += 1;
                newest[room as usize] = Some(window);
                streams.offer(RoomId(room), window);
                for one in expected.values_mut().filter(|one| one.room == room) {
                    one.offered += 1;
                    one.newest = Some(window);
                }
            }
            Step::Serve { slice } => {
                streams.serve(slice);
            }
            Step::LetIn { stream, bytes } => streams.let_in(stream, bytes),
            Step::Palette { stream } => {
                if let Some(one) = expected.get_mut(&stream) {
                    palette += 1;
                    one.palettes.push(palette);
                    streams.late_join(stream, palette, None);
                }
            }
            Step::Join { room } => join(&mut streams, &mut expected, room, newest[room as usize]),
            Step::Leave { stream } if with_leaving => {
                streams.unsubscribe(stream);
                expected.remove(&stream);
            }
            Step::Leave { .. } => {}
        }
    }
    expected.keys().for_each(|&stream| streams.let_in(stream, usize::MAX));
    streams.serve_all();

    for (&stream, one) in &expected {
        let messages = streams.messages(stream);
        let of_kind = |kind| messages.iter().filter(move |m| m.0 == kind).map(|m| m.1).collect::<Vec<_>>();
        let (frames, palettes) = (of_kind(b'f'), of_kind(b'p'));
        prop_assert!(frames.is_sorted_by(|a, b| a < b), "windows grow: {frames:?}");
        prop_assert_eq!(frames.last().copied(), one.newest);
        prop_assert!(palettes.is_sorted_by(|a, b| a < b) && palettes.iter().all(|p| one.palettes.contains(p)));
        prop_assert_eq!(palettes.last(), one.palettes.last(), "the newest palette is never skipped");
        prop_assert_eq!(messages.first().map(|m| m.0), Some(b'p'), "the palette comes first");
    }
    prop_assert_eq!(streams.fanout.frames_sent(), streams.delivered);
    if !with_leaving {
        let offered: u64 = expected.values().map(|one| one.offered).sum();
        prop_assert_eq!(streams.fanout.frames_sent() + streams.skipped().iter().sum::<u64>(), offered);
    }
    Ok(())
}
