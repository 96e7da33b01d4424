//! Whose web pages may use this node: the origins that browsers name in their requests.
//!
//! Invariant: an origin is compared byte by byte with those that were configured, as browsers write them in one way only
//! (RFC 6454, 6.2). Whoever names none is no page, and is not asked here.

/// Origins whose pages are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origins {
    /// All.
    Any,
    /// These, as browsers write them: `https://www.example.com`.
    Only(Box<[Box<str>]>),
}

impl Origins {
    /// What `origins` stand for: `*` alone for any, else one origin each. `None` when one of them is no origin as a
    /// browser writes it: scheme and host in small letters, no path, no port that goes without saying.
    pub fn new(origins: &[String]) -> Option<Self> {
        if origins == ["*"] {
            return Some(Self::Any);
        }
        origins
            .iter()
            .map(|origin| is_origin(origin).then(|| origin.as_str().into()))
            .collect::<Option<_>>()
            .map(Self::Only)
    }

    /// Whether pages of `origin` may.
    pub fn allows(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed.as_bytes() == origin),
        }
    }

    /// Whether pages of any origin may.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

fn is_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address are within brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_[]:".contains(&byte);
    let goes_without_saying = matches!((scheme, port), ("https", Some("443")) | ("http", Some("80")));
    !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || b"+-.".contains(&byte))
        && !host.is_empty()
        && host.bytes().all(is_host_byte)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port))
        && !goes_without_saying
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(origins: &[&str]) -> Option<Origins> {
        Origins::new(&origins.iter().map(|&origin| origin.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_those_that_are_named_may() {
        let some = origins(&["https://www.example.com", "http://localhost:3000", "http://[::1]:8080", "http://[::1]"])
            .unwrap();
        for allowed in ["https://www.example.com", "http://localhost:3000", "http://[::1]:8080", "http://[::1]"] {
            assert!(some.allows(allowed.as_bytes()), "{allowed}");
        }
        for other in ["https://example.com", "http://www.example.com", "https://www.example.com:8443", "null", ""] {
            assert!(!some.allows(other.as_bytes()), "{other}");
        }
        assert!(origins(&["*"]).unwrap().allows(b"null"));
    }

    #[test]
    fn what_no_browser_ever_sends_is_refused() {
        for wrong in [
            "example.com",
            "https://Example.com",
            "https://example.com/",
            "https://example.com:443",
            "http://example.com:80",
            "http://example.com:080",
            "http://example.com:x",
            "https://",
            "://a",
            "https://*.example.com",
            "",
        ] {
            assert_eq!(origins(&[wrong]), None, "{wrong}");
        }
        assert_eq!(origins(&["*", "https://example.com"]), None, "any and one more");
    }
}
