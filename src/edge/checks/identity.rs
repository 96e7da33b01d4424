//! The certificate.

use super::{Gap, Plan};
use crate::edge::machine::Machine;

/// A certificate that nobody vouches for is for the developer's own machine.
pub(super) fn certificate(_: &Machine, plan: &Plan<'_>) -> Vec<Gap> {
    let address = plan.config.listen.quic.ip();
    if plan.config.quic.certificate.is_some() || address.is_loopback() {
        return Vec::new();
    }
    vec![Gap {
        check: "certificate",
        found: format!("QUIC listens on {address} with a development certificate, which no client trusts by itself"),
        remedy: "set quic.certificate and quic.private_key, or listen on 127.0.0.1".into(),
    }]
}
