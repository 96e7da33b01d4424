//! A match over connections in memory and in virtual time: exact, whatever else the machine does.

use super::*;
use crate::crowd::{Crowd, Part};
use crate::interrupt::Interrupt;
use crate::ledger::{Acted, Grid, Shape, Transport, histogram, record};
use crate::scenario::Scenario;
use crate::stage::Stage;
use hdrhistogram::Histogram;
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::Instant;

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

/// A server that answers at once, but not while it is stalled.
#[derive(Clone)]
struct Server {
    reply: &'static [u8],
    stall: Range<Instant>,
    /// From a request's arrival to its answer: what a closed loop would measure.
    service_us: Arc<Mutex<Histogram<u64>>>,
}

impl Server {
    fn new(stall: Range<Instant>) -> Self {
        Self { reply: ACCEPTED, stall, service_us: Arc::new(Mutex::new(histogram())) }
    }

    async fn serve(self, stream: DuplexStream) {
        let mut stream = BufReader::new(stream);
        while let Some(body_len) = head(&mut stream).await {
            let arrived = now();
            stream.read_exact(&mut vec![0; body_len]).await.unwrap();
            if self.stall.contains(&arrived) {
                tokio::time::sleep_until(self.stall.end).await;
            }
            record(&mut self.service_us.lock().unwrap(), super::super::us_since(arrived), 1);
            stream.write_all(self.reply).await.unwrap();
        }
    }
}

/// Reads a head; the length of its body, or nothing at the end.
async fn head(stream: &mut BufReader<DuplexStream>) -> Option<usize> {
    let (mut line, mut body_len) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap() == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", length)) => body_len = length.parse().unwrap(),
            Some(_) => {}
            None if line == "\r\n" => return Some(body_len),
            None => {}
        }
    }
}

impl Connect for Server {
    type Stream = DuplexStream;

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(self.clone().serve(theirs));
        Ok(ours)
    }
}

/// A second of 2,000 requests.
const MATCH: &str = "duration_s = 2\npeople = 100000\nemoji = 2\nreactions_per_second = 2000\n[http]\nconnections = 4";

fn stage(text: &str, start: Instant) -> Stage {
    let crowd = Crowd::new(Scenario::parse(text).unwrap());
    let grid = Grid::new(start.into_std(), 0, Duration::from_secs(1), Duration::from_millis(10));
    let shape = Shape { grid, rooms: 1, emoji: 2, interval: Duration::from_secs(1) };
    let acted = Arc::new(Acted::new(crowd.scenario().people));
    Stage { crowd, part: Part::WHOLE, shape, acted, counters: Arc::default(), interrupt: Interrupt::default() }
}

async fn play_against(server: &Server, text: &str, start: Instant) -> (Ledger, Stage) {
    let stage = stage(text, start);
    let connections = (0..4).map(|_| Connection::by(server.clone())).collect();
    let names = Arc::new(Names::new([["fire", "six"]]));
    let desk = Desk::new(stage.clone(), Transport::Http);
    (play(&desk, connections, "localhost", &names).await, stage)
}

fn p99_ms(us: &Histogram<u64>) -> u64 {
    us.value_at_quantile(0.99) / 1000
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_half_a_second_is_in_the_p99_and_nothing_else_changes() {
    let start = now() + Duration::from_secs(1);
    let ms = |ms| start + Duration::from_millis(ms);
    let server = Server::new(ms(250)..ms(750));
    let (ledger, stage) = play_against(&server, MATCH, start).await;
    // One request in a hundred is planned within the first 20 ms of the stall, and meets more than 480 ms of it.
    let latency = p99_ms(&ledger.confirmed_us.total());
    assert!((470..=500).contains(&latency), "{latency} ms");
    // Each of the four connections met it once: who asks only after the answer before does not see it.
    let closed_loop = server.service_us.lock().unwrap().clone();
    assert_eq!(closed_loop.count_between(100_000, u64::MAX), 4);
    assert_eq!(p99_ms(&closed_loop), 0);
    // Everything planned was sent, and it was not the generator that was late.
    assert!(ledger.planned > 3600 && ledger.sent == ledger.planned, "{} of {}", ledger.sent, ledger.planned);
    assert_eq!(ledger.confirmed_us.total().len(), ledger.batches);
    assert!(ledger.lag_us.total().max() <= 1100, "{} us", ledger.lag_us.total().max());
    // A timer's millisecond may bring a tap over the border of a second.
    let apart = ledger.planned_by_interval[0].abs_diff(ledger.sent_by_interval[0]);
    assert!(apart <= 20, "{:?} planned, {:?} sent", ledger.planned_by_interval, ledger.sent_by_interval);
    assert!(stage.acted.count() > 3000);
}

#[tokio::test(start_paused = true)]
async fn without_a_stall_latency_is_the_timers_millisecond() {
    let start = now() + Duration::from_secs(1);
    let (ledger, _) = play_against(&Server::new(start..start), MATCH, start).await;
    assert!(ledger.confirmed_us.total().max() <= 1100, "{} us", ledger.confirmed_us.total().max());
    assert_eq!(ledger.sent, ledger.planned);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_match_asks_nothing_more_and_awaits_the_answers_under_way() {
    let start = now() + Duration::from_secs(1);
    let stage = stage(MATCH, start);
    // A request sent after half a second waits until the first second is over.
    let server = Server::new(start + Duration::from_millis(500)..start + Duration::from_secs(1));
    let connections = (0..4).map(|_| Connection::by(server.clone())).collect();
    let names = Arc::new(Names::new([["fire", "six"]]));
    let desk = Desk::new(stage.clone(), Transport::Http);
    let interrupt = stage.interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep_until(start + Duration::from_millis(700)).await;
        interrupt.raise("SIGINT");
    });
    let ledger = play(&desk, connections, "localhost", &names).await;
    // Some 2,000 a second for half a second, and the four that were under way.
    assert!((800..1200).contains(&ledger.sent), "{}", ledger.sent);
    assert_eq!((ledger.planned, ledger.unsent, ledger.unconfirmed), (ledger.sent, 0, 0));
    assert!(now() >= start + Duration::from_secs(1) && now() < start + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_long_over_is_not_sent() {
    let start = now() + Duration::from_secs(1);
    let server = Server::new(start..start + Duration::from_secs(8));
    let (ledger, _) = play_against(&server, MATCH, start).await;
    // All is planned within two seconds, and what waits for eight is given up but for the four that are under way: the
    // server's fault.
    let waited = ledger.refused.get("http: 5 s late, waiting for replies to those before it");
    assert_eq!((ledger.sent, ledger.unsent, waited), (4, 0, Some(&(ledger.planned - 4))));
    assert_eq!(ledger.planned, ledger.sent + ledger.refused_taps() + ledger.unconfirmed);
    let waited_us = ledger.confirmed_us.total();
    assert_eq!(waited_us.len(), ledger.planned, "one tap a request, and the longest waits are not left out");
    assert!(waited_us.min() >= 5_900_000 && waited_us.max() >= 7_900_000, "{} us", waited_us.max());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_in_the_middle_is_to_blame_for_what_came_too_late() {
    let start = now() + Duration::from_secs(1);
    let server = Server::new(start + Duration::from_secs(1)..start + Duration::from_secs(9));
    let text = MATCH.replace("duration_s = 2", "duration_s = 12");
    let (ledger, _) = play_against(&server, &text, start).await;
    assert_eq!(ledger.unsent, 0);
    assert_eq!(ledger.planned, ledger.sent + ledger.refused_taps() + ledger.unconfirmed);
    // Planned from the start of the stall until 5 s before its end.
    assert!(ledger.refused_taps().abs_diff(6000) < 600, "{:?}", ledger.refused);
    assert!(ledger.confirmed_us.total().max() >= 7_900_000);
    assert!(ledger.lag_us.total().max() <= 1100, "{} us", ledger.lag_us.total().max());
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_behind_a_silent_server_is_its_fault() {
    let start = now() + Duration::from_secs(1);
    let server = Server::new(start..start + Duration::from_secs(60));
    let text = MATCH.replace("reactions_per_second = 2000", "reactions_per_second = 20000");
    let (ledger, _) = play_against(&server, &text, start).await;
    // Four queues of 4,096, and four that are under way.
    let crowded_out = ledger.refused.get("http: 4096 batches waiting for their connection already");
    assert_eq!((ledger.unsent, crowded_out), (0, Some(&(ledger.planned - 4 * 4097))));
    assert_eq!(ledger.confirmed_us.total().len(), 4 * 4097);
}

#[tokio::test(start_paused = true)]
async fn what_the_generator_was_late_for_is_unsent() {
    // Planning finds a match that should have begun 8 s ago.
    let start = now();
    tokio::time::advance(Duration::from_secs(8)).await;
    let (ledger, _) = play_against(&Server::new(start..start), MATCH, start).await;
    assert_eq!((ledger.sent, ledger.unsent), (0, ledger.planned));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_for_too_long_leaves_fates_unknown() {
    let start = now() + Duration::from_secs(1);
    let server = Server::new(start..start + Duration::from_secs(60));
    let (ledger, stage) = play_against(&server, MATCH, start).await;
    assert_eq!((ledger.sent, ledger.unconfirmed, ledger.unsent), (0, 4, 0));
    assert_eq!(ledger.refused_taps(), ledger.planned - 4);
    assert!(ledger.confirmed_us.total().max() >= 9_900_000, "the unanswered have waited longest");
    assert_eq!(stage.acted.count(), 0);
}

#[test]
fn no_section_is_nobody() {
    assert_eq!([super::client(0), super::client(u32::MAX)], [1, 1 << 32]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_by_its_status() {
    let start = now() + Duration::from_secs(1);
    let reply = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let (ledger, _) = play_against(&Server { reply, ..Server::new(start..start) }, MATCH, start).await;
    assert_eq!(ledger.refused.get("http 503"), Some(&ledger.planned));
    assert!(ledger.confirmed_us.total().is_empty());
}
