//! What a complete request head says.
//!
//! Invariant: a head that is accepted has exactly one reading of where its body ends. Fields that mean nothing here are
//! checked for their form and forgotten. Not here: where the head ends (`scan`, which also has refused bare LF, folded
//! lines and everything too large, all of which `httparse` would let pass).

use super::refusal::Refusal;
use super::request::{Coding, ContentKind, Method};
use crate::limits::HTTP_HEADERS_MAX;
use std::mem::MaybeUninit;
use uproar_wire::ClientId;

/// A head, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) target: Target<'a>,
    /// That of the target, if it has one, else that of the field. This and those below are as they were sent: ASCII, empty
    /// when absent.
    pub(super) host: &'a [u8],
    pub(super) origin: &'a [u8],
    pub(super) if_none_match: &'a [u8],
    pub(super) asked_fields: &'a [u8],
    pub(super) facts: Facts,
}

/// Path and query of a request, both ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

/// What a head says besides its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) method: Method,
    pub(super) client: ClientId,
    pub(super) last_event: Option<u64>,
    pub(super) content: ContentKind,
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
    pub(super) is_cross_site: bool,
    pub(super) is_navigation: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// Where the body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(usize),
    /// Where its chunks say.
    Chunked,
}

impl<'a> Head<'a> {
    /// Reads the bytes that `scan` found to be one head.
    pub(super) fn parse(head: &'a [u8], body_bytes_max: usize) -> Result<Self, Refusal> {
        let mut headers = [const { MaybeUninit::uninit() }; HTTP_HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut headers) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Refusal::BadRequestLine),
            Err(error) => return Err(refusal_of(error)),
        }
        let is_1_1 = parsed.version == Some(1);
        let method = Method::parse(parsed.method.unwrap_or_default());
        let (target, authority) = Target::parse(method, parsed.path.unwrap_or_default())?;
        // Whoever asks for a tunnel may send into it before it is refused: what follows is not requests.
        let mut fields = Fields { says_close: parsed.method == Some("CONNECT"), ..Fields::default() };
        for header in parsed.headers.iter() {
            fields.handle_field(header.name, header.value)?;
        }
        let host = if authority.is_empty() { fields.host.unwrap_or_default() } else { authority.as_bytes() };
        Ok(Self {
            target,
            host,
            origin: fields.origin.unwrap_or_default(),
            if_none_match: fields.if_none_match,
            asked_fields: fields.asked_fields,
            facts: fields.into_facts(method, is_1_1, body_bytes_max)?,
        })
    }
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::Version => Refusal::BadVersion,
        httparse::Error::HeaderName => Refusal::BadHeaderName,
        httparse::Error::HeaderValue => Refusal::BadHeaderValue,
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders,
        // A line of CR alone cannot reach this point, so a missing line end is the request line's.
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => Refusal::BadRequestLine,
    }
}

impl<'a> Target<'a> {
    /// Takes origin form, absolute form (a proxy's) and `OPTIONS *`; with the authority of an absolute form, else an empty one.
    fn parse(method: Method, target: &'a str) -> Result<(Self, &'a str), Refusal> {
        if !target.is_ascii() || target.contains('#') || !percent_encoding_is_whole(target) {
            return Err(Refusal::BadTarget);
        }
        if method == Method::Other || (method == Method::Options && target == "*") {
            return Ok((Self { path: target, query: None }, ""));
        }
        let (authority, origin) = if target.starts_with('/') { ("", target) } else { split_absolute(target)? };
        let (path, query) = match origin.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (origin, None),
        };
        Ok((Self { path: if path.is_empty() { "/" } else { path }, query }, authority))
    }
}

/// Authority of an absolute form, and its path with the query; the path may be empty.
fn split_absolute(target: &str) -> Result<(&str, &str), Refusal> {
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::BadTarget)?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let (authority, origin) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_host = !authority.is_empty() && authority.bytes().all(is_host_byte);
    if is_http && is_host { Ok((authority, origin)) } else { Err(Refusal::BadTarget) }
}

/// What a host and port may be made of (RFC 3986, 3.2); a list, a path or a user name is not among it.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%:[]".contains(&byte)
}

fn percent_encoding_is_whole(target: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    target.split('%').skip(1).map(str::as_bytes).all(|after| is_hex(after.first()) && is_hex(after.get(1)))
}

/// The fields that mean something, as they are met.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    if_none_match: &'a [u8],
    asked_fields: &'a [u8],
    content_length: Option<u64>,
    is_chunked: bool,
    client: Option<ClientId>,
    last_event: Option<u64>,
    content_type: Option<ContentKind>,
    is_cross_site: bool,
    is_navigation: bool,
    coding: Option<Coding>,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
}

impl<'a> Fields<'a> {
    /// Sorted by length of the name, so that most fields are passed over at one comparison.
    fn handle_field(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is("host") => self.handle_host(value),
            6 if is("expect") => self.handle_expect(value),
            6 if is("origin") => self.handle_origin(value),
            10 if is("connection") => self.handle_connection(value),
            11 if is("x-client-id") => self.handle_client_id(value),
            12 if is("content-type") => self.handle_content_type(value),
            13 if is("last-event-id") => {
                // Whatever else it says is of no stream of ours, which then begins from the start.
                self.last_event = decimal(value).flatten();
                Ok(())
            }
            13 if is("if-none-match") => {
                self.if_none_match = if value.is_ascii() { value } else { b"" };
                Ok(())
            }
            14 if is("content-length") => self.handle_content_length(value),
            14 if is("sec-fetch-site") => {
                self.is_cross_site = value == b"cross-site";
                Ok(())
            }
            14 if is("sec-fetch-mode") => {
                self.is_navigation = value == b"navigate";
                Ok(())
            }
            16 if is("content-encoding") => {
                self.coding = self.coding.or_else(|| Coding::parse(value));
                Ok(())
            }
            17 if is("transfer-encoding") => self.handle_transfer_encoding(value),
            30 if is("access-control-request-headers") => {
                // What is not ASCII names no fields.
                self.asked_fields = if value.is_ascii() { value } else { b"?" };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn handle_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.replace(value).is_some() {
            return Err(Refusal::RepeatedHost);
        }
        if value.iter().copied().all(is_host_byte) { Ok(()) } else { Err(Refusal::BadHost) }
    }

    fn handle_origin(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.origin.replace(value).is_some() {
            return Err(Refusal::RepeatedOrigin);
        }
        // A browser sends one, without spaces, or `null`.
        let is_one = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
        if is_one { Ok(()) } else { Err(Refusal::BadOrigin) }
    }

    fn handle_expect(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::UnknownExpectation);
        }
        self.expects_continue = true;
        Ok(())
    }

    fn handle_connection(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.says_close |= option.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    fn handle_client_id(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let id = decimal(value).flatten().ok_or(Refusal::BadClientId)?;
        if self.client.replace(ClientId(id)).is_some() { Err(Refusal::BadClientId) } else { Ok(()) }
    }

    fn handle_content_type(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let kind = if self.content_type.is_some() { ContentKind::Other } else { ContentKind::parse(value) };
        self.content_type = Some(kind);
        Ok(())
    }

    fn handle_content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let length = decimal(value).ok_or(Refusal::BadContentLength)?;
        // A number too great to hold is also too great to take.
        let length = length.unwrap_or(u64::MAX);
        if self.content_length.replace(length).is_some() { Err(Refusal::RepeatedContentLength) } else { Ok(()) }
    }

    fn handle_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let is_repeated = std::mem::replace(&mut self.is_chunked, true);
        if is_repeated || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::BadTransferEncoding);
        }
        Ok(())
    }

    /// Judges the fields together.
    fn into_facts(self, method: Method, is_1_1: bool, body_bytes_max: usize) -> Result<Facts, Refusal> {
        if is_1_1 && self.host.is_none() {
            return Err(Refusal::MissingHost);
        }
        let client = self.client.unwrap_or_default();
        let last_event = self.last_event;
        let content_type = self.content_type.unwrap_or(ContentKind::None);
        let content = self.coding.map_or(content_type, ContentKind::Coded);
        let keep_alive = !self.says_close && (is_1_1 || self.says_keep_alive);
        let framing = self.framing(is_1_1, body_bytes_max)?;
        let Self { is_cross_site, is_navigation, .. } = self;
        // A client of HTTP/1.0 does not know interim replies.
        let expects_continue = is_1_1 && self.expects_continue;
        Ok(Facts {
            method,
            client,
            last_event,
            content,
            keep_alive,
            framing,
            is_cross_site,
            is_navigation,
            expects_continue,
        })
    }

    fn framing(&self, is_1_1: bool, body_bytes_max: usize) -> Result<Framing, Refusal> {
        match (self.is_chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::BothLengths),
            // In HTTP/1.0 it means nothing to some and chunks to others (RFC 9112, 6.1).
            (true, None) if !is_1_1 => Err(Refusal::BadTransferEncoding),
            (true, None) => Ok(Framing::Chunked),
            (false, None) => Ok(Framing::Length(0)),
            (false, Some(length)) => match usize::try_from(length) {
                Ok(length) if length <= body_bytes_max => Ok(Framing::Length(length)),
                _ => Err(Refusal::BodyTooLarge),
            },
        }
    }
}

/// `None` when `digits` are not digits only; `Some(None)` when they are, but of a number above `u64::MAX`.
fn decimal(digits: &[u8]) -> Option<Option<u64>> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    Some(digits.iter().try_fold(0, add))
}
