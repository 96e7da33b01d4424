//! The certificate.

use super::{Configured, Gap};
use crate::edge::certificate::Validity;
use std::time::{Duration, UNIX_EPOCH};

/// A certificate ends soon when less than this part of its time is left: whatever renews it should have done so long before.
const SOON_DIVISOR: u32 = 10;
/// And this much at most, for those that last for years.
const SOON_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate that nobody vouches for is for the developer's own machine.
pub(super) fn development(configured: &Configured<'_>) -> Vec<Gap> {
    let address = configured.config.listen.quic.ip();
    if configured.config.quic.certificate.is_some() || address.is_loopback() {
        return Vec::new();
    }
    vec![Gap {
        check: "certificate",
        found: format!("QUIC listens on {address} with a development certificate, which no client trusts by itself"),
        remedy: "set quic.certificate and quic.private_key, or listen on 127.0.0.1".into(),
    }]
}

/// Viewers turn away from a certificate whose time has not come or is over.
pub(super) fn validity(configured: &Configured<'_>) -> Vec<Gap> {
    let (Some(path), Some(Validity { begins, ends })) = (&configured.config.quic.certificate, configured.validity)
    else {
        return Vec::new();
    };
    let now = configured.now;
    let soon = (ends.saturating_sub(begins) / SOON_DIVISOR).min(SOON_MAX);
    let renew = "renew it, then `systemctl reload uproar`".to_owned();
    let (found, remedy) = match () {
        () if now >= ends => (format!("expired on {}: no viewer can connect", date(ends)), renew),
        () if now < begins => (
            format!("is not valid before {}, and by this machine's clock it is {}", date(begins), date(now)),
            "set the clock, or take the certificate that is valid now".into(),
        ),
        () if ends - now <= soon => (format!("expires on {}; after that no viewer can connect", date(ends)), renew),
        () => return Vec::new(),
    };
    let found = format!("the certificate {} {found}", path.display());
    vec![Gap { check: "certificate_validity", found, remedy }]
}

fn date(since_1970: Duration) -> String {
    match UNIX_EPOCH.checked_add(since_1970) {
        // A time beyond the year 9999 has no such form.
        Some(time) if since_1970.as_secs() < 253_402_300_800 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "a day after the year 9999".into(),
    }
}
