//! One contestant's turn: it goes on, comes into its usual state, and delivers some windows that count.
//!
//! Invariant: CPU time is read while the process sleeps between windows, and is divided by the events that were read whole,
//! each of the length that all contestants' have. Whoever loses more than a hundredth has no figure. Not here: whose turn
//! it is.

#![allow(clippy::disallowed_methods, reason = "a bench is the clock's business from end to end")]

use crate::events::Readers;
use crate::message;
use crate::process;
use crate::server::Server;
use std::time::{Duration, Instant};

/// Windows before those that count, each of them whole.
const WARM_UP: u32 = 2;
/// Windows that a contestant may take to come into its usual state.
const WARM_UP_MAX: u32 = 20;
/// For falling asleep.
const SETTLE: Duration = Duration::from_millis(60);
/// Longer than any window takes.
const WINDOW_TIMEOUT: Duration = Duration::from_secs(20);
/// Part that may be lost.
const LOSS_MAX: f64 = 0.01;

/// What windows brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// None when too much was lost.
    pub(crate) cpu_us_event: Option<f64>,
    /// First to last arrival, mean of its windows.
    pub(crate) spread_ms: f64,
}

/// What counts of several windows.
#[derive(Default)]
struct Sum {
    delivered: u64,
    bytes: u64,
    lost: u64,
    spread: Duration,
}

/// A server, and those who read.
pub(crate) struct Watched {
    /// They go before the server does.
    readers: Readers,
    server: Server,
    rss_bytes: [u64; 2],
}

impl Watched {
    /// Connects so many readers, from `core`; the server is stopped then.
    pub(crate) fn start(server: Server, connections: usize, core: usize) -> Self {
        process::pin(core);
        process::wait(SETTLE);
        let before_bytes = server.process().rss_bytes();
        let (port, path) = server.stream();
        let readers = Readers::connect(port, &path, connections);
        let mut watched = Self { readers, server, rss_bytes: [before_bytes; 2] };
        watched.warm_up();
        watched.rss_bytes[1] = watched.server.process().rss_bytes();
        watched.server.process().stop();
        watched
    }

    /// Memory of the server before the connections came, and when all were there.
    pub(crate) fn rss_bytes(&self) -> [u64; 2] {
        self.rss_bytes
    }

    /// The length of an event, with the empty line at its end.
    pub(crate) fn event_bytes(&mut self) -> usize {
        self.server.process().resume();
        self.warm_up();
        let sum = self.deliver(1);
        self.server.process().stop();
        assert!(sum.delivered > 0 && sum.bytes.is_multiple_of(sum.delivered), "events of different lengths");
        (sum.bytes / sum.delivered) as usize
    }

    /// Takes a turn of so many windows.
    pub(crate) fn take_turn(&mut self, windows: u32, event_bytes: usize) -> Turn {
        self.server.process().resume();
        self.warm_up();
        process::wait(SETTLE);
        let before_ns = self.server.process().cpu_ns();
        let sum = self.deliver(windows);
        process::wait(SETTLE);
        let cpu_ns = self.server.process().cpu_ns() - before_ns;
        self.server.process().stop();
        assert!(self.readers.ended() == 0, "{} connections were ended", self.readers.ended());
        let (name, bytes) = (self.server.name(), sum.delivered * event_bytes as u64);
        assert!(sum.bytes == bytes, "{name}: {} bytes in {} events of {event_bytes}", sum.bytes, sum.delivered);
        sum.turn(name, cpu_ns, windows)
    }

    /// Until so many windows in a row have been whole.
    fn warm_up(&mut self) {
        let mut whole = 0;
        for _ in 0..WARM_UP_MAX {
            whole = if self.deliver(1).lost == 0 { whole + 1 } else { 0 };
            if whole == WARM_UP {
                return;
            }
        }
        eprintln!("{}: some events are missing in every window", self.server.name());
    }

    /// So many windows; whoever has read an event of each has all.
    fn deliver(&mut self, windows: u32) -> Sum {
        // What came before is nobody's.
        while self.readers.look(|_, _| {}) > 0 {}
        let mut sum = Sum::default();
        let mut seen = vec![0_u32; self.readers.len()];
        for window in 1..=windows {
            self.server.prepare_window();
            sum.spread += self.read_window(window, &mut seen, &mut sum.bytes);
        }
        sum.delivered = seen.iter().map(|&events| u64::from(events)).sum();
        sum.lost = seen.iter().map(|&events| u64::from(windows.saturating_sub(events))).sum();
        sum
    }

    /// Until everybody has seen as many events as windows have been; from the first arrival to the last.
    fn read_window(&mut self, window: u32, seen: &mut [u32], bytes: &mut u64) -> Duration {
        let began = Instant::now();
        let (mut first, mut last) = (None, began);
        let missing = std::cell::Cell::new(seen.iter().filter(|&&events| events < window).count());
        let tell = |at: usize, event: &[u8]| {
            if message::is_frame(event) {
                last = Instant::now();
                first.get_or_insert(last);
                seen[at] += 1;
                *bytes += (event.len() + message::END_LEN) as u64;
                missing.set(missing.get() - usize::from(seen[at] == window));
            }
        };
        self.readers.read_while(|| missing.get() > 0 && began.elapsed() < WINDOW_TIMEOUT, tell);
        last - first.unwrap_or(last)
    }
}

impl Sum {
    fn turn(&self, name: &str, cpu_ns: u64, windows: u32) -> Turn {
        let all = self.delivered + self.lost;
        let is_lossy = self.lost as f64 > all as f64 * LOSS_MAX;
        if self.lost > 0 {
            let verdict = if is_lossy { ": no figure" } else { "" };
            eprintln!("{name}: {} of {all} lost{verdict}", self.lost);
        }
        let cpu_us_event = (!is_lossy).then(|| cpu_ns as f64 / 1e3 / self.delivered as f64);
        Turn { cpu_us_event, spread_ms: self.spread.as_secs_f64() * 1e3 / f64::from(windows) }
    }
}
