//! Which servers are believed. Everything is TLS 1.3 by aws-lc-rs, taken explicitly, so that an application may have
//! another process-wide provider or none.
//!
//! Invariant: only [`Trust::DangerAnyCertificate`] accepts a server that proves nothing. In all cases the handshake's
//! signature is checked against the certificate shown.

use crate::error::Error;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Which servers are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those whose certificate one of these authorities signed, for the server name connected to.
    Roots(Arc<RootCertStore>),
    /// Exactly the one that shows this certificate, whatever its name or validity says.
    Certificate(CertificateDer<'static>),
    /// Any at all: whoever sits on the path can read and change everything. Only for development on loopback.
    DangerAnyCertificate,
}

impl Trust {
    /// Trusts the authorities of a PEM file's contents.
    ///
    /// # Errors
    /// [`Error::Trust`] when it holds no certificate or one that cannot be an authority.
    pub fn roots_from_pem(pem: &[u8]) -> Result<Self, Error> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        Self::roots_from_der(certificates.map_err(|error| Error::Trust(error.to_string()))?)
    }

    /// Trusts these authorities.
    ///
    /// # Errors
    /// [`Error::Trust`] when there is none or one that cannot be an authority.
    pub fn roots_from_der(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| Error::Trust(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(Error::Trust("none found".into()));
        }
        Ok(Self::Roots(Arc::new(roots)))
    }

    /// The TLS side of a connection that believes these servers.
    ///
    /// # Errors
    /// [`Error::Trust`] when the cryptography does not come about.
    #[doc(hidden)]
    pub fn tls(&self) -> Result<rustls::ClientConfig, Error> {
        let provider = Arc::new(provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| Error::Trust(error.to_string()))?;
        let mut tls = match self {
            Self::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)).with_no_client_auth(),
            Self::Certificate(certificate) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned { expected: Some(certificate.clone()), algorithms }))
                .with_no_client_auth(),
            Self::DangerAnyCertificate => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned { expected: None, algorithms }))
                .with_no_client_auth(),
        };
        tls.alpn_protocols = vec![uproar_wire::ALPN.to_vec()];
        Ok(tls)
    }
}

/// AES-128-GCM first: the fastest on small packets. Key exchange without the post-quantum hybrid, whose share makes
/// the first flight two packets: a viewer's taps and frames are public and worthless to who records them today.
fn provider() -> CryptoProvider {
    use aws_lc_rs::{cipher_suite, kx_group};
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

/// Accepts the expected certificate, or any where none is expected.
#[derive(Debug)]
struct Pinned {
    expected: Option<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.expected {
            Some(expected) if expected.as_ref() != end_entity.as_ref() => {
                Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_to(verifier: &Pinned, certificate: &[u8]) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let name = ServerName::try_from("uproar.example").unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::since_unix_epoch(Default::default()))
    }

    #[test]
    fn a_pinned_certificate_is_the_only_one_believed() {
        let algorithms = provider().signature_verification_algorithms;
        let pinned = Pinned { expected: Some(CertificateDer::from(b"mine".to_vec())), algorithms };
        assert!(shown_to(&pinned, b"mine").is_ok());
        assert!(shown_to(&pinned, b"another").is_err());
        assert!(shown_to(&Pinned { expected: None, algorithms }, b"another").is_ok());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(matches!(Trust::roots_from_pem(b"# empty\n"), Err(Error::Trust(_))));
        let garbage = CertificateDer::from(b"not a certificate".to_vec());
        assert!(matches!(Trust::roots_from_der(vec![garbage]), Err(Error::Trust(_))));
    }

    #[test]
    fn the_native_protocol_is_offered() {
        let tls = Trust::DangerAnyCertificate.tls().unwrap();
        assert_eq!(tls.alpn_protocols, [uproar_wire::ALPN.to_vec()]);
    }
}
