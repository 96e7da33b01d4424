//! Watching by HTTP: the palette first, every frame while one reads, the newest after a pause, and how it ends.

use crate::support::{Http, Server, Tapper, eventually, http, missed};
use serde_json::{Value, json};

const ROOM: u32 = 1;

/// One stream, its head read.
struct Stream {
    http: Http,
}

impl Stream {
    fn of(server: &Server, room: u32) -> Self {
        Self::over(Http::to(server.http()), room, "")
    }

    fn over(mut http: Http, room: u32, fields: &str) -> Self {
        http.send(format!("GET /v1/rooms/{room}/stream HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes());
        let head = http.reply();
        assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")), "{head:?}");
        assert_eq!((head.field("content-length"), head.field("connection")), (None, Some("close")));
        assert_eq!((head.field("cache-control"), head.field("x-accel-buffering")), (Some("no-store"), Some("no")));
        Self { http }
    }

    /// A stream whose palette has come.
    fn watching(server: &Server, room: u32) -> Self {
        let mut stream = Self::of(server, room);
        stream.next("palette");
        stream
    }

    /// The data of the next event, which has this name.
    fn next(&mut self, name: &str) -> Value {
        let event = self.http.event().unwrap_or_else(|| panic!("no {name} comes"));
        data_of(&event, name)
    }

    /// The next event but for frames without taps: a window may close at any time.
    fn next_but_quiet_frames(&mut self) -> Option<String> {
        std::iter::from_fn(|| self.http.event()).find(|event| !is_quiet_frame(event))
    }

    fn next_frame(&mut self) -> (u64, u64) {
        window_and_total(&self.next("frame"))
    }

    /// The first frame that has taps.
    fn frame_with_taps(&mut self) -> (u64, u64) {
        loop {
            let frame = self.next_frame();
            if frame.1 > 0 {
                return frame;
            }
        }
    }

    /// Totals of all frames with taps that still come, until the server ends the stream.
    fn watch_to_the_end(mut self) -> Vec<u64> {
        let events = std::iter::from_fn(|| self.next_but_quiet_frames());
        events.map(|event| window_and_total(&data_of(&event, "frame")).1).collect()
    }
}

fn is_quiet_frame(event: &str) -> bool {
    event.contains("event: frame\n") && window_and_total(&data_of(event, "frame")).1 == 0
}

fn data_of(event: &str, name: &str) -> Value {
    let field = |field: &str| event.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    assert_eq!(field("event: "), name, "{event}");
    let data: Value = serde_json::from_str(field("data: ")).unwrap_or_else(|error| panic!("{error}: {event}"));
    assert_eq!(field("id: "), data["window"].as_u64().map(|window| window.to_string()).unwrap_or_default(), "{event}");
    data
}

fn window_and_total(frame: &Value) -> (u64, u64) {
    (frame["window"].as_u64().unwrap(), frame["total"].as_u64().unwrap())
}

fn put(server: &Server, room: u32, emoji: &[String]) -> u16 {
    let palette: Vec<_> = emoji.iter().map(|name| json!({"name": name, "glyph": name})).collect();
    let spec = json!({"name": format!("with {} emoji", emoji.len()), "palette": palette}).to_string();
    server.ask_admin(&http::request("PUT", &format!("/v1/rooms/{room}"), "application/json", spec.as_bytes())).status
}

fn watching(server: &Server) -> u64 {
    server.metric("uproar_subscribers{proto=\"http\"}")
}

#[test]
fn a_stream_says_what_the_room_and_its_frames_are() {
    let server = Server::start(&["--shards", "2", "--window", "500ms"]);
    let mut stream = Stream::of(&server, ROOM);
    let mut asking = Http::to(server.http());
    assert_eq!(stream.next("palette"), asking.ask(&http::get("/v1/rooms/1")).json());
    let mut last = stream.next_frame();
    let mut windows = vec![last.0];
    for taps in 1..=3 {
        Tapper::to(server.reactions()).tap(ROOM, 4, taps);
        loop {
            let next = stream.next_frame();
            windows.push(next.0);
            last = next;
            if next.1 > 0 {
                assert_eq!(next.1, u64::from(taps));
                break;
            }
        }
    }
    // Every frame, in order.
    server.assert_skipped(missed(&windows));
    assert_eq!(watching(&server), 1);
    drop(stream);
    server.await_shards("uproar_subscribers{proto=\"http\"}", |now| now == 0);
    let mut again = Stream::watching(&server, ROOM);
    assert!(again.next_frame().0 >= last.0, "the newest at once");
}

#[test]
fn a_thousand_streams_have_every_frame() {
    const STREAMS: usize = 1000;
    let server = Server::start(&["--shards", "2", "--window", "1s"]);
    let mut streams: Vec<_> = (0..STREAMS).map(|_| Stream::watching(&server, ROOM)).collect();
    assert_eq!(watching(&server), STREAMS as u64);
    let mut last = streams.pop().unwrap();
    // The windows that the machine had the time for, from the first that the last stream saw to the one with taps.
    let mut made = vec![last.next_frame().0];
    Tapper::to(server.reactions()).tap(ROOM, 0, 7);
    while {
        let (window, taps) = last.next_frame();
        made.push(window);
        taps == 0
    } {}
    let upto = made[made.len() - 1];
    for stream in &mut streams {
        // The first may be of any window since it came.
        let mut seen = vec![stream.next_frame().0];
        while seen[seen.len() - 1] < upto {
            let (window, taps) = stream.next_frame();
            assert_eq!(taps, if window == upto { 7 } else { 0 });
            seen.push(window);
        }
        assert!(seen.ends_with(&made) || made.ends_with(&seen), "{seen:?}, and {made:?} were made");
    }
    // All of them read.
    assert_eq!(server.metric("uproar_frames_skipped_total{reason=\"slow_subscriber\"}"), 0);
}

#[test]
fn who_does_not_read_gets_whole_events_and_then_the_newest() {
    const EMOJI: u16 = 64;
    let config = format!("window = \"100ms\"\ntop_k = {EMOJI}\n");
    let server = Server::configured(&config, &["--shards", "1"]);
    // Frames of 20 KB: two or three are all that the kernel keeps.
    let emoji: Vec<_> = (0..EMOJI).map(|number| format!("{number:0>250}")).collect();
    assert_eq!(put(&server, 7, &emoji), 201);
    let mut slow = Stream::over(Http::narrow(server.http()), 7, "");
    let mut quick = Stream::watching(&server, 7);
    let taps: Vec<_> = (0..EMOJI).map(|emoji| (emoji, 1)).collect();
    let tapper = Tapper::to(server.reactions());
    let skipped = || server.metric("uproar_frames_skipped_total{reason=\"slow_subscriber\"}");
    let (first, before) = (quick.next_frame().0, skipped());
    while skipped() < before + 5 {
        tapper.send(&crate::support::taps::datagram(7, &taps));
        assert_eq!(quick.frame_with_taps().1, u64::from(EMOJI));
    }
    assert!(server.metric("uproar_sends_stalled_total{proto=\"http\"}") > 0);
    let newest = quick.next_frame().0;
    slow.next("palette");
    let mut windows = vec![slow.next_frame().0];
    while windows.last().unwrap() < &newest {
        windows.push(slow.next_frame().0);
    }
    assert!(windows.is_sorted_by(|before, after| before < after), "{windows:?}");
    let missing = (first..=newest).filter(|window| !windows.contains(window)).count();
    assert!(missing >= 4, "{windows:?} since {first}");
    // It reads on as anybody.
    tapper.tap(7, 0, 9);
    assert_eq!(quick.frame_with_taps().1, 9);
    assert_eq!(slow.frame_with_taps().1 % 9, 0);
}

#[test]
fn a_stream_behind_a_reply_that_is_not_read_gets_the_newest_frame_too() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    // A palette of 6 KB: less than a connection may be behind with, and than is sent apart.
    let emoji: Vec<_> = (0..12).map(|number| format!("{number:0>250}")).collect();
    assert_eq!(put(&server, 7, &emoji), 201);
    let mut http = Http::narrow(server.http());
    let (mut asked, tap) = (0, json!({"emoji": emoji[0]}).to_string());
    while server.metric("uproar_sends_stalled_total{proto=\"http\"}") == 0 {
        http.send(&[http::get("/v1/rooms/7"), http::reactions(7, &tap)].concat());
        asked += 1;
        server.await_metric("uproar_reactions_total", asked);
    }
    http.send(&http::get("/v1/rooms/7/stream"));
    let skipped = || server.metric("uproar_frames_skipped_total{reason=\"slow_subscriber\"}");
    eventually(|| (skipped() > 3).then_some(()), || format!("{} frames are skipped", skipped()));
    let mut palette = Value::Null;
    for _ in 0..asked {
        palette = http.reply().json();
        assert_eq!(http.reply().status, 202);
    }
    assert_eq!(http.reply().status, 200);
    let mut stream = Stream { http };
    assert_eq!(stream.next("palette"), palette);
    let mut last = stream.next_frame();
    for _ in 0..3 {
        let next = stream.next_frame();
        assert!(next.0 > last.0);
        last = next;
    }
}

#[test]
fn a_drain_sends_the_last_frame_and_ends_streams() {
    let server = Server::start(&["--shards", "2", "--window", "60s", "--drain-timeout", "10m"]);
    let streams: Vec<_> = (0..20).map(|_| Stream::watching(&server, ROOM)).collect();
    Tapper::to(server.reactions()).tap(ROOM, 0, 2);
    server.await_metric("uproar_reactions_total", 2);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((2, 2))), "{}", ended.log);
    for stream in streams {
        assert_eq!(stream.watch_to_the_end(), [2]);
    }
}

#[test]
fn a_drain_does_not_wait_for_who_does_not_read_beyond_its_time_limit() {
    let config = "window = \"100ms\"\n[drain]\ntimeout = \"500ms\"\n";
    let server = Server::configured(config, &["--shards", "1"]);
    let emoji: Vec<_> = (0..1000).map(|number| format!("{number:0>250}")).collect();
    assert_eq!(put(&server, 7, &emoji), 201);
    let here = Stream::watching(&server, 7);
    // Its palette alone is 600 KB.
    let deaf = Stream::over(Http::narrow(server.http()), 7, "");
    server.await_shards("uproar_sends_stalled_total{proto=\"http\"}", |stalled| stalled > 0);
    Tapper::to(server.reactions()).tap(7, 0, 3);
    server.await_metric("uproar_reactions_total", 3);
    let ended = server.terminate();
    assert_eq!((ended.code, ended.drained), (Some(0), Some((3, 3))), "{}", ended.log);
    assert_eq!(here.watch_to_the_end(), [3]);
    drop(deaf);
}

#[test]
fn a_quiet_stream_has_a_heartbeat_and_no_end() {
    let config = "window = \"60s\"\n[http]\nidle_timeout = \"1s\"\nstream_heartbeat = \"1s\"\n";
    let server = Server::configured(config, &["--shards", "1"]);
    let mut stream = Stream::watching(&server, ROOM);
    for _ in 0..4 {
        assert_eq!(stream.next_but_quiet_frames().as_deref(), Some(":"));
    }
    Tapper::to(server.reactions()).tap(ROOM, 0, 1);
    server.await_metric("uproar_reactions_total", 1);
    assert_eq!(server.terminate().code, Some(0));
    let events = std::iter::from_fn(|| stream.next_but_quiet_frames()).filter(|event| event != ":");
    let totals: Vec<_> = events.map(|event| window_and_total(&data_of(&event, "frame")).1).collect();
    assert_eq!(totals, [1]);
}

#[test]
fn a_replaced_room_sends_its_palette_and_a_deleted_one_ends_its_streams() {
    let server = Server::start(&["--shards", "2", "--window", "60s"]);
    let [before, after] = [2, 3].map(|emoji| (0..emoji).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(put(&server, 7, &before), 201);
    let mut streams: Vec<_> = (0..8).map(|_| Stream::watching(&server, 7)).collect();
    assert_eq!(put(&server, 7, &after), 200);
    for stream in &mut streams {
        let event = stream.next_but_quiet_frames().unwrap();
        assert_eq!(data_of(&event, "palette")["palette"].as_array().unwrap().len(), 3);
    }
    assert_eq!(server.ask_admin(&http::request("DELETE", "/v1/rooms/7", "", b"")).status, 204);
    for stream in streams {
        assert!(stream.watch_to_the_end().is_empty());
    }
    let refused = Http::to(server.http()).ask(&http::get("/v1/rooms/7/stream"));
    assert_eq!((refused.status, refused.code().as_str()), (404, "unknown_room"));
    assert_eq!(watching(&server), 0);
}

#[test]
fn a_shard_takes_as_many_streams_as_configured() {
    let server = Server::configured("[http]\nstreams_max = 1\n", &["--shards", "1"]);
    let first = Stream::watching(&server, ROOM);
    let mut second = Http::to(server.http());
    let refused = second.ask(&http::get("/v1/rooms/1/stream"));
    assert_eq!((refused.status, refused.code().as_str()), (503, "full"));
    assert_eq!(refused.field("connection"), Some("close"));
    second.expect_end();
    assert_eq!(server.metric("uproar_streams_refused_total{reason=\"full\"}"), 1);
    server.await_log("raise http.streams_max");
    drop(first);
    server.await_shards("uproar_subscribers{proto=\"http\"}", |now| now == 0);
    let _again = Stream::watching(&server, ROOM);
    server.rewrite("[http]\nstreams_max = 2\n");
    server.reload("done");
    Stream::watching(&server, ROOM);
}

#[test]
fn who_is_refused_and_comes_again_finds_the_shard_that_has_room() {
    let server = Server::configured("[http]\nstreams_max = 1\n", &["--shards", "2"]);
    let mut streams = Vec::new();
    let try_again = |streams: &mut Vec<Http>| {
        let mut http = Http::to(server.http());
        http.send(&http::get("/v1/rooms/1/stream"));
        match http.reply_to_head() {
            begun if begun.status == 200 => streams.push(http),
            refused => assert_eq!((refused.status, refused.field("connection")), (503, Some("close"))),
        }
        (streams.len() == 2).then_some(())
    };
    eventually(|| try_again(&mut streams), || "a shard has no stream".into());
    assert_eq!(watching(&server), 2);
    let refused = || server.metric("uproar_streams_refused_total{reason=\"full\"}");
    let before = refused();
    assert_eq!(try_again(&mut Vec::new()), None);
    assert_eq!(refused(), before + 1);
}

#[test]
fn a_stream_ends_when_its_reader_does() {
    let server = Server::start(&["--shards", "2", "--window", "60s"]);
    let mut streams: Vec<_> = (0..9).map(|_| Stream::watching(&server, ROOM)).collect();
    assert_eq!(watching(&server), 9);
    streams.drain(..3).for_each(drop);
    streams.drain(..3).for_each(|stream| stream.http.reset());
    streams.iter_mut().for_each(|stream| stream.http.end_sending());
    server.await_shards("uproar_subscribers{proto=\"http\"}", |now| now == 0);
    for stream in streams {
        assert!(stream.watch_to_the_end().is_empty());
    }
}

#[test]
fn clients_of_every_kind_are_understood() {
    let server = Server::start(&["--shards", "1", "--window", "100ms"]);
    let mut http = Http::to(server.http());
    http.send(b"HEAD /v1/rooms/1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = http.reply_to_head();
    assert_eq!((head.status, head.field("content-type")), (200, Some("text/event-stream")));
    assert_eq!(http.ask(&http::get("/livez")).status, 200, "only the head was asked for");
    assert_eq!(http.ask(&http::request("POST", "/v1/rooms/1/stream", "", b"")).status, 405);

    // Requests behind it are not answered.
    http.send(b"GET /v1/rooms/1/stream HTTP/1.0\r\n\r\nGET /livez HTTP/1.0\r\n\r\n");
    assert_eq!(http.reply().status, 200);
    let mut stream = Stream { http };
    stream.next("palette");
    let mut newest = 0;
    for _ in 0..3 {
        newest = stream.next_frame().0;
    }

    for id in ["", "-1", "last", "18446744073709551616", "0x10"] {
        let mut again = Stream::over(Http::to(server.http()), ROOM, &format!("Last-Event-ID: {id}\r\n"));
        again.next("palette");
        assert!(again.next_frame().0 >= newest, "{id:?}");
    }
    let mut again = Stream::over(Http::to(server.http()), ROOM, &format!("Last-Event-ID: {newest}\r\n"));
    again.next("palette");
    assert!(again.next_frame().0 > newest, "not what it knows");
}
