//! A signal that asks the program to end: the first one ends what is under way in order, another one but SIGHUP ends the
//! process at once.
//!
//! Invariant: a signal that was ignored when the program started stays ignored, so that `nohup` and jobs in the background
//! keep what they were promised. Deliberately not here: what ending in order means, which is each command's own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long a thread that sleeps may not see that it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The signals that ask for the end.
const SIGNALS: [(&str, SignalKind); 3] =
    [("SIGINT", SignalKind::interrupt()), ("SIGTERM", SignalKind::terminate()), ("SIGHUP", SignalKind::hangup())];

/// Whether the end was asked for, and by what. Shared by its clones.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<watch::Sender<Option<&'static str>>>);

impl Default for Interrupt {
    /// One that only [`Self::raise`] raises.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Interrupt {
    /// Raised by the first signal. Another SIGINT or SIGTERM ends the process with 128 and the number of the signal, as a shell
    /// shows a process that a signal ended.
    ///
    /// # Errors
    /// When the kernel gives no thread, or no handler of signals.
    pub fn by_signals() -> io::Result<Self> {
        let raised = Self::default();
        let ours = raised.clone();
        // A thread of its own: whatever keeps the others busy does not keep the second signal waiting.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut signals = {
            let _entered = runtime.enter();
            Signals::listen()?
        };
        let hear = async move {
            let (name, _) = signals.next().await;
            ours.raise(name);
            loop {
                let (_, kind) = signals.next().await;
                // The kernel sends it when a terminal is closed, and a shell sends it again.
                if kind != SignalKind::hangup() {
                    std::process::exit(128 + kind.as_raw_value());
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(hear))?;
        Ok(raised)
    }

    /// Asks for the end, by the name of what asks.
    pub fn raise(&self, by: &'static str) {
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(by);
            is_first
        });
    }

    /// What asked for the end, if anything has.
    pub fn by(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Whether the end was asked for.
    pub fn is_raised(&self) -> bool {
        self.by().is_some()
    }

    /// Waits until the end is asked for.
    pub async fn wait(&self) {
        // The sender is this one, so that there is no other end of waiting.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Sleeps until `moment`, or little longer than until the end is asked for.
    pub fn sleep_until(&self, moment: Instant) {
        while !self.is_raised() {
            let left = moment.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(LOOK_EVERY));
            if left <= LOOK_EVERY {
                return;
            }
        }
    }
}

/// Those that are heard.
struct Signals([Option<Signal>; SIGNALS.len()]);

impl Signals {
    fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let mut heard = [const { None }; SIGNALS.len()];
        for (place, (_, kind)) in heard.iter_mut().zip(SIGNALS) {
            if !is_in(ignored, kind.as_raw_value()) {
                *place = Some(signal(kind)?);
            }
        }
        Ok(Self(heard))
    }

    async fn next(&mut self) -> (&'static str, SignalKind) {
        let [interrupt, terminate, hangup] = &mut self.0;
        let place = tokio::select! {
            () = received(interrupt) => 0,
            () = received(terminate) => 1,
            () = received(hangup) => 2,
        };
        SIGNALS[place]
    }
}

async fn received(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The signals that this process was started to ignore, a bit each; none where the kernel does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask(&status, "SigIgn:")
}

fn mask(status: &str, field: &str) -> u64 {
    let text = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    u64::from_str_radix(text.trim(), 16).unwrap_or(0)
}

/// Signals are numbered from 1.
fn is_in(mask: u64, signal: i32) -> bool {
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_ignored_signals_is_read() {
        // As of a program that nohup started: SIGHUP, and SIGPIPE as every program of Rust.
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        let ignored = mask(status, "SigIgn:");
        assert!(is_in(ignored, 1) && is_in(ignored, 13) && !is_in(ignored, 2) && !is_in(ignored, 15));
        assert_eq!(mask("", "SigIgn:"), 0);
    }

    #[tokio::test]
    async fn the_first_to_ask_is_remembered_and_everybody_hears_of_it() {
        let interrupt = Interrupt::default();
        let other = interrupt.clone();
        assert!(!other.is_raised());
        interrupt.raise("SIGTERM");
        interrupt.raise("SIGINT");
        other.wait().await;
        assert_eq!(other.by(), Some("SIGTERM"));
    }

    #[test]
    fn who_sleeps_is_woken() {
        let interrupt = Interrupt::default();
        let sleeper = interrupt.clone();
        let thread = std::thread::spawn(move || sleeper.sleep_until(Instant::now() + Duration::from_secs(86_400)));
        interrupt.raise("SIGINT");
        thread.join().unwrap();
        let over = Instant::now();
        Interrupt::default().sleep_until(over);
    }
}
