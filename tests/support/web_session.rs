//! Watching as a browser does: a WebTransport session of an independent client, [`web_transport_quinn`].
//!
//! Everything here is to be awaited, within whatever time the caller thinks right. Not here: what the server should do,
//! and peers that break the rules.

#![allow(dead_code, reason = "several targets of tests and benches include this file, and none uses all of it")]

use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uproar_wire::RoomId;
use uproar_wire::frame::Frame;
use uproar_wire::hello::{Hello, Welcome};
use uproar_wire::http::WEBTRANSPORT_PATH;
use uproar_wire::stream::{self, RoomMessage};
use web_transport_quinn::http::{HeaderName, HeaderValue, StatusCode};
use web_transport_quinn::proto::{self, ConnectRequest};
use web_transport_quinn::{
    ClientError, ConnectError, RecvStream, SendStream, Session, SessionError, WebTransportError,
};

/// Who connects, any number of times.
pub(crate) struct WebClient {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
}

impl WebClient {
    /// One that trusts `certificate`. To be called within a runtime.
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3 is provided")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![web_transport_quinn::ALPN.into()];
        let tls = QuicClientConfig::try_from(tls).expect("the provider has what QUIC needs");
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        let mut transport = quinn::TransportConfig::default();
        transport.keep_alive_interval(Some(Duration::from_secs(5)));
        config.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("loopback is there");
        Self { endpoint, config }
    }

    /// A QUIC connection on which HTTP/3 is agreed, and nothing said yet.
    pub(crate) async fn connect(&self, quic: SocketAddr) -> Result<quinn::Connection, ClientError> {
        Ok(self.endpoint.connect_with(self.config.clone(), quic, "localhost")?.await?)
    }

    /// A session, of the page of `origin` if there is one.
    pub(crate) async fn open(
        &self,
        quic: SocketAddr,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Session, ClientError> {
        Session::connect(self.connect(quic).await?, request(quic, path, origin)).await
    }

    /// A session that watches `room`.
    pub(crate) async fn watch(&self, quic: SocketAddr, room: RoomId) -> Result<WebViewer, ClientError> {
        let session = self.open(quic, WEBTRANSPORT_PATH, None).await?;
        Ok(WebViewer::watch(session, room).await)
    }
}

/// What a client asks for.
pub(crate) fn request(quic: SocketAddr, path: &str, origin: Option<&str>) -> ConnectRequest {
    let url = format!("https://localhost:{}{path}", quic.port());
    let request = ConnectRequest::new(url::Url::parse(&url).expect("an address"));
    match origin {
        Some(origin) => {
            let origin = HeaderValue::from_str(origin).expect("an origin");
            request.with_header(HeaderName::from_static("origin"), origin)
        }
        None => request,
    }
}

/// The status with which a session was refused.
pub(crate) fn refused_status(error: &ClientError) -> Option<StatusCode> {
    match error {
        ClientError::HttpError(ConnectError::ProtoError(proto::ConnectError::WrongStatus(status))) => *status,
        ClientError::HttpError(ConnectError::ErrorStatus(status)) => Some(*status),
        _ => None,
    }
}

/// The code and the reason with which the server closed a session.
pub(crate) fn close_code(error: &SessionError) -> Option<(u32, &str)> {
    match error {
        SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => Some((*code, reason)),
        _ => None,
    }
}

/// A session that watches one room.
pub(crate) struct WebViewer {
    pub(crate) session: Session,
    pub(crate) control: SendStream,
    /// Kept, as letting go of it tells the server to stop.
    answers: RecvStream,
    room: RecvStream,
    unread: Vec<u8>,
}

impl WebViewer {
    /// Says hello and waits for the welcome and the room's stream.
    ///
    /// # Panics
    /// When the server ends the session instead, or says what it must not.
    pub(crate) async fn watch(session: Session, room: RoomId) -> Self {
        let (mut control, mut answers) = session.open_bi().await.expect("a stream is permitted");
        let mut hello = Vec::new();
        Hello { rooms: vec![room], token: Vec::new() }.encode(&mut hello);
        control.write_all(&hello).await.expect("the server reads");
        let mut bytes = vec![0; 2];
        answers.read_exact(&mut bytes).await.expect("a welcome");
        bytes.resize(2 + usize::from(u16::from_le_bytes([bytes[0], bytes[1]])), 0);
        answers.read_exact(&mut bytes[2..]).await.expect("a welcome");
        let (welcome, _) = Welcome::decode(&bytes).expect("a welcome").expect("a whole one");
        assert_eq!(welcome.rooms, [(room, uproar_wire::hello::RoomStatus::Subscribed)]);
        let room = session.accept_uni().await.expect("the room's stream");
        Self { session, control, answers, room, unread: Vec::new() }
    }

    /// What comes next of the room; `None` at the end of the stream or of the session.
    pub(crate) async fn next(&mut self) -> Option<RoomMessage> {
        loop {
            if let Some((message, taken)) = stream::decode(&self.unread).expect("what the wire says") {
                self.unread.drain(..taken);
                return Some(message);
            }
            let chunk = self.room.read_chunk(usize::MAX, true).await.ok()??;
            self.unread.extend_from_slice(&chunk.bytes);
        }
    }

    /// The next frame; palettes before it are passed over.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let RoomMessage::Frame(frame) = self.next().await? {
                return Some(frame);
            }
        }
    }
}
