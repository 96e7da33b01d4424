//! The TLS session of one connection: the whole of rustls while it shakes hands, then only the secrets of key updates.
//!
//! Invariant: rustls' connection is gone once the handshake is complete and everything it had to say, tickets included,
//! is with QUIC. QUIC permits a client no handshake message after that, so one that comes is an error of the protocol.

use super::keys::initial_suite;
use crate::quic::transport::ALPN_HTTP3;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::quic::{self, KeyChange, Secrets, ServerConnection, Version};
use std::any::Any;
use std::sync::Arc;

/// Version 1 of QUIC, the only one that is not a draft.
const VERSION_1: u32 = 1;
/// Alert of TLS: a message came that this state does not expect.
const UNEXPECTED_MESSAGE: u8 = 10;

/// Makes the session of each connection; shared by all shards.
pub struct ServerCrypto {
    tls: Arc<rustls::ServerConfig>,
    /// What protects packets before there is a session.
    initial: Arc<QuicServerConfig>,
}

impl ServerCrypto {
    /// # Errors
    /// When `tls` lacks AES-128-GCM, which protects every connection's first packets.
    pub(in crate::quic) fn new(
        tls: rustls::ServerConfig,
    ) -> Result<Self, quinn_proto::crypto::rustls::NoInitialCipherSuite> {
        let tls = Arc::new(tls);
        Ok(Self { initial: Arc::new(QuicServerConfig::try_from(tls.clone())?), tls })
    }
}

impl crypto::ServerConfig for ServerCrypto {
    fn initial_keys(&self, version: u32, client_dst: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.initial.initial_keys(version, client_dst)
    }

    fn retry_tag(&self, version: u32, client_dst: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.initial.retry_tag(version, client_dst, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        let version = if version == VERSION_1 { Version::V1 } else { Version::V1Draft };
        let mut encoded = Vec::new();
        params.write(&mut encoded);
        let handshake = ServerConnection::new(self.tls.clone(), version, encoded)
            .expect("it fails for TLS 1.2 or for odd early data, and `tls_config` has neither");
        Box::new(LeanSession { version, handshake: Some(Box::new(handshake)), has_told: false, next_secrets: None })
    }
}

/// The client will speak HTTP/3.
pub(in crate::quic) struct AgreedHttp3;

/// See the module.
struct LeanSession {
    version: Version,
    handshake: Option<Box<ServerConnection>>,
    /// Whether QUIC was told that the client's first message was understood.
    has_told: bool,
    next_secrets: Option<Box<Secrets>>,
}

fn unexpected_message() -> TransportError {
    TransportError {
        code: TransportErrorCode::crypto(UNEXPECTED_MESSAGE),
        frame: None,
        reason: "a handshake message after the handshake".into(),
    }
}

/// As QUIC takes them.
fn boxed(keys: quic::Keys) -> Keys {
    let quic::Keys { local, remote } = keys;
    Keys {
        header: KeyPair { local: Box::new(local.header), remote: Box::new(remote.header) },
        packet: KeyPair { local: Box::new(local.packet), remote: Box::new(remote.packet) },
    }
}

impl Session for LeanSession {
    fn initial_keys(&self, client_dst: &ConnectionId, _: Side) -> Keys {
        boxed(initial_suite().keys(client_dst, rustls::Side::Server, self.version))
    }

    /// [`AgreedHttp3`], while the handshake goes on; nobody asks for anything else.
    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let agreed = self.handshake.as_ref()?.alpn_protocol()?;
        (agreed == ALPN_HTTP3).then(|| Box::new(AgreedHttp3) as Box<dyn Any>)
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        None
    }

    /// Early data is not accepted.
    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        None
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.is_handshaking())
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        let Some(handshake) = &mut self.handshake else { return Err(unexpected_message()) };
        if let Err(error) = handshake.read_hs(bytes) {
            let code = handshake.alert().map(|alert| TransportErrorCode::crypto(alert.into()));
            let code = code.unwrap_or(TransportErrorCode::PROTOCOL_VIOLATION);
            return Err(TransportError { code, frame: None, reason: error.to_string() });
        }
        let is_understood = handshake.alpn_protocol().is_some() || !handshake.is_handshaking();
        Ok(is_understood && !std::mem::replace(&mut self.has_told, true))
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(handshake) = &self.handshake else { return Ok(None) };
        let Some(mut encoded) = handshake.quic_transport_parameters() else { return Ok(None) };
        Ok(Some(TransportParameters::read(Side::Server, &mut encoded)?))
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        let handshake = self.handshake.as_mut()?;
        let keys = match handshake.write_hs(out) {
            Some(KeyChange::Handshake { keys }) => keys,
            Some(KeyChange::OneRtt { keys, next }) => {
                self.next_secrets = Some(Box::new(next));
                keys
            }
            None => {
                if out.is_empty() && !handshake.is_handshaking() {
                    self.handshake = None;
                }
                return None;
            }
        };
        Some(boxed(keys))
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let next = self.next_secrets.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(next.local), remote: Box::new(next.remote) })
    }

    /// Only clients are told to retry.
    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn export_keying_material(&self, _: &mut [u8], _: &[u8], _: &[u8]) -> Result<(), ExportKeyingMaterialError> {
        Err(ExportKeyingMaterialError)
    }
}
