//! The floor: loops that receive datagrams and do nothing but read every byte once.
//!
//! They are what the kernel offers, written straight on its interface, in the ways that a server could choose:
//! `recvmmsg` on a blocking socket, `recvmmsg` when `poll` says so, and a multishot receive on a ring with provided
//! buffers. On request a loop also touches one cache line of a table for each datagram: the one of the datagram's room.
//! Each runs as a process of its own so that its CPU time can be told apart. Not here: parsing, counting, anything that
//! could go wrong.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::provided::{self, Provided};
use io_uring::types::RecvMsgOut;
use io_uring::{IoUring, cqueue, opcode, types};
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// A datagram of this length asks a bare loop to print what it has counted since it was last asked.
pub(crate) const REPORT_LEN: usize = 1;

/// Provided buffers of the ring.
const BUFFERS: u16 = 256;
/// As the appliance sets it.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams that are not coalesced fit this with room to spare; trains need the largest that UDP carries.
const SINGLE_LEN: usize = 2048;
const TRAIN_LEN: usize = 65_536;

/// Argument that makes a bench one of the bare loops.
const BARE: &str = "--bare";
/// Where a reaction datagram has its room: docs/WIRE.md.
const ROOM: std::ops::Range<usize> = 4..8;

/// How a bare loop receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// `recvmmsg` that blocks.
    Recvmmsg,
    /// `recvmmsg` until the socket is empty, whenever `poll` says that it is not.
    Poll,
    /// Multishot `recvmsg` on a ring, with provided buffers.
    Multishot,
}

impl Way {
    /// As on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recvmmsg => "recvmmsg",
            Self::Poll => "poll",
            Self::Multishot => "multishot",
        }
    }
}

/// One bare loop: how it receives, whether trains come whole, and the cache lines of its table, or 0 without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) way: Way,
    pub(crate) coalesce: bool,
    pub(crate) table_lines: usize,
    /// Receives of one `recvmmsg`.
    pub(crate) batch: usize,
    /// Bytes of each of their buffers.
    pub(crate) buffer_len: usize,
}

impl Bare {
    /// With the sizes that suit what is received.
    pub(crate) fn new(way: Way, coalesce: bool) -> Self {
        Self { way, coalesce, table_lines: 0, batch: 64, buffer_len: if coalesce { TRAIN_LEN } else { SINGLE_LEN } }
    }

    /// The arguments that make this program such a loop.
    pub(crate) fn args(self) -> [String; 6] {
        let gro = if self.coalesce { "gro" } else { "single" };
        let numbers = [self.table_lines, self.batch, self.buffer_len].map(|number| number.to_string());
        let [table_lines, batch, buffer_len] = numbers;
        [BARE.into(), self.way.name().into(), gro.into(), table_lines, batch, buffer_len]
    }

    /// Becomes the loop, and never returns, if this program was started with its arguments.
    pub(crate) fn run_if_asked() {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [bare, way, gro, numbers @ ..] = &args[..] else { return };
        if bare != BARE {
            return;
        }
        let ways = [Way::Recvmmsg, Way::Poll, Way::Multishot];
        let way = ways.into_iter().find(|known| known.name() == way).expect("a bare loop's name");
        let number = |at: usize| numbers[at].parse().expect("a number");
        run(Self { way, coalesce: gro == "gro", table_lines: number(0), batch: number(1), buffer_len: number(2) });
    }
}

/// Prints the port, then receives until the process is ended.
fn run(bare: Bare) -> ! {
    let Bare { way, coalesce, table_lines, batch, buffer_len } = bare;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    uproar::edge::sys::socket_option::set_receive_buffer(&socket, RECEIVE_BUFFER_BYTES).expect("a receive buffer");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    if coalesce {
        uproar::edge::sys::socket_option::coalesce_datagrams(&socket, true).expect("the kernel coalesces");
    }
    let socket = UdpSocket::from(socket);
    println!("{}", socket.local_addr().expect("it is bound"));
    let seen = Seen { datagrams: 0, bytes_xor: 0, table: vec![Line([0; 8]); table_lines] };
    match way {
        Way::Recvmmsg => recvmmsg(&socket, batch, buffer_len, libc::MSG_WAITFORONE, seen),
        Way::Poll => recvmmsg(&socket, batch, buffer_len, libc::MSG_DONTWAIT, seen),
        Way::Multishot => multishot(&socket, buffer_len, seen),
    }
}

/// What a loop has seen.
struct Seen {
    datagrams: u64,
    bytes_xor: u64,
    table: Vec<Line>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Seen {
    /// Reads every byte. `segment_len` is 0 for a datagram that is not coalesced.
    fn touch(&mut self, bytes: &[u8], segment_len: usize) {
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().fold(0, |xor, word| xor ^ u64::from_ne_bytes(*word));
        self.bytes_xor ^= rest.iter().fold(words, |xor, &byte| xor ^ u64::from(byte));
        if bytes.len() == REPORT_LEN {
            return self.report();
        }
        self.datagrams += if segment_len == 0 { 1 } else { bytes.len().div_ceil(segment_len) as u64 };
        if !self.table.is_empty() {
            let room = u32::from_le_bytes(bytes[ROOM].try_into().expect("four bytes"));
            let lines = self.table.len();
            self.table[room as usize % lines].0[0] += 1;
        }
    }

    fn report(&mut self) {
        let (datagrams, bytes_xor) = (std::mem::take(&mut self.datagrams), std::mem::take(&mut self.bytes_xor));
        println!("{datagrams} {bytes_xor}");
        std::io::stdout().flush().expect("somebody asked");
    }
}

/// Length of the datagrams of a train, or 0.
///
/// # Safety
/// `header` describes control messages that the kernel wrote.
unsafe fn segment_len(header: &libc::msghdr) -> usize {
    // SAFETY: by the caller; the first message lies within `msg_controllen`, or is null.
    unsafe {
        match libc::CMSG_FIRSTHDR(header).as_ref() {
            Some(message) if (message.cmsg_level, message.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) => {
                libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned() as usize
            }
            _ => 0,
        }
    }
}

/// Being stopped and continued interrupts whoever waits; every other error ends the bench.
fn assert_interrupted(error: &std::io::Error) {
    let is_harmless = matches!(error.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock);
    assert!(is_harmless, "{error}");
}

fn wait_until_readable(socket: &UdpSocket) {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one whole structure.
    if unsafe { libc::poll(&raw mut poll, 1, -1) } < 0 {
        assert_interrupted(&std::io::Error::last_os_error());
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

/// With `MSG_WAITFORONE` the call itself waits; with `MSG_DONTWAIT`, `poll` waits before it unless the last batch was
/// full.
fn recvmmsg(socket: &UdpSocket, batch: usize, buffer_len: usize, flags: libc::c_int, mut seen: Seen) -> ! {
    // A little more than the length: buffers at one offset of their pages would share a few cache sets.
    let mut buffers = vec![vec![0u8; buffer_len + 192]; batch];
    let mut controls = vec![Control([0; 64]); batch];
    let mut slices: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer_len })
        .collect();
    // SAFETY: a plain structure of the kernel's interface, for which zeroes are valid.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; batch];
    for ((header, slice), control) in headers.iter_mut().zip(&mut slices).zip(&mut controls) {
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = size_of::<Control>();
    }
    let mut is_empty = true;
    loop {
        if is_empty && flags == libc::MSG_DONTWAIT {
            wait_until_readable(socket);
        }
        // SAFETY: every header points to memory of this function, with its true lengths.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), batch as u32, flags, std::ptr::null_mut())
        };
        if received < 0 {
            assert_interrupted(&std::io::Error::last_os_error());
            is_empty = true;
            continue;
        }
        is_empty = (received as usize) < batch;
        for (header, buffer) in headers.iter_mut().zip(&buffers).take(received as usize) {
            // SAFETY: just received.
            let segment_len = unsafe { segment_len(&header.msg_hdr) };
            seen.touch(&buffer[..header.msg_len as usize], segment_len);
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
    }
}

fn multishot(socket: &UdpSocket, buffer_len: usize, mut seen: Seen) -> ! {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4 * u32::from(BUFFERS))
        .build(16)
        .expect("a ring");
    // Each buffer also holds the kernel's header and the control messages; the rest keeps the strides off one another.
    let stride = buffer_len + 320;
    // SAFETY: this function never ends, but with the process and its ring.
    let mut provided = unsafe { Provided::register(&ring, BUFFERS, stride) };
    // SAFETY: a plain structure of the kernel's interface, for which zeroes are valid.
    let mut shape: libc::msghdr = unsafe { std::mem::zeroed() };
    shape.msg_controllen = size_of::<Control>();
    let receive = opcode::RecvMsgMulti::new(types::Fd(socket.as_raw_fd()), &raw const shape, provided::GROUP).build();
    let mut is_armed = false;
    loop {
        if !is_armed {
            // SAFETY: `shape` and the buffers live as long as this function, which never ends.
            unsafe { ring.submission().push(&receive) }.expect("the queue is empty");
            is_armed = true;
        }
        if let Err(error) = ring.submit_and_wait(1) {
            assert_interrupted(&error);
            continue;
        }
        for entry in ring.completion() {
            is_armed &= cqueue::more(entry.flags());
            let Some(buffer) = cqueue::buffer_select(entry.flags()) else { continue };
            let bytes = provided.bytes(buffer, entry.result() as usize);
            let message = RecvMsgOut::parse(bytes, &shape).expect("the kernel writes its header");
            let mut header = shape;
            header.msg_control = message.control_data().as_ptr().cast_mut().cast();
            header.msg_controllen = message.control_data().len();
            // SAFETY: just received.
            let segment_len = unsafe { segment_len(&header) };
            seen.touch(message.payload_data(), segment_len);
            provided.give(buffer);
        }
    }
}
