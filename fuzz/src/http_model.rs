//! A second reading of HTTP/1.1 requests, for comparison: as plain as can be, over bytes that lie whole in memory.
//!
//! Invariant: shares no code with the decoder but its limits and its words. It says which requests the bytes hold up to
//! the first that is not complete or must be refused; not why.

use uproar::ingest::http::{Coding, ContentKind, Method, Request};
use uproar::limits::{HTTP_HEAD_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_MAX, HTTP_TRAILERS_MAX};

/// One request, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) origin: Vec<u8>,
    pub(crate) client: u64,
    pub(crate) content: ContentKind,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
}

impl From<Request<'_>> for Seen {
    fn from(request: Request<'_>) -> Self {
        assert_eq!(request.head_only, request.method == Method::Head);
        Self {
            method: request.method,
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            origin: request.origin.to_vec(),
            client: request.client.0,
            content: request.content,
            body: request.body.to_vec(),
            keep_alive: request.keep_alive,
        }
    }
}

/// The requests of `bytes`.
pub(crate) fn requests(bytes: &[u8], body_bytes_max: usize) -> Vec<Seen> {
    let mut rest = bytes;
    std::iter::from_fn(|| {
        let (request, after) = next_request(rest, body_bytes_max)?;
        rest = after;
        Some(request)
    })
    .collect()
}

fn next_request(bytes: &[u8], body_bytes_max: usize) -> Option<(Seen, &[u8])> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let head_len = find(bytes, b"\r\n\r\n")? + 4;
    if head_len > HTTP_HEAD_MAX {
        return None;
    }
    let (head, after_head) = bytes.split_at(head_len);
    // One character a byte, whatever the byte.
    let head: String = head[..head_len - 4].iter().copied().map(char::from).collect();
    let mut lines = head.split("\r\n");
    let line = lines.next()?;
    let (method, target, version) = request_line(line)?;
    let fields: Vec<(&str, &str)> = lines.map(field).collect::<Option<_>>()?;
    let head = Fields(&fields);
    let is_1_1 = version == "HTTP/1.1";
    if fields.len() > HTTP_HEADERS_MAX
        || !head.host_is_good(is_1_1)
        || !head.origin_is_good()
        || !head.expectations_are_known()
    {
        return None;
    }
    let (path, query) = path_and_query(method, target)?;
    let origin = head.values("origin").concat().into_bytes();
    let (client, content) = (head.client()?, head.content());
    let keep_alive = method != "CONNECT" && head.keep_alive(is_1_1);
    let (body, rest) = head.body(is_1_1, after_head, body_bytes_max)?;
    Some((Seen { method: method_of(method), path, query, origin, client, content, body, keep_alive }, rest))
}

fn request_line(line: &str) -> Option<(&str, &str, &str)> {
    let [method, target, version] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let is_proxy_header = ["PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNO"].iter().any(|start| line.starts_with(start));
    let is_good = line.len() + 2 <= HTTP_REQUEST_LINE_MAX
        && !is_proxy_header
        && is_token(method)
        && !target.is_empty()
        && target.chars().all(|c| c.is_ascii_graphic() && c != '#')
        && target.split('%').skip(1).all(|after| after.len() >= 2 && after[..2].chars().all(|c| c.is_ascii_hexdigit()))
        && ["HTTP/1.0", "HTTP/1.1"].contains(&version);
    is_good.then_some((method, target, version))
}

fn method_of(name: &str) -> Method {
    let known = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Options];
    known.into_iter().find(|method| format!("{method:?}").to_uppercase() == name).unwrap_or(Method::Other)
}

fn path_and_query(method: &str, target: &str) -> Option<(String, Option<String>)> {
    if method_of(method) == Method::Other || (method, target) == ("OPTIONS", "*") {
        return Some((target.to_owned(), None));
    }
    let mut origin = target;
    if !target.starts_with('/') {
        let (scheme, rest) = target.split_once("://")?;
        let is_web = ["http", "https"].contains(&scheme.to_lowercase().as_str());
        if !is_web || rest.is_empty() || rest.starts_with(['/', '?']) {
            return None;
        }
        origin = rest.trim_start_matches(|c| !['/', '?'].contains(&c));
        if !is_host(&rest[..rest.len() - origin.len()]) {
            return None;
        }
    }
    let (path, query) = origin.split_once('?').map_or((origin, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    Some((path.to_owned(), query.map(str::to_owned)))
}

/// Name and value of one line.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_good = is_token(name) && value.chars().all(|c| c == '\t' || !c.is_ascii_control());
    is_good.then(|| (name, value.trim_matches([' ', '\t'])))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn is_host(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+;=%:[]".contains(c))
}

struct Fields<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Fields<'a> {
    fn values(&self, name: &str) -> Vec<&'a str> {
        self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|&(_, value)| value).collect()
    }

    fn host_is_good(&self, is_1_1: bool) -> bool {
        match self.values("host")[..] {
            [] => !is_1_1,
            [host] => is_host(host),
            _ => false,
        }
    }

    fn origin_is_good(&self) -> bool {
        match self.values("origin")[..] {
            [] => true,
            [origin] => !origin.is_empty() && origin.chars().all(|c| c.is_ascii_graphic()),
            _ => false,
        }
    }

    fn expectations_are_known(&self) -> bool {
        self.values("expect").iter().all(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn client(&self) -> Option<u64> {
        match self.values("x-client-id")[..] {
            [] => Some(0),
            [id] => decimal(id)?.try_into().ok(),
            _ => None,
        }
    }

    fn content(&self) -> ContentKind {
        let coded =
            self.values("content-encoding").into_iter().map(str::to_lowercase).find(|coding| coding != "identity");
        if let Some(coding) = coded {
            return ContentKind::Coded(match coding.as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => Coding::Other,
            });
        }
        match self.values("content-type")[..] {
            [] => ContentKind::None,
            [one] => match one.split(';').next().unwrap_or("").trim_matches([' ', '\t']).to_lowercase().as_str() {
                "application/json" => ContentKind::Json,
                "application/octet-stream" => ContentKind::OctetStream,
                "text/plain" => ContentKind::Text,
                _ => ContentKind::Other,
            },
            _ => ContentKind::Other,
        }
    }

    fn keep_alive(&self, is_1_1: bool) -> bool {
        let options = self.values("connection").join(",").to_ascii_lowercase();
        let says = |word: &str| options.split(',').any(|option| option.trim_matches([' ', '\t']) == word);
        !says("close") && (is_1_1 || says("keep-alive"))
    }

    /// The body, and what follows the request.
    fn body<'b>(&self, is_1_1: bool, after_head: &'b [u8], max: usize) -> Option<(Vec<u8>, &'b [u8])> {
        match (&self.values("transfer-encoding")[..], &self.values("content-length")[..]) {
            ([], []) => Some((Vec::new(), after_head)),
            ([], [length]) => {
                let length = usize::try_from(decimal(length)?).ok().filter(|&length| length <= max)?;
                let (body, rest) = after_head.split_at_checked(length)?;
                Some((body.to_vec(), rest))
            }
            ([coding], []) if is_1_1 && coding.eq_ignore_ascii_case("chunked") => chunked(after_head, max),
            _ => None,
        }
    }
}

/// A number of digits only; saturates.
fn decimal(text: &str) -> Option<u128> {
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u128::MAX))
}

fn chunked(mut rest: &[u8], max: usize) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (size, after) = line(rest)?;
        if !(1..=8).contains(&size.len()) || !size.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(&size, 16).ok()?;
        if size == 0 {
            return Some((body, after_trailers(after)?));
        }
        if body.len() + size > max {
            return None;
        }
        let (data, after) = after.split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
}

fn after_trailers(trailers: &[u8]) -> Option<&[u8]> {
    let mut rest = trailers;
    loop {
        let (text, after) = line(rest)?;
        if trailers.len() - after.len() > HTTP_TRAILERS_MAX {
            return None;
        }
        if text.is_empty() {
            return Some(after);
        }
        field(&text)?;
        rest = after;
    }
}

/// The line that `bytes` begin with, and what follows it.
fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let len = find(bytes, b"\r\n")?;
    Some((bytes[..len].iter().copied().map(char::from).collect(), &bytes[len + 2..]))
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
