//! The supervisor of a server process, as sd_notify(3) has it: it listens on a socket of its own.

use super::{DEADLINE, Server};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tempfile::TempDir;

/// The supervisor's end.
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Supervisor {
    /// Listens at a file.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        Self::of(socket, directory)
    }

    /// Listens at a name that is no file.
    pub(crate) fn named(name: &str) -> Self {
        let address = SocketAddr::from_abstract_name(name).unwrap();
        Self::of(UnixDatagram::bind_addr(&address).unwrap(), tempfile::tempdir().unwrap())
    }

    fn of(socket: UnixDatagram, directory: TempDir) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, directory }
    }

    /// The variable by which a server finds it.
    pub(crate) fn variable(&self) -> String {
        format!("NOTIFY_SOCKET={}", self.directory.path().join("notify").display())
    }

    /// Starts a server that has it as its supervisor.
    pub(crate) fn start(&self, environment: &[&str], args: &[&str]) -> Server {
        let variable = self.variable();
        Server::start_by(&[&["/usr/bin/env", &variable][..], environment].concat(), args)
    }

    /// As [`Self::start`], with a configuration file.
    pub(crate) fn start_configured(&self, environment: &[&str], toml: &str, args: &[&str]) -> Server {
        let variable = self.variable();
        Server::configured_by(&[&["/usr/bin/env", &variable][..], environment].concat(), toml, args)
    }

    /// It is gone.
    pub(crate) fn go(&self) {
        std::fs::remove_file(self.directory.path().join("notify")).unwrap();
    }

    /// Everything that has come and not been looked at, without waiting.
    pub(crate) fn waiting(&self) -> Vec<Vec<String>> {
        self.socket.set_nonblocking(true).unwrap();
        let waiting = std::iter::from_fn(|| self.receive().ok()).collect();
        self.socket.set_nonblocking(false).unwrap();
        waiting
    }

    /// The next message, line by line.
    pub(crate) fn next(&self) -> Vec<String> {
        self.receive().expect("the supervisor is told")
    }

    /// The next message that is no beat.
    pub(crate) fn next_but_beats(&self) -> Vec<String> {
        loop {
            let message = self.next();
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    /// Waits for so many beats, and nothing else.
    pub(crate) fn await_beats(&self, beats: usize) {
        (0..beats).for_each(|_| assert_eq!(self.next(), ["WATCHDOG=1"]));
    }

    fn receive(&self) -> std::io::Result<Vec<String>> {
        let mut message = [0; 4096];
        let len = self.socket.recv(&mut message)?;
        Ok(std::str::from_utf8(&message[..len]).unwrap().lines().map(str::to_owned).collect())
    }
}
