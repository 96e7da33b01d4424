//! Streams of events by HTTP, as a client reads them: some read on, some stop for a while.
//!
//! Invariant: what a stream was sent is whole events, and what stopped it is known to its shard before the next is taken,
//! as the edge has it.

use super::Simulation;
use super::ways_in::Exchange;
use uproar::metrics::Outcome;
use uproar::shard::{HttpConn, HttpNext, HttpPort, StreamWrite};

/// A stream of the simulation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream(usize);

/// One client of a stream.
pub(super) struct Streaming {
    shard: usize,
    conn: HttpConn,
    text: Vec<u8>,
    is_ended: bool,
}

impl Simulation {
    /// Somebody watches a room by HTTP.
    pub(crate) fn stream(&mut self, shard: usize, room: u32) -> Stream {
        // Its connection is among those of requests; its answer never comes to an end.
        let number = self.exchanges.len();
        let conn = HttpConn { slot: number as u32, generation: 0 };
        self.exchanges.push(Exchange { shard, conn, reply: Vec::new() });
        let request = format!("GET /v1/rooms/{room}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.shards[shard].http_opened(conn, HttpPort::Public);
        let next = self.shards[shard].handle_http(conn, request.as_bytes(), &mut Vec::new());
        assert_eq!(next, HttpNext::Stream);
        self.due[shard] = Some(self.now);
        self.streaming.insert(number, Streaming { shard, conn, text: Vec::new(), is_ended: false });
        Stream(number)
    }

    /// The client stops reading.
    pub(crate) fn stop_reading(&mut self, Stream(number): Stream) {
        let Streaming { shard, conn, .. } = self.streaming[&number];
        self.shards[shard].handle_stream_stalled(conn);
    }

    /// It reads on.
    pub(crate) fn read_on(&mut self, Stream(number): Stream) {
        let Streaming { shard, conn, .. } = self.streaming[&number];
        self.shards[shard].handle_stream_writable(conn);
        self.due[shard] = Some(self.now);
    }

    /// It leaves.
    pub(crate) fn leave_stream(&mut self, Stream(number): Stream) {
        let Streaming { shard, conn, .. } = self.streaming[&number];
        self.shards[shard].http_closed(conn, Outcome::Done);
    }

    /// Window and total of every frame that a stream was sent.
    pub(crate) fn events_of(&self, stream: Stream) -> Vec<(u64, u64)> {
        let frames = self.data_of(stream).into_iter();
        frames.filter_map(|frame| Some((frame["window"].as_u64()?, frame["total"].as_u64()?))).collect()
    }

    /// The data of every event that a stream was sent: palettes and frames.
    pub(crate) fn data_of(&self, Stream(number): Stream) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.streaming[&number].text).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// Whether the server has ended it.
    pub(crate) fn has_ended(&self, Stream(number): Stream) -> bool {
        self.streaming[&number].is_ended
    }

    pub(super) fn take_stream_writes(&mut self, shard: usize) {
        while let Some((conn, write)) = self.shards[shard].poll_stream_write() {
            let streaming = self.streaming.get_mut(&(conn.slot as usize)).expect("a stream");
            assert!(!streaming.is_ended && streaming.conn == conn && streaming.shard == shard);
            match write {
                StreamWrite::Event(event) => streaming.text.extend_from_slice(&event),
                StreamWrite::End => streaming.is_ended = true,
            }
        }
    }
}
