//! What the fleet asks of QUIC and TLS: a viewer's phone, as lean as it can be.
//!
//! Deliberately not here: trust, which is that of `uproar-client`: a subscriber's handshake costs the server and the fleet
//! what an application's does.

use super::FleetConfig;
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, RandomConnectionIdGenerator};
use quinn_proto::{TransportConfig, VarInt};
use rustls::client::Resumption;
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
    let rooms = config.seating.rooms_each() as u32;
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

fn tls(config: &FleetConfig) -> Result<rustls::ClientConfig, uproar_client::Error> {
    let mut tls = config.trust.tls()?;
    tls.resumption = match config.resume {
        // One server name: the cache keeps a few of its tickets for whoever comes next.
        true => Resumption::in_memory_sessions(1),
        false => Resumption::disabled(),
    };
    Ok(tls)
}
