//! The whole HTTP face of a shard: replies match requests one to one, and what a 202 acknowledges is exactly what is
//! counted and what the frame says.

use super::cut::ways_to_cut;
use super::http_json;
use super::http_model::{self, Seen, find};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use uproar::ids::ShardId;
use uproar::ingest::http::{ContentKind, Method};
use uproar::limits::{HTTP_BODY_MAX, HTTP_HEAD_MAX, ROOM_SPEC_BYTES_MAX};
use uproar::metrics::{Outcome, ProcessMetrics, Proto, ShardMetrics};
use uproar::quic::{HandshakeLimits, QuicConfig, QuicSettings, TimeSource, server_crypto};
use uproar::room::{Room, demo_room};
use uproar::shard::{HttpConn, HttpNext, HttpPort, Shard, ShardConfig, ShardSettings, WebConfig};
use uproar::tally::TapLimits;
use uproar::window::Now;
use uproar_wire::reaction::ReactionBatch;

const WINDOW_MS: u64 = 2000;

/// Sends `bytes` to both ports of a shard with one room, cut in every way.
///
/// # Panics
/// When replies are malformed, depend on how the bytes were cut, or are not one for each request and one for a refusal;
/// when a connection outlives a request that ends it; when a 2xx answers a reaction that was not counted, or another
/// status one that was; when counters or the frame disagree with what was acknowledged.
pub fn check(bytes: &[u8]) {
    check_port(bytes, HttpPort::Public, HTTP_BODY_MAX, check_taps);
    check_port(bytes, HttpPort::Admin, ROOM_SPEC_BYTES_MAX, |_, talk| {
        assert_eq!(talk.metrics.reactions, [0; Proto::COUNT], "nobody taps on the admin port");
    });
}

fn check_port(bytes: &[u8], port: HttpPort, body_bytes_max: usize, check_counts: fn(&[Seen], &Talk)) {
    let mut requests = http_model::requests(bytes, body_bytes_max);
    // What follows a request for a stream means nothing, either.
    requests.iter_mut().for_each(|request| request.keep_alive &= !begins_stream(port, request));
    if let Some(last) = requests.iter().position(|request| !request.keep_alive) {
        requests.truncate(last + 1);
    }
    let whole = talk(port, &[bytes], &requests, Waits::Resumed);
    check_replies(&requests, &whole);
    check_counts(&requests, &whole);
    for pieces in ways_to_cut(bytes) {
        let cut = talk(port, &pieces, &requests, Waits::Resumed);
        assert_eq!((&cut.replies, cut.is_closed), (&whole.replies, whole.is_closed));
        assert_eq!(cut.metrics.reactions, whole.metrics.reactions);
        // Beyond this, a client that goes on sending while it must wait is cut off.
        if bytes.len() <= HTTP_HEAD_MAX {
            let held = talk(port, &pieces, &requests, Waits::Held);
            assert_eq!((&held.replies, held.is_closed), (&whole.replies, whole.is_closed));
        }
    }
}

/// What a connection that waits does with bytes that come meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// None come.
    Resumed,
    /// One more piece comes.
    Held,
}

/// What a connection saw, and what the shard counted.
struct Talk {
    replies: Vec<Reply>,
    is_closed: bool,
    metrics: ShardMetrics,
}

#[derive(PartialEq, Eq, Debug)]
struct Reply {
    status: u16,
    keep_alive: bool,
    body: Vec<u8>,
}

fn talk(port: HttpPort, pieces: &[&[u8]], requests: &[Seen], waits: Waits) -> Talk {
    let conn = HttpConn { slot: 0, generation: 0 };
    let now = now();
    let mut shard = Shard::new(config(), now);
    shard.http_opened(conn, port);
    let (mut sent, mut next) = (Vec::new(), HttpNext::Read);
    let mut pieces = pieces.iter().copied().peekable();
    while !matches!(next, HttpNext::Close | HttpNext::Stream) {
        let mut replies = Vec::new();
        next = match (next, waits) {
            (HttpNext::Wait, Waits::Held) => shard.handle_http(conn, pieces.next().unwrap_or(b""), &mut replies),
            (HttpNext::Wait, Waits::Resumed) => shard.handle_http(conn, b"", &mut replies),
            _ => match pieces.next() {
                Some(piece) => shard.handle_http(conn, piece, &mut replies),
                None => break,
            },
        };
        sent.append(&mut replies);
        // All messages are to the only shard itself.
        assert!(shard.poll_mesh(now).is_none());
        while shard.serve(now) {}
        while shard.poll_stream_write().is_some() {}
        while shard.poll_http_ready().is_some() {}
    }
    let is_closed = matches!(next, HttpNext::Close | HttpNext::Stream);
    shard.http_closed(conn, Outcome::Done);
    close_window(&mut shard, now);
    Talk { replies: read_replies(&sent, requests), is_closed, metrics: shard.metrics() }
}

fn begins_stream(port: HttpPort, request: &Seen) -> bool {
    port == HttpPort::Public && request.method == Method::Get && request.path == "/v1/rooms/1/stream"
}

fn close_window(shard: &mut Shard, mut now: Now) {
    now.instant += Duration::from_millis(WINDOW_MS);
    now.unix_ms += WINDOW_MS;
    shard.handle_timeout(now);
    loop {
        assert!(shard.poll_mesh(now).is_none());
        if !shard.serve(now) && !shard.has_heard_itself() {
            break;
        }
    }
}

/// Takes `bytes` apart as a client does that knows which requests it sent.
fn read_replies(bytes: &[u8], requests: &[Seen]) -> Vec<Reply> {
    let (mut rest, mut replies) = (bytes, Vec::new());
    while !rest.is_empty() {
        let head_len = find(rest, b"\r\n\r\n").expect("a whole head") + 4;
        let (head, after) = rest.split_at(head_len);
        rest = after;
        if head == b"HTTP/1.1 100 Continue\r\n\r\n" {
            assert!(!rest.is_empty() || replies.len() >= requests.len(), "a final reply follows");
            continue;
        }
        let is_head = requests.get(replies.len()).is_some_and(|request| request.method == Method::Head);
        let (reply, body_len) = read_head(std::str::from_utf8(head).expect("heads are ASCII"));
        // Events do not come before the next turn, but for the time after which to come again.
        let begins_stream = !is_head && find(head, b"text/event-stream").is_some();
        assert!(!begins_stream || (rest.starts_with(b"retry: ") && rest.ends_with(b"\n")), "a stream begins");
        let body_len = if begins_stream { rest.len() } else { body_len };
        let body_len = if is_head { 0 } else { body_len };
        let (body, after) = rest.split_at_checked(body_len).expect("a whole body");
        rest = after;
        replies.push(Reply { body: body.to_vec(), ..reply });
    }
    replies
}

fn read_head(head: &str) -> (Reply, usize) {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
    let status: u16 = status[..3].parse().expect("a status");
    let fields: Vec<(&str, &str)> = lines.map(|line| line.split_once(": ").expect("a field")).collect();
    let value = |name: &str| {
        let mut values = fields.iter().filter(|(other, _)| *other == name);
        let value = values.next().map(|(_, value)| *value);
        assert_eq!(values.next(), None, "{name} once");
        value
    };
    let length = value("Content-Length").map(|length| length.parse().expect("a length"));
    let is_stream = value("Content-Type") == Some("text/event-stream");
    assert_eq!(length.is_none(), matches!(status, 204 | 304) || is_stream, "{head}");
    let keep_alive = match value("Connection") {
        Some("keep-alive") => true,
        Some("close") => false,
        other => panic!("a reply says what becomes of the connection, not {other:?}: {head}"),
    };
    (Reply { status, keep_alive, body: Vec::new() }, length.unwrap_or(0))
}

fn check_replies(requests: &[Seen], talk: &Talk) {
    let (answers, refusals) = talk.replies.split_at_checked(requests.len()).expect("an answer for each request");
    for (request, answer) in requests.iter().zip(answers) {
        assert_eq!(answer.keep_alive, request.keep_alive, "{request:?}");
    }
    match refusals {
        [] => assert_eq!(talk.is_closed, requests.last().is_some_and(|request| !request.keep_alive)),
        [refusal] => assert!(talk.is_closed && !refusal.keep_alive && refusal.status >= 400, "{refusal:?}"),
        _ => panic!("more than one refusal: {refusals:?}"),
    }
    let counted: u64 = talk.metrics.http_requests.iter().sum();
    assert_eq!(counted, talk.replies.len() as u64);
}

fn check_taps(requests: &[Seen], talk: &Talk) {
    let (mut records, mut taps) = (0, 0);
    for (request, answer) in requests.iter().zip(&talk.replies) {
        let counts = reaction(request);
        assert_eq!(answer.status == 202, counts.is_some(), "{request:?} {answer:?}");
        let is_question = matches!(request.method, Method::Get | Method::Head | Method::Options);
        assert!(counts.is_some() || is_question || answer.status >= 400, "{request:?} {answer:?}");
        let counts = counts.unwrap_or_default();
        records += counts.len() as u64;
        taps += counts.iter().map(|&count| u64::from(count)).sum::<u64>();
    }
    let metrics = &talk.metrics;
    let of_http = |counts: [u64; Proto::COUNT]| {
        assert_eq!(counts.iter().sum::<u64>(), counts[Proto::Http.index()]);
        counts[Proto::Http.index()]
    };
    assert_eq!((of_http(metrics.reaction_records), of_http(metrics.reactions)), (records, taps));
    assert_eq!(metrics.frame_taps, taps, "what was acknowledged is in the frame");
}

/// The counts of a request that is to be counted.
fn reaction(request: &Seen) -> Option<Vec<u16>> {
    if (request.method, request.path.as_str()) != (Method::Post, "/v1/rooms/1/reactions") {
        return None;
    }
    match request.content {
        // Pages of any site may ask, so text is as good.
        ContentKind::Json | ContentKind::Text | ContentKind::None => {
            let json = request.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&request.body);
            let taps = http_json::model(json, |label| room().emoji_id(label))?;
            Some(taps.into_iter().map(|(_, count)| count).collect())
        }
        ContentKind::OctetStream => {
            let batch = ReactionBatch::parse(&request.body).ok().filter(|batch| batch.room == room().id())?;
            let is_known = batch.records().all(|record| record.emoji.0 < room().palette_len());
            is_known.then(|| batch.records().map(|record| record.count).collect())
        }
        ContentKind::Coded(_) | ContentKind::Other => None,
    }
}

fn room() -> &'static Arc<Room> {
    static ROOM: OnceLock<Arc<Room>> = OnceLock::new();
    ROOM.get_or_init(|| Arc::new(demo_room()))
}

/// The start of a window, always the same.
fn now() -> Now {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "the one reading; from here on time is added up")]
    let instant = *STARTED.get_or_init(Instant::now);
    Now { instant, unix_ms: 1_802_469_134_000 }
}

fn config() -> ShardConfig {
    let id = ShardId(0);
    ShardConfig {
        id,
        shards: 1,
        window_ms: WINDOW_MS,
        top_k: 8,
        settings: ShardSettings {
            rooms_per_subscriber_max: 1,
            streams_max: 1,
            subscribers_max: 1,
            tap_limits: TapLimits::NONE,
            fanout_spread: Duration::ZERO,
            drain_duration: Duration::ZERO,
            drain_timeout: Duration::from_secs(1),
            webtransport: None,
        },
        rooms: vec![room().clone()],
        admin_names: Vec::new(),
        web: WebConfig::default(),
        quic: quic(id),
        read_process: Arc::new(ProcessMetrics::default),
        rng_seed: [1; 32],
    }
}

/// Nobody asks for the time.
struct StoppedClock;

impl TimeSource for StoppedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// QUIC that nobody speaks: no certificate.
fn quic(shard: ShardId) -> QuicConfig {
    static TLS: OnceLock<rustls::ServerConfig> = OnceLock::new();
    let tls = TLS.get_or_init(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3 is there")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new()))
    });
    QuicConfig {
        shard,
        shards: 1,
        reset_key: [2; 64],
        token_key: [3; 64],
        clock: Arc::new(StoppedClock),
        hello_timeout: Duration::from_secs(1),
        prefetch: |_, _| {},
        webtransport: None,
        settings: QuicSettings {
            tls: server_crypto(tls.clone()).expect("TLS 1.3 has what QUIC needs"),
            connections_per_address_max: 0,
            max_connections: 1,
            idle_timeout: Duration::from_secs(1),
            handshakes: HandshakeLimits::default(),
        },
    }
}
