//! What the supervisor of the process is told, systemd or one that speaks like it: sd_notify(3).
//!
//! Invariant: without `NOTIFY_SOCKET` in the environment nothing happens; a supervisor that is gone, or that does not read,
//! harms nobody. What is said once (ready, reloading, stopping) waits for room in its queue, [`SUPERVISOR_SEND_TIMEOUT`] at
//! most; a beat does not wait, as another one follows. Sent from here and not by `sd_notify`, as that would wait for as long
//! as the supervisor does not read.

use super::life;
use crate::limits::SUPERVISOR_SEND_TIMEOUT;
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
    /// By patience.
    has_failed: [bool; 2],
}

/// Whether to wait for a supervisor that does not read just now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Patience {
    None,
    Some,
}

impl Notifier {
    /// Of the supervisor that the environment names, if it does.
    pub fn from_environment() -> Self {
        Self { socket: std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()), has_failed: [false; 2] }
    }

    /// Of one that listens at `socket`.
    #[cfg(test)]
    pub fn to(socket: OsString) -> Self {
        Self { socket: Some(socket), has_failed: [false; 2] }
    }

    /// It serves, in these words.
    pub fn ready(&mut self, status: &str) {
        self.tell(Patience::Some, &[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// It reads its configuration again; [`Self::ready`] ends that.
    pub fn reloading(&mut self) {
        let Ok(now) = NotifyState::monotonic_usec_now() else { return };
        let status = NotifyState::Status("reading the configuration again");
        self.tell(Patience::Some, &[NotifyState::Reloading, now, status]);
    }

    /// It drains, which takes so long at most.
    pub fn stopping(&mut self, longest: Duration) {
        let longest_us = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        let status = NotifyState::Status("draining: subscribers are sent away and the last frames go out");
        self.tell(Patience::Some, &[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(longest_us), status]);
    }

    /// Every shard's loop turns.
    pub fn beat(&mut self) {
        self.tell(Patience::None, &[NotifyState::Watchdog]);
    }

    fn tell(&mut self, patience: Patience, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        // Said once of beats, of which one may be lost, and once of what matters more.
        if let Err(error) = send(socket, patience, states)
            && !std::mem::replace(&mut self.has_failed[patience as usize], true)
        {
            tracing::warn!(
                event = life::SUPERVISOR_DEAF,
                remedy = "see that it reads its socket, and that the server may write to it",
                "the supervisor at NOTIFY_SOCKET={} cannot be told how the server is: {error}",
                socket.display()
            );
        }
    }
}

fn send(socket: &OsStr, patience: Patience, states: &[NotifyState<'_>]) -> io::Result<()> {
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
    match patience {
        Patience::None => ours.set_nonblocking(true)?,
        Patience::Some => ours.set_write_timeout(Some(SUPERVISOR_SEND_TIMEOUT))?,
    }
    ours.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// How often the supervisor wants to hear of [`Notifier::beat`] at least, if it does. What cannot be understood is warned of: the
/// supervisor would end a process that it never hears of.
pub fn watchdog() -> Option<Duration> {
    let asked = std::env::var_os("WATCHDOG_USEC").filter(|asked| !asked.is_empty());
    if let Some(asked) = asked.filter(|asked| !is_number(asked)) {
        tracing::warn!(
            event = life::SUPERVISOR_DEAF,
            remedy = "set it to microseconds, or unset it",
            "WATCHDOG_USEC={} is no number, so no watchdog is fed",
            asked.display()
        );
    }
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

fn is_number(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::sync::Barrier;

    /// A supervisor whose queue is full.
    fn busy(path: &std::path::Path) -> UnixDatagram {
        let supervisor = UnixDatagram::bind(path).unwrap();
        let full = std::iter::repeat_with(|| send(path.as_os_str(), Patience::None, &[NotifyState::Watchdog]));
        let error = full.take(1 << 20).find_map(Result::err).expect("a queue has an end");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        supervisor
    }

    #[test]
    fn a_busy_supervisor_hears_what_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let (supervisor, begins) = (busy(&path), Barrier::new(2));
        let mut notifier = Notifier::to(path.into());
        notifier.beat();
        assert!(std::mem::take(&mut notifier.has_failed[Patience::None as usize]), "a beat does not wait");
        std::thread::scope(|scope| {
            let says = scope.spawn(|| {
                begins.wait();
                notifier.ready("well");
                assert_eq!(notifier.has_failed, [false; 2]);
            });
            begins.wait();
            let mut message = [0; 64];
            let mut next = || supervisor.recv(&mut message).map(|len| message[..len].to_vec()).unwrap();
            while next() == b"WATCHDOG=1\n" {}
            says.join().unwrap();
        });
    }

    #[test]
    fn a_deaf_supervisor_holds_up_nobody_for_good() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _supervisor = busy(&path);
        let mut notifier = Notifier::to(path.into());
        notifier.stopping(Duration::from_secs(1));
        assert_ne!(notifier.has_failed, [false; 2]);
    }
}
