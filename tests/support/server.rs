//! One server process on free ports of the loopback interface.
//!
//! Invariant: the process does not outlive its [`Server`]; when a test fails, what it logged is printed.

use super::http::{self, Http};
use super::metrics::Metrics;
use super::{DEADLINE, eventually};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use tempfile::NamedTempFile;

/// A running server.
pub(crate) struct Server {
    child: Child,
    lines: Mutex<Receiver<String>>,
    log: Arc<Log>,
    log_reader: Option<JoinHandle<()>>,
    ports: [SocketAddr; 4],
    /// One connection for all scrapes, so that they do not disturb what they measure.
    admin: Mutex<Option<Http>>,
    config: Option<NamedTempFile>,
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; none when a signal killed it.
    pub(crate) code: Option<i32>,
    /// What standard output said of the drain: reactions and taps in frames.
    pub(crate) drained: Option<(u64, u64)>,
    /// Standard error.
    pub(crate) log: String,
}

/// A named pipe that takes a file's place.
pub(crate) struct Pipe(PathBuf);

impl Pipe {
    /// Waits until somebody reads it, and then gives them `text`.
    pub(crate) fn fill(&self, text: &str) {
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&self.0).ok();
        eventually(open, || "nobody reads the pipe".into()).write_all(text.as_bytes()).unwrap();
    }
}

/// What the server says on standard error, as it says it.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grew: Condvar,
}

impl Server {
    /// As [`Self::start`], of a server that takes as many taps at once as can be said, as for gateways.
    pub(crate) fn for_gateways(args: &[&str]) -> Self {
        Self::configured("[limits]\ntaps_per_record = 65535\ntaps_per_request = 67107840\n", args)
    }

    /// Starts `uproar serve` and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::launch(&[], args, None)
    }

    /// As [`Self::start`], with a configuration file.
    pub(crate) fn configured(toml: &str, args: &[&str]) -> Self {
        Self::configured_by(&[], toml, args)
    }

    /// As [`Self::start_by`], with a configuration file.
    pub(crate) fn configured_by(launcher: &[&str], toml: &str, args: &[&str]) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        Self::launch(launcher, args, Some(file))
    }

    /// As [`Self::start`], run by another program that becomes the server, such as `/usr/bin/env NAME=value`.
    pub(crate) fn start_by(launcher: &[&str], args: &[&str]) -> Self {
        Self::launch(launcher, args, None)
    }

    /// As [`Self::start_by`], without waiting for anything.
    pub(crate) fn begin_by(launcher: &[&str], args: &[&str]) -> Self {
        Self::spawn(launcher, args, None)
    }

    /// Puts a pipe in the place of the configuration file: whoever reads it waits for [`Pipe::fill`].
    pub(crate) fn read_from_pipe(&self) -> Pipe {
        let path = self.config.as_ref().expect("it has a configuration file").path();
        std::fs::remove_file(path).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        Pipe(path.to_owned())
    }

    /// Writes another configuration over the one of [`Self::configured`], for the next [`Self::send_sighup`].
    pub(crate) fn rewrite(&self, toml: &str) {
        std::fs::write(self.config.as_ref().expect("it has a configuration file").path(), toml).unwrap();
    }

    /// Starts a server that is expected to refuse, and waits for its end.
    pub(crate) fn refused(args: &[&str]) -> Ended {
        Self::begin_by(&[], args).wait_for_end()
    }

    /// As [`Self::refused`], for a configuration file.
    pub(crate) fn refused_with(toml: &str) -> Ended {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(toml.as_bytes()).unwrap();
        let mut server = Self::spawn(&[], &[], Some(file));
        server.wait_for_end()
    }

    fn launch(launcher: &[&str], args: &[&str], config: Option<NamedTempFile>) -> Self {
        let mut server = Self::spawn(launcher, args, config);
        for what in ["reactions", "quic", "http", "admin"].into_iter().enumerate() {
            let line = server.next_line();
            let address = line.strip_prefix(&format!("listening {} ", what.1));
            server.ports[what.0] = address.unwrap_or_else(|| panic!("unexpected line: {line}")).parse().unwrap();
        }
        assert_eq!(server.next_line(), "ready");
        server
    }

    fn spawn(launcher: &[&str], args: &[&str], config: Option<NamedTempFile>) -> Self {
        let line = [launcher, &[env!("CARGO_BIN_EXE_uproar"), "serve"], args].concat();
        let mut command = Command::new(line[0]);
        // The environment is configuration too.
        command.env_clear().env("RUST_BACKTRACE", "1").args(&line[1..]);
        for port in ["--reactions", "--quic", "--http", "--admin"] {
            if !args.contains(&port) {
                command.args([port, "127.0.0.1:0"]);
            }
        }
        if let Some(file) = &config {
            command.arg("--config").arg(file.path());
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let log = Arc::new(Log::default());
        let log_reader = Some(log.clone().follow(child.stderr.take().unwrap()));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, lines: Mutex::new(lines), log, log_reader, ports: [nowhere; 4], admin: Mutex::new(None), config }
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the configuration file of [`Self::configured`] lies.
    pub(crate) fn config_path(&self) -> &Path {
        self.config.as_ref().expect("it has a configuration file").path()
    }

    /// Memory of the process that is in use now.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The reaction port, UDP.
    pub(crate) fn reactions(&self) -> SocketAddr {
        self.ports[0]
    }

    /// The QUIC port, UDP.
    pub(crate) fn quic(&self) -> SocketAddr {
        self.ports[1]
    }

    /// The public HTTP port.
    pub(crate) fn http(&self) -> SocketAddr {
        self.ports[2]
    }

    /// The admin port.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.ports[3]
    }

    /// A request to the admin port, and its reply.
    pub(crate) fn ask_admin(&self, request: &[u8]) -> http::Reply {
        let mut kept = self.admin.lock().unwrap();
        // A connection that the server has closed for being idle is replaced once.
        if let Some(connection) = &mut *kept
            && let Ok(reply) = connection.try_ask(request)
        {
            return reply;
        }
        kept.insert(Http::to(self.admin())).ask(request)
    }

    /// The node's metrics.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::of(self.ask_admin(&http::get("/metrics")).body)
    }

    /// The metrics of each shard.
    pub(crate) fn shard_metrics(&self) -> Metrics {
        Metrics::of(self.ask_admin(&http::get("/metrics/shards")).body)
    }

    /// One of the node's metrics, summed over the labels that `selector` does not name; see [`Metrics::sum`].
    pub(crate) fn metric(&self, selector: &str) -> u64 {
        self.metrics().sum(selector)
    }

    /// That subscribers missed no frames but those that the server says it skipped. A shard that gets no time for longer than a
    /// window makes two frames in one turn, and skips the older one; that is no loss, as long as it is counted.
    pub(crate) fn assert_skipped(&self, missed: u64) {
        let skipped = self.metric("uproar_frames_skipped_total");
        assert!(missed <= skipped, "{missed} frames did not come, and {skipped} were skipped");
    }

    /// Waits until a counter has come to exactly `expected`.
    pub(crate) fn await_metric(&self, selector: &str, expected: u64) {
        let mut last = 0;
        eventually(
            || {
                last = self.metric(selector);
                assert!(last <= expected, "{selector} is {last}, beyond {expected}");
                (last == expected).then_some(())
            },
            || format!("{selector} = {expected}: {}", self.metric(selector)),
        );
    }

    /// Waits until a gauge has come down, or a counter up, to where `is_there` wants it. Looks at the shards' metrics.
    pub(crate) fn await_shards(&self, selector: &str, is_there: impl Fn(u64) -> bool) {
        eventually(
            || is_there(self.shard_metrics().sum(selector)).then_some(()),
            || format!("{selector}: {}", self.shard_metrics().sum(selector)),
        );
    }

    /// Sends SIGTERM.
    pub(crate) fn send_sigterm(&self) {
        self.signal("TERM");
    }

    /// Sends SIGKILL.
    pub(crate) fn send_sigkill(&self) {
        self.signal("KILL");
    }

    /// Sends SIGHUP.
    pub(crate) fn send_sighup(&self) {
        self.signal("HUP");
    }

    /// Sends SIGHUP, and waits until it is done with: `outcome` is `done` or `refused`.
    pub(crate) fn reload(&self, outcome: &str) {
        let selector = format!("uproar_reloads_total{{outcome=\"{outcome}\"}}");
        let before = self.metric(&selector);
        self.send_sighup();
        self.await_metric(&selector, before + 1);
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.text.lock().unwrap().clone()
    }

    /// Stops the process where it is, until [`Self::resume`].
    pub(crate) fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // The shell has `kill` built in; there is no safe call for it in the standard library.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits until the server has logged `text`.
    pub(crate) fn await_log(&self, text: &str) {
        self.await_log_times(text, 1);
    }

    /// Waits until the server has logged `text` so many times.
    pub(crate) fn await_log_times(&self, text: &str, times: usize) {
        let log = self.log.text.lock().unwrap();
        let is_missing = |log: &mut String| log.matches(text).count() < times;
        let (log, waited) = self.log.grew.wait_timeout_while(log, DEADLINE, is_missing).unwrap();
        // Whoever reports the failure reads the log.
        drop(log);
        assert!(!waited.timed_out(), "{text:?} was not logged {times} times");
    }

    /// As [`Self::reload`]; what was logged of it, at the level `info`.
    pub(crate) fn reload_and_log(&self, outcome: &str) -> String {
        let event = match outcome {
            "done" => " reload: ",
            _ => " reload_refused: ",
        };
        let before = self.log();
        self.reload(outcome);
        // The last line of a reload.
        self.await_log_times(event, before.matches(event).count() + 1);
        self.log()[before.len()..].to_owned()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> Ended {
        self.send_sigterm();
        self.wait_for_end()
    }

    /// Ends the process without a word to anybody, as a crash does.
    pub(crate) fn kill(mut self) -> Ended {
        self.signal("KILL");
        self.wait_for_end()
    }

    /// Waits until the server says that it is ready; false when it ends instead.
    pub(crate) fn comes_up(&mut self) -> bool {
        loop {
            match self.lines.get_mut().unwrap().recv_timeout(DEADLINE) {
                Ok(line) if line == "ready" => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("the server neither comes up nor ends"),
            }
        }
    }

    /// Waits until the process has ended.
    pub(crate) fn wait_for_end(&mut self) -> Ended {
        let mut drained = None;
        loop {
            match self.lines.get_mut().unwrap().recv_timeout(DEADLINE) {
                Ok(line) => drained = drained.or(drained_line(&line)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the server did not end"),
            }
        }
        // Standard output is closed: the process is as good as gone.
        let code = self.child.wait().unwrap().code();
        self.log_reader.take().unwrap().join().unwrap();
        Ended { code, drained, log: self.log.text.lock().unwrap().clone() }
    }

    fn next_line(&mut self) -> String {
        self.lines.get_mut().unwrap().recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("the server did not come up"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            if let Some(reader) = self.log_reader.take() {
                let _ = reader.join();
            }
            eprintln!("the server's log:\n{}", self.log.text.lock().unwrap());
        }
    }
}

impl Log {
    fn follow(self: Arc<Self>, stderr: impl Read + Send + 'static) -> JoinHandle<()> {
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *self.text.lock().unwrap() += &(line + "\n");
                self.grew.notify_all();
            }
        })
    }
}

fn drained_line(line: &str) -> Option<(u64, u64)> {
    let (reactions, frame_taps) = line.strip_prefix("drained reactions ")?.split_once(" frame_taps ")?;
    Some((reactions.parse().unwrap(), frame_taps.parse().unwrap()))
}
