//! Packets to the QUIC port that begin no connection: noise, and first packets of handshakes that nobody goes on with.
//!
//! First packets are real: quinn makes them, and their connections are forgotten. That takes a key exchange each, so
//! they are made before the match, at most [`INITIALS_MAX`]; beyond, they are sent again, as who replays would.
//!
//! Deliberately not here: the same bytes for the same seed. Keys are drawn by the TLS library; kinds, order and lengths
//! are the seed's.

use crate::crowd::rng::{Rng, scaled};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// First packets that are kept.
pub(super) const INITIALS_MAX: usize = 4096;
/// Bytes of a packet, at most and where QUIC wants that many.
const PACKET_BYTES: usize = 1200;
/// A name for the hello; nobody comes to see the certificate.
const SERVER_NAME: &str = "localhost";

/// Kinds, which come in turn. Noise is counted by nobody. A handshake that begins is in
/// `uproar_connections_total{proto="quic"}`: as accepted and later timed out, or as retried, dropped or refused.
pub(super) const KINDS: [&str; 4] = [NOISE, UNKNOWN_VERSION, INITIAL, BROKEN_INITIAL];
/// Any bytes.
pub(super) const NOISE: &str = "noise";
/// A long header of a version that nobody speaks.
pub(super) const UNKNOWN_VERSION: &str = "unknown_version";
/// A first packet of its own.
pub(super) const INITIAL: &str = "initial";
/// One that was sent before, from another address.
pub(super) const REPLAYED_INITIAL: &str = "replayed_initial";
/// One whose seal is broken.
pub(super) const BROKEN_INITIAL: &str = "broken_initial";

/// First packets to a server.
///
/// # Errors
/// When TLS or QUIC cannot be set up; the text says why.
pub(super) fn initials(server: SocketAddr, count: usize, now: Instant) -> Result<Vec<Box<[u8]>>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![uproar_wire::ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let client = ClientConfig::new(Arc::new(crypto));
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), None, false, None);
    (0..count.min(INITIALS_MAX)).map(|_| initial(&mut endpoint, &client, server, now)).collect()
}

fn initial(
    endpoint: &mut Endpoint,
    client: &ClientConfig,
    server: SocketAddr,
    now: Instant,
) -> Result<Box<[u8]>, String> {
    let connected = endpoint.connect(now, client.clone(), server, SERVER_NAME);
    let (_, mut connection) = connected.map_err(|error| error.to_string())?;
    let mut packet = Vec::with_capacity(PACKET_BYTES);
    let transmit = connection.poll_transmit(now, 1, &mut packet).ok_or("no first packet")?;
    packet.truncate(transmit.size);
    Ok(packet.into())
}

/// Makes one number after the other.
#[derive(Debug)]
pub(super) struct Packets {
    rng: Rng,
    initials: Vec<Box<[u8]>>,
    made: usize,
    initials_sent: usize,
}

impl Packets {
    /// From a seed and first packets.
    pub(super) fn new(seed: u64, initials: Vec<Box<[u8]>>) -> Self {
        Self { rng: Rng::of([seed, 0x0068_6f73_7469_6c65, 1]), initials, made: 0, initials_sent: 0 }
    }

    /// Puts the next one into `packet`; its kind.
    pub(super) fn next(&mut self, packet: &mut Vec<u8>) -> &'static str {
        let kind = KINDS[self.made % KINDS.len()];
        self.made += 1;
        packet.clear();
        match kind {
            INITIAL if !self.initials.is_empty() => self.initial(packet),
            BROKEN_INITIAL if !self.initials.is_empty() => {
                self.any_initial(packet);
                // The last byte is of the seal.
                packet.last_mut().into_iter().for_each(|byte| *byte ^= 1);
                kind
            }
            UNKNOWN_VERSION => {
                self.noise(PACKET_BYTES, packet);
                packet[0] |= 0xc0;
                // A version of the pattern that is reserved for being unknown (RFC 9000, 15).
                packet[1..5].iter_mut().for_each(|byte| *byte = (*byte & 0xf0) | 0x0a);
                kind
            }
            _ => {
                let len = 1 + self.below(PACKET_BYTES);
                self.noise(len, packet);
                // Without the bit of a long header, which chance would make a version of.
                packet[0] &= 0x7f;
                NOISE
            }
        }
    }

    fn initial(&mut self, packet: &mut Vec<u8>) -> &'static str {
        let place = self.initials_sent;
        self.initials_sent += 1;
        packet.extend_from_slice(&self.initials[place % self.initials.len()]);
        if place < self.initials.len() { INITIAL } else { REPLAYED_INITIAL }
    }

    fn any_initial(&mut self, packet: &mut Vec<u8>) {
        let place = self.below(self.initials.len());
        packet.extend_from_slice(&self.initials[place]);
        // Another connection id, or it would belong to the handshake that it is a copy of. Its seal depends on it.
        let id: [u8; 4] = (self.rng.next() as u32).to_le_bytes();
        packet[6..10].copy_from_slice(&id);
    }

    fn noise(&mut self, len: usize, packet: &mut Vec<u8>) {
        packet.resize(len, 0);
        self.rng.fill_bytes(packet);
    }

    fn below(&mut self, n: usize) -> usize {
        scaled(self.rng.next() as u32, n as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(seed: u64) -> Packets {
        let initials = initials(([127, 0, 0, 1], 1).into(), 3, super::super::now().into_std()).unwrap();
        Packets::new(seed, initials)
    }

    #[test]
    fn first_packets_are_those_of_quic() {
        for initial in &packets(1).initials {
            assert!(initial.len() >= PACKET_BYTES);
            // A long header of type Initial, version 1, and a connection id of at least 8 bytes (RFC 9000, 7.2).
            assert_eq!((initial[0] & 0xf0, &initial[1..5]), (0xc0, &[0, 0, 0, 1][..]));
            assert!(initial[5] >= 8);
        }
    }

    #[test]
    fn kinds_come_in_turn_and_first_packets_are_replayed_when_there_are_no_more() {
        let (mut packets, mut packet) = (packets(1), Vec::new());
        let kinds: Vec<&str> = (0..16).map(|_| packets.next(&mut packet)).collect();
        let initials: Vec<&str> = kinds.iter().skip(2).step_by(4).copied().collect();
        assert_eq!(initials, [INITIAL, INITIAL, INITIAL, REPLAYED_INITIAL]);
        assert_eq!((kinds[0], kinds[1], kinds[3]), (NOISE, UNKNOWN_VERSION, BROKEN_INITIAL));
    }
}
