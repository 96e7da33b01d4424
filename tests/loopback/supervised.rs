//! What a supervisor is told by sd_notify(3): it listens here on a socket of its own.

use crate::support::hostile::Identity;
use crate::support::{DEADLINE, Server};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The supervisor's end.
struct Supervisor {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Supervisor {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, directory }
    }

    fn start(&self, environment: &[&str], args: &[&str]) -> Server {
        let socket = format!("NOTIFY_SOCKET={}", self.directory.path().join("notify").display());
        Self::start_at(&socket, environment, args)
    }

    fn start_at(socket: &str, environment: &[&str], args: &[&str]) -> Server {
        let launcher = [&["/usr/bin/env", socket][..], environment].concat();
        Server::start_by(&launcher, args)
    }

    /// Passes over what has come and not been looked at.
    fn forget(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }

    /// The next message, line by line.
    fn next(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let len = self.socket.recv(&mut message).expect("the supervisor is told");
        std::str::from_utf8(&message[..len]).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_supervisor_hears_of_the_start_of_reloads_and_of_the_end() {
    let (supervisor, identity) = (Supervisor::new(), Identity::new());
    let [certificate, key] = identity.flags();
    let drain = ["--drain-timeout", "7s"];
    let mut server = supervisor.start(&[], &[&["--shards", "2", &certificate, &key][..], &drain].concat());
    assert_eq!(supervisor.next(), ["READY=1", "STATUS=serving on 2 shards"]);

    server.send_sighup();
    let reloading = supervisor.next();
    assert_eq!(reloading[0], "RELOADING=1");
    let since = reloading[1].strip_prefix("MONOTONIC_USEC=").expect("when it began");
    assert!(since.parse::<u64>().unwrap() > 0);
    assert_eq!(supervisor.next(), ["READY=1", "STATUS=serving on 2 shards"]);

    identity.spoil("key.pem", "no key");
    server.send_sighup();
    assert_eq!(supervisor.next()[0], "RELOADING=1");
    let refused = supervisor.next();
    assert_eq!(refused[0], "READY=1", "it serves as before");
    assert!(refused[1].starts_with("STATUS=serving on 2 shards; the last reload was refused: quic.private_key"));

    server.send_sigterm();
    let stopping = supervisor.next();
    assert_eq!(stopping[..2], ["STOPPING=1", "EXTEND_TIMEOUT_USEC=12000000"], "5 s more than the drain may take");
    assert_eq!(server.wait_for_end().code, Some(0));
}

#[test]
fn the_watchdog_is_fed_while_every_shard_turns() {
    let supervisor = Supervisor::new();
    for shards in ["1", "3"] {
        // Idle shards, which are woken for it.
        let mut server = supervisor.start(&["WATCHDOG_USEC=200000"], &["--shards", shards, "--window", "60s"]);
        assert_eq!(supervisor.next()[0], "READY=1");
        for _ in 0..5 {
            assert_eq!(supervisor.next(), ["WATCHDOG=1"]);
        }
        server.send_sigterm();
        while supervisor.next()[0] != "STOPPING=1" {}
        assert_eq!(server.wait_for_end().code, Some(0));
        // What was on its way when it ended is not for the next one.
        supervisor.forget();
    }
}

#[test]
fn a_supervisor_that_does_not_read_harms_nobody() {
    let supervisor = Supervisor::new();
    let server = supervisor.start(&["WATCHDOG_USEC=2000"], &["--shards", "1", "--window", "100ms"]);
    // A queue of datagrams is a few hundred long at most, and every beat is one.
    server.await_log("cannot be told how the server is");
    server.reload("done");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_supervisor_may_have_a_name_that_is_no_file() {
    let name = format!("uproar-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let supervisor =
        Supervisor { socket: UnixDatagram::bind_addr(&address).unwrap(), directory: tempfile::tempdir().unwrap() };
    let server = Supervisor::start_at(&format!("NOTIFY_SOCKET=@{name}"), &[], &["--shards", "1"]);
    assert_eq!(supervisor.next()[0], "READY=1");
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn a_supervisor_that_is_gone_harms_nobody() {
    let supervisor = Supervisor::new();
    std::fs::remove_file(supervisor.directory.path().join("notify")).unwrap();
    let server = supervisor.start(&[], &["--shards", "1", "--window", "100ms"]);
    server.reload("done");
    assert_eq!(server.log().matches("NOTIFY_SOCKET").count(), 1, "said once: {}", server.log());
    assert_eq!(server.terminate().code, Some(0));
}

#[test]
fn the_unit_runs_commands_that_exist_and_waits_for_a_drain() {
    let unit = include_str!("../../deploy/systemd/uproar.service");
    let settings: Vec<_> = unit.lines().filter_map(|line| line.split_once('=')).collect();
    let of = |name| settings.iter().filter(move |(key, _)| *key == name).map(|&(_, value)| value);
    let commands: Vec<_> = ["ExecStart", "ExecReload"]
        .into_iter()
        .flat_map(of)
        .filter_map(|line| line.strip_prefix("/usr/bin/uproar "))
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        let status = Command::new(env!("CARGO_BIN_EXE_uproar")).args(&words).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "uproar {words:?}");
    }
    assert!(of("SystemCallFilter").any(|calls| calls == "io_uring_setup io_uring_enter io_uring_register"));
    assert!(of("RestrictAddressFamilies").any(|families| families.contains("AF_UNIX")), "sd_notify goes that way");
    let stop_s: u64 = of("TimeoutStopSec").next().unwrap().parse().unwrap();
    assert!(stop_s > uproar::config::Config::default().drain.timeout.as_secs());
}
