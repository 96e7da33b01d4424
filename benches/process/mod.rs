//! A process that a bench measures from outside: its CPU time, and for the appliance its ports and its metrics.
//!
//! CPU time, not elapsed time: it says what the work costs also on a machine that does other things, and it counts the
//! kernel's part on behalf of the process. Not here: what the process is made to do.

#![allow(dead_code, reason = "each bench is its own crate and uses its part of this file")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A child process; ends with this value.
pub(crate) struct Process {
    child: Child,
    /// Its standard output, line by line.
    lines: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `program`; with a core, all its threads stay there, and the calling thread moves there too.
    pub(crate) fn start(program: impl AsRef<OsStr>, args: &[&str], core: Option<usize>) -> Self {
        if let Some(core) = core {
            pin(core);
        }
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        end_with_this_thread(&mut command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("the measured process starts: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap_or_else(|| unreachable!("it was asked for")));
        Self { child, lines }
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the output is text");
        assert!(!line.is_empty(), "the measured process ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// Stops all its threads where they are, until [`Self::resume`]. They are stopped when this returns.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        self.wait_until_stopped();
    }

    #[allow(unsafe_code, reason = "the standard library only waits for the end of a child")]
    fn wait_until_stopped(&self) {
        // SAFETY: a plain structure of the kernel's interface, for which zeroes are valid.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // The end of the child is left to be waited for by its owner.
        let options = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is writable memory of the right type.
        while unsafe { libc::waitid(libc::P_PID, self.child.id(), &raw mut info, options) } < 0 {
            let error = std::io::Error::last_os_error();
            assert!(error.kind() == std::io::ErrorKind::Interrupted, "{error}");
        }
        assert!(info.si_code == libc::CLD_STOPPED, "the measured process ended");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Asks it to end as an operator would.
    pub(crate) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    #[allow(unsafe_code, reason = "the standard library can only kill")]
    fn signal(&self, number: libc::c_int) {
        // SAFETY: no pointers; the child has not been waited for, so its id is still its own.
        let failed = unsafe { libc::kill(self.child.id() as libc::pid_t, number) } < 0;
        assert!(!failed, "{}", std::io::Error::last_os_error());
    }

    /// Whether it has ended on its own.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// CPU time of all its threads so far, in nanoseconds. Exact while they sleep.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process runs");
        tasks.map(|task| running_ns(&task.expect("its threads stay").path().join("schedstat"))).sum()
    }

    /// Bytes of its memory that are in RAM.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let mut fields = status.lines().filter_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        1024 * fields.next().and_then(|kib| kib.parse::<u64>().ok()).expect("the kernel knows its memory")
    }
}

/// Has the kernel end the command when this thread does, which may be ended by a signal and then drops nothing.
#[allow(unsafe_code, reason = "the standard library does not know this wish")]
fn end_with_this_thread(command: &mut Command) {
    let wish = || {
        // SAFETY: a system call without pointers.
        let failed = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0;
        if failed { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec it makes one system call, and allocates nothing.
    unsafe { command.pre_exec(wish) };
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The appliance, on loopback, on ports that the kernel chose.
pub(crate) struct Appliance {
    /// The process itself.
    pub(crate) process: Process,
    ports: BTreeMap<String, SocketAddr>,
}

impl Appliance {
    /// Starts the real binary with `args` and waits until it serves.
    pub(crate) fn start(args: &[&str], core: Option<usize>) -> Self {
        let anywhere = ["--reactions", "--quic", "--http", "--admin"].map(|flag| format!("{flag}=127.0.0.1:0"));
        let mut all = vec!["serve", "--log=error"];
        all.extend(anywhere.iter().map(String::as_str));
        all.extend(args);
        let mut process = Process::start(env!("CARGO_BIN_EXE_uproar"), &all, core);
        let mut ports = BTreeMap::new();
        loop {
            let line = process.line();
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["listening", what, address] => {
                    ports.insert(what.to_owned(), address.parse().expect("an address"));
                }
                ["ready"] => return Self { process, ports },
                _ => panic!("neither an address nor ready: {line}"),
            }
        }
    }

    /// The address of a port, by the name that the appliance gives it.
    pub(crate) fn port(&self, what: &str) -> SocketAddr {
        self.ports[what]
    }

    /// A series, with its labels if it has any, as it is now.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.scrape();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        values.next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
    }

    fn scrape(&self) -> String {
        let mut admin = TcpStream::connect(self.port("admin")).expect("the admin port answers");
        admin.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a timeout");
        admin
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("the admin port reads");
        let mut text = String::new();
        admin.read_to_string(&mut text).expect("the admin port answers in text");
        text
    }
}

/// Writes the rows of a bench to a file.
pub(crate) fn write_json(file: &str, report: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(report).expect("numbers have a JSON form");
    std::fs::write(file, text + "\n").unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// The cores that this process may use, first to last.
pub(crate) fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// CPU time of the calling thread so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    running_ns("/proc/thread-self/schedstat".as_ref())
}

fn running_ns(schedstat: &Path) -> u64 {
    let text = std::fs::read_to_string(schedstat).expect("the kernel keeps scheduler statistics");
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.expect("the first number is the time on a core")
}

/// Keeps the calling thread, and the processes that it starts, on `core`.
pub(crate) fn pin(core: usize) {
    assert!(core_affinity::set_for_current(core_affinity::CoreId { id: core }), "core {core} can be used");
}

/// Lets time pass for the measured process.
#[allow(clippy::disallowed_methods, reason = "a bench waits for others; it serves nobody")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "a median needs a value");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Raises the limit of open files of this process, and of those that it starts, to `wanted` or as far as it may; where
/// it is then.
#[allow(unsafe_code, reason = "the standard library knows no limits")]
pub(crate) fn allow_open_files(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit, which the call writes.
    assert!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0, "there is a limit");
    let hard = limit.rlim_max;
    for hard in [hard.max(wanted as u64), hard] {
        limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: `limit` is a whole rlimit, which the call reads. Only some may raise the hard limit.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
            break;
        }
    }
    limit.rlim_cur as usize
}
