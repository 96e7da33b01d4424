//! The certificate of the QUIC port: from files, or made at start for development.

use super::pem;
use crate::config::{Config, absolute};
use crate::input::{Input, InputError};
use crate::limits::{PEM_BYTES_MAX, PIPE_PATIENCE};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
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
        /// Its value, from the root on.
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

/// Where both halves are: a program may write them into a pipe.
const PEM_FILE: Input = Input::file_or_pipe(PEM_BYTES_MAX, PIPE_PATIENCE);

fn load(chain: &Path, key: &Path) -> Result<Identity, IdentityError> {
    let chain = read("quic.certificate", chain, pem::chain)?;
    let key = read("quic.private_key", key, pem::private_key)?;
    Ok(Identity { chain, key })
}

fn read<T>(key: &'static str, path: &Path, parse: fn(&[u8]) -> Result<T, String>) -> Result<T, IdentityError> {
    let bytes = PEM_FILE.read(path).map_err(|error: InputError| error.to_string());
    let parsed = bytes.and_then(|bytes| parse(&bytes));
    parsed.map_err(|reason| IdentityError::File { key, path: absolute(path), reason })
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
