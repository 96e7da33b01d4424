//! What does a newcomer cost the server: in CPU time by how far it gets, in memory while it waits?
//!
//! Clients in memory shake hands with one shard's QUIC; only the server's calls are timed. `full` shows a certificate
//! (P-256), `resumed` takes a ticket, `retried` is a first packet that is answered by a Retry, `dropped` one that finds
//! no place. `waiting` and `begun` are bytes of resident memory of a connection in line, and of one whose
//! client is not heard of again.
//! `cargo bench --bench handshake`; tests do a few of each.

mod effort;

use bytes::BytesMut;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Connection, ConnectionHandle, DatagramEvent, Endpoint, EndpointConfig, Event};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use uproar::ids::ShardId;
use uproar::limits::QUIC_HANDSHAKES_PER_TURN;
use uproar::quic::{
    ALPN, Arrival, HandshakeLimits, MasterSecret, Quic, QuicConfig, QuicSettings, Tickets, TimeSource, TransmitBatch,
    server_crypto, tls_config,
};

const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 7443);

struct StoppedClock;

impl TimeSource for StoppedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// One server, and the time that its calls took.
struct Bench {
    server: Quic,
    client_tls: Arc<QuicClientConfig>,
    batch: TransmitBatch,
    now: Instant,
    clients: u32,
    spent: Duration,
}

struct Client {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    address: SocketAddr,
    is_connected: bool,
}

fn main() {
    let rounds = effort::rooms(4000);
    // First, as memory that was used before is not given back.
    measure_bytes(rounds);
    measure_times(rounds);
}

fn measure_bytes(rounds: u32) {
    println!("{:<10}{:>12}", "", "bytes each");
    let limits = HandshakeLimits { retry_above: usize::MAX, max: rounds as usize, per_second: 1_000_000 };
    let mut bench = Bench::new(limits, false);
    // Their memory is there before and after.
    let mut clients: Vec<_> = (0..rounds).map(|_| bench.client()).collect();
    let packets: Vec<_> = clients.iter_mut().map(|client| (client.address, client.output(bench.now))).collect();
    let before = resident_bytes();
    for (address, packet) in &packets {
        bench.hand_over(*address, &packet[0]);
    }
    report_bytes("waiting", before, rounds);
    bench.begin_all();
    report_bytes("begun", before, rounds);
}

fn measure_times(rounds: u32) {
    println!("\n{:<10}{:>12}", "", "us each");
    for (what, is_resumed) in [("full", false), ("resumed", true)] {
        let mut bench =
            Bench::new(HandshakeLimits { retry_above: usize::MAX, ..HandshakeLimits::default() }, is_resumed);
        // The first one brings the ticket, and warms up.
        bench.shake_hands();
        bench.spent = Duration::ZERO;
        (0..rounds / 4).for_each(|_| bench.shake_hands());
        report_time(what, bench.spent, rounds / 4);
    }
    for (what, limits) in [
        ("retried", HandshakeLimits { retry_above: 0, ..HandshakeLimits::default() }),
        ("dropped", HandshakeLimits { retry_above: usize::MAX, max: 0, ..HandshakeLimits::default() }),
    ] {
        let mut bench = Bench::new(limits, false);
        (0..rounds).for_each(|_| drop(bench.first_packet()));
        report_time(what, bench.spent, rounds);
    }
}

fn report_time(what: &str, spent: Duration, rounds: u32) {
    println!("{what:<10}{:>12.1}", spent.as_secs_f64() * 1e6 / f64::from(rounds.max(1)));
}

fn report_bytes(what: &str, before: usize, rounds: u32) {
    println!("{what:<10}{:>12}", resident_bytes().saturating_sub(before) / rounds.max(1) as usize);
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["uproar.test".to_owned()]).expect("a certificate");
        let key = made.signing_key.serialize_der().try_into().expect("a key");
        Self { certificate: made.cert.der().clone(), key }
    }

    fn server(&self, limits: HandshakeLimits) -> Quic {
        let keys = MasterSecret::new([1; 32]).keys();
        let clock = Arc::new(StoppedClock);
        let tickets = Tickets::new(&keys.ticket, clock.clone());
        let tls = tls_config(vec![self.certificate.clone()], self.key.clone_key(), tickets).expect("a certificate");
        let config = QuicConfig {
            shard: ShardId(0),
            shards: 1,
            reset_key: keys.reset,
            token_key: keys.token,
            clock,
            hello_timeout: Duration::from_secs(5),
            prefetch: |_, _| {},
            webtransport: None,
            settings: QuicSettings {
                tls: server_crypto(tls).expect("AES-128-GCM"),
                max_connections: 1_000_000,
                idle_timeout: Duration::from_secs(30),
                connections_per_address_max: 0,
                handshakes: limits,
            },
        };
        Quic::new(config, [2; 32])
    }

    fn client_tls(&self, is_resumed: bool) -> Arc<QuicClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        if !is_resumed {
            tls.resumption = rustls::client::Resumption::disabled();
        }
        Arc::new(tls.try_into().expect("AES-128-GCM"))
    }
}

impl Bench {
    fn new(limits: HandshakeLimits, is_resumed: bool) -> Self {
        let identity = Identity::new();
        Self {
            server: identity.server(limits),
            client_tls: identity.client_tls(is_resumed),
            batch: TransmitBatch::new(256 * 1024),
            now: read_clock(),
            clients: 0,
            spent: Duration::ZERO,
        }
    }

    fn client(&mut self) -> Client {
        self.clients += 1;
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
        let config = ClientConfig::new(self.client_tls.clone());
        let (handle, connection) =
            endpoint.connect(self.now, config, SERVER.into(), "uproar.test").expect("a connection");
        let [_, a, b, c] = self.clients.to_be_bytes();
        let address = SocketAddr::from(([10, a, b, c], 40_000));
        Client { endpoint, handle, connection, address, is_connected: false }
    }

    /// Only the first packet of a client comes.
    fn first_packet(&mut self) -> Client {
        let mut client = self.client();
        let packets = client.output(self.now);
        self.hand_over(client.address, &packets[0]);
        self.answer();
        client
    }

    fn shake_hands(&mut self) {
        let mut client = self.client();
        // Two round trips and the ticket; time passes as it does between turns.
        for _ in 0..4 {
            for packet in client.output(self.now) {
                self.hand_over(client.address, &packet);
            }
            self.begin_all();
            for packet in self.answer() {
                client.handle_packet(self.now, &packet);
            }
            self.now += Duration::from_millis(10);
        }
        assert!(client.is_connected, "the handshake is complete");
    }

    fn hand_over(&mut self, remote: SocketAddr, bytes: &[u8]) {
        let began = read_clock();
        self.server.handle_datagrams(self.now, std::iter::once(Arrival { remote, local_ip: None, ecn: None, bytes }));
        self.spent += read_clock() - began;
    }

    fn begin_all(&mut self) {
        let began = read_clock();
        while self.server.handshakes_waiting() > 0 {
            self.server.begin_handshakes(self.now, false);
            self.now += Duration::from_millis(QUIC_HANDSHAKES_PER_TURN as u64);
        }
        self.spent += read_clock() - began;
    }

    /// What the server sends.
    fn answer(&mut self) -> Vec<Vec<u8>> {
        let began = read_clock();
        while self.server.poll_event().is_some() {}
        self.batch.clear();
        while self.server.poll_transmit(self.now, 64, &mut self.batch) && !self.batch.is_full() {}
        self.spent += read_clock() - began;
        let datagrams = self.batch.iter().flat_map(|transmit| self.batch.datagrams(transmit));
        datagrams.map(<[u8]>::to_vec).collect()
    }
}

impl Client {
    fn handle_packet(&mut self, now: Instant, bytes: &[u8]) {
        let event = self.endpoint.handle(now, SERVER.into(), None, None, BytesMut::from(bytes), &mut Vec::new());
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
            self.connection.handle_event(event);
        }
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
        while let Some(event) = self.connection.poll() {
            self.is_connected |= matches!(event, Event::Connected);
        }
    }

    fn output(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(now, 1, &mut buffer) {
            packets.push(buffer[..transmit.size].to_vec());
            buffer.clear();
        }
        packets
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn read_clock() -> Instant {
    Instant::now()
}
