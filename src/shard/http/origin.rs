//! Whose pages may ask the public port, and read what it answers.
//!
//! Invariant: what is refused has done nothing. Where sites are named, the public port answers the pages of those, its own
//! (no page can have the browser send another `Host`), and who is no page. Browsers name no origin where a page only has
//! something fetched that it cannot read, such as an image; that it is of another site they say in `Sec-Fetch-Site`. Where they
//! do not, by plain HTTP to another machine, such a request is answered, as nothing tells it from one that is no browser's; it
//! reads nothing and taps nothing.
//! The admin port answers no page but its own: nothing that it says invites another, a request whose `Origin` is not its own is
//! refused, and so is what another site's page only has fetched (`host` has the rest).

use super::HttpPort;
use crate::ingest::http::{Readers, Request};
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

    /// Whose pages may read why a request was refused, when that is all the reply says: any site's, so that a page learns
    /// that it may not, or what is wrong with its request.
    pub(super) fn refusal_readers(&self, port: HttpPort) -> Readers<'static> {
        match self.readers(port, b"") {
            Readers::Named(_) => Readers::Refused,
            others => others,
        }
    }

    /// Whether a page of a site asks that may not. Pages and scripts of the public port itself are for everybody.
    pub(super) fn is_foreign(&self, port: HttpPort, request: &Request<'_>, readers: Readers<'_>) -> bool {
        let Request { origin, host, is_cross_site, .. } = *request;
        match port {
            HttpPort::Public if readers != Readers::Named(b"") || !request.path.starts_with("/v1/") => false,
            HttpPort::Public if origin.is_empty() => is_cross_site,
            HttpPort::Public => !is_of_host(origin, host),
            // A link may lead to the page.
            HttpPort::Admin if is_cross_site => !(request.is_navigation && request.path == "/"),
            // Behind a proxy that asks by another name, a page of that port is known by a name that the operator gave.
            HttpPort::Admin => {
                !origin.is_empty() && !is_of_host(origin, host) && !self.admin_hosts.names(name_of(origin))
            }
        }
    }
}

/// Host and port of an origin; empty when it is none.
fn name_of(origin: &[u8]) -> &[u8] {
    origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")).unwrap_or_default()
}

/// Whether `origin` is that of the node's own pages, under the name by which it was asked. A proxy may write the port of the
/// scheme into Host, which an origin leaves out.
fn is_of_host(origin: &[u8], host: &[u8]) -> bool {
    let name = name_of(origin);
    let port: &[u8] = if origin.starts_with(b"https:") { b":443" } else { b":80" };
    let without_port = host.strip_suffix(port).unwrap_or(host);
    !name.is_empty() && (name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(without_port))
}

#[cfg(test)]
mod tests {
    use super::is_of_host;

    #[test]
    fn an_origin_is_compared_as_one_with_a_host_as_proxies_write_it() {
        for (origin, host) in [
            ("http://a", "a"),
            ("https://a", "a"),
            ("http://a:8080", "a:8080"),
            ("https://a", "a:443"),
            ("http://a", "A:80"),
            ("http://[::1]", "[::1]:80"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            assert!(is_of_host(origin.as_bytes(), host.as_bytes()), "{origin} {host}");
        }
        for (origin, host) in [
            ("", ""),
            ("null", "null"),
            ("http://", ""),
            ("http://", ":80"),
            ("http://a", "a:443"),
            ("https://a", "a:80"),
            ("http://a", "a:8080"),
            ("http://a:8080", "a"),
            ("http://a", "b"),
            ("ftp://a", "a"),
            ("http://a:80", "a"),
        ] {
            assert!(!is_of_host(origin.as_bytes(), host.as_bytes()), "{origin} {host}");
        }
    }
}
