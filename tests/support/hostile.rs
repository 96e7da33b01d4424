//! A QUIC peer that sends what it likes: no SDK stands between the test and the bytes.

use super::{DEADLINE, Server};
use quinn::crypto::rustls::QuicClientConfig;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A certificate that a server is started with and that hostile peers trust.
pub(crate) struct Identity {
    directory: TempDir,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

impl Identity {
    /// Makes one, and writes it and its key to files.
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { directory, certificate: made.cert.der().clone() }
    }

    /// The flags of `uproar serve` that use it.
    pub(crate) fn flags(&self) -> [String; 2] {
        let path = self.directory.path().display();
        [format!("--certificate={path}/certificate.pem"), format!("--private-key={path}/key.pem")]
    }
}

/// One connection.
pub(crate) struct HostilePeer {
    runtime: Runtime,
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl HostilePeer {
    /// Completes the handshake under the protocol name `alpn`, if the server does.
    pub(crate) fn connect(server: &Server, identity: &Identity, alpn: &[u8]) -> Result<Self, quinn::ConnectionError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(identity.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let (endpoint, connected) = runtime.block_on(async {
            let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
            let connecting = endpoint.connect_with(config, server.quic(), "localhost").unwrap();
            (endpoint, tokio::time::timeout(DEADLINE, connecting).await.expect("an answer to the handshake"))
        });
        Ok(Self { connection: connected?, _endpoint: endpoint, runtime })
    }

    /// Sends a QUIC DATAGRAM frame.
    pub(crate) fn send_datagram(&self, bytes: &[u8]) {
        let _context = self.runtime.enter();
        self.connection.send_datagram(bytes.to_vec().into()).unwrap();
    }

    /// Opens the control stream, writes `bytes` on it and ends it.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.runtime.block_on(async {
            let (mut control, _) = self.connection.open_bi().await.unwrap();
            // The server may have heard enough before the end.
            let _ = control.write_all(bytes).await;
            let _ = control.finish();
        });
    }

    /// Opens the control stream, asks without end and reads no answer, until the connection is closed; in the
    /// background. Returns when the server has stopped reading: what it was offered by then is beyond all windows.
    pub(crate) fn flood(&self, hello: &[u8], request: &[u8]) {
        let (mut control, answers) = self.runtime.block_on(async { self.connection.open_bi().await.unwrap() });
        let requests = request.repeat(FLOOD_BYTES / request.len());
        let (told, heard) = std::sync::mpsc::channel();
        let hello = hello.to_vec();
        self.runtime.spawn(async move {
            let _unread = answers;
            control.write_all(&hello).await.unwrap();
            let mut left = &requests[..];
            loop {
                match tokio::time::timeout(STUCK, control.write(left)).await {
                    Ok(Ok(taken)) => left = &left[taken..],
                    Ok(Err(_)) => return,
                    // Nothing was taken for long: it is held up.
                    Err(_) => _ = told.send(()),
                }
            }
        });
        heard.recv_timeout(DEADLINE).expect("the server stops reading");
    }

    /// How many bytes of room streams came to their ends.
    pub(crate) fn read_room(&self) -> Vec<u8> {
        let room = async {
            let mut stream = self.connection.accept_uni().await.unwrap();
            stream.read_to_end(FLOOD_BYTES).await.unwrap()
        };
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, room).await.expect("the stream ends") })
    }

    /// The code with which the server closes.
    pub(crate) fn close_code(&self) -> u64 {
        let closed = async { tokio::time::timeout(DEADLINE, self.connection.closed()).await };
        match self.runtime.block_on(closed).expect("the server closes") {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("closed otherwise: {other}"),
        }
    }
}
