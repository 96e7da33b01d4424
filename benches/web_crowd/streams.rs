//! Subscribers by Server-Sent Events, all in one thread.

use crate::ROOM;
use crate::events::Readers;
use crate::kind::{Kind, Record};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// Starts so many, and waits until all are answered.
pub(crate) fn start(http: SocketAddr, count: usize) -> Kind {
    Kind::start("events", move |record, ending, ready| {
        let mut readers = Readers::connect(http, &format!("/v1/rooms/{}/stream", ROOM.0), count);
        ready();
        let tell = |at: usize, event: &[u8]| handle_event(record, at, event);
        readers.read_while(|| !ending.load(Ordering::Relaxed), tell);
        assert!(readers.ended() == 0, "{} streams were ended", readers.ended());
    })
}

fn handle_event(record: &Record, at: usize, event: &[u8]) {
    // Of a frame, and not a palette or a comment.
    let Some(event) = event.strip_prefix(b"id: ") else { return };
    let text = std::str::from_utf8(event).expect("events are text");
    let mut lines = text.lines();
    let window = lines.next().and_then(|id| id.parse().ok()).expect("a window's number");
    assert!(lines.next() == Some("event: frame"), "{text}");
    let data = lines.next().and_then(|line| line.strip_prefix("data: ")).expect("data");
    let frame: uproar_wire::http::FrameBody<'_> = serde_json::from_str(data).expect("a frame as JSON");
    assert!(frame.window == window && lines.next().is_none(), "{text}");
    record.handle_frame(at, window, frame.total);
}
