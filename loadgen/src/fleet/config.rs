//! What a fleet is to be: whom it watches, how many it is, and what it permits the server.
//!
//! Invariant: a configuration that [`FleetConfig::check`] lets pass can be started, if the kernel has the memory.

use super::Seating;
use std::net::SocketAddr;
use std::time::Duration;
use uproar_client::Trust;
use uproar_wire::RoomId;

/// Subscribers of one fleet at most: each has an address of 127.0.0.0/8.
pub const SUBSCRIBERS_MAX: usize = 16_000_000;

/// The fleet to start.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The appliance's QUIC port.
    pub server: SocketAddr,
    /// Name the server's certificate is asked for.
    pub server_name: String,
    /// Which servers are believed.
    pub trust: Trust,
    /// Who watches what.
    pub seating: Seating,
    /// How many there are, at most [`SUBSCRIBERS_MAX`].
    pub subscribers: usize,
    /// How many of them, from the first on, connect at the start. The others wait for [`Fleet::join`](super::Fleet::join).
    pub present: usize,
    /// Subscribers on their way at a time, from first packet to palette.
    pub connecting_max: usize,
    /// The core that the thread stays on.
    pub core: Option<usize>,
    /// Whether handshakes resume earlier sessions.
    pub resume: bool,
    /// How long a silent server is believed to be there.
    pub idle_timeout: Duration,
    /// How often to speak when nothing is to be said. Frames are acknowledged, which is enough where there are any.
    pub keep_alive: Option<Duration>,
    /// Bytes that a room's stream may run ahead of its reader: how much a paused subscriber takes before it holds the
    /// server up.
    pub stream_window_bytes: u32,
}

impl FleetConfig {
    /// `subscribers`, each of all `rooms`, all present; any certificate believed, as is right for loopback only; 256 on
    /// their way at a time, no core, full handshakes, idle time-out 60 s, no keep-alive, windows of 64 KiB.
    pub fn new(server: SocketAddr, rooms: Vec<RoomId>, subscribers: usize) -> Self {
        Self {
            server,
            server_name: "localhost".to_owned(),
            trust: Trust::DangerAnyCertificate,
            seating: Seating::All(rooms),
            subscribers,
            present: subscribers,
            connecting_max: 256,
            core: None,
            resume: false,
            idle_timeout: Duration::from_secs(60),
            keep_alive: None,
            stream_window_bytes: 64 * 1024,
        }
    }

    /// As [`Self::new`], with so many subscribers of each room, who watch no other.
    pub fn one_each(server: SocketAddr, rooms: Vec<(RoomId, u32)>) -> Self {
        let subscribers = rooms.iter().map(|&(_, subscribers)| subscribers as usize).sum();
        Self { seating: Seating::OneEach(rooms), ..Self::new(server, Vec::new(), subscribers) }
    }

    /// Whether such a fleet can be.
    ///
    /// # Errors
    /// Says which value is out of range, and what the range is.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=SUBSCRIBERS_MAX).contains(&self.subscribers) {
            return Err(format!("a fleet has 1 to {SUBSCRIBERS_MAX} subscribers, not {}", self.subscribers));
        }
        if self.present > self.subscribers {
            return Err(format!("{} of {} subscribers cannot be present", self.present, self.subscribers));
        }
        if self.connecting_max == 0 {
            return Err("nobody may connect: `connecting_max` is 0".to_owned());
        }
        self.seating.check(self.subscribers)
    }
}
