//! One server and its subscribers in memory: virtual time, a link that a seed makes lossy, no sockets.

use crate::ids::ShardId;
use crate::quic::{
    ALPN, ALPN_HTTP3, Arrival, HandshakeLimits, MasterSecret, Quic, QuicConfig, QuicEvent, QuicSettings, ServerCrypto,
    Tickets, TransmitBatch, server_crypto, speak_http3, tls_config,
};
use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event,
    StreamEvent, StreamId, TimeSource, TransportConfig, VarInt,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ConfigBuilder, WantsVerifier};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use uproar_wire::RoomId;
use uproar_wire::hello::{Hello, RoomStatus, Welcome};

pub(super) const SHARD: ShardId = ShardId(2);
pub(super) const SHARDS: usize = 5;
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// One way.
pub(super) const DELAY: Duration = Duration::from_millis(10);
/// Virtual time after which what a test waits for is taken not to come.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the link does to a packet.
#[derive(Clone, Copy, Default)]
pub(super) struct Impairment {
    pub(super) loss_percent: u32,
    pub(super) duplicate_percent: u32,
    /// Up to this is added to a packet's delay, which reorders.
    pub(super) jitter: Duration,
}

pub(super) struct Client {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    pub(super) connection: Connection,
    pub(super) address: SocketAddr,
    /// Whether it reads the streams that the server opens.
    pub(super) reads: bool,
    /// Whether it reads what the server answers.
    pub(super) reads_control: bool,
    pub(super) received: BTreeMap<u64, Vec<u8>>,
    pub(super) control: Option<StreamId>,
    pub(super) control_received: Vec<u8>,
    pub(super) connected: bool,
    /// What it sent before it was connected.
    pub(super) first_datagrams: Vec<Vec<u8>>,
    pub(super) lost: Option<ConnectionError>,
    room_streams: Vec<StreamId>,
}

struct Flight {
    from: Option<SocketAddr>,
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
}

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) server: Quic,
    pub(super) clients: Vec<Client>,
    pub(super) events: Vec<QuicEvent>,
    pub(super) impairment: Impairment,
    /// Packets that clients sent once they were connected.
    pub(super) client_packets: Vec<Vec<u8>>,
    /// Which of all packets is changed on its way: at which byte, which bits.
    pub(super) bend: Option<(usize, usize, u8)>,
    /// What clients that start to connect from now on trust and remember.
    pub(super) client_tls: Arc<QuicClientConfig>,
    batch: TransmitBatch,
    flights: BTreeMap<(Instant, u64), Flight>,
    flown: u64,
    rng: StdRng,
}

/// A server's wall clock, in seconds since 1970: it stands until it is put forward.
#[derive(Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

struct Tls {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    server: Arc<ServerCrypto>,
    client: Arc<QuicClientConfig>,
    browser: Arc<QuicClientConfig>,
}

fn tls() -> &'static Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    TLS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["uproar.test".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let server = server_tls(&certificate, &key, &MasterSecret::new([1; 32]), Arc::default());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let trusting = |protocol| client_tls(protocol, |tls| tls.with_root_certificates(roots.clone()));
        let (client, browser) = (trusting(ALPN), trusting(ALPN_HTTP3));
        Tls { certificate, key, server, client, browser }
    })
}

fn server_tls(
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
    secret: &MasterSecret,
    clock: Arc<Clock>,
) -> Arc<ServerCrypto> {
    let tickets = Tickets::new(&secret.keys().ticket, clock);
    let mut tls = tls_config(vec![certificate.clone()], key.clone_key(), tickets).unwrap();
    speak_http3(&mut tls);
    server_crypto(tls).unwrap()
}

/// A client's TLS without tickets of servers before, that believes what `trust` says.
pub(super) fn client_tls(
    protocol: &[u8],
    trust: impl FnOnce(
        ConfigBuilder<rustls::ClientConfig, WantsVerifier>,
    ) -> ConfigBuilder<rustls::ClientConfig, WantsClientCert>,
) -> Arc<QuicClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let mut tls = trust(tls).with_no_client_auth();
    tls.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(tls.try_into().unwrap())
}

/// What a server is made with whose keys come from `secret`.
pub(super) fn config(secret: &MasterSecret, clock: &Arc<Clock>) -> QuicConfig {
    let Tls { certificate, key, .. } = tls();
    let keys = secret.keys();
    let tls = server_tls(certificate, key, secret, clock.clone());
    QuicConfig {
        settings: QuicSettings { tls, ..any_config().settings },
        reset_key: keys.reset,
        token_key: keys.token,
        clock: clock.clone(),
        ..any_config()
    }
}

fn any_config() -> QuicConfig {
    QuicConfig {
        shard: SHARD,
        shards: SHARDS,
        reset_key: [7; 64],
        token_key: [8; 64],
        clock: Arc::<Clock>::default(),
        hello_timeout: HELLO_TIMEOUT,
        prefetch: |_, _| {},
        webtransport: None,
        settings: QuicSettings {
            tls: tls().server.clone(),
            max_connections: 10_000,
            connections_per_address_max: 0,
            idle_timeout: IDLE_TIMEOUT,
            handshakes: HandshakeLimits::default(),
        },
    }
}

pub(super) fn server(max_connections: usize, seed: u8) -> Quic {
    let config = any_config();
    let settings = QuicSettings { max_connections, ..config.settings };
    Quic::new(QuicConfig { settings, ..config }, [seed; 32])
}

/// The one reading of a clock; from here on time is added up.
#[allow(clippy::disallowed_methods)]
pub(super) fn start() -> Instant {
    Instant::now()
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, |_| {})
    }

    pub(super) fn with_max_connections(seed: u64, max_connections: usize) -> Self {
        Self::with_server(seed, server(max_connections, seed as u8))
    }

    pub(super) fn with(seed: u64, configure: impl FnOnce(&mut QuicConfig)) -> Self {
        let mut config = any_config();
        configure(&mut config);
        Self::with_server(seed, Quic::new(config, [seed as u8; 32]))
    }

    pub(super) fn with_server(seed: u64, server: Quic) -> Self {
        Self {
            now: start(),
            server,
            clients: Vec::new(),
            events: Vec::new(),
            impairment: Impairment::default(),
            client_packets: Vec::new(),
            bend: None,
            client_tls: tls().client.clone(),
            batch: TransmitBatch::new(256 * 1024),
            flights: BTreeMap::new(),
            flown: 0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Clients that start to connect from now on speak HTTP/3.
    pub(super) fn speak_http3(&mut self) {
        self.client_tls = tls().browser.clone();
    }

    /// A client that starts to connect; its number.
    pub(super) fn connect(&mut self) -> usize {
        self.connect_with(|_| {})
    }

    fn connect_with(&mut self, configure: impl FnOnce(&mut TransportConfig)) -> usize {
        let number = self.clients.len();
        let mut transport = TransportConfig::default();
        transport.mtu_discovery_config(None).keep_alive_interval(Some(Duration::from_secs(7)));
        configure(&mut transport);
        let mut config = ClientConfig::new(self.client_tls.clone());
        config.transport_config(Arc::new(transport));
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, Some(seed));
        let server_address = SocketAddr::from(([192, 0, 2, 1], 7443));
        let (handle, connection) = endpoint.connect(self.now, config, server_address, "uproar.test").unwrap();
        self.clients.push(Client {
            endpoint,
            handle,
            connection,
            address: SocketAddr::from(([198, 51, (number >> 8) as u8, number as u8], 40_000)),
            reads: true,
            reads_control: true,
            received: BTreeMap::new(),
            control: None,
            control_received: Vec::new(),
            connected: false,
            first_datagrams: Vec::new(),
            lost: None,
            room_streams: Vec::new(),
        });
        number
    }

    /// A client that is connected.
    pub(super) fn connected(&mut self) -> usize {
        self.connected_with(|_| {})
    }

    pub(super) fn connected_with(&mut self, configure: impl FnOnce(&mut TransportConfig)) -> usize {
        let client = self.connect_with(configure);
        self.run_until(|pair| pair.clients[client].connected);
        client
    }

    /// Sends `bytes` on the client's control stream, opened for it.
    pub(super) fn say(&mut self, client: usize, bytes: &[u8]) {
        let Client { connection, control, .. } = &mut self.clients[client];
        let stream = *control.get_or_insert_with(|| connection.streams().open(Dir::Bi).unwrap());
        assert_eq!(connection.send_stream(stream).write(bytes).unwrap(), bytes.len());
    }

    pub(super) fn say_hello(&mut self, client: usize, rooms: u32) {
        self.say(client, &hello_bytes(rooms));
    }

    /// Has the client say hello, welcomes it and opens its room streams; the server's names for all of that.
    pub(super) fn subscribe(&mut self, client: usize, rooms: u32) -> (usize, Vec<u64>) {
        self.say_hello(client, rooms);
        let (conn, hello) = self.run_until_event(|event| match event {
            QuicEvent::Hello { conn, hello, .. } => Some((*conn, hello.clone())),
            _ => None,
        });
        assert_eq!(hello.rooms, (0..rooms).map(RoomId).collect::<Vec<_>>());
        self.server.welcome(self.now, conn, &welcome(&hello));
        let streams = hello.rooms.iter().map(|_| self.server.open_room_stream(conn).unwrap()).collect();
        (conn, streams)
    }

    /// Runs until an event is there that `choose` wants; takes it and those before it.
    pub(super) fn run_until_event<T>(&mut self, choose: impl Fn(&QuicEvent) -> Option<T>) -> T {
        let mut chosen = None;
        self.run_until(|pair| {
            let found = pair.events.iter().enumerate().find_map(|(at, event)| Some((at, choose(event)?)));
            let Some((at, value)) = found else { return false };
            pair.events.drain(..=at);
            chosen = Some(value);
            true
        });
        chosen.unwrap()
    }

    pub(super) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = self.now + PATIENCE;
        loop {
            self.flush();
            if done(self) {
                return;
            }
            let next = self.next_instant();
            assert!(next.is_some_and(|at| at <= deadline), "what the test waits for never comes");
            self.advance_to(next.unwrap());
        }
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.flush();
        while let Some(next) = self.next_instant().filter(|at| *at <= until) {
            self.advance_to(next);
            self.flush();
        }
        self.now = until;
    }

    fn next_instant(&mut self) -> Option<Instant> {
        let flight = self.flights.keys().next().map(|(at, _)| *at);
        let clients = self.clients.iter_mut().filter_map(|client| client.connection.poll_timeout());
        let next = clients.chain(flight).chain(self.server.poll_timeout()).min()?;
        Some(next.max(self.now))
    }

    fn advance_to(&mut self, at: Instant) {
        self.now = at;
        while let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= at) {
            let flight = entry.remove();
            self.deliver(&flight);
        }
        if self.server.poll_timeout().is_some_and(|due| due <= at) {
            self.server.handle_timeout(at);
        }
        for client in &mut self.clients {
            if client.connection.poll_timeout().is_some_and(|due| due <= at) {
                client.connection.handle_timeout(at);
            }
        }
    }

    fn deliver(&mut self, flight: &Flight) {
        match (flight.from, flight.to) {
            (Some(remote), _) => {
                let arrival = Arrival { remote, local_ip: None, ecn: None, bytes: &flight.bytes };
                self.server.handle_datagrams(self.now, std::iter::once(arrival));
            }
            (None, to) => {
                // What is on its way to an address that a client has left gets lost.
                if let Some(client) = self.clients.iter_mut().find(|client| Some(client.address) == to) {
                    client.handle_datagram(self.now, &flight.bytes);
                }
            }
        }
    }

    pub(super) fn flush(&mut self) {
        for number in 0..self.clients.len() {
            for bytes in self.clients[number].output(self.now) {
                let client = &mut self.clients[number];
                let address = client.address;
                match client.connected {
                    true => self.client_packets.push(bytes.clone()),
                    false => client.first_datagrams.push(bytes.clone()),
                }
                self.fly(Flight { from: Some(address), to: None, bytes });
            }
        }
        while self.server.begin_handshakes(self.now, false) {}
        self.events.extend(std::iter::from_fn(|| self.server.poll_event()));
        loop {
            let more = self.server.poll_transmit(self.now, 8, &mut self.batch);
            let batch = std::mem::replace(&mut self.batch, TransmitBatch::new(0));
            for transmit in &batch {
                for bytes in batch.datagrams(transmit) {
                    self.fly(Flight { from: None, to: Some(transmit.destination), bytes: bytes.to_vec() });
                }
            }
            self.batch = batch;
            self.batch.clear();
            if !more {
                return;
            }
        }
    }

    fn fly(&mut self, mut flight: Flight) {
        if let Some((nth, at, bits)) = self.bend
            && nth as u64 == self.flown
            && let Some(byte) = flight.bytes.get_mut(at)
        {
            *byte ^= bits;
        }
        let Impairment { loss_percent, duplicate_percent, jitter } = self.impairment;
        if self.rng.random_range(0..100) < loss_percent {
            return;
        }
        let copies = 1 + u32::from(self.rng.random_range(0..100) < duplicate_percent);
        for _ in 0..copies {
            let late = Duration::from_micros(self.rng.random_range(0..=jitter.as_micros() as u64));
            self.flown += 1;
            let Flight { from, to, ref bytes } = flight;
            self.flights.insert((self.now + DELAY + late, self.flown), Flight { from, to, bytes: bytes.clone() });
        }
    }
}

impl Client {
    fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        let remote = SocketAddr::from(([192, 0, 2, 1], 7443));
        let event = self.endpoint.handle(now, remote, None, None, BytesMut::from(bytes), &mut Vec::new());
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
            self.connection.handle_event(event);
        }
    }

    pub(super) fn output(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.settle();
        let mut buffer = Vec::new();
        let packets = std::iter::from_fn(|| {
            buffer.clear();
            let transmit = self.connection.poll_transmit(now, 1, &mut buffer)?;
            Some(buffer[..transmit.size].to_vec())
        });
        packets.collect()
    }

    fn settle(&mut self) {
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::ConnectionLost { reason } => self.lost = Some(reason),
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    let opened = std::iter::from_fn(|| self.connection.streams().accept(Dir::Uni));
                    self.room_streams.extend(opened);
                }
                _ => {}
            }
        }
        if self.lost.is_none() {
            self.read();
        }
    }

    fn read(&mut self) {
        if let Some(control) = self.control.filter(|_| self.reads_control) {
            read_stream(&mut self.connection, control, &mut self.control_received);
        }
        if self.reads {
            for &stream in &self.room_streams {
                read_stream(&mut self.connection, stream, self.received.entry(stream.into()).or_default());
            }
        }
    }

    /// Sends a DATAGRAM frame.
    pub(super) fn react(&mut self, payload: &[u8]) {
        self.connection.datagrams().send(Bytes::copy_from_slice(payload), false).unwrap();
    }

    /// The code that the server closed with, if it did.
    pub(super) fn close_code(&self) -> Option<VarInt> {
        match &self.lost {
            Some(ConnectionError::ApplicationClosed(close)) => Some(close.error_code),
            _ => None,
        }
    }

    /// The same, with its words.
    pub(super) fn close_reason(&self) -> Option<(u64, String)> {
        match &self.lost {
            Some(ConnectionError::ApplicationClosed(close)) => {
                Some((close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned()))
            }
            _ => None,
        }
    }
}

pub(super) fn read_stream(connection: &mut Connection, stream: StreamId, into: &mut Vec<u8>) {
    let mut stream = connection.recv_stream(stream);
    let Ok(mut chunks) = stream.read(true) else { return };
    while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
        into.extend_from_slice(&chunk.bytes);
    }
    let _ = chunks.finalize();
}

pub(super) fn hello_bytes(rooms: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello { rooms: (0..rooms).map(RoomId).collect(), token: b"token".to_vec() }.encode(&mut bytes);
    bytes
}

pub(super) fn welcome(hello: &Hello) -> Welcome {
    Welcome { rooms: hello.rooms.iter().map(|room| (*room, RoomStatus::Subscribed)).collect() }
}
