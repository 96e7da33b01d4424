//! Whether the fields of a request make a message, or a malformed one (RFC 9114, 4.1.2): names and values, pseudo-fields, and
//! what a CONNECT may not have.
//!
//! Not here: whether the request is granted ([`super::request`]).

use super::fields::Field;

/// The pseudo-fields of a request (RFC 9114, 4.3.1; RFC 9220).
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

/// Fields that belong to a connection of HTTP/1.1 (RFC 9114, 4.2).
const OF_HTTP1: [&[u8]; 5] = [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"];
/// Fields of a message with content, which one that carries capsules is not (RFC 9297, 3.2).
const OF_CONTENT: [&[u8]; 2] = [b"content-length", b"content-type"];

/// Whether these are the fields of a request that is well-formed.
pub(super) fn is_well_formed(fields: &[Field<'_>]) -> bool {
    let mut pseudo = Pseudo::default();
    let mut has_begun = false;
    for Field { name, value } in fields {
        let is_possible = value.iter().all(|&byte| is_value(byte))
            && match name.strip_prefix(b":") {
                // None of them behind a field, and none twice.
                Some(name) => !has_begun && pseudo.set(name, value),
                None => {
                    has_begun = true;
                    is_field_possible(name, value)
                }
            };
        if !is_possible {
            return false;
        }
    }
    pseudo.is_whole() && pseudo.agrees_with_host(fields) && pseudo.may_have_content(fields)
}

/// Whether fields that must be there once are there once at most: origins that contradict one another name no origin.
pub(super) fn has_one_origin(fields: &[Field<'_>]) -> bool {
    fields.iter().filter(|field| *field.name == *b"origin").count() <= 1
}

impl<'a> Pseudo<'a> {
    /// False when there is no such pseudo-field in a request, or it is there already.
    fn set(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        let field = match name {
            b"method" => &mut self.method,
            b"scheme" => &mut self.scheme,
            b"authority" => &mut self.authority,
            b"path" => &mut self.path,
            b"protocol" => &mut self.protocol,
            _ => return false,
        };
        field.replace(value).is_none()
    }

    fn is_connect(&self) -> bool {
        self.method == Some(b"CONNECT")
    }

    /// Whether the fields are there that a request of this method has, and none that it has not.
    fn is_whole(&self) -> bool {
        let Some(method) = self.method else { return false };
        let has_target = match (self.scheme, self.path) {
            // A tunnel (RFC 9114, 4.4).
            (None, None) => self.is_connect() && self.protocol.is_none(),
            (Some(scheme), Some(path)) => {
                let is_plain_connect = self.is_connect() && self.protocol.is_none();
                !scheme.is_empty() && !is_plain_connect && is_path(path, method)
            }
            _ => false,
        };
        is_token(method) && has_target && self.authority.is_none_or(is_authority)
    }

    /// Whether the request names its host, and only one (RFC 9114, 4.3.1).
    fn agrees_with_host(&self, fields: &[Field<'_>]) -> bool {
        let mut hosts = fields.iter().filter(|field| *field.name == *b"host").map(|field| &*field.value);
        match (self.authority, hosts.next()) {
            (None, None) => false,
            (None, Some(host)) => is_authority(host) && hosts.next().is_none() && !self.is_connect(),
            (Some(authority), first) => first.into_iter().chain(hosts).all(|host| host.eq_ignore_ascii_case(authority)),
        }
    }

    /// Whether what is said of the content can be.
    fn may_have_content(&self, fields: &[Field<'_>]) -> bool {
        let is_of_session = self.is_connect() && self.protocol == Some(b"webtransport");
        if is_of_session {
            return !fields.iter().any(|field| OF_CONTENT.contains(&&*field.name));
        }
        let mut lengths = fields.iter().filter(|field| *field.name == *b"content-length").map(|field| &*field.value);
        let first = lengths.next();
        first.is_none_or(|length| !length.is_empty() && length.iter().all(u8::is_ascii_digit))
            && lengths.all(|length| Some(length) == first)
    }
}

fn is_field_possible(name: &[u8], value: &[u8]) -> bool {
    is_token(name)
        && !name.iter().any(u8::is_ascii_uppercase)
        && !OF_HTTP1.contains(&name)
        && (name != b"te" || value.eq_ignore_ascii_case(b"trailers"))
}

/// A token of HTTP (RFC 9110, 5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_of_token)
}

/// Whether a value may have this byte (RFC 9110, 5.5).
fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A host and perhaps a port, without a user's name.
fn is_authority(authority: &[u8]) -> bool {
    !authority.is_empty() && authority.iter().all(|byte| byte.is_ascii_graphic() && !b"@/?#\\".contains(byte))
}

fn is_path(path: &[u8], method: &[u8]) -> bool {
    let is_of_path = |byte: &u8| byte.is_ascii_graphic() && !b"#\\".contains(byte);
    let is_absolute = path.first() == Some(&b'/') && path.iter().all(is_of_path);
    is_absolute || (path == b"*" && method == b"OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: [(&str, &str); 5] = [
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":authority", "uproar.test:7443"),
        (":path", "/v1/webtransport"),
        (":protocol", "webtransport"),
    ];

    fn is_ok(fields: &[(&str, &str)]) -> bool {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes().into(), value: value.as_bytes().into() })
            .collect();
        is_well_formed(&fields)
    }

    fn with(fields: &[(&str, &str)]) -> bool {
        is_ok(&[&CONNECT[..], fields].concat())
    }

    fn but(name: &str, value: Option<&str>) -> bool {
        let fields: Vec<_> = CONNECT
            .iter()
            .filter_map(
                |&(known, usual)| {
                    if known == name { value.map(|value| (known, value)) } else { Some((known, usual)) }
                },
            )
            .collect();
        is_ok(&fields)
    }

    #[test]
    fn what_browsers_and_proxies_send_is_well_formed() {
        assert!(with(&[]));
        for fields in [
            &[("origin", "https://uproar.test"), ("sec-webtransport-http3-draft02", "1"), ("user-agent", "a b\tc")][..],
            &[("host", "UPROAR.test:7443")],
            &[("te", "trailers")],
            &[("te", "Trailers")],
            &[("x-empty", ""), ("x-latin", "caf\u{e9}"), ("priority", "u=3, i")],
            &[("cookie", "a=1"), ("cookie", "b=2")],
        ] {
            assert!(with(fields), "{fields:?}");
        }
        assert!(but(":authority", Some("[::1]:7443")) && but(":path", Some("/a%20b?c=d&e")));
        assert!(is_ok(&[(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "uproar.test")]));
        let post = [(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/")];
        assert!(is_ok(&[&post[..], &[("content-length", "5"), ("content-type", "text/plain")]].concat()));
        assert!(is_ok(&[(":method", "CONNECT"), (":authority", "a:443")]), "a tunnel");
    }

    #[test]
    fn pseudo_fields_are_those_of_a_request_once_each_and_first() {
        for (name, value) in CONNECT {
            assert!(!with(&[(name, value)]), "{name} twice");
            assert!(!is_ok(&[&[("a", "b")], &CONNECT[..]].concat()), "behind a field");
        }
        for name in [":status", ":unknown", ":", ":Method", "::method"] {
            assert!(!with(&[(name, "200")]), "{name}");
        }
        for name in [":method", ":scheme", ":authority", ":path", ":protocol"] {
            assert!(!but(name, None), "without {name}");
        }
        assert!(!is_ok(&[(":method", "CONNECT"), (":authority", "a"), (":protocol", "webtransport")]));
        assert!(!is_ok(&[(":method", "GET"), (":authority", "a")]));
    }

    #[test]
    fn values_of_pseudo_fields_can_be_what_they_say() {
        for (name, values) in [
            (":method", &["", "GE T"][..]),
            (":scheme", &[""]),
            (":path", &["", "x", "*", "@evil/v1/webtransport", "/a b", "/a#b", "\\v1\\webtransport", "/\u{e9}"]),
            (
                ":authority",
                &["", "user@uproar.test", "user:word@uproar.test", "a/v1/webtransport?", "a b", "a#", "a\\b"],
            ),
        ] {
            for value in values {
                assert!(!but(name, Some(value)), "{name} {value:?}");
            }
        }
    }

    #[test]
    fn fields_are_those_that_http3_has() {
        for (name, value) in [
            ("", "x"),
            ("Origin", "x"),
            ("x-Upper", "x"),
            ("a b", "x"),
            ("a:b", "x"),
            ("caf\u{e9}", "x"),
            ("x", "a\r\nb"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("x", "a\x7fb"),
            ("connection", "close"),
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("host", "other.test"),
            ("host", ""),
            ("content-length", "0"),
            ("content-type", "text/plain"),
        ] {
            assert!(!with(&[(name, value)]), "{name:?}: {value:?}");
        }
        let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];
        for lengths in [&["x"][..], &[""], &["-1"], &["1", "2"]] {
            let fields: Vec<_> = lengths.iter().map(|&length| ("content-length", length)).collect();
            assert!(!is_ok(&[&get[..], &fields].concat()), "{lengths:?}");
        }
        assert!(!is_ok(&[(":method", "GET"), (":scheme", "https"), (":path", "/")]), "no host");
    }
}
