//! Many who come at once: a crowd after a restart, and a flood from addresses that nobody has.

use super::pair::{Clock, DELAY, HELLO_TIMEOUT, Pair, client_tls, config};
use super::{is_closed, pattern};
use crate::limits::{HANDSHAKE_TIMEOUT, QUIC_HANDSHAKES_PER_TURN, RETRY_TOKEN_LIFETIME};
use crate::metrics::Outcome;
use crate::quic::ALPN;
use crate::quic::{Arrival, HandshakeLimits, MasterSecret, Quic, QuicConfig, QuicSettings, WriteOutcome};
use quinn_proto::ConnectionError;
use quinn_proto::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECRET: [u8; 32] = [5; 32];
const NEVER: usize = usize::MAX;

fn limited(handshakes: HandshakeLimits) -> Pair {
    limited_by(&Arc::default(), handshakes)
}

fn limited_by(clock: &Arc<Clock>, handshakes: HandshakeLimits) -> Pair {
    let config = config(&MasterSecret::new(SECRET), clock);
    let settings = QuicSettings { handshakes, ..config.settings };
    Pair::with_server(90, Quic::new(QuicConfig { settings, ..config }, [90; 32]))
}

/// A server as after a restart: nothing is known but the secret.
fn restarted(secret: [u8; 32]) -> Quic {
    Quic::new(config(&MasterSecret::new(secret), &Arc::default()), [91; 32])
}

fn counted(pair: &Pair, outcome: Outcome) -> u64 {
    pair.server.outcomes()[outcome.index()]
}

/// First packets of clients at addresses that are not theirs. All come in one turn.
fn flood(pair: &mut Pair, packets: usize) {
    for number in 0..packets {
        let spoofer = pair.connect();
        let bytes = pair.clients[spoofer].output(pair.now).swap_remove(0);
        pair.clients.pop();
        let remote = SocketAddr::from(([203, 0, (number >> 8) as u8, number as u8], 1024 + number as u16));
        let arrival = Arrival { remote, local_ip: None, ecn: None, bytes: &bytes };
        pair.server.handle_datagrams(pair.now, std::iter::once(arrival));
    }
}

/// Believes everybody, and counts how often it was shown a certificate: in a full handshake and not in a resumed one.
#[derive(Debug, Default)]
struct Certificates(AtomicUsize);

impl Certificates {
    fn shown(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn client_tls(self: &Arc<Self>) -> Arc<QuicClientConfig> {
        client_tls(ALPN, |tls| tls.dangerous().with_custom_certificate_verifier(self.clone()))
    }
}

impl ServerCertVerifier for Certificates {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn above_the_threshold_newcomers_come_again_and_are_taken() {
    let mut pair = limited(HandshakeLimits { retry_above: 2, ..HandshakeLimits::default() });
    let clients: Vec<_> = (0..5).map(|_| pair.connect()).collect();
    pair.run_until(|pair| clients.iter().all(|&client| pair.clients[client].connected));
    assert_eq!((counted(&pair, Outcome::Retried), pair.server.accepted()), (3, 5));
    pair.run_until(|pair| pair.server.handshakes_under_way() == 0);
    let late = pair.connected();
    assert_eq!(counted(&pair, Outcome::Retried), 3, "the crowd is in: nobody is asked any more");
    pair.subscribe(late, 1);
}

#[test]
fn a_threshold_of_zero_asks_everybody() {
    let mut pair = limited(HandshakeLimits { retry_above: 0, ..HandshakeLimits::default() });
    let client = pair.connected();
    assert_eq!(counted(&pair, Outcome::Retried), 1);
    pair.subscribe(client, 1);
}

#[test]
fn the_token_of_a_retry_ages() {
    let clock = Arc::<Clock>::default();
    for (away, is_taken) in [(RETRY_TOKEN_LIFETIME, true), (RETRY_TOKEN_LIFETIME + Duration::from_secs(1), false)] {
        let mut pair = limited_by(&clock, HandshakeLimits { retry_above: 0, ..HandshakeLimits::default() });
        let client = pair.connect();
        pair.run_until(|pair| counted(pair, Outcome::Retried) == 1);
        clock.pass(away);
        pair.run_until(|pair| pair.clients[client].connected || pair.clients[client].lost.is_some());
        assert_eq!((pair.clients[client].connected, pair.server.accepted() == 1), (is_taken, is_taken), "{away:?}");
    }
}

#[test]
fn the_token_of_another_server_with_the_same_secret_is_taken() {
    for (secret, is_taken) in [(SECRET, true), ([6; 32], false)] {
        let mut pair = limited(HandshakeLimits { retry_above: 0, ..HandshakeLimits::default() });
        let client = pair.connect();
        pair.run_until(|pair| counted(pair, Outcome::Retried) == 1);
        let config = config(&MasterSecret::new(secret), &Arc::default());
        let handshakes = HandshakeLimits { retry_above: 0, ..HandshakeLimits::default() };
        let settings = QuicSettings { handshakes, ..config.settings };
        pair.server = Quic::new(QuicConfig { settings, ..config }, [92; 32]);
        pair.run_until(|pair| pair.server.accepted() + counted(pair, Outcome::Retried) > 0);
        // Who has a token that says nothing here is asked like one who has none.
        assert_eq!((pair.server.accepted() == 1, counted(&pair, Outcome::Retried) == 0), (is_taken, is_taken));
        if is_taken {
            pair.run_until(|pair| pair.clients[client].connected);
        }
    }
}

#[test]
fn a_flood_from_invented_addresses_takes_no_more_than_its_places_and_delays_no_frame() {
    let limits = HandshakeLimits { retry_above: 64, max: 256, per_second: 1000 };
    let mut pair = limited(limits);
    let watching = pair.connected();
    let (conn, streams) = pair.subscribe(watching, 1);
    pair.run_for(Duration::from_secs(1));
    flood(&mut pair, 3000);
    assert_eq!((pair.server.handshakes_waiting(), pair.server.handshakes_under_way()), (limits.retry_above, 0));
    // All in one turn: those beyond its answers are dropped.
    let (retried, dropped) = (counted(&pair, Outcome::Retried), counted(&pair, Outcome::Dropped));
    assert!(retried > 0 && dropped > 0);
    assert_eq!(retried + dropped, 3000 - limits.retry_above as u64);

    let (frame, began) = (pattern(300, 1), pair.now);
    assert_eq!(pair.server.write(conn, streams[0], &mut frame.clone()), WriteOutcome::All);
    pair.run_until(|pair| pair.clients[watching].received.get(&streams[0]).is_some_and(|got| *got == frame));
    assert_eq!(pair.now, began + DELAY, "at once, in virtual time");

    // Somebody who is really there finds a place.
    pair.connected();
    // Nobody answers from invented addresses, and their places become free.
    pair.run_for(HANDSHAKE_TIMEOUT + 2 * HELLO_TIMEOUT);
    assert_eq!((pair.server.handshakes_under_way(), pair.server.handshakes_waiting()), (0, 0));
    assert_eq!(counted(&pair, Outcome::HandshakeFailed), limits.retry_above as u64);
    assert_eq!(pair.server.established(), 1, "the one that said no hello is gone, the one that watches is not");
}

#[test]
fn at_the_bound_who_comes_is_dropped_and_gets_in_by_trying_again() {
    let limits = HandshakeLimits { retry_above: NEVER, max: 20, ..HandshakeLimits::default() };
    let mut pair = limited(limits);
    flood(&mut pair, 100);
    assert_eq!((pair.server.handshakes_waiting(), counted(&pair, Outcome::Dropped)), (20, 80));
    let client = pair.connect();
    pair.run_until(|pair| counted(pair, Outcome::Dropped) == 81);
    assert!(pair.server.connections() + pair.server.handshakes_waiting() <= limits.max);
    pair.run_until(|pair| pair.clients[client].connected);
    assert!(counted(&pair, Outcome::HandshakeFailed) > 0, "only once others had given up");
}

#[test]
fn a_crowd_gets_in_at_its_pace_and_all_of_it_does() {
    let limits = HandshakeLimits { retry_above: 32, max: 1000, per_second: 100 };
    let mut pair = limited(limits);
    let crowd: Vec<_> = (0..200).map(|_| pair.connect()).collect();
    let began = pair.now;
    pair.run_until(|pair| {
        let passed = (pair.now - began).as_secs_f64();
        assert!(pair.server.accepted() as f64 <= QUIC_HANDSHAKES_PER_TURN as f64 + 100.0 * passed);
        crowd.iter().all(|&client| pair.clients[client].connected)
    });
    assert_eq!(pair.server.accepted(), 200);
    assert_eq!(counted(&pair, Outcome::Dropped), 0);
    assert!(counted(&pair, Outcome::Retried) >= 200 - 32 - QUIC_HANDSHAKES_PER_TURN as u64);
}

#[test]
fn while_others_wait_one_handshake_a_turn_begins() {
    let mut pair = limited(HandshakeLimits { retry_above: NEVER, ..HandshakeLimits::default() });
    flood(&mut pair, 10);
    for begun in 1..=10 {
        assert_eq!(pair.server.begin_handshakes(pair.now, true), begun < 10);
        assert_eq!(pair.server.accepted(), begun);
    }
}

#[test]
fn who_waits_when_the_server_goes_is_refused() {
    let mut pair = limited(HandshakeLimits { per_second: 1, ..HandshakeLimits::default() });
    let crowd: Vec<_> = (0..QUIC_HANDSHAKES_PER_TURN + 10).map(|_| pair.connect()).collect();
    pair.run_until(|pair| pair.server.handshakes_waiting() == 10);
    pair.server.refuse_new();
    assert_eq!((pair.server.handshakes_waiting(), counted(&pair, Outcome::Refused)), (0, 10));
    let is_refused = |pair: &Pair, client: usize| pair.clients[client].lost.is_some();
    pair.run_until(|pair| crowd.iter().filter(|&&client| is_refused(pair, client)).count() == 10);
}

#[test]
fn a_session_is_resumed_also_by_a_server_made_anew_with_the_same_secret_and_by_no_other() {
    let certificates = Arc::new(Certificates::default());
    let mut pair = limited(HandshakeLimits::default());
    pair.client_tls = certificates.client_tls();
    for (server, shown) in [(None, 1), (None, 1), (Some(SECRET), 1), (Some([6; 32]), 2)] {
        if let Some(secret) = server {
            pair.clients.clear();
            pair.server = restarted(secret);
        }
        let client = pair.connected();
        // The ticket of the next visit comes after the handshake.
        pair.subscribe(client, 1);
        pair.run_for(Duration::from_millis(100));
        assert_eq!(certificates.shown(), shown);
    }
}

#[test]
fn all_subscribers_of_before_a_restart_are_reset_as_soon_as_they_speak() {
    let mut pair = limited(HandshakeLimits::default());
    let crowd: Vec<_> = (0..100).map(|_| pair.connected()).collect();
    for &client in &crowd {
        pair.subscribe(client, 1);
    }
    pair.run_for(Duration::from_secs(1));
    pair.server = restarted(SECRET);
    for &client in &crowd {
        pair.clients[client].react(b"a tap");
    }
    let (began, client) = (pair.now, |pair: &Pair, client: usize| pair.clients[client].lost.clone());
    pair.run_until(|pair| crowd.iter().all(|&number| client(pair, number).is_some()));
    assert!(crowd.iter().all(|&number| client(&pair, number) == Some(ConnectionError::Reset)));
    assert_eq!(pair.now, began + 2 * DELAY, "all within one round trip, in virtual time");
}

#[test]
fn the_reset_of_a_stranger_is_not_believed() {
    let mut pair = limited(HandshakeLimits::default());
    let client = pair.connected();
    pair.subscribe(client, 1);
    pair.run_for(Duration::from_secs(1));
    pair.server = restarted([6; 32]);
    pair.clients[client].react(b"a tap");
    pair.run_until(|pair| pair.clients[client].lost.is_some());
    assert_eq!(pair.clients[client].lost, Some(ConnectionError::TimedOut));
    assert!(pair.events.iter().all(|event| is_closed(event).is_none()));
}
