//! What the supervisor of the process is told, systemd or one that speaks like it: sd_notify(3).
//!
//! Invariant: without `NOTIFY_SOCKET` in the environment nothing happens; a supervisor that does not listen harms nobody.
//! Only the main thread tells, as it may wait.

use sd_notify::NotifyState;
use std::time::Duration;

/// Tells the supervisor how the process is.
#[derive(Debug, Default)]
pub struct Notifier {
    has_failed: bool,
}

impl Notifier {
    /// It serves, in these words.
    pub fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// It reads its configuration again; [`Self::ready`] ends that.
    pub fn reloading(&mut self) {
        let Ok(now) = NotifyState::monotonic_usec_now() else { return };
        self.tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]);
    }

    /// It drains, which takes so long at most.
    pub fn stopping(&mut self, longest: Duration) {
        let longest_us = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(longest_us),
            NotifyState::Status("draining: subscribers are sent away and the last frames go out"),
        ]);
    }

    /// Every shard's loop turns.
    pub fn beat(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    fn tell(&mut self, states: &[NotifyState<'_>]) {
        // Said once: a supervisor that is deaf stays so.
        if let Err(error) = sd_notify::notify(states)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            tracing::warn!("the supervisor at NOTIFY_SOCKET cannot be told how the server is: {error}");
        }
    }
}

/// How often the supervisor wants to hear of [`Notifier::beat`] at least, if it does.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}
