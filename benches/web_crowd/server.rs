//! The appliance, with room for the crowd and a certificate that sessions trust, and taps that come meanwhile.

use crate::process::{self, Appliance};
use crate::{Effort, ROOM};
use rustls::pki_types::CertificateDer;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use uproar_wire::reaction::{self, Record};
use uproar_wire::{ClientId, EmojiId};

/// Between datagrams of taps.
const TAP_EVERY: Duration = Duration::from_millis(2);
/// Sockets that taps come from, so that they reach every shard.
const TAPPERS: u16 = 16;
/// Emoji of the room.
const EMOJI: u16 = 12;

/// A running appliance.
pub(crate) struct Server {
    appliance: Appliance,
    certificate: CertificateDer<'static>,
    _directory: TempDir,
}

impl Server {
    /// Two shards, either of which could take the whole crowd.
    pub(crate) fn start(effort: &Effort) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = rcgen::KeyPair::generate().expect("randomness");
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a key signs");
        let path = |file: &str| directory.path().join(file).display().to_string();
        let mut config = format!("window = \"{}ms\"\n", effort.window_ms);
        let (connections, subscribers) = (effort.events + 1000, effort.native + effort.webtransport + 1000);
        writeln!(config, "[http]\nconnections_max = {connections}\nstreams_max = {connections}").expect("text");
        writeln!(config, "[quic]\nsubscribers_max = {subscribers}").expect("text");
        for (file, text) in
            [("certificate.pem", certificate.pem()), ("key.pem", key.serialize_pem()), ("uproar.toml", config)]
        {
            std::fs::write(path(file), text).expect("the temporary directory is ours");
        }
        let flags = [("certificate", "certificate.pem"), ("private-key", "key.pem"), ("config", "uproar.toml")]
            .map(|(flag, file)| format!("--{flag}={}", path(file)));
        let appliance = Appliance::start(&["--shards=2", &flags[0], &flags[1], &flags[2]], None);
        Self { appliance, certificate: certificate.der().clone(), _directory: directory }
    }

    /// Where subscribers connect.
    pub(crate) fn quic(&self) -> SocketAddr {
        self.appliance.port("quic")
    }

    /// Where streams are asked for.
    pub(crate) fn http(&self) -> SocketAddr {
        self.appliance.port("http")
    }

    /// What sessions are to trust.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// CPU time so far.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.appliance.process.cpu_ns()
    }

    /// Memory now.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.appliance.process.rss_bytes()
    }

    /// Frames handed over so far, to everybody.
    pub(crate) fn frames_sent(&self) -> u64 {
        self.appliance.metric("uproar_frames_sent_total")
    }

    /// Taps, by UDP, until told to stop.
    pub(crate) fn tap(&self) -> Taps {
        let to = self.appliance.port("reactions");
        let ending = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&ending);
        let thread = std::thread::spawn(move || {
            let sockets: Vec<_> = (0..TAPPERS).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port")).collect();
            let mut turn = 0_u16;
            while !is_ending.load(Ordering::Relaxed) {
                let record = Record { emoji: EmojiId(turn % EMOJI), count: 1 + turn % 3 };
                let mut datagram = Vec::new();
                reaction::encode(ROOM, ClientId(u64::from(turn)), &[record], &mut datagram);
                sockets[usize::from(turn % TAPPERS)].send_to(&datagram, to).expect("the appliance listens");
                turn = turn.wrapping_add(1);
                process::wait(TAP_EVERY);
            }
        });
        Taps { ending, thread }
    }
}

/// Whoever taps.
pub(crate) struct Taps {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Taps {
    /// No more of them.
    pub(crate) fn stop(self) {
        self.ending.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends well");
    }
}
