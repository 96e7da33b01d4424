//! Streams of one shard in virtual time: what each is written, when it ends, and that every frame is accounted for.

use super::super::tests::{config, now};
use crate::fanout::FrameMessage;
use crate::limits::{
    DRAIN_SILENCE, FRAME_EVENT_BYTES_MAX, NEWEST_FRAME_WINDOWS, PALETTE_EVENT_BYTES_MAX, STREAM_RETRY_MS, STREAM_SLICE,
};
use crate::metrics::{Outcome, Proto, Skip};
use crate::origins::Origins;
use crate::room::Room;
use crate::shard::{HttpConn, HttpNext, HttpPort, MeshMessage, Shard, ShardConfig, StreamWrite};
use crate::window::Now;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::RoomId;
use uproar_wire::http::{EmojiSpec, RoomSpec};

const WINDOW: Duration = Duration::from_secs(2);

/// One shard, and what its connections have been sent.
struct Stage {
    shard: Shard,
    now: Now,
    conns: u32,
    sent: BTreeMap<u32, String>,
    ended: Vec<u32>,
}

impl Stage {
    fn new(streams_max: usize) -> Self {
        Self::with(|config| config.settings.streams_max = streams_max)
    }

    fn with(tell: impl FnOnce(&mut ShardConfig)) -> Self {
        let mut config = config(1);
        tell(&mut config);
        let now = now();
        Self { shard: Shard::new(config, now), now, conns: 0, sent: BTreeMap::new(), ended: Vec::new() }
    }

    /// Asks for a stream of room 1.
    fn watch(&mut self) -> u32 {
        self.watch_with("")
    }

    fn watch_with(&mut self, fields: &str) -> u32 {
        let (slot, next) = self.ask(&format!("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(next, HttpNext::Stream);
        self.serve();
        slot
    }

    fn ask(&mut self, request: &str) -> (u32, HttpNext) {
        let slot = self.conns;
        self.conns += 1;
        let mut replies = Vec::new();
        self.shard.http_opened(conn(slot), HttpPort::Public);
        let next = self.shard.handle_http(conn(slot), request.as_bytes(), &mut replies);
        self.sent.insert(slot, String::from_utf8(replies).unwrap());
        (slot, next)
    }

    fn reload(&mut self, streams_max: usize) {
        let mut config = config(1);
        config.settings.streams_max = streams_max;
        self.shard.reconfigure(self.now, &config.settings, &config.quic.settings);
    }

    fn delete_room(&mut self) {
        let deleted = MeshMessage::RoomDeleted(Default::default(), RoomId(1));
        self.shard.handle_mesh(self.now, crate::ids::ShardId(0), deleted);
    }

    /// What the edge takes at the end of a turn.
    fn take_writes(&mut self) {
        while let Some((conn, write)) = self.shard.poll_stream_write() {
            match write {
                StreamWrite::Event(event) => {
                    *self.sent.get_mut(&conn.slot).unwrap() += std::str::from_utf8(&event).unwrap();
                }
                StreamWrite::End => self.ended.push(conn.slot),
            }
        }
    }

    fn close(&mut self, slot: u32) {
        self.shard.http_closed(conn(slot), Outcome::Done);
    }

    /// Turns of the loop, until nothing is left to do now.
    fn serve(&mut self) {
        loop {
            let has_more = self.shard.serve(self.now);
            assert_eq!(self.shard.poll_mesh(self.now).map(|(to, _)| to), None, "there are no others");
            self.take_writes();
            if self.shard.is_drain_requested() {
                self.shard.begin_drain(self.now);
            } else if !has_more && !self.shard.has_heard_itself() {
                return;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.unix_ms += time.as_millis() as u64;
        self.shard.handle_timeout(self.now);
        self.serve();
    }

    /// Closes windows, each with a frame.
    fn close_windows(&mut self, windows: usize) {
        (0..windows).for_each(|_| self.pass(WINDOW));
    }

    /// Names of the events that were sent, each with its id.
    fn events(&self, slot: u32) -> Vec<String> {
        let (_, body) = self.sent[&slot].split_once("\r\n\r\n").unwrap();
        assert!(body.is_empty() || body.ends_with("\n\n"), "a part of an event: {body}");
        let events = body.split_terminator("\n\n").map(|event| {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let data: serde_json::Value = serde_json::from_str(field("data: ")).unwrap();
            assert_eq!(data["window"].as_u64().map_or_else(String::new, |window| window.to_string()), field("id: "));
            format!("{} {}", field("event: "), field("id: ")).trim().to_owned()
        });
        events.collect()
    }

    /// The windows of the frames that were sent.
    fn windows(&self, slot: u32) -> Vec<u64> {
        let events = self.events(slot);
        events.iter().filter_map(|event| event.strip_prefix("frame ")?.parse().ok()).collect()
    }

    /// The number of the window that is open.
    fn window(&self) -> u64 {
        self.now.unix_ms / 2000
    }

    fn skipped(&mut self) -> u64 {
        Skip::ALL.map(|reason| self.shard.counters().frames_skipped[reason.index()]).iter().sum()
    }

    fn watching(&mut self) -> u64 {
        self.shard.counters().subscribers[Proto::Http.index()]
    }
}

fn conn(slot: u32) -> HttpConn {
    HttpConn { slot, generation: slot }
}

fn room(palette: &[&str]) -> Arc<Room> {
    let emoji = |name: &&str| EmojiSpec { name: (*name).into(), glyph: (*name).into() };
    let spec = RoomSpec { name: "after".into(), palette: palette.iter().map(emoji).collect() };
    Arc::new(Room::new(RoomId(1), spec).unwrap())
}

#[test]
fn a_stream_has_the_palette_and_then_every_frame() {
    let mut stage = Stage::new(8);
    let first = stage.window();
    let early = stage.watch();
    assert_eq!(stage.events(early), ["palette"]);
    stage.close_windows(3);
    let late = stage.watch();
    stage.close_windows(1);
    assert_eq!(stage.windows(early), [first, first + 1, first + 2, first + 3]);
    assert_eq!(stage.events(late)[0], "palette");
    assert_eq!(stage.windows(late), [first + 2, first + 3], "the newest at once");
    let head = stage.sent[&late].split_once("\r\n\r\n").unwrap().0.to_owned();
    for line in ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Cache-Control: no-store", "Connection: close"] {
        assert!(head.lines().any(|found| found == line), "{line} is not in {head}");
    }
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!((stage.shard.counters().frames_sent, stage.skipped(), stage.watching()), (6, 0, 2));
}

#[test]
fn who_does_not_read_gets_the_newest_frame_in_place_of_those_between() {
    let mut stage = Stage::new(8);
    let [slow, quick] = [stage.watch(), stage.watch()];
    let first = stage.window();
    stage.close_windows(1);
    stage.shard.handle_stream_stalled(conn(slow));
    stage.close_windows(4);
    assert_eq!(stage.windows(slow), [first]);
    stage.shard.handle_stream_writable(conn(slow));
    stage.serve();
    stage.close_windows(1);
    assert_eq!(stage.windows(slow), [first, first + 4, first + 5]);
    assert_eq!(stage.windows(quick).len(), 6);
    assert_eq!((stage.shard.counters().frames_sent, stage.skipped()), (9, 3));
}

#[test]
fn a_client_that_knows_the_newest_frame_is_not_sent_it_again() {
    let mut stage = Stage::new(16);
    stage.watch();
    stage.close_windows(2);
    let newest = stage.window() - 1;
    let known = stage.watch_with(&format!("Last-Event-ID: {newest}\r\n"));
    assert_eq!(stage.events(known), ["palette"]);
    let older = stage.watch_with(&format!("last-event-id: {}\r\n", newest - 1));
    assert_eq!(stage.windows(older), [newest]);
    for other in ["", "x", "-1", "1.5", "99999999999999999999999", "\u{1f525}"] {
        let watching = stage.watch_with(&format!("Last-Event-ID: {other}\r\n"));
        assert_eq!(stage.windows(watching), [newest], "{other:?} is no window");
    }
}

#[test]
fn a_shard_has_as_many_streams_as_configured() {
    let mut stage = Stage::new(2);
    let first = stage.watch();
    stage.watch();
    let (refused, next) = stage.ask("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next, HttpNext::Close, "so that the next one is placed anew");
    assert!(stage.sent[&refused].starts_with("HTTP/1.1 503 ") && stage.sent[&refused].contains("\"full\""));
    assert!(stage.sent[&refused].contains("\r\nConnection: close\r\n"));
    assert_eq!(stage.shard.counters().streams_refused, [1, 0]);
    stage.close(first);
    assert_eq!(stage.watching(), 1);
    stage.watch();
    stage.reload(3);
    stage.watch();
    assert_eq!(stage.watching(), 3);
    stage.reload(1);
    stage.close_windows(1);
    assert_eq!((stage.watching(), &stage.ended[..]), (3, &[][..]), "those that are there go on");
    assert_eq!(stage.windows(3), [stage.window() - 1]);
    assert_eq!(stage.ask("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n\r\n").1, HttpNext::Close);
}

#[test]
fn what_is_no_stream_is_answered_as_any_request() {
    let mut stage = Stage::new(2);
    for (request, status) in [
        ("GET /v1/rooms/2/stream", 404),
        ("GET /v1/rooms/01/stream", 404),
        ("GET /v1/rooms/1/stream/", 404),
        ("HEAD /v1/rooms/1/stream", 200),
        ("OPTIONS /v1/rooms/1/stream", 204),
        ("POST /v1/rooms/1/stream", 405),
        ("DELETE /v1/rooms/1/stream", 405),
    ] {
        let (slot, next) = stage.ask(&format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((&stage.sent[&slot][9..12], next), (&*status.to_string(), HttpNext::Read), "{request}");
        assert!(!stage.sent[&slot].contains("event: "), "{request}");
    }
    assert_eq!(stage.watching(), 0);
}

#[test]
fn a_stream_is_for_pages_that_may_ask() {
    let ours = "https://www.example.com";
    let mut stage = Stage::with(|config| config.web.origins = Arc::new(Origins::new(&[ours.into()]).unwrap()));
    let watching = stage.watch_with(&format!("Origin: {ours}\r\n"));
    assert!(stage.sent[&watching].contains(&format!("\r\nAccess-Control-Allow-Origin: {ours}\r\n")));
    let (refused, _) = stage.ask("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n");
    assert!(stage.sent[&refused].starts_with("HTTP/1.1 403 "));
    assert_eq!(stage.watching(), 1);
}

#[test]
fn the_largest_frame_is_within_its_bound() {
    use uproar_wire::frame::{Frame, LABEL_MAX, TOP_MAX, TopEntry};
    let labels: Vec<_> = (0..TOP_MAX).map(|number| format!("{number:\">LABEL_MAX$}")).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    let entry = |emoji| TopEntry { count: u64::MAX, emoji, share: 10_000, intensity: 255 };
    let frame = Frame {
        room: u32::MAX,
        window_ms: u32::MAX,
        window: u64::MAX,
        start_ms: u64::MAX,
        total: u64::MAX,
        intensity: 255,
        top: (0..TOP_MAX as u16).map(entry).collect(),
    };
    let mut message = Vec::new();
    uproar_wire::stream::encode_frame(&frame, &mut message);
    let message = FrameMessage { window: frame.window_seq(), bytes: message.into(), encoded_at: Some(now().instant) };
    let event = super::frame_event(&room(&labels), &message);
    assert!((30_000..=FRAME_EVENT_BYTES_MAX).contains(&event.len()), "{}", event.len());
}

#[test]
fn the_largest_palette_is_within_its_bound() {
    use uproar_wire::frame::{LABEL_MAX, PALETTE_MAX};
    let labels: Vec<_> = (0..PALETTE_MAX).map(|number| format!("{number:\">LABEL_MAX$}")).collect();
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    let event = super::palette_event(&room(&labels));
    assert!((1_000_000..=PALETTE_EVENT_BYTES_MAX).contains(&event.len()), "{}", event.len());
}

#[test]
fn nothing_is_asked_any_more_where_a_stream_has_begun() {
    let mut stage = Stage::new(2);
    let begin = "GET /v1/rooms/1/stream HTTP/1.0\r\n\r\n";
    let (slot, next) = stage.ask(&format!("{begin}{begin}GET /livez HTTP/1.0\r\n\r\n"));
    assert_eq!((next, stage.sent[&slot].matches("HTTP/1.1").count()), (HttpNext::Stream, 1));
    let mut replies = Vec::new();
    assert_eq!(stage.shard.handle_http(conn(slot), begin.as_bytes(), &mut replies), HttpNext::Stream);
    assert_eq!((replies.len(), stage.watching()), (0, 1));
}

#[test]
fn a_replaced_room_says_so_and_a_deleted_one_ends_its_streams() {
    let mut stage = Stage::new(8);
    let watching = stage.watch();
    stage.close_windows(1);
    stage.shard.handle_mesh(stage.now, crate::ids::ShardId(0), MeshMessage::RoomPut(Default::default(), room(&["a"])));
    stage.serve();
    let late = stage.watch();
    let window = stage.window() - 1;
    assert_eq!(stage.events(watching), ["palette".into(), format!("frame {window}"), "palette".into()]);
    assert!(stage.sent[&late].contains("\"after\"") && !stage.sent[&late].contains("Cricket"));

    stage.delete_room();
    stage.serve();
    stage.ended.sort_unstable();
    assert_eq!(stage.ended, [watching, late]);
    assert_eq!(stage.watching(), 0);
    stage.close(watching);
    stage.close(late);
    let (refused, _) = stage.ask("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stage.sent[&refused].contains("unknown_room"));
}

#[test]
fn a_deleted_room_ends_a_slice_of_its_streams_a_turn() {
    const STREAMS: usize = 3 * STREAM_SLICE;
    let mut stage = Stage::new(STREAMS);
    let all: Vec<_> = (0..STREAMS).map(|_| stage.watch()).collect();
    stage.delete_room();
    for turn in 1..=3 {
        // Who leaves by itself meanwhile is ended only once.
        stage.close(all[turn - 1]);
        stage.shard.serve(stage.now);
        stage.take_writes();
        assert!(stage.ended.len() <= turn * STREAM_SLICE, "{} in {turn} turns", stage.ended.len());
    }
    stage.serve();
    stage.ended.sort_unstable();
    assert_eq!(stage.ended, all[3..]);
    assert_eq!(stage.watching(), 0);
}

#[test]
fn streams_that_do_not_read_end_once() {
    let mut stage = Stage::new(8);
    let [reset, deleted, other] = [stage.watch(), stage.watch(), stage.watch()];
    [reset, deleted].into_iter().for_each(|slot| stage.shard.handle_stream_stalled(conn(slot)));
    stage.close_windows(2);
    stage.shard.handle_stream_writable(conn(reset));
    stage.close(reset);
    stage.close(reset);
    assert_eq!(stage.watching(), 2);
    stage.delete_room();
    stage.shard.handle_stream_writable(conn(deleted));
    stage.serve();
    stage.ended.sort_unstable();
    assert_eq!((stage.watching(), &stage.ended[..]), (0, &[deleted, other][..]));
    assert!(stage.windows(deleted).is_empty(), "what it had not been sent goes with the room");
    // Their places are others' now.
    stage.shard.handle_mesh(stage.now, crate::ids::ShardId(0), MeshMessage::RoomPut(Default::default(), room(&["a"])));
    let next = stage.watch();
    stage.close(deleted);
    stage.close(other);
    assert_eq!(stage.watching(), 1);
    stage.close_windows(1);
    assert_eq!(stage.windows(next).len(), 1);
}

#[test]
fn each_stream_is_told_another_time_to_come_again() {
    let mut stage = Stage::new(64);
    let mut retries: Vec<u64> = (0..64)
        .map(|_| {
            let slot = stage.watch();
            let (_, body) = stage.sent[&slot].split_once("\r\n\r\n").unwrap();
            let line = body.lines().next().unwrap();
            line.strip_prefix("retry: ").unwrap().parse().unwrap()
        })
        .collect();
    retries.sort_unstable();
    assert!(STREAM_RETRY_MS.contains(&retries[0]) && STREAM_RETRY_MS.contains(&retries[63]), "{retries:?}");
    let widest = retries.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(widest < (STREAM_RETRY_MS.end() - STREAM_RETRY_MS.start()) / 16, "{retries:?}");
    let (head, _) = stage.ask("HEAD /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stage.sent[&head].ends_with("\r\n\r\n"));
}

#[test]
fn a_room_has_frames_as_long_as_somebody_watches() {
    let mut stage = Stage::new(8);
    let watching = stage.watch();
    stage.close_windows(2);
    stage.close(watching);
    let frames = stage.shard.counters().frames;
    stage.close_windows(4);
    assert_eq!((frames, stage.shard.counters().frames), (2, 2));
}

#[test]
fn a_drain_hands_over_the_last_frame_and_ends_streams() {
    let mut stage = Stage::new(8);
    let [quick, slow, stuck] = [stage.watch(), stage.watch(), stage.watch()];
    stage.close_windows(1);
    let last = stage.window();
    stage.shard.handle_stream_stalled(conn(slow));
    stage.shard.handle_stream_stalled(conn(stuck));
    stage.shard.request_drain();
    stage.serve();
    assert!(stage.ended.is_empty(), "taps are taken until the streams have caught up or are given up");
    let (refused, _) = stage.ask("GET /v1/rooms/1/stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stage.sent[&refused].starts_with("HTTP/1.1 503 ") && stage.sent[&refused].contains("\"draining\""));

    stage.shard.handle_stream_writable(conn(slow));
    stage.serve();
    assert!(!stage.shard.is_drained() && stage.ended.is_empty());
    stage.pass(DRAIN_SILENCE);
    assert!(stage.shard.is_drained());
    stage.ended.sort_unstable();
    assert_eq!(stage.ended, [quick, slow, stuck]);
    assert_eq!([quick, slow].map(|slot| stage.windows(slot)), [[last - 1, last], [last - 1, last]]);
    assert_eq!(stage.windows(stuck), [last - 1]);
}

#[test]
fn a_stream_that_joins_a_quiet_room_is_sent_no_frame_of_long_ago() {
    let mut stage = Stage::new(8);
    let before = stage.watch();
    stage.close_windows(2);
    let newest = stage.window() - 1;
    stage.close(before);
    let recent = stage.watch();
    assert_eq!(stage.windows(recent), [newest]);
    stage.close(recent);
    stage.close_windows(NEWEST_FRAME_WINDOWS as usize);
    let (frames, late) = (stage.shard.counters().frames, stage.watch());
    assert_eq!((stage.events(late), frames), (vec!["palette".to_owned()], 2));
    stage.close_windows(1);
    assert_eq!(stage.windows(late), [newest + 1 + NEWEST_FRAME_WINDOWS]);
}

#[test]
fn the_age_of_a_frame_that_was_there_before_is_no_delivery() {
    let mut stage = Stage::new(8);
    let before = stage.watch();
    stage.close_windows(1);
    let deliveries = stage.shard.metrics().fanout.count();
    assert_eq!(deliveries, 1);
    let late = stage.watch();
    assert_eq!(stage.windows(late), stage.windows(before));
    assert_eq!(stage.shard.metrics().fanout.count(), deliveries);
    stage.close_windows(1);
    assert_eq!(stage.shard.metrics().fanout.count(), deliveries + 2);
}

#[test]
fn who_leaves_sends_streams_away_one_after_the_other() {
    const STREAMS: usize = 10;
    let mut stage = Stage::with(|config| {
        config.settings.streams_max = STREAMS;
        config.settings.drain_duration = 5 * WINDOW;
    });
    let watching: Vec<_> = (0..STREAMS).map(|_| stage.watch()).collect();
    stage.shard.request_drain();
    stage.serve();
    let mut left = Vec::new();
    for _ in 0..5 {
        stage.pass(WINDOW);
        left.push(STREAMS - stage.ended.len());
    }
    assert!(left.iter().is_sorted_by(|before, after| before > after), "{left:?}");
    assert!(stage.shard.is_drained());
    assert_eq!(stage.ended.len(), STREAMS);
    assert!(watching.iter().any(|&slot| !stage.windows(slot).is_empty()), "frames go on meanwhile");
    assert_eq!(stage.skipped(), 0);
}
