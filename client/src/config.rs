//! What an application may choose about its connections; every choice has a default that suits one viewer.
//!
//! Deliberately not here: receive windows. They follow from the wire contract's largest message.

use crate::error::Error;
use crate::trust::Trust;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::ClientId;
use uproar_wire::hello::ROOMS_MAX;

/// Bytes a room's stream may run ahead of the application: a whole message of the largest kind.
const STREAM_WINDOW: u32 = uproar_wire::stream::MESSAGE_MAX as u32 + 4;
/// Bytes all rooms' streams together may run ahead: frames are small, a few full palettes at once are rare.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// Bytes of reactions waiting to be sent; beyond this, reacting waits.
const DATAGRAM_BUFFER: usize = 64 * 1024;
/// Bytes of datagrams from the server kept. It sends none, but without any room for them none may be sent either.
const DATAGRAM_RECEIVE_BUFFER: usize = uproar_wire::reaction::DATAGRAM_MAX;

/// Choices for the connections of one endpoint.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(crate) trust: Trust,
    pub(crate) bind: SocketAddr,
    pub(crate) client_id: ClientId,
    pub(crate) token: Vec<u8>,
    pub(crate) socket_buffer_bytes: Option<usize>,
    idle_timeout: Duration,
    keep_alive: Option<Duration>,
    rooms_max: u16,
}

impl ClientConfig {
    /// Defaults: any free IPv4 port, idle time-out 30 s, keep-alive 10 s, unnamed client, no token.
    pub fn new(trust: Trust) -> Self {
        Self {
            trust,
            bind: (Ipv4Addr::UNSPECIFIED, 0).into(),
            client_id: ClientId(0),
            token: Vec::new(),
            socket_buffer_bytes: None,
            idle_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(10)),
            rooms_max: ROOMS_MAX as u16,
        }
    }

    /// The local address to send from; its family must be the server's.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// How long a silent server is believed to be there.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How often to speak when nothing is to be said. The server forgets a connection that is silent for 30 s, so
    /// without this the subscription of a quiet room ends.
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.keep_alive = interval;
        self
    }

    /// The id that reactions are sent under; 0 is nobody in particular.
    pub fn client_id(mut self, id: ClientId) -> Self {
        self.client_id = id;
        self
    }

    /// Proof that this client may subscribe, at most [`uproar_wire::hello::TOKEN_MAX`] bytes; longer ones are cut.
    pub fn token(mut self, mut token: Vec<u8>) -> Self {
        token.truncate(uproar_wire::hello::TOKEN_MAX);
        self.token = token;
        self
    }

    /// Rooms one connection will watch at a time, at most [`ROOMS_MAX`]: state is kept for each from the start, which matters
    /// to who opens thousands of connections.
    pub fn rooms_max(mut self, rooms: u16) -> Self {
        self.rooms_max = rooms.clamp(1, ROOMS_MAX as u16);
        self
    }

    /// Asks the kernel for socket buffers of this size, each way; it grants what its limits allow. Needed where many
    /// connections share one socket, as all their frames come at the same moment.
    pub fn socket_buffer_bytes(mut self, bytes: usize) -> Self {
        self.socket_buffer_bytes = Some(bytes);
        self
    }

    pub(crate) fn transport(&self) -> Result<TransportConfig, Error> {
        let idle =
            IdleTimeout::try_from(self.idle_timeout).map_err(|_| Error::IdleTimeout(self.idle_timeout.as_millis()))?;
        let mut transport = TransportConfig::default();
        transport
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive)
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            // Twice, so that rooms can be joined before the ends of as many that were left have been read.
            .max_concurrent_uni_streams(VarInt::from_u32(2 * u32::from(self.rooms_max)))
            .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
            .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
            .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER))
            .datagram_send_buffer_size(DATAGRAM_BUFFER);
        Ok(transport)
    }

    pub(crate) fn quic(&self) -> Result<quinn::ClientConfig, Error> {
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(self.trust.tls()?)
            .map_err(|error| Error::Trust(error.to_string()))?;
        let mut quic = quinn::ClientConfig::new(Arc::new(tls));
        quic.transport_config(Arc::new(self.transport()?));
        Ok(quic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_timeout_beyond_quic_is_refused_and_said() {
        let config = ClientConfig::new(Trust::DangerAnyCertificate).idle_timeout(Duration::MAX);
        let error = config.quic().err().unwrap();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
