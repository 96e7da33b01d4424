//! A request as the shard sees it: borrowed, framed, and with only those headers that mean something here.

use super::scan::is_token_byte;
use crate::limits::HTTP_ASKED_FIELDS_MAX;
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
    /// The host and port that were asked, as they were sent: those of the target if it is a whole address, which then count
    /// instead of `Host` (RFC 9112, 3.2.2). ASCII; empty when there is neither, as in HTTP/1.0.
    pub host: &'a [u8],
    /// The value of `Origin`, the site whose page has the browser ask: ASCII without spaces; empty when absent.
    pub origin: &'a [u8],
    /// `Sec-Fetch-Site` says that a page of another site has the browser ask. Only browsers send it, and only to addresses
    /// that they trust: by HTTPS, or on their own machine.
    pub is_cross_site: bool,
    /// `Sec-Fetch-Mode` says that the browser is on its way to what is asked for, as by a link.
    pub is_navigation: bool,
    /// The value of `If-None-Match`: what the client has already ([`EntityTag::is_among`]). ASCII; empty when absent.
    pub if_none_match: &'a [u8],
    /// The value of `Access-Control-Request-Headers`: the fields that a page wants to send. ASCII; empty when absent.
    pub asked_fields: &'a [u8],
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
    /// Whether a field of `If-None-Match` names it: alone, in a list, or as `*`. `W/`, which a proxy that compresses may have
    /// put before it, does not matter when tags are only compared. What is no list of tags names none.
    pub fn is_among(self, field: &[u8]) -> bool {
        let mut rest = field.trim_ascii();
        if rest == b"*" {
            return true;
        }
        loop {
            let tag = rest.strip_prefix(b"W/").unwrap_or(rest);
            // A tag may hold commas, and no quotes.
            let Some(after) = tag.strip_prefix(b"\"") else { return false };
            let Some(len) = after.iter().position(|&byte| byte == b'"') else { return false };
            if self.is_written(&after[..len]) {
                return true;
            }
            let Some(others) = after[len + 1..].trim_ascii_start().strip_prefix(b",") else { return false };
            rest = others.trim_ascii_start();
        }
    }

    fn is_written(self, digits: &[u8]) -> bool {
        let is_ours = digits.len() == 16 && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_ours);
        digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) == Some(self.0)
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
    /// `text/plain`, which a page may send to another site without being asked first: `navigator.sendBeacon` with a string.
    Text,
    /// `application/octet-stream`
    OctetStream,
    /// Any of these, but coded.
    Coded(Coding),
    /// Any other type, or several types.
    Other,
}

impl ContentKind {
    /// Parameters, such as the character set, do not matter: JSON is UTF-8.
    pub(super) fn parse(content_type: &[u8]) -> Self {
        let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |known: &[u8]| media_type.eq_ignore_ascii_case(known);
        if is(b"application/json") {
            Self::Json
        } else if is(b"application/octet-stream") {
            Self::OctetStream
        } else if is(b"text/plain") {
            Self::Text
        } else {
            Self::Other
        }
    }
}

/// How a body is coded, by `Content-Encoding`. None of these is taken; the reply says which one it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// `gzip`, or `x-gzip`
    Gzip,
    /// `deflate`
    Deflate,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
    /// Any other, or several.
    Other,
}

impl Coding {
    /// `None` for `identity`, which is none.
    pub(super) fn parse(content_encoding: &[u8]) -> Option<Self> {
        let is = |known: &[u8]| content_encoding.eq_ignore_ascii_case(known);
        match () {
            () if is(b"identity") => None,
            () if is(b"gzip") || is(b"x-gzip") => Some(Self::Gzip),
            () if is(b"deflate") => Some(Self::Deflate),
            () if is(b"br") => Some(Self::Brotli),
            () if is(b"zstd") => Some(Self::Zstd),
            () => Some(Self::Other),
        }
    }

    /// One sentence for the person who reads the reply.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Gzip => "the body is coded with gzip; send it as it is, without Content-Encoding",
            Self::Deflate => "the body is coded with deflate; send it as it is, without Content-Encoding",
            Self::Brotli => "the body is coded with br; send it as it is, without Content-Encoding",
            Self::Zstd => "the body is coded with zstd; send it as it is, without Content-Encoding",
            Self::Other => "the body is coded as Content-Encoding says; send it as it is, without Content-Encoding",
        }
    }
}

/// Whether `value` is a list of field names, as a browser writes it in `Access-Control-Request-Headers`, that is short enough
/// to be repeated.
pub fn is_field_list(value: &[u8]) -> bool {
    let is_name = |name: &[u8]| !name.is_empty() && name.iter().copied().all(is_token_byte);
    value.len() <= HTTP_ASKED_FIELDS_MAX && value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).all(is_name)
}
