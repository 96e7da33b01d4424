//! Processes of the program: the server of the tests is one too, by its hidden subcommand.
//!
//! Invariant: no process outlives its handle, and nothing waits without a limit that is far beyond what a busy machine needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up_at = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < give_up_at, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The program with arguments, and with signals as a terminal leaves them: a shell in the background has SIGINT ignored.
pub(crate) fn loadgen(args: &[&str]) -> Command {
    launched(&["--default-signal=INT,HUP,TERM"], args)
}

/// The same, with flags of env(1).
pub(crate) fn launched(env: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.args(env).arg(env!("CARGO_BIN_EXE_uproar-loadgen")).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a process writes, as it writes it.
#[derive(Clone, Default)]
struct Heard(Arc<(Mutex<String>, Condvar)>);

impl Heard {
    fn follow(self, from: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                *self.0.0.lock().unwrap() += &(line + "\n");
                self.0.1.notify_all();
            }
        })
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().clone()
    }

    fn wait_for(&self, text: &str) {
        let heard = self.0.0.lock().unwrap();
        let (heard, waited) = self.0.1.wait_timeout_while(heard, DEADLINE, |heard| !heard.contains(text)).unwrap();
        assert!(!waited.timed_out(), "no {text:?} in\n{heard}");
    }
}

/// A running process.
pub(crate) struct Running {
    child: Child,
    out: Heard,
    err: Heard,
    readers: Vec<std::thread::JoinHandle<()>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (out, err) = (Heard::default(), Heard::default());
        let stdout = child.stdout.take().map(|from| out.clone().follow(from));
        let stderr = child.stderr.take().map(|from| err.clone().follow(from));
        Self { child, out, err, readers: stdout.into_iter().chain(stderr).collect() }
    }

    /// Standard output and standard error, for a test that reads them itself, or does not.
    pub(crate) fn unread(mut command: Command) -> (Self, ChildStdout, ChildStderr) {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        (Self { child, out: Heard::default(), err: Heard::default(), readers: Vec::new() }, stdout, stderr)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn await_out(&self, text: &str) {
        self.out.wait_for(text);
    }

    pub(crate) fn await_err(&self, text: &str) {
        self.err.wait_for(text);
    }

    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub(crate) fn wait(mut self) -> Ended {
        let status = eventually("the process ends", || self.child.try_wait().unwrap());
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        Ended { status, out: self.out.text(), err: self.err.text() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    // The shell has `kill` built in; there is no safe call for it in the standard library.
    let kill = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

/// Processes that a process has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether it has ended, also when nobody has asked how.
pub(crate) fn is_gone(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

/// A server on free ports of loopback.
pub(crate) struct Server {
    running: Running,
    pub(crate) reactions: SocketAddr,
    pub(crate) quic: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    /// With its QUIC port there.
    pub(crate) fn at(quic: &str) -> Self {
        let serve = ["appliance", "--", "uproar", "serve", "--shards", "1", "--window", "500ms", "--quic", quic];
        let rest = ["--reactions", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let running = Running::start(loadgen(&[&serve[..], &rest].concat()));
        running.await_out("ready\n");
        let out = running.out();
        let port = |name: &str| {
            let line = format!("listening {name} ");
            let address = out.lines().find_map(|text| text.strip_prefix(&line)).unwrap();
            address.parse().unwrap()
        };
        let [reactions, quic, http, admin] = ["reactions", "quic", "http", "admin"].map(port);
        Self { running, reactions, quic, http, admin }
    }

    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    pub(crate) fn kill(self) {
        self.signal("KILL");
        let ended = self.running.wait();
        assert_eq!(ended.status.signal(), Some(9));
    }

    /// The body of what its admin port answers.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let admin = self.admin;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The sum of a metric's samples that have all of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let page = self.get("/metrics");
        let samples = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
                && labels.iter().all(|label| line.contains(label))
        });
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }

    /// Waits until some taps were counted.
    pub(crate) fn await_taps(&self) {
        eventually("taps are counted", || (self.metric("uproar_reactions_total", &[]) > 0).then_some(()));
    }

    /// Waits until every QUIC connection has ended because its peer said so.
    pub(crate) fn await_goodbyes(&self) {
        let quic = |outcome: &str| {
            self.metric("uproar_connections_total", &["proto=\"quic\"", &format!("outcome=\"{outcome}\"")])
        };
        eventually("all connections say goodbye", || {
            (quic("accepted") > 0 && quic("done") == quic("accepted")).then_some(())
        });
    }

    /// Flags that name its ports.
    pub(crate) fn flags(&self) -> Vec<String> {
        let ports = [("reactions", self.reactions), ("http", self.http), ("admin", self.admin), ("quic", self.quic)];
        // Its name instead of its address.
        ports.iter().map(|(flag, address)| format!("--{flag}=localhost:{}", address.port())).collect()
    }
}
