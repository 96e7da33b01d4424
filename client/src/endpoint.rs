//! One UDP socket, and the connections that share it.
//!
//! Deliberately not here: name resolution. Which of a name's addresses to try is the application's policy.

use crate::client::Client;
use crate::config::ClientConfig;
use crate::error::Error;
use quinn::{EndpointConfig, TokioRuntime, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use uproar_wire::ClientId;
use uproar_wire::hello::CloseCode;

/// One UDP socket for any number of connections. Clones share it.
#[derive(Clone, Debug)]
pub struct ClientEndpoint {
    quic: quinn::Endpoint,
    client_id: ClientId,
    token: Arc<[u8]>,
}

impl ClientEndpoint {
    /// Opens the socket. Runs on the tokio runtime it is called from.
    ///
    /// # Errors
    /// [`Error::Bind`] when the address is not to be had; [`Error::Trust`] and [`Error::IdleTimeout`] when the
    /// configuration cannot be used.
    pub fn bind(config: &ClientConfig) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: config.bind, source };
        let socket = open_socket(config).map_err(failed)?;
        let runtime = Arc::new(TokioRuntime);
        let mut quic = quinn::Endpoint::new(EndpointConfig::default(), None, socket, runtime).map_err(failed)?;
        quic.set_default_client_config(config.quic()?);
        Ok(Self { quic, client_id: config.client_id, token: config.token.clone().into() })
    }

    /// Connects, under the endpoint's client id.
    ///
    /// # Errors
    /// [`Error::Connect`] when address or name cannot be used, [`Error::Refused`] when the server takes no more,
    /// [`Error::Connection`] or [`Error::Closed`] when it cannot be reached or is not believed.
    pub async fn connect(&self, server: SocketAddr, server_name: &str) -> Result<Client, Error> {
        self.connect_as(self.client_id, server, server_name).await
    }

    /// Connects, under a client id of its own.
    ///
    /// # Errors
    /// As [`ClientEndpoint::connect`].
    pub async fn connect_as(&self, id: ClientId, server: SocketAddr, server_name: &str) -> Result<Client, Error> {
        let connection = self.quic.connect(server, server_name)?.await?;
        Ok(Client::new(self.clone(), connection, id))
    }

    /// The address connections are sent from.
    ///
    /// # Errors
    /// [`Error::Socket`] when the system does not say.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.quic.local_addr().map_err(Error::Socket)
    }

    /// Moves all connections to another socket, as when a phone changes networks. They live on.
    ///
    /// # Errors
    /// [`Error::Socket`] when the socket cannot be used; the old one stays.
    pub fn rebind(&self, socket: UdpSocket) -> Result<(), Error> {
        self.quic.rebind(socket).map_err(Error::Socket)
    }

    /// Closes all connections and waits until the servers have been told.
    pub async fn close(&self) {
        self.quic.close(VarInt::from_u32(CloseCode::Done as u32), b"");
        self.quic.wait_idle().await;
    }

    pub(crate) fn token(&self) -> &[u8] {
        &self.token
    }
}

fn open_socket(config: &ClientConfig) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(config.bind), Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(bytes) = config.socket_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&config.bind.into())?;
    Ok(socket.into())
}
