//! What the supervisor of the process is told, systemd or one that speaks like it: sd_notify(3).
//!
//! Invariant: without `NOTIFY_SOCKET` in the environment nothing happens; a supervisor that is gone, or that does not read,
//! harms nobody. Sent from here and not by `sd_notify`, as that would wait for one that does not read.

use sd_notify::NotifyState;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells the supervisor how the process is.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<OsString>,
    has_failed: bool,
}

impl Notifier {
    /// Of the supervisor that the environment names, if it does.
    pub fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()), has_failed: false }
    }

    /// It serves, in these words.
    pub fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// It reads its configuration again; [`Self::ready`] ends that.
    pub fn reloading(&mut self) {
        let Ok(now) = NotifyState::monotonic_usec_now() else { return };
        self.tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]);
    }

    /// It drains, which takes so long at most.
    pub fn stopping(&mut self, longest: Duration) {
        let longest_us = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(longest_us),
            NotifyState::Status("draining: subscribers are sent away and the last frames go out"),
        ]);
    }

    /// Every shard's loop turns.
    pub fn beat(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        // Said once: a supervisor that is deaf stays so.
        if let Err(error) = send(socket, states)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            tracing::warn!(
                "the supervisor at NOTIFY_SOCKET={} cannot be told how the server is: {error}",
                socket.display()
            );
        }
    }
}

fn send(socket: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    // A name that begins with @ is not a file's.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let mut message = String::new();
    for state in states {
        let written = writeln!(message, "{state}");
        debug_assert!(written.is_ok(), "a String takes whatever is written");
    }
    let ours = UnixDatagram::unbound()?;
    ours.set_nonblocking(true)?;
    ours.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// How often the supervisor wants to hear of [`Notifier::beat`] at least, if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}
