//! The certificate of the QUIC port: from files, or made at start for development.

use crate::config::Config;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// A certificate chain and its key.
pub struct Identity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Of the leaf.
    pub key: PrivateKeyDer<'static>,
}

/// Why there is no certificate. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be used.
    #[error("{key} = {path:?}: {reason}; name a PEM file that the server may read")]
    File {
        /// Key of the configuration.
        key: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with the file.
        reason: String,
    },
    /// The development certificate could not be made.
    #[error("development certificate: {0}; set quic.certificate and quic.private_key")]
    Development(#[from] rcgen::Error),
}

/// Days that a development certificate is valid: browsers accept a pinned one for at most 14.
const DEVELOPMENT_DAYS: i64 = 13;

/// Loads the configured certificate, or makes a self-signed one.
pub fn identity(config: &Config) -> Result<Identity, IdentityError> {
    match (&config.quic.certificate, &config.quic.private_key) {
        (Some(chain), Some(key)) => load(chain, key),
        _ => development(&config.quic.server_names),
    }
}

fn load(chain_path: &Path, key_path: &Path) -> Result<Identity, IdentityError> {
    let failed = |key, path: &Path, reason: String| IdentityError::File { key, path: path.into(), reason };
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain_path)
        .and_then(Iterator::collect)
        .map_err(|error| failed("quic.certificate", chain_path, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed("quic.certificate", chain_path, "it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| failed("quic.private_key", key_path, error.to_string()))?;
    Ok(Identity { chain, key })
}

fn development(names: &[String]) -> Result<Identity, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.to_vec())?;
    let now = OffsetDateTime::now_utc();
    // An hour in the past, for viewers whose clock is slow.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(DEVELOPMENT_DAYS);
    let certificate = params.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok(Identity { chain: vec![certificate.der().clone()], key: key.into() })
}
