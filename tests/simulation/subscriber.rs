//! A subscriber: a QUIC client in memory that says hello and keeps what its room streams carry.
//!
//! Invariant: everything it does follows from its seed and from what it receives, except the keys of TLS; as its
//! certificate's signature is of one length always (Ed25519), those show in no packet's length and at no instant.

use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, ConnectionId, DatagramEvent, Dir, Endpoint,
    EndpointConfig, Event, StreamEvent, StreamId, TransportConfig, VarInt,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use uproar::quic::{ALPN, MasterSecret, ServerCrypto, Tickets, TimeSource, server_crypto, tls_config};
use uproar_wire::RoomId;
use uproar_wire::control::{Change, RoomsRequest};
use uproar_wire::hello::Hello;

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 7443);

/// When how many bytes of which stream were read: microseconds since the subscriber's first packet, stream, bytes.
pub(crate) type Trace = Vec<(u128, u64, usize)>;

/// How a subscriber behaves.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    pub(crate) rooms: Vec<u32>,
    /// Bytes of a room stream that it lets come before it has read them.
    pub(crate) window_bytes: u32,
}

pub(crate) struct Subscriber {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    connection: Connection,
    rooms: Vec<u32>,
    control: Option<StreamId>,
    room_streams: Vec<StreamId>,
    received: BTreeMap<u64, Vec<u8>>,
    trace: Trace,
    started: Instant,
    lost: Option<ConnectionError>,
    /// Whether it reads its room streams.
    pub(crate) reads: bool,
    /// Whether it sends and receives nothing any more, and has told nobody.
    pub(crate) has_vanished: bool,
    /// When it wants to be asked again.
    pub(crate) deadline: Option<Instant>,
}

/// A wall clock that shows the same time throughout: tokens and tickets do not age in a match.
pub(crate) struct StoppedClock;

impl TimeSource for StoppedClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

struct Tls {
    server: Arc<ServerCrypto>,
    client: Arc<QuicClientConfig>,
    endpoint: Arc<EndpointConfig>,
}

fn tls() -> &'static Tls {
    static TLS: OnceLock<Tls> = OnceLock::new();
    TLS.get_or_init(|| {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(["uproar.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tickets = Tickets::new(&MasterSecret::new([9; 32]).keys().ticket, Arc::new(StoppedClock));
        let server = tls_config(vec![certificate.der().clone()], key, tickets).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![ALPN.to_vec()];
        // Nobody resumes: whether a ticket of another subscriber is at hand must not depend on who came before.
        client.resumption = rustls::client::Resumption::disabled();
        Tls {
            server: server_crypto(server).unwrap(),
            client: Arc::new(client.try_into().unwrap()),
            endpoint: Arc::new(EndpointConfig::default()),
        }
    })
}

/// The server's side of the certificate that subscribers trust.
pub(crate) fn server_tls() -> Arc<ServerCrypto> {
    tls().server.clone()
}

impl Subscriber {
    /// Starts to connect; `first_id` is the connection id that its first packets carry, which decides the shard.
    pub(crate) fn new(now: Instant, habits: Habits, first_id: [u8; 8], seed: [u8; 32]) -> Self {
        let mut transport = TransportConfig::default();
        transport
            .mtu_discovery_config(None)
            .keep_alive_interval(Some(Duration::from_secs(7)))
            .stream_receive_window(VarInt::from_u32(habits.window_bytes));
        let mut config = ClientConfig::new(tls().client.clone());
        config.transport_config(Arc::new(transport));
        config.initial_dst_cid_provider(Arc::new(move || ConnectionId::new(&first_id)));
        let mut endpoint = Endpoint::new(tls().endpoint.clone(), None, false, Some(seed));
        let (handle, connection) = endpoint.connect(now, config, SERVER, "uproar.test").unwrap();
        Self {
            endpoint,
            handle,
            connection,
            rooms: habits.rooms,
            control: None,
            room_streams: Vec::new(),
            received: BTreeMap::new(),
            trace: Trace::new(),
            started: now,
            lost: None,
            reads: true,
            has_vanished: false,
            deadline: None,
        }
    }

    /// What each of its room streams has carried, in the order they were opened.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &[u8]> {
        self.received.values().map(Vec::as_slice)
    }

    /// What it read, and when.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The code that the server closed with, if it did.
    pub(crate) fn close_code(&self) -> Option<u64> {
        match &self.lost {
            Some(ConnectionError::ApplicationClosed(close)) => Some(close.error_code.into_inner()),
            _ => None,
        }
    }

    /// Whether the connection is over, for whatever reason.
    pub(crate) fn is_over(&self) -> bool {
        self.lost.is_some()
    }

    /// Sends a DATAGRAM frame; nothing happens before it is connected or when it is over.
    pub(crate) fn react(&mut self, datagram: &[u8]) {
        if self.control.is_some() && self.lost.is_none() {
            let _ = self.connection.datagrams().send(Bytes::copy_from_slice(datagram), true);
        }
    }

    /// Asks for another room; nothing happens before it is connected or when it is over.
    pub(crate) fn ask_for(&mut self, room: u32) {
        if let Some(control) = self.control.filter(|_| self.lost.is_none()) {
            let mut request = Vec::new();
            RoomsRequest { change: Change::Subscribe, rooms: vec![RoomId(room)] }.encode(&mut request);
            let _ = self.connection.send_stream(control).write(&request);
        }
    }

    pub(crate) fn handle_packet(&mut self, now: Instant, bytes: &[u8]) {
        if self.has_vanished {
            return;
        }
        let event = self.endpoint.handle(now, SERVER, None, None, BytesMut::from(bytes), &mut Vec::new());
        if let Some(DatagramEvent::ConnectionEvent(_, event)) = event {
            self.connection.handle_event(event);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now);
        }
    }

    /// Takes in what has come and hands each packet that is due to `send`; sets its deadline anew.
    pub(crate) fn flush(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        if self.has_vanished {
            return self.deadline = None;
        }
        self.settle(now);
        let mut buffer = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(now, 1, &mut buffer) {
            send(&buffer[..transmit.size]);
            buffer.clear();
        }
        self.deadline = self.connection.poll_timeout();
    }

    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
        }
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => self.say_hello(),
                Event::ConnectionLost { reason } => self.lost = Some(reason),
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    let opened = std::iter::from_fn(|| self.connection.streams().accept(Dir::Uni));
                    self.room_streams.extend(opened);
                }
                _ => {}
            }
        }
        if self.lost.is_none() {
            self.read(now);
        }
    }

    fn say_hello(&mut self) {
        let mut hello = Vec::new();
        Hello { rooms: self.rooms.iter().copied().map(RoomId).collect(), token: Vec::new() }.encode(&mut hello);
        let stream = self.connection.streams().open(Dir::Bi).unwrap();
        assert_eq!(self.connection.send_stream(stream).write(&hello).unwrap(), hello.len());
        self.control = Some(stream);
    }

    fn read(&mut self, now: Instant) {
        if !self.reads {
            return;
        }
        for &stream in &self.room_streams {
            let id = u64::from(stream);
            let received = self.received.entry(id).or_default();
            let read = read_stream(&mut self.connection, stream, received);
            if read > 0 {
                self.trace.push((now.duration_since(self.started).as_micros(), id, read));
            }
        }
    }
}

fn read_stream(connection: &mut Connection, stream: StreamId, into: &mut Vec<u8>) -> usize {
    let before = into.len();
    let mut stream = connection.recv_stream(stream);
    let Ok(mut chunks) = stream.read(true) else { return 0 };
    while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
        into.extend_from_slice(&chunk.bytes);
    }
    let _ = chunks.finalize();
    into.len() - before
}
