//! Whose pages may ask the public port, and read what it answers.
//!
//! Invariant: what is refused has done nothing. Who names no origin is no page of another site: clients that are no browsers,
//! and the port's own page where it only reads. The admin port answers no page but its own: nothing that it says invites
//! another, and what would change something a browser asks about first, and is denied (`host` has the rest).

use super::HttpPort;
use crate::ingest::http::Readers;
use crate::origins::Origins;
use crate::shard::Shard;

impl Shard {
    /// Whose pages may read what is answered to a request from `origin`, which is empty when it named none.
    pub(super) fn readers<'a>(&self, port: HttpPort, origin: &'a [u8]) -> Readers<'a> {
        match (port, &*self.web.origins) {
            (HttpPort::Admin, _) => Readers::SameOrigin,
            (HttpPort::Public, Origins::Any) => Readers::Any,
            (HttpPort::Public, some) if some.allows(origin) => Readers::Named(origin),
            (HttpPort::Public, _) => Readers::Named(b""),
        }
    }
}

/// Whether a page asks that may not. Pages and scripts of the port itself are for everybody.
pub(super) fn is_foreign(path: &str, origin: &[u8], readers: Readers<'_>) -> bool {
    readers == Readers::Named(b"") && !origin.is_empty() && path.starts_with("/v1/")
}
