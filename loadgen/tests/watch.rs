//! `uproar-loadgen watch` as a process: whatever signal ends it, the server is told, and forgets the viewer at once.

#![allow(clippy::disallowed_methods, reason = "a test waits by the clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Time after which what a test waits for is taken not to come.
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(args: &[&str]) -> (Self, BufReader<ChildStdout>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uproar-loadgen"));
        let mut child = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (Self(child), stdout)
    }

    fn signal(&self, name: &str) {
        // The shell has `kill` built in; there is no safe call for it in the standard library.
        let kill = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The value of one series on the server's admin port.
fn metric(admin: &str, series: &str) -> u64 {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series} in {page}"));
    line.trim().parse().unwrap()
}

#[test]
fn a_viewer_that_a_signal_ends_says_goodbye() {
    let ports =
        ["--reactions", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (_server, stdout) =
        Process::start(&[&["appliance", "--", "uproar", "serve"][..], &ports, &["--window", "200ms"]].concat());
    let mut listening = stdout.lines().map(Result::unwrap);
    let mut address = |what: &str| {
        let line = listening.next().unwrap();
        line.strip_prefix(&format!("listening {what} ")).unwrap_or_else(|| panic!("unexpected line: {line}")).to_owned()
    };
    let [_, quic, _, admin] = ["reactions", "quic", "http", "admin"].map(&mut address);
    assert_eq!(listening.next().as_deref(), Some("ready"));
    for (number, name) in ["INT", "TERM", "HUP"].into_iter().enumerate() {
        let (mut viewer, mut shown) = Process::start(&["watch", "--quic", &quic]);
        assert_ne!(shown.read(&mut [0]).unwrap(), 0, "it shows something");
        viewer.signal(name);
        assert_eq!(viewer.0.wait().unwrap().code(), Some(0), "{name}");
        // Its close is on the way, and an idle time-out would outlast the test.
        let give_up_at = Instant::now() + DEADLINE;
        let done = || metric(&admin, r#"uproar_connections_total{proto="quic",outcome="done"}"#);
        while done() <= number as u64 {
            assert!(Instant::now() < give_up_at, "{name}: the server has not heard of it");
        }
    }
}
