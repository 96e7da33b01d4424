//! Faults that a test turns on in a running server: see `fault.c`, which is compiled here and preloaded.

use crate::compiler::compile;
use crate::support::Server;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::NamedTempFile;

/// A clock of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clock {
    /// The one that tells the time of day.
    Wall = 0,
    /// The one that only ever goes on.
    Monotonic = 1,
}

/// The faults of one server.
pub(crate) struct Fault {
    control: NamedTempFile,
    launcher: Vec<String>,
}

// The fields of `struct control`.
const WALL_SHIFT_S: u64 = 0;
const BROKEN_CLOCK: u64 = 8;
const DISK_IS_FULL: u64 = 12;
const THREAD: u64 = 16;
const THREAD_LEN: usize = 16;
const STOPS: u64 = THREAD + THREAD_LEN as u64;
const BACKTRACE_STOPS: u64 = STOPS + 4;
const CONTROL_LEN: u64 = BACKTRACE_STOPS + 8;

impl Fault {
    /// None so far.
    pub(crate) fn none() -> Self {
        let control = NamedTempFile::new().unwrap();
        control.as_file().set_len(CONTROL_LEN).unwrap();
        let launcher = vec![
            "/usr/bin/env".to_owned(),
            format!("LD_PRELOAD={}", library().display()),
            format!("FAULT_CONTROL={}", control.path().display()),
        ];
        Self { control, launcher }
    }

    /// What runs a server that has these faults.
    pub(crate) fn launcher(&self) -> Vec<&str> {
        self.launcher.iter().map(String::as_str).collect()
    }

    /// A server that has these faults, once it is ready.
    pub(crate) fn start(&self, args: &[&str]) -> Server {
        Server::start_by(&self.launcher(), args)
    }

    /// From now on the clock that tells the time of day is so many seconds ahead.
    pub(crate) fn shift_wall_clock(&self, ahead_s: i64) {
        self.write(WALL_SHIFT_S, &ahead_s.to_ne_bytes());
    }

    /// The next time that a shard's thread reads this clock, it cannot. The standard library panics at that.
    pub(crate) fn break_clock_once(&self, shard: u8, clock: Clock) {
        self.choose(shard);
        self.write(BROKEN_CLOCK, &(clock as i32 + 1).to_ne_bytes());
    }

    /// A shard's thread stands still for good.
    pub(crate) fn stop_shard(&self, shard: u8) {
        self.choose(shard);
        self.write(STOPS, &1_i32.to_ne_bytes());
    }

    /// A backtrace that is begun from now on never ends.
    pub(crate) fn stop_backtraces(&self) {
        self.write(BACKTRACE_STOPS, &1_i32.to_ne_bytes());
    }

    fn choose(&self, shard: u8) {
        let mut name = format!("shard-{shard}-").into_bytes();
        name.resize(THREAD_LEN, 0);
        self.write(THREAD, &name);
    }

    /// Nothing can be written to files any more.
    pub(crate) fn fill_disk(&self) {
        self.write(DISK_IS_FULL, &1_i32.to_ne_bytes());
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.control.as_file().write_all_at(bytes, at).unwrap();
    }
}

/// The library, compiled once a process.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| compile("fault.c", &["-shared", "-fPIC"].map(String::from), "fault.so"))
}
