//! Datagrams that reach no connection: each is counted with its reason, whatever it is.

use super::pair::{Clock, Pair, config};
use crate::limits::QUIC_WAITING_BYTES;
use crate::metrics::{Outcome, QuicRefusal};
use crate::quic::{Arrival, HandshakeLimits, MasterSecret, Quic, QuicConfig, QuicSettings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const STRANGER: ([u8; 4], u16) = ([203, 0, 113, 9], 4433);

fn pair_with(change: impl FnOnce(&mut QuicSettings)) -> Pair {
    let mut config = config(&MasterSecret::new([5; 32]), &Arc::<Clock>::default());
    change(&mut config.settings);
    Pair::with_server(90, Quic::new(QuicConfig { ..config }, [90; 32]))
}

fn deliver_from(pair: &mut Pair, remote: SocketAddr, bytes: &[u8]) {
    let arrival = Arrival { remote, local_ip: None, ecn: None, bytes };
    pair.server.handle_datagrams(pair.now, std::iter::once(arrival));
}

fn deliver(pair: &mut Pair, bytes: &[u8]) {
    deliver_from(pair, STRANGER.into(), bytes);
}

/// The first datagram of a client that nobody answers.
fn first_datagram(pair: &mut Pair) -> Vec<u8> {
    let client = pair.connect();
    let bytes = pair.clients[client].output(pair.now).swap_remove(0);
    pair.clients.pop();
    bytes
}

fn long_header(first: u8, version: u32, id: &[u8], rest: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(version.to_be_bytes());
    bytes.push(id.len() as u8);
    bytes.extend_from_slice(id);
    // No source id.
    bytes.push(0);
    bytes.extend_from_slice(rest);
    bytes.resize(len, 0x5a);
    bytes
}

/// A packet whose payload has this many bytes, behind a token.
fn initial(id: &[u8], token: &[u8], len: usize) -> Vec<u8> {
    let head = 7 + id.len() + 1 + token.len() + 2;
    let payload = (len - head) as u16 | 0x4000;
    long_header(0xc0, 1, id, &[&[token.len() as u8], token, &payload.to_be_bytes()].concat(), len)
}

fn short_header(shard: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x40, shard];
    bytes.resize(len, 0x5a);
    bytes
}

/// Provokes one refusal, and returns the server that has counted it.
fn provoke(refusal: QuicRefusal) -> Pair {
    let mut pair = pair_with(|_| {});
    // An id of this shard, which is the third of five.
    let ours = 2 + 5 * 9;
    match refusal {
        QuicRefusal::Malformed => deliver(&mut pair, &[0xc0, 0, 0, 0, 1, 30, 1, 2]),
        QuicRefusal::BadVersion => deliver(&mut pair, &long_header(0xc0, 0x1a2a_3a4a, &[ours; 8], &[], 1199)),
        QuicRefusal::VersionNegotiated => deliver(&mut pair, &long_header(0xc0, 0x1a2a_3a4a, &[ours; 8], &[], 1200)),
        QuicRefusal::Reset => deliver(&mut pair, &short_header(ours, 100)),
        QuicRefusal::UnknownConnection => deliver(&mut pair, &short_header(ours + 1, 100)),
        QuicRefusal::ConnectionOver => {
            let client = pair.connected();
            pair.run_for(Duration::from_secs(1));
            let late = pair.client_packets.last().unwrap().clone();
            let now = pair.now;
            pair.clients[client].connection.close(now, 0_u32.into(), bytes::Bytes::new());
            let close = pair.clients[client].output(now).swap_remove(0);
            let remote = pair.clients[client].address;
            deliver_from(&mut pair, remote, &close);
            // The connection is over, and its owner has not been told yet.
            pair.server.handle_timeout(now + Duration::from_secs(10));
            deliver_from(&mut pair, remote, &late);
        }
        QuicRefusal::TooSmall => deliver(&mut pair, &initial(&[ours; 8], &[], 1199)),
        QuicRefusal::BadConnectionId => deliver(&mut pair, &initial(&[ours; 7], &[], 1200)),
        QuicRefusal::BadToken => {
            // A token that was given to another address.
            pair = pair_with(|settings| settings.handshakes.retry_above = 0);
            let client = pair.connect();
            pair.run_until(|pair| pair.server.outcomes()[Outcome::Retried.index()] == 1);
            pair.run_for(Duration::from_millis(15));
            let again = pair.clients[client].first_datagrams.last().unwrap().clone();
            pair.clients.clear();
            pair.server = pair_with(|_| {}).server;
            deliver(&mut pair, &again);
        }
        QuicRefusal::Undecryptable => (0..64).for_each(|n| deliver(&mut pair, &initial(&[n; 8], &[], 1200))),
        QuicRefusal::Full => {
            pair = pair_with(|settings| settings.max_connections = 0);
            let first = first_datagram(&mut pair);
            deliver(&mut pair, &first);
        }
        QuicRefusal::Draining => {
            pair.server.refuse_new();
            let first = first_datagram(&mut pair);
            deliver(&mut pair, &first);
        }
        QuicRefusal::AddressFull => {
            pair = pair_with(|settings| settings.connections_per_address_max = 1);
            let client = pair.connected();
            let first = first_datagram(&mut pair);
            let remote = pair.clients[client].address;
            deliver_from(&mut pair, remote, &first);
        }
        QuicRefusal::HandshakesFull => {
            let handshakes = HandshakeLimits { retry_above: 9, max: 1, per_second: 1 };
            pair = pair_with(|settings| settings.handshakes = handshakes);
            for _ in 0..2 {
                let first = first_datagram(&mut pair);
                deliver(&mut pair, &first);
            }
        }
        QuicRefusal::Retried => {
            pair = pair_with(|settings| settings.handshakes.retry_above = 0);
            let first = first_datagram(&mut pair);
            deliver(&mut pair, &first);
        }
        QuicRefusal::WaitingFull => {
            let first = first_datagram(&mut pair);
            assert!(first.len() as u64 <= QUIC_WAITING_BYTES && 2 * first.len() as u64 > QUIC_WAITING_BYTES);
            // The first one is in line, the second is kept, the third is too much.
            (0..3).for_each(|_| deliver(&mut pair, &first));
        }
        QuicRefusal::Unanswered => (0..5000).for_each(|_| deliver(&mut pair, &short_header(ours, 1200))),
    }
    pair
}

#[test]
fn every_reason_is_counted_and_no_other() {
    for refusal in QuicRefusal::ALL {
        let mut pair = provoke(refusal);
        // Those that wait for their handshake have it.
        while pair.server.begin_handshakes(pair.now, false) {}
        let counts = pair.server.refused();
        assert!(counts[refusal.index()] > 0, "{refusal:?} is not counted: {counts:?}");
        let beside = match refusal {
            QuicRefusal::Unanswered => Some(QuicRefusal::Reset),
            QuicRefusal::AddressFull => Some(QuicRefusal::Retried),
            _ => None,
        };
        for other in QuicRefusal::ALL.into_iter().filter(|&other| other != refusal && Some(other) != beside) {
            assert_eq!(counts[other.index()], 0, "{other:?} instead of {refusal:?}");
        }
    }
}

#[test]
fn every_datagram_of_strangers_is_counted_once() {
    let mut pair = pair_with(|_| {});
    let mut random = StdRng::seed_from_u64(3);
    let junk: Vec<_> = (0..2000)
        .map(|_| {
            let mut bytes = vec![0; random.random_range(1..1400)];
            random.fill(&mut bytes[..]);
            bytes
        })
        .collect();
    for bytes in &junk {
        deliver(&mut pair, bytes);
        // As every turn does.
        pair.flush();
        while pair.server.begin_handshakes(pair.now, false) {}
    }
    let refused: u64 = pair.server.refused().iter().sum();
    assert_eq!(refused, junk.len() as u64, "{:?}", pair.server.refused());
    assert_eq!(pair.server.accepted() + pair.server.outcomes().iter().sum::<u64>(), 0);
}

#[test]
fn forged_first_packets_are_no_handshakes_that_failed() {
    let mut pair = pair_with(|_| {});
    (0..1000_u32).for_each(|n| deliver(&mut pair, &initial(&[&n.to_be_bytes()[..], &[1; 4]].concat(), &[], 1200)));
    while pair.server.handshakes_waiting() > 0 {
        pair.server.begin_handshakes(pair.now, false);
        pair.now += Duration::from_millis(10);
    }
    assert_eq!(pair.server.refused()[QuicRefusal::Undecryptable.index()], 1000);
    assert_eq!(pair.server.outcomes()[Outcome::HandshakeFailed.index()], 0);
}

#[test]
fn a_hello_in_two_packets_that_waits_is_not_refused() {
    let mut pair = pair_with(|_| {});
    let first = first_datagram(&mut pair);
    deliver(&mut pair, &first);
    deliver(&mut pair, &first);
    assert_eq!(pair.server.refused().iter().sum::<u64>(), 0);
    assert_eq!(pair.server.handshakes_waiting(), 1);
}
