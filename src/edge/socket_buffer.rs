//! Kernel buffers of the UDP sockets: set to what is configured, and what is missing when the kernel gives less.
//!
//! Bursts wait in these buffers, and what does not fit is dropped; so a smaller one than was asked for must not go
//! unnoticed. Not here: who is told ([`super::checks`]), and counting what is dropped ([`super::udp`]).

use super::sys::socket_option;
use crate::config;
use socket2::Socket;
use std::io;

/// Which of a socket's two buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffer {
    /// For arrivals.
    Receive,
    /// For departures.
    Send,
}

/// A buffer that is smaller than configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clamp {
    buffer: Buffer,
    asked_bytes: usize,
    given_bytes: usize,
}

impl Buffer {
    /// The key in the configuration, what is at stake, and the kernel's limit.
    fn words(self) -> [&'static str; 3] {
        match self {
            Self::Receive => ["socket.receive_buffer_bytes", "drops smaller bursts", "net.core.rmem_max"],
            Self::Send => ["socket.send_buffer_bytes", "sends frames in smaller batches", "net.core.wmem_max"],
        }
    }
}

impl Clamp {
    /// Whether a buffer of which the kernel says that it has `kernel_bytes` is smaller than `asked_bytes`. The kernel
    /// doubles what it gives, for its bookkeeping (socket(7), SO_RCVBUF), and doubles into a 32-bit integer.
    pub fn of(buffer: Buffer, asked_bytes: usize, kernel_bytes: usize) -> Option<Self> {
        let given_bytes = kernel_bytes / 2;
        let asked_bytes_at_most = asked_bytes.min(i32::MAX as usize / 2);
        (given_bytes < asked_bytes_at_most).then_some(Self { buffer, asked_bytes, given_bytes })
    }

    /// What was asked for and what was given, and what that leads to.
    pub fn found(&self) -> String {
        let Self { buffer, asked_bytes, given_bytes } = self;
        let [key, stake, _] = buffer.words();
        format!("{key} is {asked_bytes}, but the kernel gives {given_bytes} and so {stake}")
    }

    /// How to have what was asked for.
    pub fn remedy(&self) -> String {
        let Self { buffer, asked_bytes, given_bytes } = self;
        let [_, _, limit] = buffer.words();
        format!(
            "raise its limit with `sysctl -w {limit}={asked_bytes}`, or start with CAP_NET_ADMIN, or configure at most \
             {given_bytes}"
        )
    }
}

/// Gives `socket` the buffers that `config` names, or as much of them as the kernel allows.
pub fn set(socket: &Socket, config: &config::Socket) -> io::Result<()> {
    socket_option::set_receive_buffer(socket, config.receive_buffer_bytes)?;
    socket_option::set_send_buffer(socket, config.send_buffer_bytes)
}

/// The buffers of `socket` that are smaller than `config` wants them.
pub fn clamps(socket: &Socket, config: &config::Socket) -> io::Result<Vec<Clamp>> {
    let receive = Clamp::of(Buffer::Receive, config.receive_buffer_bytes, socket.recv_buffer_size()?);
    let send = Clamp::of(Buffer::Send, config.send_buffer_bytes, socket.send_buffer_size()?);
    Ok([receive, send].into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clamp_says_what_was_asked_what_was_given_and_the_remedy() {
        let clamp = Clamp::of(Buffer::Receive, 8 << 20, 2 * 212_992).expect("less was given");
        assert_eq!(
            clamp.found(),
            "socket.receive_buffer_bytes is 8388608, but the kernel gives 212992 and so drops smaller bursts"
        );
        assert_eq!(
            clamp.remedy(),
            "raise its limit with `sysctl -w net.core.rmem_max=8388608`, or start with CAP_NET_ADMIN, or configure at most \
             212992"
        );
        let clamp = Clamp::of(Buffer::Send, 65_537, 2 * 65_536).expect("one byte less was given");
        let said = format!("{}; {}", clamp.found(), clamp.remedy());
        for part in ["socket.send_buffer_bytes is 65537", "gives 65536", "`sysctl -w net.core.wmem_max=65537`"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }

    #[test]
    fn what_was_asked_for_is_no_clamp() {
        for asked in [65_536, 8 << 20] {
            assert_eq!(Clamp::of(Buffer::Receive, asked, 2 * asked), None);
        }
        // The largest that can be configured; the kernel's integer ends one before it.
        assert_eq!(Clamp::of(Buffer::Send, 1 << 30, i32::MAX as usize - 1), None);
    }

    #[test]
    fn a_socket_has_the_buffers_that_were_asked_for() {
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        // No kernel is configured to allow less than this.
        let config = config::Socket { receive_buffer_bytes: 65_536, send_buffer_bytes: 70_000 };
        set(&socket, &config).unwrap();
        let kernel = [socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap()];
        assert_eq!(kernel, [2 * 65_536, 2 * 70_000]);
    }
}
