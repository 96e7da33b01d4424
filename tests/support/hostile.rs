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
    endpoint: quinn::Endpoint,
    /// Also remembers tickets.
    config: quinn::ClientConfig,
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
        let endpoint = runtime.block_on(async { quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap() });
        let connection = shake_hands(&runtime, &endpoint, &config, server)?;
        Ok(Self { connection, endpoint, config, runtime })
    }

    /// Connects again, with what it remembers of the connection before. That one need not be over.
    pub(crate) fn reconnect(&mut self, server: &Server) -> Result<(), quinn::ConnectionError> {
        self.connection = shake_hands(&self.runtime, &self.endpoint, &self.config, server)?;
        Ok(())
    }

    /// Waits until the server has opened a stream.
    pub(crate) fn wait_for_stream(&self) {
        let opened = async { tokio::time::timeout(DEADLINE, self.connection.accept_uni()).await };
        self.runtime.block_on(opened).expect("the server opens a stream").unwrap();
    }

    /// Waits for the end of the connection, and says how it ended.
    pub(crate) fn end(&self) -> quinn::ConnectionError {
        let closed = async { tokio::time::timeout(DEADLINE, self.connection.closed()).await };
        self.runtime.block_on(closed).expect("the connection ends")
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

    /// The code with which the server closes.
    pub(crate) fn close_code(&self) -> u64 {
        match self.end() {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            other => panic!("closed otherwise: {other}"),
        }
    }
}

fn shake_hands(
    runtime: &Runtime,
    endpoint: &quinn::Endpoint,
    config: &quinn::ClientConfig,
    server: &Server,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    runtime.block_on(async {
        let connecting = endpoint.connect_with(config.clone(), server.quic(), "localhost").unwrap();
        tokio::time::timeout(DEADLINE, connecting).await.expect("an answer to the handshake")
    })
}
