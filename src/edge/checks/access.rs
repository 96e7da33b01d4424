//! Who can reach what.

use super::{Configured, Gap};

/// Whoever reaches the admin port can change every room.
pub(super) fn admin(configured: &Configured<'_>) -> Vec<Gap> {
    let address = configured.config.listen.admin;
    if !address.ip().to_canonical().is_unspecified() {
        return Vec::new();
    }
    vec![Gap {
        check: "admin_open",
        found: format!(
            "the admin port listens on all addresses ({address}) and has no authentication: whoever reaches it can change \
             and delete rooms"
        ),
        remedy: "set listen.admin to 127.0.0.1 or to an address of the management network".into(),
    }]
}
