//! A QUIC peer that sends what it likes: no SDK stands between the test and the bytes.

use super::{DEADLINE, Server};
use quinn::crypto::rustls::QuicClientConfig;
use std::path::Path;
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
        Self::of(&rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap())
    }

    /// One whose time is over.
    pub(crate) fn expired() -> Self {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 2, 1);
        Self::of(&params)
    }

    fn of(params: &rcgen::CertificateParams) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { directory, certificate: certificate.der().clone() }
    }

    /// Puts the certificate of `other` in the files of this one.
    pub(crate) fn serve_instead(&self, other: &Self) {
        ["certificate.pem", "key.pem"].iter().for_each(|file| self.copy_from(other, file));
    }

    /// Puts one file of `other` in the place of this one's.
    pub(crate) fn copy_from(&self, other: &Self, file: &str) {
        std::fs::copy(other.directory.path().join(file), self.directory.path().join(file)).unwrap();
    }

    /// Writes it and its key to other files.
    pub(crate) fn copy_to(&self, certificate: &Path, key: &Path) {
        for (file, to) in [("certificate.pem", certificate), ("key.pem", key)] {
            std::fs::copy(self.directory.path().join(file), to).unwrap();
        }
    }

    /// Writes something else to one of the files.
    pub(crate) fn spoil(&self, file: &str, text: &str) {
        std::fs::write(self.directory.path().join(file), text).unwrap();
    }

    /// The certificate, which is its own authority.
    pub(crate) fn certificate(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.certificate.clone()
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
        Self::connect_with(server, identity, alpn, |_| {})
    }

    /// The same, with another transport.
    pub(crate) fn connect_with(
        server: &Server,
        identity: &Identity,
        alpn: &[u8],
        configure: impl FnOnce(&mut quinn::TransportConfig),
    ) -> Result<Self, quinn::ConnectionError> {
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
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = quinn::TransportConfig::default();
        // Who does not read takes little.
        transport.stream_receive_window(quinn::VarInt::from_u32(8192));
        configure(&mut transport);
        config.transport_config(Arc::new(transport));
        let endpoint = runtime.block_on(async { quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap() });
        let connection = shake_hands(&runtime, &endpoint, &config, server)?;
        Ok(Self { connection, endpoint, config, runtime })
    }

    /// Connects again, with what it remembers of the connection before. That one need not be over.
    pub(crate) fn reconnect(&mut self, server: &Server) -> Result<(), quinn::ConnectionError> {
        self.connection = shake_hands(&self.runtime, &self.endpoint, &self.config, server)?;
        Ok(())
    }

    /// Waits for the end of the connection, and says how it ended.
    pub(crate) fn end(&self) -> quinn::ConnectionError {
        let closed = async { tokio::time::timeout(DEADLINE, self.connection.closed()).await };
        self.runtime.block_on(closed).expect("the connection ends")
    }

    /// Sends a QUIC DATAGRAM frame.
    pub(crate) fn send_datagram(&self, bytes: &[u8]) {
        let _context = self.runtime.enter();
        match self.connection.send_datagram(bytes.to_vec().into()) {
            // It may be over already; how it ended is for the caller to ask.
            Ok(()) | Err(quinn::SendDatagramError::ConnectionLost(_)) => {}
            Err(error) => panic!("{error}"),
        }
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

    /// Opens the control stream, says hello, and asks without end and without reading an answer, in the background.
    pub(crate) fn flood(&self, hello: Vec<u8>, requests: Vec<u8>) {
        let connection = self.connection.clone();
        self.runtime.spawn(async move {
            let (mut control, _unread) = connection.open_bi().await.unwrap();
            control.write_all(&hello).await.unwrap();
            while control.write_all(&requests).await.is_ok() {}
        });
    }

    /// Says hello, and keeps the control stream open for requests. Answers are not read.
    pub(crate) fn talk(&self, bytes: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
        self.runtime.block_on(async {
            let (mut control, answers) = self.connection.open_bi().await.unwrap();
            control.write_all(bytes).await.unwrap();
            (control, answers)
        })
    }

    /// Sends more on a control stream of [`Self::talk`].
    pub(crate) fn say_more(&self, control: &mut quinn::SendStream, bytes: &[u8]) {
        self.runtime.block_on(control.write_all(bytes)).unwrap();
    }

    /// The next stream that the server opens.
    pub(crate) fn room_stream(&self) -> quinn::RecvStream {
        let opened = async { tokio::time::timeout(DEADLINE, self.connection.accept_uni()).await };
        self.runtime.block_on(opened).expect("a stream in time").unwrap()
    }

    /// Bytes of a room's stream, as they come; `None` at its end.
    pub(crate) fn read(&self, stream: &mut quinn::RecvStream) -> Option<Vec<u8>> {
        let chunk = async { tokio::time::timeout(DEADLINE, stream.read_chunk(usize::MAX, true)).await };
        self.runtime.block_on(chunk).expect("a chunk in time").unwrap().map(|chunk| chunk.bytes.to_vec())
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
