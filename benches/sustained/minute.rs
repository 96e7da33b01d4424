//! The long run: second by second, and then the drain's own account.

use crate::pace::{self, Paced};
use crate::process::{self, Appliance};
use crate::sender::Sender;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TAKEN: &str = "uproar_datagrams_total";
const DROPPED: &str = "uproar_socket_drops_total{socket=\"reactions\"}";
/// The appliance looks at its drops at least this often while it is asked.
const DROPS_AGE: Duration = Duration::from_millis(300);

/// Of the rate that was asked for, what a sender must at least have offered.
const OFFERED_PART: f64 = 0.98;

/// One second.
#[derive(Serialize)]
struct Second {
    sent: u64,
    taken: u64,
    dropped: u64,
    /// Of the server's core.
    cpu_percent: f64,
}

/// How it ended.
#[derive(Serialize)]
pub(crate) struct Outcome {
    seconds: Vec<Second>,
    sent: u64,
    taken: u64,
    dropped: u64,
    drained_reactions: u64,
    drained_frame_taps: u64,
    lag_max_ms: f64,
    /// What the sender kept up with.
    offered_per_s: f64,
    asked_per_s: f64,
}

impl Outcome {
    /// What must hold and does not. Drops and a sender that could not keep up are forgiven unless it is strict; taps that
    /// nobody accounts for never are.
    pub(crate) fn broken(&self, is_strict: bool) -> Vec<String> {
        let Self { sent, taken, dropped, drained_reactions: reactions, drained_frame_taps: frame_taps, .. } = *self;
        let mut broken = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                broken.push(what);
            }
        };
        must(!is_strict || dropped == 0, format!("the kernel dropped {dropped} datagrams"));
        let is_offered = self.offered_per_s >= OFFERED_PART * self.asked_per_s;
        must(
            !is_strict || is_offered,
            format!("the sender kept up with {:.0} of {:.0} datagrams/s only", self.offered_per_s, self.asked_per_s),
        );
        must(sent == taken + dropped, format!("{sent} sent, but {taken} taken and {dropped} dropped"));
        must(reactions == taken, format!("{taken} taken, but {reactions} taps counted"));
        must(frame_taps == reactions, format!("{reactions} taps counted, but {frame_taps} in frames"));
        broken
    }
}

/// Sends at `rate` for `time` to an appliance of its own, and has it drain.
pub(crate) fn run(rate: f64, time: Duration, [sending, receiving]: [usize; 2]) -> Outcome {
    let mut appliance = Appliance::start(&["--shards=1"], Some(receiving));
    // The sender's thread inherits it; this thread only looks once a second.
    process::pin(sending);
    let to = appliance.port("reactions");
    let progress = AtomicU64::new(0);
    println!("second      sent     taken  dropped  cpu_percent");
    let (paced, mut seconds) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let tell = |paced: Paced| progress.store(paced.sent, Ordering::Relaxed);
            pace::send(&mut Sender::new(1, false), to, rate, time, tell)
        });
        let mut watch = Watch::start(&appliance);
        let mut seconds = Vec::new();
        while !sending.is_finished() {
            process::wait(Duration::from_secs(1));
            seconds.push(watch.second(&appliance, progress.load(Ordering::Relaxed)));
        }
        (sending.join().expect("the sender ends well"), seconds)
    });
    let Paced { sent, lag_max, took } = paced;
    process::wait(DROPS_AGE);
    let [taken, dropped] = [TAKEN, DROPPED].map(|name| appliance.metric(name));
    let [drained_reactions, drained_frame_taps] = drain(&mut appliance);
    let lag_max_ms = lag_max.as_secs_f64() * 1e3;
    let offered_per_s = sent as f64 / took.max(time).as_secs_f64();
    println!("sent {sent} taken {taken} dropped {dropped}");
    println!("the sender kept up with {offered_per_s:.0}/s; its longest lag: {lag_max_ms:.1} ms");
    println!("drained reactions {drained_reactions} frame_taps {drained_frame_taps}");
    // The last one began after the end of sending, or shortly before.
    if seconds.len() > 1 {
        seconds.pop();
    }
    Outcome {
        seconds,
        sent,
        taken,
        dropped,
        drained_reactions,
        drained_frame_taps,
        lag_max_ms,
        offered_per_s,
        asked_per_s: rate,
    }
}

/// Has the appliance drain; the reactions and the taps in frames that its last line names.
fn drain(appliance: &mut Appliance) -> [u64; 2] {
    appliance.process.terminate();
    let line = appliance.process.line();
    let words: Vec<_> = line.split(' ').collect();
    let ["drained", "reactions", reactions, "frame_taps", frame_taps] = words[..] else {
        panic!("no account of a drain: {line}");
    };
    [reactions, frame_taps].map(|number| number.parse().expect("a number of taps"))
}

/// What was seen last.
struct Watch {
    at: Instant,
    sent: u64,
    taken: u64,
    dropped: u64,
    cpu_ns: u64,
    seconds: usize,
}

#[allow(clippy::disallowed_methods, reason = "seconds are the machine's")]
impl Watch {
    fn start(appliance: &Appliance) -> Self {
        let cpu_ns = appliance.process.cpu_ns();
        Self { at: Instant::now(), sent: 0, taken: 0, dropped: 0, cpu_ns, seconds: 0 }
    }

    /// What has happened since the last time. `taken` and `sent` are not read at one instant.
    fn second(&mut self, appliance: &Appliance, sent: u64) -> Second {
        let [taken, dropped] = [TAKEN, DROPPED].map(|name| appliance.metric(name));
        let now = Self { at: Instant::now(), sent, taken, dropped, cpu_ns: appliance.process.cpu_ns(), seconds: 0 };
        let cpu = (now.cpu_ns - self.cpu_ns) as f64 / (now.at - self.at).as_nanos() as f64;
        let second = Second {
            sent: now.sent - self.sent,
            taken: now.taken - self.taken,
            dropped: now.dropped - self.dropped,
            cpu_percent: cpu * 100.0,
        };
        *self = Self { seconds: self.seconds + 1, ..now };
        println!(
            "{:6}  {:8}  {:8}  {:7}  {:11.1}",
            self.seconds, second.sent, second.taken, second.dropped, second.cpu_percent
        );
        second
    }
}
