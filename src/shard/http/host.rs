//! Under which names the admin port may be asked.
//!
//! A page of any site can have the browser of whoever opens it send requests to this machine: it only lets its own name lead to
//! the machine's address (DNS rebinding), and for the browser the answers then belong to the page. Such requests name the site in
//! Host. So a name must be one that the operator gave; addresses cannot be rebound, nor can `localhost`.
//!
//! Invariant: what is refused has done nothing. Not here: whose pages may ask the public port (`origin`).

use std::net::{Ipv4Addr, Ipv6Addr};

/// The names that the operator gave.
#[derive(Debug, Default)]
pub(in crate::shard) struct AdminHosts {
    names: Vec<String>,
}

impl AdminHosts {
    /// Takes `names`; one that begins with a dot stands for all that end with it.
    pub(in crate::shard) fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// Whether a request with this Host may be answered. Clients of HTTP/1.0 may send none; browsers always do.
    pub(super) fn allows(&self, host: &[u8]) -> bool {
        if host.is_empty() {
            return true;
        }
        let Some(name) = name_of(host) else { return false };
        let is_address = match name.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        is_address || without_root(name).eq_ignore_ascii_case("localhost") || self.names(host)
    }

    /// Whether the operator gave this name, which may have a port. No address is one.
    pub(super) fn names(&self, host: &[u8]) -> bool {
        name_of(host).is_some_and(|name| self.names.iter().any(|given| covers(given, without_root(name))))
    }
}

fn name_of(host: &[u8]) -> Option<&str> {
    std::str::from_utf8(host).ok().map(without_port)
}

/// A name may end with the dot of the root.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn covers(given: &str, name: &str) -> bool {
    if !given.starts_with('.') {
        return given.eq_ignore_ascii_case(name);
    }
    let above = name.len().checked_sub(given.len()).filter(|&len| len > 0);
    above.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(given))
}

/// The host of `host` or `host:port`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    let port_at = host.rfind(':').filter(|&at| host[at + 1..].bytes().all(|byte| byte.is_ascii_digit()));
    // Colons of an address that is not in brackets are not before a port.
    match port_at {
        Some(at) if !host[..at].contains(':') || host[..at].ends_with(']') => &host[..at],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(names: &[&str], host: &str) -> bool {
        AdminHosts::new(names.iter().map(ToString::to_string).collect()).allows(host.as_bytes())
    }

    #[test]
    fn addresses_and_localhost_cannot_be_somebody_elses() {
        for host in
            ["127.0.0.1", "127.0.0.1:9100", "10.1.2.3:1", "[::1]", "[::1]:9100", "[2001:db8::7]:80", "localhost"]
        {
            assert!(allowed(&[], host), "{host}");
        }
        for host in ["LOCALHOST:9100", "localhost.", "localhost:", ""] {
            assert!(allowed(&[], host), "{host}");
        }
        assert!(AdminHosts::default().allows(b""), "HTTP/1.0");
    }

    #[test]
    fn names_that_nobody_gave_are_refused() {
        for host in [
            "evil.example",
            "evil.example:9100",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.1",
            "0x7f.1",
            "2130706433",
            "1.2.3.4.5",
            "::1",
            "::1:9100",
            "[::1",
            "[evil.example]",
            "[::1]evil.example",
            "[::1].evil.example:80",
            "evil.example:80:80",
            ":9100",
            ".",
            "user@localhost",
        ] {
            assert!(!allowed(&[], host), "{host}");
        }
        assert!(!AdminHosts::default().allows(b"caf\xe9"));
    }

    #[test]
    fn names_that_the_operator_gave_are_taken_in_any_case_and_with_any_port() {
        let names = ["node1.example", ".pods.example"];
        for host in ["node1.example", "Node1.Example:9100", "node1.example.", "a.pods.example", "a.b.PODS.example:1"] {
            assert!(allowed(&names, host), "{host}");
        }
        for host in ["node2.example", "xnode1.example", "pods.example", ".pods.example", "evilpods.example", "é.pods"]
        {
            assert!(!allowed(&names, host), "{host}");
        }
    }
}
