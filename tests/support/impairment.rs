//! A bad network between clients and the server: an [`ImpairedPath`] forwards datagrams, and loses, delays, doubles and
//! corrupts some of them.
//!
//! Each client address has an upstream socket of its own, so that the server sees as many addresses as there are
//! clients. Readers hand every datagram to one courier, who decides its fate by a seeded generator and keeps what is
//! delayed. ECN marks travel along unless they are bleached. What was done to how many datagrams is counted, so that a
//! test can tell that there was something to survive.

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a reader looks whether the path is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// As many losses in a row as a handshake is meant to survive: more by chance would be nobody's fault.
const HANDSHAKES_LOST_MAX: u64 = 3;
/// The largest train of datagrams that the kernel joins.
const TRAIN_MAX: usize = 64 * 1024;

/// What may happen to a datagram, each to so many in a hundred.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    /// It is lost.
    pub(crate) lost: u32,
    /// It is lost if it belongs to a handshake, that is, has a long header; of one client, [`HANDSHAKES_LOST_MAX`] at most.
    pub(crate) handshakes_lost: u32,
    /// It comes twice.
    pub(crate) doubled: u32,
    /// A byte of it is another.
    pub(crate) corrupted: u32,
    /// It takes this much longer at most, and others overtake it.
    pub(crate) jitter: Duration,
    /// Its ECN marks are cleared; not by chance, but always.
    pub(crate) is_bleached: bool,
}

/// What happened to how many datagrams.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    lost: AtomicU64,
    doubled: AtomicU64,
    corrupted: AtomicU64,
    overtaken: AtomicU64,
    /// Datagrams as they came from the clients, then from the server: not marked, marked as ECN-capable.
    marks: [[AtomicU64; 2]; 2],
}

/// Which way a datagram travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// A running path.
pub(crate) struct ImpairedPath {
    address: SocketAddr,
    impairment: Arc<Mutex<Impairment>>,
    happened: Arc<Happened>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// One client's way through.
struct Flow {
    client: SocketAddr,
    front: Arc<Port>,
    upstream: Arc<Port>,
    server: SocketAddr,
    /// The latest datagram forwarded, each way.
    latest: [AtomicU64; 2],
    /// Datagrams of its handshake that were lost, of both ways.
    handshakes_lost: AtomicU64,
}

/// A socket that tells and sets ECN marks.
struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
}

struct Packet {
    flow: Arc<Flow>,
    way: Way,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

impl ImpairedPath {
    /// A path to `server`, impaired from the start; what happens by chance follows from `seed` and the order of arrival.
    pub(crate) fn to(server: SocketAddr, impairment: Impairment, seed: u64) -> Self {
        let front = Arc::new(Port::open());
        let address = front.socket.local_addr().unwrap();
        let impairment = Arc::new(Mutex::new(impairment));
        let happened = Arc::new(Happened::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let (sender, packets) = mpsc::channel();
        let courier = Courier {
            impairment: impairment.clone(),
            happened: happened.clone(),
            random: StdRng::seed_from_u64(seed),
            waiting: BTreeMap::new(),
            taken: 0,
        };
        let reader = Reader { server, sender, happened: happened.clone(), is_over: is_over.clone() };
        let threads = vec![
            std::thread::spawn(move || courier.carry(&packets)),
            std::thread::spawn(move || reader.read_clients(&front)),
        ];
        Self { address, impairment, happened, is_over, threads }
    }

    /// Where clients send to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing more happens to datagrams.
    pub(crate) fn lift(&self) {
        *self.impairment.lock().unwrap() = Impairment::default();
    }

    /// What has happened so far.
    pub(crate) fn happened(&self) -> &Happened {
        &self.happened
    }
}

impl Drop for ImpairedPath {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It panics only when the test has failed anyway.
            let _ = thread.join();
        }
    }
}

impl Happened {
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.doubled.load(Ordering::Relaxed)
    }

    pub(crate) fn corrupted(&self) -> u64 {
        self.corrupted.load(Ordering::Relaxed)
    }

    pub(crate) fn overtaken(&self) -> u64 {
        self.overtaken.load(Ordering::Relaxed)
    }

    /// Datagrams that came without an ECN mark and with ECT(0).
    pub(crate) fn unmarked_and_marked(&self, way: Way) -> (u64, u64) {
        let [unmarked, marked] = &self.marks[way as usize];
        (unmarked.load(Ordering::Relaxed), marked.load(Ordering::Relaxed))
    }
}

impl Port {
    fn open() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        // A thread reads it and nothing else.
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        Self { socket, state }
    }

    /// Calls `handle` for each datagram of the next train; nothing when none comes for a while.
    fn receive(&self, buffer: &mut [u8], mut handle: impl FnMut(SocketAddr, Option<EcnCodepoint>, &[u8])) {
        let mut meta = [RecvMeta::default()];
        let received = self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta);
        if received.is_ok_and(|trains| trains == 1) {
            let [meta] = meta;
            buffer[..meta.len].chunks(meta.stride.max(1)).for_each(|bytes| handle(meta.addr, meta.ecn, bytes));
        }
    }

    fn send(&self, destination: SocketAddr, ecn: Option<EcnCodepoint>, contents: &[u8]) {
        let transmit = Transmit { destination, ecn, contents, segment_size: None, src_ip: None };
        // A server that has ended has closed its port: what is sent then is lost, as on any path.
        let _ = self.state.try_send((&self.socket).into(), &transmit);
    }
}

#[derive(Clone)]
struct Reader {
    server: SocketAddr,
    sender: Sender<Packet>,
    happened: Arc<Happened>,
    is_over: Arc<AtomicBool>,
}

impl Reader {
    fn read_clients(self, front: &Arc<Port>) {
        let mut flows = BTreeMap::new();
        let mut threads = Vec::new();
        let mut buffer = vec![0; TRAIN_MAX];
        while !self.is_over.load(Ordering::Relaxed) {
            front.receive(&mut buffer, |client, ecn, bytes| {
                let flow = flows.entry(client).or_insert_with(|| {
                    let (flow, thread) = self.clone().open(client, front.clone());
                    threads.push(thread);
                    flow
                });
                self.hand_over(flow, Way::ToServer, ecn, bytes);
            });
        }
        // As above.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }

    fn open(self, client: SocketAddr, front: Arc<Port>) -> (Arc<Flow>, JoinHandle<()>) {
        let upstream = Arc::new(Port::open());
        let flow = Arc::new(Flow {
            client,
            front,
            upstream,
            server: self.server,
            latest: Default::default(),
            handshakes_lost: AtomicU64::new(0),
        });
        let read = flow.clone();
        (flow, std::thread::spawn(move || self.read_server(&read)))
    }

    fn read_server(self, flow: &Arc<Flow>) {
        let mut buffer = vec![0; TRAIN_MAX];
        while !self.is_over.load(Ordering::Relaxed) {
            flow.upstream.receive(&mut buffer, |_, ecn, bytes| self.hand_over(flow, Way::ToClient, ecn, bytes));
        }
    }

    fn hand_over(&self, flow: &Arc<Flow>, way: Way, ecn: Option<EcnCodepoint>, bytes: &[u8]) {
        let is_marked = ecn == Some(EcnCodepoint::Ect0);
        self.happened.marks[way as usize][usize::from(is_marked)].fetch_add(1, Ordering::Relaxed);
        // The courier stays until the last reader has gone.
        let _ = self.sender.send(Packet { flow: flow.clone(), way, ecn, bytes: bytes.to_vec() });
    }
}

struct Courier {
    impairment: Arc<Mutex<Impairment>>,
    happened: Arc<Happened>,
    random: StdRng,
    /// By when they are due, and then by their number in the order of arrival.
    waiting: BTreeMap<(Instant, u64), Packet>,
    taken: u64,
}

impl Courier {
    #[allow(clippy::disallowed_methods, reason = "a network has a clock of its own")]
    fn carry(mut self, packets: &Receiver<Packet>) {
        loop {
            let now = Instant::now();
            while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
                let (_, number) = *first.key();
                let packet = first.remove();
                self.forward(number, &packet);
            }
            let next = self.waiting.first_key_value().map(|((due, _), _)| due.saturating_duration_since(now));
            match packets.recv_timeout(next.unwrap_or(LOOK_EVERY)) {
                Ok(packet) => self.take(now, packet),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Decides what happens to a datagram.
    fn take(&mut self, now: Instant, mut packet: Packet) {
        let impairment = *self.impairment.lock().unwrap();
        if self.happens(impairment.lost) || self.loses_handshake(&impairment, &packet) {
            self.happened.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.happens(impairment.corrupted) {
            let at = self.random.next_u64() as usize % packet.bytes.len();
            packet.bytes[at] ^= 1 << (self.random.next_u32() % 8);
            self.happened.corrupted.fetch_add(1, Ordering::Relaxed);
        }
        if impairment.is_bleached {
            packet.ecn = None;
        }
        if self.happens(impairment.doubled) {
            let Packet { flow, way, ecn, bytes } = &packet;
            let double = Packet { flow: flow.clone(), way: *way, ecn: *ecn, bytes: bytes.clone() };
            self.delay(now, impairment.jitter, double);
            self.happened.doubled.fetch_add(1, Ordering::Relaxed);
        }
        self.delay(now, impairment.jitter, packet);
    }

    fn delay(&mut self, now: Instant, jitter: Duration, packet: Packet) {
        let late = jitter * (self.random.next_u32() % 1000) / 1000;
        self.taken += 1;
        self.waiting.insert((now + late, self.taken), packet);
    }

    fn forward(&self, number: u64, packet: &Packet) {
        let Packet { flow, way, ecn, bytes } = packet;
        if flow.latest[*way as usize].fetch_max(number, Ordering::Relaxed) > number {
            self.happened.overtaken.fetch_add(1, Ordering::Relaxed);
        }
        match way {
            Way::ToServer => flow.upstream.send(flow.server, *ecn, bytes),
            Way::ToClient => flow.front.send(flow.client, *ecn, bytes),
        }
    }

    fn loses_handshake(&mut self, impairment: &Impairment, packet: &Packet) -> bool {
        let lost = &packet.flow.handshakes_lost;
        let is_handshake = packet.bytes[0] & 0x80 != 0;
        is_handshake
            && lost.load(Ordering::Relaxed) < HANDSHAKES_LOST_MAX
            && self.happens(impairment.handshakes_lost)
            && lost.fetch_add(1, Ordering::Relaxed) < HANDSHAKES_LOST_MAX
    }

    fn happens(&mut self, in_a_hundred: u32) -> bool {
        in_a_hundred > 0 && self.random.next_u32() % 100 < in_a_hundred
    }
}
