//! One process after the other on the same ports, as an upgrade does it, while the crowd goes on.

use crate::support::{Ended, Http, Server, Viewer, eventually, http};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use uproar_client::RoomEvent;
use uproar_loadgen::fleet::{Fleet, FleetConfig, arrive_max};
use uproar_wire::RoomId;

const ROOM: u32 = 1;
/// HTTP taps count in thousands and QUIC taps in ones, fewer than a thousand: one total tells both.
const THOUSAND: u64 = 1000;
/// Requests sent at once, so that a drain finds some answered and some not.
const PIPELINED: usize = 20;
/// What QUIC taps are for.
const EMOJI: u16 = 3;

/// A close is one packet, which may be lost: who missed it finds out before a test gives up. And thousands of taps are taken at
/// once.
const CONFIG: &str = "[quic]\nidle_timeout = \"5s\"\n[limits]\ntaps_per_record = 1000\n";

/// Where both processes of a test listen: an address of loopback that no other test has, and ports that the system gives to
/// nobody by itself. Otherwise another socket could take a port while no server has it; even one that tries to connect to
/// that port, whose own port is then the same by chance, so that it connects to itself.
fn flags_of_its_own() -> Vec<String> {
    static TESTS: AtomicUsize = AtomicUsize::new(1);
    let (process, test) = (std::process::id(), TESTS.fetch_add(1, Relaxed));
    let [_, high, low] = [process >> 16 & 0xf, process >> 8 & 0xff, process & 0xff];
    let address = |port: usize| format!("127.{}.{low}.1:{}", 1 + high % 250, port + test);
    let ports = [("--reactions", 17_400), ("--quic", 17_500), ("--http", 17_600), ("--admin", 17_700)];
    ports.into_iter().flat_map(|(flag, port)| [flag.to_owned(), address(port)]).collect()
}

/// A crowd that comes again whenever it is sent away, and what it saw.
#[derive(Default)]
struct Crowd {
    is_over: AtomicBool,
    /// Requests that were sent, and those of them that were answered with 202.
    sent: AtomicU64,
    accepted: AtomicU64,
    /// Taps by QUIC that have left, and those that frames have shown.
    tapped: AtomicU64,
    shown: AtomicU64,
}

impl Crowd {
    fn tap_by_http(&self, port: SocketAddr) {
        while !self.is_over.load(Relaxed) {
            match Http::try_to(port) {
                Ok(connection) => self.tap_until_sent_away(connection),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn tap_until_sent_away(&self, mut connection: Http) {
        let requests = http::reactions(ROOM, r#"{"emoji":"fire","count":1000}"#).repeat(PIPELINED);
        while !self.is_over.load(Relaxed) {
            self.sent.fetch_add(PIPELINED as u64, Relaxed);
            for place in 0..PIPELINED {
                match &connection.try_ask(if place == 0 { &requests } else { b"" }) {
                    Ok(accepted) if accepted.status == 202 => self.accepted.fetch_add(1, Relaxed),
                    Ok(refused) => {
                        assert_eq!((refused.status, refused.code().as_str()), (503, "draining"));
                        return;
                    }
                    Err(_) => return,
                };
            }
        }
    }

    /// One tap a frame.
    fn tap_by_quic(&self, port: SocketAddr) {
        while !self.is_over.load(Relaxed) {
            let Ok(mut viewer) = Viewer::connect_to(port) else { continue };
            if viewer.subscribe(&[ROOM]).is_err() {
                continue;
            }
            while let Some(Ok(event)) = viewer.next()
                && !self.is_over.load(Relaxed)
            {
                let RoomEvent::Frame(frame) = event else { continue };
                let shown = frame.top.iter().filter(|entry| entry.emoji == EMOJI).map(|entry| entry.count);
                self.shown.fetch_add(shown.sum(), Relaxed);
                self.tapped.fetch_add(u64::from(viewer.try_tap(ROOM, EMOJI, 1)), Relaxed);
            }
        }
    }

    fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    fn go_on(&self, what: &AtomicU64, more: u64) {
        let goal = what.load(Relaxed) + more;
        eventually(|| (what.load(Relaxed) >= goal).then_some(()), || format!("{} and not {goal}", what.load(Relaxed)));
    }
}

/// Ends a crowd, also when the test that waits for it fails.
struct EndsCrowd<'a>(&'a Crowd);

impl Drop for EndsCrowd<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[test]
fn a_restart_under_load_loses_no_accepted_tap() {
    let own = flags_of_its_own();
    let flags =
        [&["--shards", "2", "--window", "200ms"], &own.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let first = Server::configured(CONFIG, &flags);
    let (http, quic) = (first.http(), first.quic());
    let crowd = Crowd::default();
    let drained = std::thread::scope(|scope| {
        let _end = EndsCrowd(&crowd);
        for _ in 0..4 {
            scope.spawn(|| crowd.tap_by_http(http));
        }
        scope.spawn(|| crowd.tap_by_quic(quic));
        crowd.go_on(&crowd.accepted, 200);
        crowd.go_on(&crowd.shown, 3);
        let first = first.terminate();
        let next = Server::configured(CONFIG, &flags);
        crowd.go_on(&crowd.accepted, 200);
        crowd.go_on(&crowd.shown, 3);
        crowd.end();
        [first, next.terminate()].map(|ended| ended.drained.unwrap_or_else(|| panic!("{}", ended.log)))
    });
    assert!(drained.iter().all(|(reactions, frame_taps)| reactions == frame_taps), "{drained:?}");
    let framed: u64 = drained.iter().map(|(_, frame_taps)| frame_taps).sum();
    let [sent, accepted, tapped, shown] =
        [crowd.sent, crowd.accepted, crowd.tapped, crowd.shown].map(AtomicU64::into_inner);
    assert!((accepted..=sent).contains(&(framed / THOUSAND)), "{accepted} of {sent} accepted, {framed} in frames");
    assert!((shown..=tapped).contains(&(framed % THOUSAND)), "{shown} of {tapped} shown, {framed} in frames");
}

/// Somebody who taps with one request after the other, and retries a tap that is not accepted once, when told that the next
/// process is ready.
#[derive(Default)]
struct Tapping {
    is_next_ready: AtomicBool,
    is_over: AtomicBool,
    accepted: AtomicU64,
    /// Not accepted at first, and then at the retry.
    refused: AtomicU64,
    mended: AtomicU64,
    /// Without an answer, so perhaps counted.
    unanswered: AtomicU64,
}

impl Tapping {
    fn tap(&self, port: SocketAddr) {
        let request = http::reactions(ROOM, r#"{"emoji":"fire"}"#);
        let mut connection = None;
        while !self.is_over.load(Relaxed) {
            if self.is_accepted(port, &mut connection, &request) {
                self.accepted.fetch_add(1, Relaxed);
                continue;
            }
            self.refused.fetch_add(1, Relaxed);
            eventually(|| self.is_next_ready.load(Relaxed).then_some(()), || "the next process does not come".into());
            self.mended.fetch_add(u64::from(self.is_accepted(port, &mut connection, &request)), Relaxed);
        }
    }

    fn is_accepted(&self, port: SocketAddr, connection: &mut Option<Http>, request: &[u8]) -> bool {
        let Some(mut open) = connection.take().or_else(|| Http::try_to(port).ok()) else { return false };
        match open.try_ask(request) {
            Ok(reply) if reply.status == 202 => {
                *connection = Some(open);
                true
            }
            Ok(reply) => {
                assert_eq!((reply.status, reply.code().as_str()), (503, "draining"));
                false
            }
            Err(_) => {
                self.unanswered.fetch_add(1, Relaxed);
                false
            }
        }
    }

    /// Every refused tap was accepted at its retry, and all that were accepted are in frames of the two processes.
    fn assert_in_frames(self, processes: [Ended; 2]) {
        let ledgers = processes.map(|ended| {
            assert_eq!(ended.code, Some(0), "{}", ended.log);
            ended.drained.unwrap_or_else(|| panic!("{}", ended.log))
        });
        assert!(ledgers.iter().all(|(reactions, frame_taps)| reactions == frame_taps), "{ledgers:?}");
        let framed: u64 = ledgers.iter().map(|(_, frame_taps)| frame_taps).sum();
        let Self { accepted, refused, mended, unanswered, .. } = self;
        let [accepted, refused, mended, unanswered] =
            [accepted, refused, mended, unanswered].map(AtomicU64::into_inner);
        assert!(refused > 0 && mended == refused, "{mended} of {refused} accepted at the retry");
        let counted = accepted + mended..=accepted + mended + unanswered;
        assert!(counted.contains(&framed), "{counted:?} accepted, {framed} in frames");
    }
}

/// Ends those who tap, also when the test that waits for them fails.
struct EndsTapping<'a>(&'a Tapping);

impl Drop for EndsTapping<'_> {
    fn drop(&mut self) {
        self.0.is_next_ready.store(true, Relaxed);
        self.0.is_over.store(true, Relaxed);
    }
}

#[allow(clippy::disallowed_methods, reason = "what a restart takes is printed and not asserted")]
#[test]
fn a_restart_waits_for_no_viewer_that_has_vanished_and_one_retry_mends_every_refused_tap() {
    const VIEWERS: usize = 1000;
    const VANISHED: usize = 100;
    let own = flags_of_its_own();
    // A drain that waited for its time limit would outlast the test.
    let given = ["--shards", "2", "--window", "500ms", "--drain-timeout", "10m"];
    let flags = [&given, &own.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat();
    let mut first = Server::start(&flags);
    let http = first.http();
    let fleet = Fleet::start(FleetConfig::new(first.quic(), vec![RoomId(ROOM)], VIEWERS)).unwrap();
    fleet.wait_subscribed(arrive_max(VIEWERS)).unwrap();
    fleet.vanish(0..VANISHED).unwrap();
    eventually(|| fleet.is_settled().unwrap().then_some(()), || "some have not vanished".into());
    let tapping = Tapping::default();
    let (first, next) = std::thread::scope(|scope| {
        let _end = EndsTapping(&tapping);
        for _ in 0..4 {
            scope.spawn(|| tapping.tap(http));
        }
        let accepted = |more: u64| {
            let goal = tapping.accepted.load(Relaxed) + more;
            let is_there = || (tapping.accepted.load(Relaxed) >= goal).then_some(());
            eventually(is_there, || format!("{} of {goal} accepted", tapping.accepted.load(Relaxed)));
        };
        accepted(200);
        let told_at = Instant::now();
        first.send_sigterm();
        eventually(
            || (tapping.refused.load(Relaxed) > 0).then_some(()),
            || "no tap is refused, though the server was told to end".into(),
        );
        let refused_at = Instant::now();
        let first = first.wait_for_end();
        let ended_at = Instant::now();
        let next = Server::start(&flags);
        tapping.is_next_ready.store(true, Relaxed);
        eprintln!(
            "taps were accepted for {:?} of the drain and refused for {:?}, then for {:?} until the next process was ready",
            refused_at - told_at,
            ended_at - refused_at,
            ended_at.elapsed(),
        );
        accepted(200);
        tapping.is_over.store(true, Relaxed);
        // Before the next process ends, who taps must be done.
        eventually(
            || (tapping.mended.load(Relaxed) == tapping.refused.load(Relaxed)).then_some(()),
            || format!("{:?} refused, {:?} accepted at the retry", tapping.refused, tapping.mended),
        );
        (first, next)
    });
    tapping.assert_in_frames([first, next.terminate()]);
    let totals = fleet.totals().unwrap();
    // Those that are there are told why, and they alone.
    let lost: u64 = totals.lost.iter().filter(|(why, _)| why.contains("going away")).map(|(_, count)| count).sum();
    assert_eq!(lost, (VIEWERS - VANISHED) as u64, "{totals:?}");
}
