//! What the kernel's receive path costs a datagram: its time in soft interrupts, which is where it carries packets up to
//! their sockets, also within a call that sends over loopback.
//!
//! The kernel samples this at the ticks of its clock. A sender that keeps a pace of its own keeps in step with them and is
//! seen always or never, so the path is measured beside one that sends without a pause, and taken to cost the same
//! elsewhere. That is too little rather than too much: waking a server that sleeps belongs to the path too.

use std::time::Instant;

/// A stretch of time on one core.
pub(crate) struct ReceivePath {
    core: usize,
    begins: Instant,
    before: Ticks,
}

/// Ticks of a core so far.
struct Ticks {
    softirq: u64,
    all: u64,
}

#[allow(clippy::disallowed_methods, reason = "ticks are a part of the time that went by")]
impl ReceivePath {
    /// From now on.
    pub(crate) fn begin(core: usize) -> Self {
        Self { core, begins: Instant::now(), before: Ticks::read(core) }
    }

    /// The core's time in the receive path since then, in nanoseconds, whoever it was for.
    pub(crate) fn cpu_ns(&self) -> f64 {
        let (now, time_ns) = (Ticks::read(self.core), self.begins.elapsed().as_nanos() as f64);
        time_ns * (now.softirq - self.before.softirq) as f64 / (now.all - self.before.all).max(1) as f64
    }
}

impl Ticks {
    fn read(core: usize) -> Self {
        let stat = std::fs::read_to_string("/proc/stat").expect("the kernel counts its time");
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name)).expect("the core has a line");
        let ticks: Vec<u64> = line.split_whitespace().map(|ticks| ticks.parse().expect("a number of ticks")).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
        Self { softirq: ticks[6], all: ticks[..8].iter().sum() }
    }
}
