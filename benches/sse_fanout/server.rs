//! A server that events come from: the appliance, nginx with nchan, or the floor.
//!
//! Invariant: it delivers one event a window, and is stopped while it is not its turn. Not here: who reads.

use crate::floor::Floor;
use crate::message;
use crate::nchan::{self, Nchan};
use crate::process::{Appliance, Process};
use crate::window;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};

/// Connections beyond those that are expected.
const SPARE_CONNECTIONS: usize = 64;

/// One server.
pub(crate) enum Server {
    Appliance { appliance: Appliance, tapping: UdpSocket },
    Nchan { nchan: Nchan, window_ms: u64 },
    Floor(Floor),
}

impl Server {
    /// The appliance, with the room that is there without a configuration.
    pub(crate) fn appliance(connections: usize, window_ms: u64, core: usize) -> Self {
        let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
        let most = connections + SPARE_CONNECTIONS;
        write!(
            config,
            "window = \"{window_ms}ms\"\n[http]\nconnections_max = {most}\nstreams_max = {most}\n\
             connections_per_address_max = {most}\nstream_heartbeat = \"10m\"\n"
        )
        .expect("it takes text");
        let flag = format!("--config={}", config.path().display());
        let appliance = Appliance::start(&["--shards=1", &flag], Some(core));
        let tapping = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        tapping.connect(appliance.port("reactions")).expect("loopback is there");
        Self::Appliance { appliance, tapping }
    }

    /// nginx with nchan, where it is installed.
    pub(crate) fn nchan(connections: usize, event_bytes: usize, window_ms: u64, core: usize) -> Option<Self> {
        let nchan = Nchan::start(connections, event_bytes, core)?;
        Some(Self::Nchan { nchan, window_ms })
    }

    /// As the messages of the bench call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Appliance { .. } => "the appliance",
            Self::Nchan { .. } => "nchan",
            Self::Floor(_) => "the floor",
        }
    }

    /// Where streams are asked for.
    pub(crate) fn stream(&self) -> (SocketAddr, String) {
        match self {
            Self::Appliance { appliance, .. } => {
                (appliance.port("http"), format!("/v1/rooms/{}/stream", message::ROOM.0))
            }
            Self::Nchan { nchan, .. } => (nchan.port, nchan::PATH.to_owned()),
            Self::Floor(floor) => (floor.port, "/".to_owned()),
        }
    }

    /// The process itself.
    pub(crate) fn process(&self) -> &Process {
        match self {
            Self::Appliance { appliance, .. } => &appliance.process,
            Self::Nchan { nchan, .. } => &nchan.process,
            Self::Floor(floor) => &floor.process,
        }
    }

    /// Has the next window bring an event. The floor sees to that by itself.
    pub(crate) fn prepare_window(&mut self) {
        match self {
            Self::Appliance { tapping, .. } => {
                tapping.send(&message::taps()).expect("the appliance listens");
            }
            Self::Nchan { nchan, window_ms } => {
                window::wait_for_next(*window_ms);
                nchan.publish();
            }
            Self::Floor(_) => {}
        }
    }
}
