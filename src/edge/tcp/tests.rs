//! What one turn does for connections on real sockets, counted in units of work: bytes, requests, connections. No test here
//! looks at a clock.

use super::turns::TurnWork;
use super::{Tcp, limits};
use crate::config::Config;
use crate::edge::admission::Admission;
use crate::edge::board::Board;
use crate::edge::listen;
use crate::edge::sys::ring::Ring;
use crate::edge::token::Purpose;
use crate::ids::ShardId;
use crate::shard::{HttpPort, Shard, http_tests};
use crate::window::Now;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const UPROAR_JS: &[u8] = b"GET /uproar.js HTTP/1.1\r\nHost: a\r\n\r\n";
const TAP: &[u8] = b"POST /v1/rooms/1/reactions HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{\"emoji\":\"fire\"}";
/// Turns after which something that ought to happen has not.
const TURNS_MAX: usize = 100_000;

/// One shard's connections, and what its turns do at most.
struct Stage {
    ring: Ring,
    tcp: Tcp,
    shard: Shard,
    now: Now,
    address: SocketAddr,
    most: TurnWork,
}

impl Stage {
    fn new() -> Self {
        let mut config = Config::default();
        config.listen.http = ([127, 0, 0, 1], 0).into();
        let mut sockets = listen::open_http(&config).unwrap();
        let listener = sockets.remove(0);
        let address = listener.local_addr().unwrap();
        let now = http_tests::now();
        let admission = Admission::new(ShardId(0), 1, Arc::new(Board::new(1, 10_000)), 0);
        let mut shard = http_tests::config(1);
        shard.web.page = true;
        shard.settings.streams_max = 1000;
        Self {
            ring: Ring::new().unwrap(),
            tcp: Tcp::new(vec![(listener, HttpPort::Public)], admission, &config, now.instant),
            shard: Shard::new(shard, now),
            now,
            address,
            most: TurnWork::default(),
        }
    }

    /// One turn, as the shard loop has it. True when there is more to do at once.
    fn turn(&mut self) -> bool {
        let Self { ring, tcp, shard, now, most, .. } = self;
        let mut completions = Vec::new();
        ring.enter(&mut completions).unwrap();
        tcp.begin_turn(now.instant, ring, shard).unwrap();
        for completion in completions {
            match Purpose::of(completion.token) {
                Purpose::Accept(listener) => tcp.handle_acceptable(listener),
                Purpose::Receive(conn) => tcp.handle_received(now.instant, conn, &completion, ring, shard),
                Purpose::Writable(conn) => tcp.handle_writable(conn),
                _ => {}
            }
        }
        tcp.end_arrivals(now.instant, ring, shard).unwrap();
        tcp.handle_timeout(now.instant, ring, shard).unwrap();
        let has_work = shard.serve(*now);
        tcp.handle_answers(shard);
        tcp.handle_stream_writes(now.instant, ring, shard);
        tcp.flush(ring, shard).unwrap();
        most.requests = most.requests.max(tcp.work.requests);
        most.flush = most.flush.max(tcp.work.flush);
        most.accepts = most.accepts.max(tcp.work.accepts);
        most.swept = most.swept.max(tcp.work.swept);
        most.ended = most.ended.max(tcp.work.ended);
        has_work || tcp.has_work()
    }

    /// Turns until `is_there`; how many it took.
    fn turn_until(&mut self, mut is_there: impl FnMut(&mut Self) -> bool) -> usize {
        for turns in 0..TURNS_MAX {
            if is_there(self) {
                return turns;
            }
            self.turn();
        }
        panic!("it does not come");
    }

    /// A client with room for few bytes that it has not read.
    fn connect(&self) -> TcpStream {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true).unwrap();
        stream
    }

    fn connect_all(&mut self, count: usize) -> Vec<TcpStream> {
        let clients = (0..count).map(|_| self.connect()).collect();
        self.turn_until(|stage| stage.tcp.conns.len() == count);
        clients
    }

    fn requests(&self) -> u64 {
        self.shard.http_requests()
    }
}

/// What has come to a client and was not read.
fn read(mut client: &TcpStream) -> usize {
    let mut buffer = [0; 65_536];
    let mut bytes = 0;
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(len) => bytes += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the step that spends the last of a turn's work can exceed it by: what is received at once, the requests in it until
/// their replies are too many, and the last of those.
const STEP_MAX: usize = limits::TCP_BUFFER
    + limits::HTTP_REPLIES_MAX / 64 * limits::HTTP_REQUEST_COST
    + limits::HTTP_REPLIES_MAX
    + limits::HTTP_SEND_BUFFER_BYTES;

#[test]
fn pipelines_that_are_never_read_cost_a_turn_a_bounded_amount() {
    let mut stage = Stage::new();
    let mute = stage.connect_all(300);
    for mut client in &mute {
        client.write_all(&UPROAR_JS.repeat(200)).unwrap();
    }
    // All of them have had their turn, and none is done.
    stage.turn_until(|stage| stage.requests() >= 300);
    let mut tapper = stage.connect();
    tapper.write_all(TAP).unwrap();
    let turns = stage.turn_until(|_| read(&tapper) > 0);
    // The kernel reports some of what has come each time that it is entered.
    assert!(turns <= 40, "far fewer than there are mute ones: {turns} turns");
    for _ in 0..1000 {
        stage.turn();
    }
    assert!(!stage.turn(), "a reply that is not read does not keep the shard awake");
    assert!(stage.requests() < 300 * 20, "requests wait for the replies before them: {}", stage.requests());
    assert!(stage.most.requests <= limits::HTTP_TURN_WORK + STEP_MAX, "{:?}", stage.most);
    assert!(stage.most.flush <= limits::HTTP_FLUSH_WORK + STEP_MAX, "{:?}", stage.most);
    for (_, conn) in &stage.tcp.conns {
        let kept = crate::edge::sys::socket_option::unsent(&conn.socket).unwrap();
        assert!(kept < limits::HTTP_KERNEL_BYTES_MAX, "{kept} bytes in the kernel");
    }
}

#[test]
fn pipelines_take_turns() {
    const CLIENTS: usize = 8;
    let mut stage = Stage::new();
    let clients = stage.connect_all(CLIENTS);
    for mut client in &clients {
        client.write_all(&UPROAR_JS.repeat(100)).unwrap();
    }
    let mut received = [0; CLIENTS];
    let all = 100 * include_bytes!("../../../web/uproar.js").len();
    stage.turn_until(|_| {
        for (received, client) in received.iter_mut().zip(&clients) {
            *received += read(client);
        }
        let (least, most) = (received.iter().min().unwrap(), received.iter().max().unwrap());
        // A step of each, and what the kernel keeps of both.
        assert!(most - least <= 2 * STEP_MAX, "{received:?}");
        *least >= all
    });
}

#[test]
fn a_burst_of_taps_is_answered_over_turns_and_each_once() {
    const CLIENTS: usize = 200;
    let mut stage = Stage::new();
    let clients = stage.connect_all(CLIENTS);
    for mut client in &clients {
        client.write_all(&TAP.repeat(50)).unwrap();
    }
    let mut received = vec![0; CLIENTS];
    let reply_len = {
        let mut one = stage.connect();
        one.write_all(TAP).unwrap();
        let mut len = 0;
        stage.turn_until(|_| {
            len = read(&one);
            len > 0
        });
        len
    };
    stage.turn_until(|_| {
        received.iter_mut().zip(&clients).for_each(|(received, client)| *received += read(client));
        received.iter().all(|&received| received >= 50 * reply_len)
    });
    assert!(received.iter().all(|&received| received == 50 * reply_len));
    assert_eq!(stage.shard.metrics().reactions.iter().sum::<u64>(), 50 * CLIENTS as u64 + 1);
    assert!(stage.most.requests <= limits::HTTP_TURN_WORK + STEP_MAX, "{:?}", stage.most);
}

#[test]
fn a_crowd_that_connects_at_once_is_accepted_over_turns() {
    let mut stage = Stage::new();
    // As many as wait in the kernel without a turn.
    let clients: Vec<_> = (0..3 * limits::ACCEPTS_PER_TURN).map(|_| stage.connect()).collect();
    stage.turn_until(|stage| stage.tcp.conns.len() == clients.len());
    assert_eq!(stage.most.accepts, limits::ACCEPTS_PER_TURN);
    drop(clients);
    stage.turn_until(|stage| stage.tcp.conns.is_empty());
}

#[test]
fn connections_whose_time_is_up_together_are_ended_over_turns() {
    let mut stage = Stage::new();
    let clients = stage.connect_all(5 * limits::HTTP_SWEEP_ENDS);
    stage.now.instant += Config::default().http.idle_timeout + Duration::from_secs(2);
    stage.turn_until(|stage| stage.tcp.conns.is_empty());
    assert_eq!(stage.most.ended, limits::HTTP_SWEEP_ENDS);
    assert!(stage.most.swept <= limits::HTTP_SWEEP_SLICE);
    assert!(stage.most.flush <= limits::HTTP_FLUSH_WORK + STEP_MAX, "{:?}", stage.most);
    drop(clients);
}
