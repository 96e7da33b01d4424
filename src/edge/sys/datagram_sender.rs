//! Sends datagrams in batches: one `sendmmsg` for many destinations, each with its source address, ECN bits and, for
//! trains to one destination, a segment length (GSO).
//!
//! Nothing is allocated after construction.

use super::socket_address;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;

/// Datagrams handed over in one system call.
pub const BATCH: usize = 64;

/// One datagram to send, or a train to one destination.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// All bytes.
    pub bytes: &'a [u8],
    /// Length of each datagram of a train but the last.
    pub segment_len: Option<usize>,
    /// Where to; `None` to where the socket is connected, which saves the kernel a look at its routes.
    pub remote: Option<SocketAddr>,
    /// Which of our addresses it comes from.
    pub local_ip: Option<IpAddr>,
    /// The two ECN bits; without effect without a remote.
    pub ecn: u8,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// The kernel took this many, possibly fewer than were offered.
    Some(usize),
    /// The socket's buffer is full: try again when it is writable.
    Full,
    /// A queue below the socket is full, while the socket itself is writable: try again in a moment.
    Congested,
    /// The kernel refused the first one, with this errno: it cannot be sent.
    Refused(i32),
}

/// The structures of one batch, reused.
pub struct DatagramSender {
    headers: Box<[libc::mmsghdr]>,
    slices: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 96]);

impl Default for DatagramSender {
    fn default() -> Self {
        // SAFETY: all of these are plain structures of the kernel's interface, for which zeroes are valid.
        unsafe {
            Self {
                headers: vec![std::mem::zeroed(); BATCH].into(),
                slices: vec![std::mem::zeroed(); BATCH].into(),
                names: vec![std::mem::zeroed(); BATCH].into(),
                controls: vec![Control([0; 96]); BATCH].into(),
            }
        }
    }
}

impl DatagramSender {
    /// Sends at most [`BATCH`] of `outgoing`, in order.
    pub fn send<'a>(&mut self, socket: RawFd, outgoing: impl Iterator<Item = Outgoing<'a>>) -> Sent {
        let mut count = 0;
        for datagram in outgoing.take(BATCH) {
            self.prepare(count, &datagram);
            count += 1;
        }
        if count == 0 {
            return Sent::Some(0);
        }
        // SAFETY: the first `count` headers point to memory of `self` and to the bytes borrowed for this call.
        let sent = unsafe { libc::sendmmsg(socket, self.headers.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT) };
        if sent >= 0 {
            return Sent::Some(sent as usize);
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN) => Sent::Full,
            Some(libc::ENOBUFS) => Sent::Congested,
            Some(libc::EINTR) => Sent::Some(0),
            errno => Sent::Refused(errno.unwrap_or_default()),
        }
    }

    fn prepare(&mut self, at: usize, datagram: &Outgoing<'_>) {
        let (name, name_len) = match datagram.remote {
            Some(remote) => {
                let len = socket_address::write(remote, &mut self.names[at]);
                ((&raw mut self.names[at]).cast(), len)
            }
            None => (std::ptr::null_mut(), 0),
        };
        self.slices[at] =
            libc::iovec { iov_base: datagram.bytes.as_ptr().cast_mut().cast(), iov_len: datagram.bytes.len() };
        let header = &mut self.headers[at].msg_hdr;
        header.msg_name = name;
        header.msg_namelen = name_len;
        header.msg_iov = &raw mut self.slices[at];
        header.msg_iovlen = 1;
        let mut control = ControlWriter { buffer: &mut self.controls[at], len: 0 };
        // A connected socket is asked for no marks: its family is not known here.
        if let Some(remote) = datagram.remote.filter(|_| datagram.ecn != 0) {
            let (level, kind) = if remote.is_ipv4() {
                (libc::IPPROTO_IP, libc::IP_TOS)
            } else {
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
            };
            control.push(level, kind, libc::c_int::from(datagram.ecn));
        }
        if let Some(segment_len) = datagram.segment_len {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, segment_len as u16);
        }
        match datagram.local_ip {
            Some(IpAddr::V4(ip)) => {
                let spec_dst = libc::in_addr { s_addr: u32::from(ip).to_be() };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: spec_dst, ipi_addr: spec_dst };
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => {
                let address = libc::in6_addr { s6_addr: ip.octets() };
                let info = libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: address };
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        header.msg_controllen = control.len;
        header.msg_control = match control.len {
            0 => std::ptr::null_mut(),
            _ => self.controls[at].0.as_mut_ptr().cast(),
        };
    }
}

/// Appends control messages behind one another.
struct ControlWriter<'a> {
    buffer: &'a mut Control,
    len: usize,
}

impl ControlWriter<'_> {
    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let value_len = size_of::<T>() as u32;
        // SAFETY: these two only compute lengths.
        let (message_len, space) =
            unsafe { (libc::CMSG_LEN(value_len) as usize, libc::CMSG_SPACE(value_len) as usize) };
        let room = &mut self.buffer.0[self.len..self.len + space];
        let message = room.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: `room` holds the whole message, header and value, by the slicing above; the buffer and every space are
        // multiples of the header's alignment.
        unsafe {
            message.write(libc::cmsghdr { cmsg_len: message_len, cmsg_level: level, cmsg_type: kind });
            libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
        }
        self.len += space;
    }
}
