//! The destinations of the floor: a few sockets for all addresses of the loopback network, which answer every datagram
//! with an acknowledgement, from the address that it was sent to.
//!
//! Invariant: one answer a datagram, sealed beforehand with the destination's own keys. It runs in the bench's process,
//! on another core than the floor; what it costs is nobody's. Not here: opening what comes.

use crate::packet::{self, Keys, Sealer};
use crate::process;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use uproar::edge::sys::datagram_receiver::{DatagramReceiver, Detail, Received};
use uproar::edge::sys::datagram_sender::{BATCH, DatagramSender, Outgoing, Sent};
use uproar::edge::sys::socket_option;

/// Destinations of one socket, and of one port.
const PER_SOCKET: u32 = 4096;
/// A burst for all destinations of a socket, with the kernel's bookkeeping, several times over.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;
/// The first destination's address.
const FIRST: u32 = u32::from_be_bytes([127, 16, 0, 0]);
/// Bytes of an answer.
const ANSWER_LEN: usize = packet::HEADER_LEN + packet::ACKNOWLEDGEMENT.len() + packet::TAG_LEN;
/// Between looks at empty sockets.
const NAP: Duration = Duration::from_micros(200);

type Answer = [u8; ANSWER_LEN];

/// Runs until dropped.
pub(crate) struct Echo {
    ports: Vec<u16>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A destination's address.
pub(crate) fn address(destination: u32) -> Ipv4Addr {
    (FIRST + destination).into()
}

/// Which of the sockets a destination is behind.
pub(crate) fn socket_of(destination: u32) -> usize {
    (destination / PER_SOCKET) as usize
}

/// A socket with a large receive buffer.
pub(crate) fn bind(address: &str, receive_buffer_bytes: usize) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a free port");
    socket_option::set_receive_buffer(&socket, receive_buffer_bytes).expect("a receive buffer");
    socket
}

impl Echo {
    /// Answers for so many destinations, on `core`.
    pub(crate) fn start(destinations: usize, core: usize) -> Self {
        let answers: Vec<_> = (0..destinations as u32).map(answer).collect();
        let sockets: Vec<_> = (0..destinations.div_ceil(PER_SOCKET as usize)).map(|_| open()).collect();
        let ports = sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let asked_to_end = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            process::pin(core);
            run(&sockets, &answers, &asked_to_end);
        });
        Self { ports, is_over, thread: Some(thread) }
    }

    /// Of its sockets, in order.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the floor then misses its acknowledgements.
            let _ = thread.join();
        }
    }
}

/// Any address of the loopback network, and datagrams say which one.
fn open() -> UdpSocket {
    let socket = bind("0.0.0.0:0", RECEIVE_BUFFER_BYTES);
    quinn_udp::UdpSocketState::new((&socket).into()).expect("the kernel says which address was written to");
    socket
}

fn answer(destination: u32) -> Answer {
    let mut answer = [0; ANSWER_LEN];
    Keys::new(destination, Sealer::Destination).seal(destination, 1, &packet::ACKNOWLEDGEMENT, &mut answer);
    answer
}

fn run(sockets: &[UdpSocket], answers: &[Answer], is_over: &AtomicBool) {
    let mut receiver = DatagramReceiver::new(BATCH, Detail::Addresses).expect("memory for a batch");
    let mut sender = DatagramSender::default();
    while !is_over.load(Ordering::Relaxed) {
        let mut is_idle = true;
        for socket in sockets {
            let socket = socket.as_raw_fd();
            if receiver.receive(socket).expect("a socket receives") > 0 {
                is_idle = false;
                let outgoing: Vec<_> = receiver.iter().filter_map(|received| reply(&received, answers)).collect();
                send(&mut sender, socket, &outgoing);
            }
        }
        if is_idle {
            process::wait(NAP);
        }
    }
}

fn reply<'a>(received: &Received<'_>, answers: &'a [Answer]) -> Option<Outgoing<'a>> {
    let answer = answers.get(packet::destination_of(received.bytes)? as usize)?;
    let (remote, local_ip): (SocketAddr, IpAddr) = (received.remote?, received.local_ip?);
    Some(Outgoing { bytes: answer, segment_len: None, remote: Some(remote), local_ip: Some(local_ip), ecn: 0 })
}

fn send(sender: &mut DatagramSender, socket: RawFd, mut outgoing: &[Outgoing<'_>]) {
    while !outgoing.is_empty() {
        match sender.send(socket, outgoing.iter().copied()) {
            Sent::Some(sent) => outgoing = &outgoing[sent..],
            Sent::Full | Sent::Congested => process::wait(NAP),
            Sent::Refused(errno) => panic!("an answer is refused: {}", std::io::Error::from_raw_os_error(errno)),
        }
    }
}
