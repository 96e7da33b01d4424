//! One process after the other on the same ports, as an upgrade does it, while the crowd goes on.

use crate::support::{Http, Server, Viewer, eventually, http};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use uproar_client::RoomEvent;

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
    let flags = ["--shards", "2", "--window", "200ms"];
    let first = Server::configured(CONFIG, &flags);
    let (http, quic) = (first.http(), first.quic());
    let ports = [first.reactions(), quic, http, first.admin()].map(|port| port.to_string());
    let same = ["--reactions", &ports[0], "--quic", &ports[1], "--http", &ports[2], "--admin", &ports[3]];
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
        let next = Server::configured(CONFIG, &[&flags[..], &same].concat());
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
