//! Everything that is read before a server serves: its rooms, its keys, its certificate. A start, a reload and `uproar config
//! check` read it by the same functions, so that a check finds what a start would.
//!
//! Invariant: nothing here needs a socket, and a check changes nothing.

use super::ServeError;
use super::reload::{Certificate, TlsBase};
use crate::config::{Config, ConfigSource, Doubt};
use crate::edge::checks::{self, Configured, Gap};
use crate::edge::clock::{self, WallClock};
use crate::edge::key_file::{self, Missing};
use crate::quic::Keys;
use crate::room::Room;
use std::sync::Arc;
use std::time::Duration;

/// What a server starts with.
pub(super) struct Inputs {
    pub(super) rooms: Vec<Arc<Room>>,
    /// Shards share these, so that a packet that reaches another shard than before is still understood; with a key file, also
    /// by the process after this one.
    pub(super) keys: Keys,
    pub(super) clock: Arc<WallClock>,
    pub(super) base: TlsBase,
    pub(super) certificate: Certificate,
}

impl Inputs {
    /// What `config` names.
    pub(super) fn load(config: &Config, missing: Missing) -> Result<Self, ServeError> {
        let rooms = config.rooms()?.into_iter().map(Arc::new).collect();
        let keys = key_file::master_secret(config.quic.key_file.as_deref(), missing)?.keys();
        let clock = Arc::new(WallClock);
        let base = TlsBase { ticket_key: keys.ticket, clock: clock.clone() };
        let certificate = base.certificate(config)?;
        Ok(Self { rooms, keys, clock, base, certificate })
    }
}

/// What in a configuration and its certificate is valid but likely a mistake.
pub(super) fn gaps(config: &Config, doubts: &[Doubt], certificate: &Certificate) -> Vec<Gap> {
    let now = Duration::from_millis(clock::now().unix_ms);
    checks::gaps_of_configuration(&Configured { config, doubts, validity: certificate.validity(), now })
}

/// Whether a server could start with what `source` says, as far as that does not depend on the machine. The gaps are those
/// that it would warn of.
///
/// # Errors
/// As of [`super::serve`] before it binds a port.
pub fn check(source: &ConfigSource) -> Result<Vec<Gap>, ServeError> {
    let loaded = source.load()?;
    let inputs = Inputs::load(&loaded.config, Missing::Leave)?;
    let gaps = gaps(&loaded.config, &loaded.doubts, &inputs.certificate);
    Ok(checks::judge(Vec::new(), gaps, loaded.config.strict)?)
}
