//! A request as the shard sees it: borrowed, framed, and with only those headers that mean something here.

use std::fmt;
use uproar_wire::ClientId;

/// One complete request; lives as long as the call that hands it over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// Path of the target, ASCII, without the query; `*` for `OPTIONS *`. Percent-encoding is left as it was sent: no
    /// route has a character that needs it, so an encoded path is an unknown path. For [`Method::Other`] this is the
    /// whole target, whatever its form.
    pub path: &'a str,
    /// What follows the `?`, as it was sent.
    pub query: Option<&'a str>,
    /// The value of `Host`, as it was sent: ASCII; empty when absent, as it may be in HTTP/1.0.
    pub host: &'a [u8],
    /// The value of `Origin`, the site whose page has the browser ask: ASCII without spaces; empty when absent.
    pub origin: &'a [u8],
    /// `Sec-Fetch-Site` says that a page of another site has the browser ask. Only browsers send it, and only to addresses
    /// that they trust: by HTTPS, or on their own machine.
    pub is_cross_site: bool,
    /// `Sec-Fetch-Mode` says that the browser is on its way to what is asked for, as by a link.
    pub is_navigation: bool,
    /// From `If-None-Match`: what the client has already.
    pub if_none_match: Option<EntityTag>,
    /// From `X-Client-Id`; 0 when absent.
    pub client: ClientId,
    /// The number in `Last-Event-ID`; none when it is absent or no number.
    pub last_event: Option<u64>,
    /// What `Content-Type` says about the body.
    pub content: ContentKind,
    /// The body without its framing.
    pub body: &'a [u8],
    /// Whether the connection stays open after the reply.
    pub keep_alive: bool,
    /// The reply has no body, as the method is HEAD.
    pub head_only: bool,
}

/// Stands for the content of a resource, as this server names it: 16 hexadecimal digits in quotes (RFC 9110, 8.8.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntityTag(pub u64);

impl EntityTag {
    /// The one tag of a field; `W/`, which a proxy that compresses may have put before it, does not matter when tags are
    /// only compared. `None` for lists, `*` and tags of others, which no browser sends here: who asks with one of those
    /// gets the content.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let tag = field.strip_prefix(b"W/").unwrap_or(field);
        let digits = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let is_ours = digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_ours)?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{:016x}\"", self.0)
    }
}

/// The methods that some route answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Anything else, which no route answers.
    Other,
}

impl Method {
    /// Methods are case-sensitive.
    pub(super) fn parse(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// What a body is, as far as routes tell bodies apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentKind {
    /// No `Content-Type`.
    None,
    /// `application/json`
    Json,
    /// `application/octet-stream`
    OctetStream,
    /// Any other type, several types, or a body with a content coding.
    Other,
}

impl ContentKind {
    /// Parameters, such as the character set, do not matter: JSON is UTF-8.
    pub(super) fn parse(content_type: &[u8]) -> Self {
        let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/json") {
            Self::Json
        } else if media_type.eq_ignore_ascii_case(b"application/octet-stream") {
            Self::OctetStream
        } else {
            Self::Other
        }
    }
}
