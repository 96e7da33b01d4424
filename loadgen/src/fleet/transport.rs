//! What the fleet asks of QUIC and TLS: a viewer's phone, as lean as it can be.
//!
//! Deliberately not here: trust. The fleet believes whoever answers and checks no signature, as what it measures is the
//! server; an application takes `uproar-client`.

use super::FleetConfig;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, RandomConnectionIdGenerator};
use quinn_proto::{TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self as provider, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;

/// Bytes of the connection ids that the fleet is addressed by.
const CONNECTION_ID_LEN: usize = 8;
/// Bytes of out-of-order handshake kept: a server's certificate chain.
const CRYPTO_BUFFER: usize = 16 * 1024;
/// Bytes of its own that a subscriber may have under way: one hello.
const SEND_WINDOW: u64 = uproar_wire::hello::MESSAGE_MAX as u64;

/// An endpoint that accepts nobody.
pub(super) fn endpoint() -> Endpoint {
    let mut endpoint = EndpointConfig::default();
    endpoint.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(CONNECTION_ID_LEN)));
    Endpoint::new(Arc::new(endpoint), None, false, None)
}

/// What every connection of a fleet starts from.
///
/// # Errors
/// When TLS does not come about; the text says why.
pub(super) fn client(config: &FleetConfig) -> Result<ClientConfig, String> {
    let crypto = QuicClientConfig::try_from(tls(config).map_err(|error| error.to_string())?);
    let mut client = ClientConfig::new(Arc::new(crypto.map_err(|error| error.to_string())?));
    client.transport_config(Arc::new(transport(config)));
    Ok(client)
}

fn transport(config: &FleetConfig) -> TransportConfig {
    let rooms = config.rooms.len() as u32;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        // QUIC keeps state for every stream that it permits the peer to open.
        .max_concurrent_uni_streams(VarInt::from_u32(rooms))
        .stream_receive_window(VarInt::from_u32(config.stream_window_bytes))
        .receive_window(VarInt::from_u32(config.stream_window_bytes.saturating_mul(rooms)))
        .send_window(SEND_WINDOW)
        .mtu_discovery_config(None)
        .max_idle_timeout(Some(config.idle_timeout.try_into().unwrap_or(IdleTimeout::from(VarInt::MAX))))
        .keep_alive_interval(config.keep_alive)
        .crypto_buffer_size(CRYPTO_BUFFER)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .allow_spin(false)
        // A subscriber sends acknowledgements, one datagram at a time.
        .enable_segmentation_offload(false);
    transport
}

fn tls(config: &FleetConfig) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        ..provider::default_provider()
    };
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    tls.alpn_protocols = vec![uproar_wire::ALPN.to_vec()];
    tls.resumption = match config.resume {
        // One server name: the cache keeps a few of its tickets for whoever comes next.
        true => Resumption::in_memory_sessions(1),
        false => Resumption::disabled(),
    };
    Ok(tls)
}

/// Believes whoever answers.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
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
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519, SignatureScheme::RSA_PSS_SHA256]
    }
}
