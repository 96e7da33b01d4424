//! The demo's server: a real appliance in a process of its own, which is this program again with the hidden subcommand
//! `appliance`. So `cargo demo` needs nothing built or installed but itself.
//!
//! Invariant: the child does not outlive its parent, however that ends: it is told to go, killed when its handle is
//! dropped, and signalled by the kernel when the parent dies without a word.

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use uproar::edge::output;

/// How long it may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long it may take to drain and end: longer than a drain that waits for a page which does not answer.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Lines of its log that are kept, for when something goes wrong.
const LOG_LINES: usize = 40;

/// Why there is no appliance.
#[derive(Debug, thiserror::Error)]
pub enum ApplianceError {
    /// The kernel does not start it.
    #[error("cannot start the appliance: {0}")]
    Start(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the appliance ended before it was ready:\n{0}")]
    Ended(String),
    /// It was not ready in time.
    #[error("the appliance was not ready within {max} s:\n{0}", max = READY_MAX.as_secs())]
    Slow(String),
    /// It says something that is no announcement.
    #[error("the appliance said `{0}`, which is no listening address")]
    BadLine(String),
    /// It does not listen where it should.
    #[error("the appliance said it is ready, but not where its {0} port is")]
    NoPort(&'static str),
    /// It does not end.
    #[error("the appliance did not end within {max} s of SIGTERM:\n{0}", max = STOP_MAX.as_secs())]
    Stuck(String),
    /// It ended without its last word.
    #[error("the appliance ended, and did not say what it counted:\n{0}")]
    Silent(String),
    /// It ended, and not well.
    #[error("the appliance ended with {0}:\n{1}")]
    Failed(ExitStatus, String),
}

/// The child's side: serves until it is told to stop, or its parent is gone.
pub fn serve(parent: Option<u32>, args: Vec<OsString>) -> ExitCode {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        output::say(&format_args!("cannot follow the parent's end: {error}"));
    }
    // It may have ended before the kernel was asked to say so.
    if parent.is_some_and(|parent| getppid().is_none_or(|now| now.as_raw_nonzero().get() as u32 != parent)) {
        return ExitCode::FAILURE;
    }
    uproar::cli::run(args)
}

/// Where an appliance listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening {
    /// Reaction datagrams.
    pub reactions: SocketAddr,
    /// QUIC.
    pub quic: SocketAddr,
    /// Public HTTP.
    pub http: SocketAddr,
    /// Admin HTTP.
    pub admin: SocketAddr,
}

/// What an appliance counted from its start to its end, in taps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Taps counted.
    pub taps: u64,
    /// Taps in the frames that it made.
    pub framed: u64,
}

impl Drained {
    fn parse(line: &str) -> Option<Self> {
        let (taps, framed) = line.strip_prefix("drained reactions ")?.split_once(" frame_taps ")?;
        Some(Self { taps: taps.parse().ok()?, framed: framed.parse().ok()? })
    }
}

/// A running appliance.
#[derive(Debug)]
pub struct Appliance {
    child: Child,
    log: Log,
    /// What it says after it is ready.
    rest: JoinHandle<Option<Drained>>,
    /// Where it listens.
    pub listening: Listening,
}

impl Appliance {
    /// Starts one on free loopback ports, and waits until it is ready. It makes a certificate of its own.
    pub async fn start(shards: u32, window: &str) -> Result<Self, ApplianceError> {
        let shards = shards.to_string();
        let mut command = Command::new(std::env::current_exe()?);
        // Its settings are given here, and none comes from the caller's environment.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"UPROAR_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["appliance", "--parent", &std::process::id().to_string()])
            .args(["--", "uproar", "serve", "--shards", &shards, "--window", window])
            .args(["--reactions", "--quic", "--http", "--admin"].into_iter().flat_map(|flag| [flag, "127.0.0.1:0"]))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the parent, which then ends the child in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log.clone().keep(stderr));
        }
        let Some(stdout) = child.stdout.take() else { unreachable!("stdout was just piped") };
        let mut lines = BufReader::new(stdout).lines();
        let listening = match tokio::time::timeout(READY_MAX, until_ready(&mut lines)).await {
            Ok(Ok(Some(listening))) => listening,
            Ok(Ok(None)) => {
                // The log is whole when the process is gone.
                let _ = tokio::time::timeout(STOP_MAX, child.wait()).await;
                return Err(ApplianceError::Ended(log.text()));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(ApplianceError::Slow(log.text())),
        };
        // Read on, or the pipe would fill.
        let rest = tokio::spawn(async move {
            let mut drained = None;
            while let Ok(Some(line)) = lines.next_line().await {
                drained = Drained::parse(&line).or(drained);
            }
            drained
        });
        Ok(Self { child, log, rest, listening })
    }

    /// Tells it to drain, and waits until it has; what it says of its life.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop(mut self) -> Result<Drained, ApplianceError> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            // One that is gone already is seen by its status.
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => match status? {
                status if status.success() => {
                    let drained = self.rest.await.ok().flatten();
                    drained.ok_or_else(|| ApplianceError::Silent(self.log.text()))
                }
                status => Err(ApplianceError::Failed(status, self.log.text())),
            },
            Err(_) => Err(ApplianceError::Stuck(self.log.text())),
        }
    }
}

async fn until_ready(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<Listening>, ApplianceError> {
    let mut announced = Announced::default();
    while let Some(line) = lines.next_line().await? {
        if announced.handle_line(&line)? {
            return announced.complete().map(Some);
        }
    }
    Ok(None)
}

/// What an appliance has said so far about where it listens.
#[derive(Debug, Default)]
struct Announced {
    reactions: Option<SocketAddr>,
    quic: Option<SocketAddr>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
}

impl Announced {
    /// Takes one line of its output; true when it is ready. Lines about anything else are its own business.
    fn handle_line(&mut self, line: &str) -> Result<bool, ApplianceError> {
        let bad = || ApplianceError::BadLine(line.into());
        let mut words = line.split_whitespace();
        match words.next() {
            Some("ready") => return Ok(true),
            Some("listening") => {}
            _ => return Ok(false),
        }
        let (name, address) = words.next().zip(words.next()).ok_or_else(bad)?;
        let address = Some(address.parse().map_err(|_| bad())?);
        match name {
            "reactions" => self.reactions = address,
            "quic" => self.quic = address,
            "http" => self.http = address,
            "admin" => self.admin = address,
            _ => {}
        }
        Ok(false)
    }

    fn complete(&self) -> Result<Listening, ApplianceError> {
        Ok(Listening {
            reactions: self.reactions.ok_or(ApplianceError::NoPort("reactions"))?,
            quic: self.quic.ok_or(ApplianceError::NoPort("quic"))?,
            http: self.http.ok_or(ApplianceError::NoPort("http"))?,
            admin: self.admin.ok_or(ApplianceError::NoPort("admin"))?,
        })
    }
}

/// The end of a process's log.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    async fn keep(self, from: impl AsyncRead + Unpin) {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LOG_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|line| format!("  {line}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(lines: &[&str]) -> Result<Option<Listening>, ApplianceError> {
        let mut announced = Announced::default();
        for line in lines {
            if announced.handle_line(line)? {
                return announced.complete().map(Some);
            }
        }
        Ok(None)
    }

    const PORTS: [&str; 4] = [
        "listening reactions 127.0.0.1:7400",
        "listening quic 127.0.0.1:7443",
        "listening http [::1]:8080",
        "listening admin 127.0.0.1:9100",
    ];

    #[test]
    fn ports_are_known_when_it_is_ready() {
        assert_eq!(announced(&PORTS).unwrap(), None);
        let listening = announced(&[PORTS[0], PORTS[1], "hello", "", PORTS[2], PORTS[3], "ready"]).unwrap().unwrap();
        assert_eq!(listening.http.to_string(), "[::1]:8080");
        assert_eq!(listening.reactions.port(), 7400);
    }

    #[test]
    fn its_last_word_is_what_it_counted() {
        let drained = Drained::parse("drained reactions 432320 frame_taps 432319");
        assert_eq!(drained, Some(Drained { taps: 432_320, framed: 432_319 }));
        for other in ["ready", "drained", "drained reactions 1", "drained reactions x frame_taps 1"] {
            assert_eq!(Drained::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_missing_port_and_a_bad_line_are_said() {
        let error = announced(&[PORTS[0], PORTS[1], PORTS[2], "ready"]).unwrap_err();
        assert!(matches!(error, ApplianceError::NoPort("admin")));
        let error = announced(&["listening quic 127.0.0.1"]).unwrap_err();
        assert!(matches!(error, ApplianceError::BadLine(_)));
    }
}
