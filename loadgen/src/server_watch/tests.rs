//! Watches a server that answers by script.

use super::*;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PAGE: &str = include_str!("testdata/metrics.txt");

/// What the server does with one request.
enum Turn {
    Answer(String),
    /// Closes the connection without a word.
    HangUp,
}

/// Answers requests in turn, on as many connections as are made; gives their number when all turns were taken.
async fn serve(listener: TcpListener, turns: impl IntoIterator<Item = Turn>) -> usize {
    let mut turns: VecDeque<_> = turns.into_iter().collect();
    let mut connections = 0;
    while !turns.is_empty() {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections += 1;
        while !turns.is_empty() && read_request(&mut stream).await {
            match turns.pop_front() {
                Some(Turn::Answer(reply)) => stream.write_all(reply.as_bytes()).await.unwrap(),
                Some(Turn::HangUp) | None => break,
            }
        }
    }
    connections
}

/// Whether a whole request came before the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    assert!(received.starts_with(b"GET /metrics HTTP/1.1\r\n"));
    true
}

fn answer(page: &str) -> Turn {
    Turn::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len()))
}

fn watcher(admin: SocketAddr) -> (Watcher, watch::Receiver<ServerNow>) {
    let (shown, now) = watch::channel(ServerNow::Silent);
    (Watcher::new(admin, Instant::now(), shown), now)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    (listener, admin)
}

#[tokio::test]
async fn looks_share_a_connection_and_failures_leave_holes() {
    let (listener, admin) = listen().await;
    let later = PAGE.replace("\"unknown_room\"} 10", "\"unknown_room\"} 15").replace("\"quic\"} 1\n", "\"quic\"} 9\n");
    let unavailable = Turn::Answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into());
    let turns = [answer(PAGE), answer(&later), unavailable, answer("something_else 1\n"), Turn::HangUp, answer(PAGE)];
    let server = tokio::spawn(serve(listener, turns));
    let (mut watcher, now) = watcher(admin);
    let mut samples = Vec::new();
    let mut shown = Vec::new();
    for _ in 0..6 {
        samples.push(watcher.look().await);
        shown.push(*now.borrow());
    }
    let answered: Vec<_> = samples.iter().map(|sample| sample.reading.is_some()).collect();
    assert_eq!(answered, [true, true, false, false, false, true]);
    assert!(samples.is_sorted_by(|a, b| a.at_s <= b.at_s));
    assert_eq!(server.await.unwrap(), 2, "only the one who hung up is called again");
    assert_eq!(shown[2..5], [ServerNow::Silent; 3]);
    let of = |now| match now {
        ServerNow::Answers { rss_bytes, socket_drops, refused, .. } => (rss_bytes, socket_drops, refused),
        ServerNow::Silent => panic!("the server answered"),
    };
    assert_eq!(of(shown[0]), (Some(25_436_160), 0, 0), "counted from the first look");
    assert_eq!(of(shown[1]), (Some(25_436_160), 8, 5));
}

#[tokio::test]
async fn cpu_time_is_shown_between_two_looks_without_a_hole() {
    let (mut watcher, now) = watcher(SocketAddr::from(([127, 0, 0, 1], 9)));
    let reading = |cpu_s| {
        let page = PAGE.replace("38.07", cpu_s);
        ServerReading::of(&Scrape::parse(&page))
    };
    let mut show = |at_s, reading| {
        watcher.keep(ServerSample { at_s, reading });
        match *now.borrow() {
            ServerNow::Answers { cpu_percent, .. } => cpu_percent,
            ServerNow::Silent => None,
        }
    };
    assert_eq!(show(1.0, reading("10.0")), None);
    assert_eq!(show(2.0, reading("10.5")), Some(50.0));
    assert_eq!(show(4.0, reading("13.5")), Some(150.0));
    assert_eq!(show(5.0, None), None);
    assert_eq!(show(6.0, reading("16.0")), None, "nothing to compare with, after a hole");
}

#[tokio::test]
async fn a_run_ends_with_a_look_of_its_own() {
    let (listener, admin) = listen().await;
    let server = tokio::spawn(serve(listener, [answer(PAGE), answer(PAGE)]));
    let mut watch = ServerWatch::start(admin, Instant::now());
    watch.now.changed().await.unwrap();
    assert!(matches!(watch.now(), ServerNow::Answers { .. }));
    let series = watch.finish().await;
    assert!(series.samples.len() >= 2);
    assert!(series.samples[0].reading.is_some());
    drop(server);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_silent() {
    let (listener, admin) = listen().await;
    drop(listener);
    let series = ServerWatch::start(admin, Instant::now()).finish().await;
    assert!(!series.samples.is_empty());
    assert!(series.samples.iter().all(|sample| sample.reading.is_none()));
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_called_again() {
    let (listener, admin) = listen().await;
    let (mut watcher, _now) = watcher(admin);
    // The kernel accepts the connection; the server does not yet look at it.
    watcher.answer_max = Duration::from_millis(50);
    assert_eq!(watcher.look().await.reading, None);
    watcher.answer_max = Duration::MAX;
    let server = tokio::spawn(async move {
        // The connection that was given up comes to its end.
        let (mut given_up, _) = listener.accept().await.unwrap();
        while read_request(&mut given_up).await {}
        serve(listener, [answer(PAGE)]).await
    });
    assert!(watcher.look().await.reading.is_some());
    assert_eq!(server.await.unwrap(), 1);
}
