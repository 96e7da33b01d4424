//! The floor: what no server can do without that sends each subscriber a frame by QUIC and takes the acknowledgement.
//!
//! Once a window, for every destination in turn: seal the payload and protect the header with the destination's keys,
//! and send, 64 datagrams in a system call; then receive 64 in a system call, find the destination's keys by connection
//! id, and open. A process of its own, so that its CPU time can be told apart. Invariant: it sleeps between windows, and
//! while it waits for acknowledgements. Not here: connections, streams, timers, losses, anything that must be remembered.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::echo;
use crate::frame;
use crate::packet::{self, Keys, Sealer};
use crate::process::{self, Process};
use crate::window;
use std::io::{Error, ErrorKind};
use std::mem::zeroed;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// Argument that makes this program the floor.
const FLOOR: &str = "--floor";
/// Datagrams of one system call.
const BATCH: usize = 64;
/// Distance between packets: a packet, and not a power of two.
const SLOT: usize = 576;
/// What one small datagram takes of a socket's buffer, with the kernel's bookkeeping; twice that for good measure.
const BUFFERED_BYTES: usize = 2048;
/// Between looks for acknowledgements that have not come.
const NAP: Duration = Duration::from_millis(1);
/// Acknowledgements not there after so many naps in a row are lost.
const NAPS_MAX: u32 = 200;

const _: () = assert!(packet::HEADER_LEN + frame::BYTES + packet::TAG_LEN <= SLOT);

/// The floor's process.
pub(crate) struct Floor {
    process: Process,
}

/// What the floor says of one window.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Burst {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
}

impl Floor {
    /// Starts it with so many destinations, which an echo answers for at `ports`.
    pub(crate) fn start(destinations: usize, ports: &[u16], window_ms: u64, core: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let numbers = [destinations.to_string(), window_ms.to_string()];
        let mut process = Process::start(program, &[FLOOR, &numbers[0], &numbers[1], &ports], Some(core));
        assert_eq!(process.line(), "ready");
        Self { process }
    }

    /// Waits for the end of a window.
    pub(crate) fn next_burst(&mut self) -> Burst {
        let line = self.process.line();
        let (sent, acknowledged) = line.split_once(' ').expect("two numbers");
        let number = |text: &str| text.parse().expect("a number");
        Burst { sent: number(sent), acknowledged: number(acknowledged) }
    }

    /// The process itself.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

/// Becomes the floor, and never returns, if this program was started for that.
pub(crate) fn run_if_asked(args: &[String]) {
    let [flag, destinations, window_ms, ports] = args else { return };
    if flag == FLOOR {
        let ports: Vec<u16> = ports.split(',').map(|port| port.parse().expect("a port")).collect();
        run(destinations.parse().expect("a number"), window_ms.parse().expect("a number"), &ports);
    }
}

/// One connection.
struct Destination {
    sending: Keys,
    receiving: Keys,
    address: SocketAddrV4,
}

fn run(count: u32, window_ms: u64, ports: &[u16]) -> ! {
    let destinations: Vec<_> = (0..count)
        .map(|id| Destination {
            sending: Keys::new(id, Sealer::Server),
            receiving: Keys::new(id, Sealer::Destination),
            address: SocketAddrV4::new(echo::address(id), ports[echo::socket_of(id)]),
        })
        .collect();
    let socket = echo::bind("127.0.0.1:0", count as usize * BUFFERED_BYTES);
    let (mut outgoing, mut incoming) = (Batch::new(), Batch::new());
    println!("ready");
    let mut number = 0_u16;
    loop {
        window::wait_for_next(window_ms);
        number = number.wrapping_add(1);
        let sent = send(&socket, &destinations, number, &mut outgoing);
        let acknowledged = receive(&socket, &destinations, sent, &mut incoming);
        println!("{sent} {acknowledged}");
    }
}

fn send(socket: &UdpSocket, destinations: &[Destination], number: u16, batch: &mut Batch) -> u64 {
    let payload = [0x5a; frame::BYTES];
    let mut sent = 0;
    for (at, some) in destinations.chunks(BATCH).enumerate() {
        for (place, destination) in some.iter().enumerate() {
            let id = (at * BATCH + place) as u32;
            let len = destination.sending.seal(id, number, &payload, batch.packet(place));
            batch.address(place, destination.address, len);
        }
        sent += batch.send(socket, some.len());
    }
    sent
}

/// Until so many acknowledgements have been opened, or none comes any more; how many.
fn receive(socket: &UdpSocket, destinations: &[Destination], sent: u64, batch: &mut Batch) -> u64 {
    let (mut opened, mut naps) = (0, 0);
    while opened < sent && naps < NAPS_MAX {
        let received = batch.receive(socket);
        for place in 0..received {
            let packet = batch.received(place);
            let id = packet::destination_of(packet).map(|id| id as usize);
            let keys = id.and_then(|id| destinations.get(id)).map(|destination| &destination.receiving);
            opened += u64::from(keys.and_then(|keys| keys.open(packet)).is_some());
        }
        // Batches that are not full cost more a datagram: the floor lets them fill.
        if received < BATCH {
            naps = if received == 0 { naps + 1 } else { 0 };
            process::wait(NAP);
        }
    }
    opened
}

/// Packets of one system call, and the kernel's view of them.
struct Batch {
    packets: Box<[[u8; SLOT]]>,
    headers: Box<[libc::mmsghdr]>,
    // The headers point into these two.
    slices: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_in]>,
}

impl Batch {
    fn new() -> Self {
        let mut packets = vec![[0; SLOT]; BATCH].into_boxed_slice();
        let slice = |packet: &mut [u8; SLOT]| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: SLOT };
        let mut slices: Box<[_]> = packets.iter_mut().map(slice).collect();
        // SAFETY: plain structures of the kernel's interface, for which zeroes are valid.
        let (names, mut headers) = unsafe { (vec![zeroed(); BATCH], vec![zeroed::<libc::mmsghdr>(); BATCH]) };
        for (header, slice) in headers.iter_mut().zip(&mut slices) {
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        Self { packets, headers: headers.into(), slices, names: names.into() }
    }

    fn packet(&mut self, place: usize) -> &mut [u8] {
        &mut self.packets[place]
    }

    /// Says where the packet in this place goes.
    fn address(&mut self, place: usize, to: SocketAddrV4, len: usize) {
        let name = &mut self.names[place];
        name.sin_family = libc::AF_INET as libc::sa_family_t;
        name.sin_port = to.port().to_be();
        name.sin_addr.s_addr = u32::from(*to.ip()).to_be();
        self.headers[place].msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        self.headers[place].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        self.slices[place].iov_len = len;
    }

    /// Sends the first `count`; how many the kernel took.
    fn send(&mut self, socket: &UdpSocket, count: usize) -> u64 {
        let mut sent = 0;
        while sent < count {
            let rest = &mut self.headers[sent..count];
            // SAFETY: each header describes a packet and a name of `self`.
            let taken = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
            match taken {
                1.. => sent += taken as usize,
                _ => assert!(Error::last_os_error().kind() == ErrorKind::Interrupted, "{}", Error::last_os_error()),
            }
        }
        sent as u64
    }

    /// Receives what is there, at most a batch; how many.
    fn receive(&mut self, socket: &UdpSocket) -> usize {
        let (headers, flags) = (&mut self.headers, libc::MSG_DONTWAIT);
        // SAFETY: each header describes a packet of `self`; no timeout is given.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as u32, flags, std::ptr::null_mut())
        };
        if received < 0 {
            let error = Error::last_os_error();
            assert!(matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock), "{error}");
        }
        received.max(0) as usize
    }

    fn received(&mut self, place: usize) -> &mut [u8] {
        &mut self.packets[place][..self.headers[place].msg_len as usize]
    }
}
