//! The floor: loops that receive datagrams and do nothing but read every byte once.
//!
//! They are what the kernel offers, written straight on its interface, in the two ways that a server could choose:
//! `recvmmsg` on a blocking socket, and a multishot receive on a ring with provided buffers. Each runs as a process of
//! its own so that its CPU time can be told apart. Not here: parsing, counting, anything that could go wrong.

#![allow(unsafe_code, reason = "a floor has no safe layer between itself and the kernel")]

use crate::provided::{self, Provided};
use io_uring::types::RecvMsgOut;
use io_uring::{IoUring, cqueue, opcode, types};
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// A datagram of this length asks a bare loop to print what it has counted since it was last asked.
pub(crate) const REPORT_LEN: usize = 1;

/// Receives of one `recvmmsg`.
const BATCH: usize = 64;
/// Provided buffers of the ring.
const BUFFERS: u16 = 256;
/// As the appliance sets it.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Datagrams that are not coalesced fit this with room to spare; trains need the largest that UDP carries.
const SINGLE_LEN: usize = 2048;
const TRAIN_LEN: usize = 65_536;

/// How a bare loop receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// `recvmmsg` that blocks.
    Recvmmsg,
    /// Multishot `recvmsg` on a ring, with provided buffers.
    Multishot,
}

impl Way {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Recvmmsg, Self::Multishot];

    /// As on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Recvmmsg => "recvmmsg",
            Self::Multishot => "multishot",
        }
    }
}

/// Prints the port, then receives until the process is ended.
pub(crate) fn run(way: Way, coalesce: bool) -> ! {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("a receive buffer");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    if coalesce {
        uproar::edge::sys::socket_option::coalesce_datagrams(&socket, true).expect("the kernel coalesces");
    }
    let socket = UdpSocket::from(socket);
    println!("{}", socket.local_addr().expect("it is bound"));
    let buffer_len = if coalesce { TRAIN_LEN } else { SINGLE_LEN };
    match way {
        Way::Recvmmsg => recvmmsg(&socket, buffer_len),
        Way::Multishot => multishot(&socket, buffer_len),
    }
}

/// What a loop has seen.
#[derive(Default)]
struct Seen {
    datagrams: u64,
    bytes_xor: u64,
}

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
    }

    fn report(&mut self) {
        let Self { datagrams, bytes_xor } = std::mem::take(self);
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
    assert!(error.kind() == std::io::ErrorKind::Interrupted, "{error}");
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 64]);

fn recvmmsg(socket: &UdpSocket, buffer_len: usize) -> ! {
    // A little more than the length: buffers at one offset of their pages would share a few cache sets.
    let mut buffers = vec![vec![0u8; buffer_len + 192]; BATCH];
    let mut controls = vec![Control([0; 64]); BATCH];
    let mut slices: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer_len })
        .collect();
    // SAFETY: a plain structure of the kernel's interface, for which zeroes are valid.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
    for ((header, slice), control) in headers.iter_mut().zip(&mut slices).zip(&mut controls) {
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = size_of::<Control>();
    }
    let mut seen = Seen::default();
    loop {
        // SAFETY: every header points to memory of this function, with its true lengths.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            assert_interrupted(&std::io::Error::last_os_error());
            continue;
        }
        for (header, buffer) in headers.iter_mut().zip(&buffers).take(received as usize) {
            // SAFETY: just received.
            let segment_len = unsafe { segment_len(&header.msg_hdr) };
            seen.touch(&buffer[..header.msg_len as usize], segment_len);
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
    }
}

fn multishot(socket: &UdpSocket, buffer_len: usize) -> ! {
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
    let mut seen = Seen::default();
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
