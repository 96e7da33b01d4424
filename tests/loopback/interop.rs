//! A subscriber that shares no code with the server: aioquic, and a reader written from `docs/WIRE.md`.
//!
//! Skipped, and said so, where Python or aioquic is missing: neither is needed to build or to serve.

use crate::support::Server;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop");
/// Over QUIC as the SDK speaks it, and as browsers do.
const SUBSCRIBER: &str = "aioquic_subscriber.py";
const SESSION: &str = "aioquic_session.py";
/// What a script exits with where aioquic is missing.
const SKIPPED: i32 = 77;

/// A running script; it ends by itself, or with the test.
struct Subscriber {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Subscriber {
    /// Starts it, unless there is no Python. `UPROAR_TEST_PYTHON` names another than `python3`.
    fn start(server: &Server, script: &str, what: &str) -> Option<Self> {
        let python = std::env::var("UPROAR_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut command = Command::new(&python);
        let quic = server.quic();
        command
            .args([&format!("{SCRIPTS}/{script}"), &quic.ip().to_string(), &quic.port().to_string(), "1", what])
            .env("PYTHONDONTWRITEBYTECODE", "1");
        match command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Ok(mut child) => Some(Self { lines: BufReader::new(child.stdout.take().unwrap()), child }),
            Err(error) => {
                eprintln!("skipped: {python} cannot be run: {error}");
                None
            }
        }
    }

    /// Its next line; `None` when it was skipped.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        if !line.is_empty() {
            return Some(line);
        }
        if self.child.wait().unwrap().code() == Some(SKIPPED) {
            eprintln!("skipped: aioquic is not installed");
            return None;
        }
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        panic!("the subscriber failed:\n{errors}");
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_independent_subscriber_watches_taps_and_is_told_of_the_end() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let Some(mut subscriber) = Subscriber::start(&server, SUBSCRIBER, "watch") else { return };
    let Some(line) = subscriber.line() else { return };
    assert_eq!(line, "watching\n");
    assert!(server.metric("uproar_reactions_total") >= 40);
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let last = subscriber.line().unwrap();
    assert!(last.starts_with("OK 12 emoji, "), "{last}");
    eprint!("{last}");
}

#[test]
fn who_takes_no_datagrams_of_the_least_size_is_refused_with_the_reason() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let Some(mut subscriber) = Subscriber::start(&server, SUBSCRIBER, "misfit") else { return };
    let Some(line) = subscriber.line() else { return };
    assert!(line.starts_with("OK "), "{line}");
    server.await_metric("uproar_connections_total{proto=\"quic\",outcome=\"handshake_failed\"}", 1);
}

#[test]
fn an_independent_session_watches_taps_and_is_told_of_the_end() {
    let server = Server::start(&["--shards", "2", "--window", "200ms"]);
    let Some(mut subscriber) = Subscriber::start(&server, SESSION, "watch") else { return };
    let Some(line) = subscriber.line() else { return };
    assert_eq!(line, "watching\n");
    assert!(server.metric("uproar_reactions_total{proto=\"webtransport\"}") >= 40);
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let last = subscriber.line().unwrap();
    assert!(last.starts_with("OK 12 emoji, "), "{last}");
    eprint!("{last}");
}
