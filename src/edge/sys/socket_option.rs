//! Socket options, and questions to sockets, that `socket2` does not know.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Whether the kernel may hand over trains of datagrams of one sender in one receive.
pub fn coalesce_datagrams(socket: &impl AsRawFd, coalesce: bool) -> io::Result<()> {
    set(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, &libc::c_int::from(coalesce))
}

/// Sets the receive buffer, beyond `net.core.rmem_max` if this process may go there (CAP_NET_ADMIN).
pub fn set_receive_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    set_buffer(socket, bytes, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)
}

/// Sets the send buffer, beyond `net.core.wmem_max` if this process may go there (CAP_NET_ADMIN).
pub fn set_send_buffer(socket: &impl AsRawFd, bytes: usize) -> io::Result<()> {
    set_buffer(socket, bytes, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)
}

/// Has a TCP connection take no more while so many bytes, or nearly, have not been sent: those that wait for the peer to
/// have room.
pub fn limit_unsent(fd: RawFd, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set(fd, libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes)
}

/// Bytes of a TCP connection that its peer has not acknowledged, those included that were not sent.
#[cfg(test)]
pub fn unsent(socket: &impl AsRawFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int, to a place that is one.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(bytes.max(0) as usize) }
}

/// Has the kernel end a TCP connection whose peer acknowledges nothing, or has no room, for so long.
pub fn limit_unacknowledged(fd: RawFd, time: Duration) -> io::Result<()> {
    let ms = libc::c_uint::try_from(time.as_millis()).unwrap_or(libc::c_uint::MAX);
    set(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, &ms)
}

/// Of `include/uapi/linux/tcp.h`; `libc` does not have it.
const TCP_NOTSENT_LOWAT: libc::c_int = 25;

fn set_buffer(socket: &impl AsRawFd, bytes: usize, force: libc::c_int, ask: libc::c_int) -> io::Result<()> {
    // The kernel doubles it into an int of its own.
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let fd = socket.as_raw_fd();
    set(fd, libc::SOL_SOCKET, force, &bytes).or_else(|_| set(fd, libc::SOL_SOCKET, ask, &bytes))
}

/// Datagrams that the kernel dropped at this socket since it was opened.
pub fn drops(socket: &impl AsRawFd) -> io::Result<u32> {
    // Order of the kernel's `sk_meminfo` values: include/uapi/linux/sock_diag.h.
    const DROPS: usize = 8;
    let mut memory = [0u32; 9];
    let mut len = size_of_val(&memory) as libc::socklen_t;
    // SAFETY: pointer and length describe `memory`, which the kernel fills.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            memory.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(memory[DROPS]) }
}

/// Which shard's socket gets a QUIC packet: `DCID[0] mod shards`, for the whole group of sockets on one port.
///
/// Long headers carry the destination connection id from byte 6 on, short ones from byte 1 on (RFC 9000, section 17).
/// The kernel runs the program over the datagram's payload and takes its result as the place in the group.
pub fn steer_by_connection_id(socket: &impl AsRawFd, shards: u32) -> io::Result<()> {
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const JUMP_IF_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    const MODULO: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
    const RETURN_RESULT: u16 = (libc::BPF_RET | libc::BPF_A) as u16;
    let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_BYTE, 0, 0, 0),
        step(JUMP_IF_SET, 0x80, 2, 0), // a long header jumps over two steps
        step(LOAD_BYTE, 1, 0, 0),
        step(JUMP, 1, 0, 0),
        step(LOAD_BYTE, 6, 0, 0),
        step(MODULO, shards, 0, 0),
        step(RETURN_RESULT, 0, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    set(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &filter)
}

/// Stops reading and writing on a connection; operations under way complete.
pub fn shut_down(fd: RawFd) {
    // SAFETY: no pointers; an unknown descriptor is an error that changes nothing.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// Stops writing on a connection: the peer reads to the end.
pub fn shut_down_write(fd: RawFd) {
    // SAFETY: as above.
    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
}

/// Sockets of one [`find_hung_up`].
pub const HUNG_UP_BATCH: usize = 256;

/// Calls `found` with the place of each of `sockets` whose connection is over in both directions, as after a reset.
pub fn find_hung_up(sockets: &[RawFd], found: impl FnMut(usize)) -> io::Result<()> {
    assert!(sockets.len() <= HUNG_UP_BATCH, "the caller asks for a batch");
    // What tells that a connection is over is reported without being asked for.
    let mut polls = [libc::pollfd { fd: -1, events: 0, revents: 0 }; HUNG_UP_BATCH];
    polls.iter_mut().zip(sockets).for_each(|(poll, &fd)| poll.fd = fd);
    // SAFETY: pointer and length describe the used part of `polls`; the call does not wait.
    if unsafe { libc::poll(polls.as_mut_ptr(), sockets.len() as libc::nfds_t, 0) } < 0 {
        let error = io::Error::last_os_error();
        // Not asked then, they end by their time limits.
        return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
    }
    let hung_up = |poll: &libc::pollfd| poll.revents & (libc::POLLHUP | libc::POLLERR) != 0;
    (0..sockets.len()).filter(|&place| hung_up(&polls[place])).for_each(found);
    Ok(())
}

fn set<T>(fd: RawFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let (start, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: pointer and length describe `value`, which the kernel only reads.
    let result = unsafe { libc::setsockopt(fd, level, option, start, len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
