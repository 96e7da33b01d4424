//! Receives datagrams in batches: one `recvmmsg` fills up to a batch of buffers, each with one datagram or with a train
//! of datagrams that the kernel coalesced (GRO).
//!
//! Nothing is allocated after construction. Only buffers that the last call filled are prepared again.

use super::memory_map::MemoryMap;
use super::socket_address;
use crate::limits;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::RawFd;

/// What is asked of the kernel beside the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Nothing more: the reaction port answers nobody.
    BytesOnly,
    /// The peer's address, the address it wrote to, and ECN: QUIC needs them.
    Addresses,
}

/// Buffers for one socket.
pub struct DatagramReceiver {
    buffers: MemoryMap,
    headers: Box<[libc::mmsghdr]>,
    // The headers point into these two.
    _slices: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    detail: Detail,
    /// Of the headers, those that the last call has filled.
    filled: usize,
}

/// Room for the control messages of one receive.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Distance between buffers. Not a multiple of the page: 64 buffers at one offset of their pages would share a few
/// cache sets.
const STRIDE: usize = limits::DATAGRAM_BUFFER + 192;

/// One receive: a datagram or a train.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// All bytes.
    pub bytes: &'a [u8],
    /// Length of each datagram of a train but the last; 0 for a single datagram.
    pub segment_len: usize,
    /// The sender; only with [`Detail::Addresses`].
    pub remote: Option<SocketAddr>,
    /// The local address it wrote to.
    pub local_ip: Option<IpAddr>,
    /// The two ECN bits.
    pub ecn: u8,
}

impl DatagramReceiver {
    /// Buffers for batches of at most `batch` receives.
    pub fn new(batch: usize, detail: Detail) -> io::Result<Self> {
        let buffers = MemoryMap::new(batch * STRIDE)?;
        // SAFETY: all of these are plain structures of the kernel's interface, for which zeroes are valid.
        let mut names: Box<[libc::sockaddr_storage]> = vec![unsafe { std::mem::zeroed() }; batch].into();
        let mut controls = vec![Control([0; 128]); batch].into_boxed_slice();
        let mut slices: Box<[libc::iovec]> = (0..batch)
            .map(|at| libc::iovec {
                // SAFETY: inside the mapping, which holds `batch` strides.
                iov_base: unsafe { buffers.as_ptr().add(at * STRIDE) }.cast(),
                iov_len: limits::DATAGRAM_BUFFER,
            })
            .collect();
        let headers = (0..batch)
            .map(|at| {
                // SAFETY: as for `names`.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = &raw mut slices[at];
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = controls[at].0.as_mut_ptr().cast();
                if detail == Detail::Addresses {
                    header.msg_hdr.msg_name = (&raw mut names[at]).cast();
                }
                header
            })
            .collect();
        Ok(Self { buffers, headers, _slices: slices, names, controls, detail, filled: batch })
    }

    /// Receives what is there, at most one batch, and says how many receives it was; fewer than a batch means that the
    /// socket is empty.
    pub fn receive(&mut self, socket: RawFd) -> io::Result<usize> {
        let named = self.detail == Detail::Addresses;
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header.msg_hdr.msg_namelen = if named { size_of::<libc::sockaddr_storage>() as u32 } else { 0 };
        }
        self.filled = 0;
        // SAFETY: every header points to memory owned by `self`, with its true lengths.
        let received = unsafe {
            libc::recvmmsg(
                socket,
                self.headers.as_mut_ptr(),
                self.headers.len() as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                // A refused datagram of ours comes back as an error of the socket: the next receive goes on.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => Ok(0),
                _ => Err(error),
            };
        }
        self.filled = received as usize;
        Ok(self.filled)
    }

    /// Receives that one call of [`Self::receive`] can bring.
    pub fn batch(&self) -> usize {
        self.headers.len()
    }

    /// What the last call of [`Self::receive`] brought.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.part(0..self.filled)
    }

    /// Of that, what is at these places.
    pub fn part(&self, places: Range<usize>) -> impl Iterator<Item = Received<'_>> {
        places.map(|at| self.received(at))
    }

    /// Bytes of the receive at one place.
    pub fn len_of(&self, at: usize) -> usize {
        self.headers[at].msg_len as usize
    }

    /// The receive at one place.
    pub fn received(&self, at: usize) -> Received<'_> {
        let header = &self.headers[at];
        let len = (header.msg_len as usize).min(limits::DATAGRAM_BUFFER);
        // SAFETY: inside the mapping, and filled by the kernel up to `len`.
        let bytes = unsafe { std::slice::from_raw_parts(self.buffers.as_ptr().add(at * STRIDE).cast_const(), len) };
        let mut received = Received { bytes, segment_len: 0, remote: None, local_ip: None, ecn: 0 };
        if self.detail == Detail::Addresses {
            received.remote = socket_address::read(&self.names[at]);
        }
        if header.msg_hdr.msg_controllen > 0 {
            self.read_control(at, &mut received);
        }
        received
    }

    fn read_control(&self, at: usize, received: &mut Received<'_>) {
        debug_assert!(std::ptr::eq(self.headers[at].msg_hdr.msg_control.cast(), &raw const self.controls[at].0));
        let header = &raw const self.headers[at].msg_hdr;
        // SAFETY: the kernel wrote whole control messages within `msg_controllen` bytes of our aligned buffer; the CMSG
        // functions walk them and stop at the end.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while let Some(found) = message.as_ref() {
                let data = libc::CMSG_DATA(message);
                match (found.cmsg_level, found.cmsg_type) {
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        received.segment_len = data.cast::<libc::c_int>().read_unaligned().max(0) as usize;
                    }
                    (libc::IPPROTO_IP, libc::IP_TOS) => received.ecn = *data & 0b11,
                    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                        received.ecn = (data.cast::<libc::c_int>().read_unaligned() & 0b11) as u8;
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                        received.local_ip = Some(socket_address::v4(info.ipi_addr));
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        received.local_ip = Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
    }
}
