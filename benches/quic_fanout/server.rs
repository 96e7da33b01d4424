//! A server that frames come from: the appliance, or the obvious way.
//!
//! Invariant: it delivers one frame of [`frame`]'s size a window, and is stopped while it is not its turn. Not here: who
//! watches.

use crate::frame;
use crate::process::{Appliance, Process};
use crate::tokio_server;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Subscribers beyond those that are expected.
const SPARE_SUBSCRIBERS: usize = 16;

/// One server.
pub(crate) enum Server {
    Appliance { appliance: Appliance, tapping: UdpSocket },
    Tokio { process: Process, quic: SocketAddr },
}

impl Server {
    /// The appliance, with one room that everybody watches.
    pub(crate) fn appliance(subscribers: usize, window_ms: u64, core: usize) -> Self {
        let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
        let subscribers_max = subscribers + SPARE_SUBSCRIBERS;
        write!(
            config,
            "window = \"{window_ms}ms\"\ntop_k = {}\n\
             [quic]\nsubscribers_max = {subscribers_max}\nidle_timeout = \"10m\"\n{}",
            frame::EMOJI,
            frame::room_toml()
        )
        .expect("it takes text");
        let flag = format!("--config={}", config.path().display());
        let appliance = Appliance::start(&["--shards=1", &flag], Some(core));
        let tapping = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        tapping.connect(appliance.port("reactions")).expect("loopback is there");
        Self::Appliance { appliance, tapping }
    }

    /// quinn on tokio.
    pub(crate) fn tokio(window_ms: u64, core: usize) -> Self {
        let (process, quic) = tokio_server::start(window_ms, core);
        Self::Tokio { process, quic }
    }

    /// As the messages of the bench call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Appliance { .. } => "the appliance",
            Self::Tokio { .. } => "quinn on tokio",
        }
    }

    /// Where subscribers connect.
    pub(crate) fn quic(&self) -> SocketAddr {
        match self {
            Self::Appliance { appliance, .. } => appliance.port("quic"),
            Self::Tokio { quic, .. } => *quic,
        }
    }

    /// The process itself.
    pub(crate) fn process(&self) -> &Process {
        match self {
            Self::Appliance { appliance, .. } => &appliance.process,
            Self::Tokio { process, .. } => process,
        }
    }

    /// Taps every emoji, so that the window's frame has its size.
    pub(crate) fn tap(&self) {
        if let Self::Appliance { tapping, .. } = self {
            tapping.send(&frame::taps()).expect("the appliance listens");
        }
    }

    /// Frames handed over so far; none where nobody counts.
    pub(crate) fn frames_sent(&self) -> Option<u64> {
        match self {
            Self::Appliance { appliance, .. } => Some(appliance.metric("uproar_frames_sent_total")),
            Self::Tokio { .. } => None,
        }
    }

    /// Emoji in the newest frame.
    pub(crate) fn newest_frame_emoji(&self) -> usize {
        match self {
            Self::Appliance { appliance, .. } => ask_frame(appliance.port("http")).matches("\"share\"").count(),
            Self::Tokio { .. } => frame::EMOJI.into(),
        }
    }
}

fn ask_frame(http: SocketAddr) -> String {
    let mut connection = TcpStream::connect(http).expect("the public port answers");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a timeout");
    let request = format!("GET /v1/rooms/{}/frame HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", frame::ROOM.0);
    connection.write_all(request.as_bytes()).expect("the public port reads");
    let mut text = String::new();
    connection.read_to_string(&mut text).expect("the public port answers in text");
    text
}
