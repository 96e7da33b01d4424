//! Those who watch, and count what comes: loadgen's fleet, one thread on a core of its own.
//!
//! Invariant: what a window brought is told once, in the order of windows. Not here: which server, and what its frames
//! cost.

use crate::frame;
use std::net::SocketAddr;
use std::time::Duration;
use uproar_loadgen::fleet::{Fleet, FleetConfig, WindowArrivals};

/// Longer than servers are stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Subscribers on their way at a time.
const CONNECTING_MAX: usize = 256;

/// A crowd in front of one server.
pub(crate) struct Subscribers {
    fleet: Fleet,
}

impl Subscribers {
    /// Connects so many to `server`, from `core`, and waits until all of them are welcome.
    ///
    /// # Panics
    /// When one is not, or after `timeout`.
    pub(crate) fn start(server: SocketAddr, subscribers: usize, core: usize, timeout: Duration) -> Self {
        let config = FleetConfig {
            connecting_max: CONNECTING_MAX,
            core: Some(core),
            idle_timeout: IDLE_TIMEOUT,
            // A server that is stopped answers nobody.
            keep_alive: None,
            ..FleetConfig::new(server, vec![frame::ROOM], subscribers)
        };
        let fleet = Fleet::start(config).expect("the kernel gives sockets, a ring and a thread");
        fleet.wait_subscribed(timeout).unwrap_or_else(|error| panic!("{error}"));
        Self { fleet }
    }

    /// The next window; none if nothing came until `timeout`.
    pub(crate) fn next_window(&self, timeout: Duration) -> Option<WindowArrivals> {
        self.fleet.next_window(timeout)
    }

    /// Passes over the windows that came while nobody asked.
    pub(crate) fn forget(&self) {
        while self.fleet.next_window(Duration::ZERO).is_some() {}
    }
}
