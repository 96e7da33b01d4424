//! The pages of the ports themselves, with what they load: files of `web/`, which are in the program.
//!
//! Invariant: a page loads nothing from elsewhere and runs no script but these, and browsers hold it to that
//! (`Content-Security-Policy`); they ask each time whether what they have kept is still right, so that a page and its scripts
//! are of one version. Not here: what the pages do.

use super::answer::{Answer, PROBED, READ};
use super::{HttpPort, Routed};
use crate::ingest::http::{EntityTag, Readers};
use crate::shard::Shard;
use aws_lc_rs::digest;
use std::sync::LazyLock;

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    /// Computed when it is first asked for.
    tag: LazyLock<EntityTag>,
    /// More header fields.
    fields: &'static str,
    readers: Readers<'static>,
}

macro_rules! asset {
    ($path:literal, $file:literal, $content_type:expr, $fields:expr, $readers:expr) => {
        Asset {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!("../../../web/", $file)),
            tag: LazyLock::new(|| tag(include_bytes!(concat!("../../../web/", $file)))),
            fields: $fields,
            readers: $readers,
        }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! fields {
    ($policy:literal) => {
        concat!(
            "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n",
            "Content-Security-Policy: default-src 'self'; img-src * data:; object-src 'none'; base-uri 'none'; ",
            "form-action 'self'; ",
            $policy,
            "\r\n"
        )
    };
}

/// WebTransport is on another port, and may be on another host. Emoji may be images from anywhere.
const FIELDS: &str = fields!("connect-src 'self' https:");
/// Nobody may lay this page under one of theirs, for its buttons to be hit unseen.
const ADMIN_FIELDS: &str = fields!("frame-ancestors 'none'");

static PUBLIC: [Asset; 6] = [
    asset!("/", "index.html", HTML, FIELDS, Readers::SameOrigin),
    asset!("/page.css", "page.css", CSS, FIELDS, Readers::SameOrigin),
    asset!("/page.js", "page.js", SCRIPT, FIELDS, Readers::SameOrigin),
    asset!("/sky.js", "sky.js", SCRIPT, FIELDS, Readers::SameOrigin),
    asset!("/theme.css", "theme.css", CSS, FIELDS, Readers::SameOrigin),
    // Pages of other sites may load it from here; what it may do for them is another question.
    asset!("/uproar.js", "uproar.js", SCRIPT, FIELDS, Readers::Any),
];

static ADMIN: [Asset; 6] = [
    asset!("/", "admin.html", HTML, ADMIN_FIELDS, Readers::SameOrigin),
    asset!("/admin.css", "admin.css", CSS, ADMIN_FIELDS, Readers::SameOrigin),
    asset!("/admin.js", "admin.js", SCRIPT, ADMIN_FIELDS, Readers::SameOrigin),
    asset!("/admin-metrics.js", "admin-metrics.js", SCRIPT, ADMIN_FIELDS, Readers::SameOrigin),
    asset!("/admin-rooms.js", "admin-rooms.js", SCRIPT, ADMIN_FIELDS, Readers::SameOrigin),
    asset!("/theme.css", "theme.css", CSS, ADMIN_FIELDS, Readers::SameOrigin),
];

/// The first quarter of SHA-256: enough to tell versions of one file apart.
fn tag(body: &[u8]) -> EntityTag {
    let digest = digest::digest(&digest::SHA256, body);
    let first = digest.as_ref().first_chunk().copied();
    EntityTag(u64::from_be_bytes(first.unwrap_or_else(|| unreachable!("SHA-256 has 32 bytes"))))
}

impl Shard {
    /// What no other route knows may be a file of the port's page.
    pub(super) fn serve_asset(&self, port: HttpPort, answer: &mut Answer<'_, '_>) -> Routed {
        let assets = match port {
            HttpPort::Public => &PUBLIC[..],
            HttpPort::Admin => &ADMIN[..],
        };
        let asset = assets.iter().find(|asset| self.web.page && asset.path == answer.request.path);
        let Some(Asset { path, content_type, body, tag, fields, readers, .. }) = asset else {
            return answer.not_found("there is no such path on this port");
        };
        let allow = if *path == "/" { PROBED } else { READ };
        answer.only_get(allow, |answer| answer.content(content_type, body, **tag, fields, *readers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phones load them over slow links, without compression. A new TCP connection carries about 100 KB in its first three
    /// round trips, so up to there bytes cost bandwidth and no round trip: 64 KiB are half a second at 1 Mbit/s. Of them the
    /// SDK has almost half, as what it promises about taps is in it with its types and reasons.
    const PUBLIC_BYTES_MAX: usize = 65_536;

    #[test]
    fn the_page_is_small() {
        let bytes: usize = PUBLIC.iter().map(|asset| asset.body.len()).sum();
        assert!(bytes < PUBLIC_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn tags_are_of_the_content() {
        for asset in PUBLIC.iter().chain(&ADMIN) {
            assert_eq!(*asset.tag, tag(asset.body), "{}", asset.path);
        }
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
