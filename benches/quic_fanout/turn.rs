//! One contestant's turn: it goes on, comes into its usual state, and delivers some windows that count.
//!
//! Invariant: CPU time is read while the process sleeps between windows, and is divided by what arrived, not by what was
//! sent. Whoever loses more than a hundredth has no figure. Not here: whose turn it is.

use crate::floor::Floor;
use crate::frame;
use crate::process;
use crate::server::Server;
use crate::subscribers::Subscribers;
use std::time::Duration;

/// Windows before those that count, each of them whole.
const WARM_UP: u32 = 2;
/// Windows that a contestant may take to come into its usual state.
const WARM_UP_MAX: u32 = 20;
/// For the last acknowledgements, which wait at their senders for 25 ms, and for falling asleep.
const SETTLE: Duration = Duration::from_millis(60);
/// Longer than any window takes.
const WINDOW_TIMEOUT: Duration = Duration::from_secs(20);
/// Part that may be lost.
const LOSS_MAX: f64 = 0.01;

/// What windows brought.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Turn {
    /// None when too much was lost.
    pub(crate) cpu_us_frame: Option<f64>,
    /// First to last arrival, mean of its windows; not of the floor.
    pub(crate) spread_ms: f64,
}

/// What counts of several windows.
#[derive(Default)]
struct Sum {
    delivered: u64,
    lost: u64,
    spread: Duration,
}

impl Sum {
    fn turn(&self, name: &str, cpu_ns: u64, windows: u32) -> Turn {
        let all = self.delivered + self.lost;
        let is_lossy = self.lost as f64 > all as f64 * LOSS_MAX;
        if self.lost > 0 {
            let verdict = if is_lossy { ": no figure" } else { "" };
            eprintln!("{name}: {} of {all} lost{verdict}", self.lost);
        }
        let cpu_us_frame = (!is_lossy).then(|| cpu_ns as f64 / 1e3 / self.delivered as f64);
        Turn { cpu_us_frame, spread_ms: self.spread.as_secs_f64() * 1e3 / f64::from(windows) }
    }
}

/// A server, and those who watch it.
pub(crate) struct Watched {
    pub(crate) server: Server,
    subscribers: Subscribers,
}

/// What connecting took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    pub(crate) cpu_ns: u64,
    /// Frames that were delivered meanwhile, where somebody counts them.
    pub(crate) frames: u64,
    /// Before, and when all watched.
    pub(crate) rss_bytes: [u64; 2],
}

impl Watched {
    /// Connects so many subscribers, from `core`; the server is stopped then.
    pub(crate) fn start(server: Server, subscribers: usize, core: usize) -> (Self, Connected) {
        process::pin(core);
        process::wait(SETTLE);
        let process = server.process();
        let (before_ns, before_bytes) = (process.cpu_ns(), process.rss_bytes());
        // A hundred handshakes a second, even where other work is on the machine.
        let timeout = Duration::from_secs(20 + subscribers as u64 / 100);
        let crowd = Subscribers::start(server.quic(), subscribers, core, timeout);
        let cpu_ns = process.cpu_ns() - before_ns;
        let frames = server.frames_sent().unwrap_or(0);
        let watched = Self { server, subscribers: crowd };
        watched.warm_up();
        let rss_bytes = [before_bytes, watched.server.process().rss_bytes()];
        watched.server.process().stop();
        (watched, Connected { cpu_ns, frames, rss_bytes })
    }

    /// Takes a turn of so many windows.
    pub(crate) fn take_turn(&self, windows: u32) -> Turn {
        self.server.process().resume();
        self.warm_up();
        let emoji = self.server.newest_frame_emoji();
        assert!(emoji == usize::from(frame::EMOJI), "a frame of {emoji} emoji has not its size");
        process::wait(SETTLE);
        let before_ns = self.server.process().cpu_ns();
        let sum = self.deliver(windows);
        process::wait(SETTLE);
        let cpu_ns = self.server.process().cpu_ns() - before_ns;
        self.server.process().stop();
        sum.turn(self.server.name(), cpu_ns, windows)
    }

    fn deliver(&self, windows: u32) -> Sum {
        let mut sum = Sum::default();
        for _ in 0..windows {
            self.server.tap();
            let arrivals = self.subscribers.next_window(WINDOW_TIMEOUT).expect("frames come");
            sum.delivered += arrivals.frames;
            sum.lost += arrivals.missing;
            sum.spread += arrivals.spread();
        }
        sum
    }

    /// Until so many windows in a row have been whole.
    fn warm_up(&self) {
        self.subscribers.forget();
        let mut whole = 0;
        for _ in 0..WARM_UP_MAX {
            whole = if self.deliver(1).lost == 0 { whole + 1 } else { 0 };
            if whole == WARM_UP {
                return;
            }
        }
        eprintln!("{}: some frames are missing in every window", self.server.name());
    }
}

/// The floor takes a turn of so many windows.
pub(crate) fn of_floor(floor: &mut Floor, windows: u32) -> Turn {
    floor.process().resume();
    for _ in 0..WARM_UP {
        floor.next_burst();
    }
    process::wait(SETTLE);
    let before_ns = floor.process().cpu_ns();
    let mut sum = Sum::default();
    for _ in 0..windows {
        let burst = floor.next_burst();
        sum.delivered += burst.acknowledged;
        sum.lost += burst.sent - burst.acknowledged;
    }
    process::wait(SETTLE);
    let cpu_ns = floor.process().cpu_ns() - before_ns;
    floor.process().stop();
    sum.turn("the floor", cpu_ns, windows)
}
