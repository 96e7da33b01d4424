//! What this server asks of QUIC and TLS, each setting with its reason.
//!
//! The aim is a subscriber that costs little while nothing happens: one that watches a room gets a small message every
//! window and says almost nothing. Reading certificates from files, and making one for development, is the edge's.

use super::connection_id::ShardConnectionIds;
use super::crypto::{self, ServerCrypto};
use super::tickets::Tickets;
use super::{QuicConfig, QuicSettings};
use crate::limits;
use aws_lc_rs::{hkdf, hmac};
use quinn_proto::crypto::rustls::NoInitialCipherSuite;
use quinn_proto::{
    Endpoint, EndpointConfig, IdleTimeout, NoneTokenLog, ServerConfig, TimeSource, TransportConfig,
    ValidationTokenConfig, VarInt,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustls::crypto::aws_lc_rs::{self as provider, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;

/// The protocol that subscribers name in their handshake.
pub const ALPN: &[u8] = b"uproar/1";
/// The protocol that browsers name.
pub const ALPN_HTTP3: &[u8] = b"h3";

/// What a random number generator starts from.
pub(super) type Seed = [u8; 32];

/// TLS as subscribers meet it. `tickets` are the same on all nodes that should resume one another's sessions.
///
/// # Errors
/// When the chain or the key cannot be used, or do not belong together.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    tickets: Tickets,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = rustls::crypto::CryptoProvider {
        // AES-128-GCM seals a small packet fastest on server CPUs; a frame every window costs a phone nothing either way.
        cipher_suites: vec![
            crypto::lean_aes_128(),
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        // No post-quantum group: its key share makes ClientHello and ServerHello span two packets each, so that one
        // lost packet more delays a crowd that arrives at kick-off. What is protected is on every screen anyway.
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1],
        ..provider::default_provider()
    };
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        // QUIC knows no other version.
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // The order above is the server's, as the server seals a packet for each of a million subscribers.
    tls.ignore_client_order = true;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // Resumption saves the signature. Tickets hold the state themselves, so that any shard takes any shard's ticket
    // and none remembers sessions; one each, as a phone comes back with one connection.
    tls.ticketer = Arc::new(tickets);
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.send_tls13_tickets = 1;
    // Early data can be replayed, and a replayed reaction would be counted twice.
    tls.max_early_data_size = 0;
    Ok(tls)
}

/// Lets browsers in, too; for servers with [`QuicConfig::webtransport`].
pub fn speak_http3(tls: &mut rustls::ServerConfig) {
    tls.alpn_protocols.push(ALPN_HTTP3.to_vec());
}

/// [`tls_config`]'s result as QUIC takes it; shared by all shards.
///
/// # Errors
/// When `tls` lacks AES-128-GCM, which protects every connection's first packets.
pub fn server_crypto(tls: rustls::ServerConfig) -> Result<Arc<ServerCrypto>, NoInitialCipherSuite> {
    Ok(Arc::new(ServerCrypto::new(tls)?))
}

/// What servers of a process have in common, whatever their settings.
pub(super) struct Lasting {
    token_key: Arc<hkdf::Prk>,
    clock: Arc<dyn TimeSource>,
}

impl Lasting {
    pub(super) fn of(config: &QuicConfig) -> Self {
        let token_key = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&config.token_key);
        Self { token_key: Arc::new(token_key), clock: config.clock.clone() }
    }

    /// What QUIC is told to accept connections with from here on.
    pub(super) fn server(&self, settings: &QuicSettings) -> Arc<ServerConfig> {
        let mut server = ServerConfig::new(settings.tls.clone(), self.token_key.clone());
        server.transport_config(Arc::new(transport(settings.idle_timeout)));
        // Phones change networks in the middle of a match.
        server.migration(true);
        // One more than may wait, so that who comes then is seen and counted.
        server.max_incoming(settings.handshakes.max + 1);
        server.incoming_buffer_size(limits::QUIC_WAITING_BYTES);
        server.incoming_buffer_size_total(limits::QUIC_WAITING_BYTES_TOTAL);
        server.time_source(self.clock.clone());
        server.retry_token_lifetime(limits::RETRY_TOKEN_LIFETIME);
        // None for a later visit: a crowd that comes back waits for its turn anyway, so the round trip that such a token
        // saves is not the one it notices, and used ones would have to be remembered.
        server.validation_token_config(ValidationTokenConfig::default().sent(0).log(Arc::new(NoneTokenLog)).clone());
        Arc::new(server)
    }
}

/// The endpoint of one shard. `seed` decides connection ids and all of QUIC's other choices; TLS has its own entropy.
pub(super) fn endpoint(config: &QuicConfig, lasting: &Lasting, seed: Seed) -> Endpoint {
    let mut seeds = StdRng::from_seed(seed);
    let [mut id_seed, mut quic_seed] = [Seed::default(); 2];
    seeds.fill_bytes(&mut id_seed);
    seeds.fill_bytes(&mut quic_seed);
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &config.reset_key);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    // After a restart without a farewell every subscriber of before is owed a reset, and waits for it. Each is smaller
    // than the packet that asks for it, and those of one turn are bounded as all answers without a connection are.
    endpoint.min_reset_interval(Duration::ZERO);
    let (shard, shards) = (config.shard, config.shards);
    endpoint.cid_generator(move || Box::new(ShardConnectionIds::new(shard, shards, id_seed)));
    Endpoint::new(Arc::new(endpoint), Some(lasting.server(&config.settings)), false, Some(quic_seed))
}

fn transport(idle_timeout: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        // The control stream, and what HTTP/3 asks of every server. QUIC keeps state for every stream that it permits the
        // peer to open.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(limits::QUIC_UNI_STREAMS))
        // Frames are smaller than a packet; probing for larger ones would cost more than it saves.
        .mtu_discovery_config(None)
        // Whoever wants to stay says so: a server that pings a million idle phones pays for all of them.
        .keep_alive_interval(None)
        .max_idle_timeout(Some(idle_timeout.try_into().unwrap_or(IdleTimeout::from(VarInt::MAX))))
        // For observers of the network; nobody here reads it.
        .allow_spin(false)
        .crypto_buffer_size(limits::QUIC_CRYPTO_BUFFER)
        .datagram_receive_buffer_size(Some(limits::QUIC_DATAGRAM_BUFFER))
        // The server sends none.
        .datagram_send_buffer_size(0)
        // Frames that a subscriber does not take pile up in the outbox, where the newest one replaces the others.
        .send_window(limits::QUIC_SEND_WINDOW)
        .stream_receive_window(VarInt::from_u32(limits::QUIC_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(limits::QUIC_RECEIVE_WINDOW))
        // A palette leaves as trains.
        .enable_segmentation_offload(true);
    transport
}
