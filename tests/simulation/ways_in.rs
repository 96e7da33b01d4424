//! Every way a tap comes in, as bytes: datagrams, trains of them, HTTP with either body, QUIC DATAGRAM frames. And HTTP
//! as such, for the admin port.
//!
//! Invariant: HTTP bytes are cut in two at a place that the seed decides, as TCP may cut them anywhere.

use super::ledger::Tap;
use super::{Simulation, Viewer};
use rand::RngExt;
use uproar::metrics::Proto;
use uproar::shard::{HttpConn, HttpNext, HttpPort, Train};
use uproar_wire::http::RoomSpec;
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId, RoomId};

/// How a tap comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// A datagram that reaches this shard.
    Udp(usize),
    /// The same by HTTP, as JSON.
    Json(usize),
    /// The same by HTTP, as a datagram.
    Binary(usize),
    /// In a DATAGRAM frame of this viewer's connection.
    Quic(Viewer),
}

/// A request that was sent; its answer comes when it comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RequestId(usize);

pub(super) struct Exchange {
    pub(super) shard: usize,
    pub(super) conn: HttpConn,
    pub(super) reply: Vec<u8>,
}

/// The datagram of taps that are all of the room of the first.
pub(crate) fn datagram(taps: &[Tap]) -> Vec<u8> {
    let records: Vec<_> = taps.iter().map(|&(_, emoji, count)| Record { emoji: EmojiId(emoji), count }).collect();
    let mut bytes = Vec::new();
    reaction::encode(RoomId(taps[0].0), ClientId(0x1122_3344_5566_7788), &records, &mut bytes);
    bytes
}

impl Simulation {
    /// Somebody taps.
    pub(crate) fn tap(&mut self, way: Way, room: u32, emoji: u16, count: u16) {
        let tap = (room, emoji, count);
        match way {
            Way::Udp(shard) => self.receive_datagrams(shard, &datagram(&[tap]), 0, &[tap]),
            Way::Json(shard) => drop(self.tap_label(shard, &format!("e{emoji}"), tap)),
            Way::Binary(shard) => drop(self.post_datagram(shard, &[tap])),
            Way::Quic(viewer) => self.react(viewer, &datagram(&[tap])),
        }
    }

    /// A viewer sends a datagram.
    pub(crate) fn react(&mut self, Viewer(number): Viewer, datagram: &[u8]) {
        self.subscribers[number].react(datagram);
        self.touched.insert(number);
    }

    /// A train of datagrams that the kernel coalesced: one of two taps for each pair, and a shorter last one.
    pub(crate) fn tap_train(&mut self, shard: usize, pairs: &[[Tap; 2]], last: Tap) {
        let cars: Vec<u8> = pairs.iter().flat_map(|pair| datagram(pair)).chain(datagram(&[last])).collect();
        let taps: Vec<Tap> = pairs.iter().flatten().copied().chain([last]).collect();
        self.receive_datagrams(shard, &cars, datagram(&[last, last]).len(), &taps);
    }

    /// Bytes arrive on a shard's reaction port.
    pub(crate) fn receive_datagrams(&mut self, shard: usize, bytes: &[u8], segment_len: usize, taps: &[Tap]) {
        if self.ended[shard] {
            return;
        }
        let before = self.shards[shard].metrics_mut().reactions[Proto::Udp.index()];
        self.shards[shard].handle_reactions([Train { bytes, segment_len }].into_iter());
        let counted = self.shards[shard].metrics_mut().reactions[Proto::Udp.index()] - before;
        let sent: u64 = taps.iter().map(|&(_, _, count)| u64::from(count)).sum();
        assert!(counted == 0 || counted == sent, "taken in part: {counted} of {sent}");
        if counted > 0 {
            self.ledger.accept(taps);
        }
    }

    /// Somebody taps an emoji by a label, which means `tap`; the status of the answer.
    pub(crate) fn tap_label(&mut self, shard: usize, label: &str, tap: Tap) -> Option<u16> {
        let body = serde_json::json!({ "emoji": label, "count": tap.2 }).to_string();
        self.post(shard, "application/json", body.as_bytes(), &[tap])
    }

    /// Somebody taps several emoji by their names in one array; the status of the answer.
    pub(crate) fn tap_labels(&mut self, shard: usize, taps: &[Tap]) -> Option<u16> {
        let body =
            taps.iter().map(|(_, emoji, count)| serde_json::json!({ "emoji": format!("e{emoji}"), "count": count }));
        let body = serde_json::Value::from_iter(body).to_string();
        self.post(shard, "application/json", body.as_bytes(), taps)
    }

    /// Somebody posts a datagram; the status of the answer.
    pub(crate) fn post_datagram(&mut self, shard: usize, taps: &[Tap]) -> Option<u16> {
        self.post(shard, "application/octet-stream", &datagram(taps), taps)
    }

    fn post(&mut self, shard: usize, content_type: &str, body: &[u8], taps: &[Tap]) -> Option<u16> {
        let path = format!("/v1/rooms/{}/reactions", taps[0].0);
        let request = self.send_request(shard, HttpPort::Public, "POST", &path, content_type, body);
        let status = self.status(request);
        if status == Some(202) {
            self.ledger.accept(taps);
        }
        status
    }

    /// Sends a request to the admin port.
    pub(crate) fn admin(&mut self, method: &str, path: &str, body: &str) -> RequestId {
        self.send_request(0, HttpPort::Admin, method, path, "application/json", body.as_bytes())
    }

    /// Sends a GET to a shard's public port and reads the body of its answer.
    pub(crate) fn fetch(&mut self, shard: usize, path: &str) -> (u16, String) {
        let request = self.send_request(shard, HttpPort::Public, "GET", path, "application/json", b"");
        self.answer(request)
    }

    /// Runs until a request is answered: status and body.
    pub(crate) fn answer(&mut self, request: RequestId) -> (u16, String) {
        self.run_until("the answer", |simulation| simulation.status(request).is_some());
        let reply = std::str::from_utf8(&self.exchanges[request.0].reply).unwrap();
        let (_, body) = reply.split_once("\r\n\r\n").unwrap();
        (self.status(request).unwrap(), body.to_owned())
    }

    /// Puts a room whose palette has `palette_len` emoji, and waits for the answer's status.
    pub(crate) fn put_room(&mut self, room: u32, palette_len: u16) -> u16 {
        let request = self.ask_to_put_room(room, palette_len);
        self.answer(request).0
    }

    /// The same without waiting.
    pub(crate) fn ask_to_put_room(&mut self, room: u32, palette_len: u16) -> RequestId {
        self.ask_to_put(room, &super::room_spec(palette_len))
    }

    /// The same with a whole palette.
    pub(crate) fn ask_to_put(&mut self, room: u32, spec: &RoomSpec) -> RequestId {
        self.admin("PUT", &format!("/v1/rooms/{room}"), &serde_json::to_string(spec).unwrap())
    }

    /// The status of a request's answer, if that has come.
    pub(crate) fn status(&self, request: RequestId) -> Option<u16> {
        let reply = &self.exchanges[request.0].reply;
        Some(std::str::from_utf8(reply.get(9..12)?).unwrap().parse().unwrap())
    }

    fn send_request(
        &mut self,
        shard: usize,
        port: HttpPort,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> RequestId {
        let id = self.exchanges.len();
        let conn = HttpConn { slot: id as u32, generation: 0 };
        self.exchanges.push(Exchange { shard, conn, reply: Vec::new() });
        if self.ended[shard] {
            return RequestId(id);
        }
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let bytes = [head.as_bytes(), body].concat();
        let (first, rest) = bytes.split_at(self.rng.random_range(0..=bytes.len()));
        self.shards[shard].http_opened(conn, port);
        for part in [first, rest].into_iter().filter(|part| !part.is_empty()) {
            self.shards[shard].handle_http(conn, part, &mut self.exchanges[id].reply);
        }
        self.take_body(id);
        self.finish_exchange(id);
        self.due[shard] = Some(self.now);
        RequestId(id)
    }

    /// Goes on with requests whose answers needed other shards.
    pub(super) fn take_answers(&mut self, shard: usize) {
        while let Some(conn) = self.shards[shard].poll_http_ready() {
            let id = conn.slot as usize;
            let next = self.shards[shard].handle_http(conn, &[], &mut self.exchanges[id].reply);
            // A long reply is sent before the next request is looked at.
            assert!(matches!(next, HttpNext::Read | HttpNext::Wait), "the connection lives on");
            self.take_body(id);
            self.finish_exchange(id);
        }
    }

    /// What follows a reply from where it lies.
    fn take_body(&mut self, id: usize) {
        let Exchange { shard, conn, reply } = &mut self.exchanges[id];
        while let Some(piece) = self.shards[*shard].take_http_body(*conn) {
            reply.extend_from_slice(&piece);
        }
    }

    fn finish_exchange(&mut self, id: usize) {
        let Exchange { shard, conn, reply } = &self.exchanges[id];
        if !reply.is_empty() {
            self.shards[*shard].http_closed(*conn, uproar::metrics::Outcome::Done);
        }
    }
}
